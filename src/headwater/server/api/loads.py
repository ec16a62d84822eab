"""Files into tables: send each file, then load them all in one commit."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.model.statement import Dialect
from headwater.server.api.context import Caller, Running
from headwater.server.api.names import table_identifier
from headwater.server.api.problems import Problem, problem_of
from headwater.server.load.files import EXTENSIONS, CsvOptions, LoadFile
from headwater.server.load.loader import ColumnChoice, Load, LoadJob, LoadMode
from headwater.server.load.preview import Wish, preview, suggested_name
from headwater.sql.types import parse_type

router = APIRouter(tags=["loads"])

_WRITE_BYTES = 4 * 1024 * 1024


class Upload(BaseModel):
    """A file that has arrived; good for one load within the hour."""

    id: str
    bytes: int


class UploadLimits(BaseModel):
    """How large a file may be, and what kinds can be loaded; known before anything is sent."""

    bytes: int = Field(description="The setting, or what the disk has room for.")
    by_disk: bool = Field(description="The disk is what limits it.")
    extensions: list[str]


class ColumnWish(BaseModel):
    """What becomes of a column of the files; columns that are not named are left out."""

    name: str
    to: str | None = Field(None, min_length=1, max_length=255, description="Its name then.")
    type: str | None = Field(None, description="Trino's type text; left out: from all rows.")


class PreviewRequest(BaseModel):
    """How to look at a file: CSV's separator and header, and types for columns."""

    separator: str | None = Field(None, min_length=1, max_length=1)
    header: bool | None = Field(None, description="Left out: as the first line looks.")
    types: dict[str, str] = Field(default_factory=dict, description="Trino's type text by column.")


class PreviewColumnView(BaseModel):
    """A column of a file, and values (a few of them) that are not of its type."""

    name: str
    type: str
    inferred: str
    unfit: int
    examples: list[str]


class FaultView(BaseModel):
    """Something wrong in a line of the file; None: in the file as a whole."""

    line: int | None
    message: str


class PreviewView(BaseModel):
    """A file's beginning; `whole` says that it is all of the file."""

    name: str
    files: int = Field(description="Files of this upload: the first of them is shown.")
    format: str
    columns: list[PreviewColumnView]
    rows: list[list[str | None]]
    faults: list[FaultView]
    separator: str | None
    header: bool | None
    whole: bool
    table: str = Field(description="A name for a table of it.")


class LoadRequest(BaseModel):
    """Uploads of one format to load into one table."""

    table: str = Field(description="`schema.table`; parts with dots or spaces in double quotes.")
    uploads: list[str] = Field(min_length=1, max_length=10_000)
    mode: LoadMode = LoadMode.CREATE
    on_error: Literal["fail", "skip"] = Field(
        "fail", description="What to do with rows that cannot be read."
    )
    columns: list[ColumnWish] = Field(
        default_factory=list, max_length=10_000, description="Left out: all, as they are."
    )
    separator: str | None = Field(None, min_length=1, max_length=1, description="CSV's.")
    header: bool = Field(True, description="CSV: the first line names the columns.")
    keep: bool = Field(False, description="Keep the uploads for another attempt if this fails.")


class LoadView(BaseModel):
    """How a load goes."""

    id: str
    state: Literal["RUNNING", "FINISHED", "FAILED"]
    stage: str = Field(description="What it does at present, in words.")
    table: str
    rows: int
    skipped: int
    error: Problem | None
    faults: list[FaultView] = Field(description="Lines that made it fail, the first of them.")


@router.get("/uploads/limits")
def limits(_caller: Caller, running: Running) -> UploadLimits:
    """How large a file may be at present."""
    most, room = running.settings.limits.upload_bytes, running.loader.uploads.room
    return UploadLimits(bytes=min(most, room), by_disk=room < most, extensions=EXTENSIONS)


