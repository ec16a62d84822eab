"""The filter of system calls: what no user code needs and an attacker does.

A deny-list, not an allow-list: engines are large programs (a JVM, a Rust server) and the walls are
the namespaces or Landlock; the filter takes away the kernel's less-trodden corners and what the
walls do not cover (user namespaces, exotic sockets, UDP without a network namespace).
"""

from __future__ import annotations

import errno
import platform
import struct
from dataclasses import dataclass

_LOAD, _AND, _RETURN = 0x20, 0x54, 0x06
_JUMP_EQUAL, _JUMP_GREATER_EQUAL, _JUMP_SET = 0x15, 0x35, 0x45
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_NUMBER, _ARCH, _ARGUMENT = 0, 4, 16

_NEW_NAMESPACES = 0x7E020000  # every CLONE_NEW… flag that clone(2) takes
_SOCK_TYPE_MASK = 0xF
_SOCK_STREAM = 1
UNIX, INET, INET6, NETLINK = 1, 2, 10, 16


@dataclass(frozen=True, slots=True)
class _Architecture:
    audit: int
    socket: int
    socketpair: int
    clone: int
    clone3: int
    denied: tuple[int, ...]
    file_owner: tuple[int, ...]
    """chmod, chown, xattr and time setters, which Landlock does not see."""
    x32: bool = False


# The numbers from 424 on are the same everywhere: pidfd_getfd 438, mount API 428-433 and 442,
# io_uring 425-427, quotactl_fd 443, open_tree_attr 467.
_NEWER = (425, 426, 427, 428, 429, 430, 431, 432, 433, 438, 442, 443, 467)

_ARCHITECTURES = {
    "x86_64": _Architecture(
        audit=0xC000003E,
        socket=41,
        socketpair=53,
        clone=56,
        clone3=435,
        denied=(
            *(101, 310, 311, 312),  # ptrace, process_vm_readv, process_vm_writev, kcmp
            *(248, 249, 250, 321, 298, 323),  # keys, bpf, perf_event_open, userfaultfd
            *(155, 161, 165, 166, 272, 308),  # pivot_root, chroot, mount, umount2, unshare, setns
            *(167, 168, 169, 175, 176, 313, 246, 320),  # swap, reboot, modules, kexec
            *(103, 163, 164, 179, 227, 159, 305),  # syslog, acct, clocks, quotactl
            *(172, 173, 303, 304),  # iopl, ioperm, file handles
            *_NEWER,
        ),
        file_owner=(
            *(90, 91, 268, 452, 92, 93, 94, 260),
            *(188, 189, 190, 197, 198, 199, 463, 466),
            *(132, 235, 261, 280),
        ),
        x32=True,
    ),
    "aarch64": _Architecture(
        audit=0xC00000B7,
        socket=198,
        socketpair=199,
        clone=220,
        clone3=435,
        denied=(
            *(117, 270, 271, 272),
            *(217, 218, 219, 280, 241, 282),
            *(41, 51, 40, 39, 97, 268),
            *(224, 225, 142, 105, 106, 273, 104, 294),
            *(116, 89, 170, 60, 112, 171, 266),
            *(264, 265),
            *_NEWER,
        ),
        file_owner=(52, 53, 452, 54, 55, 5, 6, 7, 14, 15, 16, 88, 463, 466),
    ),
}


def supported() -> bool:
    """True where the system call numbers are known."""
    return platform.machine() in _ARCHITECTURES


def program(*, network_namespace: bool) -> bytes:
    """The filter as the kernel takes it.

    With a network namespace of its own, a process may use local and internet sockets: nothing is
    behind them. Without one: TCP only (Landlock knows its ports), no unix sockets but pairs, and no
    change of owners and modes, which Landlock does not cover.
    """
    arch = _ARCHITECTURES[platform.machine()]
    code: list[tuple[int, int, int, int]] = []

    def emit(operation: int, value: int, yes: int = 0, no: int = 0) -> None:
        code.append((operation, yes, no, value))

    def refuse(number: int = errno.EPERM) -> None:
        emit(_RETURN, _ERRNO | number)

    def on_call(number: int) -> int:
        emit(_JUMP_EQUAL, number, 0, 0)
        return len(code) - 1

    def skip_to_here(at: int) -> None:
        operation, yes, _, value = code[at]
        code[at] = (operation, yes, len(code) - at - 1, value)

    emit(_LOAD, _ARCH)
    emit(_JUMP_EQUAL, arch.audit, 1, 0)
    emit(_RETURN, _KILL)
    emit(_LOAD, _NUMBER)
    if arch.x32:
        emit(_JUMP_GREATER_EQUAL, 0x40000000, 0, 1)
        refuse(errno.ENOSYS)

    denied = (*arch.denied, *(() if network_namespace else arch.file_owner))
    for number in denied:
        emit(_JUMP_EQUAL, number, 0, 1)
        refuse()

    # clone3's flags lie in memory, where a filter cannot look; libc falls back to clone.
    emit(_JUMP_EQUAL, arch.clone3, 0, 1)
    refuse(errno.ENOSYS)
    clone = on_call(arch.clone)
    emit(_LOAD, _ARGUMENT)
    emit(_JUMP_SET, _NEW_NAMESPACES, 0, 1)
    refuse()
    emit(_RETURN, _ALLOW)
    skip_to_here(clone)

    pair = on_call(arch.socketpair)
    emit(_LOAD, _ARGUMENT)
    emit(_JUMP_EQUAL, UNIX, 1, 0)
    refuse(errno.EAFNOSUPPORT)
    emit(_RETURN, _ALLOW)
    skip_to_here(pair)

    socket = on_call(arch.socket)
    emit(_LOAD, _ARGUMENT)
    if network_namespace:
        for family in (UNIX, INET, INET6, NETLINK):
            emit(_JUMP_EQUAL, family, 0, 1)
            emit(_RETURN, _ALLOW)
    else:
        emit(_JUMP_EQUAL, INET, 2, 0)
        emit(_JUMP_EQUAL, INET6, 1, 0)
        refuse(errno.EAFNOSUPPORT)
        emit(_LOAD, _ARGUMENT + 8)
        emit(_AND, _SOCK_TYPE_MASK)
        emit(_JUMP_EQUAL, _SOCK_STREAM, 0, 1)
        emit(_RETURN, _ALLOW)
    refuse(errno.EAFNOSUPPORT)
    skip_to_here(socket)

    emit(_RETURN, _ALLOW)
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)
