"""What is being typed at a place of an unfinished statement: a table, a column, or any word.

It looks at words and brackets alone, for a text that is being written seldom parses.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from headwater.model.statement import Dialect


class Place(StrEnum):
    """What may stand at the cursor."""

    NOTHING = "nothing"
    START = "start"
    TABLE = "table"
    EXPRESSION = "expression"


@dataclass(frozen=True, slots=True)
class Source:
    """A table that the statement reads or changes: its name's parts, and its alias if any."""

    parts: tuple[str, ...]
    alias: str | None = None


@dataclass(frozen=True, slots=True)
class Typing:
    """The cursor's surroundings; `start` is where the last part of the name begins, as an offset.

    `qualifier` are the parts before the last dot, `prefix` is what was typed of the last part;
    `quote` is the quotation mark that it began with. `local` are the names of WITH.
    """

    place: Place
    start: int
    prefix: str = ""
    qualifier: tuple[str, ...] = ()
    quote: str = ""
    sources: tuple[Source, ...] = ()
    local: tuple[str, ...] = ()


WORDS = (
    "ALL", "AND", "ANY", "AS", "ASC", "BETWEEN", "CASE", "CAST", "CROSS JOIN", "CURRENT ROW",
    "DESC", "DISTINCT", "ELSE", "END", "EXCEPT", "EXISTS", "FALSE", "FETCH FIRST", "FILTER",
    "FOLLOWING", "FROM", "FULL JOIN", "GROUP BY", "GROUPING SETS", "HAVING", "IN", "INNER JOIN",
    "INTERSECT", "INTERVAL", "INTO", "IS NOT NULL", "IS NULL", "JOIN", "LATERAL", "LEFT JOIN",
    "LIKE", "LIMIT", "NOT", "NULL", "NULLS FIRST", "NULLS LAST", "OFFSET", "ON", "OR",
    "ORDER BY", "OVER", "PARTITION BY", "PRECEDING", "QUALIFY", "RANGE", "RIGHT JOIN", "ROLLUP",
    "ROWS", "SELECT", "SET", "TABLESAMPLE", "THEN", "TRUE", "UNBOUNDED", "UNION", "UNION ALL",
    "UNNEST", "USING", "VALUES", "WHEN", "WHERE", "WINDOW", "WITH",
)  # fmt: skip
"""Keywords that may be completed inside of a statement."""

STARTS = (
    "ALTER TABLE", "CREATE SCHEMA", "CREATE TABLE", "CREATE VIEW", "DELETE FROM", "DESCRIBE",
    "DROP SCHEMA", "DROP TABLE", "DROP VIEW", "EXPLAIN", "EXPLAIN ANALYZE", "GRANT", "INSERT INTO",
    "MERGE INTO", "REVOKE", "SELECT", "SHOW CREATE TABLE", "SHOW FUNCTIONS", "SHOW GRANTS",
    "SHOW SCHEMAS", "SHOW TABLES", "TRUNCATE TABLE", "UPDATE", "USE", "VALUES", "WITH",
)  # fmt: skip
"""What a statement may begin with."""

