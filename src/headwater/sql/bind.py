"""Resolves every name of a query, so that nothing is left to the engine to look up."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from headwater.model.statement import Dialect, Session
from headwater.sql.binder import Binder
from headwater.sql.expressions import BinderState
from headwater.sql.relations import (
    Bound,
    InputRelation,
    Leaf,
    Relation,
    Resolver,
    ScanRelation,
    ViewRelation,
)
from headwater.sql.spark import query_constructs
from headwater.sql.trees import guarded


def bind(
    tree: exp.Expr,
    resolver: Resolver,
    *,
    session: Session,
    parameters: Sequence[exp.Expr] = (),
) -> Bound:
    """The query with names, stars, functions and types resolved; the given tree stays as it is.

    `parameters` are constant trees for the `?` in order. Raises COLUMN_NOT_FOUND, TABLE_NOT_FOUND,
    AMBIGUOUS_NAME, FUNCTION_NOT_FOUND, TYPE_MISMATCH or NOT_SUPPORTED, with a place where known.
    """

    def run() -> Bound:
        state = BinderState(parameters=[parameter.copy() for parameter in parameters])
        binder = Binder(state, resolver, session)
        query, fields = binder.query(tree.copy(), None, {}, top=True)
        state.check_parameters()
        if session.dialect is Dialect.SPARK:
            state.constructs |= query_constructs(tree)
        output = tuple((each.name, each.type) for each in fields)
        return Bound(query, tuple(state.leaves), output, frozenset(state.constructs))

    return guarded(run)


__all__ = [
    "Bound",
    "InputRelation",
    "Leaf",
    "Relation",
    "Resolver",
    "ScanRelation",
    "ViewRelation",
    "bind",
]
