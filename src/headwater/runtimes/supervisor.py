"""Keeps one child process running: start, health, restart with backoff, stop.

Every child is started by a thread of its own that lives as long as the supervision, because the
kernel's parent-death signal is tied to the thread that started the child (prctl(2)).
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO

from headwater.errors import ErrorCode, error

log = logging.getLogger(__name__)

LOG_TAIL_BYTES = 4096


class ChildState(StrEnum):
    """Where a supervised child is."""

    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    WAITING = "waiting"
    """Between an exit and the next start."""


@dataclass(frozen=True, slots=True)
class ChildExit:
    """How a child ended: its exit status, negative for a signal, and the end of what it printed."""

    status: int
    output: str

    def __str__(self) -> str:
        if self.status < 0:
            return f"signal {signal.Signals(-self.status).name}"
        return f"exit status {self.status}"


@dataclass(frozen=True, slots=True)
class ChildStatus:
    """What `headwater doctor` says of a child; `failed_starts` counts those in a row just now."""

    name: str
    state: ChildState
    pid: int | None
    restarts: int
    failed_starts: int
    last_exit: str | None


@dataclass(frozen=True, slots=True)
class Backoff:
    """Seconds to wait before a restart: none after a good run, then doubling up to `longest`."""

    first: float = 0.5
    longest: float = 30.0
    good_run: float = 10.0

    def delay(self, failures: int) -> float:
        """The wait after so many short runs in a row (0: the run before was a good one)."""
        if failures <= 1:
            return 0.0
        return min(self.longest, self.first * float(2 ** min(failures - 2, 16)))


@dataclass(frozen=True, slots=True)
class ChildCommand:
    """What to run and where; `argv` and `environment` must hold no secret."""

    argv: Sequence[str]
    environment: Mapping[str, str]
    directory: Path | None = None


class Launched:
    """A started child, `stdin` (a descriptor) as its own, and the file that keeps its output.

    It inherits the descriptors of `keep` beside the standard three.
    """

    def __init__(
        self, command: ChildCommand, stdin: int | None = None, keep: Sequence[int] = ()
    ) -> None:
        with contextlib.ExitStack() as undo:
            # unlinked from the start, so that no crash of ours leaves it behind
            self._output: IO[bytes] = undo.enter_context(tempfile.TemporaryFile())
            self.process = subprocess.Popen(
                list(command.argv),
                env=dict(command.environment),
                cwd=command.directory,
                stdin=subprocess.DEVNULL if stdin is None else stdin,
                stdout=self._output,
                stderr=self._output,
                pass_fds=keep,
                start_new_session=True,  # a Ctrl-C at the terminal is the server's to answer
            )
            undo.pop_all()

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self.process.pid

    def signal(self, number: signal.Signals) -> None:
        """Signals the child; one that has ended already is fine."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)

    def wait(self) -> ChildExit:
        """Waits for the child's end and reaps it."""
        status = self.process.wait()
        with self._output as output:
            size = output.seek(0, os.SEEK_END)
            output.seek(max(0, size - LOG_TAIL_BYTES))
            tail = output.read().decode(errors="replace")
        return ChildExit(status, tail)


