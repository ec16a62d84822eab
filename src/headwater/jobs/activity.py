"""Everything that runs or ran, statements and job runs alike, in one list, newest first.

Each has a phase that means the same for both: `waiting`, `running`, `success`, `failed` or
`cancelled`. Pages are cut by time and id, so that new rows never shift what was read before.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select

from headwater.jobs.tables import run, run_attempt
from headwater.model.run import RunState
from headwater.model.statement import QueryState
from headwater.query.history import query_history as history
from headwater.query.service import QueryService
from headwater.store.database import Database

QUERY = "query"
"""The kind of statements in the list; job runs have their own kinds."""

PHASES: Mapping[str, tuple[tuple[QueryState, ...], tuple[RunState, ...]]] = {
    "waiting": ((QueryState.QUEUED,), (RunState.SUBMITTED, RunState.QUEUED)),
    "running": (
        (QueryState.PLANNING, QueryState.RUNNING),
        (RunState.PENDING, RunState.SCHEDULED, RunState.RUNNING, RunState.CANCELLING),
    ),
    "success": ((QueryState.FINISHED,), (RunState.SUCCESS,)),
    "failed": ((QueryState.FAILED,), (RunState.FAILED,)),
    "cancelled": ((QueryState.CANCELED,), (RunState.CANCELLED,)),
}
"""The phases, each with the states of statements and of runs that it stands for."""

ACTIVE = frozenset({"waiting", "running"})
"""The phases of what has not ended."""

_PHASE_OF = {str(state): phase for phase, pair in PHASES.items() for each in pair for state in each}

_DOTTED = re.compile(r" \. ")
_CLOSED = re.compile(r" ([,)])")
_OPENED = re.compile(r"\( ")
_FINAL = [str(state) for state in QueryState if state.is_final]
_MOST_ACTIVE = 1000


@dataclass(frozen=True, slots=True)
class Filter:
    """Which rows are wanted; None and empty mean any. Times in Unix milliseconds."""

    principal_id: str | None = None
    user: str | None = None
    phases: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()
    text: str = ""
    since_ms: int | None = None
    until_ms: int | None = None
    session_ids: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Activity:
    """One statement or run; `title` is a statement's text without literals, or a run's name.

    `owner_id` is who asked for it: the impersonator, if one ran it as the user.
    """

    id: str
    kind: str
    phase: str
    state: str
    title: str
    user: str
    role: str | None
    source: str
    owner_id: str
    created_ms: int
    started_ms: int | None
    finished_ms: int | None
    error_code: str | None
    error: str | None
    rows: int | None = None
    scanned_bytes: int | None = None
    cpu_seconds: float | None = None
    peak_memory_bytes: int | None = None
    engine: str | None = None
    attempt: int | None = None
    attempts: int | None = None
    impersonator: str | None = None


class Activities:
    """Reads the list; whose rows a caller may have is decided by who calls."""

    def __init__(self, database: Database, queries: QueryService) -> None:
        self._database = database
        self._queries = queries

    def find(
        self, wanted: Filter, *, before: tuple[int, str] | None = None, limit: int = 100
    ) -> list[Activity]:
        """Rows that match, newest first; `before` is the time and id of the last row seen."""
        found: list[list[Activity]] = []
        if not wanted.kinds or QUERY in wanted.kinds:
            found.append(self._statements(wanted, before, limit))
        kinds = wanted.kinds - {QUERY}
        if (not wanted.kinds or kinds) and not wanted.session_ids:
            found.append(self._runs(wanted, kinds, before, limit))
        merged = heapq.merge(*found, key=lambda row: (row.created_ms, row.id), reverse=True)
        return [row for row, _ in zip(merged, range(limit), strict=False)]

    def get(self, wanted: Filter, activity_id: str) -> Activity | None:
        """The statement or run of an id, if it is among the rows that match."""
        for table, read in ((history, self._rows_of_statements), (run, self._rows_of_runs)):
            conditions = [table.c.id == activity_id, *_conditions(table, wanted)]
            rows = read(select(table).where(*conditions))
            if rows:
                return rows[0]
        return None

    def counts(self, wanted: Filter) -> dict[str, int]:
        """How many rows there are in each phase, whatever phases are wanted."""
        counted = dict.fromkeys(PHASES, 0)
        self._queries.history.afterwards.flush()
        kinds = wanted.kinds - {QUERY}
        for table, own in ((history, QUERY in wanted.kinds), (run, bool(kinds))):
            if wanted.kinds and not own:
                continue
            conditions = _conditions(table, wanted)
            if table is history:
                conditions.append(history.c.state.in_(_FINAL))
            elif kinds:
                conditions.append(run.c.kind.in_(sorted(kinds)))
            grouped = select(table.c.state, func.count()).where(*conditions)
            with self._database.read() as connection:
                found: list[Any] = list(connection.execute(grouped.group_by(table.c.state)))
            for state, count in found:
                counted[_PHASE_OF[state]] += count
        if not wanted.kinds or QUERY in wanted.kinds:
            for row in self._statements(replace(wanted, phases=ACTIVE), None, _MOST_ACTIVE):
                counted[row.phase] += 1
        return counted

    def children(self, run_id: str) -> list[str]:
        """The session ids of a run's attempts, by which its statements are found."""
        wanted = select(run_attempt.c.session_id).where(run_attempt.c.run_id == run_id)
        with self._database.read() as connection:
            found: list[str] = list(connection.execute(wanted).scalars())
        return [session for session in found if session]

    def _statements(
        self, wanted: Filter, before: tuple[int, str] | None, limit: int
    ) -> list[Activity]:
        conditions = _conditions(history, wanted)
        if wanted.phases:
            ended = wanted.phases - ACTIVE
            states = [str(s) for phase in sorted(ended) for s in PHASES[phase][0]]
            if wanted.phases & ACTIVE:
                # The history does not follow a statement on its way, so that is looked at below.
                conditions.append(or_(history.c.state.in_(states), history.c.state.not_in(_FINAL)))
            else:
                conditions.append(history.c.state.in_(states))
        if wanted.session_ids:
            conditions.append(history.c.session_id.in_(list(wanted.session_ids)))
        rows = self._rows_of_statements(_page(history, conditions, before, limit))
        return [row for row in rows if not wanted.phases or row.phase in wanted.phases]

    def _runs(
        self,
        wanted: Filter,
        kinds: frozenset[str],
        before: tuple[int, str] | None,
        limit: int,
    ) -> list[Activity]:
        conditions = _conditions(run, wanted)
        if wanted.phases:
            states = [str(s) for phase in sorted(wanted.phases) for s in PHASES[phase][1]]
            conditions.append(run.c.state.in_(states))
        if kinds:
            conditions.append(run.c.kind.in_(sorted(kinds)))
        return self._rows_of_runs(_page(run, conditions, before, limit))

    def _rows_of_statements(self, wanted: Select[Any]) -> list[Activity]:
        self._queries.history.afterwards.flush()
        with self._database.read() as connection:
            rows = connection.execute(wanted).mappings().all()
        return [self._statement(dict(row)) for row in rows]

    def _rows_of_runs(self, wanted: Select[Any]) -> list[Activity]:
        with self._database.read() as connection:
            rows = connection.execute(wanted).mappings().all()
        return [_run(dict(row)) for row in rows]

    def _statement(self, row: Mapping[str, Any]) -> Activity:
        live = self._queries.get(row["id"])
        # The history learns of an end a moment later, and of nothing in between.
        state = str(row["state"] if live is None else (live.outcome or live.state))
        return Activity(
            id=row["id"],
            kind=QUERY,
            phase=_PHASE_OF[state],
            state=state,
            title=_tidy(row["text"]),
            user=row["principal_name"],
            role=row["role"],
            source=row["source"],
            owner_id=row["impersonator_id"] or row["principal_id"],
            created_ms=row["created_ms"],
            started_ms=row["started_ms"] if live is None else _ms(live.started),
            finished_ms=row["finished_ms"],
            error_code=row["error_code"],
            error=row["error_message"],
            rows=row["result_rows"],
            scanned_bytes=row["scanned_bytes"],
            cpu_seconds=row["cpu_seconds"],
            peak_memory_bytes=row["peak_memory_bytes"],
            engine=row["engine"],
            impersonator=row["impersonator_name"],
        )


