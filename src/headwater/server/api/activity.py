"""Statements and job runs in one list: filters, pages, changes as they come, cancel, run again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, replace
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.jobs.activity import ACTIVE, PHASES, QUERY, Activities, Activity, Filter
from headwater.jobs.service import JobService
from headwater.model.principal import Identity
from headwater.model.privilege import Privilege, Securable
from headwater.model.statement import Dialect, Statement
from headwater.server.api.context import Caller, RequestId, Running
from headwater.server.api.problems import problem_of
from headwater.server.parts import Parts

router = APIRouter(tags=["runs"])

EVENT_STREAM = "text/event-stream"
_TICK_SECONDS = 1.0
_BEAT_SECONDS = 15.0
_LONGEST_SECONDS = 300.0
"""After that the client connects again, and is asked again who it is."""
_LOOK_BACK_MS = 5_000
_MOST = 300

Phase = Literal["waiting", "running", "success", "failed", "cancelled"]


class ActivityView(BaseModel):
    """A statement (kind `query`) or a job run; times in Unix milliseconds.

    `title` is a statement's text without its literals, or a run's name.
    """

    id: str
    kind: str
    phase: Phase
    state: str
    title: str
    user: str
    role: str | None
    source: str
    created_ms: int
    started_ms: int | None
    finished_ms: int | None
    error_code: str | None
    error: str | None
    rows: int | None
    scanned_bytes: int | None
    cpu_seconds: float | None
    peak_memory_bytes: int | None
    engine: str | None
    attempt: int | None
    attempts: int | None
    impersonator: str | None = Field(description="Who ran it as this user, if somebody did.")
    mine: bool


class ActivityPage(BaseModel):
    """Rows, newest first; ask for the page that follows with `before` = `next`."""

    rows: list[ActivityView]
    next: str | None
    may_see_all: bool


class ActivityCounts(BaseModel):
    """How many rows each phase has under the same filters."""

    waiting: int
    running: int
    success: int
    failed: int
    cancelled: int


class StatementDetail(BaseModel):
    """A statement with what was decided for it; `sql` is its whole text while that is known."""

    activity: ActivityView
    sql: str | None
    text: str
    dialect: Dialect
    schema_name: str | None = Field(alias="schema", serialization_alias="schema")
    update_type: str | None
    client: str
    queued_seconds: float | None
    elapsed_seconds: float | None
    progress: float | None
    result_bytes: int
    has_result: bool
    decisions: list[dict[str, Any]]


class Nothing(BaseModel):
    """An empty body."""


class Rerun(BaseModel):
    """What a retry started: a statement (kind `query`) or a job run."""

    id: str
    kind: str


Phases = Annotated[list[Phase], Query(alias="phase", default_factory=list)]
Kinds = Annotated[list[str], Query(alias="kind", max_length=10, default_factory=list)]
Text = Annotated[str, Query(alias="q", max_length=500)]
Everyone = Annotated[bool, Query(alias="all", description="Of everyone; for administrators.")]


@router.get("/runs")
def find(
    caller: Caller,
    running: Running,
    request: RequestId,
    phases: Phases,
    kinds: Kinds,
    user: str | None = None,
    text: Text = "",
    since_ms: int | None = None,
    until_ms: int | None = None,
    run_id: Annotated[str | None, Query(description="Statements of this job run.")] = None,
    before: Annotated[str | None, Query(description="`next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    everyone: Everyone = False,
) -> ActivityPage:
    """What the caller ran, statements and job runs; with `all` everyone's."""
    may = _sees_all(running, caller, request)
    wanted = _filter(caller, everyone, may, phases, kinds, user, text, since_ms, until_ms)
    activities = _activities(running)
    if run_id is not None:
        # Raises RUN_NOT_FOUND for a run of somebody else.
        run = running.jobs.get(caller, run_id)
        wanted = replace(
            wanted,
            principal_id=run.principal_id,
            kinds=frozenset({QUERY}),
            session_ids=tuple(activities.children(run.id)) or ("-",),
        )
    rows = activities.find(wanted, before=_cursor(before), limit=limit)
    more = f"{rows[-1].created_ms}~{rows[-1].id}" if len(rows) == limit else None
    return ActivityPage(rows=[_view(row, caller) for row in rows], next=more, may_see_all=may)


@router.get("/runs/counts")
def counts(
    caller: Caller,
    running: Running,
    request: RequestId,
    kinds: Kinds,
    user: str | None = None,
    text: Text = "",
    since_ms: int | None = None,
    until_ms: int | None = None,
    everyone: Everyone = False,
) -> ActivityCounts:
    """How many rows of the list are in each phase."""
    may = _sees_all(running, caller, request)
    wanted = _filter(caller, everyone, may, [], kinds, user, text, since_ms, until_ms)
    return ActivityCounts(**_activities(running).counts(wanted))


