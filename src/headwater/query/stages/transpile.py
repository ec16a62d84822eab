"""Stage 6: emits the engine's SQL from our tree; nothing of the user's text is in it."""

from __future__ import annotations

from dataclasses import replace

from headwater.engines.engine import GovernedPlan
from headwater.query.plans import KnownPlan
from headwater.query.work import Work
from headwater.sql.create_as import create_table_as, insert_into, with_types
from headwater.sql.statements import Query
from headwater.sql.transpile import emit


def transpile(work: Work) -> Work:
    """The plan for the engine, when the engine runs the statement."""
    if work.tree is None or work.bound is None:
        return work
    writing = work.writing
    if writing is not None and writing.columns:
        columns = [(column.name, column.type) for column in writing.columns]
        query = emit(with_types(work.tree, columns))
        if writing.replaces:
            names = [column.name for column in writing.columns]
            sql = insert_into(writing.write.identifier, names, query)
        else:
            sql = create_table_as(
                writing.write.identifier, writing.partitioning, writing.properties, query
            )
    else:
        sql = work.sql or emit(work.tree)
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    if writing is not None and writing.script is not None:
        before, sql, after = writing.script.statements(sql)
    if work.recorded is not None:
        key, recorder = work.recorded
        whole = work.parsed.tree if isinstance(work.parsed, Query) else None
        work.parts.plans.keep(key, KnownPlan.of(recorder, work.bound, sql), whole)
    inputs = work.inputs.tables(work.bound) if work.inputs is not None else {}
    plan = GovernedPlan(
        statement_id=work.query.id,
        identity=work.session.identity,
        sql=sql,
        scans=work.bound.scans,
        writes=(writing.write,) if writing is not None else (),
        inputs=inputs,
        limits=work.session.limits,
        time_zone=work.session.time_zone,
        before=before,
        after=after,
    )
    return replace(work, plan=plan)
