"""A server that is killed and started again in the same home."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil

from headwater.settings import child_environment

READY_SECONDS = 60


class CrashingServer:
    """`headwater up` in one home; `kill_*` take it down as a power cut would."""

    def __init__(self, home: Path, *arguments: str) -> None:
        self.home = home
        self.arguments = arguments
        self.generation = 0
        self.up = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts the server and waits for READY."""
        self._launch()
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line.startswith(b"READY"), (line, (self.home.parent / "server.log").read_text())
        self.generation += 1
        self.up.set()

    def _launch(self) -> None:
        log = (self.home.parent / "server.log").open("ab")
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "headwater", "up", "--home", str(self.home)),
                *("--port", "0", "--no-samples", "--quiet", *self.arguments),
            ],
            env=child_environment(),
            stdout=subprocess.PIPE,
            stderr=log,
        )
        log.close()

    @property
    def ready(self) -> dict[str, Any]:
        """What ready.json says of the running server."""
        value: dict[str, Any] = json.loads((self.home / "ready.json").read_text())
        return value

    def kill_server(self, again_after: float | None = None) -> None:
        """Kills the server at once and starts it again; its workers must die with it.

        With `again_after`, it is also killed so many seconds into that start, while it recovers.
        """
        self.up.clear()
        self._kill()
        if again_after is not None:
            self._launch()
            time.sleep(again_after)
            self._kill()
        self.start()

    def _kill(self) -> None:
        assert self._process is not None
        children = psutil.Process(self._process.pid).children(recursive=True)
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(timeout=10)
        assert self._process.stdout is not None
        self._process.stdout.close()
        _, alive = psutil.wait_procs(children, timeout=10)
        assert alive == [], "engine workers outlived their server"

    def kill_worker(self, choice: int) -> None:
        """Kills one engine worker at once."""
        assert self._process is not None
        workers = psutil.Process(self._process.pid).children(recursive=True)
        if workers:
            victim = workers[choice % len(workers)]
            try:
                os.kill(victim.pid, signal.SIGKILL)
            except ProcessLookupError:
                return

    def stop(self) -> None:
        """Shuts the server down cleanly."""
        assert self._process is not None
        self._process.terminate()
        assert self._process.wait(timeout=30) == 0
        assert self._process.stdout is not None
        self._process.stdout.close()


def wait_until(condition: threading.Event, seconds: float = READY_SECONDS) -> None:
    """Waits for an event, and fails when it does not come."""
    deadline = time.monotonic() + seconds
    assert condition.wait(max(0.0, deadline - time.monotonic())), "the server did not come back"
