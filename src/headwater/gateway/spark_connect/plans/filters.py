"""Which conditions of a plan's filters can leave out rows before the plan reads them.

Only what every engine decides alike and what raises nothing: a column compared with constants of
its own type. The plan's own filter stays, so a condition that is not taken costs time and no more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from sqlglot import exp

from headwater.errors import HeadwaterError
from headwater.gateway.spark_connect.plans.model import Message
from headwater.gateway.spark_connect.plans.names import split_identifier
from headwater.gateway.spark_connect.plans.sql_text import parse_expression
from headwater.query.needs import Columns, Comparison, Value

Condition = Any
"""A condition as an expression of the protocol, or as the tree of SQL text."""

Kinds = Mapping[str, tuple[str, Any]]
"""Name and Iceberg type of each column, by casefolded name."""

_HARMLESS = "harmless"
"""What raises for no row, and leaves out none here."""

Found = tuple[Comparison, ...] | str | None

_FLIPPED = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_OPERATORS = {"==": "=", "=": "=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_TREES: dict[type[exp.Expr], str] = {
    exp.EQ: "=",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.NEQ: "!=",
    exp.NullSafeEQ: "<=>",
}
FUNCTIONS = frozenset(
    [
        "and",
        "between",
        "contains",
        "count",
        "endswith",
        "in",
        "isnotnull",
        "isnull",
        "not",
        "or",
        "startswith",
    ]
)
"""Functions whose meaning is relied on; a session may have put its own in their place."""

_DECIMAL = re.compile(r"decimal\((\d+), ?(\d+)\)")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_ODD = re.compile(r"[\\'\"\x00-\x1f]")
_LONG = 2**63


def pushed(columns: Columns, path: tuple[Condition, ...]) -> tuple[Comparison, ...]:
    """The comparisons that hold for every row that passes all conditions of `path`, in order.

    What stands behind a condition that may raise is not taken: a row that is left out must not be
    one for which an error was to come.
    """
    kinds = {name.casefold(): (name, kind) for name, kind in columns}
    taken: list[Comparison] = []
    for condition in path:
        for each in _conjuncts(condition):
            found = _judged(each, kinds)
            if found is None:
                return tuple(taken)
            if not isinstance(found, str):
                taken += [one for one in found if one not in taken]
    return tuple(taken)


def _conjuncts(condition: Condition) -> Iterator[Condition]:
    """The parts of a condition that all must hold, from left to right."""
    waiting = [condition]
    while waiting:
        each = waiting.pop()
        if isinstance(each, exp.Expr):
            if isinstance(each, exp.Paren):
                waiting.append(each.this)
            elif isinstance(each, exp.And):
                waiting += [each.expression, each.this]
            else:
                yield each
        elif each.WhichOneof("expr_type") == "expression_string":
            waiting.append(parse_expression(each.expression_string.expression))
        elif _call(each) == "and":
            waiting += reversed(each.unresolved_function.arguments)
        else:
            yield each


def _judged(condition: Condition, kinds: Kinds) -> Found:
    if isinstance(condition, exp.Expr):
        return _tree(condition, kinds)
    return _message(condition, kinds)


def _both(left: Found, right: Found) -> Found:
    """OR of two conditions."""
    return None if left is None or right is None else _HARMLESS


# --- expressions of the protocol ----------------------------------------------------------------


def _call(expression: Message) -> str:
    """The name of a function without a shade of meaning of its own; else nothing."""
    if expression.WhichOneof("expr_type") != "unresolved_function":
        return ""
    call = expression.unresolved_function
    if call.is_distinct or call.is_user_defined_function or call.is_internal:
        return ""
    name: str = call.function_name.lower()
    return name


def _message(expression: Message, kinds: Kinds) -> Found:
    if expression.WhichOneof("expr_type") == "expression_string":
        return _tree(parse_expression(expression.expression_string.expression), kinds)
    if expression.WhichOneof("expr_type") == "unresolved_attribute":
        return _truth(_attribute(expression, kinds))
    name = _call(expression)
    if not name:
        return None
    arguments = list(expression.unresolved_function.arguments)
    if name == "not" and len(arguments) == 1:
        return None if _judged(arguments[0], kinds) is None else _HARMLESS
    if name in ("and", "or") and len(arguments) == 2:
        return _both(_judged(arguments[0], kinds), _judged(arguments[1], kinds))
    columns = [_attribute(each, kinds) for each in arguments]
    if name in ("isnull", "isnotnull") and len(arguments) == 1:
        return _nullness(columns[0], "is null" if name == "isnull" else "is not null")
    if name == "in" and len(arguments) > 1:
        return _among(columns[0], [_literal(each) for each in arguments[1:]])
    if name == "between" and len(arguments) == 3:
        return _between(columns[0], _literal(arguments[1]), _literal(arguments[2]))
    if len(arguments) != 2:
        return None
    operator = _OPERATORS.get(name, name)
    if columns[0] is not None:
        return _compared(columns[0], operator, _literal(arguments[1]))
    if columns[1] is not None and operator in (*_FLIPPED, "!=", "<=>"):
        return _compared(columns[1], _FLIPPED.get(operator, operator), _literal(arguments[0]))
    return None


def _attribute(expression: Message, kinds: Kinds) -> tuple[str, Any] | None:
    if expression.WhichOneof("expr_type") != "unresolved_attribute":
        return None
    try:
        parts = split_identifier(expression.unresolved_attribute.unparsed_identifier)
    except HeadwaterError:
        return None
    return _column(parts, kinds)


def _column(parts: tuple[str, ...], kinds: Kinds) -> tuple[str, Any] | None:
    """The column of a name, which may have the table's before it."""
    folded = [part.casefold() for part in parts]
    if len(folded) > 2 or (len(folded) == 2 and folded[0] in kinds):
        return None
    found = kinds.get(folded[-1])
    return found if found is not None and isinstance(found[1], str) else None


