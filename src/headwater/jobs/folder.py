"""The folder of one attempt: what the server and the runner tell each other, atomically.

    plan.json      server → runner: the command and its bounds; holds no secret
    secrets/       the attempt's token, replaced while it runs (folder 0700)
    sockets/       where the runner relays to the server's ports
    work/          the run's own working folder
    logs/          stdout and stderr, in segments
    runner.lock    locked as long as the runner lives
    state.json     runner → server: that it runs, under which process ids
    usage.json     runner → server: what was used so far, every few seconds
    result.json    runner → server: how it ended; written once
    cancel         server → runner: end the run

Imported by the runner: standard library only.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_RESERVED_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class AttemptFolder:
    """Names and atomic reads and writes of one attempt's files."""

    path: Path

    @property
    def logs(self) -> Path:
        """Where the streams' segments are."""
        return self.path / "logs"

    @property
    def secrets(self) -> Path:
        """Where the token is."""
        return self.path / "secrets"

    @property
    def sockets(self) -> Path:
        """Where the runner listens for the run."""
        return self.path / "sockets"

    @property
    def work(self) -> Path:
        """Where the run works."""
        return self.path / "work"

    def make(self) -> None:
        """Makes the folders; harmless when they are there."""
        for folder in (self.path, self.logs, self.secrets, self.sockets, self.work):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # The sandbox's helper enters it as another user than the run; the home is closed anyway.
        self.work.chmod(0o711)

    def read(self, name: str) -> dict[str, Any] | None:
        """A JSON file's content; None when it is not there, or cut off by a crash."""
        try:
            found = json.loads((self.path / f"{name}.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def write(self, name: str, content: Mapping[str, Any]) -> None:
        """Replaces a JSON file as a whole, safe against a crash of the machine."""
        partial = self.path / f".{name}.partial"
        # Written over what `reserve` kept free, so that a full disk cannot lose it.
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(json.dumps(content).encode())
            file.truncate()
            file.flush()
            os.fsync(file.fileno())
        partial.rename(self.path / f"{name}.json")

    def reserve(self, name: str) -> None:
        """Keeps room on the disk for a file that `write` will write."""
        partial = self.path / f".{name}.partial"
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(b" " * _RESERVED_BYTES)

    def ask_to_cancel(self) -> None:
        """Has the runner end the run, now or when it starts."""
        with contextlib.suppress(FileNotFoundError):
            (self.path / "cancel").touch(mode=0o600)

    @property
    def cancel_asked(self) -> bool:
        """True once the run shall end."""
        return (self.path / "cancel").exists()

    @contextlib.contextmanager
    def owned(self) -> Iterator[bool]:
        """True while this process is the attempt's one runner; False when there is another."""
        lock = os.open(self.path / "runner.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            yield False
            return
        try:
            yield True
        finally:
            os.close(lock)

    @property
    def runner_lives(self) -> bool:
        """True while a runner holds the attempt; no process id can lie about that."""
        try:
            lock = os.open(self.path / "runner.lock", os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(lock)
        return False
