"""The DuckDB engine, server side: a plan in, Arrow record batches out.

`import duckdb` never happens here: a defect of the engine's must not take the server with it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from headwater.engines.duckdb.canary_table import VISIBLE_ROWS, ensure_canary_table
from headwater.engines.duckdb.pool import Ticket, Worker, WorkerPool, worker_memory
from headwater.engines.duckdb.protocol import (
    Batch,
    Cancel,
    Configure,
    Done,
    Execute,
    Failed,
    Input,
    Message,
    Mode,
    ProtocolError,
    Schema,
    Usage,
)
from headwater.engines.engine import GovernedPlan
from headwater.engines.leases import Leases
from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.model.statement import QueryStats
from headwater.settings import Settings
from headwater.storage.credentials import EngineStorage

log = logging.getLogger(__name__)

_AWAKE_SECONDS = 2.0

INTERRUPT_SECONDS = 2.0
"""How long a worker may take to react to an interrupt before it is killed."""

_REASONS: dict[ErrorCode, str] = {
    ErrorCode.USER_CANCELED: "The statement was canceled",
    ErrorCode.EXCEEDED_TIME_LIMIT: "The statement ran longer than it may",
    ErrorCode.EXCEEDED_RESULT_SIZE: "The result is larger than it may be",
}
_HINTS: dict[ErrorCode, str] = {
    ErrorCode.EXCEEDED_TIME_LIMIT: "select less, or raise limits.seconds",
    ErrorCode.EXCEEDED_RESULT_SIZE: "aggregate, add LIMIT, or raise limits.result_bytes",
}


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """One worker process as `headwater doctor` shows it."""

    name: str
    pid: int | None
    state: str
    restarts: int
    last_exit: str | None


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """The engine's health: its workers, and whether governed plans may run.

    `trusted` is None while no worker has run its canary; `leaks` names the probes that failed.
    """

    version: str | None
    trusted: bool | None
    probes: int
    leaks: tuple[str, ...]
    workers: tuple[WorkerStatus, ...]


class DuckDBEngine:
    """Runs governed plans in a pool of worker processes.

    `worker_token` makes the catalog token of a worker by its name. `spool` is the server's folder
    for files on their way in and out; workers may read what waits in its `uploads`. The engine
    keeps its own files (spill, canary table) in the home's `engine`. `reach` says what a plan may
    read that reads tables outside the warehouse; empty for all others.
    """

    name = "duckdb"

    def __init__(
        self,
        settings: Settings,
        storage: EngineStorage,
        catalog_uri: str,
        worker_token: Callable[[str], str],
        spool: Path,
        reach: Callable[[GovernedPlan], str] = lambda _plan: "",
    ) -> None:
        self.leases = Leases()
        self._reach = reach
        self._settings = settings
        self._storage = storage
        self._catalog_uri = catalog_uri
        self._worker_token = worker_token
        self._spool = spool
        self._guard = threading.Lock()
        self._runs: dict[str, _Run] = {}
        self._canary_table = Path()
        self._pool = WorkerPool(
            settings.engine.workers,
            settings.home_path / "engine" / "spill",
            self._configure,
            self._worker_ended,
        )
        self._watchdog = _Watchdog()

    def start(self) -> None:
        """Starts the workers; returns at once, the first statements wait for them."""
        self._canary_table = ensure_canary_table(self._settings.home_path / "engine" / "canary")
        self._watchdog.start()
        self._pool.start()

    def stop(self) -> None:
        """Ends every worker and whatever it runs."""
        self._pool.stop()
        self._watchdog.stop()

    @property
    def waiting(self) -> int:
        """How many plans wait for a worker."""
        return self._pool.waiting

    def status(self) -> EngineStatus:
        """The engine's health just now."""
        workers = self._pool.workers()
        leaks = sorted({leak for worker in workers for leak in worker.ready.leaks})
        return EngineStatus(
            version=workers[0].ready.engine_version if workers else None,
            trusted=all(worker.trusted for worker in workers) if workers else None,
            probes=workers[0].ready.probes if workers else 0,
            leaks=tuple(leaks),
            workers=tuple(
                WorkerStatus(child.name, child.pid, child.state, child.restarts, child.last_exit)
                for child in self._pool.children()
            ),
        )

    def execute(
        self, plan: GovernedPlan, meanwhile: Callable[[], None] | None = None
    ) -> DuckDBResult:
        """Starts a plan, then calls `meanwhile`; returns when its schema is known.

        Raises HeadwaterError, or what `meanwhile` raised.
        """
        limits, defaults = plan.limits, self._settings.limits
        # Before a worker is taken: it may have to ask another catalog.
        reach = self._reach(plan)
        run = _Run(
            plan,
            seconds=limits.seconds or defaults.seconds,
            result_bytes=limits.result_bytes or defaults.result_bytes,
            finished=self._finished,
        )
        with self._guard:
            if plan.statement_id in self._runs:
                raise error(ErrorCode.INTERNAL_ERROR, "The statement runs already")
            self._runs[plan.statement_id] = run
        try:
            worker = self._pool.acquire(run.ticket, run.seconds)
        except HeadwaterError:
            with self._guard:
                del self._runs[plan.statement_id]
            raise
        run.worker = worker
        try:
            self._send(run, worker, reach)
            if meanwhile is not None:
                meanwhile()
            return DuckDBResult(run)
        except ProtocolError as failure:
            raise run.broken(failure) from failure
        except BaseException:
            run.abort()
            raise

    def cancel(self, statement_id: str) -> None:
        """Interrupts a running plan; its stream raises USER_CANCELED. Unknown ids are ignored."""
        with self._guard:
            run = self._runs.get(statement_id)
        if run is None:
            return
        self._pool.abandon(run.ticket)
        run.stop(ErrorCode.USER_CANCELED)

    def _send(self, run: _Run, worker: Worker, reach: str) -> None:
        """Leases what the plan may write, and sends it."""
        plan = run.plan
        if plan.governed and not worker.trusted:
            raise error(
                ErrorCode.ENGINE_UNTRUSTED,
                "The engine failed its start-up check and runs nothing on governed tables",
                hint="headwater doctor names the probes that failed",
            )
        inputs = [Input(name, payload=_stream_of(table)) for name, table in plan.inputs.items()]
        execute = Execute(
            plan.statement_id,
            plan.sql,
            _mode(plan),
            bool(plan.writes),
            plan.governed,
            plan.time_zone,
            plan.limits.memory_bytes or 0,
            plan.limits.scan_bytes or self._settings.limits.scan_bytes,
            list(plan.before),
            list(plan.after),
            reach,
        )
        if plan.writes:
            self.leases.grant(worker.name, plan)
        self._watchdog.watch(run)
        run.begin([*inputs, execute])

    def _finished(self, run: _Run) -> None:
        """A run is over: its lease ends, its worker goes back to the pool."""
        self._watchdog.forget(run)
        if run.worker is not None:
            if run.plan.writes:
                self.leases.revoke(run.worker.name)
            self._pool.release(run.worker)
        with self._guard:
            self._runs.pop(run.plan.statement_id, None)

    def _worker_ended(self, worker: Worker) -> None:
        self.leases.revoke(worker.name)

    def _configure(self, worker: str) -> Configure:
        storage, engine = self._storage, self._settings.engine
        folder = self._settings.home_path / "engine"
        directories = [str(self._spool / "uploads"), str(folder / "canary")]
        if storage.kind == "local":
            directories.append(storage.root.removeprefix("file://"))
        return Configure(
            worker=worker,
            storage_kind=storage.kind,
            root=storage.root,
            endpoint=storage.endpoint,
            region=storage.region,
            access_key_id=storage.access_key_id,
            secret_access_key=storage.secret_access_key,
            path_style=storage.path_style,
            catalog_uri=self._catalog_uri,
            catalog_token=self._worker_token(worker),
            memory_bytes=worker_memory(self._settings.limits.memory_bytes, engine.workers),
            threads=engine.threads or len(os.sched_getaffinity(0)),
            spill_directory=str(folder / "spill" / worker.partition(".")[0]),
            spill_bytes=engine.spill_bytes,
            directories=directories,
            canary_table=str(self._canary_table),
            canary_rows=VISIBLE_ROWS,
        )


