"""Stored results over HTTP: windows of rows, whole cells, files to download."""

from __future__ import annotations

import itertools
from typing import Annotated, Any, Literal

import orjson
import pyarrow as pa
from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from starlette.concurrency import run_in_threadpool

from headwater.client.values import json_value, python_values
from headwater.errors import ErrorCode, error
from headwater.query.stored import MOST_ROWS, Window, cut_texts
from headwater.server.api.context import Caller, Running
from headwater.server.api.statements import ARROW_STREAM, ResultColumn, owned, result_columns
from headwater.server.api.waiting import wait_until
from headwater.server.download import FileKind, disposition, file_parts
from headwater.sql.arrange import Arrangement, Comparison, Condition, parse_sort

router = APIRouter(tags=["results"])

_LONGEST_WAIT = 30.0


class Test(BaseModel):
    """One condition on a column, by its position from 0."""

    column: int = Field(ge=0, le=100_000)
    op: Comparison
    value: str | None = Field(None, max_length=10_000)


_TESTS = TypeAdapter(list[Test])

Sort = Annotated[
    str, Query(max_length=400, description="Columns by position: `2:desc,0`. NULL comes last.")
]
Conditions = Annotated[
    str,
    Query(
        alias="filter",
        max_length=100_000,
        description='A JSON list of `{"column": 2, "op": "contains", "value": "x"}`; all hold.',
    ),
]


class RowsPage(BaseModel):
    """A window: `total` counts the view's rows so far, all of them once it is `final`."""

    columns: list[ResultColumn]
    rows: list[list[Any]]
    offset: int
    total: int
    final: bool


class Cell(BaseModel):
    """One whole value."""

    value: Any


@router.get(
    "/statements/{statement_id}/rows",
    response_model=RowsPage,
    responses={200: {"content": {ARROW_STREAM: {}}, "description": "JSON, or an Arrow stream."}},
)
async def rows(
    statement_id: str,
    caller: Caller,
    running: Running,
    offset: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=MOST_ROWS)] = 500,
    sort: Sort = "",
    conditions: Conditions = "",
    cut: Annotated[int | None, Query(ge=1, description="Longest text in characters.")] = None,
    form: Annotated[Literal["json", "arrow"], Query(alias="format")] = "arrow",
    wait: Annotated[float, Query(ge=0, le=_LONGEST_WAIT)] = _LONGEST_WAIT,
) -> Any:
    """A window of the stored result, sorted and filtered by the server.

    The Arrow answer tells the view's rows in `x-headwater-rows`, and in `x-headwater-final` whether
    that may still grow. Heavy rows come fewer than asked: go on after those that came.
    """
    query = await run_in_threadpool(owned, running, caller, statement_id)
    view = _arrangement(sort, conditions)

    def there() -> bool:
        results = query.results
        return results is not None and results.rows > offset

    await wait_until(query, there, wait)
    window = await run_in_threadpool(running.results.window, query, view, offset, limit)
    if cut is not None:
        window = Window(cut_texts(window.table, cut), offset, window.total, window.final)
    if form == "json":
        return await run_in_threadpool(_page, window)
    return Response(
        _stream(window.table),
        media_type=ARROW_STREAM,
        headers={
            "x-headwater-rows": str(window.total),
            "x-headwater-offset": str(window.offset),
            "x-headwater-final": "true" if window.final else "false",
        },
    )


@router.get("/statements/{statement_id}/cell")
def cell(
    statement_id: str,
    caller: Caller,
    running: Running,
    row: Annotated[int, Query(ge=0)],
    column: Annotated[int, Query(ge=0)],
    sort: Sort = "",
    conditions: Conditions = "",
) -> Cell:
    """One value in full, for those that `rows` cut."""
    query = owned(running, caller, statement_id)
    table = running.results.window(query, _arrangement(sort, conditions), row, 1).table
    if table.num_rows == 0 or column >= table.num_columns:
        raise error(ErrorCode.INVALID_ARGUMENT, "the result has no such cell")
    return Cell(value=json_value(python_values(table.column(column))[0]))


@router.get(
    "/statements/{statement_id}/download",
    response_class=Response,
    responses={200: {"content": {kind.media_type: {} for kind in FileKind}}},
)
def download(
    statement_id: str,
    caller: Caller,
    running: Running,
    kind: Annotated[FileKind, Query(alias="format")] = FileKind.CSV,
    name: Annotated[str, Query(max_length=500)] = "",
    sort: Sort = "",
    conditions: Conditions = "",
    formulas: Annotated[
        Literal["guard", "keep"],
        Query(description="CSV: whether texts that spreadsheets would run get a ' in front."),
    ] = "guard",
) -> StreamingResponse:
    """The whole result of an ended statement as a file."""
    query = owned(running, caller, statement_id)
    if not query.state.is_final:
        raise error(
            ErrorCode.INVALID_ARGUMENT,
            "the statement still runs",
            hint="download its result once it has ended",
        )
    batches = running.results.batches(query, _arrangement(sort, conditions))
    schema = query.schema or pa.schema([])
    parts = file_parts(kind, schema, batches, guard_formulas=formulas == "guard")
    # The first part now: what is wrong with the request is an answer, not a broken file.
    first = next(parts)
    headers = {"content-disposition": disposition(name or statement_id, kind)}
    return StreamingResponse(
        itertools.chain((first,), parts), media_type=kind.media_type, headers=headers
    )


def _arrangement(sort: str, conditions: str) -> Arrangement:
    tests: list[Test] = []
    if conditions:
        try:
            tests = _TESTS.validate_python(orjson.loads(conditions))
        except (orjson.JSONDecodeError, ValidationError) as exc:
            raise error(
                ErrorCode.INVALID_ARGUMENT,
                "the filter is not a list of conditions",
                hint='write [{"column": 0, "op": "eq", "value": "x"}]; op is one of '
                + ", ".join(Comparison),
            ) from exc
    return Arrangement(
        parse_sort(sort), tuple(Condition(test.column, test.op, test.value) for test in tests)
    )


def _page(window: Window) -> RowsPage:
    columns = [python_values(column) for column in window.table.columns]
    return RowsPage(
        columns=result_columns(window.table.schema),
        rows=[[json_value(value) for value in row] for row in zip(*columns, strict=True)],
        offset=window.offset,
        total=window.total,
        final=window.final,
    )


def _stream(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()
