"""Workers over a warehouse on S3: the server's keys, the warehouse's prefix, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from headwater.engines.duckdb.engine import DuckDBEngine
from headwater.errors import ErrorCode, HeadwaterError
from headwater.settings import EngineSettings, LimitSettings, Settings
from headwater.storage.credentials import EngineStorage
from headwater.storage.open import Storage
from integration.engines.conftest import MIB, plan, rows


def start(home: Path, storage: EngineStorage) -> DuckDBEngine:
    settings = Settings(
        home=home,
        engine=EngineSettings(workers=1),
        limits=LimitSettings(memory_bytes=300 * MIB, seconds=120),
    )
    engine = DuckDBEngine(settings, storage, "http://127.0.0.1:9", lambda _: "t", home / "spool")
    engine.start()
    return engine


@pytest.fixture
def engine(s3_storage: Storage, tmp_path: Path) -> Iterator[DuckDBEngine]:
    running = start(tmp_path, s3_storage.engine)
    yield running
    running.stop()


def test_reads_and_writes_inside_the_warehouse_only(
    engine: DuckDBEngine, s3_storage: Storage
) -> None:
    root = s3_storage.engine.root.rstrip("/")
    rows(engine, f"COPY (SELECT range AS i FROM range(100000)) TO '{root}/t/data/a.parquet'")
    result = engine.execute(plan(f"SELECT sum(i) AS s FROM '{root}/t/data/a.parquet'"))
    assert [batch.to_pydict() for batch in result] == [{"s": [4999950000]}]
    assert result.stats().scanned_rows == 100_000
    assert rows(engine, f"SELECT sum(i) FROM '{root}/t/data/a.parquet'", governed=True)
    bucket = root.split("/")[2]
    for path in (f"s3://{bucket}/elsewhere/a.parquet", f"{root}-2/a.parquet", "s3://other/a"):
        for sql in (f"SELECT * FROM read_parquet('{path}')", f"COPY (SELECT 1 AS a) TO '{path}'"):
            with pytest.raises(HeadwaterError) as raised:
                rows(engine, sql)
            assert raised.value.code is ErrorCode.INTERNAL_ERROR, sql
            assert bucket not in raised.value.message


def test_the_keys_are_nowhere_to_be_read(engine: DuckDBEngine, s3_storage: Storage) -> None:
    keys = (s3_storage.engine.access_key_id, s3_storage.engine.secret_access_key)
    assert all(keys)
    for source in ("duckdb_secrets()", "duckdb_settings()"):
        for (text,) in rows(engine, f"SELECT CAST(t AS VARCHAR) FROM {source} AS t"):
            assert s3_storage.engine.secret_access_key not in text


def test_a_storage_that_does_not_answer(s3_storage: Storage, tmp_path: Path) -> None:
    storage = replace(s3_storage.engine, endpoint="http://127.0.0.1:9")
    engine = start(tmp_path, storage)
    try:
        with pytest.raises(HeadwaterError) as raised:
            rows(engine, f"SELECT * FROM '{storage.root.rstrip('/')}/a.parquet'")
        assert raised.value.code is ErrorCode.STORAGE_UNAVAILABLE
        assert "127.0.0.1" not in str(raised.value)
        assert rows(engine, "SELECT 1") == [(1,)]
    finally:
        engine.stop()
