"""Confines the process that runs it as its argument says, and becomes the command. Stdlib only.

This file is a program, started with `python -I -S`, so it can run outside of the server's packages
and inside of a sandbox. Its argument is a JSON object; each key is optional but `argv`:

- `keep`: descriptors above 2 that stay open; all others are closed.
- `parent_death`: die when the thread that started it ends.
- `cgroup`: `cgroup.procs` files to enter.
- `rlimits`: [[number, value], …].
- `cpus`: how many of the processors it may use.
- `nice`: how much it gives way to others.
- `seccomp`: a filter, in base64: installed here, or, with `seccomp_descriptor`, handed on under
  that descriptor to bubblewrap, which installs it last.
- `files`: {descriptor: text}: handed on to bubblewrap under these descriptors.
- `landlock`: {"read": [paths], "execute": [paths], "write": [paths], "ports": [numbers]}.
- `uid`: the user to become, with no groups but its own; `keep_file_rights` leaves it root's way
  through folders, where Landlock decides what it may open.
- `argv`: what to execute.
"""

from __future__ import annotations

import base64
import ctypes
import json
import os
import resource
import stat
import struct
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_SECCOMP = 22
_PR_SET_KEEP_CAPABILITIES = 8
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAPABILITY_AMBIENT, _AMBIENT_RAISE = 47, 2
_CAPABILITY_VERSION = 0x20080522
_DAC_OVERRIDE, _DAC_READ_SEARCH = 1, 2
_SECCOMP_MODE_FILTER = 2
_SIGKILL = 9

# Landlock's three calls have the same numbers on every architecture.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_MAKE_CHAR, _MAKE_BLOCK = 1 << 6, 1 << 11
_REFER, _TRUNCATE, _IOCTL = 1 << 13, 1 << 14, 1 << 15
_ON_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL
_BIND_TCP, _CONNECT_TCP = 1, 2
_SCOPE_ABSTRACT_UNIX, _SCOPE_SIGNAL = 1, 2

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def landlock_abi() -> int:
    """The kernel's Landlock version; 0 where there is none."""
    version: int = _libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    return max(version, 0)


def _landlock(rules: dict[str, list[str]], ports: list[int]) -> None:
    abi = landlock_abi()
    if abi < 4:
        raise OSError("Landlock is too old")
    handled = (1 << 13) - 1 | _REFER | _TRUNCATE | (_IOCTL if abi >= 5 else 0)
    scope = _SCOPE_ABSTRACT_UNIX | _SCOPE_SIGNAL if abi >= 6 else 0
    attributes = struct.pack("QQQ", handled, _BIND_TCP | _CONNECT_TCP, scope)
    attributes = attributes[: 24 if abi >= 6 else 16]
    ruleset = _check(
        _libc.syscall(
            _CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0)
        ),
        "landlock_create_ruleset",
    )
    allowed = {
        "read": _READ_FILE | _READ_DIR,
        "execute": _READ_FILE | _READ_DIR | _EXECUTE,
        "write": handled & ~(_MAKE_CHAR | _MAKE_BLOCK | _EXECUTE),
    }
    for kind, paths in rules.items():
        for path in paths:
            try:
                descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            access = allowed[kind] & handled
            if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
                access &= _ON_FILES
            rule = struct.pack("=Qi", access, descriptor)
            _check(_libc.syscall(_ADD_RULE, ruleset, 1, rule, 0), f"landlock_add_rule {path}")
            os.close(descriptor)
    for port in ports:
        rule = struct.pack("QQ", _BIND_TCP | _CONNECT_TCP, port)
        _check(_libc.syscall(_ADD_RULE, ruleset, 2, rule, 0), f"landlock_add_rule {port}")
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    _check(_libc.syscall(_RESTRICT_SELF, ruleset, 0), "landlock_restrict_self")
    os.close(ruleset)


def _seccomp(program: bytes) -> None:
    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]

    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    argument = ctypes.byref(Program(len(program) // 8, program))
    _check(_libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, argument, 0, 0), "seccomp")


def _become(uid: int, keep_file_rights: bool) -> None:
    """Takes another user's identity, without any capability or with those of opening files."""
    if keep_file_rights:
        _check(_libc.prctl(_PR_SET_KEEP_CAPABILITIES, 1, 0, 0, 0), "keep capabilities")
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    if keep_file_rights:
        rights = 1 << _DAC_OVERRIDE | 1 << _DAC_READ_SEARCH
        header = struct.pack("=Ii", _CAPABILITY_VERSION, 0)
        data = struct.pack("=6I", rights, rights, rights, 0, 0, 0)
        _check(_libc.capset(header, data), "capset")
        for right in (_DAC_OVERRIDE, _DAC_READ_SEARCH):
            _check(_libc.prctl(_PR_CAPABILITY_AMBIENT, _AMBIENT_RAISE, right, 0, 0), "ambient")


def _hand_on(descriptor: int, data: bytes) -> None:
    """Makes `data` readable under a descriptor that survives the execution of the command."""
    memory = os.memfd_create("headwater")
    os.write(memory, data)
    os.lseek(memory, 0, os.SEEK_SET)
    if memory == descriptor:
        os.set_inheritable(memory, True)
        return
    os.dup2(memory, descriptor, inheritable=True)
    os.close(memory)


def _close_others(keep: list[int]) -> None:
    low = 3
    for descriptor in sorted(keep):
        os.closerange(low, descriptor)
        os.set_inheritable(descriptor, True)
        low = descriptor + 1
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    os.closerange(low, 65536 if limit == resource.RLIM_INFINITY else max(limit, low))


def main() -> None:
    """Confines this process and executes the command."""
    plan = json.loads(sys.argv[1])
    if plan.get("parent_death"):
        parent = os.getppid()
        _check(_libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0), "parent death signal")
        if os.getppid() != parent:  # it died before we asked to hear of it
            os._exit(1)
    if "keep" in plan:
        _close_others(plan["keep"])
    for door in plan.get("cgroup", ()):
        with open(door, "w") as procs:
            procs.write("0")
    if "cpus" in plan:
        usable = sorted(os.sched_getaffinity(0))
        # another start for each process, so that they do not all crowd on the first processors
        start = os.getpid() % len(usable)
        chosen = (usable[start:] + usable[:start])[: max(1, plan["cpus"])]
        os.sched_setaffinity(0, chosen)
    if "nice" in plan:
        os.nice(plan["nice"])
    for number, value in plan.get("rlimits", ()):
        hard = resource.getrlimit(number)[1]
        limit = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(number, (limit, limit))
    for descriptor, text in plan.get("files", {}).items():
        _hand_on(int(descriptor), text.encode())
    program = base64.b64decode(plan.get("seccomp", ""))
    if program and "seccomp_descriptor" in plan:
        _hand_on(plan["seccomp_descriptor"], program)
        program = b""
    if "uid" in plan:
        _become(plan["uid"], plan.get("keep_file_rights", False))
        if plan.get("parent_death"):  # a change of user forgets it
            _check(_libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0), "parent death signal")
    os.umask(0o022)
    if "landlock" in plan:
        rules = dict(plan["landlock"])
        _landlock(rules, rules.pop("ports", []))
    if program:
        _seccomp(program)
    argv = plan["argv"]
    os.execv(argv[0], argv)  # noqa: S606 - to become it is the point


if __name__ == "__main__":
    main()
