"""Spark's exact decimal quotients and averages, in whole numbers of 128 bits.

DuckDB divides decimals as doubles. Spark rounds the exact quotient, half up, to the scale of the
result's type.
"""

from __future__ import annotations

from sqlglot import exp

from headwater.model.statement import Dialect
from headwater.sql.spark_types import MOST_DIGITS, Size, average, quotient, size_of

T = exp.DType


def exact_quotient(left: exp.Expr, right: exp.Expr, one: Size, two: Size, scale: int) -> exp.Expr:
    """The quotient of decimals of known sizes, at a scale; NULL where one is, or `right` is 0."""
    above = _times(_unscaled(left, one[1]), scale - one[1] + two[1])
    below = _unscaled(right, two[1])
    # Each operand's text stands here twice, no more: quotients of quotients multiply it.
    half = exp.IntDiv(this=exp.Abs(this=below.copy()), expression=_number(2))
    away = exp.Mul(this=exp.Sign(this=above.copy()), expression=half)
    signed = exp.IntDiv(this=exp.Paren(this=exp.Add(this=above, expression=away)), expression=below)
    return _scaled(signed, scale)


def divide(node: exp.Div, divisor: exp.Expr) -> exp.Expr | None:
    """The quotient of two numbers when one is a decimal and none a float; else None."""
    kinds = {each.type.this for each in (node.this, node.expression) if each.type is not None}
    one, two = size_of(node.this), size_of(node.expression)
    if T.DECIMAL not in kinds or one is None or two is None:
        return None
    return exact_quotient(node.this, divisor, one, two, quotient(one, two)[1])


def bounded(node: exp.Expr, dialect: Dialect) -> exp.Expr | None:
    """A sum or product rounded to the scale that Spark leaves it; None where it keeps all of it."""
    if dialect is not Dialect.SPARK:
        return None
    size = None if node.type is None or node.type.this is not T.DECIMAL else size_of(node)
    one, two = size_of(node.this), size_of(node.expression)
    if size is None or one is None or two is None:
        return None
    exact = one[1] + two[1] if isinstance(node, exp.Mul) else max(one[1], two[1])
    if size[1] >= exact:
        return None
    kind = exp.DataType.build(f"DECIMAL({size[0]}, {size[1]})", "duckdb")
    return exp.Cast(this=exp.Paren(this=node.copy()), to=kind)


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
