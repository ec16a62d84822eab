"""A real Postgres server of the test run's own: a throw-away cluster on a loopback port."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg

REQUIRE_ALL = os.environ.get("HEADWATER_TESTS_REQUIRE_ALL") == "1"


def find_binaries() -> Path | None:
    """The folder of Postgres' server programs, on the path or where Debian puts them."""
    found = [Path(p).parent for p in [shutil.which("initdb")] if p]
    debian = Path("/usr/lib/postgresql")
    if debian.is_dir():
        found += sorted(debian.glob("*/bin"), reverse=True)
    return next((folder for folder in found if (folder / "postgres").exists()), None)


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def unprivileged_user() -> str | None:
    """The user to run Postgres as: it refuses root. None when we are not root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


class PostgresServer:
    """A running server; `url()` names one of its databases."""

    def __init__(self, port: int) -> None:
        self.port = port

    def url(self, database: str = "postgres") -> str:
        """A URL as `headwater up --metastore` takes it."""
        return f"postgresql://headwater@127.0.0.1:{self.port}/{database}"

    def execute(self, statement: str) -> None:
        """Runs one statement outside any transaction, in the maintenance database."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[call-overload]


@contextlib.contextmanager
def running_server() -> Iterator[PostgresServer]:
    """Starts a cluster in a temporary folder and removes it afterwards."""
    binaries = find_binaries()
    assert binaries is not None
    user = unprivileged_user()
    folder = Path(tempfile.mkdtemp(prefix="headwater-postgres-"))
    if user is not None:
        shutil.chown(folder, user)
    data, port = folder / "data", free_port()
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    try:
        subprocess.run(
            [binaries / "initdb", "-D", data, "-U", "headwater", "-A", "trust", "-E", "UTF8", "-N"],
            user=user,
            env=environment,
            cwd=folder,
            check=True,
            capture_output=True,
        )
        options = {
            "listen_addresses": "127.0.0.1",
            "port": port,
            "unix_socket_directories": "",
            "fsync": "off",
            "max_connections": 200,
        }
        arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        server = subprocess.Popen(
            [binaries / "postgres", "-D", data, *arguments],
            user=user,
            env=environment,
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _wait(server, port)
            yield PostgresServer(port)
        finally:
            # Its fast end: the connections of a failed test would hold up a smart one.
            server.send_signal(signal.SIGINT)
            server.wait(timeout=20)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait(server: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            psycopg.connect(PostgresServer(port).url(), connect_timeout=2).close()
            return
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.1)
