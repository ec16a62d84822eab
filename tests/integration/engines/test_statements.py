"""Statements on real workers: results, limits, cancel, errors, statistics, concurrency."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

import pyarrow as pa
import pytest

from headwater.engines.duckdb.engine import DuckDBEngine
from headwater.engines.engine import Engine
from headwater.errors import ErrorCode, HeadwaterError
from headwater.model.statement import Limits
from integration.engines.conftest import plan, rows, table

ENDLESS = "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range + b.range < 0"
MakeEngine = Callable[..., AbstractContextManager[DuckDBEngine]]


def test_it_is_an_engine(engine: DuckDBEngine) -> None:
    asked: Engine = engine
    result = asked.execute(plan("SELECT 42 AS answer, 'é' AS text"))
    assert result.schema.names == ["answer", "text"]
    assert pa.Table.from_batches(list(result)).to_pylist() == [{"answer": 42, "text": "é"}]
    status = engine.status()
    assert (status.version, status.trusted, status.probes, status.leaks) == ("1.5.5", True, 36, ())
    assert {worker.state for worker in status.workers} <= {"running", "starting"}


def test_an_empty_result_has_its_schema(engine: DuckDBEngine) -> None:
    found = table(engine, "SELECT 1::BIGINT AS a WHERE false")
    assert found.num_rows == 0
    assert found.schema.field("a").type == pa.int64()


def test_a_large_result_streams_in_batches_of_a_bounded_size(
    engine: DuckDBEngine, numbers: str
) -> None:
    result = engine.execute(plan(f"SELECT id, repeat(text, 20) AS t FROM '{numbers}' ORDER BY id"))
    total, largest, following = 0, 0, 0
    for batch in result:
        assert batch.column(0)[0].as_py() == following
        following = batch.column(0)[-1].as_py() + 1
        total += batch.num_rows
        largest = max(largest, batch.nbytes)
    assert total == 1_000_000
    assert largest < 16 * 1024**2
    stats = result.stats()
    assert stats.result_rows == 1_000_000
    assert stats.cpu_seconds > 0
    assert stats.scanned_rows == 1_000_000
    assert stats.scanned_bytes > 1_000_000
    assert stats.peak_memory_bytes > 10 * 1024**2
    assert stats.progress == 1.0


def test_types_that_arrow_lacks_arrive_as_text_with_their_name(engine: DuckDBEngine) -> None:
    found = table(
        engine, "SELECT '101'::BIT AS b, TIME '01:02:03'::TIMETZ AS t, 1 AS i, {'x': '1'::BIT} AS s"
    )
    assert found.to_pylist() == [{"b": "101", "t": "01:02:03+00", "i": 1, "s": {"x": "1"}}]
    kinds = [(field.metadata or {})[b"headwater.type"].decode() for field in found.schema]
    assert kinds == ["BIT", "TIME WITH TIME ZONE", "INTEGER", "STRUCT(x BIT)"]


def test_inputs_are_named_in_the_sql_and_gone_afterwards(engine: DuckDBEngine) -> None:
    given = pa.table({"a": [1, 2, 3], "b": pa.array([{"c": "x"}] * 3)})
    assert rows(engine, "SELECT sum(a), any_value(b.c) FROM given", inputs={"given": given}) == [
        (6, "x")
    ]
    for _ in range(4):  # on every worker
        with pytest.raises(HeadwaterError) as raised:
            rows(engine, "SELECT * FROM given")
        assert raised.value.code is ErrorCode.TABLE_NOT_FOUND


def test_the_sessions_time_zone(engine: DuckDBEngine) -> None:
    sql = "SELECT CAST(TIMESTAMPTZ '2020-06-01 00:00:00+00' AS VARCHAR)"
    assert rows(engine, sql, time_zone="Asia/Tokyo") == [("2020-06-01 09:00:00+09",)]
    for _ in range(4):
        assert rows(engine, sql) == [("2020-06-01 00:00:00+00",)]


def test_hundreds_of_small_statements_from_many_threads(engine: DuckDBEngine) -> None:
    with ThreadPoolExecutor(12) as threads:
        found = list(threads.map(lambda n: rows(engine, f"SELECT {n}, 'x'"), range(400)))
    assert found == [[(n, "x")] for n in range(400)]


def test_errors_name_what_was_wrong_unless_tables_are_governed(engine: DuckDBEngine) -> None:
    sql = "SELECT CAST(x AS INTEGER) FROM (VALUES ('secret')) AS t(x)"
    with pytest.raises(HeadwaterError) as told:
        rows(engine, sql)
    assert told.value.code is ErrorCode.INVALID_CAST
    assert "secret" in told.value.message
    with pytest.raises(HeadwaterError) as untold:
        rows(engine, sql, governed=True)
    assert untold.value.code is ErrorCode.INVALID_CAST
    assert "secret" not in str(untold.value)
    assert "SELECT" not in str(told.value) + str(untold.value)


def test_an_error_after_the_first_rows(engine: DuckDBEngine, numbers: str) -> None:
    result = engine.execute(
        plan(f"SELECT CASE WHEN id = 999999 THEN CAST('x' || id AS BIGINT) ELSE id END"
             f" FROM '{numbers}'")
    )  # fmt: skip
    with pytest.raises(HeadwaterError) as raised:
        list(result)
    assert raised.value.code is ErrorCode.INVALID_CAST
    assert rows(engine, "SELECT 1") == [(1,)]


def test_cancel_interrupts_at_once(engine: DuckDBEngine) -> None:
    began = time.monotonic()
    threading.Timer(0.3, engine.cancel, ["endless"]).start()
    with pytest.raises(HeadwaterError) as raised:
        rows(engine, ENDLESS, statement_id="endless")
    assert raised.value.code is ErrorCode.USER_CANCELED
    assert time.monotonic() - began < 10
    engine.cancel("endless")
    engine.cancel("never heard of")
    assert rows(engine, "SELECT 1") == [(1,)]
    assert all(worker.restarts == 0 for worker in engine.status().workers)


def test_close_frees_the_worker_in_the_middle_of_a_result(engine: DuckDBEngine) -> None:
    for _ in range(4):
        result = engine.execute(plan("SELECT range FROM range(1000000000)"))
        next(iter(result))
        result.close()
        result.close()
    assert rows(engine, "SELECT 1") == [(1,)]
    assert all(worker.restarts == 0 for worker in engine.status().workers)


def test_the_time_limit(engine: DuckDBEngine) -> None:
    with pytest.raises(HeadwaterError) as raised:
        rows(engine, ENDLESS, limits=Limits(seconds=0.5))
    assert raised.value.code is ErrorCode.EXCEEDED_TIME_LIMIT


def test_the_result_limit(engine: DuckDBEngine) -> None:
    with pytest.raises(HeadwaterError) as raised:
        rows(engine, "SELECT range FROM range(1000000000)", limits=Limits(result_bytes=10_000_000))
    assert raised.value.code is ErrorCode.EXCEEDED_RESULT_SIZE


def test_the_scan_limit(engine: DuckDBEngine, numbers: str) -> None:
    sql = f"SELECT count(*) FROM '{numbers}' a, '{numbers}' b WHERE a.id + b.id < 0"
    with pytest.raises(HeadwaterError) as raised:
        rows(engine, sql, limits=Limits(scan_bytes=100_000))
    assert raised.value.code is ErrorCode.EXCEEDED_SCAN_LIMIT


def test_the_memory_limit_of_a_statement(engine: DuckDBEngine) -> None:
    with pytest.raises(HeadwaterError) as raised:
        rows(engine, "SELECT len(list(range)) FROM range(200000000)",
             limits=Limits(memory_bytes=50 * 1024**2))  # fmt: skip
    assert raised.value.code is ErrorCode.EXCEEDED_MEMORY_LIMIT
    assert rows(engine, "SELECT 1") == [(1,)]


def test_a_statement_beyond_the_workers_memory_fails_alone(make_engine: MakeEngine) -> None:
    with make_engine(memory_bytes=100 * 1024**2) as engine:
        with pytest.raises(HeadwaterError) as raised:
            rows(engine, "SELECT len(list(range)) FROM range(200000000)")
        assert raised.value.code is ErrorCode.EXCEEDED_MEMORY_LIMIT
        assert rows(engine, "SELECT 1") == [(1,)]


def test_a_full_spill_disk(make_engine: MakeEngine) -> None:
    with make_engine(memory_bytes=60 * 1024**2, spill_bytes=5 * 1024**2) as engine:
        with pytest.raises(HeadwaterError) as raised:
            rows(engine, "SELECT max(x) FROM (SELECT md5(range::VARCHAR) AS x, row_number() OVER"
                         " (ORDER BY md5(range::VARCHAR)) AS n FROM range(5000000))")  # fmt: skip
        assert raised.value.code is ErrorCode.DISK_FULL
        assert rows(engine, "SELECT 1") == [(1,)]


def test_who_waits_longest_is_served_first(make_engine: MakeEngine) -> None:
    with make_engine() as engine:
        served: list[int] = []
        held = engine.execute(plan("SELECT range FROM range(100000000)"))

        def ask(number: int) -> None:
            stream = engine.execute(plan(f"SELECT {number}"))
            served.append(number)  # while the only worker is ours, so nobody can overtake here
            stream.close()

        askers = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
        for number, asker in enumerate(askers, 1):
            asker.start()
            while engine.waiting < number:
                time.sleep(0.01)
        held.close()
        for asker in askers:
            asker.join()
        assert served == sorted(served)


def test_cancel_and_time_limit_while_waiting_for_a_worker(make_engine: MakeEngine) -> None:
    with make_engine() as engine:
        held = engine.execute(plan("SELECT range FROM range(100000000)"))
        threading.Timer(0.2, engine.cancel, ["waiting"]).start()
        with pytest.raises(HeadwaterError) as canceled:
            rows(engine, "SELECT 1", statement_id="waiting")
        with pytest.raises(HeadwaterError) as late:
            rows(engine, "SELECT 1", limits=Limits(seconds=0.2))
        held.close()
        assert canceled.value.code is ErrorCode.USER_CANCELED
        assert late.value.code is ErrorCode.EXCEEDED_TIME_LIMIT
        assert rows(engine, "SELECT 1") == [(1,)]
