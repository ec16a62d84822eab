"""ALTER TABLE … EXECUTE: optimize, expire_snapshots, rollback_to_snapshot."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Any

from headwater.catalog.maintenance import expire_snapshots, rollback_to_snapshot
from headwater.catalog.optimize import OptimizePlan, finish_optimize, plan_optimize
from headwater.catalog.snapshots import TableCommit
from headwater.engines.engine import GovernedPlan
from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.model.identifiers import TableIdentifier
from headwater.model.principal import Actor
from headwater.model.scan import GovernedWrite, WriteOperation
from headwater.query.retry import retrying
from headwater.query.session import parse_bytes, parse_seconds
from headwater.query.work import Outcome, Parts, Task, Work
from headwater.sql.hints import did_you_mean
from headwater.sql.statements import ExecuteProcedure


def procedure_task(work: Work, identifier: TableIdentifier, action: ExecuteProcedure) -> Task:
    """The task of a procedure; INVALID_ARGUMENT for one that there is not, or a wrong argument."""
    known = _PROCEDURES.get(action.procedure)
    if known is None:
        raise error(
            ErrorCode.INVALID_ARGUMENT,
            f"there is no procedure '{action.procedure}'",
            hint=did_you_mean(action.procedure, _PROCEDURES)
            or "there are " + ", ".join(_PROCEDURES),
        )
    operation, names, prepare = known
    arguments = _arguments(action, names)
    write = work.request.write(identifier, operation)
    return prepare(work, write, arguments)


def commit_planned(
    parts: Parts, identifier: TableIdentifier, commit: TableCommit, actor: Actor
) -> None:
    """Commits; when that certainly failed, removes the files that only this commit needed."""
    try:
        parts.catalog.commit(identifier, list(commit.requirements), list(commit.updates), actor)
    except HeadwaterError as exc:
        if exc.code is not ErrorCode.COMMIT_STATE_UNKNOWN:
            _remove(parts, commit.written)
        raise


def _remove(parts: Parts, files: tuple[str, ...]) -> None:
    # What stays behind is found by the sweeper.
    with contextlib.suppress(HeadwaterError):
        parts.catalog.warehouse.io.delete(files)


def _arguments(action: ExecuteProcedure, names: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in action.arguments.items():
        name = names[int(key)] if key.isdigit() and int(key) < len(names) else key
        if name not in names:
            raise error(
                ErrorCode.INVALID_ARGUMENT,
                f"{action.procedure} has no argument '{key}'",
                hint="it takes " + (", ".join(names) or "none"),
            )
        found[name] = value
    return found


def _optimize(work: Work, write: GovernedWrite, arguments: Mapping[str, Any]) -> Task:
    threshold = arguments.get("file_size_threshold")
    small = None if threshold is None else parse_bytes(str(threshold))
    parts, io, actor = work.parts, work.parts.catalog.warehouse.io, work.request.actor()

    def attempt() -> Outcome:
        plan = plan_optimize(
            io, parts.catalog.table(write.identifier).metadata, file_size_threshold=small
        )
        unneeded = plan.scratch + plan.outputs
        try:
            for number, step in enumerate(plan.steps):
                _run_step(work, f"{work.query.id}-{number}", step.sql)
            if plan.steps:
                _finish(parts, write.identifier, plan, actor)
            unneeded = plan.scratch
        except HeadwaterError as exc:
            if exc.code is ErrorCode.COMMIT_STATE_UNKNOWN:
                # The commit may have been made; if it was not, the sweeper finds the outputs.
                unneeded = plan.scratch
            raise
        finally:
            _remove(parts, unneeded)
        return Outcome(update_type="ALTER TABLE EXECUTE")

    return lambda: retrying(attempt)


def _finish(parts: Parts, identifier: TableIdentifier, plan: OptimizePlan, actor: Actor) -> None:
    io = parts.catalog.warehouse.io

    def change() -> Outcome:
        commit = finish_optimize(io, plan, parts.catalog.table(identifier).metadata)
        commit_planned(parts, identifier, commit, actor)
        return Outcome()

    retrying(change)


def _run_step(work: Work, statement_id: str, sql: str) -> None:
    engine, query = work.parts.engine, work.query
    plan = GovernedPlan(
        statement_id=statement_id,
        identity=work.session.identity,
        sql=sql,
        limits=work.session.limits,
    )
    query.on_stop(lambda: engine.cancel(statement_id))
    stream = engine.execute(plan)
    try:
        query.measure(stream.stats)
        for _ in stream:
            query.check()
    finally:
        query.on_stop(None)
        stream.close()
    query.check()


def _expire(work: Work, write: GovernedWrite, arguments: Mapping[str, Any]) -> Task:
    threshold = arguments.get("retention_threshold", "7d")
    older_than_ms = int((time.time() - _retention(threshold)) * 1000)
    retain = arguments.get("retain_last")
    if retain is not None and (not isinstance(retain, int) or retain < 1):
        raise error(ErrorCode.INVALID_ARGUMENT, "retain_last must be a positive whole number")
    parts, actor = work.parts, work.request.actor()

    def attempt() -> Outcome:
        plan = expire_snapshots(
            parts.catalog.warehouse,
            parts.catalog.table(write.identifier).metadata,
            older_than_ms=older_than_ms,
            retain_last=retain,
        )
        if plan.commit.updates:
            commit_planned(parts, write.identifier, plan.commit, actor)
            _remove(parts, plan.files)
        return Outcome(update_type="ALTER TABLE EXECUTE")

    return lambda: retrying(attempt)


def _retention(threshold: Any) -> float:
    """Seconds; `0s` means every snapshot that nothing refers to."""
    text = str(threshold).strip()
    return 0.0 if text.rstrip("smhd") == "0" else parse_seconds(text)


def _rollback(work: Work, write: GovernedWrite, arguments: Mapping[str, Any]) -> Task:
    snapshot_id = arguments.get("snapshot_id")
    if not isinstance(snapshot_id, int):
        raise error(
            ErrorCode.INVALID_ARGUMENT,
            "rollback_to_snapshot needs a snapshot id",
            hint='SELECT * FROM "table$history" lists them',
        )
    parts, actor = work.parts, work.request.actor()

    def attempt() -> Outcome:
        metadata = parts.catalog.table(write.identifier).metadata
        commit_planned(parts, write.identifier, rollback_to_snapshot(metadata, snapshot_id), actor)
        return Outcome(update_type="ALTER TABLE EXECUTE")

    return lambda: retrying(attempt)


_Prepare = Callable[[Work, GovernedWrite, Mapping[str, Any]], Task]

_PROCEDURES: dict[str, tuple[WriteOperation, tuple[str, ...], _Prepare]] = {
    "optimize": (WriteOperation.OPTIMIZE, ("file_size_threshold",), _optimize),
    "expire_snapshots": (
        WriteOperation.EXPIRE_SNAPSHOTS,
        ("retention_threshold", "retain_last"),
        _expire,
    ),
    "rollback_to_snapshot": (WriteOperation.ALTER, ("snapshot_id",), _rollback),
}
"""Each procedure's operation, argument names in order, and what prepares it."""