@router.get(
    "/runs/stream",
    response_class=Response,
    responses={200: {"content": {EVENT_STREAM: {}}, "description": "Rows as they change."}},
)
async def stream(
    caller: Caller, running: Running, request: RequestId, everyone: Everyone = False
) -> Response:
    """New and changed rows as server-sent events named `run`; ends after some minutes."""

    def look(since: int, known: frozenset[str]) -> list[Activity]:
        # Decided anew at every look: a right that was taken away ends the stream.
        may = _sees_all(running, caller, request)
        wanted = _filter(caller, everyone, may, [], [], None, "", None, None)
        return _changing(_activities(running), wanted, since, known)

    await run_in_threadpool(look, int(time.time() * 1000), frozenset())
    return StreamingResponse(
        _follow(look, caller),
        media_type=EVENT_STREAM,
        headers={"x-accel-buffering": "no"},
    )


@router.get("/runs/{statement_id}")
def show(
    statement_id: str, caller: Caller, running: Running, request: RequestId
) -> StatementDetail:
    """A statement of the caller, or any for administrators; job runs are at /job-runs."""
    may = _sees_all(running, caller, request)
    row = _statement(running, caller, may, statement_id)
    entry = running.queries.history.entry(statement_id)
    live = running.queries.get(statement_id)
    # What an administrator ran as this user is theirs to read, not the user's.
    mine = row.owner_id == caller.principal.id
    events = running.audit.query(request_id=statement_id, limit=200)
    if not may:
        # A client may choose its request ids, so one may be a statement's of somebody else.
        own = [e for e in events if e.facts.get("principal_id") == caller.principal.id]
        events = [event.for_its_principal() for event in own]
    stats = live.stats() if live is not None else None
    assert entry is not None, "it was found a moment ago"
    return StatementDetail(
        activity=_view(row, caller),
        # Literals may be anything: only who wrote them reads them again.
        sql=live.statement.text if live is not None and mine else None,
        text=entry["text"],
        dialect=entry["dialect"],
        schema=entry["schema_name"],
        update_type=entry["update_type"],
        client=entry["client"],
        queued_seconds=stats.queued_seconds if stats else _seconds(row.created_ms, row.started_ms),
        elapsed_seconds=stats.elapsed_seconds
        if stats
        else _seconds(row.created_ms, row.finished_ms),
        progress=stats.progress if stats else None,
        result_bytes=entry["result_bytes"] or 0,
        has_result=live is not None and mine and live.pages_ready > 0,
        decisions=[dict(event.facts) for event in reversed(events)],
    )


@router.post("/runs/{activity_id}/cancel", status_code=204)
def cancel(
    activity_id: str, _body: Nothing, caller: Caller, running: Running, request: RequestId
) -> Response:
    """Stops a statement or a job run of the caller, or any for administrators."""
    may = _sees_all(running, caller, request)
    row = _find(running, caller, may, activity_id)
    if row.kind != QUERY:
        running.jobs.cancel(caller, activity_id, request)
    else:
        if row.owner_id != caller.principal.id:
            asked = running.access.begin(caller, request_id=request, statement="CANCEL STATEMENT")
            asked.check(Privilege.MANAGE_GRANTS, Securable.catalog())
            asked.seal()
        running.queries.cancel(activity_id)
    return Response(status_code=204)


@router.post("/runs/{activity_id}/retry", status_code=201)
def retry(
    activity_id: str, _body: Nothing, caller: Caller, running: Running, request: RequestId
) -> Rerun:
    """Runs a statement or a job run of the caller's again, as the caller is now."""
    row = _find(running, caller, False, activity_id)
    if row.kind != QUERY:
        again = running.jobs.retry(caller, activity_id, request)
        return Rerun(id=again.id, kind=again.spec.kind)
    old = running.queries.get(activity_id)
    if old is None or old.statement.inputs or row.impersonator:
        raise error(
            ErrorCode.NOT_SUPPORTED,
            "the text of this statement is not kept any more",
            hint="write it again: its literals are not in the history",
        )
    role = caller.role or old.session.identity.role
    identity = replace(caller, role=role)
    running.policies.current().subject(identity)
    session = replace(old.session, identity=identity)
    before = old.statement
    statement = Statement(before.text, before.parameters, engine=before.engine)
    return Rerun(id=running.queries.submit(session, statement).id, kind=QUERY)


