"""Stage 7: runs the plan or the task; rows go to the spool once the audit rows are on disk."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa

from headwater.engines.engine import ResultStream
from headwater.model.statement import QueryState
from headwater.query.results import ResultSpool
from headwater.query.work import Outcome, Work
from headwater.query.writes import set_sort_order

_PAGE_ROWS = 50_000


def execute(work: Work) -> Work:
    """Runs the statement: nothing changes, and nobody gets a row, before its decisions are on disk.

    An engine that only reads begins while they are written.
    """
    if work.plan is None or work.writing is not None:
        work.request.seal()
    work.query.check()
    work.query.advance(QueryState.RUNNING)
    if work.plan is not None:
        _run_plan(work)
    elif work.task is not None:
        _finish_task(work, work.task())
    return work


def _finish_task(work: Work, outcome: Outcome) -> None:
    query = work.query
    query.update_type = outcome.update_type
    query.update_count = outcome.update_count
    query.session_changes = outcome.changes
    if outcome.table is not None:
        results = _spool(work, outcome.table.schema)
        for batch in outcome.table.to_batches(max_chunksize=_PAGE_ROWS):
            results.append(batch)
        query.deliver(results)


def _run_plan(work: Work) -> None:
    query, engine, plan = work.query, work.parts.engine, work.plan
    assert plan is not None, "checked by the caller"
    query.engine = engine.name
    laid = None
    if work.writing is not None and work.writing.prepare is not None:
        laid = work.writing.prepare()
        plan = replace(plan, writes=tuple(replace(write, groundwork=laid) for write in plan.writes))
    query.on_stop(lambda: engine.cancel(plan.statement_id))
    stream = engine.execute(plan, meanwhile=work.request.seal)
    try:
        query.measure(stream.stats, private=plan.governed)
        if work.writing is not None:
            query.update_type = work.writing.update_type
            query.update_count = _count(stream)
            if laid is not None and not query.update_count:
                # The engine commits nothing where there is no row to write.
                identifier, actor = work.writing.write.identifier, work.request.actor()
                requirements, changes = list(laid.requirements), list(laid.updates)
                work.parts.catalog.commit(identifier, requirements, changes, actor)
            if work.writing.sorting:
                set_sort_order(work.parts, work.writing, work.request.actor())
        else:
            _stream_rows(work, stream)
    finally:
        query.on_stop(None)
        stream.close()
    if work.writing is None:
        # A write that was stopped too late is done, and its client must hear so.
        query.check()


def _stream_rows(work: Work, stream: ResultStream) -> None:
    schema = stream.schema
    if work.bound is not None and len(work.bound.output) == len(schema):
        names = [name for name, _ in work.bound.output]
        fields = [field.with_name(name) for field, name in zip(schema, names, strict=True)]
        schema = pa.schema(fields)
    results = _spool(work, schema)
    work.query.deliver(results)
    for batch in stream:
        results.append(pa.RecordBatch.from_arrays(batch.columns, schema=schema))
        work.query.advance()


def _count(stream: ResultStream) -> int | None:
    """The number of rows that a write changed, as the engine reports it."""
    counted: int | None = None
    for batch in stream:
        for column in batch.columns[:1]:
            for value in column.to_pylist():
                if isinstance(value, int):
                    counted = (counted or 0) + value
    return counted


def _spool(work: Work, schema: pa.Schema) -> ResultSpool:
    return ResultSpool(schema, work.parts.spool, total_bytes=work.session.limits.result_bytes)
