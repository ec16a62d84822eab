"""SQL of PySpark on the system engine, by real clients."""

from __future__ import annotations

import datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from pyarrow import parquet
from pyspark.errors import (
    AnalysisException,
    ArithmeticException,
    ParseException,
    UnsupportedOperationException,
)
from pyspark.errors.exceptions.connect import SparkNoSuchElementException

from integration.clients.lake import ADMIN_CARDS, ANALYST_CARDS


def test_a_row_of_every_type(spark):
    row = spark.sql(
        "SELECT true b, cast(1 AS tinyint) i1, cast(2 AS smallint) i2, 3 i4, 4L i8, 1.5f f, 2.5d d,"
        " cast(1.25 AS decimal(10, 2)) n, 'x' s, X'00FF' bin, DATE'2024-02-29' day,"
        " TIMESTAMP'2024-02-29 12:00:00' t, array(1, 2) a, map('k', 1) m, named_struct('x', 1) st,"
        " cast(null AS string) nothing"
    ).collect()[0]
    assert row.asDict(recursive=True) == {
        "b": True,
        "i1": 1,
        "i2": 2,
        "i4": 3,
        "i8": 4,
        "f": 1.5,
        "d": 2.5,
        "n": Decimal("1.25"),
        "s": "x",
        "bin": bytearray(b"\x00\xff"),
        "day": datetime.date(2024, 2, 29),
        "t": datetime.datetime(2024, 2, 29, 12),  # noqa: DTZ001, in the local zone, UTC here
        "a": [1, 2],
        "m": {"k": 1},
        "st": {"x": 1},
        "nothing": None,
    }


def test_policies_hold(spark, ellen):
    query = "SELECT card FROM shop.orders ORDER BY id"
    assert [row.card for row in spark.sql(query).collect()] == ADMIN_CARDS
    assert [row.card for row in ellen.sql(query).collect()] == ANALYST_CARDS
    assert ellen.table("shop.orders").count() == 2
    with pytest.raises(AnalysisException) as failure:
        ellen.table("shop.secret").collect()
    assert failure.value.getCondition() == "TABLE_OR_VIEW_NOT_FOUND"
    assert ellen.catalog.listTables("shop")[0].name == "orders"
    assert not ellen.catalog.tableExists("shop.secret")


def test_a_query_is_not_run_before_it_is_asked_for(spark):
    lazy = spark.sql("SELECT 1 / (id - id) FROM shop.orders")
    with pytest.raises(ArithmeticException) as failure:
        lazy.collect()
    assert failure.value.getCondition() == "DIVIDE_BY_ZERO"
    assert failure.value.getSqlState() == "22012"


@pytest.mark.parametrize(
    ("sql", "kind", "condition"),
    [
        ("SELEC 1", ParseException, "PARSE_SYNTAX_ERROR"),
        ("SELECT * FROM shop.nope", AnalysisException, "TABLE_OR_VIEW_NOT_FOUND"),
        ("SELECT nope FROM shop.orders", AnalysisException, "UNRESOLVED_COLUMN"),
        ("DROP TABLE shop.nope", AnalysisException, "TABLE_OR_VIEW_NOT_FOUND"),
        ("CREATE TABLE shop.orders (a int)", AnalysisException, "TABLE_OR_VIEW_ALREADY_EXISTS"),
    ],
)
def test_errors_come_at_once_and_as_classes(spark, sql, kind, condition):
    with pytest.raises(kind) as failure:
        spark.sql(sql)
    assert failure.value.getCondition().startswith(condition)


def test_show_draws_what_spark_draws(spark, capsys):
    spark.sql("SELECT id, region, amount, tags FROM shop.orders ORDER BY id").show(2)
    assert capsys.readouterr().out == (
        "+---+------+------+------+\n"
        "| id|region|amount|  tags|\n"
        "+---+------+------+------+\n"
        "|  1|    EU| 10.50|[a, b]|\n"
        "|  2|    US| 20.00|    []|\n"
        "+---+------+------+------+\n"
        "only showing top 2 rows\n"
    )


def test_arguments(spark):
    assert spark.sql("SELECT ? + 1 AS x", args=[41]).collect()[0].x == 42
    found = spark.sql(
        "SELECT id FROM shop.orders WHERE region = :r AND amount > :least",
        args={"r": "US", "least": Decimal("25")},
    )
    assert [row.id for row in found.collect()] == [4]


