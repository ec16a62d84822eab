"""The Python client of Trino: DB-API over TLS, as an administrator and as a restricted analyst."""

from __future__ import annotations

import datetime as dt
import math
import threading
import time
import uuid
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
import trino
from trino.exceptions import HttpError, TrinoConnectionError, TrinoQueryError, TrinoUserError
from trino.transaction import IsolationLevel

from integration.clients.lake import ADMIN_CARDS, ANALYST, ANALYST_CARDS, Lake

UTC = ZoneInfo("UTC")

VALUES = [
    ("true", "boolean", True),
    ("TINYINT '-128'", "tinyint", -128),
    ("SMALLINT '300'", "smallint", 300),
    ("INTEGER '70000'", "integer", 70_000),
    ("BIGINT '9223372036854775807'", "bigint", 2**63 - 1),
    ("REAL '0.1'", "real", 0.1),
    ("DOUBLE '1e300'", "double", 1e300),
    ("infinity()", "double", math.inf),
    (
        "DECIMAL '1234567890123456789012345678.90'",
        "decimal(30,2)",
        Decimal("1234567890123456789012345678.90"),
    ),
    ("CAST(0 AS decimal(20, 12))", "decimal(20,12)", Decimal("0E-12")),
    ("'ü \"quoted\" \\ \n'", None, 'ü "quoted" \\ \n'),
    ("CAST('ab' AS varchar)", "varchar", "ab"),
    ("X'00FF'", "varbinary", b"\x00\xff"),
    ("DATE '2026-02-28'", "date", dt.date(2026, 2, 28)),
    ("CAST(TIME '01:02:03.000004' AS time(6))", "time(6)", dt.time(1, 2, 3, 4)),
    (
        "CAST(TIMESTAMP '2026-01-01 10:00:00.123456' AS timestamp(6))",
        "timestamp(6)",
        dt.datetime(2026, 1, 1, 10, 0, 0, 123456),  # noqa: DTZ001
    ),
    (
        "CAST(TIMESTAMP '2026-01-01 10:00:00 UTC' AS timestamp(6) with time zone)",
        "timestamp(6) with time zone",
        dt.datetime(2026, 1, 1, 10, tzinfo=UTC),
    ),
    ("INTERVAL '3' DAY", "interval day to second", dt.timedelta(days=3)),
    ("ARRAY[1, NULL, 3]", "array(integer)", [1, None, 3]),
    ("MAP(ARRAY['a', 'b'], ARRAY[1, NULL])", None, {"a": 1, "b": None}),
    ("CAST(ROW(1, 'x') AS ROW(n integer, t varchar))", 'row("n" integer, "t" varchar)', (1, "x")),
    (
        "UUID '12151fd2-7586-11e9-8f9e-2a86e4085a59'",
        "uuid",
        uuid.UUID("12151fd2-7586-11e9-8f9e-2a86e4085a59"),
    ),
    ("CAST(NULL AS bigint)", "bigint", None),
]


@pytest.mark.parametrize(("sql", "kind", "value"), VALUES, ids=[case[0][:40] for case in VALUES])
def test_values_arrive_as_their_types(
    lake: Lake, sql: str, kind: str | None, value: object
) -> None:
    with lake.connect() as connection:
        cursor = connection.cursor()
        cursor.execute(f"SELECT {sql} AS c")
        ((found,),) = cursor.fetchall()
        assert found == value
        assert type(found) is type(value) or isinstance(found, type(value))
        if kind is not None:
            assert cursor.description[0].type_code == kind


def test_parameters_are_values_and_never_sql(lake: Lake) -> None:
    hostile = "'; DROP TABLE shop.orders; --"
    given = (7, hostile, None, Decimal("1.5"), dt.date(2026, 1, 2), True, [1, 2])
    with lake.connect() as connection:
        cursor = connection.cursor().execute("SELECT ?, ?, ?, ?, ?, ?, ?", given)
        assert cursor.fetchall() == [list(given)]


def test_legacy_prepared_statements(lake: Lake) -> None:
    with lake.connect(legacy_prepared_statements=True) as connection:
        cursor = connection.cursor()
        cursor.execute(
            "SELECT id FROM orders WHERE region = ? AND amount > ?", ("EU", Decimal("20"))
        )
        assert cursor.fetchall() == [[3]]
        described = connection.cursor().describe("SELECT id, card AS c FROM orders")
        assert [(column.name, column.type) for column in described] == [
            ("id", "bigint"),
            ("c", "varchar"),
        ]


