"""Spark SQL of the HTTP API on the caller's own Sail and Spark: answers, records, grants."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pyarrow as pa
import pytest

from headwater.settings import child_environment
from integration.clients.lake import ADMIN_CARDS, ANALYST_CARDS, Lake

pytestmark = [pytest.mark.timeout(400), pytest.mark.usefixtures("sail")]

ENGINES = ["sail", pytest.param("spark", marks=pytest.mark.spark)]
HIDDEN = re.compile(r"\bUS\b|5500|60\.00|4000-|root:|PRIVATE KEY|headwater-secret|\b42\b(?!\w)")
ENDLESS = (
    "SELECT count(*) AS n FROM range(0, 3000000) a, range(0, 3000000) b WHERE a.id * b.id = -1"
)


class Api:
    """The HTTP API as one user."""

    def __init__(self, lake: Lake, user: str) -> None:
        ready = json.loads((lake.home / "ready.json").read_text())
        headers = {"authorization": f"Bearer {lake.tokens[user]}"}
        self.http = httpx2.Client(
            base_url=ready["url"], headers=headers, timeout=90, trust_env=False
        )

    def submit(self, sql: str, engine: str = "auto", **more: Any) -> dict[str, Any]:
        body = {"sql": sql, "dialect": "spark", "engine": engine, **more}
        answer = self.http.post("/api/v1/statements", json=body)
        assert answer.status_code == 202, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def status(self, statement: str, wait: float = 0) -> dict[str, Any]:
        answer = self.http.get(f"/api/v1/statements/{statement}", params={"wait": wait})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def run(self, sql: str, engine: str = "auto", **more: Any) -> dict[str, Any]:
        view = self.submit(sql, engine, **more)
        while view["state"] not in ("FINISHED", "FAILED", "CANCELED"):
            view = self.status(view["id"], 20)
        return view

    def table(self, sql: str, engine: str = "auto", **more: Any) -> pa.Table:
        view = self.run(sql, engine, **more)
        assert view["state"] == "FINISHED", view["error"]
        answer = self.http.get(
            f"/api/v1/statements/{view['id']}/results", params={"format": "arrow"}
        )
        with pa.ipc.open_stream(io.BytesIO(answer.content)) as reader:
            return reader.read_all()

    def rows(self, sql: str, engine: str = "auto", **more: Any) -> list[dict[str, Any]]:
        return self.table(sql, engine, **more).to_pylist()

    def history(self, statement: str) -> dict[str, Any]:
        entries = self.http.get("/api/v1/statements", params={"limit": 200}).json()
        return next(entry for entry in entries if entry["id"] == statement)


@pytest.fixture(scope="module")
def api(spark_lake: Lake) -> Iterator[Callable[[str], Api]]:
    made: dict[str, Api] = {}

    def client(user: str = "admin") -> Api:
        return made.setdefault(user, Api(spark_lake, user))

    yield client
    for one in made.values():
        one.http.close()


@pytest.fixture(scope="module")
def admin(api: Callable[[str], Api]) -> Api:
    return api("admin")


@pytest.fixture(scope="module")
def ellen(api: Callable[[str], Api]) -> Api:
    return api("ellen")


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    if request.param == "spark":
        request.getfixturevalue("real_spark")
    return str(request.param)


def test_the_server_tells_its_engines(admin: Api) -> None:
    found = {each["name"]: each for each in admin.http.get("/api/v1/engines").json()}
    assert list(found) == ["duckdb", "sail", "spark"]
    assert found["sail"]["installed"] is True
    assert found["sail"]["dialects"] == ["spark"]
    assert found["duckdb"]["dialects"] == ["trino", "spark", "duckdb"]


def test_auto_stays_on_the_system_engine_while_that_can(admin: Api) -> None:
    view = admin.run("SELECT `region`, count(*) AS n FROM shop.orders GROUP BY region")
    assert (view["engine"], view["engine_reason"], view["release"]) == ("duckdb", None, None)


def test_auto_moves_what_the_system_engine_lacks(admin: Api, spark_lake: Lake) -> None:
    view = admin.run("SELECT luhn_check('79927398713') AS ok, 'moved here' AS what")
    assert view["state"] == "FINISHED", view["error"]
    assert (view["engine"], view["release"]) == ("sail", "sail")
    assert "the system engine says" in view["engine_reason"]
    entry = admin.history(view["id"])
    assert (entry["engine"], entry["state"], entry["result_rows"]) == ("sail", "FINISHED", 1)
    listed = spark_lake.rows(
        f"SELECT engine FROM system.runtime.queries WHERE query_id = '{view['id']}'"
    )
    assert listed == [["sail"]]


@pytest.mark.spark
def test_what_sail_lacks_runs_on_spark_and_all_records_say_so(
    admin: Api, spark_lake: Lake, real_spark: None
) -> None:
    view = admin.run("SELECT id AS clustered FROM shop.orders CLUSTER BY id")
    assert view["state"] == "FINISHED", view["error"]
    assert view["engine"] == "spark"
    assert view["release"].startswith("spark-")
    assert "Sail says" in view["engine_reason"]
    attempts = spark_lake.rows(
        "SELECT engine, state, error_message FROM system.runtime.queries "
        "WHERE query LIKE '%AS clustered%' AND engine IN ('sail', 'spark') ORDER BY created"
    )
    assert sorted((engine, state) for engine, state, _ in attempts) == [
        ("sail", "FAILED"),
        ("spark", "FINISHED"),
    ]
    assert any(str(message).startswith("moved to Spark") for _, _, message in attempts)
    ends = spark_lake.rows(
        "SELECT facts FROM system.audit.events WHERE kind = 'completion' "
        f"AND request_id = '{view['id']}' ORDER BY sequence"
    )
    told = [json.loads(str(facts)) for (facts,) in ends]
    assert [end.get("engine") for end in told][-2:] == ["sail", "spark"]


def test_an_engine_by_name_gives_the_same_rows_and_types(admin: Api, engine: str) -> None:
    sql = (
        "SELECT id, region, amount, placed, tags, cast(null AS date) AS none "
        "FROM shop.orders ORDER BY id"
    )
    ours, theirs = admin.table(sql, "duckdb"), admin.table(sql, engine)
    assert theirs.to_pylist() == ours.to_pylist()
    assert [str(field.type) for field in theirs.schema][:3] == [
        "int64",
        "string",
        "decimal128(10, 2)",
    ]
    assert theirs.column_names == ours.column_names


def test_the_result_is_stored_like_any_other(admin: Api) -> None:
    view = admin.run("SELECT id, concat('n', id) AS name FROM range(0, 100000)", "sail")
    assert view["state"] == "FINISHED", view["error"]
    path = f"/api/v1/statements/{view['id']}"
    assert view["result_rows"] == 100_000
    window = admin.http.get(
        f"{path}/rows",
        params={
            "format": "json",
            "sort": "0:desc",
            "filter": json.dumps([{"column": 1, "op": "contains", "value": "n9999"}]),
            "limit": 3,
        },
    ).json()
    assert [row[0] for row in window["rows"]] == [99_999, 99_998, 99_997]
    assert window["total"] == 11
    saved = admin.http.get(f"{path}/download", params={"format": "csv", "name": "x"})
    assert saved.text.count("\n") == 100_001
    limited = admin.run(
        "SELECT id FROM range(0, 10000000)", "sail", properties={"query_max_result_size": "1MB"}
    )
    assert limited["error"]["code"] == "EXCEEDED_RESULT_SIZE"


def test_schema_zone_and_parameters_are_those_of_the_statement(admin: Api, engine: str) -> None:
    found = admin.rows(
        "SELECT id, ? AS given, current_timezone() AS zone FROM orders WHERE region = ? "
        "ORDER BY id",
        engine,
        schema="shop",
        parameters=["it's", "EU"],
        time_zone="Europe/Vienna",
    )
    assert [(row["id"], row["given"]) for row in found] == [(1, "it's"), (3, "it's")]
    assert {row["zone"] for row in found} == {"Europe/Vienna"}


def test_only_spark_sql_goes_there(admin: Api) -> None:
    for dialect in ("trino", "duckdb"):
        view = admin.run("SELECT 1", "sail", dialect=dialect)
        assert view["error"]["code"] == "INVALID_ARGUMENT"
        assert "dialect spark" in view["error"]["hint"]
    answer = admin.http.post("/api/v1/statements", json={"sql": "SELECT 1", "engine": "flink"})
    assert answer.status_code == 400


def test_nothing_is_kept_between_statements(admin: Api) -> None:
    for sql in (
        "CREATE TEMPORARY VIEW mine AS SELECT 1 AS x",
        "SET spark.sql.shuffle.partitions = 3",
        "CACHE TABLE again AS SELECT 1 AS x",
    ):
        assert admin.run(sql, "sail")["state"] == "FAILED", sql
    assert admin.run("SELECT * FROM mine", "sail")["error"]["code"] == "TABLE_NOT_FOUND"
    told = admin.run("CREATE TEMPORARY VIEW mine AS SELECT 1 AS x", "sail")["error"]
    assert told["code"] == "NOT_SUPPORTED"
    assert "WITH" in told["hint"]


def test_writes_happen_once_and_by_the_system(admin: Api, engine: str) -> None:
    table = f"shop.written_on_{engine}"
    matched = "WHEN MATCHED THEN UPDATE SET region = 'YY'"
    steps = (
        f"CREATE TABLE {table} USING iceberg AS SELECT id, region FROM shop.orders",
        f"INSERT INTO {table} SELECT id + 10, region FROM shop.orders",
        f"UPDATE {table} SET region = 'XX' WHERE id = 11",
        f"DELETE FROM {table} WHERE id = 12",
        f"MERGE INTO {table} t USING (SELECT 1 AS id) s ON t.id = s.id {matched}",
    )
    try:
        for sql in steps:
            view = admin.run(sql, engine)
            assert view["state"] == "FINISHED", (sql, view["error"])
            assert view["update_type"], sql
        found = admin.rows(f"SELECT id, region FROM {table} ORDER BY id", engine)
        assert [(row["id"], row["region"]) for row in found] == [
            (1, "YY"),
            (2, "US"),
            (3, "EU"),
            (4, "US"),
            (11, "XX"),
            (13, "EU"),
            (14, "US"),
        ]
    finally:
        assert admin.run(f"DROP TABLE {table}", engine)["state"] == "FINISHED"


def test_errors_have_their_code_and_their_place(admin: Api, engine: str) -> None:
    missing = admin.run("SELECT id,\n  nope FROM shop.orders", engine)["error"]
    assert (missing["code"], missing["position"]) == (
        "COLUMN_NOT_FOUND",
        {"line": 2, "column": 3},
    )
    divided = admin.run("SELECT 1 / (id - id) AS x FROM shop.orders", engine)
    assert divided["error"]["code"] == "DIVISION_BY_ZERO"
    cast = admin.run("SELECT CAST(card AS INT) AS x FROM shop.orders", engine)
    assert cast["error"]["code"] == "INVALID_CAST"
    assert "4000" not in (admin.history(cast["id"])["error_message"] or "")
    table = admin.run("SELECT * FROM shop.no_such", engine)["error"]
    assert table["code"] == "TABLE_NOT_FOUND"
    for view in (missing, divided["error"], cast["error"]):
        assert "== SQL" not in view["message"]
        assert "Relation" not in view["message"]
    typo = admin.run("SELEC id FROM shop.orders", engine)["error"]
    assert typo["code"] in ("SYNTAX_ERROR", "NOT_SUPPORTED")


def test_a_typo_is_our_own_error_with_its_place(admin: Api) -> None:
    typo = admin.run("SELECT id,\nFROM FROM shop.orders")["error"]
    assert typo["code"] == "SYNTAX_ERROR"
    assert typo["position"] is not None


def test_explain_shows_the_plan_of_that_engine(admin: Api, engine: str) -> None:
    found = admin.rows("EXPLAIN SELECT count(*) AS n FROM shop.orders", engine)
    assert "plan" in str(found).lower()


def test_cancel_stops_it_there(admin: Api, engine: str) -> None:
    view = admin.submit(ENDLESS, engine)
    deadline = time.monotonic() + 120
    while (view := admin.status(view["id"], 5))["engine_starting"] or view["engine"] is None:
        assert time.monotonic() < deadline
        assert view["state"] in ("QUEUED", "PLANNING", "RUNNING"), view["error"]
    time.sleep(1)
    asked = time.monotonic()
    assert admin.http.delete(f"/api/v1/statements/{view['id']}").status_code == 204
    while view["state"] not in ("FINISHED", "FAILED", "CANCELED"):
        view = admin.status(view["id"], 10)
    assert view["state"] == "CANCELED", view
    assert time.monotonic() - asked < 30
    entry = admin.history(view["id"])
    assert (entry["state"], entry["engine"]) == ("CANCELED", engine)
    assert admin.rows("SELECT 1 AS one", engine) == [{"one": 1}]


def test_one_who_is_out_of_time_hears_so(admin: Api) -> None:
    view = admin.run(ENDLESS, "sail", properties={"query_max_run_time": "2s"})
    assert view["error"]["code"] == "EXCEEDED_TIME_LIMIT"


def test_many_at_once(admin: Api, ellen: Api) -> None:
    found: list[object] = []

    def ask(user: Api) -> None:
        found.append(user.rows("SELECT count(*) AS n FROM shop.orders", "sail")[0]["n"])

    threads = [threading.Thread(target=ask, args=(user,)) for user in (admin, ellen) * 8]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, found)) == ["2"] * 8 + ["4"] * 8


# --- grants --------------------------------------------------------------------------------------


def test_policies_are_those_of_the_caller(admin: Api, ellen: Api, engine: str) -> None:
    sql = "SELECT card FROM shop.orders ORDER BY id"
    assert [row["card"] for row in admin.rows(sql, engine)] == ADMIN_CARDS
    assert [row["card"] for row in ellen.rows(sql, engine)] == ANALYST_CARDS
    told = str(
        ellen.rows(
            "SELECT count(*) AS n, max(region) AS r, max(card) AS c, sum(amount) AS s, "
            "max(struct(*)) AS all FROM shop.orders",
            engine,
        )
    )
    assert not HIDDEN.search(told), told


ATTACKS = {
    "a table without a grant": "SELECT * FROM shop.secret",
    "in a subquery": "SELECT * FROM shop.orders WHERE id IN (SELECT x FROM shop.secret)",
    "behind a CTE": "WITH secret AS (SELECT * FROM shop.secret) SELECT * FROM secret",
    "a path": "SELECT * FROM parquet.`/etc/passwd`",
    "a text file": "SELECT * FROM text.`/etc/passwd`",
    "a file below": "SELECT * FROM (SELECT * FROM csv.`/etc/passwd`) WHERE 1 = 1",
    "the inbox": "SELECT * FROM parquet.`/inbox`",
    "a path as a name": "SELECT * FROM `/etc/passwd`",
    "java_method": "SELECT java_method('java.lang.System', 'getenv', 'HOME')",
    "reflect": "SELECT reflect('java.lang.System', 'getenv', 'HOME')",
    "try_reflect": "SELECT try_reflect('java.lang.System', 'getenv', 'HOME')",
    "input_file_name": "SELECT input_file_name() FROM shop.orders",
    "_metadata": "SELECT _metadata.file_path FROM shop.orders",
    "a view over files": "CREATE TEMPORARY VIEW v USING text OPTIONS (path '/etc/passwd')",
    "a view over jdbc": (
        "CREATE TEMPORARY VIEW v USING jdbc OPTIONS (url 'jdbc:h2:mem', dbtable 'x')"
    ),
    "a global view": "CREATE GLOBAL TEMPORARY VIEW v AS SELECT * FROM shop.secret",
    "jdbc as a source": "SELECT * FROM jdbc.`jdbc:h2:mem`",
    "a catalog setting": "SET spark.sql.catalog.x = a.B",
    "an extension": "SET spark.sql.extensions = a.B",
    "a Hadoop setting": "SET spark.hadoop.fs.s3a.access.key = x",
    "the warehouse": "SET spark.sql.warehouse.dir = /tmp/x",
    "transform": "SELECT TRANSFORM(id) USING 'cat /etc/passwd' AS (x) FROM shop.orders",
    "a jar": "ADD JAR '/tmp/x.jar'",
    "a function": "CREATE TEMPORARY FUNCTION f AS 'a.B'",
    "load data": "LOAD DATA INPATH '/etc/passwd' INTO TABLE shop.orders",
    "a directory": "INSERT OVERWRITE DIRECTORY '/tmp/x' USING parquet SELECT * FROM shop.orders",
    "insert": "INSERT INTO shop.secret SELECT 1",
    "insert from a file": "INSERT INTO shop.orders SELECT * FROM csv.`/etc/passwd`",
    "CTAS": "CREATE TABLE shop.mine AS SELECT * FROM text.`/etc/passwd`",
    "a table of a file": "CREATE TABLE shop.mine USING csv LOCATION '/etc/passwd'",
    "delete": "DELETE FROM shop.orders",
    "drop": "DROP TABLE shop.orders",
    "a grant": "GRANT SELECT ON shop.secret TO ellen",
    "identifier": "SELECT * FROM identifier('shop.secret')",
    "a procedure": "CALL lake.system.rollback_to_snapshot('shop.orders', 1)",
    "a second statement": "SELECT 1; SELECT * FROM shop.secret",
    "execute immediate": "EXECUTE IMMEDIATE 'SELECT * FROM shop.secret'",
    "a script": "BEGIN SELECT * FROM shop.secret; END",
    "explain a secret": "EXPLAIN SELECT * FROM shop.secret",
    "substitution": "SELECT '${spark.driver.host}' AS x, y FROM shop.secret",
}


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("asked", ["auto", *ENGINES])
def test_denied(ellen: Api, attack: str, asked: str, request: pytest.FixtureRequest) -> None:
    if asked == "spark":
        request.getfixturevalue("real_spark")
    view = ellen.run(ATTACKS[attack], asked)
    assert view["state"] == "FAILED", view
    told = str(view["error"])
    assert view["error"]["code"] != "INTERNAL_ERROR", told
    assert not HIDDEN.search(told), told


def test_errors_are_no_oracle(ellen: Api, engine: str) -> None:
    """An error that only a hidden row would raise: amounts of 20 and 40 are in the US."""
    for hidden in ("20.00", "40.00"):
        view = ellen.run(f"SELECT sum(1 / (amount - {hidden})) AS x FROM shop.orders", engine)
        assert view["state"] == "FINISHED", view["error"]


def test_nobody_reads_or_stops_anothers_statement(admin: Api, ellen: Api) -> None:
    view = admin.run("SELECT 1 AS mine", "sail")
    path = f"/api/v1/statements/{view['id']}"
    for answer in (
        ellen.http.get(path),
        ellen.http.get(f"{path}/results"),
        ellen.http.get(f"{path}/rows"),
        ellen.http.delete(path),
    ):
        assert answer.status_code == 404, answer.text
    assert admin.status(view["id"])["state"] == "FINISHED"


def test_a_role_that_one_does_not_hold(ellen: Api, engine: str) -> None:
    body = {"sql": "SELECT 1", "dialect": "spark", "engine": engine, "role": "admin"}
    assert ellen.http.post("/api/v1/statements", json=body).status_code in (403, 404)


def test_in_anothers_name_only_the_system_engine_runs(admin: Api) -> None:
    seen = admin.run("SELECT card FROM shop.orders", "duckdb", user="ellen")
    assert seen["state"] == "FINISHED", seen["error"]
    refused = admin.run("SELECT card FROM shop.orders", "sail", user="ellen")
    assert refused["error"]["code"] == "NOT_SUPPORTED"


def test_a_revoked_grant_holds_at_once(admin: Api, ellen: Api) -> None:
    admin.rows("GRANT SELECT ON shop.totals TO ellen", "duckdb", dialect="trino")
    sql = "SELECT count(*) AS n FROM shop.totals"
    try:
        assert ellen.rows(sql, "sail") == [{"n": 1}]
    finally:
        admin.rows("REVOKE SELECT ON shop.totals FROM ellen", "duckdb", dialect="trino")
    assert ellen.run(sql, "sail")["error"]["code"] == "TABLE_NOT_FOUND"


def test_the_command_line_chooses_too(spark_lake: Lake) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "headwater", "sql", "--dialect", "spark", "--engine", "sail"),
            *("--format", "json", "SELECT luhn_check('79927398713') AS ok"),
        ],
        env={**os.environ, **child_environment(HEADWATER_HOME=str(spark_lake.home))},
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [{"ok": True}]
