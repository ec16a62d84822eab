"""Control groups (version 2) for one sandbox each: limits of the tree, its CPU time, its end.

Which controllers there are depends on the surroundings: all of them in a service that systemd
delegates to, none but the CPU clock and the kill switch elsewhere. Where no group can be made,
`make` returns None and rlimits with the watch on the process tree take over.
"""

from __future__ import annotations

import contextlib
import functools
import time
from dataclasses import dataclass
from pathlib import Path

_PERIOD = 100_000
_REMOVE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Cgroup:
    """One group; `remove` it when its last process has ended."""

    path: Path

    @property
    def procs(self) -> Path:
        """Where a process enters."""
        return self.path / "cgroup.procs"

    @property
    def limits_memory(self) -> bool:
        """True when the kernel limits the memory of the whole group."""
        return (self.path / "memory.max").exists()

    def limit(self, memory_bytes: int, processes: int, vcpu: float) -> None:
        """Sets the limits for which there is a controller; 0 leaves one out."""
        if memory_bytes:
            self._write("memory.max", str(memory_bytes))
            self._write("memory.swap.max", "0")
            self._write("memory.oom.group", "1")
        if processes:
            self._write("pids.max", str(processes))
        if vcpu:
            self._write("cpu.max", f"{int(vcpu * _PERIOD)} {_PERIOD}")

    def cpu_seconds(self) -> float | None:
        """CPU time of everything that ever ran in the group."""
        value = self._keyed("cpu.stat", "usage_usec")
        return None if value is None else value / 1e6

    def peak_memory(self) -> int | None:
        """The most memory that the group had at once, where it is counted."""
        with contextlib.suppress(OSError, ValueError):
            return int((self.path / "memory.peak").read_text())
        return None

    def out_of_memory(self) -> bool:
        """True when the kernel killed in this group for want of memory."""
        return bool(self._keyed("memory.events", "oom_kill"))

    def io_bytes(self) -> tuple[int, int] | None:
        """Bytes read from and written to disks, where they are counted."""
        try:
            lines = (self.path / "io.stat").read_text().splitlines()
        except OSError:
            return None
        read = written = 0
        for line in lines:
            pairs = dict(part.split("=", 1) for part in line.split()[1:] if "=" in part)
            read += int(pairs.get("rbytes", 0))
            written += int(pairs.get("wbytes", 0))
        return read, written

    def kill(self) -> None:
        """Kills every process in the group at once."""
        self._write("cgroup.kill", "1")

    def remove(self) -> None:
        """Kills what is left and removes the group."""
        self.kill()
        deadline = time.monotonic() + _REMOVE_SECONDS
        while self.path.exists():
            try:
                self.path.rmdir()
            except FileNotFoundError:
                return
            except OSError:  # its processes are still ending
                if time.monotonic() > deadline:
                    return
                time.sleep(0.02)

    def _write(self, name: str, value: str) -> None:
        # A controller that is not there has no file; the rest of the ladder stands in.
        with contextlib.suppress(OSError):
            (self.path / name).write_text(value)

    def _keyed(self, name: str, key: str) -> int | None:
        with contextlib.suppress(OSError, ValueError):
            for line in (self.path / name).read_text().splitlines():
                found, _, value = line.partition(" ")
                if found == key:
                    return int(value)
        return None


def make(name: str) -> Cgroup | None:
    """A new group below the server's own, or None where it may not make one."""
    parent = _parent()
    if parent is None:
        return None
    path = parent / f"headwater-{name}"
    try:
        path.mkdir(exist_ok=True)
    except OSError:
        return None
    return Cgroup(path)


def existing(name: str) -> Cgroup | None:
    """A group that `make` made, maybe in an earlier life of the server."""
    parent = _parent()
    if parent is None or not (path := parent / f"headwater-{name}").is_dir():
        return None
    return Cgroup(path)


@functools.cache
def _parent() -> Path | None:
    """The group that the server is in, with the controllers it may hand down turned on."""
    mount = own = None
    try:
        for line in Path("/proc/self/mountinfo").read_text().splitlines():
            fields, _, rest = line.partition(" - ")
            if rest.split()[0] == "cgroup2":
                mount = Path(fields.split()[4])
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            if line.startswith("0::"):
                own = line[3:]
    except OSError:
        return None
    if mount is None or own is None:
        return None
    parent = mount / own.strip("/")
    probe = parent / "headwater-probe"
    try:
        probe.mkdir(exist_ok=True)
        probe.rmdir()
    except OSError:
        return None
    for controller in ("memory", "pids", "cpu", "io"):
        # Refused while processes sit in the group itself; then only clocks and the switch work.
        with contextlib.suppress(OSError):
            (parent / "cgroup.subtree_control").write_text(f"+{controller}")
    return parent
