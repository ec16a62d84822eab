"""Grammar of column definitions, table properties, partitioning and sort order."""

from __future__ import annotations

import re
from typing import Any

from sqlglot import exp
from sqlglot.tokenizer_core import TokenType

from headwater.errors import ErrorCode, error
from headwater.model.statement import Dialect
from headwater.sql.statements import ColumnDefinition, PartitionField, SortField
from headwater.sql.tokens import Cursor
from headwater.sql.trees import parse_expression
from headwater.sql.types import parse_type

Value = str | int | float | bool | list[str] | None

_TIME_UNITS = {
    "year": "year", "years": "year", "month": "month", "months": "month",
    "day": "day", "days": "day", "date": "day", "hour": "hour", "hours": "hour",
}  # fmt: skip


def bracketed_columns(cursor: Cursor) -> tuple[ColumnDefinition, ...]:
    """Reads `(name type [NOT NULL] [COMMENT 'text'] [DEFAULT literal], …)`."""
    cursor.expect("(")
    columns = [column_definition(cursor)]
    while cursor.match(","):
        if cursor.match_any("PRIMARY", "FOREIGN", "UNIQUE", "CHECK", "CONSTRAINT"):
            _refuse_constraint(cursor)
        columns.append(column_definition(cursor))
    cursor.expect(")")
    seen: set[str] = set()
    for column in columns:
        if column.name.casefold() in seen:
            raise error(
                ErrorCode.DUPLICATE_COLUMN_NAME,
                f"the column {column.name!r} is defined twice",
                hint="names of columns differ in more than case",
                position=cursor.position,
            )
        seen.add(column.name.casefold())
    return tuple(columns)


def _refuse_constraint(cursor: Cursor) -> None:
    raise error(
        ErrorCode.NOT_SUPPORTED,
        "Iceberg tables have no keys or CHECK constraints",
        hint="NOT NULL is supported",
        position=cursor.position,
    )


def column_definition(cursor: Cursor, *, nested: bool = False) -> ColumnDefinition:
    """Reads one `name type [NOT NULL] [COMMENT 'text'] [DEFAULT literal]`.

    With `nested`, the name may be the path of a field of a row: `a.b.c`.
    """
    name = cursor.identifier("a column name")
    while nested and cursor.match("."):
        name += "." + cursor.identifier("the name of a field")
    kind = column_type(cursor)
    required, comment, default = False, None, None
    while True:
        if cursor.match("NOT", "NULL"):
            required = True
        elif cursor.match("NULL"):
            required = False
        elif cursor.match("COMMENT"):
            comment = cursor.string("a comment")
        elif cursor.match("DEFAULT"):
            default = _literal(cursor)
        elif cursor.match("WITH"):
            properties(cursor)
        elif cursor.match_any("PRIMARY", "UNIQUE", "CHECK", "REFERENCES", "GENERATED"):
            _refuse_constraint(cursor)
        else:
            return ColumnDefinition(name, kind, required, comment, default)


_AFTER_TYPE = frozenset(
    {"NOT", "NULL", "COMMENT", "DEFAULT", "PRIMARY", "UNIQUE", "CHECK", "REFERENCES", "GENERATED",
     "FIRST", "AFTER", "USING"}
)  # fmt: skip


def column_type(cursor: Cursor) -> Any:
    """Reads a type, up to whatever may follow one in a column definition."""
    position, start = cursor.position, cursor.offset
    depth = 0
    # Spark closes nested types with >, which the tokenizer may join to >>.
    while (token := cursor.peek()) is not None:
        word = token.text.upper()
        if depth == 0 and (
            word in (",", ")")
            or (word in _AFTER_TYPE and cursor.offset > start)
            or (word == "WITH" and not cursor.looking_at("WITH", "TIME"))
        ):
            break
        depth += sum(word.count(mark) for mark in "(<[") if token.text in ("(", "<", "[") else 0
        if token.token_type not in (TokenType.STRING, TokenType.IDENTIFIER):
            depth -= sum(word.count(mark) for mark in ")>]")
        cursor.index += 1
    text = cursor.text[start : cursor.offset]
    if not text.strip():
        raise cursor.fail("expected a type")
    return parse_type(text, cursor.dialect, position)


