"""Job runs over HTTP: submit, list, show, logs and events as they come, cancel, retry, usage."""

from __future__ import annotations

import asyncio
import base64
import errno
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from headwater.errors import ErrorCode, error
from headwater.jobs.service import JobService, Program
from headwater.jobs.spent import Grouping
from headwater.model.run import (
    RETRYABLE,
    Attempt,
    Compute,
    Entry,
    FailureClass,
    RetryPolicy,
    Run,
    RunSpec,
    RunState,
)
from headwater.model.statement import Dialect
from headwater.server.api.context import Caller, RequestId, Running

router = APIRouter(tags=["jobs"])

EVENT_STREAM = "text/event-stream"
_WRITE_BYTES = 4 * 1024 * 1024
_TICK_SECONDS = 0.3
_BEAT_SECONDS = 15.0
_SHORT = Field("", max_length=200)

Name = Annotated[str, Field(min_length=1, max_length=200)]


class FileView(BaseModel):
    """A program that has arrived; good for one run within a day."""

    id: str
    bytes: int


class ProgramRef(BaseModel):
    """What is run: its text, its bytes in base64, an upload, or a file on a location."""

    model_config = ConfigDict(extra="forbid")

    text: str | None = None
    content: str | None = Field(None, description="The file's bytes in base64; small files only.")
    upload: str | None = Field(None, description="The id that POST /job-files answered.")
    uri: str | None = Field(None, description="A file on a location that you may read.")
    name: str | None = Field(None, max_length=200, description="The file's name.")


class RetryRef(BaseModel):
    """When a failed attempt is followed by another."""

    model_config = ConfigDict(extra="forbid")

    max_attempts: int = Field(1, ge=1, le=10)
    on: list[FailureClass] = Field(default_factory=lambda: sorted(RETRYABLE))
    backoff_seconds: float = Field(5.0, ge=0, le=3600)


class ComputeRef(BaseModel):
    """What the run is given."""

    model_config = ConfigDict(extra="forbid")

    vcpu: float = Field(1.0, gt=0)
    memory_bytes: int = Field(2 * 1024**3, ge=64 * 1024**2)
    executors: int = Field(0, ge=0, le=10_000, description="On a cluster; 0: as it likes.")
    executor_vcpu: float = Field(1.0, gt=0)
    executor_memory_bytes: int = Field(2 * 1024**3, ge=512 * 1024**2)


class RunRequest(BaseModel):
    """A run to submit."""

    model_config = ConfigDict(extra="forbid")

    kind: Name = Field(description="`sql`, `python`, `pyspark` or `jar`.")
    program: ProgramRef
    name: str = _SHORT
    arguments: list[str] = Field(default_factory=list, max_length=1000)
    parameters: dict[str, str] = Field(default_factory=dict)
    environment: dict[str, str] = Field(default_factory=dict)
    configuration: dict[str, str] = Field(
        default_factory=dict, description="Spark's configuration."
    )
    main_class: str | None = Field(None, max_length=500)
    release: str | None = Field(None, max_length=200)
    backend: str = Field(
        "", max_length=200, description="`local` or a cluster; empty: the server's default."
    )
    role: str | None = Field(None, max_length=200, description="A role that you hold.")
    dialect: Dialect = Dialect.SPARK
    schema_name: str | None = Field(None, alias="schema", max_length=500)
    compute: ComputeRef = ComputeRef()
    timeout_seconds: float | None = Field(None, gt=0)
    retry: RetryRef = RetryRef()
    tags: dict[Name, Annotated[str, Field(max_length=200)]] = Field(
        default_factory=dict, max_length=50
    )
    idempotency_key: str | None = Field(None, min_length=1, max_length=200)
    parent_run_id: str | None = Field(None, max_length=64)


class AttemptView(BaseModel):
    """One attempt; times in Unix milliseconds."""

    number: int
    state: RunState
    created_ms: int
    started_ms: int | None
    finished_ms: int | None
    exit_status: int | None
    failure: FailureClass | None
    reason: str | None
    sandbox: str | None
    release: str | None
    progress: dict[str, Any]
    usage: dict[str, Any]


class RunView(BaseModel):
    """A run as it stands."""

    id: str
    kind: str
    name: str
    backend: str
    state: RunState
    user: str
    role: str | None
    program: str
    program_sha256: str
    tags: dict[str, str]
    attempt: int
    max_attempts: int
    created_ms: int
    started_ms: int | None
    finished_ms: int | None
    cancelled_by: str | None
    failure: FailureClass | None
    error_code: str | None
    reason: str | None
    retry_of: str | None
    parent_run_id: str | None
    timeout_seconds: float
    specification: dict[str, Any] | None = None
    attempts: list[AttemptView] | None = None


