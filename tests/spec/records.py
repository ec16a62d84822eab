"""The format of `.test` files, in the manner of sqllogictest.

A file is a list of records with blank lines between them; lines that start with `#` are comments.

    setup                        statements of the administrator, one a line or ended by `;`
    user NAME [ROLE]             who runs the records below (made when missing; no line: admin)
    dialect NAME                 how the records below are read (trino at first)
    statement ok                 the statement succeeds
    statement count N            … and says that N rows changed
    query [rowsort] [dialect=D]  the statement's rows, after `----`: cells with `|` between them
    error CODE [REGEX]           the statement fails with that code (and such a message); USER is
                                 any code that says the statement is at fault
    let NAME                     keeps the first cell of a query; `${NAME}` stands for it below

`${schema}` is the file's own schema, which is the session's schema, too.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

SEPARATOR = "----"


@dataclass(frozen=True)
class Record:
    """One record: the line it starts at, its kind, the words after it, SQL, expected rows."""

    line: int
    kind: str
    words: tuple[str, ...]
    sql: str
    expected: tuple[str, ...] | None = None

    def option(self, name: str) -> str | None:
        """The value of `name=value` among the words."""
        found = (word.partition("=") for word in self.words)
        return next((value for key, mark, value in found if mark and key == name), None)


KINDS = {"setup", "user", "dialect", "statement", "query", "error", "let"}


def parse(text: str) -> Iterator[Record]:
    """The records of a file; ValueError with the line for one that is none."""
    block: list[str] = []
    start = 0
    for number, line in enumerate([*text.splitlines(), ""], 1):
        if line.startswith("#"):
            continue
        if line.strip():
            start = start if block else number
            block.append(line.rstrip())
        elif block:
            yield _record(start, block)
            block = []


def _record(line: int, block: list[str]) -> Record:
    kind, *words = block[0].split()
    body = block[1:]
    expected: tuple[str, ...] | None = None
    if SEPARATOR in body:
        place = body.index(SEPARATOR)
        body, expected = body[:place], tuple(body[place + 1 :])
    needs_sql = kind not in ("user", "dialect")
    if (
        kind not in KINDS
        or needs_sql != bool(body)
        or (kind == "query") != (expected is not None)
        or (kind in ("user", "dialect", "error", "let", "statement") and not words)
    ):
        raise ValueError(f"line {line}: no record: {block[0]}")
    return Record(line, kind, tuple(words), "\n".join(body), expected)


def statements(sql: str) -> list[str]:
    """The statements of a `setup` record: each ends with `;` at the end of a line."""
    parts = re.split(r";\s*$", sql, flags=re.MULTILINE)
    return [part.strip() for part in parts if part.strip()]


def cell(value: Any) -> str:
    """A value as `.test` files write it."""
    match value:
        case None:
            return "NULL"
        case bool():
            return "true" if value else "false"
        case float():
            return repr(value) if value != int(value) or abs(value) > 1e15 else f"{value:.1f}"
        case Decimal():
            return format(value, "f")
        case bytes():
            return "0x" + value.hex()
        case datetime.datetime():
            return value.replace(tzinfo=None).isoformat(" ") + ("Z" if value.tzinfo else "")
        case list():
            if value and isinstance(value[0], tuple):
                return "{" + ", ".join(f"{cell(k)}={cell(v)}" for k, v in value) + "}"
            return "[" + ", ".join(cell(item) for item in value) + "]"
        case Mapping():
            return "{" + ", ".join(f"{key}: {cell(item)}" for key, item in value.items()) + "}"
        case "":
            return "(empty)"
    return str(value)
