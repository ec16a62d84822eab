"""Statements over HTTP: submit, poll, read results as JSON or Arrow, cancel; the history."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Annotated, Any, Literal

import pyarrow as pa
from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from headwater.client.values import json_value, python_values
from headwater.errors import ErrorCode, error
from headwater.model.principal import Identity
from headwater.model.privilege import Privilege, Securable
from headwater.model.statement import (
    Dialect,
    EngineChoice,
    QueryState,
    QueryStats,
    Session,
    Statement,
)
from headwater.query.query import Query as RunningQuery
from headwater.query.stored import expired
from headwater.server.api.acting import acting
from headwater.server.api.context import Caller, RequestId, Running
from headwater.server.api.problems import Problem, problem_of
from headwater.server.api.waiting import wait_until
from headwater.server.parts import Parts

router = APIRouter(tags=["statements"])

ARROW_STREAM = "application/vnd.apache.arrow.stream"
_LONGEST_WAIT = 60.0
_TICK = 5.0

Wait = Annotated[
    float, Query(ge=0, le=_LONGEST_WAIT, description="Seconds to wait for a change at most.")
]


class Submission(BaseModel):
    """A statement to run."""

    sql: str = Field(description="One statement.")
    dialect: Dialect = Dialect.TRINO
    engine: EngineChoice = Field(
        EngineChoice.AUTO,
        description="Who runs it. auto: the system engine, and for Spark SQL that it lacks, Sail "
        "or Spark. sail and spark need the dialect spark.",
    )
    schema_name: str | None = Field(
        None, alias="schema", description="Schema of unqualified names."
    )
    parameters: list[Any] = Field(default_factory=list, description="Values of `?`, in order.")
    properties: dict[str, str] = Field(default_factory=dict, description="Session properties.")
    time_zone: str = "UTC"
    source: str = Field("", max_length=200, description="What the statement belongs to.")
    role: str | None = Field(
        None, max_length=200, description="Act in this one role, which the caller holds."
    )
    user: str | None = Field(
        None, max_length=200, description="See it as this user does; needs IMPERSONATE."
    )


class ResultColumn(BaseModel):
    """A column of a result; `type` is Arrow's."""

    name: str
    type: str


class StatementView(BaseModel):
    """A statement's state; `stats` counts seconds, bytes and rows."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    id: str
    state: QueryState
    user: str = Field(description="Whose rights it has.")
    role: str | None = None
    engine: str | None = Field(None, description="Who runs or ran it; None: the server itself.")
    release: str | None = Field(None, description="The engine's release, such as spark-4.1.")
    engine_reason: str | None = Field(None, description="Why it is that engine, where it is told.")
    engine_starting: bool = Field(False, description="True while the engine's process starts.")
    error: Problem | None = None
    update_type: str | None = None
    update_count: int | None = None
    columns: list[ResultColumn] | None = Field(None, description="Once they are known.")
    stats: QueryStats
    session_changes: dict[str, Any] = Field(default_factory=dict)
    result_rows: int = Field(0, description="Rows that can be read so far.")


class Page(BaseModel):
    """Some rows of a result; `next` is the page to ask for then, None after the last."""

    columns: list[ResultColumn]
    rows: list[list[Any]]
    next: int | None


class StatementEntry(BaseModel):
    """A statement of the history; times in Unix milliseconds, sizes in bytes."""

    id: str
    state: QueryState
    principal_id: str
    principal_name: str
    impersonator_id: str | None = Field(description="Who ran it in the principal's name.")
    impersonator_name: str | None
    role: str | None
    session_id: str
    client: str
    source: str
    dialect: Dialect
    schema_name: str | None
    text: str = Field(description="Without its literals.")
    sql: str | None = Field(description="As it was written, while the server holds it, to its own.")
    update_type: str | None
    engine: str | None
    error_code: str | None
    error_message: str | None
    decisions: list[Any] = Field(description="Ids of the audited decisions.")
    created_ms: int
    started_ms: int | None
    finished_ms: int | None
    cpu_seconds: float
    peak_memory_bytes: int
    scanned_bytes: int
    scanned_rows: int
    result_rows: int
    result_bytes: int


@router.post("/statements", status_code=202)
def submit(body: Submission, caller: Caller, running: Running, request: RequestId) -> StatementView:
    """Starts a statement and returns at once; poll it for its state."""
    session = Session(
        acting(running, caller, request, role=body.role, user=body.user),
        dialect=body.dialect,
        schema=body.schema_name,
        time_zone=body.time_zone,
        properties=body.properties,
        source=body.source or "api",
    )
    statement = Statement(body.sql, tuple(body.parameters), engine=body.engine)
    return _view(running.queries.submit(session, statement))


@router.get("/statements")
def history(
    caller: Caller,
    running: Running,
    request: RequestId,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
    state: QueryState | None = None,
    since_ms: Annotated[int | None, Query(description="Submitted then or later.")] = None,
    before_ms: Annotated[int | None, Query(description="Submitted earlier; for paging.")] = None,
    text: Annotated[str, Query(max_length=1000, description="Part of the statement.")] = "",
    source: Annotated[str | None, Query(max_length=200)] = None,
    user: Annotated[
        str | None,
        Query(max_length=200, description="Another user, or * for all; needs MANAGE GRANTS."),
    ] = None,
) -> list[StatementEntry]:
    """Statements, latest first, with what they cost; the caller's own unless it may see others'.

    `text` comes without literals; `sql` is there while the server still holds the statement.
    """
    mine: str | None = caller.principal.id
    if user is not None and user != caller.principal.name:
        asked = running.access.begin(caller, request_id=request, statement="SHOW HISTORY")
        asked.check(Privilege.MANAGE_GRANTS, Securable.catalog())
        asked.seal()
        mine = None
    entries = running.queries.history.entries(
        principal_id=mine,
        principal_name=user if user != "*" and mine is None else None,
        state=state,
        since_ms=since_ms,
        before_ms=before_ms,
        text=text,
        source=source,
        limit=limit,
    )
    return [
        StatementEntry(**{**entry.values, **_live(running, caller, entry["id"])})
        for entry in entries
    ]


@router.get("/statements/{statement_id}")
async def status(
    statement_id: str, caller: Caller, running: Running, wait: Wait = 0.0
) -> StatementView:
    """The statement's state, after at most `wait` seconds: sooner when it changes."""
    query = await run_in_threadpool(owned, running, caller, statement_id)
    seen = _moving(query)
    await wait_until(query, lambda: _moving(query) != seen, wait)
    return _view(query)


