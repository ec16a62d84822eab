"""Table arguments in Spark SQL: `f(TABLE(t) PARTITION BY a ORDER BY b)`, which sqlglot lacks.

Grammar: `functionTableSubqueryArgument` of Spark's SqlBaseParser.g4.
"""

from __future__ import annotations

from typing import Any, ClassVar

from sqlglot import exp
from sqlglot.tokenizer_core import TokenType

from headwater.errors import ErrorCode, error
from headwater.sql.spark_parser import SparkGrammar


class TableArgument(exp.Expression):
    """A query as the argument of a table function; `TABLE(t)` is kept as `TABLE(SELECT * FROM t)`.

    `partitions` and `order` are lists, `single` is true for WITH SINGLE PARTITION.
    """

    arg_types: ClassVar[dict[str, bool]] = {
        "this": True,
        "partitions": False,
        "single": False,
        "order": False,
    }


class TableArgumentParser(SparkGrammar):
    """Reads table arguments where a function's arguments stand."""

    def _parse_lambda(self, alias: bool = False) -> exp.Expr | None:
        if (argument := self._parse_table_argument()) is not None:
            return argument
        if self._next.token_type is TokenType.FARROW:
            index, name = self._index, self._curr.text
            self._advance(2)
            if (argument := self._parse_table_argument()) is not None:
                return exp.Kwarg(this=exp.var(name), expression=argument)
            self._retreat(index)
        found: exp.Expr | None = super()._parse_lambda(alias)
        return found

    def _parse_table_argument(self) -> TableArgument | None:
        """The argument that begins at TABLE; a column of that name is none."""
        following = self._next.token_type
        if self._curr.token_type is not TokenType.TABLE or following not in _BEGINS:
            return None
        self._advance()
        if self._match(TokenType.L_PAREN):
            query = self._parse_select() or self._named()
            self._match_r_paren()
        else:
            query = self._named()
        argument = TableArgument(this=query)
        if self._match(TokenType.WITH):
            if not self._match_text_seq("SINGLE") or not self._match(TokenType.PARTITION):
                self.raise_error("Expected SINGLE PARTITION")
            argument.set("single", True)
        elif self._match_set((TokenType.PARTITION_BY, TokenType.DISTRIBUTE_BY)):
            argument.set("partitions", self._one_or_more(self._parse_assignment))
        if self._match_set((TokenType.ORDER_BY, TokenType.SORT_BY)):
            argument.set("order", self._one_or_more(self._parse_ordered))
        return argument

    def _named(self) -> exp.Expr:
        table = self._parse_table_parts()
        return exp.Select(expressions=[exp.Star()]).from_(table)

    def _one_or_more(self, parse: Any) -> list[exp.Expr]:
        """One item, or some in brackets; `(a + b) * 2` is one."""
        index = self._index
        if self._match(TokenType.L_PAREN):
            items: list[exp.Expr] = self._parse_csv(parse)
            if items and self._match(TokenType.R_PAREN) and self._curr.token_type in _ENDS:
                return items
            self._retreat(index)
        if (item := parse()) is None:
            self.raise_error("Expected an expression")
        return [item]


_BEGINS = frozenset({TokenType.L_PAREN, TokenType.VAR, TokenType.IDENTIFIER})
_ENDS = frozenset({TokenType.COMMA, TokenType.R_PAREN, TokenType.ORDER_BY, TokenType.SORT_BY})


def table_argument_sql(generator: Any, argument: TableArgument) -> str:
    """A table argument as Spark SQL."""
    text = f"TABLE({generator.sql(argument, 'this')})"
    if argument.args.get("single"):
        text += " WITH SINGLE PARTITION"
    for word, key in (("PARTITION", "partitions"), ("ORDER", "order")):
        items = [generator.sql(item) for item in argument.args.get(key) or ()]
        if items:
            text += f" {word} BY ({', '.join(items)})"
    return text


def check_table_argument(argument: TableArgument) -> None:
    """Raises SYNTAX_ERROR unless the argument is a table function's own."""
    place = argument.parent
    if isinstance(place, exp.Kwarg):
        place = place.parent
    if not isinstance(place, exp.Anonymous) or not (
        isinstance(place.parent, exp.Table | exp.Lateral) and place.arg_key == "this"
    ):
        raise error(
            ErrorCode.SYNTAX_ERROR,
            "TABLE(…) is an argument of table functions alone",
            hint="SELECT * FROM function(TABLE(t))",
        )
