"""The same lake on SQLite and Postgres, on a local folder and on S3: written, shared, governed."""

from __future__ import annotations

import duckdb
import pyarrow as pa
import pytest
from pyiceberg.exceptions import ForbiddenError, NoSuchTableError

from headwater.errors import ErrorCode, HeadwaterError
from integration.matrix.conftest import Running

pytestmark = pytest.mark.timeout(180)

ROWS = pa.table({"id": pa.array([1, 2, 3], pa.int64()), "city": ["Basel", "Bern", None]})


@pytest.fixture(scope="module")
def lake(running: Running) -> Running:
    """The server with a schema, and one table that SQL wrote in all ways."""
    running.run(
        "CREATE SCHEMA shop",
        "CREATE TABLE shop.orders (id bigint, city varchar, paid decimal(10, 2), at timestamp(6)) "
        "WITH (partitioning = ARRAY['city'])",
        "INSERT INTO shop.orders VALUES (1, 'Basel', 10.50, TIMESTAMP '2026-01-01 10:00:00'), "
        "(2, 'Bern', 20, NULL), (3, 'Chur', 30, NULL), (4, NULL, 40, NULL)",
        "UPDATE shop.orders SET paid = paid + 1 WHERE city = 'Bern'",
        "DELETE FROM shop.orders WHERE id = 3",
        "MERGE INTO shop.orders t USING (VALUES (4, 'Zug'), (5, 'Bern')) s(id, city) "
        "ON t.id = s.id WHEN MATCHED THEN UPDATE SET city = s.city "
        "WHEN NOT MATCHED THEN INSERT (id, city, paid) VALUES (s.id, s.city, 50)",
        "CREATE TABLE shop.totals AS SELECT city, sum(paid) AS paid FROM shop.orders GROUP BY city",
    )
    return running


def test_sql_reads_what_sql_wrote(lake: Running) -> None:
    found = lake.rows("SELECT id, city, CAST(paid AS varchar) FROM shop.orders ORDER BY id")
    assert found == [
        (1, "Basel", "10.50"),
        (2, "Bern", "21.00"),
        (4, "Zug", "40.00"),
        (5, "Bern", "50.00"),
    ]
    assert lake.rows("SELECT CAST(paid AS varchar) FROM shop.totals WHERE city = 'Bern'") == [
        ("71.00",)
    ]
    history = 'SELECT count(*) FROM shop."orders$snapshots"'
    assert lake.rows(history)[0][0] >= 4


def test_pyiceberg_and_sql_share_tables(lake: Running) -> None:
    client = lake.pyiceberg()
    found = client.load_table("shop.orders").scan().to_arrow().sort_by("id")
    assert found["id"].to_pylist() == [1, 2, 4, 5]
    table = client.create_table("shop.from_python", schema=ROWS.schema)
    table.append(ROWS)
    table.delete("id = 1")
    lake.run("INSERT INTO shop.from_python VALUES (4, 'Chur')")
    assert lake.rows("SELECT id FROM shop.from_python ORDER BY id") == [(2,), (3,), (4,)]
    table.refresh()
    assert table.scan().to_arrow().num_rows == 3


def test_duckdb_and_sql_share_tables(lake: Running) -> None:
    duck = lake.duckdb()
    assert duck.execute("SELECT sum(id) FROM lake.shop.orders").fetchone() == (12,)
    duck.execute("CREATE TABLE lake.shop.from_duckdb AS SELECT range AS id FROM range(10)")
    duck.execute("DELETE FROM lake.shop.from_duckdb WHERE id < 4")
    lake.run("UPDATE shop.from_duckdb SET id = 100 WHERE id = 9")
    assert lake.rows("SELECT count(*), max(id) FROM shop.from_duckdb") == [(6, 100)]
    duck.execute("INSERT INTO lake.shop.orders (id, city) VALUES (6, 'Thun')")
    assert lake.rows("SELECT city FROM shop.orders WHERE id = 6") == [("Thun",)]
    lake.run("DELETE FROM shop.orders WHERE id = 6")


def test_a_restricted_user_gets_their_part_everywhere(lake: Running) -> None:
    lake.run(
        "CREATE USER ellen",
        "GRANT SELECT ON shop.orders TO ellen",
        "GRANT SELECT ON shop.totals TO ellen",
        "CREATE ROW FILTER bern ON shop.orders USING (city = 'Bern') TO ellen",
        "CREATE COLUMN MASK paid ON shop.orders (paid) USING replace-with-null TO ellen",
    )
    assert lake.rows("SELECT id, paid FROM shop.orders ORDER BY id", "ellen") == [
        (2, None),
        (5, None),
    ]
    client = lake.pyiceberg("ellen")
    assert client.load_table("shop.totals").scan().to_arrow().num_rows == 3
    with pytest.raises(ForbiddenError, match="through SQL"):
        client.load_table("shop.orders")
    with pytest.raises(NoSuchTableError):
        client.load_table("shop.from_python")
    duck = lake.duckdb("ellen")
    assert duck.execute("SELECT count(*) FROM lake.shop.totals").fetchone() == (3,)
    with pytest.raises(duckdb.Error, match=r"through SQL|403|Forbidden"):
        duck.execute("SELECT * FROM lake.shop.orders")
    with pytest.raises(duckdb.Error, match="does not exist"):
        duck.execute("SELECT * FROM lake.shop.from_python")
    with pytest.raises(HeadwaterError) as caught:
        lake.rows("INSERT INTO shop.totals VALUES ('x', 1)", "ellen")
    assert caught.value.code is ErrorCode.PERMISSION_DENIED


def test_nothing_is_lost_by_a_restart(lake: Running) -> None:
    asked = "SELECT (SELECT count(*) FROM shop.orders), (SELECT count(*) FROM shop.from_python)"
    before = lake.rows(asked)
    tables = lake.rows("SHOW TABLES FROM shop")
    lake.restart()
    assert lake.rows(asked) == before
    assert lake.rows("SHOW TABLES FROM shop") == tables
    assert lake.rows("SELECT count(*) FROM shop.orders", "ellen") == [(2,)]
    lake.run("INSERT INTO shop.totals VALUES ('after', 1)")
    assert lake.pyiceberg().load_table("shop.totals").scan().to_arrow().num_rows == 4
