"""Spark's exact decimal quotients and averages, in whole numbers of 128 bits.

DuckDB divides decimals as doubles. Spark rounds the exact quotient, half up, to the scale of the
result's type.
"""

from __future__ import annotations

from sqlglot import exp

from headwater.sql.spark_types import MOST_DIGITS, Size, average, quotient, size_of

T = exp.DType


def exact_quotient(left: exp.Expr, right: exp.Expr, one: Size, two: Size, scale: int) -> exp.Expr:
    """The quotient of decimals of known sizes, at a scale; NULL where one is, or `right` is 0."""
    above = _times(_unscaled(left, one[1]), scale - one[1] + two[1])
    below = _unscaled(right, two[1])
    magnitude, divisor = exp.Abs(this=above.copy()), exp.Abs(this=below.copy())
    whole = exp.IntDiv(this=magnitude, expression=divisor)
    rest = exp.Mod(this=magnitude.copy(), expression=divisor.copy())
    half = exp.GTE(this=rest, expression=exp.Sub(this=divisor.copy(), expression=rest.copy()))
    rounded = exp.Add(
        this=exp.Paren(this=whole),
        expression=exp.Case(ifs=[exp.If(this=half, true=_number(1))], default=_number(0)),
    )
    negative = exp.NEQ(
        this=exp.Paren(this=exp.LT(this=above.copy(), expression=_number(0))),
        expression=exp.Paren(this=exp.LT(this=below.copy(), expression=_number(0))),
    )
    signed = exp.Case(
        ifs=[exp.If(this=negative, true=exp.Neg(this=exp.Paren(this=rounded)))],
        default=rounded.copy(),
    )
    return _scaled(signed, scale)


def divide(node: exp.Div, divisor: exp.Expr) -> exp.Expr | None:
    """The quotient of two numbers when one is a decimal and none a float; else None."""
    kinds = {each.type.this for each in (node.this, node.expression) if each.type is not None}
    one, two = size_of(node.this), size_of(node.expression)
    if T.DECIMAL not in kinds or one is None or two is None:
        return None
    return exact_quotient(node.this, divisor, one, two, quotient(one, two)[1])


def average_of(node: exp.Avg) -> tuple[exp.Expr, exp.Expr, Size, int] | None:
    """For the average of decimals: the calls of sum and count, the sum's size, the scale."""
    value = node.this.expressions[0] if isinstance(node.this, exp.Distinct) else node.this
    size = size_of(value)
    if size is None or value.type is None or value.type.this is not T.DECIMAL:
        return None
    total = exp.Sum(this=node.this.copy())
    count = exp.Count(this=node.this.copy())
    return total, count, (min(size[0] + 10, MOST_DIGITS), size[1]), average(size)[1]


def _unscaled(value: exp.Expr, scale: int) -> exp.Expr:
    kept: exp.Expr = value.copy()
    if not scale:
        return exp.Cast(this=kept, to=T.INT128.into_expr())
    # As wide as can be, since DuckDB multiplies narrow decimals in 64 bits.
    wide = exp.DataType.build(f"DECIMAL({MOST_DIGITS}, {scale})", "duckdb")
    moved = exp.Mul(this=exp.Cast(this=kept, to=wide), expression=_number(10**scale))
    return exp.Cast(this=moved, to=T.INT128.into_expr())


def _times(value: exp.Expr, digits: int) -> exp.Expr:
    if digits <= 0:
        return value
    power = exp.Cast(this=_number(10**digits), to=T.INT128.into_expr())
    return exp.Paren(this=exp.Mul(this=value, expression=power))


def _scaled(value: exp.Expr, scale: int) -> exp.Expr:
    whole = exp.Cast(this=value, to=exp.DataType.build(f"DECIMAL({MOST_DIGITS}, 0)", "duckdb"))
    if not scale:
        return exp.Paren(this=whole)
    unit = exp.Cast(
        this=exp.Literal.string("0." + "0" * (scale - 1) + "1"),
        to=exp.DataType.build(f"DECIMAL({scale}, {scale})", "duckdb"),
    )
    return exp.Paren(this=exp.Mul(this=whole, expression=unit))


def _number(value: int) -> exp.Expr:
    number: exp.Expr = exp.Literal.number(value)
    return number
