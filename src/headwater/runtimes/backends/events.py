"""Spark's event log: what its executors used, stage by stage."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(slots=True)
class Stage:
    """The finished tasks of one stage."""

    stage_id: int
    name: str = ""
    tasks: int = 0
    failed_tasks: int = 0
    cpu_seconds: float = 0.0
    run_seconds: float = 0.0
    longest_seconds: float = 0.0
    durations: list[float] = field(default_factory=list)
    bytes_read: int = 0
    bytes_written: int = 0
    shuffle_read: int = 0
    shuffle_written: int = 0
    spilled: int = 0

    @property
    def skew(self) -> float:
        """How much longer the longest task ran than the middle one; 1 is even."""
        if not self.durations:
            return 1.0
        middle = sorted(self.durations)[len(self.durations) // 2]
        return self.longest_seconds / middle if middle > 0 else 1.0


@dataclass(slots=True)
class Application:
    """One application's log."""

    app_id: str | None = None
    complete: bool = False
    executors_seconds: float = 0.0
    """Executors' cores times the time that they were there."""
    stages: dict[int, Stage] = field(default_factory=dict)

    @property
    def cpu_seconds(self) -> float:
        """CPU time of all tasks."""
        return sum(stage.cpu_seconds for stage in self.stages.values())

    @property
    def progress(self) -> float | None:
        """Finished tasks among those that are known of; None before the first."""
        known = sum(max(stage.tasks, self._planned.get(number, 0)) for number, stage in self.items)
        return sum(stage.tasks for _, stage in self.items) / known if known else None

    _planned: dict[int, int] = field(default_factory=dict)

    @property
    def items(self) -> list[tuple[int, Stage]]:
        """Stages by number."""
        return sorted(self.stages.items())


def read(folder: Path) -> Application:
    """What the logs of a folder tell so far; a torn last line is left for the next time."""
    found = Application()
    executors: dict[str, tuple[int, float]] = {}
    last = 0.0
    with contextlib.suppress(OSError):
        for path in sorted(folder.iterdir()):
            if not path.is_file() or path.is_symlink():
                continue
            with path.open(encoding="utf-8", errors="replace") as lines:
                for line in lines:
                    with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
                        event = json.loads(line)
                        last = max(last, float(event.get("Timestamp", 0)) / 1000)
                        _take(found, executors, event)
    for cores, since in executors.values():
        found.executors_seconds += cores * max(0.0, last - since)
    return found


def _take(found: Application, executors: dict[str, tuple[int, float]], event: Any) -> None:
    kind = event["Event"]
    if kind == "SparkListenerApplicationStart":
        found.app_id = event.get("App ID")
    elif kind == "SparkListenerApplicationEnd":
        found.complete = True
    elif kind == "SparkListenerExecutorAdded":
        cores = int(event["Executor Info"]["Total Cores"])
        executors[event["Executor ID"]] = cores, event["Timestamp"] / 1000
    elif kind == "SparkListenerExecutorRemoved":
        cores, since = executors.pop(event["Executor ID"])
        found.executors_seconds += cores * (event["Timestamp"] / 1000 - since)
    elif kind == "SparkListenerStageSubmitted":
        info = event["Stage Info"]
        stage = found.stages.setdefault(info["Stage ID"], Stage(info["Stage ID"]))
        stage.name = info["Stage Name"]
        found._planned[stage.stage_id] = int(info["Number of Tasks"])
    elif kind == "SparkListenerTaskEnd":
        _task(found.stages.setdefault(event["Stage ID"], Stage(event["Stage ID"])), event)


def _task(stage: Stage, event: Any) -> None:
    info, metrics = event["Task Info"], event.get("Task Metrics") or {}
    seconds = max(0.0, (info["Finish Time"] - info["Launch Time"]) / 1000)
    stage.tasks += 1
    stage.failed_tasks += bool(info.get("Failed"))
    stage.durations.append(seconds)
    stage.longest_seconds = max(stage.longest_seconds, seconds)
    stage.run_seconds += seconds
    stage.cpu_seconds += (
        metrics.get("Executor CPU Time", 0) + metrics.get("Executor Deserialize CPU Time", 0)
    ) / 1e9
    stage.spilled += metrics.get("Disk Bytes Spilled", 0)
    stage.bytes_read += (metrics.get("Input Metrics") or {}).get("Bytes Read", 0)
    stage.bytes_written += (metrics.get("Output Metrics") or {}).get("Bytes Written", 0)
    shuffled = metrics.get("Shuffle Read Metrics") or {}
    stage.shuffle_read += shuffled.get("Remote Bytes Read", 0) + shuffled.get("Local Bytes Read", 0)
    written = metrics.get("Shuffle Write Metrics") or {}
    stage.shuffle_written += written.get("Shuffle Bytes Written", 0)