def _run(row: Mapping[str, Any]) -> Activity:
    spec = row["spec"]
    return Activity(
        id=row["id"],
        kind=row["kind"],
        phase=_PHASE_OF[row["state"]],
        state=row["state"],
        title=row["name"],
        user=row["principal_name"],
        role=row["role"],
        source="job",
        owner_id=row["principal_id"],
        created_ms=row["created_ms"],
        started_ms=row["started_ms"],
        finished_ms=row["finished_ms"],
        error_code=row["error_code"],
        error=row["reason"],
        attempt=row["attempt"],
        attempts=spec["retry"]["max_attempts"],
    )


def _tidy(text: str) -> str:
    """A text without literals, its tokens closer together; for reading only."""
    return _OPENED.sub("(", _CLOSED.sub(r"\1", _DOTTED.sub(".", text)))


def _conditions(table: Any, wanted: Filter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.principal_id is not None:
        mine = table.c.principal_id == wanted.principal_id
        if table is history:
            # What somebody ran as this user is in both lists.
            mine |= history.c.impersonator_id == wanted.principal_id
        conditions.append(mine)
    if wanted.user is not None:
        conditions.append(table.c.principal_name == wanted.user)
    if wanted.since_ms is not None:
        conditions.append(table.c.created_ms >= wanted.since_ms)
    if wanted.until_ms is not None:
        conditions.append(table.c.created_ms < wanted.until_ms)
    if wanted.text:
        title = history.c.text if table is history else run.c.name
        error = history.c.error_message if table is history else run.c.reason
        conditions.append(
            or_(
                *(
                    column.icontains(wanted.text, autoescape=True)
                    for column in (title, error, table.c.error_code)
                ),
                table.c.id == wanted.text,
            )
        )
    return conditions


def _page(
    table: Any,
    conditions: Sequence[ColumnElement[bool]],
    before: tuple[int, str] | None,
    limit: int,
) -> Select[Any]:
    wanted = select(table).where(*conditions)
    if before is not None:
        at, last = before
        created, row_id = table.c.created_ms, table.c.id
        wanted = wanted.where(or_(created < at, and_(created == at, row_id < last)))
    return wanted.order_by(table.c.created_ms.desc(), table.c.id.desc()).limit(limit)


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds * 1000)