def test_insert_many_update_delete(lake: Lake) -> None:
    with lake.connect() as connection:
        cursor = connection.cursor()
        cursor.execute("CREATE TABLE written (a integer, b varchar)")
        assert cursor.fetchall() == [[True]]
        assert cursor.update_type == "CREATE TABLE"
        cursor.executemany("INSERT INTO written VALUES (?, ?)", [(1, "x"), (2, "y"), (3, None)])
        cursor.fetchall()
        assert (cursor.update_type, cursor.rowcount) == ("INSERT", 1)
        cursor.execute("UPDATE written SET b = 'z' WHERE a > 1").fetchall()
        assert (cursor.update_type, cursor.rowcount) == ("UPDATE", 2)
        cursor.execute("DELETE FROM written WHERE a = 1").fetchall()
        assert (cursor.update_type, cursor.rowcount) == ("DELETE", 1)
        cursor.execute("SELECT a, b FROM written ORDER BY a")
        assert cursor.fetchall() == [[2, "z"], [3, "z"]]
        cursor.execute("DROP TABLE written").fetchall()


def test_a_long_result_is_paged_and_whole(lake: Lake) -> None:
    sql = """SELECT a.n * 1000 + b.n AS n, 'row ' || CAST(a.n * 1000 + b.n AS varchar) AS t
             FROM UNNEST(sequence(0, 299)) AS a(n) CROSS JOIN UNNEST(sequence(0, 999)) AS b(n)"""
    seen: list[int] = []
    with lake.connect() as connection:
        cursor = connection.cursor().execute(sql)
        while rows := cursor.fetchmany(50_000):
            seen += [row[0] for row in rows]
            assert all(row[1] == f"row {row[0]}" for row in rows)
    assert sorted(seen) == list(range(300_000))


def test_cancel_stops_a_statement(lake: Lake) -> None:
    endless = """SELECT count(*) FROM UNNEST(sequence(1, 100000)) AS a(n)
                 CROSS JOIN UNNEST(sequence(1, 100000)) AS b(n)
                 CROSS JOIN UNNEST(sequence(1, 1000)) AS c(n) WHERE a.n * b.n % 7 = c.n % 5"""
    with lake.connect() as connection:
        cursor = connection.cursor()
        failures: list[Exception] = []

        def run() -> None:
            try:
                cursor.execute(endless).fetchall()
            except TrinoQueryError as exc:
                failures.append(exc)

        thread = threading.Thread(target=run)
        thread.start()
        deadline = time.monotonic() + 20
        while not (cursor._query and cursor._query.query_id) and time.monotonic() < deadline:
            time.sleep(0.05)
        started = time.monotonic()
        cursor.cancel()
        thread.join(20)
        assert not thread.is_alive()
        assert time.monotonic() - started < 10
        assert all(failure.error_name == "USER_CANCELED" for failure in failures)
    assert lake.rows("SELECT 1") == [[1]]


def test_errors_carry_code_and_place(lake: Lake) -> None:
    with pytest.raises(TrinoUserError) as missing:
        lake.rows("SELECT *\nFROM shop.nothing")
    assert missing.value.error_name == "TABLE_NOT_FOUND"
    assert missing.value.error_location == (2, 6)
    with pytest.raises(TrinoUserError) as wrong:
        lake.rows("SELEC 1")
    assert (wrong.value.error_name, wrong.value.error_code) == ("SYNTAX_ERROR", 1)
    with pytest.raises(TrinoUserError) as divided:
        lake.rows("SELECT 1 / (id - id) FROM shop.orders")
    assert divided.value.error_name == "DIVISION_BY_ZERO"


def test_the_session_follows_the_statements(lake: Lake) -> None:
    with lake.connect(schema="information_schema") as connection:
        cursor = connection.cursor()
        cursor.execute("USE lake.shop").fetchall()
        cursor.execute("SELECT count(*) FROM orders")
        assert cursor.fetchall() == [[4]]
        cursor.execute("SET SESSION query_max_run_time = '5m'").fetchall()
        cursor.execute("SHOW SESSION LIKE 'query_max_run_time'")
        assert cursor.fetchall()[0][1] == "5m"
        cursor.execute("RESET SESSION query_max_run_time").fetchall()
        cursor.execute("SHOW SESSION LIKE 'query_max_run_time'")
        assert cursor.fetchall()[0][1] == ""


