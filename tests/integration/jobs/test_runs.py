"""Runs on a real server: what they may see, how they end, what they used."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from headwater.errors import ErrorCode, HeadwaterError
from integration.jobs.conftest import Jobs
from integration.server.conftest import Server, eventually

Of = Callable[..., Jobs]

READ = """
import os
from pathlib import Path
from headwater.client.connection import Connection
from headwater.client.endpoint import find_endpoint
lake = Connection(find_endpoint(Path(os.environ["HEADWATER_HOME"])))
print(lake.query("SELECT id, region FROM s.t ORDER BY id").to_pylist())
"""


def test_a_script_runs_as_its_user(of: Of) -> None:
    ana, bob = of("ana"), of("bob")
    text = "SELECT region FROM s.t ORDER BY id;\nSELECT '${who}' AS who;"
    good = ana.run("sql", text, parameters={"who": "ana"}, tags={"team": "x"})
    assert good["state"] == "SUCCESS"
    assert ana.log(good["id"]) == "region\nEU\nUS\nwho\nana\n"
    usage = good["attempts"][0]["usage"]
    assert usage["queries"] == 2
    assert usage["method"] == "engine"
    refused = bob.run("sql", text, parameters={"who": "bob"})
    assert (refused["state"], refused["failure"]) == ("FAILED", "user")
    assert refused["error_code"] in ("TABLE_NOT_FOUND", "SCHEMA_NOT_FOUND")
    assert bob.log(refused["id"]) == ""


def test_a_python_program_reaches_the_server_as_its_user_and_nothing_else(of: Of) -> None:
    ana, bob = of("ana"), of("bob")
    good = ana.run("python", READ)
    assert good["state"] == "SUCCESS", ana.log(good["id"], "stderr")
    assert ana.log(good["id"]) == "[{'id': 1, 'region': 'EU'}, {'id': 2, 'region': 'US'}]\n"
    assert good["attempts"][0]["usage"]["queries"] == 1
    assert good["attempts"][0]["sandbox"] == "bubblewrap"
    refused = bob.run("python", READ)
    assert refused["state"] == "FAILED"
    assert "exit status 1" in refused["reason"]
    assert "NOT_FOUND" in bob.log(refused["id"], "stderr")


SNOOP = """
import os, socket, subprocess
from pathlib import Path
home = Path({home!r})
print("home", home.exists())
print("token in environment", any("eyJ" in v for v in os.environ.values()))
block = Path("/proc/self/environ").read_bytes() + Path("/proc/self/cmdline").read_bytes()
print("token in process", b"eyJ" in block)
try:
    socket.create_connection(("198.51.100.1", 80), 2)
    print("network yes")
except OSError:
    print("network no")
