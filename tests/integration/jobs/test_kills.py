"""Server and runner are killed at random moments: no run is lost, none is counted or made twice."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from headwater.client.connection import Connection
from headwater.client.endpoint import find_endpoint
from headwater.errors import HeadwaterError
from integration.jobs.conftest import FINAL, SETTINGS, Jobs
from integration.server.conftest import Server, eventually

KILLS = int(os.environ.get("HEADWATER_JOB_KILLS", "4"))

APPEND = """
import os, time
with open("lines", "a") as f:
    f.write(os.environ["HEADWATER_RUN_ATTEMPT"] + "\\n")
time.sleep({seconds})
print("attempt", os.environ["HEADWATER_RUN_ATTEMPT"])
"""


class Home:
    """A server in one home that is killed and started again."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.server: Server | None = None

    def start(self) -> Jobs:
        self.server = Server(self.home, "--port", "0", "--no-samples", **SETTINGS)
        return self.jobs()

    def jobs(self) -> Jobs:
        return Jobs(Connection(find_endpoint(self.home)))

    def kill(self) -> None:
        assert self.server is not None
        children = self.server.children()
        self.server.process.kill()
        self.server.process.wait()
        assert self.server.process.stdout is not None
        self.server.process.stdout.close()
        for child in children:
            if "headwater.engines" in " ".join(_line(child)):
                psutil.wait_procs([child], timeout=10)


def _line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def runners(home: Path) -> list[psutil.Process]:
    return [
        process
        for process in psutil.process_iter()
        if "headwater.jobs.runner" in (line := _line(process)) and str(home) in line[-1]
    ]


def engines(place: Home) -> list[psutil.Process]:
    assert place.server is not None
    return [
        process
        for process in place.server.children()
        if "headwater.engines" in " ".join(_line(process))
    ]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path / "home")
    yield home
    if home.server is not None and home.server.process.poll() is None:
        home.server.stop()
    for process in runners(home.home):
        process.terminate()
    eventually(lambda: not runners(home.home))


def test_a_program_runs_on_while_the_server_is_down_and_is_collected(place: Home) -> None:
    jobs = place.start()
    run = jobs.submit("python", APPEND.format(seconds=3))
    jobs.until(run["id"], "RUNNING")
    jobs.connection.close()
    place.kill()
    assert len(runners(place.home)) == 1
    eventually(lambda: not runners(place.home))
    jobs = place.start()
    ended = jobs.until(run["id"])
    assert ended["state"] == "SUCCESS"
    assert len(ended["attempts"]) == 1
    assert jobs.log(run["id"]) == "attempt 1\n"
    assert ended["attempts"][0]["usage"]["wall_seconds"] >= 3
    jobs.connection.close()


def test_a_program_finds_the_server_again_after_a_restart(place: Home) -> None:
    jobs = place.start()
    text = """
import os, time
from pathlib import Path
from headwater.client.connection import Connection
from headwater.client.endpoint import find_endpoint
lake = Connection(find_endpoint(Path(os.environ["HEADWATER_HOME"])))
print(lake.get("/api/v1/whoami")["name"], flush=True)
while not os.path.exists("go"):
    time.sleep(0.1)
lake = Connection(find_endpoint(Path(os.environ["HEADWATER_HOME"])))
print(lake.get("/api/v1/whoami")["name"], flush=True)
"""
    run = jobs.submit("python", text)
    eventually(lambda: jobs.log(run["id"]) == "admin\n")
    jobs.connection.close()
    place.kill()
    jobs = place.start()  # on other ports
    (place.home / "runs" / run["id"] / "1" / "work" / "go").touch()
    assert jobs.until(run["id"])["state"] == "SUCCESS", jobs.log(run["id"], "stderr")
    assert jobs.log(run["id"]) == "admin\nadmin\n"
    jobs.connection.close()


