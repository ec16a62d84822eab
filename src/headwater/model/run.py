"""A run: something that Headwater carries out for a principal, apart from any client's connection.

States follow Amazon EMR Serverless' job runs. A run has attempts; each is one process tree, or one
script in the server. Final states stay final: a retry by hand is a new run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

SQL = "sql"
PYTHON = "python"
PYSPARK = "pyspark"
JAR = "jar"


class RunState(StrEnum):
    """Where a run is; the last three are final."""

    SUBMITTED = "SUBMITTED"
    """Stored, not looked at yet."""
    QUEUED = "QUEUED"
    """Waits for capacity, or for the time of its next attempt."""
    PENDING = "PENDING"
    """Has capacity; its release and files are made ready."""
    SCHEDULED = "SCHEDULED"
    """Its process is being started."""
    RUNNING = "RUNNING"
    CANCELLING = "CANCELLING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def is_final(self) -> bool:
        """True when nothing more will happen."""
        return self in FINAL_STATES

    @property
    def holds_capacity(self) -> bool:
        """True between being admitted and the end."""
        return self in (RunState.PENDING, RunState.SCHEDULED, RunState.RUNNING, RunState.CANCELLING)

    def may_become(self, state: RunState) -> bool:
        """True when the state machine has that step."""
        return state in STEPS.get(self, frozenset())


FINAL_STATES = frozenset({RunState.SUCCESS, RunState.FAILED, RunState.CANCELLED})

STEPS: Mapping[RunState, frozenset[RunState]] = {
    RunState.SUBMITTED: frozenset(
        {RunState.QUEUED, RunState.FAILED, RunState.CANCELLING, RunState.CANCELLED}
    ),
    RunState.QUEUED: frozenset(
        {RunState.PENDING, RunState.FAILED, RunState.CANCELLING, RunState.CANCELLED}
    ),
    RunState.PENDING: frozenset(
        {RunState.SCHEDULED, RunState.QUEUED, RunState.FAILED, RunState.CANCELLING}
    ),
    RunState.SCHEDULED: frozenset(
        {RunState.RUNNING, RunState.QUEUED, RunState.FAILED, RunState.CANCELLING}
    ),
    # Back to QUEUED is the next attempt.
    RunState.RUNNING: frozenset(
        {RunState.SUCCESS, RunState.FAILED, RunState.QUEUED, RunState.CANCELLING}
    ),
    RunState.CANCELLING: frozenset({RunState.CANCELLED}),
}
"""Every step that a run may take; final states take none."""


class FailureClass(StrEnum):
    """Whose fault a failed attempt was; retry policies choose by it."""

    USER = "user"
    """The run's own code or SQL: it would fail again."""
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out_of_memory"
    LOST_ENGINE = "lost_engine"
    """An engine or worker died, or did not answer."""
    INFRASTRUCTURE = "infrastructure"
    """The machine: a reboot, a killed runner, a full disk, a release that cannot be fetched."""


