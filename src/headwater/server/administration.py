"""What administrators see and do on a running server: settings, processes, releases."""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from pydantic import BaseModel, SecretStr

from headwater.engines.duckdb.engine import DuckDBEngine
from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.governance.state import PolicyStore
from headwater.runtimes.releases.store import ReleaseStatus, ReleaseStore
from headwater.settings import Settings
from headwater.telemetry.logs import log

if TYPE_CHECKING:
    from headwater.engines.userprocess.pool import ProcessStatus

HIDDEN = "•••"
"""What stands for a secret that is set."""

_RUNNER = "headwater.jobs.runner"
_URL_PASSWORD = re.compile(r"(\w[\w+.-]*://[^\s:/@]*):[^\s@/]+@")
_QUERY_PASSWORD = re.compile(r"(?i)([?&;](?:password|token|secret|key)=)[^&;\s]+")

_log = log("administration")


@dataclass(frozen=True, slots=True)
class SettingInForce:
    """One setting: its value and default as text; a secret shows only whether it is set."""

    name: str
    variable: str
    value: str | None
    default: str | None
    changed: bool
    secret: bool
    description: str


@dataclass(frozen=True, slots=True)
class ProcessInfo:
    """One process with its tree: bytes of memory, CPU seconds, and CPUs busy since the last look.

    `kind` is `server`, `engine`, `user engine`, `spare`, `job run` or `other`.
    """

    kind: str
    name: str
    pid: int | None
    state: str
    detail: str | None = None
    user: str | None = None
    role: str | None = None
    processes: int = 0
    memory_bytes: int = 0
    cpu_seconds: float = 0.0
    cpus: float | None = None
    started_ms: int | None = None
    restarts: int = 0
    idle_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Installation:
    """An installation under way, or the one that failed last."""

    doing: str
    share: float
    error: HeadwaterError | None = None


@dataclass(slots=True)
class _Known:
    at: float
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class _Tree:
    processes: int = 0
    memory_bytes: int = 0
    cpu_seconds: float = 0.0
    cpus: float | None = None
    started_ms: int | None = None
    members: frozenset[int] = field(default_factory=frozenset)


