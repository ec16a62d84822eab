"""Sorting and filtering a stored result: what a caller may ask for, and the SQL for it.

The SQL is made of column numbers alone. What a caller compares with comes to the engine as a row of
an Arrow table, converted to the column's type before, so nothing that was typed becomes SQL.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import pyarrow as pa
from sqlglot import exp

from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.sql.transpile import emit

ROWS = "hw_rows"
"""The input with the columns that are sorted or filtered by, as `c<position>`, and `place`."""

GIVEN = "hw_given"
"""The input whose one row holds what is compared with, as `v<number of the condition>`."""

PLACE = "place"

_MOST = 20


class Comparison(StrEnum):
    """What a condition asks of a value; the last two take no value of their own."""

    EQ = "eq"
    NE = "ne"
    LT = "lt"
    LE = "le"
    GT = "gt"
    GE = "ge"
    CONTAINS = "contains"
    STARTS_WITH = "starts_with"
    IS_NULL = "is_null"
    NOT_NULL = "not_null"


_SIMPLE: dict[Comparison, type[exp.Binary]] = {
    Comparison.EQ: exp.EQ,
    Comparison.NE: exp.NEQ,
    Comparison.LT: exp.LT,
    Comparison.LE: exp.LTE,
    Comparison.GT: exp.GT,
    Comparison.GE: exp.GTE,
}
_TEXTUAL = (Comparison.CONTAINS, Comparison.STARTS_WITH)
_ABOUT_NULL = (Comparison.IS_NULL, Comparison.NOT_NULL)


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition on the column at a position; `value` as text, whatever the column's type."""

    column: int
    comparison: Comparison
    value: str | None = None


@dataclass(frozen=True, slots=True)
class SortKey:
    """One column to sort by; NULL comes last either way."""

    column: int
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Arrangement:
    """How a caller wants to see a stored result: in this order, and only rows that meet all."""

    sort: tuple[SortKey, ...] = ()
    conditions: tuple[Condition, ...] = ()

    @property
    def is_plain(self) -> bool:
        """True when it leaves the result as it is."""
        return not self.sort and not self.conditions

    @property
    def columns(self) -> list[int]:
        """The positions of the columns that it looks at, ascending."""
        used = {key.column for key in self.sort} | {c.column for c in self.conditions}
        return sorted(used)

    def check(self, schema: pa.Schema) -> None:
        """Raises INVALID_ARGUMENT for more than 20 keys or conditions, or an unknown column."""
        if len(self.sort) > _MOST or len(self.conditions) > _MOST:
            raise error(
                ErrorCode.INVALID_ARGUMENT, f"{_MOST} sort keys and {_MOST} conditions at most"
            )
        for column in self.columns:
            if not 0 <= column < len(schema):
                raise error(
                    ErrorCode.INVALID_ARGUMENT,
                    f"the result has no column {column}",
                    hint="columns are counted from 0",
                )

    def given(self, schema: pa.Schema) -> pa.Table:
        """What the conditions compare with, in the types of their columns; one row.

        Raises INVALID_ARGUMENT for a value that is none of the column's type.
        """
        columns: dict[str, pa.Array[Any]] = {}
        for number, condition in enumerate(self.conditions):
            if condition.comparison not in _ABOUT_NULL:
                columns[f"v{number}"] = _value(condition, schema.field(condition.column))
        return pa.table(columns or {"none": pa.array([None], pa.string())})

    def sql(self) -> str:
        """The query that lists the places of the rows, in order; see `ROWS` and `GIVEN`."""
        tree = exp.Select(
            expressions=[_column(PLACE, ROWS)],
            from_=exp.From(this=_table(ROWS)),
            joins=[exp.Join(this=_table(GIVEN), kind="CROSS")],
        )
        if self.conditions:
            tests = [_test(number, found) for number, found in enumerate(self.conditions)]
            tree.set("where", exp.Where(this=_all(tests)))
        keys = [
            exp.Ordered(
                this=_column(f"c{key.column}", ROWS), desc=key.descending, nulls_first=False
            )
            for key in self.sort
        ]
        # The last key keeps equal rows as they came, so that pages fit together.
        keys.append(exp.Ordered(this=_column(PLACE, ROWS), desc=False, nulls_first=False))
        tree.set("order", exp.Order(expressions=keys))
        return emit(tree)


def parse_sort(text: str) -> tuple[SortKey, ...]:
    """The keys of `2:desc,0` (positions from 0); raises INVALID_ARGUMENT."""
    keys = []
    for part in text.split(",") if text else ():
        position, _, direction = part.strip().partition(":")
        if not position.isdecimal() or len(position) > 6 or direction not in ("", "asc", "desc"):
            raise error(
                ErrorCode.INVALID_ARGUMENT,
                f"'{part[:40]}' is not a sort key",
                hint="write a column's position from 0, then :asc or :desc, as in 2:desc,0",
            )
        keys.append(SortKey(int(position), direction == "desc"))
    return tuple(keys)


def _value(condition: Condition, field: pa.Field[Any]) -> pa.Array[Any]:
    text = condition.value
    if text is None:
        raise error(
            ErrorCode.INVALID_ARGUMENT,
            f"the condition {condition.comparison} needs a value",
            hint="is_null and not_null take none",
        )
    given = pa.array([text], pa.string())
    if condition.comparison in _TEXTUAL:
        return given
    try:
        return _converted(given, field.type)
    except (pa.ArrowException, ValueError, OverflowError) as exc:
        raise _no_value(text, field) from exc


def _converted(given: pa.Array[Any], kind: pa.DataType) -> pa.Array[Any]:
    if pa.types.is_nested(kind):
        raise ValueError("values of nested types are not compared")
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return pa.array([bytes.fromhex(given[0].as_py())], kind)
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        try:
            return given.cast(kind)
        except pa.ArrowException:  # without an offset: it is meant in the result's zone
            import pyarrow.compute as pc

            naive: Any = given.cast(pa.timestamp(kind.unit))
            made: pa.Array[Any] = pc.assume_timezone(naive, kind.tz)
            return made
    return given.cast(kind)


def _no_value(text: str, field: pa.Field[Any]) -> HeadwaterError:
    return error(
        ErrorCode.INVALID_ARGUMENT,
        f"'{text[:60]}' cannot be compared with column {field.name[:60]!r} of type {field.type}",
        hint="dates are written 2026-01-31, times 2026-01-31T12:00:00, binary values in hex",
    )


def _test(number: int, condition: Condition) -> exp.Expr:
    column = _column(f"c{condition.column}", ROWS)
    comparison = condition.comparison
    if comparison in _ABOUT_NULL:
        missing = exp.Is(this=column, expression=exp.Null())
        return missing if comparison is Comparison.IS_NULL else exp.Not(this=missing)
    value = _column(f"v{number}", GIVEN)
    if comparison in _SIMPLE:
        return _SIMPLE[comparison](this=column, expression=value)
    text = exp.Lower(this=exp.Cast(this=column, to=exp.DataType(this=exp.DType.TEXT)))
    wanted = exp.Lower(this=value)
    if comparison is Comparison.CONTAINS:
        return exp.Contains(this=text, expression=wanted)
    return exp.StartsWith(this=text, expression=wanted)


def _all(tests: Sequence[exp.Expr]) -> exp.Expr:
    found = tests[0]
    for test in tests[1:]:
        found = exp.And(this=found, expression=test)
    return found


def _column(name: str, table: str) -> exp.Column:
    return exp.Column(this=exp.Identifier(this=name), table=exp.Identifier(this=table))


def _table(name: str) -> exp.Table:
    return exp.Table(this=exp.Identifier(this=name))
