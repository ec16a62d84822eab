"""`headwater up`: what it says and writes, what it refuses, how it ends and starts again."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import stat
import subprocess

import psutil
import pytest

import headwater
from headwater.client.connection import Connection
from headwater.client.endpoint import find_endpoint
from integration.server.conftest import COMMAND, environment, eventually, gone, run


def refused(home, *flags):
    """Runs an `up` that must not start; returns its exit status and error line."""
    done = run(home, "up", "--home", str(home), "--quiet", *flags)
    assert done.stdout == ""
    return done.returncode, done.stderr.strip().splitlines()[-1]


def test_ready_line_and_ready_file(start, tmp_path):
    server = start(tmp_path / "home")
    found = re.fullmatch(r"READY (http://127\.0\.0\.1:\d+) token=(\S+)", server.ready_line)
    assert found
    ready = server.ready
    assert ready["url"] == found[1]
    assert ready["token"] == found[2]
    assert ready["pid"] == server.process.pid
    assert ready["iceberg_uri"] == f"{found[1]}/iceberg"
    assert ready["https_url"].startswith("https://127.0.0.1:")
    assert ready["trino"]["port"] == int(ready["https_url"].rsplit(":", 1)[1])
    spark = re.fullmatch(r"sc://127\.0\.0\.1:\d+/;use_ssl=true;token=(\S+)", ready["spark_connect"])
    assert spark
    assert spark[1] == ready["token"]
    assert os.path.exists(ready["ca_cert"])
    assert stat.S_IMODE((server.home / "ready.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(server.home.stat().st_mode) == 0o700
    for secret in ("token.key", "tls/ca.key", "tls/server.key", "metastore.db"):
        assert stat.S_IMODE((server.home / secret).stat().st_mode) == 0o600, secret


def test_a_given_port_moves_tls_with_it(start, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    ready = start(tmp_path / "home", "--port", str(port)).ready
    assert ready["url"].endswith(f":{port}")
    assert ready["https_url"].endswith(f":{port + 2}")
    assert f":{port + 1}/;" in ready["spark_connect"]


def test_one_server_a_home(start, tmp_path):
    server = start(tmp_path / "home")
    status, line = refused(server.home, "--port", "0")
    assert status == 1
    assert line.startswith("HOME_IN_USE: ")
    assert str(server.process.pid) in line
    assert server.run("sql", "SELECT 1").returncode == 0


def test_a_port_in_use_is_named_with_its_flag(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        status, line = refused(tmp_path / "home", "--port", str(port))
    assert status == 1
    assert line.startswith(f"PORT_IN_USE: port {port}")
    assert "--port" in line


def test_other_machines_only_when_asked_for(tmp_path):
    status, line = refused(tmp_path / "home", "--host", "0.0.0.0", "--port", "0")
    assert (status, line.split(":")[0]) == (1, "INVALID_ARGUMENT")
    assert "--allow-remote" in line


def test_plain_http_stays_on_loopback_when_others_may_connect(start, tmp_path):
    server = start(tmp_path / "home", "--host", "0.0.0.0", "--allow-remote")
    assert server.ready_line.startswith("READY https://")
    connections = psutil.Process(server.process.pid).net_connections(kind="tcp")
    listening = {c.laddr.port: c.laddr.ip for c in connections if c.status == "LISTEN"}
    assert listening[int(server.ready["url"].rsplit(":", 1)[1])] == "127.0.0.1"
    # gRPC takes "all addresses" for those of IPv6 too.
    assert sorted(listening.values()) == ["0.0.0.0", "127.0.0.1", "::"]


def test_a_home_that_cannot_be_written(tmp_path):
    """Also as root, whom permissions do not bind: /proc takes no folders from anybody."""
    status, line = refused("/proc/headwater", "--port", "0")
    assert status == 1
    assert line.startswith("HOME_NOT_WRITABLE: ")
    assert "--home" in line


def test_a_read_only_home(tmp_path):
    home = tmp_path / "home"
    home.mkdir(mode=0o555)
    # Root writes anywhere by a capability, which does not survive this (capabilities(7)).
    drop = "import ctypes, os, sys; ctypes.CDLL(None).prctl(24, 1)"
    program = f"{drop}; os.execv(sys.argv[1], sys.argv[1:])"
    done = subprocess.run(
        [COMMAND[0], "-c", program, *COMMAND, "up", "--home", str(home), "--port", "0", "--quiet"],
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr.split(":")[0]) == (1, "HOME_NOT_WRITABLE")
    assert list(home.iterdir()) == []


def test_a_damaged_metastore_is_left_alone(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "metastore.db").write_bytes(b"this is no database" * 100)
    status, line = refused(home, "--port", "0")
    assert (status, line.split(":")[0]) == (3, "METASTORE_CORRUPT")
    assert (home / "metastore.db").read_bytes().startswith(b"this is no database")


def test_a_newer_metastore_is_refused(start, tmp_path):
    server = start(tmp_path / "home")
    assert server.stop() == 0
    with sqlite3.connect(server.home / "metastore.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    status, line = refused(server.home, "--port", "0")
    assert (status, line.split(":")[0]) == (3, "METASTORE_TOO_NEW")


def test_a_metastore_that_does_not_answer(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"postgresql://me:secret-word@127.0.0.1:{port}/none"
    status, line = refused(tmp_path / "home", "--port", "0", "--metastore", url)
    assert (status, line.split(":")[0]) == (3, "METASTORE_UNAVAILABLE")
    assert "secret-word" not in line


def test_a_metastore_url_that_is_none(tmp_path):
    status, line = refused(tmp_path / "home", "--port", "0", "--metastore", "my database")
    assert (status, line.split(":")[0]) == (1, "INVALID_ARGUMENT")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_without_leftovers(start, tmp_path, number):
    server = start(tmp_path / "home")
    children = server.children()
    assert children
    assert server.stop(number) == 0
    assert gone(children)
    assert not (server.home / "ready.json").exists()
    assert server.run("sql", "SELECT 1").returncode == 3


def test_a_closed_terminal_does_not_end_it(start, tmp_path):
    server = start(tmp_path / "home")
    server.process.send_signal(signal.SIGHUP)
    assert server.run("sql", "SELECT 1").returncode == 0


def test_a_running_statement_does_not_hold_up_the_end(start, tmp_path):
    server = start(tmp_path / "home")
    slow = subprocess.Popen(
        [*COMMAND, "sql", SLOW],
        env=environment(server.home),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    with Connection(find_endpoint(server.home)) as connection:
        eventually(lambda: "RUNNING" in str(connection.get("/api/v1/statements")))
    assert server.stop() == 0
    _, errors = slow.communicate(timeout=30)
    assert slow.returncode in (1, 3)
    assert errors.split(":")[0] in ("USER_CANCELED", "SERVER_UNREACHABLE")


def test_kill_9_takes_the_children_along_and_the_next_start_works(start, tmp_path):
    server = start(tmp_path / "home")
    assert server.run("sql", "CREATE SCHEMA kept").returncode == 0
    children = server.children()
    server.process.kill()
    server.process.wait(10)
    assert gone(children)
    again = start(server.home)
    assert "kept" in again.run("sql", "SHOW SCHEMAS").stdout


def test_a_new_lake_has_the_schema_default_until_it_is_dropped(start, tmp_path):
    server = start(tmp_path / "home")
    assert "default" in server.run("sql", "SHOW SCHEMAS").stdout
    assert server.run("sql", 'CREATE TABLE "default".t AS SELECT 1 AS a').returncode == 0
    assert server.run("sql", 'DROP SCHEMA "default" CASCADE').returncode == 0
    assert server.stop() == 0
    again = start(server.home)
    assert "default" not in again.run("sql", "SHOW SCHEMAS").stdout


def test_a_killed_worker_is_replaced(start, tmp_path):
    server = start(tmp_path / "home")
    assert server.run("sql", "SELECT 1").returncode == 0
    workers = server.children()
    for worker in workers:
        worker.kill()
    assert gone(workers)
    eventually(lambda: server.run("sql", "SELECT 1").returncode == 0)
    assert "1 restarts" in server.run("doctor").stdout


def test_logs_hold_no_token(start, tmp_path):
    server = start(tmp_path / "home")
    server.run("sql", "SELECT 'a literal of a statement'")
    server.stop()
    text = (server.home / "logs" / "headwater.log").read_text() + server.errors.read_text()
    assert '"listening"' in text
    assert server.ready_line.split("token=")[1] not in text
    assert "a literal of a statement" not in text


def test_version():
    done = subprocess.run([*COMMAND, "version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"headwater {headwater.__version__}\n"
    done = subprocess.run(
        [*COMMAND, "version", "--json"], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout)["version"] == headwater.__version__


SLOW = "SELECT count(*) FROM UNNEST(sequence(1, 1000000)) a(x), UNNEST(sequence(1, 1000000)) b(y)"
