"""What a tree of processes uses, sampled from /proc: the rung below control groups.

CPU time is complete but for processes that ended without being waited for by one that still lives;
in a sandbox with its own processes there are none, because its first process waits for all orphans.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import psutil


@dataclass(frozen=True, slots=True)
class TreeUse:
    """One sample of a process and everything below it."""

    memory_bytes: int
    """Resident and not shared with files."""
    processes: int
    """Processes and their threads."""
    cpu_seconds: float
    bytes_asked: int
    """Read from files, cached or not."""


def sample(pid: int) -> TreeUse | None:
    """The tree below and including `pid`, or None when it has ended."""
    try:
        root = psutil.Process(pid)
        tree = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return None
    memory = threads = read = 0
    cpu = 0.0
    for process in tree:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied), process.oneshot():
            info = process.memory_info()
            memory += max(0, info.rss - info.shared)
            threads += process.num_threads()
            cpu += sum(process.cpu_times()[:4])  # its own and those it waited for
            read += process.io_counters().read_chars
    return TreeUse(memory, threads, cpu, read)