async def _follow(
    look: Callable[[int, frozenset[str]], list[Activity]], caller: Identity
) -> AsyncIterator[bytes]:
    started = time.monotonic()
    known: dict[str, tuple[object, ...]] = {}
    since = int(time.time() * 1000) - _LOOK_BACK_MS
    quiet = 0.0
    yield b": here\n\n"
    while time.monotonic() - started < _LONGEST_SECONDS:
        now = int(time.time() * 1000)
        try:
            rows = await run_in_threadpool(look, since, frozenset(known))
        except HeadwaterError as exc:
            yield b"event: problem\ndata: %s\n\n" % orjson.dumps(problem_of(exc))
            return
        since = now - _LOOK_BACK_MS
        sent = False
        for row in rows:
            mark = (row.state, row.attempt, row.started_ms, row.finished_ms, row.rows)
            if known.get(row.id) != mark:
                known[row.id] = mark
                sent = True
                view = _view(row, caller).model_dump(mode="json")
                yield b"event: run\ndata: %s\n\n" % orjson.dumps(view)
        for row in rows:
            if row.phase not in ACTIVE and row.created_ms < since:
                known.pop(row.id, None)
        quiet = 0.0 if sent else quiet + _TICK_SECONDS
        if quiet >= _BEAT_SECONDS:
            quiet = 0.0
            yield b": waiting\n\n"
        await asyncio.sleep(_TICK_SECONDS)


def _changing(
    activities: Activities, wanted: Filter, since: int, known: frozenset[str]
) -> list[Activity]:
    """What is new, what has not ended, and what had not ended when it was last looked at."""
    rows = {row.id: row for row in activities.find(replace(wanted, since_ms=since), limit=_MOST)}
    active = replace(wanted, phases=ACTIVE)
    rows |= {row.id: row for row in activities.find(active, limit=_MOST)}
    for left in known - rows.keys():
        row = activities.get(wanted, left)
        if row is not None:
            rows[left] = row
    return sorted(rows.values(), key=lambda row: (row.created_ms, row.id))


def _filter(
    caller: Identity,
    everyone: bool,
    may: bool,
    phases: list[Phase],
    kinds: list[str],
    user: str | None,
    text: str,
    since_ms: int | None,
    until_ms: int | None,
) -> Filter:
    if everyone and not may:
        raise error(
            ErrorCode.PERMISSION_DENIED,
            "only administrators see the runs of everyone",
            hint="leave out `all` to see yours",
        )
    return Filter(
        principal_id=None if everyone else caller.principal.id,
        user=user,
        phases=frozenset[str](phases) & frozenset(PHASES),
        kinds=frozenset(kinds),
        text=text.strip(),
        since_ms=since_ms,
        until_ms=until_ms,
    )


def _sees_all(running: Parts, caller: Identity, request: str) -> bool:
    """True for who may read both everybody's statements and everybody's runs."""
    asked = running.access.begin(caller, request_id=request)
    jobs: JobService = running.jobs
    return asked.allows(Privilege.MANAGE_GRANTS, Securable.catalog()) and jobs.is_admin(caller)


def _find(running: Parts, caller: Identity, may: bool, activity_id: str) -> Activity:
    wanted = Filter(principal_id=None if may else caller.principal.id)
    row = _activities(running).get(wanted, activity_id)
    if row is None:
        raise error(
            ErrorCode.RUN_NOT_FOUND,
            f"there is no run {activity_id[:64]} of yours",
            hint="the list of runs shows what there is",
        )
    return row


def _statement(running: Parts, caller: Identity, may: bool, statement_id: str) -> Activity:
    row = _find(running, caller, may, statement_id)
    if row.kind != QUERY:
        raise error(
            ErrorCode.RUN_NOT_FOUND,
            f"{statement_id[:64]} is a job run",
            hint=f"read /api/v1/job-runs/{statement_id[:64]}",
        )
    return row


def _activities(running: Parts) -> Activities:
    return Activities(running.database, running.queries)


def _view(row: Activity, caller: Identity) -> ActivityView:
    facts = asdict(row)
    mine = facts.pop("owner_id") == caller.principal.id
    return ActivityView(**facts, mine=mine)


def _cursor(text: str | None) -> tuple[int, str] | None:
    if text is None:
        return None
    at, found, last = text.partition("~")
    if not found or not at.isdigit() or len(at) > 15:
        raise error(ErrorCode.INVALID_ARGUMENT, "`before` is not what a page answered as `next`")
    return int(at), last


def _seconds(since_ms: int | None, until_ms: int | None) -> float | None:
    return None if since_ms is None or until_ms is None else (until_ms - since_ms) / 1000
