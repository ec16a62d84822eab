"""kill -9 of the server or a worker at random moments under eight writers.

Six writers insert three rows a statement through SQL (Trino's protocol); two commit to a pair of
tables in one Iceberg REST transaction. Afterwards every acknowledged statement must be there
exactly once and whole, an unacknowledged one at most once and whole, both tables of each
transaction must agree, and the metastore must name only files that exist.

HEADWATER_CRASH_KILLS says how often to kill; `make crash` does it 200 times.
"""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx2
import pytest
import requests
import trino

from crash.conftest import CrashingServer, wait_until

KILLS = int(os.environ.get("HEADWATER_CRASH_KILLS", "6"))
SQL_WRITERS, TRANSACTION_WRITERS, ROWS = 6, 2, 3


class Writers:
    """Eight threads that write until told to stop, and what they know was acknowledged."""

    def __init__(self, server: CrashingServer) -> None:
        self.server = server
        self.stop = threading.Event()
        self.acknowledged: set[tuple[int, int]] = set()
        self.attempted: set[tuple[int, int]] = set()
        self.transactions: dict[int, int] = {}
        self.unexpected: list[str] = []
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._insert, args=(number,)) for number in range(SQL_WRITERS)
        ] + [
            threading.Thread(target=self._transact, args=(number,))
            for number in range(TRANSACTION_WRITERS)
        ]

    def __enter__(self) -> Writers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for thread in self._threads:
            thread.join(timeout=120)
        assert not any(thread.is_alive() for thread in self._threads), "a writer hangs"

    def wait_for_progress(self) -> None:
        """Waits until one more insert is acknowledged: each kill then meets work under way."""
        before, deadline = len(self.acknowledged), time.monotonic() + 60
        while len(self.acknowledged) == before:
            assert time.monotonic() < deadline, "nothing was written for a minute after a kill"
            time.sleep(0.02)

    def _insert(self, writer: int) -> None:
        sequence = 0
        while not self.stop.is_set():
            wait_until(self.server.up)
            rows = ", ".join(f"({writer}, {sequence}, {part})" for part in range(ROWS))
            with self._lock:
                self.attempted.add((writer, sequence))
            try:
                execute(self.server, f"INSERT INTO crash.events VALUES {rows}")
            except (trino.exceptions.Error, OSError):
                time.sleep(0.05)
            else:
                with self._lock:
                    self.acknowledged.add((writer, sequence))
            sequence += 1

    def _transact(self, writer: int) -> None:
        sequence = 0
        while not self.stop.is_set():
            wait_until(self.server.up)
            sequence += 1
            try:
                answer = commit_pair(self.server, writer, sequence)
            except (httpx2.TransportError, OSError, KeyError):
                time.sleep(0.05)
                continue
            if answer.status_code == 204:
                with self._lock:
                    self.transactions[writer] = sequence
            elif answer.status_code < 500 and answer.status_code != 409:
                self.unexpected.append(f"{answer.status_code} {answer.text[:300]}")


def execute(server: CrashingServer, sql: str) -> list[list[Any]]:
    """One statement as admin, through the Trino protocol over TLS."""
    ready = server.ready
    session = requests.Session()
    session.trust_env = False  # REQUESTS_CA_BUNDLE would win over the server's own authority
    session.verify = ready["ca_cert"]
    connection = trino.dbapi.connect(  # type: ignore[no-untyped-call]
        host=ready["trino"]["host"],
        port=ready["trino"]["port"],
        user="admin",
        http_scheme="https",
        auth=trino.auth.JWTAuthentication(ready["token"]),
        http_session=session,
        catalog="lake",
        max_attempts=1,
        request_timeout=60,
    )
    with contextlib.closing(connection):
        cursor = connection.cursor()
        cursor.execute(sql)
        rows: list[list[Any]] = cursor.fetchall()
        return rows


