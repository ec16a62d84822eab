"""Statements that run at the same time, are stopped, or ask for too much, on real workers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.model.statement import QueryState, Session, Statement
from platform_fixture import Platform, running_platform

ENDLESS = (
    "SELECT count(*) FROM UNNEST(sequence(1, 100000)) a(x), UNNEST(sequence(1, 100000)) b(y), "
    "UNNEST(sequence(1, 100)) c(z) WHERE x * y * z % 7 = 3"
)


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with running_platform(tmp_path_factory.mktemp("running"), workers=2) as running:
        running.run(running.session(), "CREATE SCHEMA s")
        yield running


@pytest.fixture
def session(platform: Platform) -> Session:
    return platform.session(schema="s")


def failure(platform: Platform, session: Session, sql: str) -> ErrorCode:
    query = platform.queries.submit(session, Statement(sql))
    query.finish(60)
    assert query.error is not None
    return query.error.code


def test_every_concurrent_insert_is_there_once(platform: Platform, session: Session) -> None:
    platform.run(session, "CREATE TABLE together (writer bigint, n bigint)")
    failures: list[HeadwaterError] = []

    def write(writer: int) -> None:
        for n in range(3):
            try:
                platform.run(session, f"INSERT INTO together VALUES ({writer}, {n})")
            except HeadwaterError as exc:
                failures.append(exc)

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    counted = "SELECT count(*), count(DISTINCT writer * 10 + n) FROM together"
    assert platform.rows(session, counted) == [(12, 12)]


def test_a_running_statement_is_canceled_and_its_worker_serves_on(
    platform: Platform, session: Session
) -> None:
    query = platform.queries.submit(session, Statement(ENDLESS))
    while query.state in (QueryState.QUEUED, QueryState.PLANNING):
        query.wait(1)
    query.cancel()
    assert query.finish(60) is QueryState.CANCELED
    assert platform.rows(session, "SELECT 1") == [(1,)]
    entry = platform.parts.history.entry(query.id)
    assert entry is not None
    assert (entry["state"], entry["error_code"]) == ("CANCELED", "USER_CANCELED")


def test_a_waiting_statement_is_canceled_without_a_worker(
    platform: Platform, session: Session
) -> None:
    running = [platform.queries.submit(session, Statement(ENDLESS)) for _ in range(2)]
    for query in running:
        while query.state in (QueryState.QUEUED, QueryState.PLANNING):
            query.wait(1)
    waiting = platform.queries.submit(session, Statement("SELECT 1"))
    waiting.wait(0.2)
    assert waiting.state is QueryState.QUEUED
    # definitions and SHOW do not wait for the engine
    assert platform.rows(session, "SHOW SCHEMAS LIKE 's'") == [("s",)]
    waiting.cancel()
    assert waiting.finish(10) is QueryState.CANCELED
    for query in running:
        query.cancel()
        query.finish(60)
    assert platform.rows(session, "SELECT 2") == [(2,)]


@pytest.mark.parametrize(
    ("name", "value", "sql", "code"),
    [
        ("query_max_run_time", "1s", ENDLESS, ErrorCode.EXCEEDED_TIME_LIMIT),
        (
            "query_max_result_size",
            "1MB",
            "SELECT x, repeat('x', 100) FROM UNNEST(sequence(1, 1000000)) a(x)",
            ErrorCode.EXCEEDED_RESULT_SIZE,
        ),
    ],
)
def test_session_properties_lower_the_limits(
    platform: Platform, session: Session, name: str, value: str, sql: str, code: ErrorCode
) -> None:
    limited = replace(session, properties={name: value})
    assert failure(platform, limited, sql) is code
    assert platform.rows(session, "SELECT 3") == [(3,)]


def test_a_large_result_comes_in_pages_while_it_is_made(
    platform: Platform, session: Session
) -> None:
    sql = "SELECT x, repeat('x', 20) AS y FROM UNNEST(sequence(1, 1000000)) a(x)"
    query = platform.queries.submit(session, Statement(sql))
    rows = index = 0
    while not (query.state.is_final and index == query.pages_ready):
        page = query.page(index)
        if page is None:
            query.wait(5)
            continue
        rows += page.num_rows
        index += 1
    assert query.error is None
    assert rows == 1_000_000
    assert index > 1
    assert query.stats().result_rows == rows


def test_a_statement_leaves_its_books_in_order(platform: Platform, session: Session) -> None:
    query = platform.run(session, "SELECT 'personal' AS value")
    entry = platform.parts.history.entry(query.id)
    assert entry is not None
    assert entry["state"] == "FINISHED"
    assert "personal" not in entry["text"]
    assert entry["started_ms"] <= entry["finished_ms"]
    kinds = [e.facts["kind"] for e in platform.audit.query(request_id=query.id)]
    assert kinds == ["completion"]
    platform.run(session, "CREATE TABLE IF NOT EXISTS booked (a bigint)")
    reading = platform.run(session, "SELECT a FROM booked")
    platform.parts.history.afterwards.flush()
    events = platform.audit.query(request_id=reading.id)
    assert sorted(event.facts["kind"] for event in events) == ["completion", "decision"]
    entry = platform.parts.history.entry(reading.id)
    assert entry is not None
    assert entry["decisions"] == [e.facts["id"] for e in events if e.facts["kind"] == "decision"]
    assert platform.audit.verify().problem is None


def test_a_name_that_no_table_may_have_never_reaches_the_engine(
    platform: Platform, session: Session
) -> None:
    restarts = [worker.restarts for worker in platform.parts.engine.status().workers]
    create = 'CREATE TABLE "say ""hi""" AS SELECT 1 AS "a ""quoted"".name"'
    assert failure(platform, session, create) is ErrorCode.INVALID_ARGUMENT
    platform.run(session, create.replace('"say ""hi"""', "said"))
    assert platform.rows(session, 'SELECT "a ""quoted"".name" FROM said') == [(1,)]
    assert [worker.restarts for worker in platform.parts.engine.status().workers] == restarts


def test_without_a_decision_on_disk_no_row_is_handed_out(
    platform: Platform, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.run(session, "CREATE TABLE unaudited AS SELECT 1 AS n")

    def full(*_args: object) -> None:
        raise error(ErrorCode.DISK_FULL, "the metastore cannot be written: the disk is full")

    for sql in ("SELECT n FROM unaudited", "INSERT INTO unaudited VALUES (2)"):
        with monkeypatch.context() as patched:
            patched.setattr(platform.audit, "_append", full)
            query = platform.queries.submit(session, Statement(sql))
            query.finish(60)
        assert query.error is not None
        assert query.error.code is ErrorCode.DISK_FULL
        assert query.pages_ready == 0
    assert platform.rows(session, "SELECT n FROM unaudited") == [(1,)]
