"""Sessions, jobs and clients of the older releases of Spark; `make test-releases` installs them.

They are skipped where their release is not installed, everywhere: it takes minutes to install.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import functions as F

import releases_fixture
from integration.jobs.conftest import jobs_of
from integration.server.conftest import Server

OLDER = ("spark-3.5", "spark-4.0")

pytestmark = [
    pytest.mark.spark,
    pytest.mark.timeout(600),
    pytest.mark.usefixtures("sail"),
]

CLIENT = """
import sys
from pyspark.sql import SparkSession, functions as F
from pyspark.sql.types import LongType
spark = SparkSession.builder.getOrCreate()
assert spark.sql("SELECT 40 + 2 AS x").collect()[0].x == 42
orders = spark.table("shop.orders")
assert sorted(row.id for row in orders.collect()) == [1, 3], orders.collect()
assert orders.where("id > 1").groupBy("region").count().collect()[0][1] == 1
orders.createOrReplaceTempView("mine")
assert spark.sql("SELECT count(*) FROM mine").collect()[0][0] == 2
assert spark.sql("SELECT :n + 1 AS n", args={"n": 1}).collect()[0].n == 2
frame = spark.createDataFrame([(1, "a"), (2, None)], "id long, name string")
assert frame.orderBy("id").toPandas()["name"].tolist() == ["a", None]
plus = F.udf(lambda n: n + 1, LongType())
assert [row[0] for row in frame.select(plus("id")).collect()] == [2, 3]
assert orders.schema["amount"].dataType.simpleString() == "decimal(10,2)"
assert frame.approxQuantile("id", [0.5], 0.0) == [1.0]
spark.conf.set("spark.sql.session.timeZone", "Europe/Vienna")
assert spark.conf.get("spark.sql.session.timeZone") == "Europe/Vienna"
assert sorted(t.name for t in spark.catalog.listTables("shop")) == ["mine", "orders"]
try:
    orders.select("nope").collect()
except Exception as failure:
    assert "UNRESOLVED_COLUMN" in str(failure), failure
else:
    raise AssertionError
try:
    spark.sql("SELECT * FROM shop.secret").collect()
except Exception as failure:
    assert "TABLE_OR_VIEW_NOT_FOUND" in str(failure), failure
else:
    raise AssertionError
frame.unpersist()
spark.stop()
print("all of it")
"""

PROGRAM = """
import pyspark
from pyspark.sql import SparkSession, functions as F
spark = SparkSession.builder.getOrCreate()
rows = spark.sql("SELECT id, region FROM s.t ORDER BY id").collect()
double = F.udf(lambda n: n * 2, "int")
print(pyspark.__version__[:3], spark.version[:3], [tuple(row) for row in rows])
print(sorted(row[0] for row in spark.table("s.t").select(double("id")).collect()))
"""


@pytest.fixture(params=OLDER)
def older(request: pytest.FixtureRequest) -> Any:
    found = releases_fixture.release_store().installed(request.param)
    if found is None:
        pytest.skip(f"{request.param} is not installed: make test-releases")
    return found


def test_a_session_runs_on_a_release(door: Any, older: Any) -> None:
    ellen = door.connect("ellen", **{"headwater-release": older.name})
    ellen.conf.set("spark.sql.shuffle.partitions", "2")
    number = older.name.removeprefix("spark-")
    assert ellen.version.startswith(number)
    orders = ellen.table("shop.orders")
    assert [row.card for row in orders.orderBy("id").collect()] == ["*****1111", "*****3333"]
    assert ellen.sql("SELECT sum(amount) AS s FROM shop.orders").collect()[0].s is not None
    orders.createOrReplaceTempView("mine")
    found = ellen.sql("SELECT id FROM mine CLUSTER BY id")
    assert sorted(row.id for row in found.collect()) == [1, 3]
    if older.name != "spark-3.5":  # which cannot read functions that a client of 4.x pickled
        plus = F.udf(lambda n: n + 1, "long")
        assert sorted(row.n for row in found.select(plus("id").alias("n")).collect()) == [2, 4]
    with pytest.raises(Exception, match=r"UNRESOLVED_COLUMN"):
        ellen.range(1).select("nope").collect()
    engines = door.lake.rows(
        "SELECT DISTINCT engine FROM system.runtime.queries WHERE user = 'ellen' "
        "AND query LIKE '%CLUSTER BY%'"
    )
    assert ["spark"] in engines
    frame = door.connect("admin", **{"headwater-release": older.name})
    frame.range(3).write.saveAsTable(f"shop.from_{number.replace('.', '_')}")
    try:
        assert frame.table(f"shop.from_{number.replace('.', '_')}").count() == 3
    finally:
        frame.sql(f"DROP TABLE shop.from_{number.replace('.', '_')}")


def test_a_client_of_a_release(door: Any, older: Any, tmp_path: Path) -> None:
    """PySpark of that release, unchanged, against a session as it comes."""
    releases_fixture.installed_release("spark-4.1")
    program = tmp_path / "program.py"
    program.write_text(CLIENT)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "SPARK_REMOTE": door.url("ellen"),
        "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(door.lake.ca),
        "NO_PROXY": "localhost,127.0.0.1",
    }
    done = subprocess.run(
        [str(older.python), "-W", "ignore", str(program)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.stdout == "all of it\n", done.stderr[-3000:]


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Any:
    releases = os.environ.get("HEADWATER_RELEASES", str(releases_fixture.ROOT))
    home = tmp_path_factory.mktemp("releases") / "home"
    server = Server(home, "--port", "0", "--no-samples", HEADWATER_RELEASES=releases)
    try:
        for statement in (
            "CREATE SCHEMA s",
            "CREATE TABLE s.t AS SELECT 1 AS id, 'EU' AS region UNION ALL SELECT 2, 'US'",
            "CREATE USER ana",
            "GRANT SELECT ON TABLE s.t TO USER ana",
            "CREATE ROW FILTER f ON s.t USING (region = 'EU') TO ana",
        ):
            done = server.run("sql", statement)
            assert done.returncode == 0, (statement, done.stderr)
        found = jobs_of(server, "ana")
        yield found
        found.connection.close()
    finally:
        assert server.stop() == 0


def test_a_job_runs_on_a_release(jobs: Any, older: Any) -> None:
    run = jobs.submit("pyspark", PROGRAM, release=older.name)
    run = jobs.until(run["id"], seconds=300)
    assert run["state"] == "SUCCESS", jobs.log(run["id"], "stderr")
    number = older.name.removeprefix("spark-")
    assert jobs.log(run["id"]) == f"{number} {number} [(1, 'EU')]\n[2]\n"
    assert run["attempts"][0]["release"] == older.name
