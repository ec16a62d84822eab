"""Plans with times that Sail 0.7.2 answers otherwise than Spark, without an error.

Outside UTC it compares and unites instants with dates and local times as if the zone were UTC:
`ts >= d`, `CAST(ts AS timestamp_ntz)`, `hour(timestamp_seconds(0))`. A date and some hours are a
date there, two dates differ by a number, and `to_timestamp` takes numbers for microseconds. Of
types only those of columns are known here, so what may be such a plan is Spark's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from headwater.gateway.spark_connect.failures import SparkFailure, of_spark_alone
from headwater.gateway.spark_connect.plans.functions import words
from headwater.gateway.spark_connect.plans.inside import inside_of
from headwater.gateway.spark_connect.plans.kinds import PACKAGE
from headwater.gateway.spark_connect.wording import in_order, looked_through

_UTC = frozenset(
    {"utc", "etc/utc", "gmt", "etc/gmt", "uct", "etc/uct", "zulu", "etc/zulu", "z", "+00:00"}
)
_INSTANTS = re.compile(
    r"\b(?:timestamp(?:_ltz|_seconds|_millis|_micros)?|(?:try_)?to_timestamp(?:_ltz)?|now"
    r"|(?:try_)?make_timestamp(?:_ltz)?|current_timestamp|date_trunc|(?:session_)?window(?:_time)?"
    r"|(?:from|to)_utc_timestamp|timestampadd|dateadd)\b",
    re.IGNORECASE,
)
_LOCAL = re.compile(
    r"\b(?:date|(?:try_)?to_date|current_date|curdate|(?:try_)?make_date|date_from_unix_date"
    r"|date_add|date_sub|add_months|last_day|next_day|trunc|localtimestamp|timestamp_ntz"
    r"|(?:try_)?to_timestamp_ntz|(?:try_)?make_timestamp_ntz)\b",
    re.IGNORECASE,
)
_IN_UTC = re.compile(r"\b(?:timestamp_(?:seconds|millis|micros)|convert_timezone)\b", re.IGNORECASE)
"""What Sail makes in UTC whatever the session's zone."""

_TO_JSON = re.compile(r"\bto_json\b", re.IGNORECASE)
"""Writes six digits of a second there, where Spark writes three: in every zone."""


_INTERVAL = re.compile(r"\binterval\b", re.IGNORECASE)
_HOURS = re.compile(r"\b(?:hour|minute|second|millisecond|microsecond)s?\b", re.IGNORECASE)
"""After INTERVAL: an interval of less than a day."""

_DATE = (
    r"(?:\bdate\s*'[^']*'|\bcurrent_date\b(?:\s*\(\s*\))?|\b(?:to_date|date)\s*\([^()]*\)"
    r"|\bcast\s*\([^()]*\bas\s+date\s*\))"
)
_DATES_APART = re.compile(rf"-\s*{_DATE}|{_DATE}\s*-\s*(?=[a-z(`])(?!interval\b)", re.IGNORECASE)
_NAME = r"\w{1,255}"
_PARTS = rf"(?:`?{_NAME}`?\.){{0,4}}"
_MINUS = re.compile(rf"(?<!\w)({_NAME})`? ?- ?{_PARTS}`?({_NAME})")
_TO_TIMESTAMP = re.compile(rf"\bto_timestamp ?\( ?{_PARTS}`?({_NAME})`? ?\)", re.IGNORECASE)
_COLUMN = re.compile(
    rf'(?:(?<!\w)({_NAME})`? ?[ :] ?|"name":"([^"]{{1,255}})"[^{{}}]{{0,80}}?"type":")(\w{{1,50}})'
)
"""A column in a schema as DDL or as JSON: its name in one of two groups, and its type."""

_NUMBERS = words("tinyint smallint int bigint float double decimal byte short integer long numeric")