def _literal(expression: Message) -> Any:
    """The value of a constant; None for one that is not compared here."""
    if expression.WhichOneof("expr_type") != "literal":
        return None
    literal = expression.literal
    kind = literal.WhichOneof("literal_type")
    match kind:
        case "boolean" | "byte" | "short" | "integer" | "long" | "double" | "float":
            return getattr(literal, kind)
        case "string":
            text: str = literal.string
            return None if "\0" in text else text
        case "date":
            try:
                return date(1970, 1, 1) + timedelta(days=literal.date)
            except OverflowError:
                return None
        case "decimal":
            value = literal.decimal
            try:
                number = Decimal(value.value)
            except InvalidOperation:
                return None
            scale = -int(number.as_tuple().exponent) if number.is_finite() else -1
            # The larger one counts: clients say 0 beside the value.
            return number if not value.HasField("scale") or value.scale <= scale else None
    return None


# --- trees --------------------------------------------------------------------------------------


def _tree(tree: exp.Expr, kinds: Kinds) -> Found:
    match tree:
        case exp.Paren():
            return _tree(tree.this, kinds)
        case exp.Column():
            return _truth(_named(tree, kinds))
        case exp.Not():
            inner = tree.this.unnest()
            if isinstance(inner, exp.Is) and isinstance(inner.expression, exp.Null):
                return _nullness(_named(inner.this, kinds), "is not null")
            return None if _tree(inner, kinds) is None else _HARMLESS
        case exp.And() | exp.Or():
            return _both(_tree(tree.this, kinds), _tree(tree.expression, kinds))
        case exp.Is() if isinstance(tree.expression, exp.Null):
            return _nullness(_named(tree.this, kinds), "is null")
        case exp.In() if tree.expressions and set(_set(tree)) == {"this", "expressions"}:
            return _among(_named(tree.this, kinds), [_constant(each) for each in tree.expressions])
        case exp.Between() if set(_set(tree)) == {"this", "low", "high"}:
            low, high = _constant(tree.args["low"]), _constant(tree.args["high"])
            return _between(_named(tree.this, kinds), low, high)
        case exp.Anonymous() if tree.name.lower() in ("isnull", "isnotnull"):
            if len(tree.expressions) != 1:
                return None
            name = "is null" if tree.name.lower() == "isnull" else "is not null"
            return _nullness(_named(tree.expressions[0], kinds), name)
    operator = _TREES.get(type(tree))
    if operator is None:
        return None
    column = _named(tree.this, kinds)
    if column is not None:
        return _compared(column, operator, _constant(tree.expression))
    column = _named(tree.expression, kinds)
    if column is not None:
        return _compared(column, _FLIPPED.get(operator, operator), _constant(tree.this))
    return None


