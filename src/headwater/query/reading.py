"""Binds a query for its caller."""

from __future__ import annotations

from dataclasses import replace

from sqlglot import exp

from headwater.query.inputs import Inputs
from headwater.query.plans import Recorder, plan_key
from headwater.query.resolver import QueryResolver
from headwater.query.viewer import Viewer
from headwater.query.work import Work
from headwater.sql.bind import bind
from headwater.sql.statements import Query


def resolver(work: Work, inputs: Inputs) -> QueryResolver:
    """The resolver of the statement's caller."""
    viewer = Viewer(work.parts, work.request)
    given = work.statement.inputs
    return QueryResolver(work.parts, work.request, work.session, viewer, inputs, given=given)


def bind_query(work: Work, tree: exp.Expr) -> Work:
    """The work with its query bound: every leaf a governed scan or a table of the server's own."""
    inputs = Inputs()
    bound = bind(tree, resolver(work, inputs), session=work.session, parameters=work.parameters)
    return replace(work, bound=bound, inputs=inputs)


def bind_or_recall(work: Work, tree: exp.Expr) -> Work:
    """As `bind_query`, with the plan of the same query of the same caller where it still holds."""
    key = plan_key(work.text, work.session, work.parameters)
    known = work.parts.plans.find(key)
    if known is not None:
        bound = known.bound_again(resolver(work, Inputs()))
        if bound is not None:
            return replace(work, bound=bound, inputs=Inputs(), tree=bound.tree, sql=known.sql)
        work.request.forget()
    tree = work.parts.plans.tree(work.text, work.session.dialect, tree)
    work = replace(work, parsed=Query(tree) if isinstance(work.parsed, Query) else work.parsed)
    inputs = Inputs()
    recorder = Recorder(resolver(work, inputs))
    bound = bind(tree, recorder, session=work.session, parameters=work.parameters)
    return replace(work, bound=bound, inputs=inputs, recorded=(key, recorder))
