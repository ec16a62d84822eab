"""The types that Spark gives to expressions, decimals with their exact precision and scale.

The rules are those of Spark 4 in ANSI mode (SQL reference, "Data Types" and "ANSI Compliance"):
results of decimals are bounded to 38 digits, and give up digits of their scale, down to six, for
those before the point.
"""

from __future__ import annotations

from sqlglot import exp

T = exp.DType
_INTEGERS = {T.TINYINT: 3, T.SMALLINT: 5, T.INT: 10, T.BIGINT: 20}
"""Digits of the decimal that an integer becomes beside a decimal."""
_RANKS = (T.TINYINT, T.SMALLINT, T.INT, T.BIGINT, T.DECIMAL, T.FLOAT, T.DOUBLE)
MOST_DIGITS = 38
_KEPT_SCALE = 6

Size = tuple[int, int]


def set_spark_types(tree: exp.Expr) -> None:
    """Gives each expression of a tree, inside out, the type that Spark gives it, where known."""
    for node in reversed(list(tree.walk(prune=lambda each: isinstance(each, exp.Query)))):
        if isinstance(node, exp.Query):
            continue
        kind = _type_of(node)
        if kind is not None:
            node.type = kind


def size_of(node: exp.Expr) -> Size | None:
    """Precision and scale of a decimal or integer expression; None for any other."""
    kind = node.type
    if kind is None:
        return None
    bare = node.unnest()
    if isinstance(bare, exp.Literal) and not bare.is_string and bare.this.isdigit():
        return len(bare.this.lstrip("0")) or 1, 0
    if kind.this in _INTEGERS:
        return _INTEGERS[kind.this], 0
    return _size(kind)


def _size(kind: exp.DataType) -> Size | None:
    if kind.this is not T.DECIMAL or len(kind.expressions) != 2:
        return None
    precision, scale = (int(each.name) for each in kind.expressions)
    return precision, scale


def decimal(precision: int, scale: int) -> exp.DataType:
    """The type decimal(precision, scale)."""
    sizes = [exp.DataTypeParam(this=exp.Literal.number(each)) for each in (precision, scale)]
    return exp.DataType(this=T.DECIMAL, expressions=sizes)


def adjusted(precision: int, scale: int) -> Size:
    """What is left of a result's size when it needs more than 38 digits."""
    if precision <= MOST_DIGITS:
        return precision, scale
    whole = precision - scale
    return MOST_DIGITS, max(MOST_DIGITS - whole, min(scale, _KEPT_SCALE))


def quotient(left: Size, right: Size) -> Size:
    """The size of a quotient of decimals."""
    (p1, s1), (p2, s2) = left, right
    scale = max(_KEPT_SCALE, s1 + p2 + 1)
    return adjusted(p1 - s1 + s2 + scale, scale)


def product(left: Size, right: Size) -> Size:
    """The size of a product of decimals."""
    return adjusted(left[0] + right[0] + 1, left[1] + right[1])


def average(of: Size) -> Size:
    """The size of the average of decimals."""
    return min(of[0] + 4, MOST_DIGITS), min(of[1] + 4, MOST_DIGITS)


def widest(kinds: list[exp.DataType]) -> exp.DataType | None:
    """The type that values of several types share; None when unsure."""
    known = [kind for kind in kinds if not kind.is_type(T.NULL)]
    if not known:
        return kinds[0] if kinds else None
    first = known[0]
    if all(kind == first for kind in known):
        return first
    if any(kind.this not in _RANKS for kind in known):
        return None
    top = max(known, key=lambda kind: _RANKS.index(kind.this))
    if top.this is not T.DECIMAL:
        return top
    sizes = [_size(k) or (_INTEGERS[k.this], 0) if k.this in _INTEGERS else _size(k) for k in known]
    found = [size for size in sizes if size is not None]
    if len(found) != len(known):
        return None
    scale = max(s for _, s in found)
    whole = max(p - s for p, s in found)
    return decimal(*adjusted(whole + scale, scale))