print("others", len([p for p in os.listdir("/proc") if p.isdigit()]) > 12)
print(Path(os.environ["HEADWATER_TOKEN_FILE"]).read_text())
"""


def test_a_program_sees_neither_home_nor_network_and_its_token_is_not_logged(
    lake: Server, of: Of
) -> None:
    run = of("ana").run("python", SNOOP.format(home=str(lake.home)))
    assert of("ana").log(run["id"]).splitlines() == [
        "home False",
        "token in environment False",
        "token in process False",
        "network no",
        "others False",
        "•••",
    ]


def test_the_token_ends_with_the_run(of: Of, lake: Server) -> None:
    text = "import os; print(open(os.environ['HEADWATER_TOKEN_FILE']).read()[::-1])"
    run = of("ana").run("python", text)
    token = of("ana").log(run["id"]).strip()[::-1]
    with pytest.raises(HeadwaterError) as caught:
        from dataclasses import replace

        from headwater.client.connection import Connection

        endpoint = replace(of().connection.endpoint, token=token)
        with Connection(endpoint) as stolen:
            stolen.get("/api/v1/whoami")
    assert caught.value.code is ErrorCode.UNAUTHENTICATED


def test_a_role_is_taken_only_by_who_holds_it(of: Of) -> None:
    good = of("ana").run("sql", "SELECT current_role", role="reader", dialect="trino")
    assert good["role"] == "reader"
    with pytest.raises(HeadwaterError) as caught:
        of("bob").submit("sql", "SELECT 1", role="reader")
    assert caught.value.code is ErrorCode.PERMISSION_DENIED


def test_people_see_and_cancel_their_own_runs_only(of: Of) -> None:
    run = of("ana").run("sql", "SELECT 1")
    for ask in (
        lambda jobs: jobs.get(run["id"]),
        lambda jobs: jobs.log(run["id"]),
        lambda jobs: jobs.connection.post(f"/api/v1/job-runs/{run['id']}/cancel", {}),
        lambda jobs: jobs.connection.post(f"/api/v1/job-runs/{run['id']}/retry", {}),
        lambda jobs: jobs.connection.get(f"/api/v1/job-runs/{run['id']}/events"),
    ):
        with pytest.raises(HeadwaterError) as caught:
            ask(of("bob"))
        assert caught.value.code is ErrorCode.RUN_NOT_FOUND
    assert run["id"] not in [each["id"] for each in of("bob").connection.get("/api/v1/job-runs")]
    with pytest.raises(HeadwaterError) as caught:
        of("bob").connection.get("/api/v1/job-runs", all="true")
    assert caught.value.code is ErrorCode.PERMISSION_DENIED
    assert of().get(run["id"])["user"] == "ana"
    assert run["id"] in [e["id"] for e in of().connection.get("/api/v1/job-runs", all="true")]


def test_the_same_key_is_the_same_run(of: Of) -> None:
    first = of("ana").submit("sql", "SELECT 1", idempotency_key="k1")
    again = of("ana").submit("sql", "SELECT 1", idempotency_key="k1")
    other = of().submit("sql", "SELECT 1", idempotency_key="k1")
    assert first["id"] == again["id"] != other["id"]
    with pytest.raises(HeadwaterError) as caught:
        of("ana").submit("sql", "SELECT 2", idempotency_key="k1")
    assert caught.value.code is ErrorCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({"kind": "cobol"}, "INVALID_ARGUMENT"),
        ({"program": {}}, "INVALID_ARGUMENT"),
        ({"program": {"text": "x", "upload": "y"}}, "INVALID_ARGUMENT"),
        ({"program": {"upload": "0" * 32}}, "FILE_NOT_FOUND"),
        ({"program": {"upload": "../../token.key"}}, "FILE_NOT_FOUND"),
        ({"program": {"text": "x", "name": "../../.."}}, "INVALID_ARGUMENT"),
        ({"compute": {"vcpu": 4096}}, "INVALID_ARGUMENT"),
        ({"timeout_seconds": 1e9}, "INVALID_ARGUMENT"),
        ({"dialect": "cobol"}, "INVALID_ARGUMENT"),
        ({"main_class": "X"}, "INVALID_ARGUMENT"),
        ({"unknown": 1}, "INVALID_ARGUMENT"),
    ],
)
def test_what_can_never_run_is_refused_at_once(of: Of, request_: dict, code: str) -> None:
    body = {"kind": "sql", "program": {"text": "SELECT 1"}, **request_}
    with pytest.raises(HeadwaterError) as caught:
        of("ana").connection.post("/api/v1/job-runs", body)
    assert caught.value.code == code


def test_an_unknown_release_is_refused_at_once(of: Of) -> None:
    with pytest.raises(HeadwaterError) as caught:
        of("ana").submit("python", "print(1)", release="spark-0.1")
    assert caught.value.code is ErrorCode.RELEASE_NOT_FOUND
    assert "spark-0.1" in caught.value.message


STUBBORN = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(600)
    os._exit(0)
print("ready", flush=True)
time.sleep(600)
"""


def await_line(jobs: Jobs, run_id: str, line: str) -> None:
    deadline = time.monotonic() + 30
    while line not in jobs.log(run_id):
        assert time.monotonic() < deadline, (jobs.get(run_id), jobs.log(run_id, "stderr"))
        time.sleep(0.1)


def test_cancel_ends_the_whole_tree(of: Of) -> None:
    ana = of("ana")
    run = ana.submit("python", STUBBORN)
    await_line(ana, run["id"], "ready")
    before = {p.pid for p in psutil.process_iter(["cmdline"]) if _is_of(p, run["id"])}
    assert before
    asked = ana.connection.post(f"/api/v1/job-runs/{run['id']}/cancel", {})
    assert asked["state"] == "CANCELLING"
    ended = ana.until(run["id"])
    assert (ended["state"], ended["cancelled_by"]) == ("CANCELLED", "ana")
    # The runner itself ends just after it has told the result.
    eventually(lambda: not any(_is_of(p, run["id"]) for p in psutil.process_iter(["cmdline"])))
    again = ana.connection.post(f"/api/v1/job-runs/{run['id']}/cancel", {})
    assert again["state"] == "CANCELLED"
    audited = of().connection.get("/api/v1/audit", securable=f"run {run['id']}")["events"]
    assert sorted(event["action"] for event in audited) == ["cancel run", "submit run"]


def _is_of(process: psutil.Process, run_id: str) -> bool:
    return run_id in " ".join(process.info["cmdline"] or ())


