"""Compaction and snapshot maintenance of tables that DuckDB wrote, on a folder and on SeaweedFS."""

from __future__ import annotations

import time
from typing import Any

import duckdb
import pytest
from pyiceberg.table import Table as PyIcebergTable

from headwater.catalog.catalog import Catalog
from headwater.catalog.maintenance import expire_snapshots, rollback_to_snapshot, truncate
from headwater.catalog.manifests import Content, live_entries
from headwater.catalog.optimize import OptimizePlan, finish_optimize, plan_optimize
from headwater.catalog.schema import current_snapshot_id, snapshot_by_id
from headwater.catalog.snapshots import TableCommit
from headwater.catalog.sweeper import Sweeper
from headwater.errors import ErrorCode, HeadwaterError
from headwater.model.identifiers import TableIdentifier
from headwater.model.principal import SYSTEM
from integration.catalog.conftest import Lake

NAME = TableIdentifier(("sales",), "orders")
PARTITIONS = ["", "PARTITIONED BY (city)", "PARTITIONED BY (bucket(2, id), month(day))"]
COLUMNS = """id BIGINT, name VARCHAR, amount DECIMAL(12,2), day DATE, moment TIMESTAMP,
    ratio DOUBLE, inner_part STRUCT(a INTEGER, "b c" VARCHAR[]), tags MAP(VARCHAR, INTEGER),
    city VARCHAR, filename VARCHAR"""


def rows(start: int, stop: int) -> str:
    return f"""SELECT i, 'name ' || i, i * 1.5, DATE '2026-01-01' + (i % 40)::INTEGER,
    TIMESTAMP '2026-01-01' + INTERVAL (i) MINUTE, i / 3.0,
    {{'a': i::INTEGER, 'b c': ['x' || i]}}, MAP {{'k': i::INTEGER}}, 'city ' || i % 3, 'f' || i
    FROM range({start}, {stop}) t(i)"""


class Orders:
    """A table that DuckDB writes through the catalog, and that is read without it."""

    def __init__(self, lake: Lake, version: int, partition: str = "") -> None:
        self.lake = lake
        self.catalog: Catalog = lake.catalog
        self.io = lake.catalog.warehouse.io
        self.version = version
        self.duck = lake.duckdb()
        self.duck.execute("CREATE SCHEMA lake.sales")
        self.duck.execute(
            f"CREATE TABLE lake.sales.orders ({COLUMNS}) {partition} "
            f"WITH ('format-version' = '{version}')"
        )

    def fill(self) -> None:
        """Several small files, deletes, updates, and a changed schema."""
        for start in range(0, 300, 100):
            self.run(f"INSERT INTO {{t}} {rows(start, start + 100)}")
        self.run("DELETE FROM {t} WHERE id % 10 = 3")
        self.run("UPDATE {t} SET name = 'changed ' || id WHERE id % 10 = 4")
        self.run("ALTER TABLE {t} RENAME COLUMN amount TO total")
        self.run("ALTER TABLE {t} ADD COLUMN note VARCHAR")
        self.run("INSERT INTO {t} (id, note, city) VALUES (1000, 'new', 'city 1')")

    def run(self, sql: str) -> list[Any]:
        return self.duck.execute(sql.replace("{t}", "lake.sales.orders")).fetchall()

    @property
    def metadata(self) -> dict[str, Any]:
        return self.catalog.table(NAME).metadata

    @property
    def rows(self) -> list[Any]:
        """All rows, on version 3 with their row ids and sequence numbers, by iceberg_scan."""
        lineage = ", _row_id, _last_updated_sequence_number" if self.version == 3 else ""
        uri = self.catalog.table(NAME).metadata_location
        return self.duck.execute(
            f"SELECT *{lineage} FROM iceberg_scan('{uri}') ORDER BY id"
        ).fetchall()

    @property
    def pyiceberg(self) -> PyIcebergTable:
        return self.lake.pyiceberg().load_table("sales.orders")

    def files(self, content: Content) -> int:
        snapshot = snapshot_by_id(self.metadata, current_snapshot_id(self.metadata) or -1)
        return sum(entry.content is content for entry in live_entries(self.io, snapshot))

    def commit(self, change: TableCommit) -> None:
        self.catalog.commit(NAME, [*change.requirements], [*change.updates], SYSTEM)

    def plan(self, **options: Any) -> OptimizePlan:
        plan = plan_optimize(self.io, self.metadata, **options)
        for step in plan.steps:
            self.duck.execute(step.sql)
        return plan

    def optimize(self, **options: Any) -> OptimizePlan:
        plan = self.plan(**options)
        self.commit(finish_optimize(self.io, plan, self.metadata))
        self.io.delete(plan.scratch)
        return plan


