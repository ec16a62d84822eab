"""Answers as open-source Spark gives them where PySpark's own tests once found others."""

from __future__ import annotations

import datetime
import itertools
from decimal import Decimal

import pytest
from pyspark.errors import (
    AnalysisException,
    ArrayIndexOutOfBoundsException,
    DateTimeException,
    NumberFormatException,
    SparkRuntimeException,
    UnsupportedOperationException,
)
from pyspark.sql import Observation, Row
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    IntegerType,
    LongType,
    StringType,
    StructField,
    StructType,
)

pytestmark = [
    pytest.mark.spark,
    pytest.mark.timeout(400),
    pytest.mark.usefixtures("sail", "real_spark"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


@pytest.fixture
def schema(spark):
    """A schema of a test's own."""
    spark.sql("CREATE SCHEMA compat")
    yield
    spark.sql("DROP SCHEMA compat CASCADE")


def test_times_are_times(spark):
    noon = datetime.time(12, 34, 56)
    assert spark.sql("SELECT TIME '12:34:56' AS t").collect() == [Row(t=noon)]
    rows = spark.createDataFrame([(noon, 1), (None, 2)], "t time, n int")
    assert rows.collect() == [Row(t=noon, n=1), Row(t=None, n=2)]
    assert rows.filter("n = 1").select(F.lit(noon), "t").collect()[0][:] == (noon, noon)


def test_ranges_come_in_order(spark):
    for _ in range(5):
        frame = spark.range(8, numPartitions=4)
        assert [row.id for row in frame.collect()] == list(range(8))
        assert [row.id for row in frame.toLocalIterator(prefetchPartitions=True)] == list(range(8))
        found = frame.filter("id % 2 = 0").selectExpr("id * 2 AS n").collect()
        assert [row.n for row in found] == [0, 4, 8, 12]
    spark.range(9, 0, -3, 3).createOrReplaceTempView("down")
    # The view is made for the analysis, and read several times after it.
    assert spark.sql("SELECT id FROM down").schema.names == ["id"]
    for _ in range(20):
        assert [row.id for row in spark.sql("SELECT id FROM down").collect()] == [9, 6, 3]
    by_range = spark.createDataFrame([("b", 27), ("a", 10), ("b", 10)], "name string, age int")
    assert by_range.repartitionByRange(2, "name", "age").first() == Row(name="a", age=10)


def test_seeds_give_the_same_rows_again(spark):
    frame = spark.range(200).withColumn("r", F.rand(7)).withColumn("n", F.randn(7))
    assert frame.collect() == frame.collect()
    sample = spark.range(100_000).sample(fraction=0.01, seed=3)
    assert sorted(sample.collect()) == sorted(sample.collect())
    halves = spark.range(100).randomSplit([1.0, 1.0], 3)
    parts = [{row.id for row in half.collect()} for half in halves]
    assert parts[0] | parts[1] == set(range(100))
    assert not parts[0] & parts[1]


def test_to_refuses_what_spark_refuses(spark):
    nullable = StructType([StructField("i", StringType()), StructField("j", IntegerType())])
    frame = spark.createDataFrame([("a", 1)], nullable)
    wider = StructType([StructField("j", LongType())])
    assert frame.to(wider).collect() == [Row(j=1)]
    for wrong, condition in {
        StructField("j", LongType(), False): "NULLABLE_COLUMN_OR_FIELD",
        StructField("i", LongType()): "INVALID_COLUMN_OR_FIELD_DATA_TYPE",
    }.items():
        with pytest.raises(AnalysisException) as failure:
            frame.to(StructType([wrong])).count()
        assert failure.value.getCondition() == condition


def test_variants_are_exact(spark):
    frame = spark.createDataFrame([('{"a": 467440737095.51617}',)], "j string")
    found = frame.select(F.parse_json("j").alias("v")).collect()[0].v
    assert found.toPython() == {"a": Decimal("467440737095.51617")}
    with pytest.raises(SparkRuntimeException) as failure:
        frame.select(F.variant_get(F.parse_json("j"), "$.a", "binary")).collect()
    assert failure.value.getCondition() == "INVALID_VARIANT_CAST"


def test_lateral_subqueries_have_all_their_columns(spark):
    spark.createDataFrame([(0, 1), (1, 2)], "c1 int, c2 int").createOrReplaceTempView("t1")
    frame = spark.sql("SELECT * FROM t1, LATERAL (SELECT t1.*, c1 + c1)")
    assert frame.columns[:4] == ["c1", "c2", "c1", "c2"]
    assert frame.count() == 2


def test_elements_that_are_not_there(spark):
    assert spark.sql("SELECT array(7, 8)[1] AS x").collect() == [Row(x=8)]
    for text in ("array(1, 2)[2]", "tags[7]", "element_at(tags, 7)", "elt(5, 'a')"):
        with pytest.raises(ArrayIndexOutOfBoundsException) as failure:
            spark.sql(f"SELECT {text} FROM shop.orders WHERE tags IS NOT NULL").collect()
        assert "INVALID_ARRAY_INDEX" in failure.value.getCondition()


def test_casts_fail_with_the_exceptions_of_their_types(spark):
    spark.createDataFrame([("abc",)], "s string").createOrReplaceTempView("texts")
    for kind, exception in {
        "boolean": SparkRuntimeException,
        "int": NumberFormatException,
        "date": DateTimeException,
    }.items():
        with pytest.raises(exception) as failure:
            spark.sql(f"SELECT CAST(s AS {kind}) FROM texts").collect()
        assert type(failure.value).__name__ == exception.__name__
        assert failure.value.getCondition() == "CAST_INVALID_INPUT"


def test_collations_are_sparks(spark):
    names = StructType([StructField("name", StringType("UNICODE_CI"))])
    frame = spark.createDataFrame([("Alice",), ("alice",)], names)
    assert frame.select("name").distinct().count() == 1
    assert frame.schema == names


@pytest.mark.usefixtures("schema")
def test_identifiers_of_constants(spark, ellen):
    found = ellen.sql("SELECT card FROM IDENTIFIER(:t) ORDER BY id", args={"t": "shop.orders"})
    assert [row.card for row in found.collect()] == ["*****1111", "*****3333"]
    same = ellen.sql("SELECT identifier(? || 'd') AS n FROM shop.orders ORDER BY n", args=["i"])
    assert len(same.collect()) == 2
    for hidden in ("shop.secret", "`shop`.`secret`", "lake.shop.secret"):
        for text in ("SELECT * FROM IDENTIFIER(:t)", "DROP TABLE IDENTIFIER(:t)"):
            with pytest.raises(AnalysisException) as failure:
                ellen.sql(text, args={"t": hidden}).collect()
            assert failure.value.getCondition() == "TABLE_OR_VIEW_NOT_FOUND"
    spark.sql("CREATE TABLE IDENTIFIER(:t) (a INT) USING iceberg", args={"t": "compat.named"})
    spark.sql("INSERT INTO IDENTIFIER('compat' || '.named') VALUES (1), (2)")
    spark.table("compat.named").createOrReplaceTempView("two")
    view = spark.sql("SELECT * FROM IDENTIFIER(:v) WHERE a > :m", args={"v": "two", "m": 1})
    assert view.collect() == [Row(a=2)]
    assert view.count() == 1
    spark.sql("DROP TABLE IDENTIFIER(:t)", args={"t": "compat.named"})


@pytest.mark.usefixtures("schema", "sail", "real_spark")
@pytest.mark.parametrize("engine", ["auto", "sail", "spark"])
def test_arguments_by_position_keep_their_places(spark, engine):
    if engine != "auto":
        spark.conf.set("headwater.engine", engine)
    text = "SELECT ? - ? AS x, concat(upper(?), ?) AS y, id FROM shop.orders WHERE id < ? LIMIT ?"
    found = spark.sql(text, args=[9, 2, "a", "b", 2, 5])
    assert found.collect() == [Row(x=7, y="Ab", id=1)]
    assert found.where("x > 0").count() == 1
    spark.sql("CREATE OR REPLACE TABLE compat.placed (a STRING, b STRING) USING iceberg")
    try:
        spark.sql("INSERT INTO compat.placed SELECT upper(trim(?)), ?", args=[" one ", "two"])
        spark.sql("UPDATE compat.placed SET a = concat(a, lower(?)) WHERE b = ?", args=["X", "two"])
        assert spark.table("compat.placed").collect() == [Row(a="ONEx", b="two")]
    finally:
        spark.sql("DROP TABLE compat.placed")


def test_functions_of_the_session_keep_their_names(spark):
    frame = spark.range(1).select(
        F.current_user(), F.user(), F.session_user(), F.current_catalog(), F.version()
    )
    assert frame.columns == [
        "current_user()",
        "user()",
        "session_user()",
        "current_catalog()",
        "version()",
    ]
    row = frame.first()
    assert row[:4] == ("admin", "admin", "admin", "lake")
    version, revision = row[4].split(" ")
    assert version == spark.version
    assert version.startswith("4.1.")
    assert len(revision) == 40
    text = spark.sql("SELECT current_user(), current_database() AS d, version()")
    assert text.columns == ["current_user()", "d", "version()"]
    assert spark.range(1).filter(F.current_user() == "admin").count() == 1
    assert spark.range(1).select(F.concat(F.current_user(), F.lit("!"))).first()[0] == "admin!"


@pytest.mark.usefixtures("schema")
def test_metrics_of_writes_arrive(spark):
    for write in (
        lambda frame: frame.write.format("noop").mode("overwrite").save(),
        lambda frame: frame.writeTo("compat.observed").create(),
        lambda frame: frame.write.mode("append").saveAsTable("compat.observed"),
    ):
        seen = Observation()
        write(spark.range(50).observe(seen, F.count(F.lit(1)).alias("cnt")))
        assert seen.get == {"cnt": 50}
    assert spark.table("compat.observed").count() == 100


@pytest.mark.usefixtures("schema")
def test_catalog_makes_tables_and_knows_functions(spark):
    schema = StructType(
        [StructField("a b", IntegerType(), False), StructField("c", ArrayType(LongType()))]
    )
    spark.catalog.createTable(
        "compat.made", schema=schema, description="it's \\ made", **{"write.x": "1"}
    )
    assert spark.table("compat.made").columns == ["a b", "c"]
    assert spark.table("compat.made").count() == 0
    assert "it" in str(spark.sql("SHOW CREATE TABLE compat.made").collect())
    with pytest.raises(AnalysisException):
        spark.catalog.createTable("compat.made", schema=schema)
    spark.sql("DROP TABLE compat.made")
    for wrong in ({"source": "json"}, {"path": "/tmp/x"}):
        with pytest.raises(UnsupportedOperationException):
            spark.catalog.createTable("compat.made", schema=schema, **wrong)
    with pytest.raises(UnsupportedOperationException):
        spark.catalog.createTable("compat.made")
    spark.udf.register("my_own", lambda x: x, "long")
    names = {found.name: found for found in spark.catalog.listFunctions()}
    assert {"+", "like", "month", "to_date", "current_database", "explode", "my_own"} <= set(names)
    assert names["+"].isTemporary
    assert spark.catalog.functionExists("ABS")
    assert not spark.catalog.functionExists("compat.abs")
    assert spark.catalog.getFunction("my_own").name == "my_own"
    assert "to_date" in {found.name for found in spark.catalog.listFunctions(pattern="to*")}
    with pytest.raises(AnalysisException):
        spark.catalog.listFunctions("does_not_exist")
    with pytest.raises(AnalysisException):
        spark.catalog.getFunction("compat.abs")


def test_fields_of_one_name(spark):
    data = [Row(Row("a", 1)), Row(Row("w", 6))]
    schema = StructType().add("s", StructType().add("x", StringType()).add("x", IntegerType()))
    frame = spark.createDataFrame(data, schema)
    assert frame.schema == schema
    assert frame.collect() == data
    assert "|{a, 1}|" in frame._show_string()


def test_rows_without_columns_are_counted(spark):
    frame = spark.createDataFrame([Row(), Row()], StructType())
    assert frame.collect() == [Row(), Row()]
    assert frame.count() == 2
    assert spark.range(3).select().count() == 3
    assert spark.range(3).select().collect() == [Row()] * 3


SHOWN = (
    lambda session: session.createDataFrame([(1, "x"), (22222, None)], "k int, v string"),
    lambda session: session.sql("SELECT region, id FROM shop.orders ORDER BY id"),
    lambda session: session.range(3).selectExpr("id", "id * 2 AS twice"),
    lambda session: session.range(0),
)


def test_what_is_shown_is_what_spark_shows(door, spark):
    real = door.connect(**{"headwater-engine": "spark"})
    for make, vertical, rows in itertools.product(SHOWN, (False, True), (0, 1, 5)):
        if vertical and make in SHOWN[2:]:
            continue  # drawn by Sail, with narrower columns
        ours = make(spark)._show_string(rows, 20, vertical)
        assert ours == make(real)._show_string(rows, 20, vertical)
    one = spark.createDataFrame([(1,), (2,)], "a int")
    spark.conf.set("spark.sql.repl.eagerEval.enabled", "true")
    spark.conf.set("spark.sql.repl.eagerEval.maxNumRows", "1")
    assert one._repr_html_().endswith("</table>\nonly showing top 1 row\n")


def test_schemas_as_ddl(spark):
    schema = StructType().add("a", LongType(), False, {"comment": "it's"}).add("b c", StringType())
    inner = StructType().add("s", schema, False)
    assert schema.toDDL() == "a BIGINT NOT NULL COMMENT 'it\\'s',`b c` STRING"
    assert inner.toDDL() == (
        "s STRUCT<a: BIGINT NOT NULL COMMENT 'it\\'s', `b c`: STRING> NOT NULL"
    )