class UsageRow(BaseModel):
    """What the ended attempts of one group used; gigabytes are 10^9 bytes."""

    key: str
    runs: int
    vcpu_seconds: float = Field(description="Allocated: wall time times CPUs given.")
    cpu_seconds: float = Field(description="Used by the runs' own processes.")
    engine_cpu_seconds: float = Field(description="Used by the engine for the runs' queries.")
    memory_gb_seconds: float
    peak_memory_bytes: int
    bytes_read: int
    bytes_written: int
    queries: int
    wall_seconds: float
    method: str


class Nothing(BaseModel):
    """An empty body."""


class LogPart(BaseModel):
    """A piece of a stream; ask for `next` then."""

    offset: int
    next: int
    text: str
    ended: bool = Field(description="True when nothing will follow.")


class LogLine(BaseModel):
    """A line that was searched for; `offset` is where it begins in the stream."""

    offset: int
    text: str


class LogLines(BaseModel):
    """Lines that hold the text; `cut` when there are more."""

    lines: list[LogLine]
    cut: bool


@router.post("/job-files", status_code=201)
async def upload(
    request: Request, caller: Caller, running: Running, name: Annotated[str, Query(max_length=200)]
) -> FileView:
    """Takes the body as a program's file."""
    jobs = running.jobs
    upload_id, path = await run_in_threadpool(jobs.begin_upload)
    size = 0
    pending = bytearray()
    try:
        with path.open("xb") as target:
            async for chunk in request.stream():
                size += len(chunk)
                if size > jobs.entry_bytes:
                    raise error(
                        ErrorCode.EXCEEDED_STATEMENT_SIZE,
                        f"{name} has more than {jobs.entry_bytes} bytes",
                    )
                pending += chunk
                if len(pending) >= _WRITE_BYTES:
                    await run_in_threadpool(target.write, bytes(pending))
                    pending.clear()
            await run_in_threadpool(target.write, bytes(pending))
        await run_in_threadpool(jobs.end_upload, caller, upload_id)
    except BaseException as exc:
        path.unlink(missing_ok=True)
        if isinstance(exc, OSError) and exc.errno in (errno.ENOSPC, errno.EDQUOT):
            raise error(
                ErrorCode.DISK_FULL, "the home has no room for this file", hint="free some space"
            ) from exc
        raise
    return FileView(id=upload_id, bytes=size)


@router.post("/job-runs", status_code=201)
def submit(body: RunRequest, caller: Caller, running: Running, request: RequestId) -> RunView:
    """Submits a run; it begins when there is room. The same idempotency key gives the same run."""
    settings = running.settings.jobs
    program = body.program
    spec = RunSpec(
        kind=body.kind,
        name=body.name or (program.name or body.kind),
        entry=Entry(""),
        arguments=tuple(body.arguments),
        parameters=body.parameters,
        environment=body.environment,
        configuration=body.configuration,
        main_class=body.main_class,
        release=body.release,
        backend=body.backend,
        role=body.role,
        dialect=body.dialect,
        schema=body.schema_name,
        compute=Compute(**body.compute.model_dump()),
        timeout_seconds=body.timeout_seconds or settings.seconds,
        retry=RetryPolicy(
            body.retry.max_attempts, frozenset(body.retry.on), body.retry.backoff_seconds
        ),
        tags=body.tags,
        idempotency_key=body.idempotency_key,
        parent_run_id=body.parent_run_id,
    )
    given = Program(
        program.text, _bytes(program.content), program.upload, program.uri, program.name
    )
    return _view(running.jobs.submit(caller, spec, given, request))


