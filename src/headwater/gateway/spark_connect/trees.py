"""Expressions of the protocol as trees of SQL, as far as their names need it."""

from __future__ import annotations

import datetime
from typing import Any

from sqlglot import exp

from headwater.errors import HeadwaterError
from headwater.gateway.spark_connect.plans.names import split_identifier
from headwater.gateway.spark_connect.plans.parts import literal_tree
from headwater.gateway.spark_connect.plans.sql_text import parse_expression

_EPOCH = datetime.date(1970, 1, 1)
_BINARY: dict[str, type[exp.Binary]] = {
    "+": exp.Add, "-": exp.Sub, "*": exp.Mul, "/": exp.Div, "%": exp.Mod,
    "==": exp.EQ, "=": exp.EQ, ">": exp.GT, ">=": exp.GTE, "<": exp.LT, "<=": exp.LTE,
    "<=>": exp.NullSafeEQ, "and": exp.And, "or": exp.Or, "&": exp.BitwiseAnd, "|": exp.BitwiseOr,
    "^": exp.BitwiseXor, "like": exp.Like,
}  # fmt: skip
_PLAIN = ("byte", "short", "integer", "long")


def tree_of(expression: Any) -> exp.Expr | None:
    """The tree of an `Expression`; None when a part of it has none, has an alias or is too deep."""
    try:
        return _tree(expression)
    except (RecursionError, IndexError, OverflowError):
        # Too deep, a name without parts, a date beyond Python's: the engine's to complain of.
        return None


def _tree(expression: Any) -> exp.Expr | None:
    kind = expression.WhichOneof("expr_type")
    match kind:
        case "literal":
            return _literal(expression.literal)
        case "unresolved_attribute":
            return _column(expression.unresolved_attribute.unparsed_identifier)
        case "unresolved_named_lambda_variable":
            return exp.column(expression.unresolved_named_lambda_variable.name_parts[-1])
        case "cast":
            return _cast(expression.cast)
        case "unresolved_function":
            found = expression.unresolved_function
            if found.is_user_defined_function:
                return None
            return _call(found.function_name, found.arguments, distinct=found.is_distinct)
        case "call_function":
            found = expression.call_function
            return _call(found.function_name, found.arguments)
        case "lambda_function":
            found = expression.lambda_function
            body = _tree(found.function)
            names = [exp.to_identifier(each.name_parts[-1]) for each in found.arguments]
            return None if body is None else exp.Lambda(this=body, expressions=names)
        case "window":
            return _window(expression.window)
        case "expression_string":
            try:
                return parse_expression(expression.expression_string.expression)
            except HeadwaterError:
                return None
        case "unresolved_star" if not expression.unresolved_star.unparsed_target:
            return exp.Star()
    return None


def _column(identifier: str) -> exp.Expr | None:
    try:
        parts = split_identifier(identifier)
    except HeadwaterError:
        return None
    # What stands before the dot, a table or a structure, only the analysis tells.
    return exp.column(exp.to_identifier(parts[0], quoted=True)) if len(parts) == 1 else None


def _literal(literal: Any) -> exp.Expr | None:
    kind = literal.WhichOneof("literal_type")
    value: Any = None if kind is None else getattr(literal, kind)
    match kind:
        case "null" | "boolean" | "string":
            return literal_tree(literal)
        case "double" if 1e-3 <= abs(value) < 1e7 or value == 0:
            return _number(repr(value))
        case "decimal":
            return _number(value.value)
        case "date":
            text = (_EPOCH + datetime.timedelta(days=value)).isoformat()
            to = exp.DataType.build("DATE", dialect="spark")
            return exp.Cast(this=exp.Literal.string(text), to=to)
    return _number(str(value)) if kind in _PLAIN else None


def _number(text: str) -> exp.Expr:
    number = exp.Literal.number(text.removeprefix("-"))
    return exp.Neg(this=number) if text.startswith("-") else number


_TYPES = {
    "boolean": "BOOLEAN", "byte": "TINYINT", "short": "SMALLINT", "integer": "INT",
    "long": "BIGINT", "float": "FLOAT", "double": "DOUBLE", "string": "STRING", "date": "DATE",
    "timestamp": "TIMESTAMP", "binary": "BINARY",
}  # fmt: skip


def _cast(cast: Any) -> exp.Expr | None:
    inner = _tree(cast.expr)
    if inner is None or cast.eval_mode:
        return None
    if cast.WhichOneof("cast_to_type") == "type_str":
        text = cast.type_str
    else:
        kind = cast.type.WhichOneof("kind") or ""
        text = _TYPES.get(kind, "")
        if kind == "decimal":
            text = f"DECIMAL({cast.type.decimal.precision},{cast.type.decimal.scale})"
    try:
        tree = parse_expression(f"CAST(a AS {text})")
    except HeadwaterError:
        return None
    if not isinstance(tree, exp.Cast):
        return None
    tree.set("this", inner)
    return tree


def _call(name: str, given: Any, *, distinct: bool = False) -> exp.Expr | None:
    arguments = [_tree(each) for each in given]
    trees = [each for each in arguments if each is not None]
    if len(trees) != len(arguments):
        return None
    if distinct:
        trees = [exp.Distinct(expressions=trees)]
    lowered, count = name.lower(), len(trees)
    binary = _BINARY.get(lowered)
    if binary is not None:
        return binary(this=trees[0], expression=trees[1]) if count == 2 else None
    match lowered:
        case "!=" if count == 2:
            return exp.NEQ(this=trees[0], expression=trees[1])
        case "not" | "!" if count == 1:
            return exp.Not(this=exp.Paren(this=trees[0]))
        case "in" if count > 1:
            return exp.In(this=trees[0], expressions=trees[1:])
        case "if" if count == 3:
            return exp.If(this=trees[0], true=trees[1], false=trees[2])
        case "when" if count > 1:
            pairs = zip(trees[0::2], trees[1::2], strict=False)
            branches = [exp.If(this=when, true=then) for when, then in pairs]
            return exp.Case(ifs=branches, default=trees[-1] if count % 2 else None)
    return exp.Anonymous(this=lowered, expressions=trees) if lowered.isidentifier() else None


def _window(window: Any) -> exp.Expr | None:
    call = _tree(window.window_function)
    by = [_tree(each) for each in window.partition_spec]
    order = [_ordered(each) for each in window.order_spec]
    if call is None or None in by or None in order or window.HasField("frame_spec"):
        return None
    return exp.Window(
        this=call, partition_by=by, order=exp.Order(expressions=order) if order else None
    )


def _ordered(found: Any) -> exp.Expr | None:
    child = _tree(found.child)
    if child is None:
        return None
    return exp.Ordered(
        this=child,
        desc=found.direction == found.SORT_DIRECTION_DESCENDING,
        nulls_first=found.null_ordering == found.SORT_NULLS_FIRST,
    )
