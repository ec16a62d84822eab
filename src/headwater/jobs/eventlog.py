"""Spark's event log, read into stages with their skew and spill; pure.

One JSON object a line, as `org.apache.spark.util.JsonProtocol` writes them (Spark 3.5 to 4.x).
Unknown events and fields are left alone, a line that was cut off is skipped.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

SKEWED_BY = 3.0
"""A stage whose longest task takes so many times the median one's time is called skewed."""

_SKEW_SECONDS = 0.1
"""Below that longest time nobody cares."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One attempt of a stage; seconds and bytes are sums over its tasks."""

    id: int
    attempt: int
    name: str
    state: str
    """`complete`, `failed` (with `failure`), or `running` in the log of a run that was killed."""
    tasks: int
    failed_tasks: int
    seconds: float
    """Wall time from submission to completion."""
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
    failure: str | None = None

    @property
    def skew(self) -> float:
        """How many times the median task's time the longest took; 1.0 for a single task."""
        if self.tasks < 2 or self.median_task_seconds <= 0:
            return 1.0
        return self.longest_task_seconds / self.median_task_seconds

    @property
    def skewed(self) -> bool:
        """True when its longest task kept the others waiting."""
        return self.skew >= SKEWED_BY and self.longest_task_seconds >= _SKEW_SECONDS


@dataclass(frozen=True, slots=True)
class Application:
    """What one application's log tells."""

    id: str
    name: str
    spark: str
    seconds: float
    executors: int
    allocated_vcpu_seconds: float
    """Sum over executors of their cores times their life."""
    stages: tuple[Stage, ...] = ()

    @property
    def spilled_bytes(self) -> int:
        """Bytes that all stages wrote to disk for want of memory."""
        return sum(stage.disk_spilled_bytes for stage in self.stages)


@dataclass
class _Open:
    """A stage while its events are read."""

    info: Mapping[str, Any]
    completed: Mapping[str, Any] | None = None
    durations: list[float] = field(default_factory=list)
    failed: int = 0
    sums: dict[str, float] = field(default_factory=dict)


def parse(lines: Iterable[str | bytes]) -> Application:
    """The application of a log; what a killed one did not log is counted up to its last event."""
    app: dict[str, Any] = {}
    spark = ""
    stages: dict[tuple[int, int], _Open] = {}
    executors: dict[str, tuple[int, int]] = {}
    gone: dict[str, int] = {}
    last = 0
    for event in _events(lines):
        kind = event["Event"].rpartition(".")[2]
        last = max(last, int(event.get("Timestamp") or 0))
        if kind == "SparkListenerLogStart":
            spark = event.get("Spark Version", "")
        elif kind == "SparkListenerApplicationStart":
            app = dict(event)
        elif kind == "SparkListenerExecutorAdded":
            cores = int(event["Executor Info"]["Total Cores"])
            executors[event["Executor ID"]] = (int(event["Timestamp"]), cores)
        elif kind == "SparkListenerExecutorRemoved":
            gone[event["Executor ID"]] = int(event["Timestamp"])
        elif kind in ("SparkListenerStageSubmitted", "SparkListenerStageCompleted"):
            info = event["Stage Info"]
            stage = stages.setdefault(_key(info), _Open(info))
            if kind.endswith("Completed"):
                stage.completed = info
            last = max(last, int(info.get("Completion Time") or info.get("Submission Time") or 0))
        elif kind == "SparkListenerTaskEnd":
            key = (int(event["Stage ID"]), int(event["Stage Attempt ID"]))
            if key in stages:
                _add(stages[key], event)
            last = max(last, int(event["Task Info"]["Finish Time"]))
    start = int(app.get("Timestamp") or last)
    return Application(
        id=str(app.get("App ID") or ""),
        name=str(app.get("App Name") or ""),
        spark=spark,
        seconds=max(0, last - start) / 1000,
        executors=len(executors),
        allocated_vcpu_seconds=sum(
            cores * max(0, gone.get(name, last) - since) / 1000
            for name, (since, cores) in executors.items()
        ),
        stages=tuple(_closed(key, stage, last) for key, stage in sorted(stages.items())),
    )


def _events(lines: Iterable[str | bytes]) -> Iterable[Mapping[str, Any]]:
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and isinstance(event.get("Event"), str):
            yield event


def _key(info: Mapping[str, Any]) -> tuple[int, int]:
    return int(info["Stage ID"]), int(info.get("Stage Attempt ID", 0))


def _add(stage: _Open, event: Mapping[str, Any]) -> None:
    task, metrics = event["Task Info"], event.get("Task Metrics") or {}
    stage.durations.append((int(task["Finish Time"]) - int(task["Launch Time"])) / 1000)
    stage.failed += bool(task.get("Failed"))
    read = metrics.get("Shuffle Read Metrics") or {}
    for name, value in (
        ("run", metrics.get("Executor Run Time", 0) / 1e3),
        ("cpu", metrics.get("Executor CPU Time", 0) / 1e9),
        ("gc", metrics.get("JVM GC Time", 0) / 1e3),
        ("input", (metrics.get("Input Metrics") or {}).get("Bytes Read", 0)),
        ("output", (metrics.get("Output Metrics") or {}).get("Bytes Written", 0)),
        ("read", read.get("Remote Bytes Read", 0) + read.get("Local Bytes Read", 0)),
        (
            "write",
            (metrics.get("Shuffle Write Metrics") or {}).get("Shuffle Bytes Written", 0),
        ),
        ("memory", metrics.get("Memory Bytes Spilled", 0)),
        ("disk", metrics.get("Disk Bytes Spilled", 0)),
    ):
        stage.sums[name] = stage.sums.get(name, 0) + value


def _closed(key: tuple[int, int], stage: _Open, last: int) -> Stage:
    info = stage.completed or stage.info
    failure = info.get("Failure Reason")
    submitted = int(info.get("Submission Time") or last)
    ended = int(info.get("Completion Time") or last)
    state = "running" if stage.completed is None else ("failed" if failure else "complete")
    sums = stage.sums
    return Stage(
        id=key[0],
        attempt=key[1],
        name=str(info.get("Stage Name") or "")[:200],
        state=state,
        tasks=len(stage.durations),
        failed_tasks=stage.failed,
        seconds=max(0, ended - submitted) / 1000,
        run_seconds=sums.get("run", 0.0),
        cpu_seconds=sums.get("cpu", 0.0),
        gc_seconds=sums.get("gc", 0.0),
        median_task_seconds=statistics.median(stage.durations) if stage.durations else 0.0,
        longest_task_seconds=max(stage.durations, default=0.0),
        input_bytes=int(sums.get("input", 0)),
        output_bytes=int(sums.get("output", 0)),
        shuffle_read_bytes=int(sums.get("read", 0)),
        shuffle_write_bytes=int(sums.get("write", 0)),
        memory_spilled_bytes=int(sums.get("memory", 0)),
        disk_spilled_bytes=int(sums.get("disk", 0)),
        failure=str(failure).splitlines()[0][:300] if failure else None,
    )
