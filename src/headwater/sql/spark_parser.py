"""What sqlglot's parser reads otherwise than Spark's own grammar."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

from sqlglot import exp
from sqlglot.dialects.spark import Spark
from sqlglot.tokenizer_core import TokenType

_OPERATORS = (
    exp.BitwiseOr,
    exp.BitwiseXor,
    exp.BitwiseAnd,
    exp.BitwiseLeftShift,
    exp.BitwiseRightShift,
)

_LEAST = frozenset({"128", "32768", "9223372036854775808"})

_CASTS = ("boolean", "tinyint", "smallint", "int", "bigint", "float", "double", "string")
"""Types whose names are functions, too: `bigint('5')` is a cast."""


def _cast(kind: str, arguments: list[exp.Expr]) -> exp.Expr:
    if len(arguments) != 1:
        return exp.Anonymous(this=kind, expressions=arguments)
    return exp.TryCast(this=arguments[0], to=exp.DataType.build(kind, dialect="spark"))


class SparkGrammar(Spark.Parser):  # type: ignore[misc, valid-type]
    """Spark's dialect by Spark's precedence of operators (its grammar: `valueExpression`)."""

    FUNCTIONS: ClassVar[dict[str, Any]] = {
        **Spark.Parser.FUNCTIONS,
        **{name.upper(): partial(_cast, name) for name in _CASTS},
    }

    def _parse_bitwise(self) -> exp.Expr | None:
        # To sqlglot these are all of one rank.
        return self._ranked(TokenType.PIPE, exp.BitwiseOr, self._parse_xor)

    def _parse_xor(self) -> exp.Expr | None:
        return self._ranked(TokenType.CARET, exp.BitwiseXor, self._parse_and)

    def _parse_and(self) -> exp.Expr | None:
        return self._ranked(TokenType.AMP, exp.BitwiseAnd, self._parse_shift)

    def _ranked(
        self,
        operator: TokenType,
        kind: type[exp.Binary],
        operand: Callable[[], exp.Expr | None],
    ) -> exp.Expr | None:
        this = operand()
        while this is not None and self._match(operator):
            this = self._joined(kind, this, operand())
        return this

    def _parse_shift(self) -> exp.Expr | None:
        this = self._parse_concatenation()
        while this is not None:
            if self._match_pair(TokenType.LT, TokenType.LT):
                this = self._joined(exp.BitwiseLeftShift, this, self._parse_concatenation())
            elif self._match_pair(TokenType.GT, TokenType.GT):
                if self._match(TokenType.GT):
                    operands = [this, self._parse_concatenation()]
                    this = exp.Anonymous(this="shiftrightunsigned", expressions=operands)
                else:
                    this = self._joined(exp.BitwiseRightShift, this, self._parse_concatenation())
            else:
                break
        return this

    def _parse_concatenation(self) -> exp.Expr | None:
        this: exp.Expr | None = self._parse_term()
        while this is not None and self._match(TokenType.DPIPE):
            this = self.expression(
                exp.DPipe(
                    this=this,
                    expression=self._parse_term(),
                    safe=not self.dialect.STRICT_STRING_CONCAT,
                )
            )
        return this

    def _joined(self, kind: type[exp.Binary], left: exp.Expr, right: exp.Expr | None) -> exp.Expr:
        # In brackets, for the engines rank them in other ways.
        if isinstance(left, _OPERATORS) and type(left) is not kind:
            left = exp.Paren(this=left)
        if isinstance(right, _OPERATORS):
            right = exp.Paren(this=right)
        made: exp.Expr = self.expression(kind(this=left, expression=right))
        return made

    def _parse_unary(self) -> exp.Expr | None:
        this: exp.Expr | None = super()._parse_unary()
        # `-128Y`: the least number of a type has no positive counterpart to be the opposite of.
        cast = this.this if isinstance(this, exp.Neg) else None
        if not isinstance(cast, exp.Cast) or not cast.this.is_number:
            return this
        if cast.this.name not in _LEAST:
            return this
        cast.set("this", exp.Neg(this=cast.this))
        return cast

    def _parse_join(self, *args: Any, **options: Any) -> exp.Join | None:
        join: exp.Join | None = super()._parse_join(*args, **options)
        if join is None or join.kind not in ("SEMI", "ANTI") or join.method:
            return join
        # Without a condition, every row of the right side is a match.
        if not (join.args.get("on") or join.args.get("using")):
            join.set("on", exp.true())
        return join

    def _parse_value(self, values: bool = True) -> exp.Tuple | None:
        # In `VALUES 1, 2 AS t(a)` the name is the table's, not the last value's.
        if self._curr.token_type is not TokenType.L_PAREN:
            value = self._parse_assignment()
            return None if value is None else exp.Tuple(expressions=[value])
        found: exp.Tuple | None = super()._parse_value(values)
        return found