def _literal(cursor: Cursor) -> Any:
    """Reads a literal of DEFAULT as a Python value (dates and the like as ISO text)."""
    negative = cursor.match("-")
    token = cursor.peek()
    if token is not None and token.token_type is TokenType.NUMBER:
        cursor.index += 1
        number = int(token.text) if token.text.isdigit() else float(token.text)
        return -number if negative else number
    if cursor.match("NULL"):
        return None
    if word := cursor.match_any("TRUE", "FALSE"):
        return word == "TRUE"
    cursor.match_any("DATE", "TIMESTAMP", "TIME", "UUID")
    return cursor.string("a literal")


def properties(cursor: Cursor) -> dict[str, Value]:
    """Reads `(name = value, …)`; a value is a literal, DEFAULT (None) or ARRAY['text', …].

    Trino's PROPERTIES may come without brackets.
    """
    brackets = cursor.match("(")
    found: dict[str, Value] = {}
    while not (brackets and cursor.match(")")):
        key = _property_name(cursor)
        cursor.match_any("=", "==", "=>")
        found[key] = _property_value(cursor)
        if cursor.match(","):
            continue
        if brackets:
            cursor.expect(")")
        break
    return found


def _property_name(cursor: Cursor) -> str:
    token = cursor.peek()
    if token is not None and token.token_type is TokenType.STRING:
        return cursor.string()
    parts = [cursor.identifier("the name of a property")]
    while (mark := cursor.match_any(".", "-")) is not None:
        parts += [mark, cursor.identifier("the name of a property")]
    return "".join(parts)


def _property_value(cursor: Cursor) -> Value:
    if cursor.match("DEFAULT") or cursor.match("NULL"):
        return None
    cursor.match("ARRAY")
    if cursor.match("["):
        items: list[str] = []
        while not cursor.match("]"):
            items.append(cursor.string("a string"))
            if not cursor.match(","):
                cursor.expect("]")
                break
        return items
    value: Value = _literal(cursor)
    return value


def literal_text(value: Value, cursor: Cursor) -> str:
    """A property's value as the text that Iceberg stores."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list) or value is None:
        raise cursor.fail("expected a string, a number, true or false")
    return str(value)


def partition_fields(cursor: Cursor) -> tuple[PartitionField, ...]:
    """Reads `(region, months(d), bucket(16, a))`."""
    cursor.expect("(")
    fields = []
    while True:
        fields.append(partition_field(cursor))
        if not cursor.match(","):
            break
    cursor.expect(")")
    return tuple(fields)


def partition_field(cursor: Cursor) -> PartitionField:
    """Reads one partition field: a column, or a transform of one."""
    word = cursor.name("a column or a transform")
    if not cursor.match("("):
        return PartitionField(".".join(word.parts), "identity")
    transform = word.parts[-1].lower()
    arguments: list[str | int] = []
    while True:
        token = cursor.peek()
        if token is not None and token.token_type is TokenType.NUMBER:
            arguments.append(cursor.integer())
        else:
            arguments.append(".".join(cursor.name("a column").parts))
        if not cursor.match(","):
            break
    cursor.expect(")")
    return _field(transform, arguments, cursor)


def _field(transform: str, arguments: list[str | int], cursor: Cursor) -> PartitionField:
    columns = [argument for argument in arguments if isinstance(argument, str)]
    sizes = [argument for argument in arguments if isinstance(argument, int)]
    if len(columns) == 1:
        column = columns[0]
        if transform in _TIME_UNITS and not sizes:
            return PartitionField(column, _TIME_UNITS[transform])
        if transform in ("bucket", "truncate") and len(sizes) == 1 and 0 < sizes[0] < 2**31:
            return PartitionField(column, f"{transform}[{sizes[0]}]")
        if transform in ("void", "identity") and not sizes:
            return PartitionField(column, transform)
    raise error(
        ErrorCode.INVALID_ARGUMENT,
        f"{transform}({', '.join(map(str, arguments))}) is not a partition transform",
        hint="year, month, day, hour, bucket(column, 16), truncate(column, 4) or a plain column",
        position=cursor.position,
    )


def split_partitioning(value: Value, cursor: Cursor) -> tuple[PartitionField, ...]:
    """Partition fields of Trino's `partitioning = ARRAY['month(d)', 'bucket(a, 16)']`."""
    if not isinstance(value, list):
        raise cursor.fail("partitioning is an array of strings", hint="ARRAY['month(d)']")
    fields = []
    for text in value:
        inner = Cursor.over(text, Dialect.TRINO)
        fields.append(partition_field(inner))
        inner.expect_end()
    return tuple(fields)


