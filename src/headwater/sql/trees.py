"""Text to sqlglot trees: queries, expressions and row changes, with our errors and limits."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, SqlglotError
from sqlglot.tokenizer_core import Token, TokenType

from headwater.errors import ErrorCode, HeadwaterError, Position, error
from headwater.model.statement import Dialect
from headwater.sql.hints import syntax_hint
from headwater.sql.intervals import bracketed
from headwater.sql.statements import Name
from headwater.sql.tokens import parser, position_at, tokenize, too_deep

Result = TypeVar("Result")

PARAMETER = "\0"
"""Begins the name that stands for a `?`: the number of the parameter follows, from 1.

No text of a user holds this character, and the binder replaces every such name.
"""

FIRST_INDEX = "first_index"
"""Metadata of `value[n]`: whether its tree counts from 0 or from 1."""

DEFAULT_DECIMAL = {Dialect.TRINO: (38, 0), Dialect.SPARK: (10, 0), Dialect.DUCKDB: (18, 3)}
"""Precision and scale of a decimal type written without them."""


def guarded(function: Callable[[], Result]) -> Result:
    """Runs recursive code over a tree; a tree too deep for it is a SYNTAX_ERROR, never a crash."""
    try:
        return function()
    except RecursionError:
        # Without the chain: a thousand frames tell nobody anything.
        raise too_deep() from None


def parse_tree(text: str, dialect: Dialect, tokens: list[Token] | None = None) -> exp.Expr:
    """The tree of exactly one statement that sqlglot knows; SYNTAX_ERROR otherwise.

    `tokens` are the text's, when it was split already.
    """
    if tokens is None:
        tokens = tokenize(text, dialect)
    while tokens and tokens[-1].token_type is TokenType.SEMICOLON:
        tokens.pop()
    if not tokens:
        raise error(ErrorCode.SYNTAX_ERROR, "the statement is empty", hint="try SELECT 1")
    for token in tokens:
        if token.token_type is TokenType.SEMICOLON:
            raise error(
                ErrorCode.SYNTAX_ERROR,
                "more than one statement",
                hint="send statements one by one",
                position=position_at(text, token.start),
            )
    _number_parameters(tokens)
    if dialect is Dialect.TRINO:
        tokens = _size_decimals(tokens)
    tokens = bracketed(tokens)
    try:
        trees = guarded(lambda: parser(dialect).parse(tokens, text))
    except ParseError as failure:
        raise _syntax_error(text, failure) from failure
    except (SqlglotError, ValueError, TypeError, AttributeError, KeyError, IndexError) as failure:
        # sqlglot's builders meet argument counts that they do not expect.
        raise error(
            ErrorCode.SYNTAX_ERROR,
            "the statement cannot be parsed",
            hint="check the number of arguments of its functions",
        ) from failure
    if len(trees) != 1 or trees[0] is None:
        raise error(ErrorCode.SYNTAX_ERROR, "expected one statement")
    for node in list(trees[0].find_all(exp.DataType, exp.Bracket, exp.Hint)):
        if isinstance(node, exp.Hint):  # advice to Spark's planner; what it names is no table
            node.pop()
        elif isinstance(node, exp.Bracket):
            # sqlglot counts from 0 unless it saw that this is no array; its type tells only now.
            known = node.this.type
            node.meta[FIRST_INDEX] = int(
                known is not None and not known.is_type(exp.DType.UNKNOWN, exp.DType.ARRAY)
            )
        elif node.this is exp.DType.DECIMAL and not node.expressions:
            node.set("expressions", [_number(size) for size in DEFAULT_DECIMAL[dialect]])
    return trees[0]


def _number(value: int) -> exp.DataTypeParam:
    return exp.DataTypeParam(this=exp.Literal.number(value))


def _size_decimals(tokens: list[Token]) -> list[Token]:
    """Gives each `DECIMAL '1.50'` the precision and scale of its digits, as Trino does."""
    sized: list[Token] = []
    for place, token in enumerate(tokens):
        sized.append(token)
        following = tokens[place + 1] if place + 1 < len(tokens) else None
        if (
            token.token_type is TokenType.DECIMAL
            and following is not None
            and following.token_type is TokenType.STRING
        ):
            digits = following.text.strip().lstrip("+-").lstrip("0")
            whole, _, fraction = digits.partition(".")
            sized += [
                Token(kind, text, token.line, token.col, token.start, token.end)
                for kind, text in (
                    (TokenType.L_PAREN, "("),
                    (TokenType.NUMBER, str(max(1, len(whole) + len(fraction)))),
                    (TokenType.COMMA, ","),
                    (TokenType.NUMBER, str(len(fraction))),
                    (TokenType.R_PAREN, ")"),
                )
            ]
    return sized


def _number_parameters(tokens: list[Token]) -> None:
    """Turns each `?` into a name that tells its place, which the tree would lose."""
    number = 0
    for place, token in enumerate(tokens):
        if token.token_type is TokenType.PLACEHOLDER:
            number += 1
            tokens[place] = Token(
                TokenType.IDENTIFIER,
                f"{PARAMETER}{number}",
                token.line,
                token.col,
                token.start,
                token.end,
            )


def parameters_of(tree: exp.Expr) -> int:
    """How many `?` a tree holds."""
    numbers = (
        int(node.name.removeprefix(PARAMETER))
        for node in tree.find_all(exp.Identifier)
        if node.name.startswith(PARAMETER)
    )
    return max(numbers, default=0)


def parse_query(text: str, dialect: Dialect) -> exp.Expr:
    """The tree of a query: SELECT, VALUES, TABLE, a set operation, in brackets or not."""
    tree = parse_tree(text, dialect)
    if not is_query(tree):
        start = len(text) - len(text.lstrip())
        raise error(
            ErrorCode.SYNTAX_ERROR,
            "expected a query",
            hint="a query starts with SELECT, WITH, VALUES or TABLE",
            position=position_at(text, start),
        )
    return tree


def is_query(tree: exp.Expr) -> bool:
    """True for a tree that yields rows and changes nothing by its own kind."""
    return isinstance(tree, exp.Select | exp.SetOperation | exp.Subquery | exp.Values)


@lru_cache(maxsize=1024)
def _engine_expression(text: str) -> exp.Expr:
    return sqlglot.parse_one(f"({text})", dialect="duckdb")


def engine_expression(text: str) -> exp.Expr:
    """The tree of an expression of our own in DuckDB's dialect: a policy's, never a user's."""
    return _engine_expression(text).copy()


