"""Workers that die, in every state: their statement fails, the next one works, nothing is left."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import psutil
import pytest

from headwater.engines.duckdb import engine as engine_module
from headwater.engines.duckdb import pool as pool_module
from headwater.engines.duckdb.engine import DuckDBEngine
from headwater.engines.duckdb.protocol import HEADER
from headwater.errors import ErrorCode, HeadwaterError
from headwater.model.identifiers import TableIdentifier
from headwater.model.scan import Decision, GovernedWrite, WriteOperation
from headwater.settings import child_environment
from integration.engines.conftest import plan, rows
from integration.engines.test_statements import ENDLESS

MakeEngine = Callable[..., AbstractContextManager[DuckDBEngine]]


def pids(engine: DuckDBEngine) -> list[int]:
    return [worker.pid for worker in engine.status().workers if worker.pid is not None]


def kill(engine: DuckDBEngine, number: signal.Signals = signal.SIGKILL) -> None:
    for pid in pids(engine):
        os.kill(pid, number)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_a_worker_that_dies_fails_its_statement_only(
    make_engine: MakeEngine, number: signal.Signals
) -> None:
    with make_engine() as engine:
        assert rows(engine, "SELECT 1") == [(1,)]
        threading.Timer(0.3, kill, [engine, number]).start()
        with pytest.raises(HeadwaterError) as raised:
            rows(engine, ENDLESS)
        assert raised.value.code is ErrorCode.ENGINE_FAILED
        assert rows(engine, "SELECT 2") == [(2,)]
        assert engine.status().workers[0].restarts == 1


def test_killed_while_idle_starting_streaming_or_stopped(make_engine: MakeEngine) -> None:
    with make_engine() as engine:
        time.sleep(0.2)
        kill(engine)  # while it starts
        assert rows(engine, "SELECT 1") == [(1,)]
        kill(engine)  # while it is idle
        time.sleep(0.1)
        assert rows(engine, "SELECT 2") == [(2,)]
        result = engine.execute(plan("SELECT range FROM range(1000000000)"))
        next(iter(result))
        kill(engine)  # while rows stream
        with pytest.raises(HeadwaterError) as raised:
            list(result)
        assert raised.value.code is ErrorCode.ENGINE_FAILED
        assert rows(engine, "SELECT 3") == [(3,)]


def test_a_worker_that_does_not_react_to_an_interrupt_is_killed(
    make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "INTERRUPT_SECONDS", 0.3)
    with make_engine() as engine:
        assert rows(engine, "SELECT 1") == [(1,)]
        threading.Timer(0.2, kill, [engine, signal.SIGSTOP]).start()
        threading.Timer(0.5, engine.cancel, ["stuck"]).start()
        with pytest.raises(HeadwaterError) as raised:
            rows(engine, ENDLESS, statement_id="stuck")
        assert raised.value.code is ErrorCode.USER_CANCELED
        assert rows(engine, "SELECT 2") == [(2,)]


def test_kills_at_random_moments_leave_nothing_behind(
    make_engine: MakeEngine, tmp_path: Path
) -> None:
    before = len(os.listdir("/proc/self/fd"))
    generator = random.Random(7)
    with make_engine(workers=2) as engine:
        assert rows(engine, "SELECT 1") == [(1,)]
        stop = threading.Event()
        wrong: list[BaseException] = []
        served = 0

        def ask() -> None:
            nonlocal served
            while not stop.is_set():
                try:
                    assert rows(engine, "SELECT sum(range) FROM range(100000)") == [(4999950000,)]
                    served += 1
                except HeadwaterError as failure:
                    if failure.code is not ErrorCode.ENGINE_FAILED:
                        wrong.append(failure)
                except BaseException as failure:
                    wrong.append(failure)

        askers = [threading.Thread(target=ask) for _ in range(4)]
        for asker in askers:
            asker.start()
        for _ in range(4):
            time.sleep(generator.random() * 1.5)
            alive = pids(engine)
            if alive:
                os.kill(generator.choice(alive), signal.SIGKILL)
        stop.set()
        for asker in askers:
            asker.join(60)
        assert wrong == []
        assert served > 0
        assert rows(engine, "SELECT 2") == [(2,)]
        children = psutil.Process().children(recursive=True)
        assert all(child.status() != psutil.STATUS_ZOMBIE for child in children)
        last = pids(engine)
    assert not any(psutil.pid_exists(pid) for pid in last)
    assert len(os.listdir("/proc/self/fd")) <= before
    left = [path for path in (tmp_path / "engine" / "spill").rglob("*") if path.is_file()]
    assert left == []


def test_a_write_without_a_catalog_fails_and_holds_no_lease(make_engine: MakeEngine) -> None:
    write = GovernedWrite(
        TableIdentifier(("s",), "t"), "uuid", WriteOperation.OPTIMIZE, (), None, Decision("d", True)
    )
    with make_engine() as engine:
        assert rows(engine, "SELECT 1") == [(1,)]
        with pytest.raises(HeadwaterError) as unattached:
            rows(engine, "SELECT 1", writes=(write,))
        assert unattached.value.code is ErrorCode.ENGINE_FAILED, "there is no catalog here"
        assert engine.leases.identity("engine-1.1") is None
        assert rows(engine, "SELECT 2") == [(2,)]


def test_workers_that_cannot_start_are_reported(
    make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "child_environment", lambda: {"PYTHONHOME": "/nowhere"})
    with make_engine() as engine:
        with pytest.raises(HeadwaterError) as raised:
            rows(engine, "SELECT 1")
        assert raised.value.code is ErrorCode.ENGINE_FAILED
        assert engine.status().trusted is None


def test_spill_files_of_a_dead_worker_are_removed(make_engine: MakeEngine, tmp_path: Path) -> None:
    with make_engine() as engine:
        assert rows(engine, "SELECT 1") == [(1,)]
        left = tmp_path / "engine" / "spill" / "engine-1" / "duckdb_temp_storage_S32K-0.tmp"
        left.write_bytes(b"x" * 1000)
        kill(engine)
        time.sleep(0.2)
        assert rows(engine, "SELECT 2") == [(2,)]
        assert not left.exists()


def test_workers_die_with_the_server(tmp_path: Path) -> None:
    """A server that is killed with -9 leaves no worker behind, busy or not."""
    code = textwrap.dedent(f"""
        import sys, threading
        from pathlib import Path
        sys.path.insert(0, {str(Path(__file__).parents[2])!r})
        from integration.engines.conftest import plan, running_engine
        from integration.engines.test_statements import ENDLESS
        with running_engine(Path({str(tmp_path)!r}), workers=2) as engine:
            list(engine.execute(plan("SELECT 1")))
            threading.Thread(target=lambda: list(engine.execute(plan(ENDLESS)))).start()
            print("up", flush=True)
            threading.Event().wait()
    """)
    server = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, env=child_environment()
    )
    assert server.stdout is not None
    assert server.stdout.readline() == b"up\n"
    workers = psutil.Process(server.pid).children()
    assert workers
    time.sleep(0.5)
    server.kill()
    server.wait()
    server.stdout.close()
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert alive == []


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\n\r\n", HEADER.pack(1, 2, 0) + b"{}", b"\xff" * 64]
)
def test_a_worker_hangs_up_on_garbage(data: bytes, tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    with (tmp_path / "output").open("wb") as output:
        worker = subprocess.Popen(
            [sys.executable, "-m", "headwater.engines.duckdb.worker"],
            stdin=theirs, stderr=output, env=child_environment(),
        )  # fmt: skip
    theirs.close()
    ours.sendall(data)
    assert worker.wait(60) == 64
    ours.close()
    assert "breach of the protocol" in (tmp_path / "output").read_text()


def test_no_secret_in_the_workers_arguments_or_environment(engine: DuckDBEngine) -> None:
    rows(engine, "SELECT 1")
    for pid in pids(engine):
        process = psutil.Process(pid)
        text = " ".join(process.cmdline()) + str(process.environ())
        assert "token" not in text
        assert "HEADWATER" not in text
