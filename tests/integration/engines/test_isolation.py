"""What SQL could do if the server's own allow-list let it through: the locked instances' say.

The table of attacks is that of governance research on DuckDB's settings. `DENIED` must fail on the
worker itself. `LEFT_TO_THE_ALLOW_LIST` works there, which is why only SQL that Headwater emitted
ever reaches a worker; the list is here so that an engine upgrade which changes it is noticed.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from headwater.engines.duckdb import engine as engine_module
from headwater.engines.duckdb.engine import DuckDBEngine
from headwater.errors import ErrorCode, HeadwaterError
from integration.engines.conftest import rows

MakeEngine = Callable[..., AbstractContextManager[DuckDBEngine]]

DENIED = """
SELECT count(*) FROM read_text('/etc/passwd')
SELECT count(*) FROM read_blob('/etc/passwd')
SELECT * FROM read_csv('{home}/secret.txt', header = false)
SELECT count(*) FROM read_csv('/proc/self/environ', header = false, delim = '|')
SELECT count(*) FROM glob('/etc/*')
SELECT * FROM '{home}/secret.txt'
SELECT * FROM read_text('{home}/warehouse/../secret.txt')
SELECT * FROM read_csv('{home}/warehouse/%2e%2e/secret.txt')
SELECT * FROM sniff_csv('{home}/secret.txt')
SELECT * FROM read_json('{home}/secret.txt')
SELECT getenv('HOME')
ATTACH '{home}/x.db' AS x
COPY (SELECT 1) TO '{home}/out.csv'
EXPORT DATABASE '{home}/exported'
IMPORT DATABASE '{home}/exported'
INSTALL spatial
LOAD '{home}/x.duckdb_extension'
SET enable_external_access = true
RESET enable_external_access
SET allowed_directories = ['/']
SET allowed_paths = ['/etc/passwd']
SET allowed_configs = ['memory_limit']
SET memory_limit = '100GB'
SET threads = 64
SET temp_directory = '{home}/elsewhere'
SET disabled_optimizers = ''
SET lock_configuration = false
SET home_directory = '/tmp'
SET file_search_path = '/etc'
SET extension_directory = '{home}/ext'
SET custom_extension_repository = 'http://127.0.0.1:1'
SET log_query_path = '{home}/q.log'
SET profiling_output = '{home}/p.json'
PRAGMA enable_profiling = 'json'
SET python_enable_replacements = true
SELECT * FROM pa
SELECT * FROM configuration
SELECT * FROM arrow_scan(1, 2, 3)
SELECT * FROM pandas_scan(0)
SELECT * FROM read_text('http://127.0.0.1:1/')
SELECT * FROM read_parquet('s3://bucket/key')
SELECT * FROM iceberg_scan('{home}/elsewhere/metadata.json')
""".strip().splitlines()

LEFT_TO_THE_ALLOW_LIST = """
SELECT * FROM query('SELECT 1')
SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT 42'))
SELECT count(*) FROM duckdb_settings()
SELECT current_setting('temp_directory')
SELECT count(*) FROM duckdb_databases()
SET VARIABLE x = 1
CREATE OR REPLACE SECRET s (TYPE s3, KEY_ID 'a', SECRET 'b')
CREATE OR REPLACE MACRO m(a) AS a + 1
COPY (SELECT 1 AS a) TO '{home}/warehouse/out.parquet'
SELECT * FROM read_parquet('{home}/warehouse/out.parquet')
SET TimeZone = 'UTC'
""".strip().splitlines()


@pytest.mark.parametrize("governed", [False, True], ids=["coarse", "governed"])
@pytest.mark.parametrize("attack", DENIED)
def test_denied_by_the_locked_instance(engine: DuckDBEngine, attack: str, governed: bool) -> None:
    home = engine._settings.home_path
    (home / "secret.txt").write_text("secret\n")
    with pytest.raises(HeadwaterError) as raised:
        rows(engine, attack.format(home=home), governed=governed)
    assert raised.value.code is not ErrorCode.ENGINE_FAILED
    assert str(home) not in str(raised.value)
    assert not (home / "out.csv").exists()
    assert not (home / "exported").exists()


@pytest.mark.parametrize("statement", LEFT_TO_THE_ALLOW_LIST)
def test_left_to_the_allow_list(
    make_engine: MakeEngine, engine: DuckDBEngine, statement: str
) -> None:
    home = engine._settings.home_path
    rows(engine, f"COPY (SELECT 1 AS a) TO '{home}/warehouse/out.parquet'")
    rows(engine, statement.format(home=home))


@pytest.mark.parametrize("governed", [False, True], ids=["coarse", "governed"])
def test_the_catalogs_token_is_nowhere_to_be_read(engine: DuckDBEngine, governed: bool) -> None:
    for source in ("duckdb_secrets()", "duckdb_settings()", "duckdb_databases()"):
        found = rows(engine, f"SELECT CAST(t AS VARCHAR) FROM {source} AS t", governed=governed)
        assert not any("token of" in text for (text,) in found)


def test_maintenance_may_write_parquet_with_field_ids(engine: DuckDBEngine) -> None:
    path = Path(engine._storage.root) / "compacted.parquet"
    rows(engine, f"COPY (SELECT 1::BIGINT AS a, 'x' AS b) TO '{path}' "
                 "(FORMAT parquet, FIELD_IDS {a: 1, b: 2})")  # fmt: skip
    import pyarrow.parquet as parquet

    schema = parquet.read_schema(path)
    assert [(field.metadata or {})[b"PARQUET:field_id"] for field in schema] == [b"1", b"2"]


def test_uploads_may_be_read_and_results_may_not(engine: DuckDBEngine) -> None:
    spool = engine._spool
    (spool / "uploads" / "a.csv").write_text("x\n1\n")
    (spool / "other.csv").write_text("x\n1\n")
    assert rows(engine, f"SELECT * FROM read_csv('{spool}/uploads/a.csv')") == [(1,)]
    with pytest.raises(HeadwaterError):
        rows(engine, f"SELECT * FROM read_csv('{spool}/other.csv')")


def test_an_engine_that_leaks_serves_no_governed_plan(
    make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The canary expects one row fewer than it sees: to it, this engine shows a hidden row."""
    monkeypatch.setattr(engine_module, "VISIBLE_ROWS", engine_module.VISIBLE_ROWS - 1)
    with make_engine() as engine:
        assert rows(engine, "SELECT 1") == [(1,)]
        with pytest.raises(HeadwaterError) as raised:
            rows(engine, "SELECT 1", governed=True)
        assert raised.value.code is ErrorCode.ENGINE_UNTRUSTED
        assert rows(engine, "SELECT 2") == [(2,)]
        status = engine.status()
        assert status.trusted is False
        assert len(status.leaks) == status.probes == 36
