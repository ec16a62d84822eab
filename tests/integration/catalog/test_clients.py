"""PyIceberg 0.12 and DuckDB 1.5.5 (ATTACH) read and write the same tables through the catalog."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.exceptions import (
    CommitFailedException,
    NamespaceAlreadyExistsError,
    NamespaceNotEmptyError,
    NoSuchTableError,
    TableAlreadyExistsError,
)
from pyiceberg.schema import Schema
from pyiceberg.types import LongType, NestedField, StringType

from integration.catalog.conftest import Lake

ROWS = pa.table({"id": pa.array([1, 2, 3], pa.int64()), "city": ["Basel", "Bern", None]})


def test_pyiceberg_writes_and_reads(lake: Lake) -> None:
    client = lake.pyiceberg()
    client.create_namespace("sales", {"owner": "ellen"})
    table = client.create_table("sales.orders", schema=ROWS.schema)
    table.append(ROWS)
    table.delete("id = 2")
    with table.update_schema() as update:
        update.add_column("price", LongType())
    with table.update_spec() as update_spec:
        update_spec.add_identity("city")
    with table.manage_snapshots() as snapshots:
        snapshots.create_tag(table.current_snapshot().snapshot_id, "before")
    table.append(pa.table({"id": pa.array([4], pa.int64()), "city": ["Chur"]}))
    again = lake.pyiceberg().load_table("sales.orders")
    assert sorted(again.scan().to_arrow()["id"].to_pylist()) == [1, 3, 4]
    before = again.metadata.refs["before"].snapshot_id
    assert sorted(again.scan(snapshot_id=before).to_arrow()["id"].to_pylist()) == [1, 3]
    assert again.schema().column_names == ["id", "city", "price"]


def test_pyiceberg_sees_the_errors_it_knows(lake: Lake) -> None:
    client = lake.pyiceberg()
    client.create_namespace("sales")
    with pytest.raises(NamespaceAlreadyExistsError):
        client.create_namespace("sales")
    table = client.create_table("sales.orders", schema=ROWS.schema)
    with pytest.raises(TableAlreadyExistsError):
        client.create_table("sales.orders", schema=ROWS.schema)
    with pytest.raises(NoSuchTableError):
        client.load_table("sales.nothing")
    with pytest.raises(NamespaceNotEmptyError):
        client.drop_namespace("sales")
    stale = client.load_table("sales.orders")
    with table.update_schema() as update:
        update.add_column("a", LongType())
    with pytest.raises(CommitFailedException), stale.update_schema() as update:
        update.add_column("b", LongType())


def test_pyiceberg_creates_in_a_transaction(lake: Lake) -> None:
    client = lake.pyiceberg()
    client.create_namespace("sales")
    schema = Schema(NestedField(1, "id", LongType()), NestedField(2, "city", StringType()))
    with client.create_table_transaction("sales.orders", schema) as transaction:
        assert not client.table_exists("sales.orders")
        transaction.append(ROWS)
    assert client.load_table("sales.orders").scan().to_arrow().num_rows == 3
    client.rename_table("sales.orders", "sales.bookings")
    assert client.list_tables("sales") == [("sales", "bookings")]
    client.purge_table("sales.bookings")
    assert not client.table_exists("sales.bookings")


@pytest.mark.parametrize("version", ["2", "3"])
def test_duckdb_changes_and_reads_tables(lake: Lake, version: str) -> None:
    duck = lake.duckdb()
    duck.execute("CREATE SCHEMA lake.sales")
    duck.execute(
        "CREATE TABLE lake.sales.orders (id BIGINT, city VARCHAR) "
        f"WITH ('format-version' = '{version}')"
    )
    duck.execute("INSERT INTO lake.sales.orders VALUES (1, 'Basel'), (2, 'Bern'), (3, NULL)")
    duck.execute("UPDATE lake.sales.orders SET city = 'Chur' WHERE id = 3")
    duck.execute("DELETE FROM lake.sales.orders WHERE id = 1")
    duck.execute(
        "MERGE INTO lake.sales.orders t USING (VALUES (2, 'Thun'), (5, 'Zug')) s(id, city) "
        "ON t.id = s.id WHEN MATCHED THEN UPDATE SET city = s.city "
        "WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.city)"
    )
    rows = duck.execute("SELECT * FROM lake.sales.orders ORDER BY id").fetchall()
    assert rows == [(2, "Thun"), (3, "Chur"), (5, "Zug")]
    found = lake.pyiceberg().load_table("sales.orders").scan().to_arrow().sort_by("id")
    assert found.to_pydict() == {"id": [2, 3, 5], "city": ["Thun", "Chur", "Zug"]}
    metadata = lake.catalog.table(lake.catalog.tables(("sales",))[0].identifier).metadata
    assert metadata["format-version"] == int(version)
    assert len(metadata["snapshots"]) >= 4


def test_duckdb_alters_and_creates_from_queries(lake: Lake) -> None:
    duck = lake.duckdb()
    duck.execute("CREATE SCHEMA lake.sales")
    duck.execute("CREATE TABLE lake.sales.copy AS SELECT range AS id FROM range(10)")
    duck.execute("ALTER TABLE lake.sales.copy ADD COLUMN note VARCHAR")
    duck.execute("ALTER TABLE lake.sales.copy RENAME COLUMN note TO remark")
    duck.execute("INSERT INTO lake.sales.copy VALUES (10, 'x')")
    duck.execute("ALTER TABLE lake.sales.copy DROP COLUMN remark")
    assert duck.execute("SELECT count(*), sum(id) FROM lake.sales.copy").fetchone() == (11, 55)
    duck.execute("DROP TABLE lake.sales.copy")
    duck.execute("DROP SCHEMA lake.sales")
    assert lake.catalog.namespaces() == []


def test_duckdb_transactions_are_all_or_nothing(lake: Lake) -> None:
    duck = lake.duckdb()
    duck.execute("CREATE SCHEMA lake.sales")
    for name in ("a", "b"):
        duck.execute(f"CREATE TABLE lake.sales.{name} (id BIGINT)")
    duck.execute("BEGIN")
    duck.execute("INSERT INTO lake.sales.a VALUES (1)")
    duck.execute("INSERT INTO lake.sales.b VALUES (1)")
    duck.execute("ROLLBACK")
    count = "SELECT (SELECT count(*) FROM lake.sales.a), (SELECT count(*) FROM lake.sales.b)"
    assert duck.execute(count).fetchone() == (0, 0)
    duck.execute("BEGIN")
    duck.execute("INSERT INTO lake.sales.a VALUES (1)")
    duck.execute("INSERT INTO lake.sales.b VALUES (1), (2)")
    duck.execute("COMMIT")
    assert duck.execute(count).fetchone() == (1, 2)


def test_version_1_tables_stay_version_1(lake: Lake) -> None:
    client = lake.pyiceberg()
    client.create_namespace("old")
    table = client.create_table("old.one", schema=ROWS.schema, properties={"format-version": "1"})
    table.append(ROWS)
    metadata: dict[str, Any] = lake.catalog.table(
        lake.catalog.tables(("old",))[0].identifier
    ).metadata
    assert metadata["format-version"] == 1
    assert metadata["schema"]["fields"] == metadata["schemas"][0]["fields"]
    assert "sequence-number" not in metadata["snapshots"][0]
    assert lake.duckdb().execute("SELECT count(*) FROM lake.old.one").fetchone() == (3,)


def test_views_are_kept_for_clients(lake: Lake) -> None:
    from pyiceberg.view.metadata import SQLViewRepresentation, ViewVersion

    client = lake.pyiceberg()
    client.create_namespace("sales")
    version = ViewVersion(
        version_id=1,
        schema_id=0,
        timestamp_ms=1,
        summary={},
        representations=[SQLViewRepresentation(type="sql", sql="SELECT 1 AS id", dialect="trino")],
        default_namespace=["sales"],
    )
    schema = Schema(NestedField(1, "id", LongType()))
    client.create_view("sales.ones", schema, version)
    assert client.view_exists("sales.ones")
    assert client.list_views("sales") == [("sales", "ones")]
    assert client.list_tables("sales") == []
    client.drop_view("sales.ones")
    assert not client.view_exists("sales.ones")
