"""Stage 3: resolves names and takes every decision that the statement needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from headwater.errors import ErrorCode, error
from headwater.model.statement import Dialect
from headwater.query import definitions, session_statements, show, views, writes
from headwater.query.explain import explain_task
from headwater.query.governance_statements import GOVERNANCE, governance_task
from headwater.query.prepared import describe_prepared
from headwater.query.reading import bind_or_recall
from headwater.query.session_statements import refuse_in_transaction
from headwater.query.stages.govern import govern
from headwater.query.stages.transpile import transpile
from headwater.query.work import Task, Work
from headwater.sql import statements as s
from headwater.sql.spark import unproven

_READS = (
    s.Query,
    s.Explain,
    s.Show,
    s.ShowGovernance,
    s.Nothing,
    s.Use,
    s.SetSession,
    s.SetRole,
    s.Prepare,
    s.Deallocate,
    s.DescribePrepared,
    s.TransactionControl,
)


def bind(work: Work) -> Work:
    """The work with its decisions taken: bound to governed scans, or with its task ready."""
    opened = work.parts.access.begin(
        work.session.identity,
        request_id=work.query.id,
        query_id=work.query.id,
        client=work.session.source,
        statement=work.statement.text,
    )
    work = replace(work, opened=opened)
    work.query.took_decisions(opened)
    if not isinstance(work.parsed, _READS):
        refuse_in_transaction(work)
    return bind_statement(work)


def bind_statement(work: Work) -> Work:
    """As `bind`, for a statement whose decisions are under way."""
    parsed = work.parsed
    if isinstance(parsed, s.Query):
        return _proven(bind_or_recall(work, parsed.tree))
    if isinstance(parsed, s.Insert | s.Update | s.Delete | s.Merge):
        return writes.bind_change(work, parsed)
    if isinstance(parsed, s.CreateTable) and parsed.query is not None:
        return writes.bind_create_table_as(work, parsed)
    return replace(work, task=_TASKS[type(parsed)](work, parsed))


def _proven(work: Work) -> Work:
    """The same work; NOT_SUPPORTED when its client wants Spark's answers and may not get them."""
    if work.statement.proven_only and work.bound is not None:
        reason = (
            unproven(work.bound.constructs)
            if work.session.dialect is Dialect.SPARK
            else "only queries in Spark's dialect are compared with Spark's answers"
        )
        if reason is not None:
            work.request.forget()
            raise error(ErrorCode.NOT_SUPPORTED, reason, hint="run it on Spark")
    return work


def _plan(work: Work) -> Work:
    return transpile(govern(bind_statement(work)))


_TASKS: dict[Any, Callable[[Work, Any], Task]] = {
    s.CreateSchema: definitions.create_schema,
    s.DropSchema: definitions.drop_schema,
    s.AlterSchema: definitions.alter_schema,
    s.CreateTable: definitions.create_table,
    s.DropTable: definitions.drop_table,
    s.AlterTable: views.alter,
    s.CreateView: views.create_view,
    s.DropView: views.drop_view,
    s.RenameView: views.rename_view,
    s.Truncate: writes.truncate,
    s.Explain: lambda work, statement: explain_task(work, statement, _plan),
    s.DescribePrepared: describe_prepared,
    s.Show: show.show_task,
    s.Nothing: show.nothing_task,
    s.Use: session_statements.use,
    s.SetSession: session_statements.set_session,
    s.SetRole: session_statements.set_role,
    s.Prepare: session_statements.prepare,
    s.Deallocate: session_statements.deallocate,
    s.TransactionControl: session_statements.transaction,
    **dict.fromkeys(GOVERNANCE, governance_task),
}
"""Statements that the server itself carries out, and who prepares each."""
