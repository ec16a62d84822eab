"""A session's counterpart on a user process, brought to the session's state before each use.

What the client registered is kept by the gateway; the process holds a copy, which is made again
whenever the process is another one: it was idle, it died, or the operation falls back to Spark.
"""

from __future__ import annotations

import contextlib
import threading
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from headwater.engines.userprocess.engine import SAIL, UserEngine, UserEngines
from headwater.gateway.spark_connect.backend import Backend, answers
from headwater.gateway.spark_connect.conf import TIME_ZONE
from headwater.gateway.spark_connect.failures import SparkFailure
from headwater.gateway.spark_connect.protocol import Messages
from headwater.gateway.spark_connect.sessions import Entry, SparkSession

_FRESH_SECONDS = 600.0
_CHUNK = 32 * 1024


@dataclass(frozen=True, slots=True)
class InUse:
    """A process while an operation uses it, and the session's counterpart there."""

    engine: UserEngine
    backend: Backend
    mirror: Mirror


class Mirror:
    """One session on one kind of engine: `sail` or `spark`."""

    def __init__(
        self,
        session: SparkSession,
        engines: UserEngines,
        engine: str,
        pb: Messages,
        release: str | None = None,
    ) -> None:
        self._session = session
        self._engines = engines
        self._engine = engine
        self._release = release
        self._pb = pb
        self._lock = threading.RLock()
        self._backend: Backend | None = None
        self._applied: dict[tuple[str, str], int] = {}
        self._conf: dict[str, str] = {}
        self._views: set[str] = set()
        self._last_used = time.monotonic()

    @contextlib.contextmanager
    def using(self) -> Iterator[InUse]:
        """Leases the process and brings its session up to date."""
        lease, backend = self._leased()
        try:
            yield InUse(lease, backend, self)
        finally:
            self._last_used = time.monotonic()
            lease.release()

    def _leased(self) -> tuple[UserEngine, Backend]:
        """A process with the session's counterpart; a second one if the first ended meanwhile."""
        for last in (False, True):
            lease = self._engines.lease(self._session.identity, self._engine, self._release)
            try:
                with self._lock:
                    backend = self._current(lease)
                    self._bring(backend)
            except BaseException as failure:
                gone = not lease.alive
                lease.release()
                if last or not gone or not isinstance(failure, SparkFailure):
                    raise
            else:
                return lease, backend
        raise AssertionError("the second failure was raised")

    def create_views(self, use: InUse, views: tuple[tuple[str, Any], ...]) -> None:
        """Runs the commands that make views of staged tables, those that are not there yet."""
        for name, plan in views:
            with self._lock:
                if name in self._views:
                    continue
                use.backend.run(plan)
                self._views.add(name)

    def reset(self) -> None:
        """Forgets the counterpart: the next use makes a new one."""
        with self._lock:
            backend, self._backend = self._backend, None
        if backend is not None:
            backend.close()

    def close(self) -> None:
        """Ends the counterpart."""
        self.reset()

    def _current(self, lease: UserEngine) -> Backend:
        backend = self._backend
        # An engine may have ended a session that was idle, without telling.
        stale = time.monotonic() - self._last_used > _FRESH_SECONDS
        if backend is not None and backend.generation == lease.generation and not stale:
            return backend
        self.reset()
        self._applied.clear()
        self._conf.clear()
        self._views.clear()
        user, pb, engines = self._session.identity.principal.id, self._pb, self._engines

        def given_up() -> None:
            engines.doubt(lease.generation, lambda seconds: answers(lease, user, pb, seconds))

        made = Backend(lease, user, pb, given_up)
        self._backend = made
        return made

    def _bring(self, backend: Backend) -> None:
        """Sends what changed since the last use."""
        self._bring_conf(backend)
        with self._session.lock:
            entries = sorted(self._session.entries.values(), key=lambda entry: entry.version)
        for entry in entries:
            key = (entry.kind, entry.name)
            if self._applied.get(key) == entry.version or not self._is_for(backend, entry):
                continue
            self._send(backend, entry)
            self._applied[key] = entry.version

    def _is_for(self, backend: Backend, entry: Entry) -> bool:
        """False for table functions on Sail, which may refuse them, where Spark runs them all."""
        on_sail = entry.kind == "table_function" and backend.name == SAIL
        return not on_sail or self._session.conf.engine == SAIL

    def _bring_conf(self, backend: Backend) -> None:
        wanted = {TIME_ZONE: self._session.conf.time_zone, **self._session.conf.for_engine()}
        changed = {key: value for key, value in wanted.items() if self._conf.get(key) != value}
        gone = [key for key in self._conf if key not in wanted]
        if changed:
            request = self._pb.ConfigRequest()
            request.operation.set.silent = True
            for key, value in changed.items():
                request.operation.set.pairs.add(key=key, value=value)
            self._config(backend, request)
        if gone:
            request = self._pb.ConfigRequest()
            request.operation.unset.keys.extend(gone)
            self._config(backend, request)
        self._conf = wanted

    def _config(self, backend: Backend, request: Any) -> None:
        try:
            backend.unary("Config", request, self._pb.ConfigResponse)
        except SparkFailure as failure:
            # A setting that this engine does not have changes nothing there.
            if failure.error_class == "ENGINE_FAILED":
                raise

    def _send(self, backend: Backend, entry: Entry) -> None:
        if entry.kind == "artifact":
            backend.upload(self._upload(entry))
        else:
            plan = self._pb.Plan()
            plan.command.MergeFromString(entry.payload)
            backend.run(plan)

    def _upload(self, entry: Entry) -> Iterator[Any]:
        """One artifact as a stream of chunks."""
        pieces = [
            entry.payload[start : start + _CHUNK]
            for start in range(0, max(1, len(entry.payload)), _CHUNK)
        ]
        chunks = [{"data": piece, "crc": zlib.crc32(piece)} for piece in pieces]
        if len(chunks) == 1:
            batch = {"artifacts": [{"name": entry.name, "data": chunks[0]}]}
            yield self._pb.AddArtifactsRequest(batch=batch)
            return
        begin = {
            "name": entry.name,
            "total_bytes": len(entry.payload),
            "num_chunks": len(chunks),
            "initial_chunk": chunks[0],
        }
        yield self._pb.AddArtifactsRequest(begin_chunk=begin)
        for chunk in chunks[1:]:
            yield self._pb.AddArtifactsRequest(chunk=chunk)


def mirror_of(session: SparkSession, engines: UserEngines, engine: str, pb: Messages) -> Mirror:
    """The session's counterpart on an engine, made when it is first wanted."""
    release = session.conf.release_of(engine)
    with session.lock:
        found = session.mirrors.get(release or engine)
        if found is None:
            found = Mirror(session, engines, engine, pb, release)
            session.mirrors[release or engine] = found
        mirror: Mirror = found
        return mirror


def ended(use: InUse, failure: SparkFailure) -> str | None:
    """Why the process ended, when it did while an operation ran; None when it lives."""
    if use.engine.alive and failure.error_class != "ENGINE_FAILED":
        return None
    # The supervisor may notice a moment after the connection broke.
    deadline = time.monotonic() + 2.0
    while use.engine.alive and time.monotonic() < deadline:
        time.sleep(0.05)
    return use.engine.ended or "it does not answer"