class Administration:
    """Answers administrators; whether a caller is one is decided by who calls."""

    def __init__(
        self,
        settings: Settings,
        engine: DuckDBEngine,
        policies: PolicyStore,
        releases: ReleaseStore,
        user_engines: Callable[[], Sequence[ProcessStatus]],
        uses_release: Callable[[str], bool],
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._policies = policies
        self._releases = releases
        self._user_engines = user_engines
        self._uses_release = uses_release
        self._lock = threading.Lock()
        self._seen: dict[tuple[int, float], _Known] = {}
        self._installing: dict[str, Installation] = {}

    # --- settings -----------------------------------------------------------------------------

    def settings(self) -> list[SettingInForce]:
        """Every setting as it is in force; no secret and no password of a URL among them."""
        return list(_settings(self._settings, ""))

    # --- processes ----------------------------------------------------------------------------

    def processes(self) -> list[ProcessInfo]:
        """The server and every process below it that is its own."""
        return list(self._processes())

    def _processes(self) -> Iterator[ProcessInfo]:
        state = self._policies.current()
        mine = os.getpid()
        taken = {mine}
        yield _with(ProcessInfo("server", "headwater", mine, "running"), self._tree(mine, False))
        for worker in self._engine.status().workers:
            info = ProcessInfo(
                "engine",
                worker.name,
                worker.pid,
                worker.state,
                detail=worker.last_exit and f"last exit: {worker.last_exit}",
                restarts=worker.restarts,
            )
            tree = self._tree(worker.pid) if worker.pid else _Tree()
            taken |= tree.members
            yield _with(info, tree)
        for process in self._user_engines():
            tree = self._tree(process.pid)
            taken |= tree.members
            spare = process.principal_id is None
            yield _with(
                ProcessInfo(
                    "spare" if spare else "user engine",
                    process.engine,
                    process.pid,
                    "ready" if spare else ("in use" if process.leases else "idle"),
                    detail=f"release {process.release}",
                    user=None if spare else state.name(process.principal_id or ""),
                    role=process.role,
                    idle_seconds=process.idle_seconds if not spare else None,
                ),
                tree,
            )
        with contextlib.suppress(psutil.Error):
            for child in psutil.Process(mine).children():
                if child.pid not in taken:
                    with contextlib.suppress(psutil.Error):
                        yield self._other(child)

    def _other(self, child: psutil.Process) -> ProcessInfo:
        argv = child.cmdline()
        tree = self._tree(child.pid)
        if _RUNNER in argv:
            folder = Path(argv[-1])
            # <home>/…/<run>/<attempt>, see jobs.folders
            detail = f"run {folder.parent.name}, attempt {folder.name}"
            return _with(ProcessInfo("job run", "runner", child.pid, "running", detail), tree)
        return _with(ProcessInfo("other", child.name(), child.pid, child.status()), tree)

    def _tree(self, pid: int, whole: bool = True) -> _Tree:
        """A process' figures, with those below it when `whole`."""
        try:
            top = psutil.Process(pid)
            members = [top, *(top.children(recursive=True) if whole else ())]
            started = top.create_time()
        except psutil.Error:
            return _Tree()
        memory, used, alive = 0, 0.0, set()
        for process in members:
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                used += times.user + times.system
                memory += process.memory_info().rss
                alive.add(process.pid)
        now = time.monotonic()
        with self._lock:
            before = self._seen.get((pid, started))
            self._seen[pid, started] = _Known(now, used)
            if len(self._seen) > 1000:
                self._seen = {(pid, started): _Known(now, used)}
        cpus = None
        if before is not None and now - before.at > 0.2:
            cpus = max(0.0, (used - before.cpu_seconds) / (now - before.at))
        return _Tree(len(alive), memory, used, cpus, int(started * 1000), frozenset(alive))

    # --- releases -----------------------------------------------------------------------------

    def releases(self) -> list[tuple[ReleaseStatus, Installation | None]]:
        """Every declared release, and the installation that is under way or failed."""
        with self._lock:
            installing = dict(self._installing)
        found = self._releases.list()
        return [(status, installing.get(status.definition.name)) for status in found]

    def install(self, name: str) -> None:
        """Begins to install a release; returns at once, `releases` tells how far it is.

        Does nothing when it is being installed. Raises RELEASE_NOT_FOUND.
        """
        self._releases.show(name)
        with self._lock:
            running = self._installing.get(name)
            if running is not None and running.error is None:
                return
            self._installing[name] = Installation("beginning", 0.0)
        threading.Thread(
            target=self._install, args=(name,), name=f"install-{name}", daemon=True
        ).start()

    def remove(self, name: str) -> bool:
        """Removes a release; True when there was one. Refused while something runs with it."""
        self._releases.show(name)
        with self._lock:
            installing = name in self._installing and self._installing[name].error is None
        used = any(process.release == name for process in self._user_engines())
        if installing or used or self._uses_release(name):
            raise error(
                ErrorCode.INVALID_ARGUMENT,
                f"release {name} is in use",
                hint="wait until its sessions and runs have ended",
            )
        with self._lock:
            self._installing.pop(name, None)
        return self._releases.remove(name)

    def _install(self, name: str) -> None:
        def tell(doing: str, share: float) -> None:
            with self._lock:
                self._installing[name] = Installation(doing, min(1.0, max(0.0, share)))

        from headwater.engines.userprocess.archive import archive_of, make_archive

        try:
            release = self._releases.ensure(name, tell)
            if release.spark_home and archive_of(release) is None:
                tell("rehearsing Spark's start", 0.97)
                make_archive(release, self._settings.user_engines)
        except HeadwaterError as exc:
            self._failed(name, exc)
        except Exception:
            _log.exception("a release could not be installed", release=name)
            self._failed(
                name,
                error(
                    ErrorCode.INTERNAL_ERROR,
                    f"release {name} could not be installed for a reason of Headwater's own",
                    hint="the server's log has the details",
                ),
            )
        else:
            with self._lock:
                self._installing.pop(name, None)

    def _failed(self, name: str, exc: HeadwaterError) -> None:
        with self._lock:
            before = self._installing.get(name) or Installation("beginning", 0.0)
            self._installing[name] = replace(before, error=exc)


def _with(info: ProcessInfo, tree: _Tree) -> ProcessInfo:
    return replace(
        info,
        processes=tree.processes,
        memory_bytes=tree.memory_bytes,
        cpu_seconds=tree.cpu_seconds,
        cpus=tree.cpus,
        started_ms=tree.started_ms,
    )


def _settings(model: BaseModel, prefix: str) -> Iterator[SettingInForce]:
    for name, info in type(model).model_fields.items():
        value, default = getattr(model, name), info.get_default(call_default_factory=True)
        if isinstance(value, BaseModel):
            yield from _settings(value, f"{prefix}{name}.")
            continue
        path = f"{prefix}{name}"
        secret = isinstance(value, SecretStr) or "SecretStr" in str(info.annotation)
        yield SettingInForce(
            name=path,
            variable="HEADWATER_" + path.replace(".", "__").upper(),
            value=_text(value, secret),
            default=_text(default, secret),
            changed=value != default,
            secret=secret,
            description=info.description or "",
        )


def _text(value: Any, secret: bool) -> str | None:
    if value is None:
        return None
    if secret:
        return HIDDEN
    if isinstance(value, dict):
        # Spark's settings may carry keys of storage: their names are enough.
        return ", ".join(f"{key}={HIDDEN}" for key in sorted(value))
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    if isinstance(value, bool):
        return "true" if value else "false"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return _QUERY_PASSWORD.sub(rf"\1{HIDDEN}", _URL_PASSWORD.sub(rf"\1:{HIDDEN}@", text))
