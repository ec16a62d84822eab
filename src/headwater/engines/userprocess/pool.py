"""The pool of user engines: one process for each principal, role, engine and release.

A process is never passed on: when its principal has left, it ends. Spares have belonged to nobody
and are given away once.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import logging
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from headwater.engines.userprocess.archive import archive_of
from headwater.engines.userprocess.engine import SAIL, SPARK, Counters
from headwater.engines.userprocess.process import UserProcess
from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.model.principal import Identity
from headwater.runtimes.releases.installed import Releases
from headwater.runtimes.sandbox.sandbox import SandboxLevel, level
from headwater.settings import UserEngineSettings

log = logging.getLogger(__name__)

_DISK_EVERY = 10
_STOP_SECONDS = 10.0
_ANSWER_SECONDS = {SAIL: 4.0, SPARK: 15.0}
"""How long one that is in doubt may take for a small answer."""
_CALM_SECONDS = {SAIL: 1.5, SPARK: 15.0}
"""How long it may work on something that nobody waits for."""
_LOOK_SECONDS = 0.3
_BUSY = 0.5
_STUCK = "it went on with an operation that was cancelled"


@dataclass(frozen=True, slots=True)
class Key:
    """Whose process it is, and of what kind."""

    principal_id: str
    role: str | None
    engine: str
    release: str


@dataclass(slots=True)
class _Entry:
    """One process of the pool; `ready` is set once its start has succeeded or failed."""

    ready: threading.Event = field(default_factory=threading.Event)
    process: UserProcess | None = None
    failure: HeadwaterError | None = None
    leases: int = 0
    last_used: float = field(default_factory=time.monotonic)
    doubted: bool = False
    settled: threading.Event = field(default_factory=threading.Event)
    """Not set while leases wait for what becomes of a process that is in doubt."""
    retired: bool = False

    def __post_init__(self) -> None:
        self.settled.set()


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """What `headwater doctor` and administrators see of one process."""

    principal_id: str | None
    """None: a spare."""
    role: str | None
    engine: str
    release: str
    pid: int
    leases: int
    idle_seconds: float
    started_seconds: float
    peak_memory_bytes: int


class Lease:
    """A `UserEngine`: one user of a process; see there."""

    def __init__(self, process: UserProcess, give_back: Callable[[], None]) -> None:
        self._process = process
        self._give_back = give_back
        self._guard = threading.Lock()
        self._held = True
        self.engine = process.engine
        self.release_name = process.release.name
        self.generation = process.generation
        self.target = process.target
        self.inbox = process.inbox
        self.inbox_inside = process.inbox_inside
        self.outbox = process.outbox
        self.outbox_inside = process.outbox_inside
        self.sandbox = str(process.level.kind)
        self.confines = process.level.confines
        self.pid = process.pid

    @property
    def alive(self) -> bool:
        """False once the process has ended."""
        return self._process.alive

    @property
    def ended(self) -> str | None:
        """Why the process ended; None while it lives."""
        process = self._process
        return None if process.alive else process.reason or process.ended or "it is ending"

    def used(self) -> Counters:
        """What the process has used since its start."""
        return self._process.used()

    def release(self) -> None:
        """Ends this lease; harmless when called again."""
        with self._guard:
            held, self._held = self._held, False
        if held:
            self._give_back()


class UserProcesses:
    """`UserEngines` as processes in the sandbox, below `folder`."""

    def __init__(
        self,
        settings: UserEngineSettings,
        releases: Releases,
        folder: Path,
        at: SandboxLevel | None = None,
    ) -> None:
        self._settings = settings
        self._releases = releases
        self._folder = folder
        self._level = at
        self._guard = threading.Condition()
        self._entries: dict[Key, _Entry] = {}
        self._spares: dict[tuple[str, str], list[UserProcess]] = {}
        self._dying: list[UserProcess] = []
        self._retired: list[UserProcess] = []
        self._stopping = threading.Event()
        self._wanted = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Empties the folder and begins to watch; spares come as soon as their release is there."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(mode=0o711, parents=True)
        self._folder.chmod(0o711)
        self._threads = [
            threading.Thread(target=self._watch, name="user engines", daemon=True),
            threading.Thread(target=self._keep_spares, name="spare engines", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends all processes."""
        self._stopping.set()
        self._wanted.set()
        for thread in self._threads:
            thread.join()
        with self._guard:
            found = [entry.process for entry in self._entries.values() if entry.process]
            for spares in self._spares.values():
                found += spares
            found += self._dying + self._retired
            self._entries.clear()
            self._spares.clear()
            self._dying.clear()
            self._retired.clear()
        for process in found:
            process.stop("the server stopped")
        for process in found:
            process.join(_STOP_SECONDS)

    def lease(self, identity: Identity, engine: str, release: str | None = None) -> Lease:
        """The process of the identity's principal and role, started if there is none."""
        key = self._key(identity, engine, release)
        while True:
            if self._stopping.is_set():
                raise error(ErrorCode.ENGINE_UNAVAILABLE, "The server is shutting down")
            with self._guard:
                entry = self._entries.get(key)
                mine = entry is None or self._is_dead(entry)
                if mine:
                    entry = _Entry()
                    self._make_room()
                    self._entries[key] = entry
                assert entry is not None
                settled = entry.settled.is_set()
                entry.leases += settled
            if not settled:
                entry.settled.wait()
                continue
            if mine:
                self._fill(key, entry)
            entry.ready.wait()
            if entry.failure is not None:
                raise entry.failure
            process = entry.process
            assert process is not None
            if process.alive:
                return Lease(process, functools.partial(self._give_back, entry))
            self._give_back(entry)  # it died between its start and now

    def discard(self, identity: Identity, engine: str, release: str | None = None) -> None:
        """Ends the process of a principal and role, leased or not."""
        with self._guard:
            entry = self._entries.pop(self._key(identity, engine, release), None)
        if entry is not None and entry.process is not None:
            entry.process.stop("it was discarded")
            entry.process.join(_STOP_SECONDS)

    def doubt(self, generation: str, answers: Callable[[float], bool]) -> None:
        """Looks after a process in which somebody gave up on an operation; see `UserEngines`."""
        with self._guard:
            found = [
                (key, entry, entry.process)
                for key, entry in self._entries.items()
                if entry.process is not None and entry.process.generation == generation
            ]
            if not found:
                return
            key, entry, process = found[0]
            if entry.doubted or not process.alive:
                return
            entry.doubted = True
            if key.engine == SAIL:
                # It is looked at within moments; a new one starts in less.
                entry.settled.clear()
        threading.Thread(
            target=self._judge,
            args=(key, entry, process, answers),
            name="user engine in doubt",
            daemon=True,
        ).start()

    def status(self) -> list[ProcessStatus]:
        """Every process just now, spares last."""
        now = time.monotonic()
        with self._guard:
            owned = [
                (key, entry, entry.process)
                for key, entry in self._entries.items()
                if entry.process is not None and entry.process.alive
            ]
            spares = [process for group in self._spares.values() for process in group]
        return [
            ProcessStatus(
                key.principal_id,
                key.role,
                key.engine,
                key.release,
                process.pid,
                entry.leases,
                now - entry.last_used if not entry.leases else 0.0,
                process.started_seconds,
                process.peak_memory_bytes,
            )
            for key, entry, process in owned
        ] + [
            ProcessStatus(
                None,
                None,
                process.engine,
                process.release.name,
                process.pid,
                0,
                0.0,
                process.started_seconds,
                process.peak_memory_bytes,
            )
            for process in spares
            if process.alive
        ]

    @property
    def level(self) -> SandboxLevel:
        """How the processes are confined."""
        if self._level is None:
            self._level = level()
        return self._level

    def _judge(
        self, key: Key, entry: _Entry, process: UserProcess, answers: Callable[[float], bool]
    ) -> None:
        """Ends a process that does not answer, or works on what nobody waits for."""
        try:
            calm_by = time.monotonic() + _CALM_SECONDS[key.engine]
            while process.alive and not self._stopping.is_set():
                process.check()
                since, before = time.monotonic(), process.used().cpu_seconds
                answered = answers(_ANSWER_SECONDS[key.engine])
                if not answered and process.alive:
                    log.warning("a %s process does not answer and is replaced", key.engine)
                    self._retire(key, entry, at_once=True)
                    return
                self._stopping.wait(max(0.0, _LOOK_SECONDS - (time.monotonic() - since)))
                process.check()
                load = (process.used().cpu_seconds - before) / (time.monotonic() - since)
                if load < _BUSY:
                    return
                if time.monotonic() > calm_by:
                    log.warning("a %s process works on after a cancellation", key.engine)
                    self._retire(key, entry, at_once=False)
                    return
        finally:
            with self._guard:
                entry.doubted = False
                entry.settled.set()

    def _retire(self, key: Key, entry: _Entry, *, at_once: bool) -> None:
        """Has the next lease get a new process; this one ends with its last lease, or now."""
        with self._guard:
            if self._entries.get(key) is not entry:
                return
            if at_once or not entry.leases:
                self._end(key, _STUCK)
                return
            if key.engine == SPARK:
                return  # it stops what it is told to stop: the others' work keeps it busy
            del self._entries[key]
            entry.retired = True
            assert entry.process is not None
            self._retired.append(entry.process)

    def _key(self, identity: Identity, engine: str, release: str | None) -> Key:
        if engine not in (SAIL, SPARK):
            raise error(ErrorCode.INVALID_ARGUMENT, f"there is no engine {engine}")
        name = release or self._settings.release(engine)
        return Key(identity.principal.id, identity.role, engine, name)

    def _fill(self, key: Key, entry: _Entry) -> None:
        """Gives an entry its process: a spare or a new one."""
        try:
            process = self._take_spare(key)
            if process is None:
                process = self._new(key.engine, key.release)
            with self._guard:
                kept = self._entries.get(key) is entry and not self._stopping.is_set()
                entry.process = process
            if not kept:
                process.stop("it is not wanted any more")
        except BaseException as exc:
            entry.failure = (
                exc
                if isinstance(exc, HeadwaterError)
                else error(ErrorCode.ENGINE_UNAVAILABLE, f"{key.engine} did not start")
            )
            with self._guard:
                if self._entries.get(key) is entry:
                    del self._entries[key]
            if not isinstance(exc, Exception):
                raise
            if not isinstance(exc, HeadwaterError):
                log.exception("a user engine did not start")
        finally:
            entry.ready.set()
            self._wanted.set()

    def _new(self, engine: str, release: str) -> UserProcess:
        found = self._releases.ensure(release)
        archive = archive_of(found) if engine == SPARK else None
        process = UserProcess(
            engine, found, self._folder, self._settings, self.level, archive=archive
        )
        process.start()
        return process

    def _take_spare(self, key: Key) -> UserProcess | None:
        with self._guard:
            spares = self._spares.get((key.engine, key.release), [])
            while spares:
                process = spares.pop()
                if process.alive:
                    return process
        return None

    def _give_back(self, entry: _Entry) -> None:
        with self._guard:
            entry.leases -= 1
            entry.last_used = time.monotonic()
            if entry.retired and not entry.leases and entry.process in self._retired:
                self._retired.remove(entry.process)
                entry.process.stop(_STUCK)
                self._dying.append(entry.process)

    @staticmethod
    def _is_dead(entry: _Entry) -> bool:
        return entry.ready.is_set() and (entry.process is None or not entry.process.alive)

    def _make_room(self) -> None:
        """Ends the process that has been idle longest where there are too many; lock is held."""
        living = {key: entry for key, entry in self._entries.items() if not self._is_dead(entry)}
        if len(living) < self._settings.max_processes:
            return
        idle = [
            (entry.last_used, key)
            for key, entry in living.items()
            if not entry.leases and entry.ready.is_set()
        ]
        if not idle:
            raise error(
                ErrorCode.ENGINE_UNAVAILABLE,
                f"all {self._settings.max_processes} engine processes are in use",
                hint="try again later; HEADWATER_USER_ENGINES__MAX_PROCESSES allows more",
            )
        _, oldest = min(idle, key=lambda pair: pair[0])
        self._end(oldest, "others needed its place")

    def _end(self, key: Key, reason: str) -> None:
        """Takes a process out of the pool and ends it; the lock is held."""
        process = self._entries.pop(key).process
        if process is not None:
            process.stop(reason)
            self._dying.append(process)

    def _watch(self) -> None:
        for turn in itertools.count(1):
            if self._stopping.wait(self._settings.watch_seconds):
                return
            with self._guard:
                self._end_idle()
                self._dying = [process for process in self._dying if not process.join(0)]
                self._retired = [process for process in self._retired if process.alive]
                found = [entry.process for entry in self._entries.values() if entry.process]
                found += self._retired
                found += [process for group in self._spares.values() for process in group]
            for process in found:
                process.check()
                if turn % _DISK_EVERY == 0:
                    process.check_disk()

    def _end_idle(self) -> None:
        now = time.monotonic()
        for key, entry in list(self._entries.items()):
            if self._is_dead(entry) and not entry.leases:
                del self._entries[key]
            elif (
                entry.ready.is_set()
                and not entry.leases
                and now - entry.last_used > self._settings.idle_seconds
            ):
                self._end(key, "it was idle")

    def _keep_spares(self) -> None:
        """Starts spares of installed releases, one at a time; never installs one."""
        failures = 0
        while not self._stopping.is_set():
            missing = self._missing_spare()
            if missing is None:
                self._wanted.wait(5.0)
                self._wanted.clear()
                continue
            engine, name = missing
            try:
                process = self._new(engine, name)
            except HeadwaterError as exc:
                failures += 1
                log.warning("a spare %s did not start: %s", engine, exc)
                self._stopping.wait(min(300.0, 5.0 * 2 ** min(failures, 6)))
                continue
            failures = 0
            with self._guard:
                self._spares.setdefault(missing, []).append(process)
            if self._stopping.is_set():
                process.stop("the server stopped")

    def _missing_spare(self) -> tuple[str, str] | None:
        wanted = {SAIL: self._settings.spare_sail, SPARK: self._settings.spare_spark}
        for engine, count in wanted.items():
            name = self._settings.release(engine)
            if not count:
                continue
            with self._guard:
                spares = self._spares.setdefault((engine, name), [])
                spares[:] = [process for process in spares if process.alive]
                if len(spares) >= count:
                    continue
            with contextlib.suppress(HeadwaterError):
                if self._releases.installed(name) is not None:
                    return engine, name
        return None
