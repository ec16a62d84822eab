"""A real `headwater up` in a process of its own, and the command line against it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

SECONDS = 90
COMMAND = (sys.executable, "-m", "headwater")


class Server:
    """One `headwater up`; `settings` are HEADWATER_ variables."""

    def __init__(self, home: Path, *flags: str, **settings: str) -> None:
        self.home = home
        self.errors = home.parent / f"{home.name}.stderr"
        with self.errors.open("ab") as stderr:
            self.process = subprocess.Popen(
                [*COMMAND, "up", "--home", str(home), *flags],
                stdout=subprocess.PIPE,
                stderr=stderr,
                env={**environment(home), **settings},
                text=True,
            )
        assert self.process.stdout is not None
        self.ready_line = self.process.stdout.readline().strip()
        assert self.ready_line.startswith("READY "), self.errors.read_text()

    @property
    def ready(self) -> dict[str, Any]:
        return json.loads((self.home / "ready.json").read_text())

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def run(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return run(self.home, *arguments, **options)

    def stop(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(30)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            assert self.process.stdout is not None
            self.process.stdout.close()


def environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HEADWATER_")}
    return {**kept, "HEADWATER_HOME": str(home), "HEADWATER_ENGINE__WORKERS": "1"}


def run(home: Path, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Runs a command of the command line to its end."""
    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
        **{"env": environment(home), **options},
    )


def gone(processes: list[psutil.Process], seconds: float = 10) -> bool:
    """True when all of the processes end in time."""
    _, alive = psutil.wait_procs(processes, timeout=seconds)
    return not [p for p in alive if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


def eventually(found: Callable[[], object], seconds: float = 30) -> object:
    """The first true value of `found`."""
    deadline = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)
    return value


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the sample lake, shared by the tests of a module."""
    running = Server(tmp_path_factory.mktemp("server") / "home", "--port", "0")
    yield running
    assert running.stop() == 0


@pytest.fixture
def start() -> Iterator[Callable[..., Server]]:
    """Starts servers on free ports without samples; all are stopped at the end."""
    started: list[Server] = []

    def begin(home: Path, *flags: str) -> Server:
        port = () if "--port" in flags else ("--port", "0")
        started.append(Server(home, *port, "--no-samples", *flags))
        return started[-1]

    yield begin
    for running in started:
        running.stop()