class Supervisor:
    """Keeps one child running from `start` to `stop`.

    `launch` starts it; `ready` returns when it serves or raises; both run in the supervisor's
    thread. `ended` hears of every exit before the restart. `healthy`, if given, is asked every
    `health_seconds`; an unhealthy child is killed and so started anew.
    """

    def __init__(
        self,
        name: str,
        launch: Callable[[], Launched],
        *,
        ready: Callable[[Launched], None] = lambda _: None,
        ended: Callable[[Launched, ChildExit], None] = lambda _, __: None,
        healthy: Callable[[], bool] | None = None,
        health_seconds: float = 5.0,
        backoff: Backoff | None = None,
        stop_seconds: float = 5.0,
    ) -> None:
        self.name = name
        self._launch = launch
        self._ready = ready
        self._ended = ended
        self._healthy = healthy
        self._health_seconds = health_seconds
        self._backoff = backoff or Backoff()
        self._stop_seconds = stop_seconds
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._state = ChildState.STOPPED
        self._child: Launched | None = None
        self._restarts = 0
        self._failed_starts = 0
        self._last_exit: ChildExit | None = None
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begins to supervise; returns at once, see `wait_ready`."""
        if self._threads:
            raise RuntimeError(f"{self.name} is supervised already")
        self._stopping.clear()
        self._set(ChildState.STARTING)
        self._threads = [threading.Thread(target=self._run, name=self.name, daemon=True)]
        if self._healthy is not None:
            self._threads.append(
                threading.Thread(target=self._check, name=f"{self.name} health", daemon=True)
            )
        for thread in self._threads:
            thread.start()

    def wait_ready(self, seconds: float) -> None:
        """Returns when the child serves; raises ENGINE_FAILED when it does not within `seconds`."""
        with self._changed:
            if self._changed.wait_for(lambda: self._state is ChildState.RUNNING, seconds):
                return
            last = f"; it last ended with {self._last_exit}" if self._last_exit else ""
        raise error(
            ErrorCode.ENGINE_FAILED, f"{self.name} did not start within {seconds:g} s{last}"
        )

    def stop(self) -> None:
        """Ends the child (SIGTERM, then SIGKILL after `stop_seconds`) and the supervision."""
        self._stopping.set()
        with self._changed:
            self._changed.notify_all()
            child = self._child
        if child is not None:
            child.signal(signal.SIGTERM)
        for thread in self._threads:
            thread.join(self._stop_seconds)
        if child is not None and any(thread.is_alive() for thread in self._threads):
            child.signal(signal.SIGKILL)
        for thread in self._threads:
            thread.join()
        self._threads = []
        self._set(ChildState.STOPPED)

    def kill(self) -> None:
        """Kills the child that runs now; it is started anew."""
        with self._changed:
            child = self._child
        if child is not None:
            child.signal(signal.SIGKILL)

    def status(self) -> ChildStatus:
        """The child's state just now."""
        with self._changed:
            return ChildStatus(
                self.name,
                self._state,
                self._child.pid if self._child else None,
                self._restarts,
                self._failed_starts,
                str(self._last_exit) if self._last_exit else None,
            )

    def _set(self, state: ChildState, child: Launched | None = None) -> None:
        with self._changed:
            self._state, self._child = state, child
            self._changed.notify_all()

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            self._run_once()
            if self._stopping.is_set():
                return
            good = time.monotonic() - began >= self._backoff.good_run
            failures = 1 if good else failures + 1
            self._restarts += 1
            self._set(ChildState.WAITING)
            self._stopping.wait(self._backoff.delay(failures))

    def _run_once(self) -> None:
        """One life of the child."""
        self._set(ChildState.STARTING)
        try:
            child = self._launch()
        except OSError:
            log.exception("%s could not be started", self.name)
            self._failed_starts += 1
            return
        self._set(ChildState.STARTING, child)
        if self._stopping.is_set():  # `stop` may have come before it could see the child
            child.signal(signal.SIGKILL)
        try:
            self._ready(child)
        except Exception:
            if not self._stopping.is_set():
                log.exception("%s did not become ready", self.name)
            self._failed_starts += 1
            child.signal(signal.SIGKILL)
        else:
            self._failed_starts = 0
            self._set(ChildState.RUNNING, child)
        ended = child.wait()
        self._last_exit = ended
        if not self._stopping.is_set():
            log.warning("%s (pid %d) ended: %s\n%s", self.name, child.pid, ended, ended.output)
        self._ended(child, ended)

    def _check(self) -> None:
        assert self._healthy is not None
        while not self._stopping.wait(self._health_seconds):
            with self._changed:
                running = self._state is ChildState.RUNNING
            if running and not self._healthy():
                log.warning("%s does not answer and is killed", self.name)
                self.kill()
