"""The home folder: who owns it, what lies where, and the file that says where the server is."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from headwater.errors import ErrorCode, HeadwaterError, error


class Home:
    """A home that this process owns: no other server runs on it until `release`.

    `path` is 0700; `logs`, `tls` and `spool` are inside. The spool
    (results beyond memory, `uploads` on their way into a table) is emptied at each start.
    """

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock: int | None = lock

    @property
    def logs(self) -> Path:
        """Where log files are written."""
        return self.path / "logs"

    @property
    def tls(self) -> Path:
        """Where the certificate authority and the server's certificate are kept."""
        return self.path / "tls"

    @property
    def spool(self) -> Path:
        """Where results that outgrow memory are put; never durable."""
        return self.path / "spool"

    @property
    def uploads(self) -> Path:
        """Where files wait that a user loads into a table."""
        return self.spool / "uploads"

    @property
    def ready_file(self) -> Path:
        """The file that clients on this machine read to find the server and its token."""
        return self.path / "ready.json"

    @classmethod
    def acquire(cls, path: Path) -> Home:
        """Creates the home if needed and takes its lock.

        Raises HOME_IN_USE (names the owner's pid) or HOME_NOT_WRITABLE.
        """
        with _translated(path):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                owner = os.pread(lock, 32, 0).decode("ascii", "replace").strip() or "unknown"
                os.close(lock)
                raise error(
                    ErrorCode.HOME_IN_USE,
                    f"another Headwater server (pid {owner}) owns {path}",
                    hint="stop it first, or choose another folder with --home",
                ) from None
            try:
                # A shared umask must not open what the folder holds: tokens, keys, tables.
                path.chmod(0o700)
                os.ftruncate(lock, 0)
                os.pwrite(lock, str(os.getpid()).encode(), 0)
                home = cls(path, lock)
                for folder in (home.logs, home.tls, home.spool, home.uploads):
                    folder.mkdir(mode=0o700, exist_ok=True)
                for leftover in home.spool.rglob("*"):
                    if leftover.is_file():
                        leftover.unlink()
                home.ready_file.unlink(missing_ok=True)
            except BaseException:
                os.close(lock)
                raise
        return home

    def write_ready(self, content: Mapping[str, Any]) -> None:
        """Publishes where the server listens; mode 0600, replaced as a whole."""
        with _translated(self.path):
            write_private(self.ready_file, json.dumps(content, indent=2).encode() + b"\n")

    def release(self) -> None:
        """Withdraws the ready file and gives the home up; harmless when called again."""
        if self._lock is None:
            return
        with contextlib.suppress(OSError):
            self.ready_file.unlink(missing_ok=True)
        os.close(self._lock)
        self._lock = None


def write_private(path: Path, data: bytes) -> None:
    """Writes a file that only its owner may read; readers see the old or the new content."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise _translate(exc, path) from exc


def _translate(exc: OSError, path: Path) -> HeadwaterError:
    if exc.errno in (errno.ENOSPC, errno.EDQUOT):
        return error(
            ErrorCode.DISK_FULL,
            f"no space is left for the home {path}",
            hint="free some space, or choose another folder with --home",
        )
    return error(
        ErrorCode.HOME_NOT_WRITABLE,
        f"the home {path} cannot be written: {(exc.strerror or str(exc)).lower()}",
        hint="make it writable for this user, or choose another folder with --home",
    )