@pytest.fixture(params=[2, 3])
def version(request: pytest.FixtureRequest) -> int:
    found: int = request.param
    return found


@pytest.mark.parametrize("partition", PARTITIONS)
def test_compaction_keeps_every_row_and_its_identity(
    lake: Lake, version: int, partition: str
) -> None:
    orders = Orders(lake, version, partition)
    orders.fill()
    before, data_files = orders.rows, orders.files(Content.DATA)
    assert orders.files(Content.POSITION_DELETES) > 0
    plan = orders.optimize()
    assert orders.rows == before
    assert orders.files(Content.POSITION_DELETES) == 0
    # The last row is alone in its partition, and stays where it is.
    assert orders.files(Content.DATA) in (len(plan.steps), len(plan.steps) + 1)
    assert orders.files(Content.DATA) < data_files
    summary = orders.pyiceberg.current_snapshot().summary
    assert summary.operation.value == "replace"
    assert summary["total-records"] == str(len(before))
    assert not [
        file for file in orders.io.list(orders.metadata["location"]) if "scratch" in file.uri
    ]
    assert orders.optimize().steps == ()

    table = orders.pyiceberg
    assert sorted(table.scan().to_arrow()["id"].to_pylist()) == [row[0] for row in before]
    for found in ("id = 14", "total = 21", "day = '2026-01-15' and id < 20", "name = 'changed 14'"):
        assert 14 in table.scan(row_filter=found).to_arrow()["id"].to_pylist(), found
        uri = orders.catalog.table(NAME).metadata_location
        sql = f"SELECT id FROM iceberg_scan('{uri}') WHERE {found}"
        assert (14,) in orders.duck.execute(sql).fetchall(), found


def test_a_compacted_table_is_written_on(lake: Lake, version: int) -> None:
    orders = Orders(lake, version)
    orders.fill()
    orders.optimize()
    before = {row[0]: row for row in orders.rows}
    orders.run("DELETE FROM {t} WHERE id = 5")
    orders.run("UPDATE {t} SET name = 'again' WHERE id = 6")
    orders.run("INSERT INTO {t} (id) VALUES (2000), (2001)")
    after = {row[0]: row for row in orders.rows}
    assert set(after) == set(before) - {5} | {2000, 2001}
    assert after[6][1] == "again"
    if version == 3:
        ids = [row[-2] for row in after.values()]
        assert len(set(ids)) == len(ids)
        assert after[6][-2] == before[6][-2]
        assert after[6][-1] > before[6][-1]
        assert min(after[2000][-2], after[2001][-2]) > max(row[-2] for row in before.values())
    again = orders.rows
    orders.optimize()
    assert orders.rows == again


def test_others_may_append_while_a_table_is_compacted(lake: Lake, version: int) -> None:
    orders = Orders(lake, version)
    orders.fill()
    plan = orders.plan()
    orders.run("INSERT INTO {t} (id, note) VALUES (3000, 'late')")
    before = orders.rows
    orders.commit(finish_optimize(orders.io, plan, orders.metadata))
    assert orders.rows == before
    assert orders.rows[-1][0] == 3000


@pytest.mark.parametrize("change", ["DELETE FROM {t} WHERE id = 7", "UPDATE {t} SET name = 'x'"])
def test_a_delete_while_a_table_is_compacted_is_not_lost(
    lake: Lake, version: int, change: str
) -> None:
    orders = Orders(lake, version)
    orders.fill()
    plan = orders.plan()
    orders.run(change)
    before = orders.rows
    with pytest.raises(HeadwaterError) as caught:
        finish_optimize(orders.io, plan, orders.metadata)
    assert caught.value.code is ErrorCode.COMMIT_CONFLICT
    orders.io.delete([*plan.scratch, *plan.outputs])
    assert orders.rows == before
    orders.optimize()
    assert orders.rows == before


