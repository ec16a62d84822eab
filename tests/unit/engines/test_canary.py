"""The canary: its table is real Iceberg, the barrier holds, and every probe can fail."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from headwater.engines.duckdb.canary import POLICIES, THROWERS, probes, run_probes
from headwater.engines.duckdb.canary_table import ROWS, VISIBLE_ROWS, ensure_canary_table
from headwater.engines.duckdb.instance import open_instance
from headwater.engines.duckdb.protocol import Configure, Mode


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ensure_canary_table(tmp_path_factory.mktemp("canary"))


def instance(table: Path, mode: Mode) -> duckdb.DuckDBPyConnection:
    configuration = Configure(
        worker="engine-1.1", storage_kind="local", root="/nowhere", endpoint=None, region="",
        access_key_id="", secret_access_key="", path_style=True, catalog_uri="http://127.0.0.1:1",
        catalog_token="t", memory_bytes=10**9, threads=2, spill_directory=str(table.parent),
        spill_bytes=10**9, directories=[str(table.parents[1])], canary_table=str(table),
        canary_rows=VISIBLE_ROWS,
    )  # fmt: skip
    return open_instance(configuration, mode)


def test_the_table_is_made_once(table: Path) -> None:
    before = table.stat().st_mtime_ns
    assert ensure_canary_table(table.parents[2]) == table
    assert table.stat().st_mtime_ns == before


def test_another_engine_reads_the_same_table(table: Path) -> None:
    from pyiceberg.table import StaticTable

    rows = StaticTable.from_metadata(str(table)).scan(row_filter="region = 'EU'").to_arrow()
    assert rows.num_rows == VISIBLE_ROWS
    assert ROWS == 3 * VISIBLE_ROWS


def test_every_policy_meets_every_thrower(table: Path) -> None:
    names = [name for name, _ in probes(str(table))]
    assert len(names) >= 24
    assert len(set(names)) == len(names)
    met = {(name.split("/")[0], name.split("/")[2]) for name in names}
    assert len(met) == len(POLICIES) * len(THROWERS)


def test_the_barrier_of_this_engine_holds(table: Path) -> None:
    connection = instance(table, "governed")
    assert run_probes(connection, str(table), VISIBLE_ROWS) == (36, [])
    connection.close()


class WithoutPolicy:
    """An engine that lets user predicates see what the policy hides: the barrier is gone."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def execute(self, sql: str) -> duckdb.DuckDBPyConnection:
        for condition in POLICIES.values():
            sql = sql.replace(condition, "true")
        return self._connection.execute(sql)


def test_every_probe_notices_a_barrier_that_is_gone(table: Path) -> None:
    connection = instance(table, "governed")
    count, leaks = run_probes(WithoutPolicy(connection), str(table), VISIBLE_ROWS)  # type: ignore[arg-type]
    connection.close()
    assert len(leaks) == count == 36


def test_an_engine_that_cannot_read_the_table_is_not_trusted(table: Path) -> None:
    connection = instance(table, "governed")
    count, leaks = run_probes(connection, str(table.with_name("gone.json")), VISIBLE_ROWS)
    connection.close()
    assert len(leaks) == count