RETRYABLE = frozenset(
    {FailureClass.OUT_OF_MEMORY, FailureClass.LOST_ENGINE, FailureClass.INFRASTRUCTURE}
)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and when a failed attempt is followed by another; seconds double up to the most."""

    max_attempts: int = 1
    on: frozenset[FailureClass] = RETRYABLE
    backoff_seconds: float = 5.0
    backoff_most_seconds: float = 300.0

    def wait_after(self, attempt: int, failure: FailureClass) -> float | None:
        """Seconds until the attempt after `attempt` (from 1), or None when there is none."""
        if attempt >= self.max_attempts or failure not in self.on:
            return None
        return min(self.backoff_most_seconds, self.backoff_seconds * 2.0 ** min(attempt - 1, 30))


@dataclass(frozen=True, slots=True)
class Compute:
    """What a run is given here: whole or part CPUs, and bytes of memory; and, on a cluster, how
    many executors of what size its driver asks for (0 leaves the number to the cluster).
    """

    vcpu: float = 1.0
    memory_bytes: int = 2 * 1024**3
    executors: int = 0
    executor_vcpu: float = 1.0
    executor_memory_bytes: int = 2 * 1024**3


@dataclass(frozen=True, slots=True)
class Entry:
    """What is run: text or an uploaded file, kept in the run's folder as `name`; or a URI."""

    name: str
    uri: str | None = None
    sha256: str = ""
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class RunSpec:
    """What its submitter asked for; `backend` is a backend's name, empty for the default one."""

    kind: str
    name: str
    entry: Entry
    arguments: tuple[str, ...] = ()
    parameters: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    configuration: Mapping[str, str] = field(default_factory=dict)
    main_class: str | None = None
    release: str | None = None
    backend: str = ""
    role: str | None = None
    dialect: str = "spark"
    schema: str | None = None
    compute: Compute = Compute()
    timeout_seconds: float = 12 * 3600.0
    retry: RetryPolicy = RetryPolicy()
    tags: Mapping[str, str] = field(default_factory=dict)
    idempotency_key: str | None = None
    parent_run_id: str | None = None
    retry_of: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The specification as JSON; `from_json` reads it back."""
        return {
            "kind": self.kind,
            "name": self.name,
            "entry": {
                "name": self.entry.name,
                "uri": self.entry.uri,
                "sha256": self.entry.sha256,
                "bytes": self.entry.bytes,
            },
            "arguments": list(self.arguments),
            "parameters": dict(self.parameters),
            "environment": dict(self.environment),
            "configuration": dict(self.configuration),
            "main_class": self.main_class,
            "release": self.release,
            "backend": self.backend,
            "role": self.role,
            "dialect": self.dialect,
            "schema": self.schema,
            "compute": asdict(self.compute),
            "timeout_seconds": self.timeout_seconds,
            "retry": {
                "max_attempts": self.retry.max_attempts,
                "on": sorted(self.retry.on),
                "backoff_seconds": self.retry.backoff_seconds,
                "backoff_most_seconds": self.retry.backoff_most_seconds,
            },
            "tags": dict(self.tags),
            "idempotency_key": self.idempotency_key,
            "parent_run_id": self.parent_run_id,
            "retry_of": self.retry_of,
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> RunSpec:
        """The specification that `as_json` wrote."""
        retry = found["retry"]
        return cls(
            **{
                **found,
                "entry": Entry(**found["entry"]),
                "arguments": tuple(found["arguments"]),
                "compute": Compute(**found["compute"]),
                "retry": RetryPolicy(
                    **{**retry, "on": frozenset(FailureClass(each) for each in retry["on"])}
                ),
            }
        )


@dataclass(frozen=True, slots=True)
class RunUsage:
    """What an attempt was given and what it used; the two are never mixed.

    `vcpu_seconds` is wall time times the CPUs it was given; `cpu_seconds` what its processes used,
    `engine_cpu_seconds` what the engine used for its queries. `memory_gb_seconds` counts 10^9 bytes
    held for a second. `method` says how the process figures were measured, best first: `cgroup2`,
    `cgroup1`, `sampled`, `allocated` (wall times CPUs, when nothing could be measured), `engine`.
    """

    wall_seconds: float = 0.0
    vcpu_seconds: float = 0.0
    cpu_seconds: float = 0.0
    engine_cpu_seconds: float = 0.0
    memory_gb_seconds: float = 0.0
    peak_memory_bytes: int = 0
    bytes_read: int = 0
    bytes_written: int = 0
    queries: int = 0
    method: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a run; times in Unix milliseconds."""

    run_id: str
    number: int
    state: RunState
    created_ms: int
    started_ms: int | None = None
    finished_ms: int | None = None
    exit_status: int | None = None
    failure: FailureClass | None = None
    reason: str | None = None
    sandbox: str | None = None
    release: str | None = None
    session_id: str = ""
    progress: Mapping[str, Any] = field(default_factory=dict)
    usage: RunUsage = RunUsage()


@dataclass(frozen=True, slots=True)
class Run:
    """A run as it stands; `attempt` is the number of its latest attempt, 0 before the first."""

    id: str
    spec: RunSpec
    state: RunState
    principal_id: str
    principal_name: str
    created_ms: int
    attempt: int = 0
    due_ms: int = 0
    started_ms: int | None = None
    finished_ms: int | None = None
    cancelled_by: str | None = None
    failure: FailureClass | None = None
    error_code: str | None = None
    reason: str | None = None
