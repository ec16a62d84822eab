"""A real server with two users, and short ways to run things as them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

import releases_fixture
from headwater.client.connection import Connection
from headwater.client.endpoint import find_endpoint
from integration.server.conftest import Server

FINAL = ("SUCCESS", "FAILED", "CANCELLED")
SETTINGS = {
    "HEADWATER_JOBS__VCPU": "4",
    "HEADWATER_JOBS__GRACE_SECONDS": "1",
    "HEADWATER_JOBS__DISK_BYTES": str(64 * 2**20),
    "HEADWATER_JOBS__PROCESSES": "256",
    "HEADWATER_RELEASES": os.environ.get("HEADWATER_RELEASES", str(releases_fixture.ROOT)),
    "HEADWATER_USER_ENGINES__SPARE_SAIL": "0",
}


@dataclass
class Jobs:
    """One user's runs."""

    connection: Connection

    def submit(self, kind: str, text: str, **request: Any) -> dict[str, Any]:
        body = {"kind": kind, "program": {"text": text}, **request}
        found: dict[str, Any] = self.connection.post("/api/v1/job-runs", body)
        return found

    def get(self, run_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.connection.get(f"/api/v1/job-runs/{run_id}")
        return found

    def until(self, run_id: str, *states: str, seconds: float = 60) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while True:
            run = self.get(run_id)
            if run["state"] in (states or FINAL):
                return run
            assert run["state"] not in FINAL, run
            assert time.monotonic() < deadline, run
            time.sleep(0.1)

    def run(self, kind: str, text: str, **request: Any) -> dict[str, Any]:
        return self.until(self.submit(kind, text, **request)["id"])

    def log(self, run_id: str, stream: str = "stdout", attempt: int = 0) -> str:
        text, offset = "", 0
        while True:
            part = self.connection.get(
                f"/api/v1/job-runs/{run_id}/logs", stream=stream, offset=offset, attempt=attempt
            )
            if not part["text"]:
                return text
            text, offset = text + part["text"], part["next"]


def jobs_of(server: Server, user: str | None = None) -> Jobs:
    """The runs of a user of a server, or of its administrator."""
    admin = Connection(find_endpoint(server.home))
    if user is None:
        return Jobs(admin)
    token = server.run("token", "--user", user).stdout.strip()
    return Jobs(Connection(replace(admin.endpoint, token=token)))


def make_lake(server: Server) -> None:
    """A table that ana may read, filtered and with a mask; bob holds another role."""
    for sql in (
        "CREATE SCHEMA s",
        "CREATE TABLE s.t AS SELECT 1 AS id, 'EU' AS region, 'x' AS secret",
        "INSERT INTO s.t VALUES (2, 'US', 'y')",
        "CREATE USER ana",
        "CREATE USER bob",
        "CREATE ROLE reader",
        "CREATE ROLE other",
        "GRANT ROLE reader TO USER ana",
        "GRANT SELECT ON TABLE s.t TO ROLE reader",
        "GRANT CREATE TABLE ON SCHEMA s TO ROLE reader",
    ):
        done = server.run("sql", sql)
        assert done.returncode == 0, (sql, done.stderr)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(
        tmp_path_factory.mktemp("jobs") / "home", "--port", "0", "--no-samples", **SETTINGS
    )
    try:
        make_lake(running)
        yield running
    finally:
        assert running.stop() == 0


@pytest.fixture(scope="module")
def of(lake: Server) -> Iterator[Callable[..., Jobs]]:
    made: dict[str | None, Jobs] = {}

    def jobs(user: str | None = None) -> Jobs:
        if user not in made:
            made[user] = jobs_of(lake, user)
        return made[user]

    yield jobs
    for each in made.values():
        each.connection.close()
