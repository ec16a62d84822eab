"""Files of granted locations, on this machine or on S3: looked at, and taken for a load."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.model.statement import Session
from headwater.server.api.context import Caller, Running
from headwater.server.api.problems import Problem, problem_of
from headwater.server.load.files import format_of
from headwater.server.load.staging import Staging

router = APIRouter(tags=["locations"])

_ENTRIES = 1000
_PATHS = 100


class LocationEntryView(BaseModel):
    """A file or folder; `format` is None for files that cannot be loaded."""

    name: str
    path: str
    folder: bool
    bytes: int
    format: str | None


class StageRequest(BaseModel):
    """What to copy for loading: files, folders or patterns of granted locations."""

    paths: list[Annotated[str, Field(min_length=1, max_length=4096)]] = Field(
        min_length=1,
        max_length=_PATHS,
        description="`s3://bucket/prefix/*.csv`, `/folder/file.parquet`, `/folder/`.",
    )


class StagedFile(BaseModel):
    """What a path stood for, copied; it is an upload from here on, of one file or of many."""

    id: str
    name: str
    bytes: int
    files: int


class StagingView(BaseModel):
    """How a copy goes; `uploads` has one for each path, at its end."""

    id: str
    state: Literal["RUNNING", "FINISHED", "FAILED"]
    files: int
    total_bytes: int
    done_files: int
    done_bytes: int
    uploads: list[StagedFile]
    error: Problem | None


@router.get("/locations/files")
def location_files(path: str, caller: Caller, running: Running) -> list[LocationEntryView]:
    """What a granted folder holds, the first thousand of it: `/folder` or `s3://bucket/prefix`."""
    session = Session(caller, source="studio")
    return [
        LocationEntryView(
            name=each.name,
            path=each.path,
            folder=each.is_folder,
            bytes=each.bytes,
            format=None if each.is_folder else _format(each.name),
        )
        for each in running.locations.entries(session, path, most=_ENTRIES)
    ]


@router.post("/locations/stage", status_code=202)
def stage(
    body: StageRequest,
    caller: Caller,
    running: Running,
    wait: Annotated[float, Query(ge=0, le=60)] = 0.0,
) -> StagingView:
    """Begins to copy files, to be previewed and loaded like uploads; poll it for its end."""
    made = running.stagings.start(caller, body.paths)
    made.done.wait(wait)
    return _view(made)


@router.get("/locations/stage/{staging_id}")
def staging(
    staging_id: str,
    caller: Caller,
    running: Running,
    wait: Annotated[float, Query(ge=0, le=60)] = 0.0,
) -> StagingView:
    """How the copy goes, after at most `wait` seconds: sooner when it has ended."""
    found = _own(running.stagings.get(caller, staging_id), staging_id)
    found.done.wait(wait)
    return _view(found)


@router.delete("/locations/stage/{staging_id}", status_code=204)
def cancel_staging(staging_id: str, caller: Caller, running: Running) -> Response:
    """Stops the copy; nothing of it stays, and nothing of one that has ended."""
    running.stagings.cancel(_own(running.stagings.get(caller, staging_id), staging_id))
    return Response(status_code=204)


def _own(found: Staging | None, staging_id: str) -> Staging:
    if found is None:
        raise error(ErrorCode.STATEMENT_NOT_FOUND, f"there is no copy {staging_id[:100]}")
    return found


def _view(found: Staging) -> StagingView:
    state: Literal["RUNNING", "FINISHED", "FAILED"] = "RUNNING"
    if found.done.is_set():
        state = "FINISHED" if found.error is None else "FAILED"
    return StagingView(
        id=found.id,
        state=state,
        files=found.files,
        total_bytes=found.total_bytes,
        done_files=found.done_files,
        done_bytes=found.done_bytes,
        uploads=[
            StagedFile(id=each.id, name=each.name, bytes=each.bytes, files=each.files)
            for each in found.staged
        ],
        error=Problem(**problem_of(found.error)) if found.error else None,
    )


def _format(name: str) -> str | None:
    try:
        return format_of(name)[0].value
    except HeadwaterError:
        return None