def rest(server: CrashingServer, method: str, path: str, **arguments: Any) -> httpx2.Response:
    """One Iceberg REST request as admin."""
    ready = server.ready
    headers = {"Authorization": f"Bearer {ready['token']}"}
    url = f"{ready['iceberg_uri']}/v1/lake/{path}"
    return httpx2.request(method, url, headers=headers, timeout=60, **arguments)


def commit_pair(server: CrashingServer, writer: int, sequence: int) -> httpx2.Response:
    """Sets property `sequence` of both tables of a writer's pair in one transaction."""
    change = [{"action": "set-properties", "updates": {"sequence": str(sequence)}}]
    changes = [
        {
            "identifier": {"namespace": ["crash"], "name": f"{side}_{writer}"},
            "requirements": [],
            "updates": change,
        }
        for side in ("left", "right")
    ]
    return rest(server, "POST", "transactions/commit", json={"table-changes": changes})


def load(server: CrashingServer, table: str) -> dict[str, Any]:
    """A table of schema `crash` as the catalog serves it."""
    answer = rest(server, "GET", f"namespaces/crash/tables/{table}")
    assert answer.status_code == 200, answer.text
    loaded: dict[str, Any] = answer.json()
    return loaded


def tables_agree_with_files(server: CrashingServer, tables: list[str]) -> None:
    """Every metadata file and manifest list that the metastore names exists."""
    for table in tables:
        loaded = load(server, table)
        metadata = loaded["metadata"]
        files = [loaded["metadata-location"]]
        files += [entry["metadata-file"] for entry in metadata.get("metadata-log", [])]
        files += [snapshot["manifest-list"] for snapshot in metadata.get("snapshots", [])]
        missing = [file for file in files if not Path(file.removeprefix("file://")).exists()]
        assert missing == []


@pytest.mark.slow
@pytest.mark.timeout(60 + 30 * KILLS)
def test_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    chance = random.Random(20261122)
    home = tmp_path / "home"
    home.mkdir()
    server = CrashingServer(home)
    server.start()
    execute(server, "CREATE SCHEMA crash")
    execute(server, "CREATE TABLE crash.events (writer INTEGER, sequence INTEGER, part INTEGER)")
    pairs = [f"{side}_{n}" for side in ("left", "right") for n in range(TRANSACTION_WRITERS)]
    for name in pairs:
        execute(server, f"CREATE TABLE crash.{name} (id INTEGER)")

    with Writers(server) as writers:
        for number in range(KILLS):
            # Every third kill meets whatever goes on just then, recovery from the last too, and
            # may come twice, the second time during the start. Before the others there is progress,
            # or an overloaded machine would show nothing.
            if number % 3:
                writers.wait_for_progress()
            time.sleep(chance.uniform(0.0, 0.8))
            if chance.random() < 0.5:
                server.kill_server(chance.uniform(0.2, 2.5) if number % 3 == 0 else None)
            else:
                server.kill_worker(chance.randrange(64))
        time.sleep(1.0)

    assert writers.unexpected == []
    assert len(writers.acknowledged) >= KILLS * 2 // 3, (
        "the writers hardly wrote: the test shows nothing"
    )
    found = Counter(
        (writer, sequence)
        for writer, sequence, _ in execute(
            server, "SELECT writer, sequence, part FROM crash.events"
        )
    )
    assert set(found.values()) <= {ROWS}, "a statement is there in part, or more than once"
    assert writers.acknowledged <= set(found), "an acknowledged statement is lost"
    assert set(found) <= writers.attempted
    for number in range(TRANSACTION_WRITERS):
        left, right = (load(server, f"{side}_{number}")["metadata"] for side in ("left", "right"))
        value = left["properties"].get("sequence")
        assert value == right["properties"].get("sequence"), "half a transaction"
        assert int(value or 0) >= writers.transactions.get(number, 0)
    tables_agree_with_files(server, ["events", *pairs])
    server.kill_server()
    tables_agree_with_files(server, ["events", *pairs])
    server.stop()
