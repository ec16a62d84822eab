"""What a worker process used: processor time, peak memory, bytes read; from getrusage and /proc."""

from __future__ import annotations

import contextlib
import json
import resource
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_STATUS = Path("/proc/self/status")
_IO = Path("/proc/self/io")
_CLEAR_REFS = Path("/proc/self/clear_refs")


@dataclass(frozen=True, slots=True)
class Meter:
    """The counters when a statement began; `start` makes one."""

    cpu_seconds: float
    read_bytes: int

    @classmethod
    def start(cls) -> Meter:
        """Counters as they are now; the process's memory peak starts anew."""
        with contextlib.suppress(
            OSError
        ):  # not every kernel offers it; the peak is then the life's
            _CLEAR_REFS.write_text("5")
        before = read_bytes()
        now = read_bytes()
        return cls(cpu_seconds(), now + (now - before))  # asking is itself a read: not counted

    def cpu_since(self) -> float:
        """Processor seconds, user and system, of all threads since the start."""
        return max(0.0, cpu_seconds() - self.cpu_seconds)

    def read_since(self) -> int:
        """Bytes read from files since the start, cached or not, spill included."""
        return max(0, read_bytes() - self.read_bytes)


ZERO = Meter(0.0, 0)
"""The meter of a statement that has not begun."""


def cpu_seconds() -> float:
    """User and system time of this process, in seconds."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def read_bytes() -> int:
    """Bytes that this process has read by read calls so far; 0 where the kernel does not tell."""
    with contextlib.suppress(OSError):
        return int(_field(_IO.read_text(), "rchar"))
    return 0


def peak_memory_bytes() -> int:
    """Highest resident memory of this process since `Meter.start`."""
    with contextlib.suppress(OSError):
        return int(_field(_STATUS.read_text(), "VmHWM")) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def memory_bytes() -> int:
    """Resident memory of this process now."""
    with contextlib.suppress(OSError):
        return int(_field(_STATUS.read_text(), "VmRSS")) * 1024
    return 0


@dataclass(frozen=True, slots=True)
class Profile:
    """The parts of DuckDB's query profile that are metered: rows and bytes that scans read."""

    scanned_rows: int = 0
    read_bytes: int = 0

    @classmethod
    def parse(cls, text: str) -> Profile:
        """The sums over a profile in DuckDB's JSON."""
        profile: dict[str, Any] = json.loads(text) if text else {}
        rows = 0
        pending = [profile]
        while pending:
            node = pending.pop()
            if "SCAN" in str(node.get("operator_type", "")):
                rows += int(node.get("operator_rows_scanned") or 0)
            pending.extend(node.get("children") or ())
        return cls(rows, int(profile.get("total_bytes_read") or 0))


def _field(text: str, name: str) -> str:
    """The number in a `name: value` line of a /proc file."""
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return value.split()[0]
    return "0"