def test_a_killed_runner_takes_its_program_along_and_the_run_is_tried_again(place: Home) -> None:
    jobs = place.start()
    run = jobs.submit(
        "python",
        APPEND.format(seconds=5),
        retry={"max_attempts": 2, "backoff_seconds": 0.1},
    )
    once = jobs.submit("python", APPEND.format(seconds=600))
    for each in (run, once):
        jobs.until(each["id"], "RUNNING")
    tree = [p for r in runners(place.home) for p in [r, *r.children(recursive=True)]]
    for runner in runners(place.home):
        runner.kill()
    _, alive = psutil.wait_procs(tree, timeout=10)
    assert not [p for p in alive if p.status() != psutil.STATUS_ZOMBIE]
    ended = jobs.until(run["id"])
    assert [a["failure"] for a in ended["attempts"]] == ["infrastructure", None]
    assert ended["state"] == "SUCCESS"
    assert jobs.until(once["id"])["failure"] == "infrastructure"
    assert "runner was killed" in jobs.get(once["id"])["reason"]
    jobs.connection.close()


def test_a_script_goes_on_where_it_was_and_repeats_no_change(place: Home) -> None:
    jobs = place.start()
    jobs.run("sql", "CREATE SCHEMA s; CREATE TABLE s.t (n int)")
    count = 40
    text = ";\n".join(f"INSERT INTO s.t VALUES ({n})" for n in range(count))
    run = jobs.submit("sql", text)
    jobs.until(run["id"], "RUNNING")
    for pause in (1.0, 0.4):
        time.sleep(pause)
        jobs.connection.close()
        place.kill()
        jobs = place.start()
    ended = jobs.until(run["id"])
    assert ended["state"] == "SUCCESS", jobs.log(run["id"], "stderr")
    rows = jobs.connection.query("SELECT n FROM s.t").to_pylist()
    assert sorted(row["n"] for row in rows) == list(range(count))
    jobs.connection.close()


@pytest.mark.timeout(400 + KILLS * 20)
def test_random_kills_lose_and_double_nothing(place: Home) -> None:
    rng = random.Random(7)
    jobs = place.start()
    jobs.run("sql", "CREATE SCHEMA s; CREATE TABLE s.t (run string, n int)")
    submitted: dict[str, str] = {}

    def submit(number: int) -> None:
        key = f"key-{number}"
        kind = rng.choice(["python", "sql"])
        text = (
            APPEND.format(seconds=rng.random() * 2)
            if kind == "python"
            else ";".join(f"INSERT INTO s.t VALUES ('{key}', {n})" for n in range(3))
        )
        retry = {"max_attempts": 10, "backoff_seconds": 0.05}
        for _ in range(2):  # a client that is not sure asks again
            try:
                run = jobs.submit(kind, text, idempotency_key=key, retry=retry)
            except HeadwaterError:
                continue
            assert submitted.setdefault(key, run["id"]) == run["id"]

    for number in range(KILLS * 2):
        submit(number)
        if number % 2:
            time.sleep(rng.random())
            choice = rng.choice(["server", "engine", "run"])
            victims = {"run": runners(place.home), "engine": engines(place)}.get(choice)
            if victims:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(rng.choice(victims).pid, signal.SIGKILL)
            else:
                jobs.connection.close()
                place.kill()
                jobs = place.start()
    ended = {key: jobs.until(run_id, seconds=120) for key, run_id in submitted.items()}
    assert {run["state"] for run in ended.values()} <= set(FINAL)
    assert {key: run["reason"] for key, run in ended.items() if run["state"] != "SUCCESS"} == {}
    listed = jobs.connection.get("/api/v1/job-runs", limit=1000)
    assert len(listed) == len(submitted) + 1
    rows = jobs.connection.query("SELECT run, n FROM s.t").to_pylist()
    expected = [(key, n) for key, run in ended.items() if run["kind"] == "sql" for n in range(3)]
    assert sorted((row["run"], row["n"]) for row in rows) == sorted(expected)
    for run in ended.values():
        assert [a["number"] for a in run["attempts"]] == list(range(1, len(run["attempts"]) + 1))
        if run["kind"] == "python":
            folder = place.home / "runs" / run["id"]
            for attempt in run["attempts"]:
                path = folder / str(attempt["number"]) / "work" / "lines"
                lines = path.read_text().split() if path.exists() else []
                assert lines in ([], [str(attempt["number"])])
            assert jobs.log(run["id"]) == f"attempt {len(run['attempts'])}\n"
    assert not runners(place.home)
    jobs.connection.close()