class _Run:
    """One plan on its worker, from `execute` to its end."""

    def __init__(
        self,
        plan: GovernedPlan,
        *,
        seconds: float,
        result_bytes: int,
        finished: Callable[[_Run], None],
    ) -> None:
        self.plan = plan
        self.seconds = seconds
        self.result_bytes = result_bytes
        self.ticket = Ticket()
        self.worker: Worker | None = None
        self.started = time.monotonic()
        self.deadline = self.started + seconds
        self.kill_at: float | None = None
        self.usage: Usage | None = None
        self.over = False
        self._sent = False
        self._elapsed = 0.0
        self._reason: ErrorCode | None = None
        self._finished = finished
        self._guard = threading.Lock()
        self._oom_kills = _oom_kills_lately()

    def begin(self, messages: Sequence[Message]) -> None:
        """Sends the statement to the worker, unless it was stopped before."""
        assert self.worker is not None
        with self._guard:
            reason = self._reason
            self._sent = reason is None
        if reason is not None:
            raise self._stopped(reason)
        for message in messages:
            self.worker.connection.send(message)

    def stop(self, reason: ErrorCode) -> None:
        """Interrupts the run; the first reason given is the one that its stream raises."""
        with self._guard:
            if self.over:
                return
            if self._reason is None:
                self._reason = reason
            if self.kill_at is None:
                self.kill_at = time.monotonic() + INTERRUPT_SECONDS
            worker = self.worker if self._sent else None
        if worker is not None:
            with contextlib.suppress(ProtocolError):  # dead already; whoever reads learns so
                worker.connection.send(Cancel(self.plan.statement_id))

    def receive(self) -> Message:
        """The next message of the statement: Schema, Batch or Done; raises what ended it."""
        assert self.worker is not None
        while True:
            try:
                message = self.worker.connection.receive()
            except ProtocolError as failure:
                raise self.broken(failure) from failure
            if isinstance(message, Usage):
                self.usage = message
            elif isinstance(message, Failed):
                raise self._failed(message)
            elif isinstance(message, Done):
                self.end()
                if self._reason is ErrorCode.EXCEEDED_RESULT_SIZE:
                    raise self._stopped(self._reason)
                return message  # a stop that came too late: what was written is committed
            else:
                return message

    def end(self) -> None:
        """The worker has answered, or is dead: the run is over."""
        with self._guard:
            if self.over:
                return
            self.over = True
            self._elapsed = time.monotonic() - self.started
        self._finished(self)

    def abort(self) -> None:
        """Ends a run that its caller has lost interest in, and waits until the worker is free."""
        if self.over:
            return
        if not self._sent:
            self.end()
            return
        self.stop(ErrorCode.USER_CANCELED)
        with contextlib.suppress(HeadwaterError):  # that is how it ends
            while not self.over:
                self.receive()

    def elapsed(self) -> float:
        """Seconds since the run began, or that it took."""
        return self._elapsed if self.over else time.monotonic() - self.started

    def broken(self, failure: ProtocolError) -> HeadwaterError:
        """The error for a worker that died or spoke nonsense; it is killed and replaced."""
        worker = self.worker
        assert worker is not None
        ours = worker.killed
        worker.kill()
        worker.ended.wait(5.0)
        self.end()
        if self.plan.writes:
            return error(
                ErrorCode.COMMIT_STATE_UNKNOWN,
                "The engine worker died during the write, which is either done whole or not at all",
                hint="look at the table's snapshots before you run it again",
            )
        if self._reason is not None:
            return self._stopped(self._reason)
        log.error("%s failed in %s: %s", worker.name, self.plan.statement_id, failure)
        if not ours and _oom_kills() > self._oom_kills:
            return error(
                ErrorCode.EXCEEDED_MEMORY_LIMIT,
                "The machine ran out of memory and the engine worker was killed",
                hint="select less, or lower limits.memory_bytes so that it spills to disk",
            )
        return error(
            ErrorCode.ENGINE_FAILED,
            "The engine worker died while it ran the statement; another takes its place",
            hint="run it again",
        )

    def _failed(self, failed: Failed) -> HeadwaterError:
        self.end()
        log.info("statement %s failed: %s", self.plan.statement_id, failed.detail)
        try:
            code = ErrorCode(failed.code)
        except ValueError:
            code = ErrorCode.ENGINE_FAILED
        if self._reason is not None and code is ErrorCode.USER_CANCELED:
            return self._stopped(self._reason)
        return error(code, failed.message, hint=failed.hint)

    def _stopped(self, reason: ErrorCode) -> HeadwaterError:
        return error(reason, _REASONS[reason], hint=_HINTS.get(reason))