@router.get(
    "/statements/{statement_id}/results",
    response_model=Page,
    responses={200: {"content": {ARROW_STREAM: {}}, "description": "A page, or all as Arrow."}},
)
async def results(
    statement_id: str,
    caller: Caller,
    running: Running,
    form: Annotated[Literal["json", "arrow"], Query(alias="format")] = "json",
    page: Annotated[int, Query(ge=0)] = 0,
    wait: Wait = _LONGEST_WAIT,
) -> Any:
    """One page as JSON, or the whole result as an Arrow IPC stream while it is produced.

    An Arrow stream whose statement fails simply ends: read the statement's state after it.
    """
    query = await run_in_threadpool(owned, running, caller, statement_id)
    if form == "arrow":
        while query.schema is None and not query.state.is_final:
            await wait_until(query, lambda: query.schema is not None, _TICK)
        if query.error is not None and query.pages_ready == 0:
            raise query.error
        return StreamingResponse(_arrow(query), media_type=ARROW_STREAM)
    await wait_until(query, lambda: query.pages_ready > page, wait)
    return await run_in_threadpool(_page, query, page)


def _page(query: RunningQuery, page: int) -> Page:
    batch = query.page(page)
    if batch is None and query.error is not None:
        raise query.error
    more = batch is not None or not query.state.is_final
    columns = [] if batch is None else [python_values(column) for column in batch.columns]
    return Page(
        columns=_columns(query) or [],
        rows=[[json_value(value) for value in row] for row in zip(*columns, strict=True)],
        next=(page + 1 if batch is not None else page) if more else None,
    )


@router.delete("/statements/{statement_id}", status_code=204)
def cancel(statement_id: str, caller: Caller, running: Running) -> Response:
    """Stops the statement; harmless when it has ended."""
    owned(running, caller, statement_id).cancel()
    return Response(status_code=204)


def owned(running: Parts, caller: Identity, statement_id: str) -> RunningQuery:
    """The caller's statement; raises RESULT_EXPIRED for one that ended long ago.

    Raises STATEMENT_NOT_FOUND for all others, whether there are any or not. What ran in the name of
    another user belongs to who ran it.
    """
    query = running.queries.get(statement_id)
    if query is not None and query.session.identity.owner == caller.principal:
        return query
    entry = None if query is not None else running.queries.history.entry(statement_id)
    if entry is not None:
        owner = entry["impersonator_id"] or entry["principal_id"]
        if owner == caller.principal.id:
            raise expired(statement_id)
    raise error(ErrorCode.STATEMENT_NOT_FOUND, f"there is no statement {statement_id[:80]}")


def _live(running: Parts, caller: Identity, statement_id: str) -> dict[str, Any]:
    """What the history does not have: the exact text, and the state of what still runs."""
    query = running.queries.get(statement_id)
    if query is None:
        return {"sql": None}
    mine = query.session.identity.owner == caller.principal
    live: dict[str, Any] = {"sql": query.statement.text if mine else None}
    return live if query.state.is_final else {**live, "state": query.state}


def _view(query: RunningQuery) -> StatementView:
    failure = query.error
    return StatementView(
        id=query.id,
        state=query.state,
        user=query.session.identity.principal.name,
        role=query.session.identity.role,
        engine=query.engine,
        release=query.release,
        engine_reason=query.engine_reason,
        engine_starting=query.engine_starting and not query.state.is_final,
        error=Problem(**problem_of(failure)) if failure else None,
        update_type=query.update_type,
        update_count=query.update_count,
        columns=_columns(query),
        stats=query.stats(),
        session_changes=asdict(query.session_changes),
        result_rows=query.stats().result_rows,
    )


def _moving(query: RunningQuery) -> tuple[object, ...]:
    """What a waiting client is told of at once."""
    return query.state, query.pages_ready, query.engine, query.engine_starting


def _columns(query: RunningQuery) -> list[ResultColumn] | None:
    return None if query.schema is None else result_columns(query.schema)


def result_columns(schema: pa.Schema) -> list[ResultColumn]:
    """The columns of a result as the API tells them."""
    return [ResultColumn(name=field.name, type=str(field.type)) for field in schema]


class _Sink:
    """Collects what Arrow writes until it is sent."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        return

    def take(self) -> bytes:
        data, self._parts = b"".join(self._parts), []
        return data


async def _arrow(query: RunningQuery) -> AsyncIterator[bytes]:
    sink: Any = _Sink()
    with pa.ipc.new_stream(sink, query.schema or pa.schema([])) as writer:
        index = 0
        while True:
            final = query.state.is_final
            batch = await run_in_threadpool(query.page, index)
            if batch is not None:
                await run_in_threadpool(writer.write_batch, batch)
                index += 1
                yield sink.take()
            elif final:
                break
            else:
                await _next_page(query, index)
    if query.error is None:
        yield sink.take()


async def _next_page(query: RunningQuery, index: int) -> None:
    await wait_until(query, lambda: query.pages_ready > index, _TICK)