def test_a_transaction_of_reads(lake: Lake) -> None:
    with lake.connect(isolation_level=IsolationLevel.READ_COMMITTED) as connection:
        cursor = connection.cursor().execute("SELECT count(*) FROM orders")
        assert cursor.fetchall() == [[4]]
        connection.commit()


def test_a_write_in_a_transaction_is_refused(lake: Lake) -> None:
    with lake.connect(isolation_level=IsolationLevel.READ_COMMITTED) as connection:
        with pytest.raises(TrinoUserError) as refused:
            connection.cursor().execute("DELETE FROM orders")
        assert refused.value.error_name == "NOT_SUPPORTED"
        connection.rollback()
    assert lake.rows("SELECT count(*) FROM shop.orders") == [[4]]


def test_stats_say_what_was_read(lake: Lake) -> None:
    with lake.connect() as connection:
        cursor = connection.cursor().execute("SELECT sum(amount) FROM orders")
        cursor.fetchall()
        assert cursor.stats["state"] == "FINISHED"
        assert cursor.stats["progressPercentage"] == 100.0
        assert cursor.info_uri.startswith(f"https://{lake.host}:{lake.port}/v1/query/")


def test_an_analyst_sees_filtered_and_masked_rows(lake: Lake) -> None:
    sql = "SELECT card FROM shop.orders ORDER BY id"
    assert [row[0] for row in lake.rows(sql)] == ADMIN_CARDS
    assert [row[0] for row in lake.rows(sql, ANALYST)] == ANALYST_CARDS
    assert lake.rows("SELECT count(*), sum(amount) FROM shop.orders", ANALYST) == [
        [2, Decimal("40.75")]
    ]
    assert lake.rows("SELECT count(*) FROM shop.orders WHERE card LIKE '4%'", ANALYST) == [[0]]


def test_an_analyst_does_not_learn_of_other_tables(lake: Lake) -> None:
    for sql in (
        "SELECT * FROM shop.secret",
        "SELECT * FROM shop.no_such",
        "DROP TABLE shop.secret",
    ):
        with pytest.raises(TrinoUserError) as refused:
            lake.rows(sql, ANALYST)
        assert refused.value.error_name == "TABLE_NOT_FOUND"
    assert lake.rows("SHOW TABLES FROM shop", ANALYST) == [["orders"]]
    with pytest.raises(TrinoUserError) as refused:
        lake.rows("DELETE FROM shop.orders", ANALYST)
    assert refused.value.error_name == "PERMISSION_DENIED"


def test_nobody_acts_for_another_without_the_privilege(lake: Lake) -> None:
    analyst = trino.auth.JWTAuthentication(lake.tokens[ANALYST])
    options = {"host": lake.host, "port": lake.port, "http_scheme": "https", "verify": str(lake.ca)}
    with (
        trino.dbapi.connect(**options, user="admin", auth=analyst) as connection,
        pytest.raises(HttpError, match="403"),
    ):
        connection.cursor().execute("SELECT 1")
    admin = trino.auth.JWTAuthentication(lake.tokens["admin"])
    with trino.dbapi.connect(**options, user=ANALYST, auth=admin) as connection:
        cursor = connection.cursor().execute("SELECT card FROM lake.shop.orders ORDER BY id")
        assert [row[0] for row in cursor.fetchall()] == ANALYST_CARDS


def test_a_password_may_be_the_token(lake: Lake) -> None:
    options = {"host": lake.host, "port": lake.port, "http_scheme": "https", "verify": str(lake.ca)}
    good = trino.auth.BasicAuthentication(ANALYST, lake.tokens[ANALYST])
    with trino.dbapi.connect(**options, user=ANALYST, auth=good) as connection:
        assert connection.cursor().execute("SELECT current_user").fetchall() == [[ANALYST]]
    for auth in (
        None,
        trino.auth.BasicAuthentication(ANALYST, "guess"),
        trino.auth.JWTAuthentication("x.y.z"),
    ):
        with (
            trino.dbapi.connect(**options, user=ANALYST, auth=auth) as connection,
            pytest.raises(HttpError, match="401"),
        ):
            connection.cursor().execute("SELECT 1")


def test_an_unknown_authority_is_not_trusted(lake: Lake) -> None:
    auth = trino.auth.JWTAuthentication(lake.tokens["admin"])
    with (
        trino.dbapi.connect(
            host=lake.host, port=lake.port, http_scheme="https", user="admin", auth=auth
        ) as connection,
        pytest.raises(TrinoConnectionError, match=r"[Cc]ertificate"),
    ):
        connection.cursor().execute("SELECT 1")
