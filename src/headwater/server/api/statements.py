"""Statements over HTTP: submit, poll, read results as JSON or Arrow, cancel; the history."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated, Any, Literal

import pyarrow as pa
from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from headwater.client.values import json_value, python_values
from headwater.errors import ErrorCode, error
from headwater.model.principal import Identity
from headwater.model.statement import Dialect, QueryState, Session, Statement
from headwater.query.query import Query as RunningQuery
from headwater.server.api.context import Caller, Running
from headwater.server.api.problems import Problem, problem_of
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
    schema_name: str | None = Field(
        None, alias="schema", description="Schema of unqualified names."
    )
    parameters: list[Any] = Field(default_factory=list, description="Values of `?`, in order.")
    properties: dict[str, str] = Field(default_factory=dict, description="Session properties.")
    time_zone: str = "UTC"
    source: str = Field("", max_length=200, description="What the statement belongs to.")


class StatementView(BaseModel):
    """A statement's state; `stats` counts seconds, bytes and rows."""

    id: str
    state: QueryState
    error: Problem | None = None
    update_type: str | None = None
    update_count: int | None = None
    columns: list[dict[str, str]] | None = Field(
        None, description="Name and Arrow type of each column, once known."
    )
    stats: dict[str, float | int | None] = Field(default_factory=dict)
    session_changes: dict[str, Any] = Field(default_factory=dict)


class Page(BaseModel):
    """Some rows of a result; `next` is the page to ask for then, None after the last."""

    columns: list[dict[str, str]]
    rows: list[list[Any]]
    next: int | None


@router.post("/statements", status_code=202)
def submit(body: Submission, caller: Caller, running: Running) -> StatementView:
    """Starts a statement and returns at once; poll it for its state."""
    session = Session(
        caller,
        dialect=body.dialect,
        schema=body.schema_name,
        time_zone=body.time_zone,
        properties=body.properties,
        source=body.source or "api",
    )
    query = running.queries.submit(session, Statement(body.sql, tuple(body.parameters)))
    return _view(query)


@router.get("/statements")
def history(
    caller: Caller, running: Running, limit: Annotated[int, Query(ge=1, le=1000)] = 50
) -> list[dict[str, Any]]:
    """The caller's own statements, latest first."""
    entries = running.queries.history.entries(principal_id=caller.principal.id, limit=limit)
    return [dict(entry.values) | _live(running, entry["id"]) for entry in entries]


@router.get("/statements/{statement_id}")
def status(statement_id: str, caller: Caller, running: Running, wait: Wait = 0.0) -> StatementView:
    """The statement's state, after at most `wait` seconds: sooner when it changes."""
    query = _own(running, caller, statement_id)
    if wait > 0 and not query.state.is_final:
        query.wait(wait)
    return _view(query)


@router.get(
    "/statements/{statement_id}/results",
    response_model=Page,
    responses={200: {"content": {ARROW_STREAM: {}}, "description": "A page, or all as Arrow."}},
)
def results(
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
    query = _own(running, caller, statement_id)
    if form == "arrow":
        _await_schema(query)
        return StreamingResponse(_arrow(query), media_type=ARROW_STREAM)
    batch = _await_page(query, page, wait)
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
    _own(running, caller, statement_id).cancel()
    return Response(status_code=204)


def _live(running: Parts, statement_id: str) -> dict[str, Any]:
    """What the history does not know yet of a statement that still runs."""
    query = running.queries.get(statement_id)
    return {} if query is None or query.state.is_final else {"state": query.state}


def _own(running: Parts, caller: Identity, statement_id: str) -> RunningQuery:
    query = running.queries.get(statement_id)
    if query is None or query.session.identity.principal != caller.principal:
        raise error(
            ErrorCode.STATEMENT_NOT_FOUND,
            f"there is no statement {statement_id}",
            hint="results expire a while after they were last read",
        )
    return query


def _view(query: RunningQuery) -> StatementView:
    failure = query.error
    return StatementView(
        id=query.id,
        state=query.state,
        error=Problem(**problem_of(failure)) if failure else None,
        update_type=query.update_type,
        update_count=query.update_count,
        columns=_columns(query),
        stats=asdict(query.stats()),
        session_changes=asdict(query.session_changes),
    )


def _columns(query: RunningQuery) -> list[dict[str, str]] | None:
    if query.schema is None:
        return None
    return [{"name": field.name, "type": str(field.type)} for field in query.schema]


def _await_schema(query: RunningQuery) -> None:
    while query.schema is None and not query.state.is_final:
        query.wait(_TICK)
    if query.error is not None and query.pages_ready == 0:
        raise query.error


def _await_page(query: RunningQuery, index: int, wait: float) -> pa.RecordBatch | None:
    if query.pages_ready <= index and not query.state.is_final:
        query.wait(wait)
    batch = query.page(index)
    if batch is None and query.error is not None:
        raise query.error
    return batch


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


def _arrow(query: RunningQuery) -> Iterator[bytes]:
    sink: Any = _Sink()
    with pa.ipc.new_stream(sink, query.schema or pa.schema([])) as writer:
        index = 0
        while True:
            final = query.state.is_final
            batch = query.page(index)
            if batch is not None:
                writer.write_batch(batch)
                index += 1
                yield sink.take()
            elif final:
                break
            else:
                query.wait(_TICK)
    if query.error is None:
        yield sink.take()
