"""Prints a governed tree for DuckDB: quoted names, no comments, only node kinds on a list."""

from __future__ import annotations

from sqlglot import exp

from headwater.errors import ErrorCode, error
from headwater.model.statement import Dialect
from headwater.sql.tokens import grammar
from headwater.sql.trees import PARAMETER, guarded


def emit(tree: exp.Expr) -> str:
    """DuckDB's SQL for a bound and governed tree; a node kind that nobody listed is refused."""
    return guarded(lambda: _emit(tree))


def _emit(tree: exp.Expr) -> str:
    for node in tree.walk():
        if isinstance(node, exp.Command | exp.Placeholder | exp.Parameter):
            raise error(
                ErrorCode.INTERNAL_ERROR, f"{type(node).__name__} must not reach the engine"
            )
        if isinstance(node, exp.Identifier):
            if PARAMETER in node.name:
                raise error(
                    ErrorCode.SYNTAX_ERROR,
                    "a parameter cannot stand for a name",
                    hint="? stands for a value",
                )
            node.set("quoted", True)
    text: str = grammar(Dialect.DUCKDB).generate(tree, copy=False, comments=False)
    return text
