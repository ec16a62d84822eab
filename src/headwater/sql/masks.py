"""Column masks as DuckDB trees: the nine actions of Iceberg `read-restrictions`, and SQL.

Every mask keeps the column's type and maps NULL to NULL (Iceberg REST specification,
`ReadRestrictions`).
"""

from __future__ import annotations

from typing import Any

from sqlglot import exp

from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.model.scan import ColumnMask, MaskAction, ScanColumn
from headwater.sql.trees import engine_expression
from headwater.sql.types import duckdb_type

_FIXED: dict[str, str] = {
    "boolean": "FALSE",
    "int": "0",
    "long": "0",
    "float": "0",
    "double": "0",
    "date": "DATE '1970-01-01'",
    "time": "TIME '00:00:00'",
    "timestamp": "TIMESTAMP '1970-01-01 00:00:00'",
    "timestamptz": "TIMESTAMPTZ '1970-01-01 00:00:00+00'",
    "timestamp_ns": "TIMESTAMP_NS '1970-01-01 00:00:00'",
    "timestamptz_ns": "TIMESTAMPTZ '1970-01-01 00:00:00+00'",
    "string": "'XXXX'",
    "uuid": "'00000000-0000-0000-0000-000000000000'::UUID",
    "binary": "''::BLOB",
}

_DATES = frozenset({"date", "timestamp", "timestamptz", "timestamp_ns", "timestamptz_ns"})


def mask(column: ScanColumn, value: exp.Expr, query_key: str) -> exp.Expr:
    """The tree of what a principal sees instead of `value`, the stored value of a masked column.

    `query_key` is a secret of this statement alone (hex): hashes of `sha-256-query-local` match
    within one statement and nowhere else.
    """
    if column.mask is None:
        return value
    if column.mask.action is MaskAction.EXPRESSION:
        return _expression(column, column.mask, value)
    text = _builtin(column.mask.action, column.type, query_key)
    if text is None:
        raise _unfit(column)
    return _fill(text, value)


def _builtin(action: MaskAction, kind: Any, query_key: str) -> str | None:
    """DuckDB text over `_`, the stored value; None when the action does not fit the type."""
    name = kind if isinstance(kind, str) else kind["type"]
    null = f"NULL::{duckdb_type(kind)}"
    is_text, is_binary = name == "string", name == "binary"
    match action:
        case MaskAction.REPLACE_WITH_NULL:
            return null
        case MaskAction.MASK_TO_FIXED_VALUE:
            fixed = _FIXED.get(name)
            if name.startswith("decimal"):
                fixed = "0"
            if name.startswith("fixed"):
                fixed = "''::BLOB"
            if name == "list":
                fixed = f"[]::{duckdb_type(kind)}"
            if name == "map":
                fixed = f"MAP {{}}::{duckdb_type(kind)}"
            if fixed is None:
                return None
            return f"CASE WHEN _ IS NOT NULL THEN {fixed}::{duckdb_type(kind)} ELSE {null} END"
        case MaskAction.MASK_ALPHANUM if is_text:
            return "regexp_replace(regexp_replace(_, '[\\p{L}]', 'x', 'g'), '[\\p{N}]', 'n', 'g')"
        case MaskAction.SHOW_FIRST_4 if is_text:
            return "left(_, 4) || repeat('*', greatest(length(_) - 4, 0)::BIGINT)"
        case MaskAction.SHOW_LAST_4 if is_text:
            return "repeat('*', greatest(length(_) - 4, 0)::BIGINT) || right(_, 4)"
        case MaskAction.TRUNCATE_TO_YEAR if name in _DATES:
            return f"date_trunc('year', _)::{duckdb_type(kind)}"
        case MaskAction.TRUNCATE_TO_MONTH if name in _DATES:
            return f"date_trunc('month', _)::{duckdb_type(kind)}"
        case MaskAction.SHA_256_GLOBAL if is_text:
            return "sha256(_)"
        case MaskAction.SHA_256_GLOBAL if is_binary:
            return "unhex(sha256(_))"
        case MaskAction.SHA_256_QUERY_LOCAL if is_text:
            return f"sha256('{_hex(query_key)}' || _)"
        case MaskAction.SHA_256_QUERY_LOCAL if is_binary:
            return f"unhex(sha256('{_hex(query_key)}'::BLOB || _))"
        case _:
            return None


def _hex(key: str) -> str:
    bytes.fromhex(key)
    return key


def _fill(text: str, value: exp.Expr) -> exp.Expr:
    tree = engine_expression(text)
    return tree.transform(
        lambda node: value.copy() if isinstance(node, exp.Column) and node.name == "_" else node,
        copy=False,
    )


def _expression(column: ScanColumn, of: ColumnMask, value: exp.Expr) -> exp.Expr:
    """A mask of the administrator's own: cast to the column's type, NULL kept."""
    tree = engine_expression(of.expression or "NULL")
    kind = exp.DataType.build(duckdb_type(column.type), dialect="duckdb")
    return exp.Case(
        ifs=[
            exp.If(
                this=exp.Not(this=exp.Is(this=value.copy(), expression=exp.Null())),
                true=exp.Cast(this=tree, to=kind),
            )
        ]
    )


def fits(action: MaskAction, kind: Any) -> bool:
    """True when a mask action can be bound to a column of an Iceberg type."""
    return action is MaskAction.EXPRESSION or _builtin(action, kind, "00") is not None


def _unfit(column: ScanColumn) -> HeadwaterError:
    # Fail closed: a mask that cannot be applied denies the column.
    return error(
        ErrorCode.PERMISSION_DENIED,
        f"the mask of column {column.name!r} does not fit its type",
        hint="ask an administrator to replace the column mask",
    )
