"""Rows by position: constructors without names, `row[1]`, and casts that pair fields by place.

Trino matches the fields of two rows by their place, DuckDB by their names unless one has none.
"""

from __future__ import annotations

from sqlglot import exp

from headwater.errors import ErrorCode, error
from headwater.sql.trees import FIRST_INDEX, node_position


def constructor(node: exp.Struct) -> exp.Expr | None:
    """`ROW(1, 'z')` as DuckDB's row without names; None for one that names its fields."""
    if not node.expressions or any(
        isinstance(item, exp.PropertyEQ | exp.Alias) for item in node.expressions
    ):
        return None
    return exp.Anonymous(this="row", expressions=[item.copy() for item in node.expressions])


def subscript(node: exp.Bracket) -> exp.Expr | None:
    """`row[n]`, which is a field of a row with or without names; None for arrays and maps."""
    index = node.expressions[0] if len(node.expressions) == 1 else None
    if not node.this.is_type(exp.DType.STRUCT) or not isinstance(index, exp.Literal):
        return None
    if index.is_string:
        return None
    return field_at(node.this.copy(), int(index.this) + 1 - node.meta.get(FIRST_INDEX, 0))


def field_at(row: exp.Expr, place: int) -> exp.Expr:
    """The field of a row at a place, counted from 1."""
    return exp.Anonymous(this="struct_extract_at", expressions=[row, exp.Literal.number(place)])


def cast_row(node: exp.Cast) -> exp.Expr | None:
    """A CAST to a row type with its fields paired by place; None where nothing is to be done."""
    kind = node.to
    if kind.is_type(exp.DType.STRUCT) and _nameless(kind):
        value = node.this
        if not isinstance(value, exp.Anonymous) or len(value.expressions) != len(kind.expressions):
            raise error(
                ErrorCode.NOT_SUPPORTED,
                "a row type without names is not supported here",
                hint="name the fields: row(a bigint, b varchar)",
                position=node_position(node),
            )
        items = [
            type(node)(this=item.copy(), to=part.copy())
            for item, part in zip(value.expressions, kind.expressions, strict=True)
        ]
        return exp.Anonymous(this="row", expressions=items)
    paired = by_place(node.this, kind)
    if paired is node.this:
        return None
    return type(node)(this=paired, to=kind.copy())


def by_place(value: exp.Expr, want: exp.DataType, depth: int = 0) -> exp.Expr:
    """The value, its rows without names where theirs are not those of the wanted type."""
    have = value.type
    if not isinstance(have, exp.DataType) or not _differ(have, want):
        return value
    if have.is_type(exp.DType.STRUCT):
        if isinstance(value, exp.Anonymous) and value.name == "row":
            fields = [item.copy() for item in value.expressions]
        else:
            fields = [
                field_at(value.copy(), place) for place in range(1, len(have.expressions) + 1)
            ]
        for item, part in zip(fields, have.expressions, strict=True):
            item.type = _part_type(part)
        kinds = [_part_type(part) for part in want.expressions]
        row: exp.Expr = exp.Anonymous(
            this="row",
            expressions=[
                by_place(item, kind, depth) if kind is not None else item
                for item, kind in zip(fields, kinds, strict=True)
            ],
        )
        if not isinstance(value, exp.Anonymous) or value.name != "row":
            missing = exp.Is(this=value.copy(), expression=exp.Null())
            row = exp.Case(ifs=[exp.If(this=missing, true=exp.Null())], default=row)
        return row
    element = exp.to_identifier(f"hw_row{depth}")
    element.type = have.expressions[0].copy()
    body = by_place(element, want.expressions[0], depth + 1)
    return exp.Transform(
        this=value.copy(),
        expression=exp.Lambda(
            this=body, expressions=[exp.to_identifier(f"hw_row{depth}")], colon=True
        ),
    )


def _differ(have: exp.DataType, want: exp.DataType) -> bool:
    """True when rows inside two types of one shape have fields of other names."""
    if have.is_type(exp.DType.STRUCT) and want.is_type(exp.DType.STRUCT):
        if len(have.expressions) != len(want.expressions):
            return False
        pairs = list(zip(have.expressions, want.expressions, strict=True))
        if not _nameless(have) and any(a.name.casefold() != b.name.casefold() for a, b in pairs):
            return True
        kinds = [(_part_type(a), _part_type(b)) for a, b in pairs]
        return any(a is not None and b is not None and _differ(a, b) for a, b in kinds)
    arrays = (exp.DType.ARRAY, exp.DType.LIST)
    return (
        have.is_type(*arrays)
        and want.is_type(*arrays)
        and len(have.expressions) == len(want.expressions) == 1
        and _differ(have.expressions[0], want.expressions[0])
    )


def _nameless(kind: exp.DataType) -> bool:
    return bool(kind.expressions) and all(
        isinstance(part, exp.DataType) for part in kind.expressions
    )


def _part_type(part: exp.Expr) -> exp.DataType | None:
    """The type of a field in a row type, which has a name or is the type itself."""
    kind = part if isinstance(part, exp.DataType) else part.args.get("kind")
    return kind if isinstance(kind, exp.DataType) else None
