"""Trees from templates in DuckDB's dialect, with `$1`, `$2` … for the arguments."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import sqlglot
from sqlglot import exp


def template(text: str, *arguments: exp.Expr) -> exp.Expr:
    """The tree of a template, `$1` being the first argument."""
    tree = parsed(text).copy()
    for hole in list(tree.find_all(exp.Placeholder, exp.Parameter)):
        number = int(hole.name)
        value = arguments[number] if number else arguments[0]
        filled: exp.Expr = value.copy()
        if isinstance(filled, exp.Binary | exp.Not | exp.Case) and not isinstance(
            hole.parent, exp.Func
        ):
            filled = exp.Paren(this=filled)
        if hole is tree:
            return filled
        hole.replace(filled)
    return tree


@cache
def parsed(text: str) -> exp.Expr:
    """The tree of a text in DuckDB's dialect; shared, so copy it before a change."""
    return sqlglot.parse_one(text, dialect="duckdb")


def fill(text: str, arguments: Sequence[exp.Expr]) -> exp.Expr:
    """The tree of a template whose `$1` is the first of the arguments."""
    return template(text, exp.Null(), *arguments)
