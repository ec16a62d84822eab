"""Arguments by position, given names: a tree does not tell in which order its `?` were written."""

from __future__ import annotations

from sqlglot.tokenizer_core import TokenType

from headwater.gateway.spark_connect.plans.model import Message
from headwater.model.statement import Dialect
from headwater.sql.tokens import tokenize

_NAME = "hw_position_"


def by_name(sql: Message) -> Message:
    """A `SQL` message whose arguments all have names: itself, or a changed copy."""
    if not sql.pos_arguments and not sql.pos_args:
        return sql
    made = type(sql)()
    made.CopyFrom(sql)
    made.query = _with_names(sql.query)
    for place, expression in enumerate(sql.pos_arguments):
        made.named_arguments[f"{_NAME}{place}"].CopyFrom(expression)
    for place, literal in enumerate(sql.pos_args):
        made.args[f"{_NAME}{place}"].CopyFrom(literal)
    del made.pos_arguments[:]
    del made.pos_args[:]
    return made


def _with_names(text: str) -> str:
    places = [
        token
        for token in tokenize(text, Dialect.SPARK)
        if token.token_type is TokenType.PLACEHOLDER
    ]
    pieces, offset = [], 0
    for number, token in enumerate(places):
        pieces += [text[offset : token.start], f":{_NAME}{number}"]
        offset = token.end + 1
    return "".join(pieces) + text[offset:]
