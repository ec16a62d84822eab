"""EXPLAIN: our plan (tables, snapshots, columns, policies), never data or what hides data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pyarrow as pa

from headwater.engines.engine import ResultStream
from headwater.errors import ErrorCode, error
from headwater.model.scan import GovernedScan
from headwater.query.viewer import table
from headwater.query.work import Outcome, Task, Work
from headwater.sql.relations import ScanRelation
from headwater.sql.statements import Explain, Query

Plan = Callable[[Work], Work]


def explain_task(work: Work, statement: Explain, plan: Plan) -> Task:
    """The task of EXPLAIN; `plan` takes the inner statement as far as its engine plan."""
    inner = plan(replace(work, parsed=statement.statement))
    if not statement.analyze:
        return lambda: _outcome(_lines(inner))
    if not isinstance(statement.statement, Query):
        raise error(
            ErrorCode.NOT_SUPPORTED,
            "EXPLAIN ANALYZE runs the statement, so it takes queries only",
            hint="EXPLAIN shows the plan of a change without making it",
        )
    return lambda: _outcome([*_lines(inner), *_analyzed(inner)])


def _outcome(lines: list[str] | Iterator[str]) -> Outcome:
    schema = pa.schema([("Query Plan", pa.string())])
    return Outcome(table=table(schema, [("\n".join(lines),)]))


def _lines(work: Work) -> list[str]:
    if work.plan is None or work.bound is None:
        return [f"{type(work.parsed).__name__}: carried out by the server"]
    lines = [f"Engine: {work.parts.engine.name}"]
    if work.writing is not None:
        write = work.writing.write
        lines.append(f"Write: {work.writing.update_type} {write.identifier}")
        if write.row_filter is not None:
            lines.append("    row filter applied to the rows it may change and to new rows")
    if work.bound.output:
        lines.append("Output: " + ", ".join(name for name, _ in work.bound.output))
    used = {
        leaf.relation.scan.decision.id: leaf.used
        for leaf in work.bound.leaves
        if isinstance(leaf.relation, ScanRelation)
    }
    for scan in work.plan.scans:
        lines += _scan(scan, used.get(scan.decision.id, set()))
    lines += [f"System table: {name}" for name in work.plan.inputs]
    return lines


def _scan(scan: GovernedScan, used: set[str]) -> Iterator[str]:
    if scan.through_view:
        # What a view stands on is its owner's affair: the caller may see none of it.
        yield "Scan: a table behind a view"
        return
    snapshot = "no data" if scan.snapshot_id is None else f"snapshot {scan.snapshot_id}"
    yield f"Scan: {scan.identifier} at {snapshot}{'' if scan.is_current else ' (time travel)'}"
    names = [column.name for column in scan.columns if column.name in used]
    yield f"    columns: {', '.join(names) or 'none, rows are counted'}"
    if scan.row_filter is not None:
        yield "    row filter applied"
    masked = [c.name for c in scan.columns if c.mask is not None and c.name in used]
    if masked:
        yield f"    masked: {', '.join(masked)}"
    yield f"    enforcement: {scan.level}"


def _analyzed(work: Work) -> Iterator[str]:
    engine, plan, query = work.parts.engine, work.plan, work.query
    if plan is None:
        return
    query.on_stop(lambda: engine.cancel(plan.statement_id))
    stream: ResultStream = engine.execute(plan)
    try:
        query.measure(stream.stats, private=plan.governed)
        rows = sum(batch.num_rows for batch in stream)
    finally:
        query.on_stop(None)
        stream.close()
    query.check()
    stats = stream.stats()
    yield ""
    yield f"Rows: {rows}"
    yield f"Elapsed: {stats.elapsed_seconds:.3f} s, CPU: {stats.cpu_seconds:.3f} s"
    if not plan.governed:
        # How much lies behind a filter is nobody's business who cannot see it.
        yield f"Scanned: {stats.scanned_rows} rows, {stats.scanned_bytes} bytes"
        yield f"Peak memory: {stats.peak_memory_bytes} bytes"
