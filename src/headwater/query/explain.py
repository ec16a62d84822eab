"""EXPLAIN: our plan (tables, snapshots, columns, policies), never data or what hides data."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa

from headwater.engines.engine import ResultStream
from headwater.errors import ErrorCode, error
from headwater.model.scan import GovernedScan
from headwater.query.viewer import table
from headwater.query.work import Outcome, Task, Work
from headwater.sql.outline import Step, outline
from headwater.sql.relations import ScanRelation
from headwater.sql.statements import Explain, Insert, ParsedStatement, Query

Plan = Callable[[Work], Work]


def explain_task(work: Work, statement: Explain, plan: Plan) -> Task:
    """The task of EXPLAIN; `plan` takes the inner statement as far as its engine plan."""
    steps = _steps(work, statement.statement) if statement.json else None
    inner = plan(replace(work, parsed=statement.statement))
    told = _as_json(steps) if statement.json else _as_text
    if not statement.analyze:
        return lambda: _outcome(told(inner, None))
    if not isinstance(statement.statement, Query):
        raise error(
            ErrorCode.NOT_SUPPORTED,
            "EXPLAIN ANALYZE runs the statement, so it takes queries only",
            hint="EXPLAIN shows the plan of a change without making it",
        )
    return lambda: _outcome(told(inner, _analyzed(inner)))


def _outcome(text: str) -> Outcome:
    schema = pa.schema([("Query Plan", pa.string())])
    return Outcome(table=table(schema, [(text,)]))


def _as_text(work: Work, analyzed: dict[str, Any] | None) -> str:
    return "\n".join([*_lines(work), *_measured(analyzed or {})])


def _as_json(steps: Step | None) -> Callable[[Work, dict[str, Any] | None], str]:
    def told(work: Work, analyzed: dict[str, Any] | None) -> str:
        described = {
            "text": _as_text(work, analyzed),
            "engine": work.parts.engine.name if work.plan is not None else None,
            "output": [name for name, _ in work.bound.output] if work.bound is not None else [],
            "nodes": steps.as_dict() if steps is not None else None,
            "scans": list(_scans(work)),
            "analyzed": analyzed,
        }
        return json.dumps(described, ensure_ascii=False)

    return told


def _steps(work: Work, statement: ParsedStatement) -> Step | None:
    """The steps as the caller wrote them, before anything of others is added."""
    dialect = work.session.dialect
    if isinstance(statement, Query):
        return outline(statement.tree, dialect)
    if isinstance(statement, Insert):
        name = str(statement.target)
        return Step("write", f"Insert into {name}", "", (outline(statement.query, dialect),))
    return None


def _scans(work: Work) -> Iterator[dict[str, Any]]:
    if work.plan is None:
        return
    used = _used(work)
    for scan in work.plan.scans:
        if scan.through_view:
            yield {"table": None, "through_view": True}
            continue
        columns = used.get(scan.decision.id, set())
        yield {
            "table": str(scan.identifier),
            "through_view": False,
            "snapshot": None if scan.snapshot_id is None else str(scan.snapshot_id),
            "columns": [column.name for column in scan.columns if column.name in columns],
            "row_filter": scan.row_filter is not None,
            "masked": [c.name for c in scan.columns if c.mask is not None and c.name in columns],
            "enforcement": str(scan.level),
        }


def _used(work: Work) -> dict[str, set[str]]:
    if work.bound is None:
        return {}
    return {
        leaf.relation.scan.decision.id: leaf.used
        for leaf in work.bound.leaves
        if isinstance(leaf.relation, ScanRelation)
    }


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
    used = _used(work)
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


def _analyzed(work: Work) -> dict[str, Any]:
    """Runs the query; what it took, as far as the caller may know it."""
    engine, plan, query = work.parts.engine, work.plan, work.query
    if plan is None:
        return {}
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
    taken = {
        "rows": rows,
        "elapsed_seconds": stats.elapsed_seconds,
        "cpu_seconds": stats.cpu_seconds,
    }
    if not plan.governed:
        # How much lies behind a filter is nobody's business who cannot see it.
        taken |= {
            "scanned_rows": stats.scanned_rows,
            "scanned_bytes": stats.scanned_bytes,
            "peak_memory_bytes": stats.peak_memory_bytes,
        }
    return taken


def _measured(taken: dict[str, Any]) -> Iterator[str]:
    if not taken:
        return
    yield ""
    yield f"Rows: {taken['rows']}"
    yield f"Elapsed: {taken['elapsed_seconds']:.3f} s, CPU: {taken['cpu_seconds']:.3f} s"
    if "scanned_rows" in taken:
        yield f"Scanned: {taken['scanned_rows']} rows, {taken['scanned_bytes']} bytes"
        yield f"Peak memory: {taken['peak_memory_bytes']} bytes"