@router.get("/job-runs")
def find(
    caller: Caller,
    running: Running,
    state: RunState | None = None,
    kind: str | None = None,
    name: str | None = None,
    tag: Annotated[str | None, Query(description="`key=value`")] = None,
    everyone: Annotated[bool, Query(alias="all")] = False,
    since_ms: int | None = None,
    before: Annotated[str | None, Query(description="Pages: the last id seen.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
) -> list[RunView]:
    """The caller's runs, newest first; with `all` everyone's, for administrators."""
    found = running.jobs.find(
        caller,
        everyone=everyone,
        state=state,
        kind=kind,
        name=name,
        tag=_tag(tag),
        since_ms=since_ms,
        before=before,
        limit=limit,
    )
    return [_view(run) for run in found]


@router.get("/job-runs/usage")
def usage(
    caller: Caller,
    running: Running,
    by: Grouping = "user",
    tag: Annotated[str | None, Query(description="The tag whose values are grouped.")] = None,
    everyone: Annotated[bool, Query(alias="all")] = False,
    since_ms: int = 0,
    until_ms: int | None = None,
) -> list[UsageRow]:
    """What ended attempts used, summed; every attempt is in exactly one row."""
    rows = running.jobs.usage(
        caller, by, tag=tag, everyone=everyone, since_ms=since_ms, until_ms=until_ms
    )
    return [UsageRow(key=key, runs=runs, **asdict(used)) for key, runs, used in rows]


@router.get("/job-runs/{run_id}")
def show(run_id: str, caller: Caller, running: Running) -> RunView:
    """A run with its attempts and what was asked for."""
    run = running.jobs.get(caller, run_id)
    return _view(run, running.jobs)


class StageView(BaseModel):
    """One attempt of a stage; seconds and bytes are sums over its tasks, `seconds` wall time."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    attempt: int
    name: str
    state: str
    tasks: int
    failed_tasks: int
    seconds: float
    run_seconds: float
    cpu_seconds: float
    gc_seconds: float
    median_task_seconds: float
    longest_task_seconds: float
    input_bytes: int
    output_bytes: int
    shuffle_read_bytes: int
    shuffle_write_bytes: int
    memory_spilled_bytes: int
    disk_spilled_bytes: int
    failure: str | None
    skew: float = Field(description="How many times the median task's time the longest took.")
    skewed: bool


class ApplicationView(BaseModel):
    """What one Spark application's log tells."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    name: str
    spark: str
    seconds: float
    executors: int
    allocated_vcpu_seconds: float
    spilled_bytes: int
    stages: list[StageView]


@router.get("/job-runs/{run_id}/spark")
def spark(
    run_id: str,
    caller: Caller,
    running: Running,
    attempt: Annotated[int, Query(ge=0, description="0: the latest.")] = 0,
) -> list[ApplicationView]:
    """What the run's own Sparks logged: each application's stages with their skew and spill."""
    run = running.jobs.get(caller, run_id)
    found = running.jobs.applications(run, attempt or run.attempt)
    return [ApplicationView.model_validate(application) for application in found]


@router.post("/job-runs/{run_id}/cancel")
def cancel(
    run_id: str, _body: Nothing, caller: Caller, running: Running, request: RequestId
) -> RunView:
    """Ends a run with all of its processes; harmless when it has ended."""
    return _view(running.jobs.cancel(caller, run_id, request))


@router.post("/job-runs/{run_id}/retry", status_code=201)
def retry(
    run_id: str, _body: Nothing, caller: Caller, running: Running, request: RequestId
) -> RunView:
    """Submits a new run like one that has ended."""
    return _view(running.jobs.retry(caller, run_id, request))


@router.get(
    "/job-runs/{run_id}/logs",
    response_model=LogPart,
    responses={200: {"content": {EVENT_STREAM: {}}, "description": "A piece, or all as it comes."}},
)
async def read_log(
    request: Request,
    run_id: str,
    caller: Caller,
    running: Running,
    stream: Literal["stdout", "stderr"] = "stdout",
    attempt: Annotated[int, Query(ge=0, description="0: the latest.")] = 0,
    offset: Annotated[int, Query(description="Negative: from the end.")] = 0,
    follow: bool = False,
    last_event_id: Annotated[str | None, Header()] = None,
) -> Any:
    """A piece of a stream, or with `follow` server-sent events until the attempt has ended.

    An event's id is the offset to go on from; `Last-Event-ID` is understood.
    """
    jobs = running.jobs
    run = await run_in_threadpool(jobs.get, caller, run_id)
    number = attempt or max(run.attempt, 1)

    def part(at: int) -> LogPart:
        # Looked at before the bytes: what was written before the end is in them.
        now = jobs.refreshed(run)
        ended = now.state.is_final or now.attempt > number
        found = jobs.read_log(run, number, stream, at)
        return LogPart(
            offset=found.start,
            next=found.next,
            text=found.data.decode("utf-8", "replace"),
            ended=ended and not found.data,
        )

    if not follow:
        return await run_in_threadpool(part, offset)
    if last_event_id is not None and last_event_id.lstrip("-").isdigit():
        offset = int(last_event_id)
    return _stream(_follow_log(part, offset))


@router.get("/job-runs/{run_id}/logs/search")
def search_log(
    run_id: str,
    caller: Caller,
    running: Running,
    text: Annotated[str, Query(alias="q", min_length=1, max_length=500)],
    stream: Literal["stdout", "stderr"] = "stdout",
    attempt: Annotated[int, Query(ge=0, description="0: the latest.")] = 0,
) -> LogLines:
    """The lines of a stream that hold a text, whatever its case."""
    run = running.jobs.get(caller, run_id)
    found, cut = running.jobs.search_log(run, attempt or max(run.attempt, 1), stream, text)
    return LogLines(lines=[LogLine(offset=at, text=line) for at, line in found], cut=cut)


@router.get(
    "/job-runs/{run_id}/events",
    response_model=list[dict[str, Any]],
    responses={200: {"content": {EVENT_STREAM: {}}, "description": "Events, or all as they come."}},
)
async def events(
    run_id: str,
    caller: Caller,
    running: Running,
    after: Annotated[int, Query(ge=0)] = 0,
    follow: bool = False,
    last_event_id: Annotated[str | None, Header()] = None,
) -> Any:
    """Changes of state, notes and progress; with `follow` as server-sent events until the end."""
    jobs = running.jobs
    run = await run_in_threadpool(jobs.get, caller, run_id)
    if not follow:
        return [asdict(event) for event in await run_in_threadpool(jobs.events, run, after)]
    if last_event_id is not None and last_event_id.isdigit():
        after = int(last_event_id)
    return _stream(_follow_events(jobs, run, after))


async def _follow_log(part: Callable[[int], LogPart], offset: int) -> AsyncIterator[bytes]:
    quiet = 0.0
    while True:
        found = await run_in_threadpool(part, offset)
        if found.text:
            quiet = 0.0
            offset = found.next
            yield _event("log", {"offset": found.offset, "text": found.text}, str(found.next))
            continue
        if found.ended:
            yield _event("end", {"offset": found.next}, str(found.next))
            return
        quiet += _TICK_SECONDS
        if quiet >= _BEAT_SECONDS:
            quiet = 0.0
            yield b": waiting\n\n"
        await asyncio.sleep(_TICK_SECONDS)


async def _follow_events(jobs: JobService, run: Run, after: int) -> AsyncIterator[bytes]:
    quiet = 0.0
    progress: dict[str, Any] = {}
    while True:
        now = await run_in_threadpool(jobs.refreshed, run)
        for event in await run_in_threadpool(jobs.events, run, after):
            after, quiet = event.sequence, 0.0
            yield _event(event.kind, asdict(event), str(event.sequence))
        if now.state.is_final:
            yield _event("end", {"state": now.state, "reason": now.reason}, str(after))
            return
        attempts = await run_in_threadpool(jobs.attempts, run)
        if attempts and attempts[-1].progress and dict(attempts[-1].progress) != progress:
            progress, quiet = dict(attempts[-1].progress), 0.0
            yield _event("progress", {"attempt": attempts[-1].number, **progress}, str(after))
        quiet += _TICK_SECONDS
        if quiet >= _BEAT_SECONDS:
            quiet = 0.0
            yield b": waiting\n\n"
        await asyncio.sleep(_TICK_SECONDS)


def _event(kind: str, data: Any, event_id: str) -> bytes:
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (
        event_id.encode(),
        kind.encode(),
        orjson.dumps(data),
    )


def _stream(events: AsyncIterator[bytes]) -> Response:
    return StreamingResponse(events, media_type=EVENT_STREAM, headers={"x-accel-buffering": "no"})


def _view(run: Run, jobs: JobService | None = None) -> RunView:
    spec = run.spec
    return RunView(
        id=run.id,
        kind=spec.kind,
        name=spec.name,
        backend=spec.backend,
        state=run.state,
        user=run.principal_name,
        role=spec.role,
        program=spec.entry.uri or spec.entry.name,
        program_sha256=spec.entry.sha256,
        tags=dict(spec.tags),
        attempt=run.attempt,
        max_attempts=spec.retry.max_attempts,
        created_ms=run.created_ms,
        started_ms=run.started_ms,
        finished_ms=run.finished_ms,
        cancelled_by=run.cancelled_by,
        failure=run.failure,
        error_code=run.error_code,
        reason=run.reason,
        retry_of=spec.retry_of,
        parent_run_id=spec.parent_run_id,
        timeout_seconds=spec.timeout_seconds,
        specification=spec.as_json() if jobs is not None else None,
        attempts=[_attempt(each) for each in jobs.attempts(run)] if jobs is not None else None,
    )


def _attempt(attempt: Attempt) -> AttemptView:
    return AttemptView(
        number=attempt.number,
        state=attempt.state,
        created_ms=attempt.created_ms,
        started_ms=attempt.started_ms,
        finished_ms=attempt.finished_ms,
        exit_status=attempt.exit_status,
        failure=attempt.failure,
        reason=attempt.reason,
        sandbox=attempt.sandbox,
        release=attempt.release,
        progress=dict(attempt.progress),
        usage=asdict(attempt.usage),
    )


def _tag(text: str | None) -> tuple[str, str] | None:
    if text is None:
        return None
    key, found, value = text.partition("=")
    if not found:
        raise error(ErrorCode.INVALID_ARGUMENT, "a tag is written key=value")
    return key, value


def _bytes(content: str | None) -> bytes | None:
    if content is None:
        return None
    try:
        return base64.b64decode(content, validate=True)
    except ValueError as exc:
        raise error(ErrorCode.INVALID_ARGUMENT, "the program's content is not base64") from exc
