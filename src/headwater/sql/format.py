"""Lays out statements: clauses on lines of their own, comments kept, nothing else changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import TokenType

from headwater.errors import HeadwaterError
from headwater.model.statement import Dialect
from headwater.sql.tokens import grammar, parser, raw_tokens, tokenize
from headwater.sql.trees import guarded


def format_sql(text: str, dialect: Dialect) -> tuple[str, list[str]]:
    """The text laid out, and why parts of it stay as they are.

    A statement is laid out only when the result reads as the same statement with all its comments.
    Raises SYNTAX_ERROR for text that cannot be split into tokens.
    """
    found: list[str] = []
    notes: list[str] = []
    for number, (part, ended) in enumerate(_statements(text, dialect), 1):
        try:
            made = guarded(partial(_formatted, part, dialect))
        except (
            HeadwaterError,
            SqlglotError,
            ValueError,
            TypeError,
            AttributeError,
            KeyError,
        ) as exc:
            made = None
            why = exc.message if isinstance(exc, HeadwaterError) else "it cannot be read"
        else:
            why = "it would not keep its meaning or its comments"
        if made is None:
            notes.append(f"statement {number} stays as it is: {why}")
            made = part.strip()
        found.append(made + (";" if ended else ""))
    return "\n\n".join(found) + ("\n" if text.endswith("\n") and found else ""), notes


def _statements(text: str, dialect: Dialect) -> Iterator[tuple[str, bool]]:
    """The texts between semicolons, and whether one follows."""
    start = 0
    for token in tokenize(text, dialect):
        if token.token_type is TokenType.SEMICOLON:
            if text[start : token.start].strip():
                yield text[start : token.start], True
            start = token.end + 1
    if text[start:].strip():
        yield text[start:], False


def _formatted(text: str, dialect: Dialect) -> str | None:
    rules = grammar(dialect)
    tree = _tree(text, dialect)
    if tree is None or any(isinstance(node, exp.Command) for node in tree.walk()):
        return None
    made: str = rules.generate(
        tree, copy=True, pretty=True, comments=True, normalize_functions=False, max_text_width=80
    )
    again = _tree(made, dialect)
    same = again is not None and again == tree
    return made if same and _comments(made, dialect) >= _comments(text, dialect) else None


def _tree(text: str, dialect: Dialect) -> exp.Expr | None:
    trees = parser(dialect).parse(raw_tokens(text, dialect), text)
    return trees[0] if len(trees) == 1 else None


def _comments(text: str, dialect: Dialect) -> Counter[str]:
    tokens = raw_tokens(text, dialect)
    return Counter(" ".join(comment.split()) for token in tokens for comment in token.comments)