def test_statements_answer_with_rows_and_change_the_session(spark):
    spark.sql("CREATE SCHEMA sparkling")
    try:
        spark.sql("USE sparkling")
        assert spark.catalog.currentDatabase() == "sparkling"
        spark.sql("CREATE TABLE t (a int COMMENT 'first', b string)")
        spark.sql("INSERT INTO t VALUES (1, 'x'), (2, 'y')")
        assert spark.table("t").count() == 2
        shown = spark.sql("SHOW TABLES").collect()
        assert [(r.namespace, r.tableName, r.isTemporary) for r in shown] == [
            ("sparkling", "t", False)
        ]
        described = spark.sql("DESCRIBE TABLE t").collect()
        assert [tuple(row) for row in described] == [("a", "int", "first"), ("b", "string", None)]
        assert [c.name for c in spark.catalog.listColumns("t")] == ["a", "b"]
        assert "sparkling" in [row.namespace for row in spark.sql("SHOW DATABASES").collect()]
        spark.sql("DROP TABLE t")
    finally:
        spark.sql("DROP SCHEMA sparkling CASCADE")


def test_conf(spark):
    assert spark.conf.get("spark.sql.session.timeZone") == "UTC"
    noon = spark.sql("SELECT TIMESTAMP'2024-07-01 12:00:00' AS t")
    spark.conf.set("spark.sql.session.timeZone", "Europe/Vienna")
    assert noon.toArrow().column("t").to_pylist()[0].isoformat() == "2024-07-01T10:00:00+00:00"
    spark.conf.unset("spark.sql.session.timeZone")
    assert spark.conf.get("spark.sql.session.timeZone") == "UTC"
    assert spark.conf.isModifiable("spark.sql.shuffle.partitions")
    assert not spark.conf.isModifiable("spark.executor.memory")
    with pytest.raises(AnalysisException) as failure:
        spark.conf.set("spark.hadoop.fs.s3a.access.key", "x")
    assert failure.value.getCondition() == "CANNOT_MODIFY_CONFIG"
    with pytest.raises(SparkNoSuchElementException):
        spark.conf.get("spark.nothing")
    assert spark.sql("SET spark.sql.ansi.enabled").collect()[0].value == "true"


def test_rows_that_the_client_brings(spark):
    frame = spark.createDataFrame([(1, "a"), (2, None)], "x int, y string")
    assert [tuple(row) for row in frame.collect()] == [(1, "a"), (2, None)]
    assert frame.schema.simpleString() == "struct<x:int,y:string>"


def test_what_a_plan_is(spark, capsys):
    frame = spark.table("shop.orders")
    frame.printSchema()
    assert (
        " |-- tags: array (nullable = true)\n |    |-- element: string" in capsys.readouterr().out
    )
    assert frame.schema.simpleString().startswith("struct<id:bigint,region:string")
    assert not frame.isStreaming
    assert frame.inputFiles() == []
    assert frame.sameSemantics(spark.table("shop.orders"))
    assert frame.semanticHash() == spark.table("shop.orders").semanticHash()
    assert not frame.sameSemantics(spark.table("shop.totals"))
    assert spark.version.startswith("4.")


def test_a_jar_is_refused(spark, tmp_path):
    jar = tmp_path / "x.jar"
    jar.write_bytes(b"PK")
    with pytest.raises(UnsupportedOperationException):
        spark.addArtifact(str(jar))