def _set(tree: exp.Expr) -> Iterator[str]:
    return (key for key, value in tree.args.items() if value)


def _named(tree: exp.Expr, kinds: Kinds) -> tuple[str, Any] | None:
    tree = tree.unnest()
    if not isinstance(tree, exp.Column) or isinstance(tree.this, exp.Star):
        return None
    return _column(tuple(part.name for part in tree.parts), kinds)


def _constant(tree: exp.Expr) -> Any:
    tree = tree.unnest()
    if isinstance(tree, exp.Boolean):
        return bool(tree.this)
    if isinstance(tree, exp.Neg):
        value = _constant(tree.this)
        return -value if isinstance(value, int | Decimal) and not isinstance(value, bool) else None
    if isinstance(tree, exp.Cast) and tree.to.this is exp.DType.DATE:
        text = tree.this
        if isinstance(text, exp.Literal) and text.is_string and _DAY.fullmatch(text.name):
            try:
                return date.fromisoformat(text.name)
            except ValueError:
                return None
        return None
    if not isinstance(tree, exp.Literal):
        return None
    if tree.is_string:
        # What is written with escapes may be read otherwise.
        return None if _ODD.search(tree.name) else tree.name
    if tree.name.isdigit():
        value = int(tree.name)
        return value if value < _LONG else None
    if re.fullmatch(r"\d*\.\d+", tree.name):
        return Decimal(tree.name)
    return None


# --- types --------------------------------------------------------------------------------------


def _truth(column: tuple[str, Any] | None) -> Found:
    return _HARMLESS if column is not None and column[1] == "boolean" else None


def _nullness(column: tuple[str, Any] | None, operator: str) -> Found:
    return None if column is None else (Comparison(column[0], operator),)


def _among(column: tuple[str, Any] | None, values: list[Any]) -> Found:
    if column is None:
        return None
    fitting = [_fitting(column[1], "in", value) for value in values]
    if any(value is None for value in fitting):
        return _HARMLESS if all(_comparable(column[1], value) for value in values) else None
    return (Comparison(column[0], "in", tuple(v for v in fitting if v is not None)),)


def _between(column: tuple[str, Any] | None, low: Any, high: Any) -> Found:
    if column is None:
        return None
    first, second = _compared(column, ">=", low), _compared(column, "<=", high)
    if isinstance(first, tuple) and isinstance(second, tuple):
        return first + second
    return _both(first, second)


def _compared(column: tuple[str, Any], operator: str, value: Any) -> Found:
    fitting = _fitting(column[1], operator, value)
    if fitting is not None:
        return (Comparison(column[0], operator, (fitting,)),)
    known = operator in (*_FLIPPED, "!=", "<=>", "startswith", "endswith", "contains")
    return _HARMLESS if known and _comparable(column[1], value) else None


def _fitting(kind: str, operator: str, value: Any) -> Value | None:
    """The value, when a column of that type is compared with it alike everywhere."""
    equality = operator in ("=", "in")
    if not equality and operator not in _FLIPPED:
        return None
    match value:
        case bool():
            return value if kind == "boolean" and equality else None
        case int():
            return value if kind in ("int", "long") else None
        case str():
            return value if kind == "string" and equality else None
        case date():
            return value if kind == "date" else None
        case Decimal():
            sized = _DECIMAL.fullmatch(kind)
            if sized is None or not value.is_finite():
                return None
            parts = value.as_tuple()
            fits = len(parts.digits) <= int(sized[1]) and -int(parts.exponent) == int(sized[2])
            return value if fits else None
    return None


def _comparable(kind: str, value: Any) -> bool:
    """True when comparing a column of that type with the value raises for no row."""
    match value:
        case bool():
            return kind == "boolean"
        case int() | float():
            return kind in ("int", "long", "float", "double")
        case str():
            return kind == "string"
        case date():
            return kind == "date"
    return False