def test_a_program_that_ends_politely_gets_the_time_for_it(of: Of) -> None:
    ana = of("ana")
    text = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('bye'), sys.exit(3)))\n"
        "print('ready', flush=True)\n"
        "time.sleep(600)\n"
    )
    run = ana.submit("python", text)
    await_line(ana, run["id"], "ready")
    ana.connection.post(f"/api/v1/job-runs/{run['id']}/cancel", {})
    assert ana.until(run["id"])["state"] == "CANCELLED"
    assert ana.log(run["id"]) == "ready\nbye\n"


@pytest.mark.parametrize(
    ("text", "request_", "failure", "words"),
    [
        ("while True: pass", {"timeout_seconds": 2}, "timeout", "longer than 2 s"),
        (
            "x = []\nwhile True: x.append(bytearray(16 << 20))",
            {"compute": {"vcpu": 1, "memory_bytes": 256 << 20}},
            "out_of_memory",
            "memory",
        ),
        ("import os\nwhile True: os.fork()", {"timeout_seconds": 20}, "user", ""),
        (
            "f = open('big', 'wb')\nwhile True: f.write(b'x' * (1 << 20)); f.flush()",
            {},
            "user",
            "64 MiB of files",
        ),
        ("import sys; sys.exit('it is over')", {}, "user", "exit status 1: it is over"),
        ("import os; os.kill(os.getpid(), 9)", {}, "user", "SIGKILL"),
        ("1/0", {}, "user", "exit status 1: ZeroDivisionError: division by zero"),
    ],
)
def test_bad_programs_end_with_a_reason_and_harm_nobody(
    of: Of, text: str, request_: dict, failure: str, words: str
) -> None:
    run = of("ana").run("python", text, **request_)
    assert run["state"] == "FAILED"
    assert (run["failure"], words in run["reason"]) == (failure, True), run
    assert of("ana").run("sql", "SELECT 1")["state"] == "SUCCESS"


def test_attempts_follow_a_failure_of_a_class_that_is_asked_for(of: Of) -> None:
    retry = {"max_attempts": 3, "on": ["user"], "backoff_seconds": 0.1}
    run = of("ana").run("python", "print('try'); raise SystemExit(7)", retry=retry)
    assert run["state"] == "FAILED"
    assert [a["exit_status"] for a in run["attempts"]] == [7, 7, 7]
    assert of("ana").log(run["id"], attempt=2) == "try\n"
    once = of("ana").run("python", "raise SystemExit(7)", retry={"max_attempts": 3})
    assert len(once["attempts"]) == 1


def test_a_retry_by_hand_is_a_new_run(of: Of) -> None:
    old = of("ana").run("python", "print('again')")
    made = of("ana").connection.post(f"/api/v1/job-runs/{old['id']}/retry", {})
    assert made["retry_of"] == old["id"]
    assert of("ana").until(made["id"])["state"] == "SUCCESS"
    assert of("ana").log(made["id"]) == "again\n"


def test_logs_and_events_are_streamed_until_the_end(of: Of) -> None:
    ana = of("ana")
    text = "import time\nfor n in range(5):\n    print('line', n, flush=True)\n    time.sleep(0.2)"
    run = ana.submit("python", text)
    raw = b"".join(ana.connection.stream(f"/api/v1/job-runs/{run['id']}/logs?follow=true"))
    events = [dict(x.split(b": ", 1) for x in e.split(b"\n")) for e in raw.strip().split(b"\n\n")]
    assert events[-1][b"event"] == b"end"
    parts = [json.loads(e[b"data"]) for e in events if e[b"event"] == b"log"]
    assert len(parts) > 1
    assert "".join(p["text"] for p in parts) == "".join(f"line {n}\n" for n in range(5))
    resumed = b"".join(
        ana.connection.stream(f"/api/v1/job-runs/{run['id']}/logs?follow=true&offset=7")
    )
    assert json.loads(resumed.split(b"data: ")[1].split(b"\n")[0])["text"].startswith("line 1\n")
    raw = b"".join(ana.connection.stream(f"/api/v1/job-runs/{run['id']}/events?follow=true"))
    states = [
        json.loads(line[6:])["body"]["state"]
        for line in raw.splitlines()
        if line.startswith(b"data: ") and b'"kind":"state"' in line
    ]
    assert states == ["SUBMITTED", "QUEUED", "PENDING", "SCHEDULED", "RUNNING", "SUCCESS"]


