"""Runs in the metastore: each method is one tiny transaction, each change of state is checked."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy
from sqlalchemy import Connection, Row, Select, select

from headwater.errors import ErrorCode, error
from headwater.governance.audit import AuditLog
from headwater.governance.ids import now_ms
from headwater.jobs.tables import run, run_attempt, run_event
from headwater.model.principal import Actor, Identity
from headwater.model.run import (
    FINAL_STATES,
    Attempt,
    FailureClass,
    Run,
    RunSpec,
    RunState,
    RunUsage,
)
from headwater.store.database import Database
from headwater.store.prepared import Prepared

_USAGE = tuple(RunUsage.__dataclass_fields__)
_EVENT_NAMES = frozenset({"state", "note", "progress"})


@dataclass(frozen=True, slots=True)
class RunEvent:
    """Something that happened to a run; `sequence` grows over all runs."""

    sequence: int
    run_id: str
    time_ms: int
    attempt: int
    kind: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt ended: a final state, and for a failure whose fault and why, in words."""

    state: RunState
    reason: str | None = None
    failure: FailureClass | None = None
    error_code: str | None = None
    exit_status: int | None = None


class RunRecords:
    """The tables `run`, `run_attempt` and `run_event`.

    `driver` is this home's name: its server alone drives the runs that it took.
    """

    def __init__(self, database: Database, audit: AuditLog, driver: str) -> None:
        self.driver = driver
        self._database = database
        self._audit = audit

    # --- reading ------------------------------------------------------------------------------

    def get(self, run_id: str) -> Run | None:
        """The run of an id."""
        with self._database.read() as connection:
            row = connection.execute(select(run).where(run.c.id == run_id)).one_or_none()
        return None if row is None else _run(row)

    def by_key(self, principal_id: str, key: str) -> tuple[Run, str] | None:
        """The principal's run of an idempotency key, with the hash of what was asked for."""
        wanted = select(run).where(run.c.principal_id == principal_id, run.c.idempotency_key == key)
        with self._database.read() as connection:
            row = connection.execute(wanted).one_or_none()
        return None if row is None else (_run(row), row.request_hash)

    def find(
        self,
        *,
        principal_id: str | None = None,
        state: str | None = None,
        kind: str | None = None,
        name: str | None = None,
        tag: tuple[str, str] | None = None,
        since_ms: int | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> list[Run]:
        """Runs that match every given filter, newest first; `before` pages by id."""
        wanted = select(run).order_by(run.c.id.desc())
        for column, value in (
            (run.c.principal_id, principal_id),
            (run.c.state, state),
            (run.c.kind, kind),
            (run.c.name, name),
        ):
            if value is not None:
                wanted = wanted.where(column == value)
        if since_ms is not None:
            wanted = wanted.where(run.c.created_ms >= since_ms)
        if before is not None:
            wanted = wanted.where(run.c.id < before)
        return self._limited(wanted, tag, limit)

    def active(self) -> list[Run]:
        """This driver's runs that have not ended, oldest first."""
        wanted = (
            select(run)
            .where(run.c.driver == self.driver, run.c.state.not_in(sorted(FINAL_STATES)))
            .order_by(run.c.id)
        )
        with self._database.read() as connection:
            return [_run(row) for row in connection.execute(wanted)]

    def count_active(self, principal_id: str) -> int:
        """How many runs of a principal have not ended."""
        wanted = (
            select(sqlalchemy.func.count())
            .select_from(run)
            .where(run.c.principal_id == principal_id, run.c.state.not_in(sorted(FINAL_STATES)))
        )
        with self._database.read() as connection:
            return int(connection.execute(wanted).scalar_one())

    def attempts(self, run_id: str) -> list[Attempt]:
        """All attempts of a run, first to last."""
        wanted = (
            select(run_attempt).where(run_attempt.c.run_id == run_id).order_by(run_attempt.c.number)
        )
        with self._database.read() as connection:
            return [_attempt(row) for row in connection.execute(wanted)]

    def attempt(self, run_id: str, number: int) -> Attempt | None:
        """One attempt of a run."""
        wanted = select(run_attempt).where(
            run_attempt.c.run_id == run_id, run_attempt.c.number == number
        )
        with self._database.read() as connection:
            row = connection.execute(wanted).one_or_none()
        return None if row is None else _attempt(row)

    def session_lives(self, session_id: str) -> bool:
        """True while the attempt of that session has not ended."""
        return bool(self._database.rows(_LIVES, session_id=session_id))

    def events(self, run_id: str, after: int = 0, limit: int = 1000) -> list[RunEvent]:
        """The run's events after a sequence number, in order."""
        wanted = (
            select(run_event)
            .where(run_event.c.run_id == run_id, run_event.c.sequence > after)
            .order_by(run_event.c.sequence)
            .limit(limit)
        )
        with self._database.read() as connection:
            return [
                RunEvent(r.sequence, r.run_id, r.time_ms, r.attempt, r.kind, r.body)
                for r in connection.execute(wanted)
            ]

    def used(
        self, *, principal_id: str | None, since_ms: int, until_ms: int
    ) -> list[tuple[Run, Attempt]]:
        """Attempts that ended in a time span, each with its run."""
        wanted = (
            select(run, run_attempt)
            .join(run_attempt, run_attempt.c.run_id == run.c.id)
            .where(
                run_attempt.c.finished_ms >= since_ms,
                run_attempt.c.finished_ms < until_ms,
            )
            .set_label_style(sqlalchemy.LABEL_STYLE_TABLENAME_PLUS_COL)
        )
        if principal_id is not None:
            wanted = wanted.where(run.c.principal_id == principal_id)
        with self._database.read() as connection:
            rows = connection.execute(wanted).mappings().all()
        return [
            (_run(_Part(dict(row), "run_")), _attempt(_Part(dict(row), "run_attempt_")))
            for row in rows
        ]

    # --- changing -----------------------------------------------------------------------------

    def submit(self, made: Run, request_hash: str, actor: Actor) -> Run:
        """Stores a new run and audits it; raises IntegrityError when its key is taken."""
        with self._database.write() as connection:
            connection.execute(
                run.insert().values(
                    id=made.id,
                    driver=self.driver,
                    kind=made.spec.kind,
                    name=made.spec.name,
                    state=made.state,
                    principal_id=made.principal_id,
                    principal_name=made.principal_name,
                    role=made.spec.role,
                    idempotency_key=made.spec.idempotency_key,
                    request_hash=request_hash,
                    spec=made.spec.as_json(),
                    tags=dict(made.spec.tags),
                    attempt=0,
                    due_ms=0,
                    created_ms=made.created_ms,
                )
            )
            self._event(connection, made.id, 0, "state", {"state": made.state})
            self._audit.change(
                connection,
                actor,
                "submit run",
                securable=f"run {made.id}",
                details={
                    "kind": made.spec.kind,
                    "name": made.spec.name,
                    "role": made.spec.role,
                    "entry_sha256": made.spec.entry.sha256,
                    "entry_uri": made.spec.entry.uri,
                },
            )
        return made

    def step(self, run_id: str, state: RunState, **changes: Any) -> Run | None:
        """Moves a run to a state it may become; None when it is elsewhere by now."""
        with self._database.write() as connection:
            found = self._locked(connection, run_id)
            if found is None or not found.state.may_become(state):
                return None
            return self._set(connection, found, state, changes)

    def admit(self, run_id: str, session_id: str) -> Attempt | None:
        """Takes a queued run into PENDING, with its next attempt; None when it is not queued."""
        now = now_ms()
        with self._database.write() as connection:
            found = self._locked(connection, run_id)
            if found is None or found.state is not RunState.QUEUED:
                return None
            number = found.attempt + 1
            connection.execute(
                run_attempt.insert().values(
                    run_id=run_id,
                    number=number,
                    state=RunState.PENDING,
                    created_ms=now,
                    session_id=session_id,
                    progress={},
                    **asdict(RunUsage()),
                )
            )
            self._set(connection, found, RunState.PENDING, {"attempt": number})
        return Attempt(run_id, number, RunState.PENDING, now, session_id=session_id)

    def note_attempt(self, run_id: str, number: int, **changes: Any) -> None:
        """Changes columns of an attempt."""
        with self._database.write() as connection:
            self._set_attempt(connection, run_id, number, changes)

    def note(self, run_id: str, number: int, kind: str, body: Mapping[str, Any]) -> None:
        """Adds an event: a `note` for people or `progress`."""
        assert kind in _EVENT_NAMES
        with self._database.write() as connection:
            self._event(connection, run_id, number, kind, body)

    def started(self, run_id: str, number: int, **facts: Any) -> Run | None:
        """Records that the attempt's process runs."""
        now = now_ms()
        with self._database.write() as connection:
            found = self._locked(connection, run_id)
            if found is None or not found.state.may_become(RunState.RUNNING):
                return None
            self._set_attempt(
                connection, run_id, number, {"state": RunState.RUNNING, "started_ms": now, **facts}
            )
            changes = {} if found.started_ms else {"started_ms": now}
            return self._set(connection, found, RunState.RUNNING, changes)

    def ended(self, run_id: str, number: int, ending: Ending, usage: RunUsage) -> Run | None:
        """Records the end of an attempt and what follows: the run's end, or its next attempt.

        Does nothing when that attempt's end is on record already, so that no attempt is counted
        twice.
        """
        now = now_ms()
        with self._database.write() as connection:
            found = self._locked(connection, run_id)
            if found is None or found.state.is_final or found.attempt != number:
                return None
            latest = connection.execute(
                select(run_attempt.c.finished_ms).where(
                    run_attempt.c.run_id == run_id, run_attempt.c.number == number
                )
            ).scalar()
            if latest is not None:
                return None
            if found.state is RunState.CANCELLING:
                ending = Ending(
                    RunState.CANCELLED,
                    f"cancelled by {found.cancelled_by}",
                    exit_status=ending.exit_status,
                )
            self._set_attempt(
                connection,
                run_id,
                number,
                {
                    "state": ending.state,
                    "finished_ms": now,
                    "exit_status": ending.exit_status,
                    "failure": ending.failure,
                    "reason": ending.reason,
                    **asdict(usage),
                },
            )
            wait = (
                found.spec.retry.wait_after(number, ending.failure)
                if ending.state is RunState.FAILED and ending.failure is not None
                else None
            )
            if wait is not None:
                due = now + int(wait * 1000)
                self._event(
                    connection,
                    run_id,
                    number,
                    "note",
                    {
                        "text": f"attempt {number} failed: {ending.reason}; "
                        f"attempt {number + 1} follows in {wait:g} s"
                    },
                )
                return self._set(connection, found, RunState.QUEUED, {"due_ms": due})
            return self._set(
                connection,
                found,
                ending.state,
                {
                    "finished_ms": now,
                    "failure": ending.failure,
                    "error_code": ending.error_code,
                    "reason": ending.reason,
                },
            )

    def never_started(self, run_id: str, ending: Ending) -> Run | None:
        """Ends a run that has no attempt under way."""
        with self._database.write() as connection:
            found = self._locked(connection, run_id)
            if found is None or not found.state.may_become(ending.state):
                return None
            return self._set(
                connection,
                found,
                ending.state,
                {
                    "finished_ms": now_ms(),
                    "failure": ending.failure,
                    "error_code": ending.error_code,
                    "reason": ending.reason,
                },
            )

    def cancel(self, run_id: str, identity: Identity, actor: Actor) -> Run | None:
        """Asks for a run's end and audits it; a waiting run is CANCELLED at once.

        Returns the run as it is then; an ended or cancelling run is left alone.
        """
        by = identity.principal.name
        with self._database.write() as connection:
            found = self._locked(connection, run_id)
            if found is None or found.state.is_final or found.state is RunState.CANCELLING:
                return found
            waiting = found.state in (RunState.SUBMITTED, RunState.QUEUED)
            changes: dict[str, Any] = {"cancelled_by": by}
            if waiting:
                changes |= {"finished_ms": now_ms(), "reason": f"cancelled by {by}"}
            changed = self._set(
                connection,
                found,
                RunState.CANCELLED if waiting else RunState.CANCELLING,
                changes,
            )
            self._audit.change(connection, actor, "cancel run", securable=f"run {run_id}")
            return changed

    def forget(self, before_ms: int) -> list[str]:
        """Deletes runs that ended before a time; returns their ids."""
        old = run.c.finished_ms < before_ms
        with self._database.write() as connection:
            ids: list[str] = list(
                connection.execute(
                    select(run.c.id).where(old, run.c.driver == self.driver)
                ).scalars()
            )
            if ids:
                for table in (run_event, run_attempt):
                    connection.execute(table.delete().where(table.c.run_id.in_(ids)))
                connection.execute(run.delete().where(run.c.id.in_(ids)))
        return ids

    # --- parts --------------------------------------------------------------------------------

    def _limited(self, wanted: Select[Any], tag: tuple[str, str] | None, limit: int) -> list[Run]:
        found: list[Run] = []
        with self._database.read() as connection:
            for row in connection.execute(wanted if tag else wanted.limit(limit)):
                if tag is None or row.tags.get(tag[0]) == tag[1]:
                    found.append(_run(row))
                if len(found) == limit:
                    break
        return found

    def _locked(self, connection: Connection, run_id: str) -> Run | None:
        row = connection.execute(
            select(run).where(run.c.id == run_id).with_for_update()
        ).one_or_none()
        return None if row is None else _run(row)

    def _set(
        self, connection: Connection, found: Run, state: RunState, changes: Mapping[str, Any]
    ) -> Run:
        if not found.state.may_become(state):
            raise error(
                ErrorCode.INTERNAL_ERROR, f"run {found.id}: {found.state} cannot become {state}"
            )
        connection.execute(run.update().where(run.c.id == found.id).values(state=state, **changes))
        body: dict[str, Any] = {"state": state}
        if changes.get("reason"):
            body["reason"] = changes["reason"]
        self._event(connection, found.id, changes.get("attempt", found.attempt), "state", body)
        row = connection.execute(select(run).where(run.c.id == found.id)).one()
        return _run(row)

    def _set_attempt(
        self, connection: Connection, run_id: str, number: int, changes: Mapping[str, Any]
    ) -> None:
        connection.execute(
            run_attempt.update()
            .where(run_attempt.c.run_id == run_id, run_attempt.c.number == number)
            .values(**changes)
        )

    def _event(
        self,
        connection: Connection,
        run_id: str,
        attempt: int,
        kind: str,
        body: Mapping[str, Any],
    ) -> None:
        connection.execute(
            run_event.insert().values(
                run_id=run_id, time_ms=now_ms(), attempt=attempt, kind=kind, body=dict(body)
            )
        )


class _Part:
    """One table's columns of a joined row, as attributes."""

    def __init__(self, row: Mapping[str, Any], prefix: str) -> None:
        self._row = row
        self._prefix = prefix

    def __getattr__(self, name: str) -> Any:
        return self._row[self._prefix + name]


def _run(row: Row[Any] | _Part) -> Run:
    return Run(
        id=row.id,
        spec=RunSpec.from_json(row.spec),
        state=RunState(row.state),
        principal_id=row.principal_id,
        principal_name=row.principal_name,
        created_ms=row.created_ms,
        attempt=row.attempt,
        due_ms=row.due_ms,
        started_ms=row.started_ms,
        finished_ms=row.finished_ms,
        cancelled_by=row.cancelled_by,
        failure=FailureClass(row.failure) if row.failure else None,
        error_code=row.error_code,
        reason=row.reason,
    )


def _attempt(row: Row[Any] | _Part) -> Attempt:
    return Attempt(
        run_id=row.run_id,
        number=row.number,
        state=RunState(row.state),
        created_ms=row.created_ms,
        started_ms=row.started_ms,
        finished_ms=row.finished_ms,
        exit_status=row.exit_status,
        failure=FailureClass(row.failure) if row.failure else None,
        reason=row.reason,
        sandbox=row.sandbox,
        release=row.release,
        session_id=row.session_id,
        progress=row.progress,
        usage=RunUsage(**{name: getattr(row, name) for name in _USAGE}),
    )


SESSION_PREFIX = "run-"

_LIVES = Prepared(
    select(run_attempt.c.number).where(
        run_attempt.c.session_id == sqlalchemy.bindparam("session_id"),
        run_attempt.c.finished_ms.is_(None),
    )
)


def new_session_id() -> str:
    """A session id for an attempt's token, by which its queries are found."""
    return f"{SESSION_PREFIX}{secrets.token_hex(8)}"


def total(usages: Sequence[RunUsage]) -> RunUsage:
    """The sum of usages; the peak is the largest, the method is kept when all agree."""
    methods = {usage.method for usage in usages if usage.method}
    summed = {
        name: sum(getattr(usage, name) for usage in usages)
        for name in _USAGE
        if name not in ("method", "peak_memory_bytes")
    }
    return RunUsage(
        **summed,
        peak_memory_bytes=max((usage.peak_memory_bytes for usage in usages), default=0),
        method=methods.pop() if len(methods) == 1 else ("mixed" if methods else ""),
    )