_TOKEN = re.compile(
    r"""
    (?P<comment>--[^\n]*|/\*.*?(?:\*/|\Z))
    |(?P<string>'(?:[^']|'')*(?:'|\Z))
    |(?P<quoted>"(?:[^"]|"")*(?:"|\Z)|`(?:[^`]|``)*(?:`|\Z))
    |(?P<word>[^\W\d][\w$@]*)
    |(?P<number>\d[\w.]*)
    |(?P<space>\s+)
    |(?P<sign>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_BEFORE_TABLES = frozenset(
    {"FROM", "JOIN", "INTO", "UPDATE", "TABLE", "VIEW", "DESCRIBE", "DESC", "TRUNCATE", "USE"}
)
_CLAUSES = frozenset(
    {"SELECT", "WHERE", "ON", "HAVING", "QUALIFY", "SET", "VALUES", "BY", "LIMIT", "OFFSET", "WHEN"}
)
_NO_ALIAS = frozenset({
    "AS", "ON", "USING", "WHERE", "GROUP", "ORDER", "HAVING", "LIMIT", "OFFSET", "JOIN",
    "LEFT", "RIGHT", "FULL", "INNER", "CROSS", "UNION", "EXCEPT", "INTERSECT", "SET",
    "VALUES", "SELECT", "WHEN", "QUALIFY", "WINDOW", "FETCH", "FOR", "TABLESAMPLE", "NATURAL",
    "LATERAL", "WITH",
})  # fmt: skip
_LONGEST = 200_000


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    start: int
    end: int

    @property
    def upper(self) -> str:
        return self.text.upper() if self.kind == "word" else ""

    @property
    def name(self) -> str | None:
        """The identifier that it is, or None."""
        if self.kind == "word":
            return self.text
        if self.kind != "quoted":
            return None
        mark = self.text[0]
        closed = len(self.text) > 1 and self.text.endswith(mark)
        return self.text[1 : -1 if closed else None].replace(mark * 2, mark)


def look(text: str, cursor: int, dialect: Dialect) -> Typing:
    """What is typed at the cursor (an offset into the text)."""
    cursor = max(0, min(cursor, len(text)))
    # What lies far away says little, and every key press asks.
    first = max(0, cursor - _LONGEST // 2)
    statement = _statement(text[first : cursor + _LONGEST // 2], cursor - first, first, dialect)
    before = [token for token in statement if token.start < cursor]
    last = before[-1] if before else None
    if last is not None and last.end >= cursor and last.kind in ("comment", "string", "number"):
        ended = last.end == cursor and (
            (last.kind == "comment" and last.text.endswith("*/"))
            or (last.kind == "string" and len(last.text) > 1 and last.text.endswith("'"))
        )
        if not ended or last.kind == "number":
            return Typing(Place.NOTHING, cursor)
    significant = [token for token in before if token.kind not in ("comment", "space")]
    prefix, quote, start = "", "", cursor
    if significant and significant[-1].end >= cursor and significant[-1].name is not None:
        typed = significant.pop()
        start, quote = typed.start, typed.text[0] if typed.kind == "quoted" else ""
        prefix = text[typed.start + len(quote) : cursor]
        if quote and prefix.endswith(quote):
            return Typing(Place.NOTHING, cursor)
    qualifier: list[str] = []
    while (
        len(significant) > 1
        and significant[-1].text == "."
        and (name := significant[-2].name) is not None
    ):
        qualifier.insert(0, name)
        del significant[-2:]
    whole = [token for token in statement if token.kind not in ("comment", "space")]
    return Typing(
        _place(significant),
        start,
        prefix,
        tuple(qualifier),
        quote,
        tuple(_sources(whole, start)),
        tuple(_local(whole)),
    )


def _statement(text: str, cursor: int, shift: int, dialect: Dialect) -> list[_Token]:
    """The tokens of the statement that the cursor is in."""
    found: list[_Token] = []
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or "sign"
        if kind == "quoted" and dialect is Dialect.SPARK and match[0].startswith('"'):
            kind = "string"
        token = _Token(kind, match[0], match.start() + shift, match.end() + shift)
        if token.text == ";":
            if match.start() >= cursor:
                break
            found = []
        else:
            found.append(token)
    return found


def _place(before: list[_Token]) -> Place:
    if not before:
        return Place.START
    depth = 0
    for index in range(len(before) - 1, -1, -1):
        token = before[index]
        if token.text == ")":
            depth += 1
        elif token.text == "(":
            depth -= 1
            if depth < 0:
                depth = 0
                if index and before[index - 1].upper in ("FROM", "JOIN", "AS", "IN", "EXISTS"):
                    return Place.START if index == len(before) - 1 else Place.EXPRESSION
        elif depth == 0 and token.upper in _BEFORE_TABLES:
            after = before[index + 1 :]
            # FROM t, …: a name after a comma is a table; after a name it is an alias or a word.
            if not after or after[-1].text == ",":
                return Place.TABLE
            return Place.EXPRESSION
        elif depth == 0 and token.upper in _CLAUSES:
            return Place.EXPRESSION
    if before[-1].upper in ("EXPLAIN", "ANALYZE"):
        return Place.START
    return Place.EXPRESSION


def _sources(tokens: list[_Token], typed: int) -> list[Source]:
    """The tables after FROM, JOIN, INTO, UPDATE and USING, wherever they stand."""
    found: list[Source] = []
    index = 0
    listing = False
    while index < len(tokens):
        token = tokens[index]
        index += 1
        opens = token.upper in ("FROM", "JOIN", "INTO", "UPDATE", "USING", "TABLE")
        if not opens and not (listing and token.text == ","):
            if token.upper in _CLAUSES or token.text == "(":
                listing = False
            continue
        listing = token.upper == "FROM" or (listing and token.text == ",")
        parts: list[str] = []
        start = tokens[index].start if index < len(tokens) else typed
        while index < len(tokens) and (name := tokens[index].name) is not None:
            parts.append(name)
            index += 1
            if index < len(tokens) and tokens[index].text == ".":
                index += 1
            else:
                break
        if not parts or start == typed:
            continue
        if index < len(tokens) and tokens[index].upper == "AS":
            index += 1
        alias = None
        if index < len(tokens) and tokens[index].upper not in _NO_ALIAS:
            alias = tokens[index].name if tokens[index].start != typed else None
        if alias is not None:
            index += 1
        found.append(Source(tuple(parts), alias))
    return found


def _local(tokens: list[_Token]) -> list[str]:
    """The names that WITH gives to queries."""
    if not any(token.upper == "WITH" for token in tokens):
        return []
    found = []
    for name, word, bracket in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if word.upper == "AS" and bracket.text == "(" and (given := name.name) is not None:
            found.append(given)
    return found


_PLAIN = re.compile(r"[a-z_][a-z0-9_]*", re.IGNORECASE | re.ASCII)
_RESERVED = frozenset({
    "ALL", "ALTER", "AND", "ANY", "ARRAY", "AS", "ASC", "BETWEEN", "BY", "CASE", "CAST",
    "COLUMN", "CREATE", "CROSS", "CURRENT_DATE", "CURRENT_TIME", "CURRENT_TIMESTAMP",
    "CURRENT_USER", "DELETE", "DESC", "DESCRIBE", "DISTINCT", "DROP", "ELSE", "END", "ESCAPE",
    "EXCEPT", "EXISTS", "EXTRACT", "FALSE", "FETCH", "FOR", "FROM", "FULL", "GROUP", "HAVING",
    "IN", "INNER", "INSERT", "INTERSECT", "INTERVAL", "INTO", "IS", "JOIN", "LATERAL", "LEFT",
    "LIKE", "LIMIT", "MERGE", "NATURAL", "NOT", "NULL", "OFFSET", "ON", "OR", "ORDER",
    "OUTER", "OVER", "PARTITION", "QUALIFY", "RIGHT", "ROW", "SELECT", "SET", "SHOW", "TABLE",
    "TABLESAMPLE", "THEN", "TO", "TRUE", "UNION", "UNNEST", "UPDATE", "USING", "VALUES",
    "VIEW", "WHEN", "WHERE", "WINDOW", "WITH",
})  # fmt: skip


def as_written(name: str, dialect: Dialect) -> str:
    """The identifier as a statement has it: in quotes where it needs them."""
    if _PLAIN.fullmatch(name) and name.upper() not in _RESERVED:
        return name
    mark = "`" if dialect is Dialect.SPARK else '"'
    return mark + name.replace(mark, mark * 2) + mark
