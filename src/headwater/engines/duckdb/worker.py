"""The engine worker process: `python -m headwater.engines.duckdb.worker`, its socket as stdin.

The main thread reads the server's messages and watches the statement that runs; a second thread
runs it. The process ends with its parent: by signal where the kernel offers it, and by the end of
the socket everywhere.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import queue
import select
import signal
import socket
import sys
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pyarrow as pa

from headwater.engines.duckdb import metering
from headwater.engines.duckdb.arrow_types import Normalizer, OutOfRange, text_casts
from headwater.engines.duckdb.canary import run_probes
from headwater.engines.duckdb.failures import Failure, failure_of, plain_failure
from headwater.engines.duckdb.instance import attach_catalog, open_instance, quote
from headwater.engines.duckdb.protocol import (
    Batch,
    Cancel,
    Configure,
    Connection,
    Done,
    Execute,
    Failed,
    Input,
    Mode,
    ProtocolError,
    Ready,
    Schema,
    Usage,
)
from headwater.errors import ErrorCode

ROWS_PER_BATCH = 32_768
BYTES_PER_BATCH = 8 * 1024**2
TICK_SECONDS = 0.1
INSTANCES_ELSEWHERE = 4
"""How many instances are kept that reach other places than the warehouse."""

Key = tuple[Mode, str]
"""What tells instances apart: the mode and the reach of their statements."""

_PR_SET_PDEATHSIG = 1


@dataclass(slots=True)
class Running:
    """A statement from its arrival to its end; `stopped` says why it was interrupted."""

    execute: Execute
    inputs: list[Input]
    instance: duckdb.DuckDBPyConnection | None = None
    meter: metering.Meter = metering.ZERO
    memory_before: int = 0
    stopped: ErrorCode | None = None
    guard: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, instance: duckdb.DuckDBPyConnection) -> None:
        """From now on `stop` interrupts the instance."""
        if self.execute.memory_bytes:
            self.memory_before = metering.memory_bytes()
        self.meter = metering.Meter.start()
        with self.guard:
            self.instance = instance

    def end(self) -> None:
        """From now on `stop` does nothing to the instance."""
        with self.guard:
            self.instance = None

    def stop(self, why: ErrorCode) -> None:
        """Interrupts the statement; to be repeated, since DuckDB forgets one that comes early."""
        with self.guard:
            if self.stopped is None:
                self.stopped = why
            if self.instance is not None:
                self.instance.interrupt()


class Worker:
    """Runs the statements that arrive on a connection, one after another."""

    def __init__(self, connection: Connection, configuration: Configure) -> None:
        self._connection = connection
        self._configuration = configuration
        self._instances: OrderedDict[Key, duckdb.DuckDBPyConnection] = OrderedDict()
        self._time_zones: dict[Key, str] = {}
        self._work: queue.SimpleQueue[Running] = queue.SimpleQueue()
        self._running: Running | None = None
        self._attached: set[Key] = set()

    def prepare(self, started: float) -> None:
        """Opens the reading instances, probes the barrier and says Ready."""
        self._instance("coarse")
        before = time.perf_counter()
        probes, leaks = run_probes(
            self._instance("governed"),
            self._configuration.canary_table,
            self._configuration.canary_rows,
        )
        now = time.perf_counter()
        self._connection.send(Ready(duckdb.__version__, probes, leaks, now - started, now - before))

    def serve(self) -> None:
        """Reads messages until the server hangs up."""
        threading.Thread(target=self._run_statements, name="statements", daemon=True).start()
        inputs: list[Input] = []
        while True:
            timeout = TICK_SECONDS if self._running is not None else None
            if not select.select([self._connection], [], [], timeout)[0]:
                self._watch()
                continue
            message = self._connection.receive()
            if isinstance(message, Input):
                inputs.append(message)
            elif isinstance(message, Execute):
                if self._running is not None:
                    raise ProtocolError("a statement while another runs")
                self._running = Running(message, inputs)
                self._work.put(self._running)
                inputs = []
            elif isinstance(message, Cancel):
                running = self._running
                if running is not None and running.execute.statement_id == message.statement_id:
                    running.stop(ErrorCode.USER_CANCELED)
            else:
                raise ProtocolError("a message that only a worker sends")

    def _instance(self, mode: Mode, reach: str = "") -> duckdb.DuckDBPyConnection:
        key = (mode, reach)
        instance = self._instances.get(key)
        if instance is None:
            elsewhere = [each for each in self._instances if each[1]]
            if reach and len(elsewhere) >= INSTANCES_ELSEWHERE:
                self._instances.pop(elsewhere[0]).close()
                self._time_zones.pop(elsewhere[0], None)
                self._attached.discard(elsewhere[0])
            instance = open_instance(self._configuration, mode, reach)
            self._instances[key] = instance
        self._instances.move_to_end(key)
        return instance

    def _watch(self) -> None:
        """A tick: reports progress, and stops a statement that goes beyond its own limits."""
        running = self._running
        if running is None or running.instance is None:
            return
        if running.stopped is not None:
            running.stop(running.stopped)
        usage = self._usage(running, None)
        limits = running.execute
        if limits.scan_bytes and usage.scanned_bytes > limits.scan_bytes:
            running.stop(ErrorCode.EXCEEDED_SCAN_LIMIT)
        if limits.memory_bytes:
            grown = metering.memory_bytes() - running.memory_before
            if grown > limits.memory_bytes:
                running.stop(ErrorCode.EXCEEDED_MEMORY_LIMIT)
        if select.select([], [self._connection], [], 0)[1]:  # never wait here for a slow reader
            self._connection.try_send(usage)

    def _usage(self, running: Running, profile: metering.Profile | None) -> Usage:
        scanned = running.meter.read_since()
        if profile is None:
            instance = running.instance
            progress = -1.0 if instance is None else max(-1.0, instance.query_progress() / 100)
        else:
            progress = 1.0
            if self._configuration.storage_kind == "s3":
                scanned = profile.read_bytes
        return Usage(
            running.execute.statement_id,
            running.meter.cpu_since(),
            metering.peak_memory_bytes(),
            scanned,
            profile.scanned_rows if profile else 0,
            progress,
        )

    def _run_statements(self) -> None:
        try:
            while True:
                self._run(self._work.get())
        except ProtocolError:
            os._exit(0)  # the server is gone; the main thread may wait in a call of DuckDB's
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(70)

    def _run(self, running: Running) -> None:
        execute = running.execute
        key = _key(execute)
        try:
            instance = self._instance(*key)
        except duckdb.Error as raised:
            # The engine's own words could hold what it was given: keys.
            detail = f"no instance could be opened: {type(raised).__name__}"
            self._end(running, plain_failure(ErrorCode.ENGINE_FAILED, detail))
            return
        if execute.writes and key not in self._attached:
            try:
                attach_catalog(instance, self._configuration)
            except duckdb.Error as raised:
                self._end(running, plain_failure(ErrorCode.ENGINE_FAILED, str(raised)))
                return
            self._attached.add(key)
        running.begin(instance)
        failure: Failure | None = None
        try:
            self._execute(running, instance)
        except OutOfRange as raised:
            failure = plain_failure(ErrorCode.NUMERIC_VALUE_OUT_OF_RANGE, str(raised))
        except (duckdb.Error, MemoryError, OSError, pa.ArrowException) as raised:
            # what fails while rows stream comes out of Arrow's reader, as an OSError or its own
            failure = failure_of(raised, governed=execute.quiet)
        finally:
            running.end()
            if execute.writes:
                with contextlib.suppress(duckdb.Error):  # fails when nothing is open, as it should
                    instance.rollback()
            for item in running.inputs:
                with contextlib.suppress(duckdb.Error):
                    instance.unregister(item.name)
        if failure is not None and failure.code is ErrorCode.USER_CANCELED and running.stopped:
            failure = plain_failure(running.stopped, failure.detail)
        profile = metering.Profile.parse(instance.get_profiling_information(format="json"))
        self._connection.send(self._usage(running, profile))
        self._end(running, failure)

    def _end(self, running: Running, failure: Failure | None) -> None:
        """Says how the statement ended; the next one may arrive from then on."""
        statement_id = running.execute.statement_id
        self._running = None
        if failure is None:
            self._connection.send(Done(statement_id))
            return
        self._connection.send(
            Failed(
                statement_id,
                failure.code.value,
                failure.message,
                failure.hint,
                failure.detail,
                failure.fatal,
            )
        )
        if failure.fatal:
            os._exit(75)

    def _execute(self, running: Running, instance: duckdb.DuckDBPyConnection) -> None:
        execute = running.execute
        for item in running.inputs:
            with pa.ipc.open_stream(pa.py_buffer(item.payload)) as reader:
                instance.register(item.name, reader.read_all())
        key = _key(execute)
        if self._time_zones.get(key, "UTC") != execute.time_zone:
            instance.execute(f"SET TimeZone = {quote(execute.time_zone)}")
            self._time_zones[key] = execute.time_zone
        if running.stopped is not None:
            raise duckdb.InterruptException("stopped before it began")
        together = bool(execute.before or execute.after)
        if together:
            instance.begin()
            for statement in execute.before:
                instance.execute(statement).fetchall()
        self._answer(execute, instance)
        if together:
            for statement in execute.after:
                instance.execute(statement).fetchall()
            instance.commit()

    def _answer(self, execute: Execute, instance: duckdb.DuckDBPyConnection) -> None:
        """Runs the statement whose result the client gets."""
        instance.execute(execute.sql)
        columns = instance.description or []
        types = [column[1] for column in columns]
        casts = text_casts(types)
        if casts is not None:
            # rare: the statement is a query, and has streamed nothing yet
            names = [f"c{index}" for index in range(len(casts))]
            listed = (
                f"CAST({name} AS {cast})" if cast else name
                for name, cast in zip(names, casts, strict=True)
            )
            instance.execute(
                f"SELECT {', '.join(listed)} FROM ({execute.sql}) AS result({', '.join(names)})"
            )
        self._stream(execute, instance, [column[0] for column in columns], types)

    def _stream(
        self,
        execute: Execute,
        instance: duckdb.DuckDBPyConnection,
        names: list[str],
        types: list[duckdb.sqltypes.DuckDBPyType],
    ) -> None:
        reader = instance.to_arrow_reader(ROWS_PER_BATCH)
        fields = [column.with_name(name) for column, name in zip(reader.schema, names, strict=True)]
        normalize = Normalizer(pa.schema(fields), types)
        sent = normalize.schema.serialize()
        self._connection.send(Schema(execute.statement_id, payload=memoryview(sent)))
        for raw in reader:
            batch = normalize(raw)
            for piece in pieces(batch):
                self._connection.send(
                    Batch(execute.statement_id, payload=memoryview(piece.serialize()))
                )


def _key(execute: Execute) -> Key:
    return ("governed" if execute.mode == "governed" else "coarse", execute.reach)


def pieces(batch: pa.RecordBatch) -> list[pa.RecordBatch]:
    """The batch in slices of about BYTES_PER_BATCH, so that no frame grows out of hand."""
    size = batch.get_total_buffer_size()
    if size <= BYTES_PER_BATCH or batch.num_rows <= 1:
        return [batch]
    rows = max(1, batch.num_rows * BYTES_PER_BATCH // size)
    return [batch.slice(start, rows) for start in range(0, batch.num_rows, rows)]


def _die_with_parent() -> None:
    """Asks the kernel for a kill when the parent's thread that started us ends (Linux)."""
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)
    with contextlib.suppress(OSError):  # when memory runs out, a worker goes before the server
        Path("/proc/self/oom_score_adj").write_text("500")


def main() -> int:
    """Serves the socket on stdin; 0 when the server hung up, 64 on a breach of the protocol."""
    started = time.perf_counter()
    _die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection = Connection(socket.socket(fileno=os.dup(0)))
    try:
        configuration = connection.receive()
        if not isinstance(configuration, Configure):
            raise ProtocolError("the first message configures")
        worker = Worker(connection, configuration)
        worker.prepare(started)
        worker.serve()
    except ProtocolError as failure:
        from headwater.engines.duckdb.protocol import Disconnected

        if not isinstance(failure, Disconnected):
            sys.stderr.write(f"breach of the protocol: {failure}\n")
            os._exit(64)
    os._exit(0)  # without DuckDB's destructors: a statement may still run


if __name__ == "__main__":
    sys.exit(main())