def parse_expression(text: str, dialect: Dialect) -> exp.Expr:
    """The tree of a scalar expression, such as a row filter or a DEFAULT."""
    blank = re.match(r"\s*", text)
    offset = blank.end() if blank else 0
    # One select item: anything that is not exactly one expression fails to parse as such. The
    # prefix goes where blanks are, if there are any, so that places stay right.
    prefix = "SELECT "
    padded = text[: offset - len(prefix)] + prefix if offset >= len(prefix) else prefix
    tree = parse_query(padded + text[offset:], dialect)
    if (
        not isinstance(tree, exp.Select)
        or len(tree.expressions) != 1
        or any(value for key, value in tree.args.items() if key != "expressions")
        or isinstance(tree.expressions[0], exp.Alias | exp.Star)
    ):
        raise error(
            ErrorCode.SYNTAX_ERROR,
            "expected one expression",
            position=position_at(text, offset),
        )
    found: exp.Expr = tree.expressions[0]
    found.pop()
    return found


def _syntax_error(text: str, failure: ParseError) -> HeadwaterError:
    details = failure.errors[0] if failure.errors else {}
    found = str(details.get("highlight") or "") or None
    message = str(details.get("description") or "the statement cannot be parsed").rstrip(".")
    message = re.sub(r" but got <Token.*", "", message, flags=re.DOTALL)
    message = re.sub(r"<class '[\w.]*\.(\w+)'>", r"\1", message)
    place = _place(text, details)
    return error(
        ErrorCode.SYNTAX_ERROR,
        f"{_plain(message)}{f' near {found[:40]!r}' if found else ''}",
        hint=_nearby_hint(details, found),
        position=place,
    )


def _plain(message: str) -> str:
    if message.startswith("Required keyword"):
        wanted = re.search(r"Required keyword: '(\w+)' missing for (\w+)", message)
        if wanted:
            return f"a part of {wanted[2]} is missing"
    return message[:1].lower() + message[1:]


def _place(text: str, details: dict[str, object]) -> Position | None:
    line, column = details.get("line"), details.get("col")
    if not isinstance(line, int) or not isinstance(column, int):
        return None
    highlight = details.get("highlight")
    # sqlglot gives the last column of the token; we give the first.
    width = len(highlight) if isinstance(highlight, str) and "\n" not in highlight else 1
    return Position(line, max(1, column - width + 1))


def _nearby_hint(details: dict[str, object], found: str | None) -> str | None:
    """The misspelt keyword is often the word before the one where the parser gave up."""
    before = str(details.get("start_context") or "").split()
    for word in [found, *reversed(before[-3:])]:
        hint = syntax_hint(word) if word else None
        if hint:
            return hint
    if found is None:
        return "the statement ends too early: is a bracket or an expression missing?"
    return None


def node_position(node: exp.Expr) -> Position | None:
    """Where a node stands in its statement's text, if sqlglot knows."""
    found: exp.Expr | None = node
    inner = node.args.get("this")
    if "line" not in node.meta:
        found = inner if isinstance(inner, exp.Identifier) else node.find(exp.Identifier)
    if found is None:
        return None
    line, column = found.meta.get("line"), found.meta.get("col")
    if not isinstance(line, int) or not isinstance(column, int):
        return None
    start, end = found.meta.get("start"), found.meta.get("end")
    width = end - start if isinstance(start, int) and isinstance(end, int) else 0
    return Position(line, max(1, column - width))


def table_name(node: exp.Expr) -> Name:
    """The dotted name of a table node; SYNTAX_ERROR when it is anything else."""
    if isinstance(node, exp.Schema):
        node = node.this
    parts = list(node.parts) if isinstance(node, exp.Table) else []
    if not parts or not all(isinstance(part, exp.Identifier) for part in parts):
        raise error(
            ErrorCode.SYNTAX_ERROR, "expected the name of a table", position=node_position(node)
        )
    return Name(tuple(part.name for part in parts), node_position(parts[0]))