def _type_of(node: exp.Expr) -> exp.DataType | None:
    match node:
        case exp.Literal():
            return _literal(node)
        case exp.Boolean():
            return T.BOOLEAN.into_expr()
        case exp.Null():
            return T.NULL.into_expr()
        case exp.Paren() | exp.Neg() | exp.Abs() | exp.Min() | exp.Max() | exp.Window():
            return _copy(node.this.type)
        case exp.Filter() | exp.FirstValue() | exp.LastValue() | exp.Lag() | exp.Lead():
            return _copy(node.this.type)
        case exp.Distinct():
            return _copy(node.expressions[0].type) if node.expressions else None
        case exp.Cast():
            return node.to.copy()
        case exp.Add() | exp.Sub() | exp.Mul() | exp.Div() | exp.Mod():
            return _arithmetic(node)
        case exp.Sum():
            return _sum(node.this)
        case exp.Avg():
            size = size_of(node.this) if _is_decimal(node.this) else None
            return decimal(*average(size)) if size else T.DOUBLE.into_expr()
        case exp.Count() | exp.RowNumber() | exp.Rank() | exp.DenseRank():
            return (T.BIGINT if isinstance(node, exp.Count) else T.INT).into_expr()
        case exp.Case():
            values = [branch.args["true"] for branch in node.args["ifs"]]
            return _shared([*values, node.args.get("default")])
        case exp.If():
            return _shared([node.args["true"], node.args.get("false")])
        case exp.Coalesce() | exp.Greatest() | exp.Least():
            return _shared([node.this, *node.expressions])
        case exp.Nullif():
            return _copy(node.this.type)
        case exp.Stddev() | exp.StddevSamp() | exp.StddevPop() | exp.Variance() | exp.VariancePop():
            return T.DOUBLE.into_expr()
        case exp.Round():
            return _rounded(node)
        case exp.Predicate() | exp.Connector() | exp.Not():
            return T.BOOLEAN.into_expr()
    return None


def _copy(kind: exp.DataType | None) -> exp.DataType | None:
    return None if kind is None else kind.copy()


def _is_decimal(node: exp.Expr) -> bool:
    return node.type is not None and node.type.this is T.DECIMAL


def _literal(node: exp.Literal) -> exp.DataType | None:
    text = str(node.this)
    if node.is_string:
        return T.VARCHAR.into_expr()
    if "e" in text.lower():
        return T.DOUBLE.into_expr()
    if "." in text:
        whole, _, fraction = text.partition(".")
        digits = len(whole.lstrip("0")) + len(fraction)
        return decimal(max(digits, len(fraction), 1), len(fraction))
    value = int(text)
    if value < 2**31:
        return T.INT.into_expr()
    return T.BIGINT.into_expr() if value < 2**63 else decimal(len(text.lstrip("0")), 0)


def _sum(value: exp.Expr) -> exp.DataType | None:
    kind = value.type
    if kind is None:
        return None
    if kind.this in _INTEGERS:
        return T.BIGINT.into_expr()
    size = _size(kind)
    if size is not None:
        return decimal(min(size[0] + 10, MOST_DIGITS), size[1])
    return T.DOUBLE.into_expr() if kind.this in (T.FLOAT, T.DOUBLE) else None


def _rounded(node: exp.Round) -> exp.DataType | None:
    size = None if node.this.type is None else _size(node.this.type)
    if size is None:
        return _copy(node.this.type)
    digits = node.args.get("decimals")
    if digits is not None and not (isinstance(digits, exp.Literal) and digits.this.isdigit()):
        return None
    scale = min(size[1], 0 if digits is None else int(digits.this))
    return decimal(min(size[0] - size[1] + scale + 1, MOST_DIGITS), scale)


def _shared(nodes: list[exp.Expr | None]) -> exp.DataType | None:
    kinds = [node.type for node in nodes if node is not None]
    if any(kind is None for kind in kinds):
        return None
    return _copy(widest([kind for kind in kinds if kind is not None]))


def _arithmetic(node: exp.Binary) -> exp.DataType | None:
    left, right = node.this.type, node.expression.type
    if left is None or right is None or left.this not in _RANKS or right.this not in _RANKS:
        return None
    kinds = (left.this, right.this)
    if T.DECIMAL not in kinds or T.DOUBLE in kinds or T.FLOAT in kinds:
        if isinstance(node, exp.Div) or T.DECIMAL in kinds:
            return T.DOUBLE.into_expr()
        return _copy(widest([left, right]))
    one, two = size_of(node.this), size_of(node.expression)
    if one is None or two is None:
        return None
    (p1, s1), (p2, s2) = one, two
    match node:
        case exp.Mul():
            return decimal(*product(one, two))
        case exp.Div():
            return decimal(*quotient(one, two))
        case exp.Mod():
            return decimal(*adjusted(min(p1 - s1, p2 - s2) + max(s1, s2), max(s1, s2)))
    return decimal(*adjusted(max(p1 - s1, p2 - s2) + max(s1, s2) + 1, max(s1, s2)))