@pytest.mark.usefixtures("sail")
@pytest.mark.parametrize("engine", ["auto", "sail"])
def test_files_are_tables_by_their_paths(spark, tmp_path, engine):
    tmp_path.chmod(0o755)
    place = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"k": pa.array([1, 2], pa.int32()), "v": ["x", "y"]}), place)
    files = f"parquet.`{place}`"
    spark.sql(f"GRANT READ FILES ON LOCATION '{tmp_path}' TO USER admin")
    spark.conf.set("headwater.engine", engine)
    assert spark.sql(f"SELECT v FROM {files} ORDER BY 1").collect() == [("x",), ("y",)]
    joined = f"SELECT o.region, f.v FROM shop.orders o JOIN {files} f ON o.id = f.k"
    assert sorted(spark.sql(joined).collect()) == [("EU", "x"), ("US", "y")]
    table = f"shop.from_files_{engine}"
    spark.sql(f"CREATE TABLE {table} AS SELECT k, v FROM {files}")
    spark.sql(f"INSERT INTO {table} SELECT k + 10, v FROM {files}")
    spark.sql(
        f"MERGE INTO {table} t USING {files} s ON t.k = s.k WHEN MATCHED THEN UPDATE SET v = 'm'"
    )
    found = spark.table(table).orderBy("k").collect()
    assert found == [(1, "m"), (2, "m"), (11, "x"), (12, "y")]
    with pytest.raises(Exception, match=r"there is no file .*none"):
        spark.sql(f"SELECT * FROM parquet.`{tmp_path}/none`").collect()


@pytest.mark.usefixtures("sail", "real_spark")
def test_files_are_read_as_spark_reads_them(spark, tmp_path):
    """Sail alone answers each of these otherwise, and says nothing."""
    tmp_path.chmod(0o777)
    for verb in ("READ", "WRITE"):
        spark.sql(f"GRANT {verb} FILES ON LOCATION '{tmp_path}' TO USER admin")
    (tmp_path / "a.csv").write_text('1,"it""s",\n2, b ,""\n')
    read = spark.read.csv(str(tmp_path / "a.csv"), "k INT, v STRING, e STRING", emptyValue="E")
    assert read.collect() == [(1, '"it""s"', None), (2, " b ", "E")]
    (tmp_path / "a.json").write_text('{"z": 1, "a": null}\n')
    assert spark.read.json(str(tmp_path / "a.json")).dtypes == [("a", "string"), ("z", "bigint")]
    row = spark.sql("SELECT ' s ' AS a, 'x,\"y' AS b, DATE'2020-01-02' AS c")
    row.write.csv(str(tmp_path / "out"), dateFormat="dd/MM/yyyy")
    (written,) = (tmp_path / "out").glob("*.csv")
    assert written.read_text() == 's,"x,\\"y",02/01/2020\n'
    instants = pa.table({"t": pa.array([0], pa.timestamp("us", "UTC"))})
    parquet.write_table(instants, tmp_path / "t.parquet", use_deprecated_int96_timestamps=True)
    assert spark.read.parquet(str(tmp_path / "t.parquet")).dtypes == [("t", "timestamp")]
    counted = spark.read.parquet(str(tmp_path / "t.parquet")).groupBy("t").count()
    assert counted.dtypes == [("t", "timestamp"), ("count", "bigint")]


@pytest.mark.usefixtures("sail")
@pytest.mark.parametrize("engine", ["auto", "sail"])
def test_frames_of_any_type_become_tables(spark, engine):
    spark.conf.set("headwater.engine", engine)
    row = (1, {"a": [1, None]}, [{"x": 1.5}], (2, "b"), datetime.date(2020, 1, 2), b"\x00\xff")
    schema = (
        "id INT, m MAP<STRING, ARRAY<BIGINT>>, l ARRAY<MAP<STRING, DOUBLE>>, "
        "s STRUCT<k: INT, `a b`: STRING>, d DATE, b BINARY"
    )
    frame = spark.createDataFrame([row, (None, None, [{"y": None}], None, None, None)], schema)
    made = spark.range(1).selectExpr(
        "map('k', struct(id, array(1))) AS m", "named_struct('q', map(1, 'x')) AS s"
    )
    for name, each in (("any_type", frame), ("empty", frame.limit(0)), ("made", made)):
        table = f"shop.{name}_{engine}"
        each.write.saveAsTable(table)
        stored = spark.table(table)
        assert stored.schema.simpleString() == each.schema.simpleString()
        assert sorted(map(str, stored.collect())) == sorted(map(str, each.collect()))
        each.writeTo(table).append()
        assert stored.count() == 2 * each.count()
    absent = spark.createDataFrame([(None,), ([],)], "l ARRAY<MAP<STRING, DOUBLE>>")
    with pytest.raises(Exception, match="a map inside an array"):
        absent.write.saveAsTable(f"shop.absent_{engine}")
    assert not spark.catalog.tableExists(f"shop.absent_{engine}")
