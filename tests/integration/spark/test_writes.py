"""Rows that a user process computes, written to tables of the catalog by the system."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest
from pyspark.errors import AnalysisException, UnsupportedOperationException
from pyspark.errors.exceptions.connect import PythonException
from pyspark.sql import functions as F

pytestmark = pytest.mark.usefixtures("sail")


@pytest.fixture
def kept(spark) -> Iterator[None]:
    """A schema of the test's own, the session's current one."""
    spark.sql("CREATE SCHEMA kept")
    spark.sql("USE kept")
    yield
    spark.sql("DROP SCHEMA kept CASCADE")


@pytest.mark.usefixtures("kept")
def test_save_modes(spark):
    ten = spark.range(10).withColumn("k", F.col("id") % 3)
    ten.write.saveAsTable("t")
    assert spark.table("t").count() == 10
    with pytest.raises(AnalysisException) as failure:
        ten.write.saveAsTable("t")
    assert failure.value.getCondition() == "TABLE_OR_VIEW_ALREADY_EXISTS"
    ten.write.mode("ignore").saveAsTable("t")
    ten.limit(2).write.mode("append").saveAsTable("t")
    assert spark.table("t").count() == 12
    ten.limit(3).write.mode("overwrite").saveAsTable("t")
    assert spark.table("t").count() == 3
    spark.range(2).writeTo("u").create()
    spark.range(2).writeTo("u").append()
    assert spark.table("u").count() == 4


@pytest.mark.usefixtures("kept")
def test_statements_that_read_temporary_views(spark):
    spark.range(4).createOrReplaceTempView("four")
    spark.sql("CREATE TABLE t AS SELECT id, id * 2 AS d FROM four")
    spark.sql("INSERT INTO t SELECT id, id FROM four")
    assert spark.table("t").count() == 8
    spark.sql(
        "MERGE INTO t USING four ON t.id = four.id AND t.d = four.id WHEN MATCHED THEN DELETE"
    )
    found = spark.sql("SELECT * FROM t ORDER BY id").collect()
    assert [tuple(row) for row in found] == [(1, 2), (2, 4), (3, 6)]


@pytest.mark.usefixtures("kept")
def test_a_write_that_fails_leaves_nothing(door, spark):
    broken = spark.range(3).select(F.udf(lambda _: 1 / 0, "int")("id").alias("n"))
    with pytest.raises(PythonException):
        broken.write.saveAsTable("t")
    assert not spark.catalog.tableExists("t")
    assert list((door.lake.home / "spool" / "uploads").iterdir()) == []


def test_an_analyst_may_not_write(spark, ellen):
    with pytest.raises(AnalysisException) as failure:
        ellen.range(3).write.mode("append").saveAsTable("shop.orders")
    assert failure.value.getCondition() in ("INSUFFICIENT_PERMISSIONS", "TABLE_OR_VIEW_NOT_FOUND")
    assert spark.table("shop.orders").count() == 4


@pytest.mark.parametrize("path", ["/etc", "file:///tmp/x", "../x"])
def test_paths_need_a_grant(ellen, path):
    with pytest.raises((AnalysisException, UnsupportedOperationException)):
        ellen.range(3).write.parquet(path)
    with pytest.raises((AnalysisException, UnsupportedOperationException)):
        ellen.read.parquet(path).collect()


@pytest.mark.usefixtures("kept")
def test_a_frame_that_is_sql_is_computed_and_written_by_the_system_engine(door, spark):
    frame = spark.sql(
        "SELECT sum(CAST(id AS decimal(15, 2))) AS total, count(*) AS `how many`, max(id) AS id "
        "FROM shop.orders"
    )
    before = len(history_of(door))
    frame.write.saveAsTable("t")
    frame.write.mode("append").saveAsTable("t")
    frame.write.insertInto("t")
    frame.writeTo("u").partitionedBy(F.col("id")).create()
    frame.writeTo("u").overwritePartitions()
    assert spark.table("t").count() == 3
    assert spark.table("u").count() == 1
    # As Spark types it, not as the engine does.
    assert spark.table("t").dtypes[:2] == [("total", "decimal(25,2)"), ("how many", "bigint")]
    with pytest.raises(AnalysisException, match="ALREADY_EXISTS"):
        frame.write.saveAsTable("t")
    assert len(history_of(door)) == before


def history_of(door):
    """What ran on user processes."""
    return door.lake.rows(
        "SELECT query_id FROM system.runtime.queries WHERE engine IN ('sail', 'spark')"
    )


@pytest.mark.usefixtures("kept")
def test_merge_into(spark):
    spark.sql("CREATE TABLE t AS SELECT * FROM VALUES (1, 'a'), (2, 'b'), (3, 'c') AS v(id, name)")
    changes = spark.createDataFrame([(2, "B"), (3, None), (4, "d")], "id int, name string")
    source = changes.alias("s")
    (
        source.mergeInto("t", F.col("t.id") == F.col("s.id"))
        .whenMatched(F.col("s.name").isNull())
        .delete()
        .whenMatched()
        .update({"name": F.concat(F.col("s.name"), F.lit("!"))})
        .whenNotMatched()
        .insertAll()
        .whenNotMatchedBySource(F.expr("t.id < 2"))
        .update({"t.name": F.lit("it's left")})
        .merge()
    )
    found = [tuple(row) for row in spark.sql("SELECT * FROM t ORDER BY id").collect()]
    assert found == [(1, "it's left"), (2, "B!"), (4, "d")]
    changes.mergeInto("kept.t", F.expr("t.id = hw_source.id")).whenMatched().updateAll().merge()
    assert spark.table("t").filter("name IS NULL").count() == 0
    with pytest.raises(AnalysisException):
        changes.mergeInto("nothing", F.expr("true")).whenMatched().delete().merge()
    wider = spark.createDataFrame([(5, "e", 0.5)], "id int, name string, share double").alias("s")
    merge = wider.mergeInto("t", F.col("t.id") == F.col("s.id")).whenNotMatched().insertAll()
    merge.withSchemaEvolution().merge()
    assert [tuple(row) for row in spark.table("t").filter("id >= 4").orderBy("id").collect()] == [
        (4, "d", None),
        (5, "e", 0.5),
    ]


@pytest.mark.usefixtures("kept")
def test_new_columns_of_rows_become_the_tables(spark):
    spark.sql("CREATE TABLE t (id INT, name STRING)")
    wider = spark.createDataFrame(
        [(1, [(1,)], Decimal("1.50"))],
        "id int, Tags array<struct<a:int>>, price decimal(9,2)",
    )
    with pytest.raises(AnalysisException, match=r"(?i)tags"):
        wider.write.mode("append").saveAsTable("t")
    wider.write.mode("append").option("mergeSchema", "true").saveAsTable("t")
    wider.selectExpr("id + 1 AS id", "now() AS seen").writeTo("t").option(
        "merge-schema", "true"
    ).append()
    wider.write.mode("append").option("mergeSchema", "true").saveAsTable("t")
    assert spark.table("t").dtypes == [
        ("id", "int"),
        ("name", "string"),
        ("Tags", "array<struct<a:int>>"),
        ("price", "decimal(9,2)"),
        ("seen", "timestamp"),
    ]
    rows = spark.table("t").orderBy("id").collect()
    assert [(row.id, row.Tags, row.price, row.seen is None) for row in rows] == [
        (1, [(1,)], Decimal("1.50"), True),
        (1, [(1,)], Decimal("1.50"), True),
        (2, None, None, False),
    ]
    spark.range(1).write.option("mergeSchema", "true").saveAsTable("u")
    assert spark.table("u").count() == 1


@pytest.mark.usefixtures("kept")
def test_a_frame_with_new_columns_needs_the_grant_of_alter(ellen):
    rows = ellen.createDataFrame([(1, 2)], "id int, more int")
    with pytest.raises(Exception, match=r"INSUFFICIENT_PERMISSIONS|denied"):
        rows.write.mode("append").option("mergeSchema", "true").saveAsTable("shop.orders")
    assert "more" not in ellen.table("shop.orders").columns


@pytest.mark.usefixtures("kept")
def test_overwrite_by_a_condition_of_columns(spark):
    spark.sql("CREATE TABLE t AS SELECT id, id % 2 AS part FROM range(4)")
    change = spark.createDataFrame([(9, 1)], "id long, part long")
    change.writeTo("t").overwrite((F.col("part") == 1) & F.col("id").isNotNull())
    change.writeTo("t").overwrite(F.col("id").isin(9, 10))
    found = [tuple(row) for row in spark.table("t").orderBy("id").collect()]
    assert found == [(0, 0), (2, 0), (9, 1)]
    with pytest.raises(UnsupportedOperationException, match="no text in SQL"):
        change.writeTo("t").overwrite(F.col("id")[0] == 1)


@pytest.mark.usefixtures("kept")
def test_buckets(spark):
    frame = spark.range(10).withColumn("part", F.col("id") % 2)
    frame.write.partitionBy("part").bucketBy(4, "id").saveAsTable("t")
    made = spark.sql("SHOW CREATE TABLE t").collect()[0][0]
    assert "PARTITIONED BY (part, bucket(4, id))" in made.replace("`", "")
    assert spark.table("t").where("id = 3").count() == 1
    with pytest.raises(UnsupportedOperationException, match="one column"):
        frame.write.bucketBy(4, "id", "part").saveAsTable("u")
    with pytest.raises(UnsupportedOperationException, match="one column"):
        frame.write.bucketBy(4, "id").sortBy("part").saveAsTable("u")
    with pytest.raises(UnsupportedOperationException, match="for tables"):
        frame.write.bucketBy(4, "id").parquet("/tmp/somewhere")


@pytest.mark.usefixtures("kept")
def test_merge_into_needs_the_grants_of_merge(ellen):
    rows = ellen.createDataFrame([(1,)], "id int").alias("s")
    with pytest.raises(Exception, match=r"INSUFFICIENT_PERMISSIONS|denied"):
        rows.mergeInto("shop.orders", F.expr("orders.id = s.id")).whenMatched().delete().merge()
