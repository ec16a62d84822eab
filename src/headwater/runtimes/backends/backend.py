"""The protocol between whoever drives runs and the place where they execute.

A backend keeps no state of its own in memory that matters: everything that is needed to find a run
again after the server was killed is in its `Handle` and in the run's `work_dir`. So `submit` is
idempotent for one (run_id, attempt), and `reattach` finds what an earlier server started.

No method blocks for longer than its work takes: `submit` returns when the run was handed over, not
when it runs; ask `poll`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

GIB = 1024**3


class RunKind(StrEnum):
    """What a backend can execute; SQL never comes here, the system engine runs it."""

    PYTHON = "python"
    PYSPARK = "pyspark"
    JAR = "jar"


class BackendState(StrEnum):
    """How far a run is on its backend."""

    PENDING = "pending"
    """Handed over, waiting for resources."""
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"
    """The backend, or what it was running on, has vanished: it is not known how far the run got."""

    @property
    def terminal(self) -> bool:
        """True when the run will not go on."""
        return self not in (BackendState.PENDING, BackendState.RUNNING)


class ExitReason(StrEnum):
    """Why a run ended, in classes that a retry policy can name."""

    SUCCESS = "success"
    NONZERO_EXIT = "nonzero_exit"
    SIGNAL = "signal"
    """Killed by a signal that we did not send."""
    OUT_OF_MEMORY = "out_of_memory"
    DISK_FULL = "disk_full"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    START_FAILED = "start_failed"
    """It never ran: release, sandbox or submission failed."""
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Resources:
    """What one run is given: limits on the local backend, requests on a cluster."""

    vcpu: float = 1.0
    memory_bytes: int = 2 * GIB
    """Of the driver, or of the whole run where it has no executors."""
    processes: int = 512
    disk_bytes: int = 20 * GIB
    executors: int = 0
    """Executors on a cluster; 0 leaves it to the release's defaults."""
    executor_vcpu: float = 1.0
    executor_memory_bytes: int = 2 * GIB


@dataclass(frozen=True, slots=True)
class RunSpec:
    """One attempt of one run.

    `entry` is the Python file or the jar, `argv` what it gets as arguments. `conf` are Spark's
    settings of this run; they come after the release's defaults and before what the backend must
    insist on. `environment` holds no secret: secrets are files (`secrets`: name to a 0600 file
    outside), which the run finds as `$HEADWATER_SECRETS/<name>`. `inputs` (name to path) are shown
    read-only as `$HEADWATER_INPUTS/<name>`. `work_dir` belongs to this attempt alone; the backend
    writes its own files into `work_dir/.run`, the run works in `work_dir/work` and logs to
    `work_dir/logs/{stdout,stderr}`.
    """

    run_id: str
    attempt: int
    release: str
    kind: RunKind
    entry: Path
    work_dir: Path
    argv: tuple[str, ...] = ()
    main_class: str | None = None
    """Of a jar."""
    libraries: tuple[Path, ...] = ()
    """More files for the run: jars, `.py`, `.zip`."""
    conf: Mapping[str, str] = field(default_factory=dict)
    resources: Resources = field(default_factory=Resources)
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, Path] = field(default_factory=dict)
    inputs: Mapping[str, Path] = field(default_factory=dict)
    timeout_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Handle:
    """Finds one attempt again; plain values only, so that it can be kept in the database."""

    backend: str
    run_id: str
    attempt: int
    work_dir: str
    external_id: str | None = None
    """What the place itself calls it: process and start time, application or driver id."""


@dataclass(frozen=True, slots=True)
class BackendStatus:
    """What is known of an attempt now; `progress` is between 0 and 1 where it is known."""

    state: BackendState
    exit_code: int | None = None
    reason: ExitReason | None = None
    message: str = ""
    """For people, of the backend itself; never the run's output."""
    progress: float | None = None
    external_id: str | None = None
    """The application id, once it is known."""
    ui_url: str | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """What an attempt used so far.

    `method` says how it was measured: `cgroup`, `process-tree` (sampled, then the kernel's own sum
    of what was waited for), `spark-events`, or `none`. Used CPU and allocated CPU are never mixed:
    `vcpu_seconds_allocated` is what it was given, whether it used it or not.
    """

    method: str
    wall_seconds: float = 0.0
    cpu_seconds: float | None = None
    vcpu_seconds_allocated: float = 0.0
    memory_gb_seconds: float = 0.0
    """Of what was allocated."""
    peak_memory_bytes: int | None = None
    bytes_read: int | None = None
    bytes_written: int | None = None


@dataclass(frozen=True, slots=True)
class LogChunk:
    """Bytes of a log from `offset` on; `offset + len(data)` is where to go on."""

    data: bytes
    offset: int
    complete: bool
    """True when nothing will be added after `data`."""


@dataclass(frozen=True, slots=True)
class SessionSpec:
    """A Spark Connect server wanted for one principal and role."""

    session_id: str
    release: str
    work_dir: Path
    conf: Mapping[str, str] = field(default_factory=dict)
    resources: Resources = field(default_factory=Resources)


@dataclass(frozen=True, slots=True)
class ConnectEndpoint:
    """A Spark Connect server: a gRPC target, and the file that holds its token if it wants one."""

    target: str
    secure: bool = False
    token_file: Path | None = None


class Backend(Protocol):
    """A place where runs execute; every method raises HeadwaterError only."""

    name: str
    """`local`, `spark-standalone`, `spark-connect`, `kubernetes`, `yarn`."""

    def submit(self, spec: RunSpec) -> Handle:
        """Hands the attempt over; the second call for one (run_id, attempt) returns the first's."""
        ...

    def poll(self, handle: Handle) -> BackendStatus:
        """How the attempt is; cheap, may be called every second."""
        ...

    def cancel(self, handle: Handle, grace_seconds: float = 5.0) -> None:
        """Ends the whole process tree: asks first, kills after the grace; harmless afterwards."""
        ...

    def logs(self, handle: Handle, stream: str, offset: int = 0, limit: int = 65536) -> LogChunk:
        """Bytes of `stdout`, `stderr` or another stream that the backend names."""
        ...

    def usage(self, handle: Handle) -> Usage:
        """What the attempt has used; final once `poll` is terminal."""
        ...

    def reattach(self, run_id: str, attempt: int, work_dir: Path) -> Handle | None:
        """Finds an attempt that an earlier server submitted; None: it never was."""
        ...

    def open_session(self, spec: SessionSpec) -> ConnectEndpoint:
        """A Spark Connect server for one principal alone; NOT_SUPPORTED where there is none."""
        ...

    def close_session(self, session_id: str) -> None:
        """Ends a session's server; unknown ids are ignored."""
        ...