@router.post("/uploads", status_code=201)
async def upload(
    request: Request, caller: Caller, running: Running, name: Annotated[str, Query(max_length=255)]
) -> Upload:
    """Takes the body as a file of that name; its extension tells the format."""
    uploads = running.loader.uploads
    most = running.settings.limits.upload_bytes
    length = request.headers.get("content-length", "")
    if length.isdigit():
        # Said before a byte is read, and not after gigabytes of them.
        if int(length) > most:
            raise _too_large(name, most)
        if int(length) > uploads.room:
            raise _no_room()
    file = uploads.place(name)
    try:
        size = await _receive(request.stream(), file, name, most)
    except BaseException as exc:
        file.path.unlink(missing_ok=True)
        if isinstance(exc, OSError) and exc.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _no_room() from exc
        raise
    return Upload(id=uploads.keep(caller.principal, file), bytes=size)


@router.post("/uploads/{upload_id}/preview")
def look(upload_id: str, body: PreviewRequest, caller: Caller, running: Running) -> PreviewView:
    """The file's columns with types, first rows, and what is wrong in its first lines."""
    held = running.loader.uploads.peek(caller.principal, upload_id)
    types = {name: parse_type(text, Dialect.TRINO) for name, text in body.types.items()}
    wish = Wish(body.separator, body.header, types)
    found = preview(running.engine, caller, held.files[0], wish)
    return PreviewView(
        name=held.files[0].name,
        files=len(held.files),
        format=found.format,
        columns=[PreviewColumnView(**asdict(column)) for column in found.columns],
        rows=[list(row) for row in found.rows],
        faults=[FaultView(line=fault.line, message=fault.message) for fault in found.faults],
        separator=found.separator,
        header=found.header,
        whole=found.whole and len(held.files) == 1,
        table=suggested_name(held.name),
    )


@router.delete("/uploads/{upload_id}", status_code=204)
def forget(upload_id: str, caller: Caller, running: Running) -> Response:
    """Removes a file that will not be loaded; harmless when it is gone."""
    running.loader.uploads.drop(caller.principal, upload_id)
    return Response(status_code=204)


@router.post("/loads", status_code=202)
def start(body: LoadRequest, caller: Caller, running: Running) -> LoadView:
    """Begins to load; poll it for its end."""
    table = table_identifier(body.table)
    columns = tuple(
        ColumnChoice(
            wish.name,
            wish.to or wish.name,
            parse_type(wish.type, Dialect.TRINO) if wish.type else None,
        )
        for wish in body.columns
    )
    _check_names([choice.to for choice in columns])
    taken = running.loader.uploads.take(caller.principal, body.uploads)
    load = Load(
        table,
        tuple(file for held in taken for file in held.files),
        body.mode,
        body.on_error == "skip",
        columns,
        CsvOptions(body.separator, body.header),
        kept=tuple(taken) if body.keep else (),
    )
    return _view(running.loader.start(caller, load))


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


async def _receive(stream: AsyncIterator[bytes], file: LoadFile, name: str, most: int) -> int:
    """Writes a body to its place; whole megabytes at a time, since each write costs a thread."""
    size = 0
    pending = bytearray()
    with file.path.open("xb") as target:
        async for chunk in stream:
            pending += chunk
            if size + len(pending) > most:
                raise _too_large(name, most)
            if len(pending) >= _WRITE_BYTES:
                size += await run_in_threadpool(target.write, bytes(pending))
                pending.clear()
        size += await run_in_threadpool(target.write, bytes(pending))
    return size


def _too_large(name: str, most: int) -> HeadwaterError:
    return error(
        ErrorCode.EXCEEDED_STATEMENT_SIZE,
        f"{name}: a file may have {most / 1024**3:.1f} GiB at most",
        hint="send it in parts, compress it, or raise limits.upload_bytes",
    )


def _no_room() -> HeadwaterError:
    return error(
        ErrorCode.DISK_FULL,
        "the home has no room for this file",
        hint="free some space, or load smaller files one by one",
    )


def _check_names(names: list[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name.casefold() in seen:
            raise error(
                ErrorCode.DUPLICATE_COLUMN_NAME,
                f"two columns would be called {name!r}",
                hint="give every column a name of its own; upper and lower case do not differ",
            )
        seen.add(name.casefold())


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
        stage=job.stage,
        table=str(job.load.table),
        rows=job.rows,
        skipped=job.skipped,
        error=Problem(**problem_of(job.error)) if job.error else None,
        faults=[FaultView(line=fault.line, message=fault.message) for fault in job.faults],
    )