def test_a_table_whose_rows_are_all_deleted_compacts_to_nothing(lake: Lake, version: int) -> None:
    orders = Orders(lake, version)
    orders.run(f"INSERT INTO {{t}} {rows(0, 10)}")
    orders.run(f"INSERT INTO {{t}} {rows(10, 20)}")
    orders.run("DELETE FROM {t} WHERE id % 2 = 0")
    orders.run("DELETE FROM {t} WHERE id % 2 = 1")
    orders.optimize()
    assert orders.rows == []
    assert orders.pyiceberg.scan().to_arrow().num_rows == 0
    assert orders.files(Content.DATA) == 0


def test_only_small_files_and_deletes_are_rewritten(lake: Lake, version: int) -> None:
    orders = Orders(lake, version)
    orders.run(f"INSERT INTO {{t}} {rows(0, 5000)}")
    orders.run(f"INSERT INTO {{t}} {rows(5000, 5010)}")
    orders.run(f"INSERT INTO {{t}} {rows(5010, 5020)}")
    before = orders.rows
    (step,) = orders.optimize(file_size_threshold=20_000).steps
    assert sum(entry.records for entry in step.inputs) == 20
    assert orders.rows == before
    orders.run("DELETE FROM {t} WHERE id = 1")
    before = orders.rows
    (step,) = orders.optimize(file_size_threshold=1).steps
    assert sum(entry.records for entry in step.inputs) == 5000
    assert orders.rows == before


def test_expired_snapshots_take_only_their_own_files(lake: Lake, version: int) -> None:
    orders = Orders(lake, version)
    orders.fill()
    tagged = current_snapshot_id(orders.metadata)
    assert tagged is not None
    with orders.pyiceberg.manage_snapshots() as change:
        change.create_tag(tagged, "kept")
    orders.optimize()
    orders.run("DELETE FROM {t} WHERE id = 8")
    before, then = orders.rows, tagged_ids(orders)
    later = time.time_ns() // 1_000_000 + 60_000
    plan = expire_snapshots(lake.catalog.warehouse, orders.metadata, older_than_ms=later)
    assert plan.snapshot_ids
    orders.commit(plan.commit)
    orders.io.delete(plan.files)
    assert len(orders.metadata["snapshots"]) == 2
    assert orders.rows == before
    assert tagged_ids(orders) == then
    assert all(
        orders.io.exists(e.path) for e in live_entries(orders.io, orders.metadata["snapshots"][0])
    )

    report = Sweeper(lake.catalog).sweep(grace_ms=-60_000, delete=True)
    assert report.skipped == ()
    assert orders.rows == before
    assert tagged_ids(orders) == then
    assert Sweeper(lake.catalog).sweep(grace_ms=-60_000).orphans == ()


def tagged_ids(orders: Orders) -> list[int]:
    snapshot = orders.pyiceberg.metadata.refs["kept"].snapshot_id
    found = orders.pyiceberg.scan(snapshot_id=snapshot).to_arrow()["id"].to_pylist()
    return sorted(found)


def test_truncate_keeps_history_and_rollback_brings_it_back(lake: Lake, version: int) -> None:
    orders = Orders(lake, version)
    assert truncate(orders.io, orders.metadata) is None
    orders.fill()
    before, full = orders.rows, current_snapshot_id(orders.metadata)
    assert full is not None
    change = truncate(orders.io, orders.metadata)
    assert change is not None
    orders.commit(change)
    assert orders.rows == []
    assert orders.pyiceberg.scan().to_arrow().num_rows == 0
    assert orders.pyiceberg.scan(snapshot_id=full).to_arrow().num_rows == len(before)
    orders.run("INSERT INTO {t} (id) VALUES (1)")
    assert [row[0] for row in orders.rows] == [1]
    orders.commit(rollback_to_snapshot(orders.metadata, full))
    assert orders.rows == before
    with pytest.raises(HeadwaterError) as caught:
        rollback_to_snapshot(orders.metadata, 12345)
    assert caught.value.code is ErrorCode.SNAPSHOT_NOT_FOUND


def test_the_engine_refuses_a_half_written_compaction(lake: Lake) -> None:
    orders = Orders(lake, 3)
    orders.fill()
    plan = plan_optimize(orders.io, orders.metadata)
    orders.io.write_bytes(plan.outputs[0], b"PAR1 half a file")
    with pytest.raises(HeadwaterError) as caught:
        finish_optimize(orders.io, plan, orders.metadata)
    assert caught.value.code is ErrorCode.INVALID_FILE
    with pytest.raises(duckdb.Error):
        orders.duck.execute(f"SELECT * FROM read_parquet('{plan.outputs[0]}')")
