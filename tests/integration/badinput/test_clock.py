"""A clock that jumps under a running server: tables stay in order, writers go on, nothing is lost.

The server's clock is replaced in this process; engine workers keep the machine's own.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from headwater.client.connection import Connection
from headwater.client.endpoint import Endpoint
from headwater.errors import ErrorCode, HeadwaterError
from headwater.model.identifiers import TableIdentifier
from headwater.server.compose import Platform
from headwater.settings import EngineSettings, Settings

NAME = TableIdentifier(("shop",), "t")


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    engine = EngineSettings(workers=1, threads=2)
    settings = Settings(home=tmp_path / "home", port=0, samples=False, engine=engine)
    with Platform(settings) as running:
        yield running


class Clock:
    """The wall clock, ahead or behind by days."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.days = 0
        seconds, nanoseconds = time.time, time.time_ns
        patch.setattr(time, "time", lambda: seconds() + self.days * 86400)
        patch.setattr(time, "time_ns", lambda: nanoseconds() + self.days * 86400 * 10**9)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, platform: Platform) -> Clock:
    return Clock(monkeypatch)


def run(platform: Platform, *statements: str) -> list[dict[str, object]]:
    token = platform.parts.tokens.issue(platform._admin_identity().principal)
    with Connection(Endpoint(platform.url, token)) as connection:
        for statement in statements[:-1]:
            connection.submit(statement).check()
        found: list[dict[str, object]] = connection.query(statements[-1]).to_pylist()
        return found


def in_order(platform: Platform) -> None:
    metadata = platform.parts.catalog.table(NAME).metadata
    logs = [metadata["snapshots"], metadata["snapshot-log"], metadata["metadata-log"]]
    for log in logs:
        times = [entry["timestamp-ms"] for entry in log]
        assert times == sorted(times)
        assert max(times) <= metadata["last-updated-ms"]


def test_tables_stay_in_order_and_writable(platform: Platform, clock: Clock) -> None:
    run(
        platform,
        "CREATE SCHEMA shop",
        "CREATE TABLE shop.t (id bigint)",
        "INSERT INTO shop.t VALUES (0)",
        "SELECT 1",
    )
    # Changed while the clock was ahead, then written to once it has been set right, and set back.
    clock.days = 400
    run(platform, "ALTER TABLE shop.t ADD COLUMN note varchar", "SELECT 1")
    for number, days in enumerate((0, -400), 1):
        clock.days = days
        run(
            platform,
            f"INSERT INTO shop.t VALUES ({number}, 'new')",
            f"COMMENT ON TABLE shop.t IS '{number}'",
            f"UPDATE shop.t SET note = 'seen' WHERE id = {number}",
            "SELECT 1",
        )
        in_order(platform)
        assert platform.parts.sweeping.sweep(delete=True).orphans == ()
        found = run(platform, "SELECT count(*) AS n, count(note) AS seen FROM shop.t")
        assert found == [{"n": number + 1, "seen": number}]
    assert platform.parts.audit.verify().problem is None


def test_sessions_end_by_the_clock_and_say_how_to_get_another(
    platform: Platform, clock: Clock
) -> None:
    old = platform.token
    clock.days = -10
    with Connection(Endpoint(platform.url, old)) as connection:
        assert connection.query("SELECT 1 AS one").to_pylist() == [{"one": 1}]
    clock.days = 400
    with (
        Connection(Endpoint(platform.url, old)) as connection,
        pytest.raises(HeadwaterError) as caught,
    ):
        connection.query("SELECT 1")
    assert caught.value.code is ErrorCode.UNAUTHENTICATED
    assert "headwater token" in str(caught.value)
    assert run(platform, "SELECT 1 AS one") == [{"one": 1}]


def test_a_repeated_request_is_never_done_twice(platform: Platform, clock: Clock) -> None:
    run(platform, "CREATE SCHEMA shop", "SELECT 1")
    body = {"namespace": ["made", "once"]}
    run(platform, "CREATE SCHEMA made", "SELECT 1")
    key = str(uuid.uuid4())
    answers = []
    for days in (0, -400, 400):
        clock.days = days
        token = platform.parts.tokens.issue(platform._admin_identity().principal)
        answer = httpx2.post(
            f"{platform.url}/iceberg/v1/lake/namespaces",
            json=body,
            headers={"authorization": f"Bearer {token}", "idempotency-key": key},
            trust_env=False,
        )
        answers.append(answer.status_code)
    # Set back, the receipt still counts; long after, the second attempt finds the work done.
    assert answers == [200, 200, 409]