class _Seen:
    """What kinds of times a plan may hold.

    `dates` and `numbers` are the names of columns, `apart` the pairs of which a difference is
    taken, `taken` those that `to_timestamp` takes, all in small letters.
    """

    def __init__(self) -> None:
        self.instants = self.local = self.in_utc = self.json = self.hours = False
        self.dates_apart = False
        self.dates: set[str] = set()
        self.numbers: set[str] = set()
        self.apart: set[tuple[str, str]] = set()
        self.taken: set[str] = set()

    def sql(self, text: str) -> None:
        """Notes what a query or an expression tells."""
        plain = looked_through(text)
        if plain is None:
            raise _spark("a text of this length")
        self.text(plain)
        lowered = plain.lower()
        self.hours = self.hours or in_order(plain, _INTERVAL, _HOURS)
        self.dates_apart = self.dates_apart or _DATES_APART.search(plain) is not None
        self.apart.update(_MINUS.findall(lowered))
        self.taken.update(_TO_TIMESTAMP.findall(lowered))

    def schema(self, text: str) -> None:
        """Notes the columns of a schema."""
        self.text(text)
        for bare, quoted, kind in _COLUMN.findall(" ".join(text.lower().split())):
            if kind == "date":
                self.dates.add(bare or quoted)
            elif kind in _NUMBERS:
                self.numbers.add(bare or quoted)

    def call(self, found: Any) -> None:
        """Notes a function of a DataFrame with its arguments."""
        name = found.function_name.lower()
        self.text(name)
        columns = [_column(each) for each in found.arguments]
        if name == "-" and len(columns) == 2:
            self.apart.add((columns[0], columns[1]))
        elif name == "to_timestamp" and len(columns) == 1:
            self.taken.add(columns[0])

    def text(self, text: str) -> None:
        """Notes what a text, a type, or the name of a function tells."""
        self.instants = self.instants or _INSTANTS.search(text) is not None
        self.local = self.local or _LOCAL.search(text) is not None
        self.in_utc = self.in_utc or _IN_UTC.search(text) is not None
        self.json = self.json or _TO_JSON.search(text) is not None

    def anything(self) -> None:
        """Notes rows whose types are not looked at."""
        self.instants = self.local = True

    def arrow(self, data: bytes) -> None:
        """Notes the types of rows in Arrow's stream format."""
        try:
            with pa.ipc.open_stream(pa.py_buffer(data)) as rows:
                told = " ".join(str(field.type) for field in rows.schema)
        except pa.ArrowException:
            return  # the engine says what is wrong with them
        # `timestamp[us]` is a local time, `timestamp[us, tz=UTC]` an instant.
        self.instants = self.instants or "tz=" in told
        self.local = (
            self.local or "date" in told or re.search(r"timestamp\[\w+\]", told) is not None
        )


def _column(expression: Any) -> str:
    """The last part of a column's name; a word that no column has for anything else."""
    match expression.WhichOneof("expr_type"):
        case "unresolved_attribute":
            name: str = expression.unresolved_attribute.unparsed_identifier
            return name.rpartition(".")[2].strip("`").lower()
        case "literal":
            return f"a {expression.literal.WhichOneof('literal_type')}"
        case "cast" if expression.cast.type_str.lower() == "date" or expression.cast.type.HasField(
            "date"
        ):
            return "a date"
        case "unresolved_function":
            called = expression.unresolved_function.function_name.lower()
            return "a date" if called in ("to_date", "current_date", "make_date") else ""
    return ""


def is_utc(zone: str) -> bool:
    """True for the zones in which local times are instants."""
    return zone.lower() in _UTC


def check_times(plans: Sequence[Any], zone: str) -> None:
    """Raises UNSUPPORTED_FEATURE, as of Sail, for a plan whose times Sail may get wrong."""
    seen = _Seen()
    waiting = list(plans)
    while waiting:
        found = waiting.pop()
        note = _NOTES.get(found.DESCRIPTOR.full_name.removeprefix(PACKAGE))
        if note is not None:
            note(seen, found)
        waiting += inside_of(found)
    if seen.json and seen.instants:
        raise _spark("timestamps in JSON")
    dates = seen.dates | {"a date"}
    if seen.dates_apart or any(a in dates and b in dates for a, b in seen.apart):
        raise _spark("the time between dates")
    if seen.hours and (seen.dates or seen.local):
        raise _spark("hours beside dates")
    if seen.taken & (seen.numbers | {"a integer", "a long", "a double"}):
        raise _spark("timestamps of numbers")
    if is_utc(zone):
        return
    if seen.in_utc or (seen.instants and seen.local):
        raise _spark(f"timestamps beside dates or local times in the time zone {zone}")


def _spark(what: str) -> SparkFailure:
    return of_spark_alone(f"{what}: Spark's meaning is another than Sail's")


def _local_relation(seen: _Seen, found: Any) -> None:
    if found.schema:
        seen.schema(found.schema)
    elif found.data:
        seen.arrow(found.data)


def _literal(seen: _Seen, found: Any) -> None:
    kind = found.WhichOneof("literal_type") or ""
    seen.instants = seen.instants or kind == "timestamp"
    seen.local = seen.local or kind in ("date", "timestamp_ntz")


def _type(seen: _Seen, found: Any) -> None:
    kind = found.WhichOneof("kind") or ""
    seen.instants = seen.instants or kind == "timestamp"
    seen.local = seen.local or kind in ("date", "timestamp_ntz")


_NOTES: dict[str, Callable[[_Seen, Any], None]] = {
    "SQL": lambda seen, found: seen.sql(found.query),
    "Expression.ExpressionString": lambda seen, found: seen.sql(found.expression),
    "Expression.UnresolvedFunction": _Seen.call,
    "CallFunction": _Seen.call,
    "Expression.Cast": lambda seen, found: seen.text(found.type_str),
    "Expression.Literal": _literal,
    "DataType": _type,
    "DataType.Unparsed": lambda seen, found: seen.text(found.data_type_string),
    "Read.DataSource": lambda seen, found: seen.schema(found.schema),
    "LocalRelation": _local_relation,
    "CachedLocalRelation": lambda seen, _found: seen.anything(),
    "ChunkedCachedLocalRelation": lambda seen, _found: seen.anything(),
}
"""What a message tells of the times in its plan, by its kind."""
