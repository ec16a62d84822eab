"""Open-source Spark with Iceberg's own runtime, over our REST catalog: no gateway in between."""

from __future__ import annotations

import json
import subprocess

import pytest

from headwater.settings import child_environment
from releases_fixture import installed_release

pytestmark = pytest.mark.spark

PROGRAM = """
import json, sys
from pyspark.sql import SparkSession

start = json.loads(sys.stdin.readline())
builder = SparkSession.builder.master("local[2]")
for key, value in start["conf"].items():
    builder = builder.config(key, value)
spark = builder.getOrCreate()
for sql in start["statements"]:
    found = spark.sql(sql).collect()
print("FOUND", json.dumps([list(row) for row in found]))
"""

STATEMENTS = (
    "CREATE NAMESPACE foreign_spark",
    """
    CREATE TABLE foreign_spark.t USING iceberg PARTITIONED BY (kind)
    TBLPROPERTIES ('write.delete.mode'='merge-on-read', 'write.merge.mode'='merge-on-read')
    AS SELECT id, concat('k', id % 2) AS kind FROM range(6)
    """,
    "INSERT INTO foreign_spark.t VALUES (6, 'k0'), (7, 'k1')",
    "DELETE FROM foreign_spark.t WHERE id = 3",
    """
    MERGE INTO foreign_spark.t t
    USING (SELECT 4L AS id, 'x' AS kind UNION ALL SELECT 9L, 'k9') s ON t.id = s.id
    WHEN MATCHED THEN UPDATE SET kind = s.kind WHEN NOT MATCHED THEN INSERT *
    """,
    "CALL lake.system.rewrite_data_files(table => 'foreign_spark.t')",
    "INSERT INTO foreign_spark.t VALUES (10, 'k0')",
    "SELECT id, kind FROM foreign_spark.t ORDER BY id",
)
ROWS = [
    [0, "k0"], [1, "k1"], [2, "k0"], [4, "x"], [5, "k1"], [6, "k0"], [7, "k1"], [9, "k9"],
    [10, "k0"],
]  # fmt: skip


def test_spark_writes_what_everybody_reads(door):
    """Hadoop's file system writes `file:/a` where we write `file:///a`: both name our files."""
    lake = door.lake
    ready = json.loads((lake.home / "ready.json").read_text())
    release = installed_release("spark-4.1")
    jars = sorted(str(path) for path in release.path.glob("jars/iceberg-*.jar"))
    conf = {
        "spark.jars": ",".join(jars),
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
        "spark.sql.defaultCatalog": "lake",
        "spark.sql.catalog.lake": "org.apache.iceberg.spark.SparkCatalog",
        "spark.sql.catalog.lake.type": "rest",
        "spark.sql.catalog.lake.uri": ready["iceberg_uri"],
        "spark.sql.catalog.lake.token": lake.tokens["admin"],
        "spark.sql.catalog.lake.warehouse": "lake",
    }
    ended = subprocess.run(
        [str(release.python), "-c", PROGRAM],
        input=json.dumps({"conf": conf, "statements": STATEMENTS}),
        env=child_environment(JAVA_HOME=str(release.java_home)),
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert json.loads(ended.stdout.rpartition("FOUND ")[2]) == ROWS
    spark = door.connect()
    read = "SELECT id, kind FROM foreign_spark.t ORDER BY id"
    assert [list(row) for row in spark.sql(read).collect()] == ROWS
    lake.rows("ALTER TABLE foreign_spark.t EXECUTE optimize")
    lake.rows("DELETE FROM foreign_spark.t WHERE id = 10")
    assert lake.rows(read) == ROWS[:-1]
    lake.rows("ALTER TABLE foreign_spark.t EXECUTE expire_snapshots(retention_threshold => '0s')")
    assert lake.rows(read) == ROWS[:-1]
    lake.rows("DROP TABLE foreign_spark.t")
    lake.rows("DROP SCHEMA foreign_spark")
