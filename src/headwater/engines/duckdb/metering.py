"""What a worker process used: processor time, peak memory, bytes read; from getrusage and /proc."""

from __future__ import annotations

import contextlib
import json
import os
import resource
from dataclasses import dataclass
from typing import Any

_LONGEST = 8192


class _ProcFile:
    """A file that the kernel makes anew at each read, kept open: it is read for each statement."""

    def __init__(self, path: str, flags: int = os.O_RDONLY) -> None:
        self._path = path
        self._flags = flags | os.O_CLOEXEC
        self._descriptor: int | None = None

    def read(self) -> str:
        """What it says now; raises OSError where it is not there."""
        return os.pread(self._opened(), _LONGEST, 0).decode()

    def write(self, data: bytes) -> None:
        """Tells the kernel something; raises OSError where it takes nothing."""
        os.pwrite(self._opened(), data, 0)

    def _opened(self) -> int:
        if self._descriptor is None:
            self._descriptor = os.open(self._path, self._flags)
        return self._descriptor


_STATUS = _ProcFile("/proc/self/status")
_IO = _ProcFile("/proc/self/io")
_CLEAR_REFS = _ProcFile("/proc/self/clear_refs", os.O_WRONLY)


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
            _CLEAR_REFS.write(b"5")
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
        return int(_field(_IO.read(), "rchar"))
    return 0


def peak_memory_bytes() -> int:
    """Highest resident memory of this process since `Meter.start`."""
    with contextlib.suppress(OSError):
        return int(_field(_STATUS.read(), "VmHWM")) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def memory_bytes() -> int:
    """Resident memory of this process now."""
    with contextlib.suppress(OSError):
        return int(_field(_STATUS.read(), "VmRSS")) * 1024
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
    start = text.find(name + ":")
    return "0" if start < 0 else text[start + len(name) + 1 :].split(None, 1)[0]
