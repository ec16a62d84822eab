"""Keeps one attempt and outlives the server: `python -m headwater.runtimes.backends.keeper FOLDER`.

It starts the command of `plan.json`, writes its output to files, holds it to its time and memory,
ends it when the file `cancel` appears, and leaves `result.json`. While it lives it holds the lock
of `lock`; so a free lock without a result means that it was killed, and the command with it.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from headwater.runtimes.backends.backend import ExitReason
from headwater.runtimes.sandbox import watch

_SUBREAPER = 36
_REAP_SECONDS = 5.0
_TICK_SECONDS = 0.1
_SAMPLE_TICKS = 5


class Keeper:
    """One attempt from start to result."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._plan: dict[str, Any] = json.loads((folder / "plan.json").read_text())
        self._reason: ExitReason | None = None
        self._killed_at: float | None = None
        self._peak = 0
        self._read = self._written = 0

    def run(self) -> None:
        """Carries the attempt out; does nothing when it has a result or another keeper."""
        lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        if (self._folder / "result.json").exists():
            return
        if (self._folder / "state.json").exists():  # it ran under a keeper that was killed
            self._finish(None, ExitReason.LOST, 0.0)
            return
        signal.signal(signal.SIGTERM, lambda *_: self._end(ExitReason.CANCELLED))
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        # The sandbox's own processes become our children when it ends, and their time is counted.
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
        began = time.monotonic()
        if (self._folder / "cancel").exists():
            self._finish(None, ExitReason.CANCELLED, 0.0)
            return
        try:
            child = self._start()
        except OSError as exc:
            (self._folder / "keeper.log").write_text(f"{exc}\n")
            self._finish(None, ExitReason.START_FAILED, 0.0)
            return
        status = self._keep(child, began)
        self._finish(status, self._judge(status), time.monotonic() - began)

    def _start(self) -> subprocess.Popen[bytes]:
        logs = Path(self._plan["logs"])
        with (logs / "stdout").open("ab") as out, (logs / "stderr").open("ab") as err:
            child = subprocess.Popen(
                self._plan["argv"],
                env=self._plan["environment"],
                cwd=self._plan["directory"],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        self._child = child
        write(self._folder / "state.json", {"pid": child.pid, "started": time.time()})
        return child

    def _keep(self, child: subprocess.Popen[bytes], began: float) -> int:
        timeout = self._plan["timeout_seconds"]
        tick = 0
        while (status := child.poll()) is None:
            if tick % _SAMPLE_TICKS == 0:
                self._sample(child.pid)
            tick += 1
            if self._reason is None and (self._folder / "cancel").exists():
                with contextlib.suppress(ValueError):
                    self._plan["grace_seconds"] = float((self._folder / "cancel").read_text())
                self._end(ExitReason.CANCELLED)
            elif timeout and time.monotonic() - began > timeout:
                self._end(ExitReason.TIMEOUT)
            if self._killed_at is not None and time.monotonic() > self._killed_at:
                kill_group(child.pid, signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(_TICK_SECONDS)
        kill_group(child.pid, signal.SIGKILL)  # what it started and left behind
        _reap()
        return status

    def _end(self, reason: ExitReason) -> None:
        """Asks the command to end, once; it is killed when the grace is over."""
        if self._reason is not None:
            return
        self._reason = reason
        self._killed_at = time.monotonic() + self._plan["grace_seconds"]
        if self._plan["on_cancel"]:  # the driver runs elsewhere
            with contextlib.suppress(OSError):
                subprocess.Popen(
                    self._plan["on_cancel"],
                    env=self._plan["environment"],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
        self._ask()

    def _ask(self) -> None:
        """Asks every process of the tree to end; the sandbox itself would take them along."""
        with contextlib.suppress(psutil.NoSuchProcess):
            root = psutil.Process(self._child.pid)
            for process in (root, *root.children(recursive=True)):
                with contextlib.suppress(psutil.NoSuchProcess):
                    if process.name() != "bwrap":
                        process.send_signal(signal.SIGTERM)

    def _sample(self, pid: int) -> None:
        use = watch.sample(pid)
        if use is None:
            return
        self._peak = max(self._peak, use.memory_bytes)
        self._read = max(self._read, use.bytes_read)
        self._written = max(self._written, use.bytes_written)
        if use.memory_bytes > self._plan["memory_bytes"]:
            self._end(ExitReason.OUT_OF_MEMORY)

    def _judge(self, status: int) -> ExitReason:
        if self._reason is not None:
            return self._reason
        if status == 0:
            return ExitReason.SUCCESS
        # a wrapper passes a signal on as 128 and its number
        return ExitReason.SIGNAL if status < 0 or status > 128 else ExitReason.NONZERO_EXIT

    def _finish(self, status: int | None, reason: ExitReason, wall: float) -> None:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        write(
            self._folder / "result.json",
            {
                "status": status,
                "reason": reason,
                "wall_seconds": wall,
                "cpu_seconds": used.ru_utime + used.ru_stime,
                "peak_memory_bytes": self._peak,
                "bytes_read": self._read,
                "bytes_written": self._written,
            },
        )


def _reap() -> None:
    """Ends and waits for everything that was left to us."""
    deadline = time.monotonic() + _REAP_SECONDS
    while time.monotonic() < deadline:
        try:
            found, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if found == 0:
            for left in psutil.Process().children():
                with contextlib.suppress(psutil.NoSuchProcess):
                    if time.monotonic() > deadline - _REAP_SECONDS + 1:
                        left.kill()
            time.sleep(0.02)


def write(path: Path, content: object) -> None:
    """Writes a JSON file that is there whole or not at all, for the server's user alone."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def kill_group(pid: int, number: signal.Signals) -> None:
    """Signals the process group that a child leads, if any of it is left."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


if __name__ == "__main__":
    Keeper(Path(sys.argv[1])).run()