def split_sorting(value: Value, cursor: Cursor) -> tuple[SortField, ...]:
    """Sort fields of Trino's `sorted_by = ARRAY['a DESC NULLS LAST']`."""
    if not isinstance(value, list):
        raise cursor.fail("sorted_by is an array of strings", hint="ARRAY['a DESC']")
    fields = []
    for text in value:
        inner = Cursor.over(text, Dialect.TRINO)
        fields.append(sort_field(inner))
        inner.expect_end()
    return tuple(fields)


def sort_field(cursor: Cursor) -> SortField:
    """Reads `a [ASC|DESC] [NULLS FIRST|LAST]`."""
    part = partition_field(cursor)
    ascending = cursor.match_any("ASC", "DESC") != "DESC"
    nulls_first = ascending
    if cursor.match("NULLS"):
        order = cursor.match_any("FIRST", "LAST")
        if order is None:
            raise cursor.fail("expected FIRST or LAST")
        nulls_first = order == "FIRST"
    return SortField(part.column, part.transform, ascending, nulls_first)


def constant(cursor: Cursor) -> Any:
    """Reads a constant argument of a procedure: number, string, boolean, timestamp text, array."""
    position, start, depth = cursor.position, cursor.offset, 0
    while (token := cursor.peek()) is not None:
        if depth == 0 and token.text in (",", ")"):
            break
        if token.token_type in (TokenType.L_PAREN, TokenType.L_BRACKET):
            depth += 1
        elif token.token_type in (TokenType.R_PAREN, TokenType.R_BRACKET):
            depth -= 1
        cursor.index += 1
    tree = parse_expression(cursor.text[start : cursor.offset], cursor.dialect)
    value = python_value(tree)
    if value is NotImplemented:
        raise error(ErrorCode.INVALID_ARGUMENT, "expected a constant", position=position)
    return value


def python_value(tree: exp.Expr) -> Any:
    """The Python value of a literal tree; NotImplemented for anything else."""
    if isinstance(tree, exp.Literal):
        if tree.is_string:
            return tree.this
        return int(tree.this) if re.fullmatch(r"\d+", tree.this) else float(tree.this)
    if isinstance(tree, exp.Boolean):
        return bool(tree.this)
    if isinstance(tree, exp.Null):
        return None
    if isinstance(tree, exp.Neg):
        value = python_value(tree.this)
        return -value if isinstance(value, int | float) else NotImplemented
    if isinstance(tree, exp.Cast):
        return python_value(tree.this)
    if isinstance(tree, exp.Interval) and isinstance(tree.this, exp.Literal):
        return f"{tree.this.this}{tree.unit.name.lower() if tree.unit else ''}"
    if isinstance(tree, exp.Array):
        values = [python_value(item) for item in tree.expressions]
        return NotImplemented if NotImplemented in values else values
    return NotImplemented
