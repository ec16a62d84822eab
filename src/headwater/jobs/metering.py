"""Measuring a process tree, best method first: cgroup v2, cgroup v1, sampling, allocation.

Sampling sees processes between their birth and death only; the runner is a subreaper, so whatever
ends below it is reaped by it and counted by the kernel (`RUSAGE_CHILDREN`) as well. Imported by the
runner: standard library and psutil only.
"""

from __future__ import annotations

import contextlib
import resource
import time
from dataclasses import asdict, dataclass
from typing import Any

import psutil

from headwater.runtimes.sandbox.cgroups import Leaf

GB = 1e9


@dataclass(frozen=True, slots=True)
class Sample:
    """What a process tree used so far: seconds, gigabyte-seconds (10^9), bytes, processes."""

    wall_seconds: float = 0.0
    vcpu_seconds: float = 0.0
    cpu_seconds: float = 0.0
    memory_gb_seconds: float = 0.0
    peak_memory_bytes: int = 0
    processes: int = 0
    method: str = "allocated"

    def as_json(self) -> dict[str, Any]:
        """The sample as JSON."""
        return asdict(self)


class Meter:
    """Adds up what the tree below this process uses; call `sample` a few times a second."""

    def __init__(self, leaf: Leaf, vcpu: float) -> None:
        self._leaf = leaf
        self._vcpu = vcpu
        self._born = self._last = time.monotonic()
        self._cpu: dict[tuple[int, float], float] = {}
        self._reaped = _reaped_seconds()
        self._gb_seconds = 0.0
        self._peak = 0
        self.memory_bytes = 0
        self.processes = 0

    def sample(self) -> Sample:
        """Looks now, and tells the sums so far."""
        now = time.monotonic()
        held = self._leaf.memory_bytes()
        counted = self._leaf.cpu_seconds()
        if held is None or counted is None:
            sampled_cpu, sampled_memory = self._look()
            held = sampled_memory if held is None else held
        else:
            sampled_cpu = 0.0
            self.processes = len(self._leaf.members())
        self.memory_bytes = held
        self._gb_seconds += held / GB * (now - self._last)
        self._peak = max(self._peak, held)
        self._last = now
        wall = now - self._born
        method = self._leaf.method
        if counted is None:
            counted = max(sampled_cpu, _reaped_seconds() - self._reaped)
            method = "sampled"
        if method == "sampled" and not self._cpu and counted == 0.0:
            counted, method = wall * self._vcpu, "allocated"
        return Sample(
            wall_seconds=wall,
            vcpu_seconds=wall * self._vcpu,
            cpu_seconds=counted,
            memory_gb_seconds=self._gb_seconds,
            peak_memory_bytes=self._peak,
            processes=self.processes,
            method=method,
        )

    def _look(self) -> tuple[float, int]:
        memory = count = 0
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                key = (process.pid, process.create_time())
                self._cpu[key] = max(self._cpu.get(key, 0.0), times.user + times.system)
                memory += process.memory_info().rss
                count += 1
        self.processes = count
        return sum(self._cpu.values()), memory


def _reaped_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
