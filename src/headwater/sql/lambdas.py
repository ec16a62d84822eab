"""Functions of maps, and functions that take functions, written with DuckDB's lists."""

from __future__ import annotations

from sqlglot import exp

from headwater.errors import ErrorCode, error
from headwater.model.statement import Dialect
from headwater.sql.filling import parsed, template


def str_to_map(node: exp.StrToMap, dialect: Dialect) -> exp.Expr:
    """`str_to_map(text, pair delimiter, key and value delimiter)`."""
    pair = node.args.get("pair_delim") or exp.Literal.string(",")
    key_value = node.args.get("key_value_delim") or exp.Literal.string(":")
    return template(
        "map_from_entries(list_transform(str_split($1, $2), LAMBDA hw_e : "
        "{'key': split_part(hw_e, $3, 1), 'value': split_part(hw_e, $3, 2)}))",
        exp.Null(),
        node.this,
        pair,
        key_value,
    )


def _two(node: exp.Anonymous, place: int, first: str, second: str) -> exp.Expr:
    """The body of a two-parameter lambda with its parameters read by other expressions."""
    lambda_ = node.expressions[place]
    if not isinstance(lambda_, exp.Lambda) or len(lambda_.expressions) != 2:
        raise error(ErrorCode.INVALID_ARGUMENT, f"{node.name} takes a function (k, v) -> …")
    reads = dict(zip([each.name for each in lambda_.expressions], (first, second), strict=True))
    holder = exp.Paren(this=lambda_.this.copy())
    for name in list(holder.find_all(exp.Identifier)):
        if name.name in reads and not isinstance(name.parent, exp.Column | exp.Dot):
            name.replace(parsed(reads[name.name]).copy())
    return holder


def _map_filter(node: exp.Anonymous) -> exp.Expr:
    body = _two(node, 1, "hw_e.key", "hw_e.value")
    return template("map_from_entries(list_filter(map_entries($1), LAMBDA hw_e : $2))",
                    exp.Null(), node.expressions[0], body)  # fmt: skip


def _transform_values(node: exp.Anonymous) -> exp.Expr:
    body = _two(node, 1, "hw_e.key", "hw_e.value")
    return template("map_from_entries(list_transform(map_entries($1), LAMBDA hw_e : "
                    "{'key': hw_e.key, 'value': $2}))",
                    exp.Null(), node.expressions[0], body)  # fmt: skip


def _transform_keys(node: exp.Anonymous) -> exp.Expr:
    body = _two(node, 1, "hw_e.key", "hw_e.value")
    return template("map_from_entries(list_transform(map_entries($1), LAMBDA hw_e : "
                    "{'key': $2, 'value': hw_e.value}))",
                    exp.Null(), node.expressions[0], body)  # fmt: skip


def _zip_with(node: exp.Anonymous) -> exp.Expr:
    body = _two(node, 2, "struct_extract_at(hw_e, 1)", "struct_extract_at(hw_e, 2)")
    return template("list_transform(list_zip($1, $2), LAMBDA hw_e : $3)",
                    exp.Null(), node.expressions[0], node.expressions[1], body)  # fmt: skip


LAMBDAS = {
    "map_filter/2": _map_filter,
    "transform_values/2": _transform_values,
    "transform_keys/2": _transform_keys,
    "zip_with/3": _zip_with,
}
"""Trino's functions of two-parameter functions, by name and arity."""