def test_usage_adds_up(of: Of) -> None:
    burn = "import time\nend = time.process_time() + 0.5\nwhile time.process_time() < end: pass"
    run = of("bob").run("python", burn, tags={"team": "burners"}, compute={"vcpu": 2})
    used = run["attempts"][0]["usage"]
    assert 0.5 <= used["cpu_seconds"] < 5
    assert used["vcpu_seconds"] == pytest.approx(2 * used["wall_seconds"])
    assert used["method"] in ("cgroup2", "cgroup1", "sampled")
    whole = {}
    for by in ("user", "role", "tag", "day", "kind", "run"):
        rows = of().connection.get("/api/v1/job-runs/usage", by=by, all="true")
        whole[by] = round(sum(row["cpu_seconds"] for row in rows), 6)
    assert len(set(whole.values())) == 1
    rows = of().connection.get("/api/v1/job-runs/usage", by="tag", tag="team", all="true")
    assert {row["key"]: row["runs"] for row in rows}["burners"] == 1
    own = of("bob").connection.get("/api/v1/job-runs/usage", by="user")
    assert [row["key"] for row in own] == ["bob"]


def test_an_uploaded_program_is_good_for_its_sender_once(of: Of) -> None:
    ana, bob = of("ana"), of("bob")
    upload = ana.connection.upload("main.py", iter([b"print", b"(42)"]), "/api/v1/job-files")
    body = {"kind": "python", "program": {"upload": upload, "name": "main.py"}}
    with pytest.raises(HeadwaterError) as caught:
        bob.connection.post("/api/v1/job-runs", body)
    assert caught.value.code is ErrorCode.FILE_NOT_FOUND
    run = ana.until(ana.connection.post("/api/v1/job-runs", body)["id"])
    assert ana.log(run["id"]) == "42\n"
    with pytest.raises(HeadwaterError) as caught:
        ana.connection.post("/api/v1/job-runs", body)
    assert caught.value.code is ErrorCode.FILE_NOT_FOUND


def test_a_program_on_a_location_needs_the_right_to_read_it(
    lake: Server, of: Of, tmp_path: Path
) -> None:
    (tmp_path / "main.py").write_text("print('from there')")
    uri = f"file://{tmp_path}/main.py"
    body = {"kind": "python", "program": {"uri": uri}}
    grant = f"GRANT READ FILES ON LOCATION '{tmp_path}' TO USER ana"
    done = lake.run("sql", grant)
    assert done.returncode == 0, done.stderr
    ana = of("ana")
    run = ana.until(ana.connection.post("/api/v1/job-runs", body)["id"])
    assert (run["state"], run["program"], ana.log(run["id"])) == ("SUCCESS", uri, "from there\n")
    for jobs, program, code in (
        (of("bob"), uri, ErrorCode.PERMISSION_DENIED),
        (ana, f"file://{tmp_path}/none.py", ErrorCode.FILE_NOT_FOUND),
        (ana, f"file://{lake.home}/token.key", ErrorCode.PERMISSION_DENIED),
    ):
        with pytest.raises(HeadwaterError) as caught:
            jobs.connection.post(
                "/api/v1/job-runs", {"kind": "python", "program": {"uri": program}}
            )
        assert caught.value.code is code


def test_commands(lake: Server, tmp_path: Path) -> None:
    program = tmp_path / "hello.py"
    program.write_text("import sys; print('hello', sys.argv[1:])")
    done = lake.run("job", "run", str(program), "--follow", "--tag", "a=b", "--", "-x", "y")
    assert (done.returncode, done.stdout) == (0, "hello ['-x', 'y']\n"), done.stderr
    listed = json.loads(lake.run("job", "list", "--tag", "a=b", "--json").stdout)
    run_id = listed[0]["id"]
    assert "SUCCESS" in lake.run("job", "list").stdout
    assert "hello.py" in lake.run("job", "show", run_id).stdout
    assert lake.run("job", "logs", "-f", run_id).stdout == "hello ['-x', 'y']\n"
    assert lake.run("job", "cancel", run_id).returncode == 0
    again = lake.run("job", "retry", run_id)
    assert again.returncode == 0
    assert "CPU-s used" in lake.run("job", "usage", "--by", "day").stdout
    program.write_text("raise SystemExit(2)")
    failed = lake.run("job", "run", str(program), "--wait")
    assert failed.returncode == 1
    assert "exit status 2" in failed.stderr
    missing = lake.run("job", "run", str(tmp_path / "none.py"))
    assert missing.returncode == 1
    assert missing.stderr.startswith("INVALID_ARGUMENT: ")
    unknown = lake.run("job", "show", "nothing")
    assert unknown.returncode == 1
    assert unknown.stderr.startswith("RUN_NOT_FOUND: ")
