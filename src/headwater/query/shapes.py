"""Queries that differ in nothing but numbers compared with columns: what tells that they do.

`… WHERE key = 17` and `… WHERE key = 18` have one plan with another number in it. Which numbers
may differ is decided by where they stand in the tree, and that the plan holds them and nothing made
of them is seen by comparing two plans that were made in full.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp
from sqlglot.tokenizer_core import TokenType

from headwater.errors import HeadwaterError
from headwater.model.statement import Dialect
from headwater.sql.tokens import tokenize

_LONGEST_TEXT = 4096
_PLAIN = re.compile(r"[1-9][0-9]{0,8}")
"""Numbers that are an INTEGER in every dialect, and written one way only."""

_COMPARISONS = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.Between, exp.In)


@dataclass(frozen=True, slots=True)
class Shape:
    """A text as its tokens without the numbers (`key`), and its numbers as they are written."""

    key: tuple[object, ...]
    numbers: tuple[str, ...]


def shape_of(text: str, dialect: Dialect) -> Shape | None:
    """The shape of a text; None when it has none worth to be looked for."""
    if len(text) > _LONGEST_TEXT:
        return None
    try:
        tokens = tokenize(text, dialect)
    except HeadwaterError:
        return None  # whoever parses it says what is wrong
    key: list[object] = [dialect]
    numbers: list[str] = []
    end = -1
    for token in tokens:
        number = token.token_type is TokenType.NUMBER
        if number:
            numbers.append(token.text)
        # Whether a token touches the one before it means something to some grammars.
        key += (token.token_type, None if number else token.text, token.start == end + 1)
        end = token.end
    return Shape(tuple(key), tuple(numbers)) if numbers else None


def free_numbers(tree: exp.Expr, numbers: Sequence[str]) -> frozenset[int]:
    """Which of a query's numbers, by place, may be another one in the same plan.

    Whole numbers that a WHERE compares with a column. A number that is there twice counts as none:
    it could not be told which token became which node.
    """
    found = [node for node in tree.find_all(exp.Literal) if not node.is_string]
    nodes = Counter(node.name for node in found)
    tokens = Counter(numbers)
    free = set()
    for node in found:
        text, parent = node.name, node.parent
        if (
            _PLAIN.fullmatch(text)
            and nodes[text] == tokens[text] == 1
            and isinstance(parent, _COMPARISONS)
            and _compares_column(parent, node)
            and node.find_ancestor(exp.Where) is not None
        ):
            free.add(numbers.index(text))
    return frozenset(free)


def _compares_column(comparison: exp.Expr, literal: exp.Expr) -> bool:
    if comparison.this is literal:
        return isinstance(comparison.args.get("expression"), exp.Column)
    return isinstance(comparison.this, exp.Column)


@dataclass(frozen=True, slots=True)
class Template:
    """A plan's SQL with holes: `holes[i]` is the number that stands after `pieces[i]`."""

    pieces: tuple[str, ...]
    holes: tuple[int, ...]
    numbers: tuple[str, ...]

    @classmethod
    def between(
        cls,
        first: tuple[str, Sequence[str]],
        second: tuple[str, Sequence[str]],
        free: frozenset[int],
    ) -> Template | None:
        """The template of two queries of one shape, each as its plan's SQL and its numbers.

        `free` are places in the second's. None when the SQL of the second with the numbers of the
        first is not that of the first.
        """
        sql, numbers = second
        places = {numbers[place]: place for place in free}
        pieces, holes, end = [], [], 0
        for token in tokenize(sql, Dialect.DUCKDB):
            if token.token_type is TokenType.NUMBER and token.text in places:
                pieces.append(sql[end : token.start])
                holes.append(places[token.text])
                end = token.end + 1
        pieces.append(sql[end:])
        made = cls(
            tuple(pieces),
            tuple(holes),
            tuple("" if place in free else number for place, number in enumerate(numbers)),
        )
        return made if set(holes) == free and made.fill(first[1]) == first[0] else None

    def fill(self, numbers: Sequence[str]) -> str | None:
        """The SQL with other numbers; None when a number differs that must not."""
        if len(numbers) != len(self.numbers):
            return None
        for number, fixed in zip(numbers, self.numbers, strict=True):
            if number != fixed and (fixed or not _PLAIN.fullmatch(number)):
                return None
        parts = [self.pieces[0]]
        for hole, piece in zip(self.holes, self.pieces[1:], strict=True):
            parts += (numbers[hole], piece)
        return "".join(parts)
