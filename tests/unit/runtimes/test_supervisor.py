"""The supervisor, with real child processes."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator

import psutil
import pytest

from headwater.errors import ErrorCode, HeadwaterError
from headwater.runtimes.supervisor import (
    Backoff,
    ChildCommand,
    ChildExit,
    ChildState,
    Launched,
    Supervisor,
)
from headwater.settings import child_environment

SLEEPER = "import time; print('hello', flush=True); time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"


def launch(code: str) -> Launched:
    return Launched(ChildCommand((sys.executable, "-S", "-c", code), child_environment()))


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)


@pytest.fixture
def supervised() -> Iterator[Callable[..., Supervisor]]:
    made: list[Supervisor] = []

    def make(code: str = SLEEPER, **options: object) -> Supervisor:
        made.append(Supervisor("child", lambda: launch(code), **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for supervisor in made:
        supervisor.stop()


def test_starts_and_stops(supervised: Callable[..., Supervisor]) -> None:
    child = supervised()
    child.start()
    child.wait_ready(20)
    pid = child.status().pid
    assert pid is not None
    assert psutil.pid_exists(pid)
    assert os.getsid(pid) == pid, "a Ctrl-C at the terminal must not reach it"
    child.stop()
    assert not psutil.pid_exists(pid), "it must be reaped"
    assert child.status().state is ChildState.STOPPED
    child.stop()


def test_a_killed_child_is_started_anew_at_once(supervised: Callable[..., Supervisor]) -> None:
    exits: list[ChildExit] = []
    child = supervised(
        ready=lambda c: until(lambda: psutil.Process(c.pid).status() == "sleeping"),
        ended=lambda _, ended: exits.append(ended),
    )
    child.start()
    child.wait_ready(20)
    first = child.status().pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    until(lambda: child.status().restarts == 1 and child.status().state is ChildState.RUNNING)
    assert child.status().pid != first
    assert exits[0].status == -signal.SIGKILL
    assert child.status().last_exit == "signal SIGKILL"


def test_what_a_child_printed_is_kept(supervised: Callable[..., Supervisor]) -> None:
    exits: list[ChildExit] = []
    child = supervised(
        "print('x' * 10000 + 'last words'); raise SystemExit(3)",
        ended=lambda _, ended: exits.append(ended),
    )
    child.start()
    until(lambda: bool(exits))
    child.stop()
    assert exits[0].status == 3
    assert exits[0].output.endswith("last words\n")
    assert len(exits[0].output) <= 4096


def test_backoff_doubles_and_a_good_run_forgives() -> None:
    backoff = Backoff(first=0.5, longest=4)
    assert [backoff.delay(n) for n in range(8)] == [0, 0, 0.5, 1, 2, 4, 4, 4]
    assert backoff.delay(10_000) == 4


def test_a_child_that_keeps_failing_is_not_started_in_a_loop(
    supervised: Callable[..., Supervisor],
) -> None:
    child = supervised("raise SystemExit(1)", backoff=Backoff(first=30))
    child.start()
    until(lambda: child.status().restarts == 2)
    with pytest.raises(HeadwaterError, match="exit status 1") as raised:
        child.wait_ready(0.01)
    assert raised.value.code is ErrorCode.ENGINE_FAILED
    time.sleep(0.3)
    assert child.status().restarts == 2
    assert child.status().state is ChildState.WAITING
    began = time.monotonic()
    child.stop()
    assert time.monotonic() - began < 5, "stop must not wait for the backoff"


def test_a_child_that_does_not_become_ready_is_killed(
    supervised: Callable[..., Supervisor],
) -> None:
    def never(_: Launched) -> None:
        raise TimeoutError("no answer")

    child = supervised(ready=never, backoff=Backoff(first=30))
    child.start()
    until(lambda: child.status().restarts == 2)
    assert child.status().pid is None


def test_a_command_that_does_not_exist(supervised: Callable[..., Supervisor]) -> None:
    child = Supervisor(
        "nothing",
        lambda: Launched(ChildCommand(("/no/such/program",), {})),
        backoff=Backoff(first=30),
    )
    child.start()
    until(lambda: child.status().restarts == 2)
    child.stop()


def test_a_child_that_ignores_sigterm_is_killed(supervised: Callable[..., Supervisor]) -> None:
    child = supervised(STUBBORN, stop_seconds=0.5)
    child.start()
    child.wait_ready(20)
    pid = child.status().pid
    assert pid is not None
    time.sleep(0.3)
    child.stop()
    assert not psutil.pid_exists(pid)


def test_an_unhealthy_child_is_replaced(supervised: Callable[..., Supervisor]) -> None:
    answers = iter([True, False])
    child = supervised(healthy=lambda: next(answers, True), health_seconds=0.05)
    child.start()
    until(lambda: child.status().restarts == 1 and child.status().state is ChildState.RUNNING)


def test_the_environment_carries_nothing_of_the_servers(
    monkeypatch: pytest.MonkeyPatch, supervised: Callable[..., Supervisor]
) -> None:
    monkeypatch.setenv("HEADWATER_METASTORE", "postgresql://user:password@host/db")
    exits: list[ChildExit] = []
    child = supervised(
        "import os; print(sorted(os.environ))", ended=lambda _, ended: exits.append(ended)
    )
    child.start()
    until(lambda: bool(exits))
    child.stop()
    assert "HEADWATER_METASTORE" not in exits[0].output
