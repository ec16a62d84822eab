"""Backends whose runs are a process of this machine: all work, or the driver, or the submission.

`local` does all work here, `spark-standalone` keeps the driver here, `kubernetes` and `yarn` keep
only the `spark-submit` that waits for the driver in the cluster. The process lives below a keeper
that outlives the server; see `keeper`.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from headwater.errors import ErrorCode, error
from headwater.runtimes.backends import events
from headwater.runtimes.backends.backend import (
    GIB,
    BackendState,
    BackendStatus,
    ConnectEndpoint,
    ExitReason,
    Handle,
    LogChunk,
    RunKind,
    RunSpec,
    SessionSpec,
    Usage,
)
from headwater.runtimes.backends.keeper import write
from headwater.runtimes.backends.submission import (
    KUBERNETES,
    LOCAL,
    STANDALONE,
    YARN,
    Places,
    Submission,
    submission,
)
from headwater.runtimes.releases.installed import InstalledRelease, Releases
from headwater.runtimes.sandbox.sandbox import Bind, Limits, Sandbox, SandboxLevel, command, level
from headwater.settings import BackendSettings, child_environment

_STARTING_SECONDS = 30.0
_ASK_SECONDS = 5.0
_INSIDE = "/run/headwater"
_WORK = "/work"


class ProcessBackend:
    """One of the backends that `submission` knows; see `Backend` for its methods."""

    def __init__(
        self,
        name: str,
        place: BackendSettings,
        releases: Releases,
        at: SandboxLevel | None = None,
    ) -> None:
        self.name = name
        self._place = place
        self._releases = releases
        self._at = at
        self._lock = threading.Lock()
        self._keepers: dict[Path, tuple[subprocess.Popen[bytes], float]] = {}
        self._silent: dict[Path, float] = {}
        self._asked: dict[Path, float] = {}

    def submit(self, spec: RunSpec) -> Handle:
        """Hands the attempt over to a keeper; the second call finds the first's."""
        handle = Handle(self.name, spec.run_id, spec.attempt, str(spec.work_dir))
        folder = _folder(handle)
        if not (folder / "plan.json").exists():
            if not spec.entry.is_file():
                raise error(ErrorCode.FILE_NOT_FOUND, f"the run's file {spec.entry.name} is gone")
            release = self._releases.ensure(spec.release)
            self._prepare(spec, release, folder)
        if not (folder / "result.json").exists() and not _held(folder):
            self._spawn(folder)
        return handle

    def poll(self, handle: Handle) -> BackendStatus:
        """How the attempt is, by its folder."""
        folder = _folder(handle)
        self._reap(folder)
        result = _read(folder / "result.json")
        if result is None and not _held(folder) and not self._starting(folder):
            # The keeper writes its result before it gives its lock up.
            result = _read(folder / "result.json")
            if result is None:
                return BackendStatus(
                    BackendState.LOST,
                    reason=ExitReason.LOST,
                    message="its keeper was killed, or the machine was restarted",
                )
        application = self._application(handle)
        if result is not None:
            if (folder / "lost.json").exists():
                result["reason"] = ExitReason.LOST
            return _ended(result, application)
        if self._cluster_is_silent(folder):
            write(folder / "lost.json", {"cluster": self._place.master})
            self.cancel(handle, 0)
        state = BackendState.RUNNING if (folder / "state.json").exists() else BackendState.PENDING
        return BackendStatus(
            state,
            progress=application.progress if application else None,
            external_id=application.app_id if application else None,
        )

    def cancel(self, handle: Handle, grace_seconds: float = 5.0) -> None:
        """Asks the keeper to end the tree, and kill what is left of it after the grace."""
        folder = _folder(handle)
        if folder.is_dir() and not (folder / "result.json").exists():
            write(folder / "cancel", grace_seconds)

    def logs(self, handle: Handle, stream: str, offset: int = 0, limit: int = 65536) -> LogChunk:
        """Bytes of `stdout` or `stderr`."""
        if stream not in ("stdout", "stderr"):
            raise error(ErrorCode.INVALID_ARGUMENT, f"there is no log {stream}")
        done = (_folder(handle) / "result.json").exists()
        data = b""
        path = Path(handle.work_dir) / "logs" / stream
        with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
            file.seek(offset)
            data = file.read(limit)
        return LogChunk(data, offset, done and len(data) < limit)

    def usage(self, handle: Handle) -> Usage:
        """What the attempt has used: the process tree here, and the cluster's executors."""
        folder = _folder(handle)
        plan = _read(folder / "plan.json") or {}
        result = _read(folder / "result.json")
        state = _read(folder / "state.json") or {}
        if result is None:
            wall = max(0.0, time.time() - state["started"]) if state else 0.0
            used: dict[str, Any] = {}
        else:
            wall, used = result["wall_seconds"], result
        cpu = used.get("cpu_seconds")
        vcpu_seconds = wall * plan.get("vcpu", 0.0)
        gb_seconds = wall * plan.get("given_memory_bytes", 0) / GIB
        read, written, method = used.get("bytes_read"), used.get("bytes_written"), "process-tree"
        application = self._application(handle) if self.name != LOCAL else None
        if application is not None and application.app_id is not None:
            method = "process-tree+spark-events"
            cpu = (cpu or 0.0) + application.cpu_seconds
            vcpu_seconds += application.executors_seconds
            gb_seconds += application.executors_seconds * plan.get("executor_gb_per_core", 0.0)
            stages = application.stages.values()
            read = sum(stage.bytes_read + stage.shuffle_read for stage in stages)
            written = sum(stage.bytes_written + stage.shuffle_written for stage in stages)
        return Usage(
            method=method,
            wall_seconds=wall,
            cpu_seconds=cpu,
            vcpu_seconds_allocated=vcpu_seconds,
            memory_gb_seconds=gb_seconds,
            peak_memory_bytes=used.get("peak_memory_bytes"),
            bytes_read=read,
            bytes_written=written,
        )

    def reattach(self, run_id: str, attempt: int, work_dir: Path) -> Handle | None:
        """The attempt if it was ever submitted; its keeper is started if it never was."""
        handle = Handle(self.name, run_id, attempt, str(work_dir))
        folder = _folder(handle)
        if not (folder / "plan.json").exists():
            return None
        never_started = not (folder / "state.json").exists()
        if never_started and not (folder / "result.json").exists() and not _held(folder):
            self._spawn(folder)
        return handle

    def open_session(self, spec: SessionSpec) -> ConnectEndpoint:
        """NOT_SUPPORTED: sessions run on user engines, or on a remote Spark Connect."""
        raise error(
            ErrorCode.NOT_SUPPORTED,
            f"{self.name} opens no sessions",
            hint="the backend spark-connect takes sessions; here the engines for users do",
        )

    def close_session(self, session_id: str) -> None:
        """There are none."""

    def _prepare(self, spec: RunSpec, release: InstalledRelease, folder: Path) -> None:
        """Makes the attempt's folders, and the plan last of all."""
        logs, work = spec.work_dir / "logs", spec.work_dir / "work"
        for path in (folder, logs, work):
            path.mkdir(parents=True, exist_ok=True)
        at = self._at or level()
        entry = Bind(spec.entry, f"{_INSIDE}/entry/{spec.entry.name}")
        libraries = [Bind(path, f"{_INSIDE}/libraries/{path.name}") for path in spec.libraries]
        inputs = [Bind(path, f"{_INSIDE}/inputs/{name}") for name, path in spec.inputs.items()]
        secrets = [Bind(path, f"{_INSIDE}/secrets/{name}") for name, path in spec.secrets.items()]
        properties = Bind(folder / "spark.properties", f"{_INSIDE}/spark.properties")
        work_bind = Bind(work, _WORK)
        work_seen = work_bind.seen(at)
        places = Places(
            entry.seen(at),
            properties.seen(at),
            work_seen,
            tuple(bind.seen(at) for bind in libraries),
            f"{work_seen}/.events",
        )
        (work / ".events").mkdir(exist_ok=True)
        how = self._submission(release, spec, places)
        descriptor = os.open(properties.outside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(how.properties)
        confined = command(
            how.argv,
            Sandbox(
                ro=(*release.folders, entry, *libraries, *inputs, *self._shown()),
                rw=(work_bind, Bind(work / ".events", f"{_WORK}/.events")),
                private=(properties, *secrets),
                network=how.network,
                limits=Limits(
                    memory_bytes=3 * _memory(spec),
                    processes=spec.resources.processes,
                    vcpu=spec.resources.vcpu if self.name == LOCAL else 0,
                    file_bytes=spec.resources.disk_bytes,
                    temporary_bytes=256 * 1024**2,
                ),
                environment={
                    **child_environment(),
                    **how.environment,
                    "PATH": "/usr/bin:/bin",
                    "HOME": work_seen,
                    "HEADWATER_RUN_ID": spec.run_id,
                    "HEADWATER_SECRETS": f"{_INSIDE}/secrets",
                    "HEADWATER_INPUTS": f"{_INSIDE}/inputs",
                },
                directory=work_seen,
            ),
            at,
        )
        resources = spec.resources
        write(
            folder / "plan.json",
            {
                "argv": list(confined.argv),
                "environment": dict(confined.environment),
                "directory": str(confined.directory) if confined.directory else None,
                "logs": str(logs),
                "events": str(work / ".events"),
                "timeout_seconds": spec.timeout_seconds,
                "on_cancel": list(how.kill),
                "grace_seconds": 5.0,
                "memory_bytes": _memory(spec),
                "given_memory_bytes": resources.memory_bytes,
                "vcpu": resources.vcpu,
                "executor_gb_per_core": resources.executor_memory_bytes
                / GIB
                / max(resources.executor_vcpu, 0.1),
                "sandbox": str(at.kind),
            },
        )

    def _submission(self, release: InstalledRelease, spec: RunSpec, places: Places) -> Submission:
        if spec.kind is RunKind.PYTHON and self.name == LOCAL:
            argv = (str(release.python), places.entry, *spec.argv)
            return Submission(argv, {**release.env, **spec.environment}, "", False)
        return submission(self.name, self._place, release, spec, places)

    def _shown(self) -> list[Bind]:
        """What the submission reads beside the run's own: the cluster's client configuration."""
        if self.name == YARN and self._place.hadoop_conf is not None:
            return [Bind(self._place.hadoop_conf)]
        if self.name == KUBERNETES and (Path.home() / ".kube").is_dir():
            return [Bind(Path.home() / ".kube", f"{_WORK}/.kube")]
        return []

    def _spawn(self, folder: Path) -> None:
        with self._lock:
            known = self._keepers.get(folder)
            if known is not None and known[0].poll() is None:
                return
            with (folder / "keeper.log").open("ab") as log:
                process = subprocess.Popen(
                    (sys.executable, "-m", "headwater.runtimes.backends.keeper", str(folder)),
                    env=child_environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            self._keepers[folder] = process, time.monotonic()
            # It may outlive us; while we live, it is not to stay behind as a zombie.
            threading.Thread(target=process.wait, name="keeper", daemon=True).start()

    def _starting(self, folder: Path) -> bool:
        """True while a keeper of ours may not have taken its lock yet."""
        with self._lock:
            known = self._keepers.get(folder)
        if known is None or known[0].poll() is not None:
            return False
        return time.monotonic() - known[1] < _STARTING_SECONDS

    def _reap(self, folder: Path) -> None:
        with self._lock:
            known = self._keepers.get(folder)
            if known is not None and known[0].poll() is not None:
                del self._keepers[folder]

    def _application(self, handle: Handle) -> events.Application | None:
        plan = _read(_folder(handle) / "plan.json")
        return events.read(Path(plan["events"])) if plan else None

    def _cluster_is_silent(self, folder: Path) -> bool:
        """True when the cluster's master has not answered for longer than the setting allows."""
        if self.name != STANDALONE:
            return False
        now = time.monotonic()
        if now - self._asked.get(folder, -_ASK_SECONDS) >= _ASK_SECONDS:
            self._asked[folder] = now
            if answers(self._place.master):
                self._silent.pop(folder, None)
            else:
                self._silent.setdefault(folder, now)
        since = self._silent.get(folder)
        return since is not None and now - since >= self._place.unreachable_seconds


def _memory(spec: RunSpec) -> int:
    """Bytes from which on a tree is ended."""
    given = spec.resources.memory_bytes
    # What Java keeps beside the heap that it is given, and Python's workers, need room as well.
    return given if spec.kind is RunKind.PYTHON else given * 3 // 2 + GIB // 2


def answers(master: str) -> bool:
    """True when one of a cluster's masters accepts a connection."""
    for address in master.removeprefix("spark://").split(","):
        place = urlsplit(f"//{address}")
        with (
            contextlib.suppress(OSError, ValueError),
            socket.create_connection((place.hostname or "", place.port or 7077), 3),
        ):
            return True
    return False


def _folder(handle: Handle) -> Path:
    return Path(handle.work_dir) / ".run"


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return found


def _held(folder: Path) -> bool:
    """True while a keeper lives."""
    try:
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def _ended(result: dict[str, Any], application: events.Application | None) -> BackendStatus:
    reason = ExitReason(result["reason"])
    state = {
        ExitReason.SUCCESS: BackendState.SUCCEEDED,
        ExitReason.CANCELLED: BackendState.CANCELLED,
        ExitReason.LOST: BackendState.LOST,
    }.get(reason, BackendState.FAILED)
    return BackendStatus(
        state,
        exit_code=result["status"],
        reason=reason,
        message=_MESSAGES.get(reason, ""),
        progress=1.0 if state is BackendState.SUCCEEDED else None,
        external_id=application.app_id if application else None,
    )


_MESSAGES = {
    ExitReason.LOST: "its keeper was killed, or its cluster does not answer",
    ExitReason.OUT_OF_MEMORY: "it used more memory than it was given",
    ExitReason.TIMEOUT: "it ran longer than it may",
    ExitReason.START_FAILED: "its process could not be started; keeper.log says why",
    ExitReason.NONZERO_EXIT: "it ended with an error; its log says which",
    ExitReason.SIGNAL: "it was killed",
}
