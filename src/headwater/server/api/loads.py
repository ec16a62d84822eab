"""Files into tables: send each file, then load them all in one commit."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from headwater.errors import ErrorCode, error
from headwater.server.api.context import Caller, Running
from headwater.server.api.names import table_identifier
from headwater.server.api.problems import Problem, problem_of
from headwater.server.load.files import LoadFile
from headwater.server.load.loader import Load, LoadJob, LoadMode

router = APIRouter(tags=["loads"])

_WRITE_BYTES = 4 * 1024 * 1024


class Upload(BaseModel):
    """A file that has arrived; good for one load within the hour."""

    id: str
    bytes: int


class LoadRequest(BaseModel):
    """Uploads of one format to load into one table."""

    table: str = Field(description="`schema.table`; parts with dots or spaces in double quotes.")
    uploads: list[str] = Field(min_length=1, max_length=10_000)
    mode: LoadMode = LoadMode.CREATE
    on_error: Literal["fail", "skip"] = Field(
        "fail", description="What to do with rows that cannot be read."
    )


class LoadView(BaseModel):
    """How a load goes."""

    id: str
    state: Literal["RUNNING", "FINISHED", "FAILED"]
    rows: int
    skipped: int
    error: Problem | None


@router.post("/uploads", status_code=201)
async def upload(
    request: Request, caller: Caller, running: Running, name: Annotated[str, Query(max_length=255)]
) -> Upload:
    """Takes the body as a file of that name; its extension tells the format."""
    uploads = running.loader.uploads
    file = uploads.place(name)
    try:
        size = await _receive(request.stream(), file)
    except BaseException as exc:
        file.path.unlink(missing_ok=True)
        if isinstance(exc, OSError) and exc.errno in (errno.ENOSPC, errno.EDQUOT):
            raise error(
                ErrorCode.DISK_FULL,
                "the home has no room for this file",
                hint="free some space, or load smaller files one by one",
            ) from exc
        raise
    return Upload(id=uploads.keep(caller.principal, file), bytes=size)


@router.post("/loads", status_code=202)
def start(body: LoadRequest, caller: Caller, running: Running) -> LoadView:
    """Begins to load; poll it for its end."""
    table = table_identifier(body.table)
    files = tuple(running.loader.uploads.take(caller.principal, body.uploads))
    job = running.loader.start(caller, Load(table, files, body.mode, body.on_error == "skip"))
    return _view(job)


@router.get("/loads/{load_id}")
def status(
    load_id: str,
    caller: Caller,
    running: Running,
    wait: Annotated[float, Query(ge=0, le=60)] = 0.0,
) -> LoadView:
    """The load's state, after at most `wait` seconds: sooner when it has ended."""
    job = _own(running.loader.get(caller, load_id), load_id)
    job.done.wait(wait)
    return _view(job)


@router.delete("/loads/{load_id}", status_code=204)
def cancel(load_id: str, caller: Caller, running: Running) -> Response:
    """Stops the load; nothing of it stays. Harmless when it has ended."""
    running.loader.cancel(_own(running.loader.get(caller, load_id), load_id))
    return Response(status_code=204)


async def _receive(stream: AsyncIterator[bytes], file: LoadFile) -> int:
    """Writes a body to its place; whole megabytes at a time, since each write costs a thread."""
    size = 0
    pending = bytearray()
    with file.path.open("xb") as target:
        async for chunk in stream:
            pending += chunk
            if len(pending) >= _WRITE_BYTES:
                size += await run_in_threadpool(target.write, bytes(pending))
                pending.clear()
        size += await run_in_threadpool(target.write, bytes(pending))
    return size


def _own(job: LoadJob | None, load_id: str) -> LoadJob:
    if job is None:
        raise error(ErrorCode.STATEMENT_NOT_FOUND, f"there is no load {load_id}")
    return job


def _view(job: LoadJob) -> LoadView:
    state: Literal["RUNNING", "FINISHED", "FAILED"] = "RUNNING"
    if job.done.is_set():
        state = "FINISHED" if job.error is None else "FAILED"
    return LoadView(
        id=job.id,
        state=state,
        rows=job.rows,
        skipped=job.skipped,
        error=Problem(**problem_of(job.error)) if job.error else None,
    )
