"""Spark's DDL types as text (`a int, b array<string>`), to the types of the protocol."""

from __future__ import annotations

import re
from typing import Any

from headwater.gateway.spark_connect.failures import SparkFailure

_TOKEN = re.compile(
    r"\s*(?:(?P<quoted>`(?:[^`]|``)+`)|(?P<text>'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.)*\")"
    r"|(?P<word>[^\W\d]\w*|\d+\w*)|(?P<sign>[<>(),:]))"
)
_NAMES = {
    "boolean": "boolean",
    "tinyint": "byte",
    "byte": "byte",
    "smallint": "short",
    "short": "short",
    "int": "integer",
    "integer": "integer",
    "bigint": "long",
    "long": "long",
    "float": "float",
    "real": "float",
    "double": "double",
    "string": "string",
    "binary": "binary",
    "date": "date",
    "timestamp": "timestamp",
    "timestamp_ltz": "timestamp",
    "timestamp_ntz": "timestamp_ntz",
    "void": "null",
    "null": "null",
    "variant": "variant",
}
_DAYS = {"day": 0, "hour": 1, "minute": 2, "second": 3}
_MONTHS = {"year": 0, "month": 1}
_DEEPEST = 64


def parse_ddl(text: str, pb: Any) -> Any:
    """The type that a text stands for: a data type, or the columns of a table as a struct.

    Raises PARSE_SYNTAX_ERROR.
    """
    try:
        return _whole(text, pb, columns=False)
    except SparkFailure:
        return _whole(text, pb, columns=True)


def _whole(text: str, pb: Any, *, columns: bool) -> Any:
    parser = _Parser(text, pb)
    made = parser.fields(end=None) if columns else parser.type()
    if parser.peek() is not None:
        raise parser.fail()
    return made


class _Parser:
    def __init__(self, text: str, pb: Any) -> None:
        self._pb = pb
        self._text = text
        self._tokens: list[tuple[str, str]] = []
        self._next = 0
        self._depth = 0
        offset, text = 0, text.rstrip()
        while offset < len(text):
            match = _TOKEN.match(text, offset)
            if match is None:
                raise self.fail(text[offset : offset + 16])
            self._tokens.append((str(match.lastgroup), match[str(match.lastgroup)]))
            offset = match.end()

    def peek(self) -> str | None:
        return self._tokens[self._next][1] if self._next < len(self._tokens) else None

    def fail(self, near: str | None = None) -> SparkFailure:
        found = near or self.peek()
        told = f"'{found[:64]}'" if found else "end of input"
        return SparkFailure(
            f"[PARSE_SYNTAX_ERROR] Syntax error at or near {told}. SQLSTATE: 42601",
            (
                "org.apache.spark.sql.catalyst.parser.ParseException",
                "org.apache.spark.sql.AnalysisException",
            ),
            "PARSE_SYNTAX_ERROR",
            "42601",
        )

    def match(self, *signs: str) -> bool:
        found = self.peek()
        if found is not None and found.lower() in signs:
            self._next += 1
            return True
        return False

    def expect(self, sign: str) -> None:
        if not self.match(sign):
            raise self.fail()

    def name(self) -> str:
        if self._next >= len(self._tokens):
            raise self.fail()
        kind, text = self._tokens[self._next]
        if kind not in ("word", "quoted"):
            raise self.fail()
        self._next += 1
        return text[1:-1].replace("``", "`") if kind == "quoted" else text

    def type(self) -> Any:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self.fail()
        try:
            return self._type()
        finally:
            self._depth -= 1

    def _type(self) -> Any:
        made = self._pb.DataType()
        word = self.name().lower()
        if word in ("decimal", "dec", "numeric"):
            precision, scale = 10, 0
            if self.match("("):
                precision = self._number()
                if self.match(","):
                    scale = self._number()
                self.expect(")")
            if not 0 <= scale <= precision <= 38:
                raise self.fail(f"decimal({precision},{scale})")
            made.decimal.precision, made.decimal.scale = precision, scale
        elif word in ("varchar", "char", "character"):
            self.expect("(")
            length = self._number()
            self.expect(")")
            (made.var_char if word == "varchar" else made.char).length = length
        elif word == "array":
            self.expect("<")
            made.array.element_type.CopyFrom(self.type())
            made.array.contains_null = True
            self.expect(">")
        elif word == "map":
            self.expect("<")
            made.map.key_type.CopyFrom(self.type())
            self.expect(",")
            made.map.value_type.CopyFrom(self.type())
            made.map.value_contains_null = True
            self.expect(">")
        elif word == "struct":
            self.expect("<")
            made.CopyFrom(self.fields(end=">"))
            self.expect(">")
        elif word == "interval":
            self._interval(made)
        elif word == "time":
            made.time.precision = 6
            if self.match("("):
                made.time.precision = self._number()
                self.expect(")")
        elif word in _NAMES:
            getattr(made, _NAMES[word]).SetInParent()
            if word == "string" and self.match("collate"):
                made.string.collation = self.name()
        else:
            raise self.fail(word)
        return made

    def fields(self, end: str | None) -> Any:
        made = self._pb.DataType()
        made.struct.SetInParent()
        if self.peek() == end:
            return made
        while True:
            field = made.struct.fields.add(name=self.name(), nullable=True)
            self.match(":")
            field.data_type.CopyFrom(self.type())
            if self.match("not"):
                self.expect("null")
                field.nullable = False
            if self.match("comment"):
                field.metadata = '{"comment":' + self._comment() + "}"
            if not self.match(","):
                return made

    def _interval(self, made: Any) -> None:
        first = (self.peek() or "").lower()
        for units, target in ((_DAYS, "day_time_interval"), (_MONTHS, "year_month_interval")):
            if first in units:
                self._next += 1
                last = self.name().lower() if self.match("to") else first
                if last not in units:
                    raise self.fail(last)
                interval = getattr(made, target)
                interval.start_field, interval.end_field = units[first], units[last]
                return
        made.calendar_interval.SetInParent()

    def _number(self) -> int:
        text = self.name()
        if not text.isdigit() or len(text) > 9:
            raise self.fail(text)
        return int(text)

    def _comment(self) -> str:
        import json

        if self._next >= len(self._tokens) or self._tokens[self._next][0] != "text":
            raise self.fail()
        text = self._tokens[self._next][1][1:-1]
        self._next += 1
        return json.dumps(text)