class DuckDBResult:
    """The result of a plan while it arrives; iterate once, then read `stats`."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._rows = 0
        self._bytes = 0
        message = run.receive()
        if not isinstance(message, Schema):
            raise run.broken(ProtocolError("no schema before the first rows"))
        self._schema = pa.ipc.read_schema(pa.py_buffer(message.payload))

    @property
    def schema(self) -> pa.Schema:
        """The result's columns; `headwater.type` in a field's metadata is DuckDB's type text."""
        return self._schema

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Record batches as they arrive; raises HeadwaterError when the statement fails."""
        while not self._run.over:
            message = self._run.receive()
            if not isinstance(message, Batch):
                continue
            self._bytes += len(message.payload)
            if self._bytes > self._run.result_bytes:
                self._run.stop(ErrorCode.EXCEEDED_RESULT_SIZE)
                continue
            batch = pa.ipc.read_record_batch(pa.py_buffer(message.payload), self._schema)
            self._rows += batch.num_rows
            yield batch

    def stats(self) -> QueryStats:
        """What the plan used so far."""
        usage = self._run.usage
        known = QueryStats(
            elapsed_seconds=self._run.elapsed(), result_rows=self._rows, result_bytes=self._bytes
        )
        if usage is None:
            return known
        return QueryStats(
            elapsed_seconds=known.elapsed_seconds,
            cpu_seconds=usage.cpu_seconds,
            peak_memory_bytes=usage.peak_memory_bytes,
            scanned_bytes=usage.scanned_bytes,
            scanned_rows=usage.scanned_rows,
            result_rows=self._rows,
            result_bytes=self._bytes,
            progress=None if usage.progress < 0 else usage.progress,
        )

    def close(self) -> None:
        """Stops the plan if it still runs, and frees the worker."""
        self._run.abort()


class _Watchdog:
    """One thread that interrupts runs at their deadline, and kills those that do not react."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._runs: list[_Run] = []
        self._stopped = False
        self._asleep = False
        self._thread = threading.Thread(target=self._watch, name="engine watchdog", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._thread.join()

    def watch(self, run: _Run) -> None:
        with self._changed:
            self._runs.append(run)
            if self._asleep:
                self._changed.notify_all()

    def forget(self, run: _Run) -> None:
        with self._changed:
            if run in self._runs:
                self._runs.remove(run)

    def _watch(self) -> None:
        last = 0.0
        while True:
            now = time.monotonic()
            with self._changed:
                # Between statements in quick succession it stays awake: waking it costs each of
                # them more than a look now and then.
                self._asleep = not self._runs and now - last > _AWAKE_SECONDS
                self._changed.wait(None if self._asleep else 0.1)
                self._asleep = False
                if self._stopped:
                    return
                runs = list(self._runs)
            now = time.monotonic()
            if runs:
                last = now
            for run in runs:
                if run.kill_at is not None and now >= run.kill_at and run.worker is not None:
                    log.warning("%s does not react and is killed", run.worker.name)
                    run.worker.kill()
                elif run.kill_at is None and now >= run.deadline:
                    run.stop(ErrorCode.EXCEEDED_TIME_LIMIT)


def _mode(plan: GovernedPlan) -> Mode:
    return "governed" if plan.governed or plan.writes else "coarse"


def _stream_of(table: pa.Table) -> memoryview:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return memoryview(sink.getvalue())


class _OomKills:
    """The count as it was a second ago at most: reading it takes longer than sending a statement.

    A kill within that second is blamed on the statement that then dies, as most of them are.
    """

    read_at = float("-inf")
    count = 0


def _oom_kills_lately() -> int:
    """`_oom_kills`, read anew once a second."""
    now = time.monotonic()
    if now - _OomKills.read_at > 1.0:
        _OomKills.read_at, _OomKills.count = now, _oom_kills()
    return _OomKills.count


def _oom_kills() -> int:
    """Processes that the kernel has killed for lack of memory since it booted (Linux), else 0."""
    try:
        text = Path("/proc/vmstat").read_text()
    except OSError:
        return 0
    for line in text.splitlines():
        if line.startswith("oom_kill "):
            return int(line.split()[1])
    return 0
