"""Control group leaves: what a process tree used, limits for it, and its certain end.

cgroup v2 counts CPU time without any controller (`cpu.stat`) and ends a tree with one write
(`cgroup.kill`); memory and task limits need their controllers, of v2 where delegated, else of v1.
Sources: Linux Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/. Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

_END_SECONDS = 2.0
_READ_BYTES = 64 * 1024
_V1 = ("cpuacct", "memory", "pids", "freezer")


@dataclass(frozen=True, slots=True)
class Hierarchies:
    """Where leaves may be made: the v2 group of this process, and its v1 groups by controller."""

    v2: Path | None = None
    v1: dict[str, Path] = field(default_factory=dict)


def hierarchies(proc: Path = Path("/proc/self")) -> Hierarchies:
    """The groups of this process that it may make leaves in."""
    mounts: dict[str, Path] = {}
    v2_mount: Path | None = None
    for line in lines_of(proc / "mountinfo"):
        before, _, after = line.partition(" - ")
        place, kind = Path(before.split()[4]), after.split()[0]
        if kind == "cgroup2":
            v2_mount = v2_mount or place
        elif kind == "cgroup":
            for name in after.split()[2].split(","):
                mounts.setdefault(name, place)
    v2: Path | None = None
    v1: dict[str, Path] = {}
    for line in lines_of(proc / "cgroup"):
        _, names, path = line.split(":", 2)
        if names == "" and v2_mount is not None:
            v2 = _writable(v2_mount, path)
        for name in names.split(","):
            if name in _V1 and name in mounts:
                group = _writable(mounts[name], path)
                if group is not None:
                    v1[name] = group
    return Hierarchies(v2, v1)


def _writable(mount: Path, path: str) -> Path | None:
    # In a container the path may be the host's: the mount itself is then our group.
    for place in (mount / path.lstrip("/"), mount):
        if place.is_dir():
            return place if os.access(place, os.W_OK) else None
    return None


class Leaf:
    """One group of its own in each hierarchy that allows it; empty when none does."""

    def __init__(self, name: str, v2: Path | None, v1: dict[str, Path]) -> None:
        self.name = name
        self._v2 = v2
        self._v1 = v1

    @classmethod
    def create(
        cls,
        name: str,
        *,
        memory_bytes: int | None = None,
        tasks: int | None = None,
        within: Hierarchies | None = None,
    ) -> Leaf:
        """Makes the leaf, with limits where a controller is there."""
        within = within or hierarchies()
        v2: Path | None = None
        if within.v2 is not None:
            for controller in ("+memory", "+pids"):
                _put(within.v2 / "cgroup.subtree_control", controller)
            v2 = _made(within.v2 / name)
        needed = {"memory", "pids"}
        if v2 is None:
            needed |= {"cpuacct", "freezer"}
        if v2 is not None and (v2 / "memory.max").exists():
            needed.discard("memory")
        if v2 is not None and (v2 / "pids.max").exists():
            needed.discard("pids")
        v1 = {
            controller: leaf
            for controller, place in within.v1.items()
            if controller in needed and (leaf := _made(place / name)) is not None
        }
        made = cls(name, v2, v1)
        made.limit(memory_bytes, tasks)
        return made

    @classmethod
    def find(cls, name: str, within: Hierarchies | None = None) -> Leaf:
        """The leaf of that name as an earlier process left it."""
        within = within or hierarchies()
        v2 = within.v2 / name if within.v2 and (within.v2 / name).is_dir() else None
        v1 = {key: place / name for key, place in within.v1.items() if (place / name).is_dir()}
        return cls(name, v2, v1)

    @property
    def method(self) -> str:
        """Which hierarchy counts CPU time: `cgroup2`, `cgroup1`, or nothing."""
        if self._v2 is not None and (self._v2 / "cpu.stat").exists():
            return "cgroup2"
        return "cgroup1" if "cpuacct" in self._v1 else ""

    @property
    def limits_memory(self) -> bool:
        """True when the kernel holds the tree to its memory."""
        return "memory" in self._v1 or bool(self._v2 and (self._v2 / "memory.max").exists())

    @property
    def exists(self) -> bool:
        """True when there is any group."""
        return self._v2 is not None or bool(self._v1)

    @property
    def doors(self) -> list[Path]:
        """The files that a process enters by: it writes 0 to each."""
        return [place / "cgroup.procs" for place in self._places()]

    def enter(self) -> None:
        """Moves the calling process in; its children are born inside."""
        for door in self.doors:
            _put(door, "0")

    def cpu_seconds(self) -> float | None:
        """CPU time of all that was ever inside; None when it is not counted."""
        if self._v2 is not None:
            for line in lines_of(self._v2 / "cpu.stat"):
                if line.startswith("usage_usec "):
                    return int(line.split()[1]) / 1e6
        if "cpuacct" in self._v1 and (lines := lines_of(self._v1["cpuacct"] / "cpuacct.usage")):
            return int(lines[0]) / 1e9
        return None

    def memory_bytes(self) -> int | None:
        """Memory held now, without the page cache that the kernel can take back."""
        if self._v2 is not None and (self._v2 / "memory.current").exists():
            return self._without_cache(self._v2, "memory.current", "inactive_file")
        if "memory" in self._v1:
            return self._without_cache(
                self._v1["memory"], "memory.usage_in_bytes", "total_inactive_file"
            )
        return None

    def out_of_memory(self) -> bool:
        """True when the kernel killed something inside for its memory."""
        places = []
        if self._v2 is not None:
            places.append(self._v2 / "memory.events")
        if "memory" in self._v1:
            places.append(self._v1["memory"] / "memory.oom_control")
        return any(
            line.startswith("oom_kill ") and int(line.split()[1]) > 0
            for place in places
            for line in lines_of(place)
        )

    def out_of_tasks(self) -> bool:
        """True when a fork was refused for the limit on tasks."""
        places = [place / "pids.events" for place in self._places()]
        return any(
            line.startswith("max ") and int(line.split()[1]) > 0
            for place in places
            for line in lines_of(place)
        )

    def members(self, *, everywhere: bool = True) -> set[int]:
        """Process ids inside now: in any hierarchy, or in the one that counts CPU time."""
        places = list(self._places())
        found: set[int] = set()
        for place in places if everywhere else places[:1]:
            found |= {int(line) for line in lines_of(place / "cgroup.procs") if line.strip()}
        return found

    def kill(self, seconds: float = 5.0) -> bool:
        """Ends everything inside with SIGKILL; True once nothing is left."""
        deadline = time.monotonic() + seconds
        while True:
            if self._v2 is not None:
                _put(self._v2 / "cgroup.kill", "1")
            inside = self.members()
            for pid in inside:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            if not inside:
                return True
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)

    def end(self) -> None:
        """Ends everything inside and removes the groups."""
        if self.exists:
            self.kill(_END_SECONDS)
            self.remove()

    def remove(self) -> None:
        """Removes the empty groups."""
        for place in self._places():
            with contextlib.suppress(OSError):
                place.rmdir()

    def limit(self, memory_bytes: int | None, tasks: int | None) -> None:
        """Sets limits where there is a controller for them."""
        if memory_bytes is not None:
            if self._v2 is not None:
                _put(self._v2 / "memory.max", str(memory_bytes))
                _put(self._v2 / "memory.swap.max", "0")
                _put(self._v2 / "memory.oom.group", "1")
            if "memory" in self._v1:
                _put(self._v1["memory"] / "memory.limit_in_bytes", str(memory_bytes))
        if tasks is not None:
            for place in self._places():
                _put(place / "pids.max", str(tasks))

    def _without_cache(self, place: Path, current: str, cache: str) -> int | None:
        lines = lines_of(place / current)
        if not lines:
            return None
        held = int(lines[0])
        for line in lines_of(place / "memory.stat"):
            if line.startswith(f"{cache} "):
                held -= int(line.split()[1])
        return max(0, held)

    def _places(self) -> Iterable[Path]:
        return ([self._v2] if self._v2 is not None else []) + list(self._v1.values())


def _made(place: Path) -> Path | None:
    try:
        place.mkdir(exist_ok=True)
    except OSError:
        return None
    return place if os.access(place / "cgroup.procs", os.W_OK) else None


def _put(path: Path, text: str) -> None:
    # A controller that is not there, or not ours to change, is the next rung's task.
    with contextlib.suppress(OSError), path.open("w") as file:
        file.write(text)


def lines_of(path: Path | str) -> list[str]:
    """The lines of a file of the kernel's; none when it cannot be read.

    By few calls of the system: each gives Python's lock away, and a busy server takes its time to
    give it back.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return []
    try:
        parts = []
        while part := os.read(descriptor, _READ_BYTES):
            parts.append(part)
    except OSError:
        return []
    finally:
        os.close(descriptor)
    return b"".join(parts).decode().splitlines()
