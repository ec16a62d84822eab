"""The service around a pipeline: submission, limits, cancel, abandonment, shut-down."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.model.principal import Identity, Principal, PrincipalKind
from headwater.model.statement import QueryState, Session, Statement
from headwater.query.history import History, query_history
from headwater.query.query import Query
from headwater.query.queue import Ticket
from headwater.query.service import QueryService
from headwater.query.session import effective_limits, parse_bytes, parse_seconds
from headwater.settings import LimitSettings, Settings
from headwater.store.database import Database

ELLEN = Session(Identity(Principal("u1", "ellen", PrincipalKind.USER)))


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    database = Database(f"sqlite:///{tmp_path / 'metastore.db'}")
    with database.write() as connection:
        query_history.create(connection)
    yield History(database)
    database.close()


def settings(**limits: float) -> Settings:
    return Settings(limits=LimitSettings(**limits))  # type: ignore[arg-type]


def blocking(query: Query, ticket: Ticket) -> None:
    """Runs until it is stopped, as a long statement does."""
    stopped = threading.Event()
    query.advance(QueryState.PLANNING)
    query.advance(QueryState.RUNNING)
    query.on_stop(stopped.set)
    stopped.wait(30)
    ticket.leave()
    query.end(error(ErrorCode.USER_CANCELED, "interrupted"))


@pytest.fixture
def service(history: History) -> Iterator[Callable[..., QueryService]]:
    made: list[QueryService] = []

    def make(run: Callable[[Query, Ticket], None] = blocking, **limits: float) -> QueryService:
        made.append(QueryService(settings(**limits), history, run))
        made[-1].start()
        return made[-1]

    yield make
    for one in made:
        one.stop()


def failure(query: Query) -> ErrorCode:
    query.finish(10)
    assert query.error is not None
    return query.error.code


def test_cancel_ends_a_running_statement(service: Callable[..., QueryService]) -> None:
    query = service().submit(ELLEN, Statement("SELECT 1"))
    query.cancel()
    assert query.finish(10) is QueryState.CANCELED
    assert failure(query) is ErrorCode.USER_CANCELED


def test_a_statement_out_of_time_fails_with_that_reason(
    service: Callable[..., QueryService],
) -> None:
    query = service(seconds=0.2).submit(ELLEN, Statement("SELECT 1"))
    assert failure(query) is ErrorCode.EXCEEDED_TIME_LIMIT
    assert query.state is QueryState.FAILED


def test_a_statement_whose_client_is_gone_is_canceled(
    service: Callable[..., QueryService],
) -> None:
    query = service(client_seconds=0.2).submit(ELLEN, Statement("SELECT 1"))
    deadline = time.monotonic() + 10
    while not query.state.is_final and time.monotonic() < deadline:
        time.sleep(0.05)
    assert query.state is QueryState.CANCELED
    assert query.error is not None
    assert "has not asked" in query.error.message


def test_a_result_expires(service: Callable[..., QueryService]) -> None:
    running = service(result_seconds=0.2)
    query = running.submit(ELLEN, Statement("SELECT 1"))
    query.cancel()
    query.finish(10)
    deadline = time.monotonic() + 10
    while running.get(query.id) is not None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert running.get(query.id) is None


def test_a_huge_statement_is_refused_before_it_is_parsed(
    service: Callable[..., QueryService],
) -> None:
    def never(_query: Query, _ticket: Ticket) -> None:
        raise AssertionError

    query = service(never).submit(ELLEN, Statement("SELECT '" + "x" * 2**20 + "'"))
    assert failure(query) is ErrorCode.EXCEEDED_STATEMENT_SIZE


@pytest.mark.parametrize("text", ["SELECT '\0'", "SELECT '\udcff'"])
def test_text_that_is_no_text_is_refused(service: Callable[..., QueryService], text: str) -> None:
    assert failure(service().submit(ELLEN, Statement(text))) is ErrorCode.SYNTAX_ERROR


def test_a_full_queue_refuses(service: Callable[..., QueryService]) -> None:
    running = service(queue_length_per_principal=1)
    assert not running.submit(ELLEN, Statement("SELECT 1")).state.is_final
    assert failure(running.submit(ELLEN, Statement("SELECT 2"))) is ErrorCode.QUERY_QUEUE_FULL


def test_a_crash_marks_what_was_running(history: History) -> None:
    query = Query("q1", ELLEN, Statement("SELECT 1"))
    history.started(query, "SELECT ?")
    assert history.recover() == 1
    entry = history.entry("q1")
    assert entry is not None
    assert (entry["state"], entry["error_code"]) == ("FAILED", "ENGINE_FAILED")
    assert history.recover() == 0


def test_limits_can_only_be_lowered() -> None:
    session = Session(
        ELLEN.identity,
        properties={"query_max_run_time": "2h", "query_max_result_size": "1MB"},
    )
    limits = effective_limits(session, LimitSettings(seconds=60, scan_bytes=0))
    assert (limits.seconds, limits.result_bytes, limits.scan_bytes) == (60, 2**20, None)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("1.5m", 90), ("500ms", 0.5), ("2 h", 7200), ("7", 7)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "-1GB", "0", "GB", "1 parsec", "nan", "1e400GB"])
def test_amounts_that_are_none(text: str) -> None:
    with pytest.raises(HeadwaterError) as refused:
        parse_bytes(text)
    assert refused.value.code is ErrorCode.INVALID_ARGUMENT


def test_a_query_never_moves_backwards() -> None:
    query = Query("q1", ELLEN, Statement("SELECT 1"))
    query.advance(QueryState.PLANNING)
    with pytest.raises(HeadwaterError):
        query.advance(QueryState.QUEUED)
    query.advance(QueryState.RUNNING)
    query.end(None)
    assert query.state is QueryState.FINISHED
    query.cancel()
    assert query.error is None


def test_watchers_hear_of_changes_until_they_stop() -> None:
    query = Query("q1", ELLEN, Statement("SELECT 1"))
    heard: list[QueryState] = []
    stop = query.watch(lambda: heard.append(query.state))
    query.advance(QueryState.PLANNING)
    query.advance()
    stop()
    query.advance(QueryState.RUNNING)
    assert heard == [QueryState.PLANNING, QueryState.PLANNING]
