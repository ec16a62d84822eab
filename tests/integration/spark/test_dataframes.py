"""DataFrames, the user's own Python and temporary views, on Sail."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from pyspark.errors import AnalysisException
from pyspark.errors.exceptions.connect import PythonException
from pyspark.sql import functions as F

pytestmark = pytest.mark.usefixtures("sail")


def history(door, engine):
    """What the query history says of an engine's operations, newest first."""
    return door.lake.rows(
        "SELECT state, query, error_message FROM system.runtime.queries "
        f"WHERE engine = '{engine}' ORDER BY created DESC"
    )


def test_frames_over_catalog_tables(spark, ellen):
    def totals(session):
        orders = session.table("shop.orders").filter("amount > 1")
        found = orders.groupBy("region").agg(F.sum("amount").alias("total")).orderBy("region")
        return [(row.region, str(row.total)) for row in found.collect()]

    assert totals(spark) == [("EU", "40.75"), ("US", "60.00")]
    assert totals(ellen) == [("EU", "40.75")]
    cards = ellen.table("shop.orders").orderBy("id").select(F.upper("card").alias("c")).collect()
    assert [row.c for row in cards] == ["*****1111", "*****3333"]
    with pytest.raises(AnalysisException) as failure:
        ellen.table("shop.secret").select(F.col("x") + 1).collect()
    assert failure.value.getCondition() == "TABLE_OR_VIEW_NOT_FOUND"


def test_a_revoked_grant_ends_a_session_too(door, spark, ellen):
    frame = ellen.table("shop.orders").select(F.col("id") + 1)
    assert frame.count() == 2
    spark.sql("REVOKE SELECT ON shop.orders FROM ellen")
    try:
        with pytest.raises(AnalysisException):
            frame.collect()
    finally:
        spark.sql("GRANT SELECT ON shop.orders TO ellen")
    assert frame.count() == 2


def test_user_defined_functions(spark):
    plus = F.udf(lambda x: x + 1, "int")
    numbers = spark.range(3).select(plus(F.col("id").cast("int")).alias("n"))
    assert [row.n for row in numbers.collect()] == [1, 2, 3]

    @F.pandas_udf("double")
    def half(x: pd.Series) -> pd.Series:
        return x / 2

    assert [r.h for r in spark.range(3).select(half("id").alias("h")).collect()] == [0, 0.5, 1]
    doubled = spark.range(3).mapInPandas(lambda parts: (p * 2 for p in parts), "id long")
    assert [row.id for row in doubled.collect()] == [0, 2, 4]
    grouped = spark.range(4).withColumn("k", F.col("id") % 2).groupBy("k")
    counted = grouped.applyInPandas(
        lambda key, part: pd.DataFrame({"k": [key[0]], "n": [len(part)]}), "k long, n long"
    )
    assert sorted(tuple(row) for row in counted.collect()) == [(0, 2), (1, 2)]


def test_a_function_over_masked_rows(ellen):
    last = F.udf(lambda card: card[-4:], "string")
    found = ellen.table("shop.orders").select(last("card").alias("x")).collect()
    assert sorted(row.x for row in found) == ["1111", "3333"]


def test_registered_functions_and_views_in_sql(spark):
    spark.udf.register("plus_one", lambda x: x + 1, "long")
    spark.range(5).createOrReplaceTempView("numbers")
    found = spark.sql("SELECT plus_one(id) AS n FROM numbers WHERE id > 2").collect()
    assert [row.n for row in found] == [3 + 1, 4 + 1]
    joined = spark.sql(
        "SELECT o.region, count(*) AS n FROM shop.orders o JOIN numbers v ON o.id = v.id GROUP BY 1"
    )
    assert {row.region: row.n for row in joined.collect()} == {"EU": 2, "US": 2}
    assert [(t.name, t.isTemporary) for t in spark.catalog.listTables()] == [("numbers", True)]
    assert [(c.name, c.dataType) for c in spark.catalog.listColumns("numbers")] == [
        ("id", "bigint")
    ]
    assert spark.catalog.dropTempView("numbers")
    with pytest.raises(AnalysisException):
        spark.sql("SELECT * FROM numbers").collect()


def test_views_of_sql(spark):
    spark.sql("CREATE TEMPORARY VIEW big AS SELECT * FROM shop.orders WHERE amount > 15")
    assert spark.table("big").count() == 3
    with pytest.raises(AnalysisException) as failure:
        spark.sql("CREATE TEMPORARY VIEW big AS SELECT 1 AS x")
    assert failure.value.getCondition() == "TEMP_TABLE_OR_VIEW_ALREADY_EXISTS"
    spark.sql("CREATE OR REPLACE TEMPORARY VIEW big AS SELECT 1 AS x")
    assert spark.table("big").columns == ["x"]
    spark.sql("DROP VIEW big")
    assert not spark.catalog.tableExists("big")


def test_views_are_the_sessions_own(door, spark):
    spark.range(1).createOrReplaceTempView("mine")
    other = door.connect()
    with pytest.raises(AnalysisException):
        other.table("mine").collect()


def test_what_user_code_raises_is_the_users(door, spark):
    broken = spark.range(1).select(F.udf(lambda _: 1 / 0, "int")("id"))
    with pytest.raises(PythonException, match="ZeroDivisionError"):
        broken.collect()
    assert "division" not in json.dumps(history(door, "sail")[:3])


def test_errors_of_sail_have_sparks_classes(spark):
    with pytest.raises(AnalysisException) as failure:
        spark.range(1).select("nope").collect()
    assert failure.value.getCondition() == "UNRESOLVED_COLUMN.WITHOUT_SUGGESTION"


def test_rows_from_the_client(spark):
    frame = spark.createDataFrame([(1, "a"), (2, "b")], ["n", "t"])
    assert [tuple(r) for r in frame.withColumn("m", F.col("n") * 2).collect()] == [
        (1, "a", 2),
        (2, "b", 4),
    ]
    large = spark.createDataFrame(pd.DataFrame({"x": range(300_000)}))
    assert large.agg(F.max("x")).collect()[0][0] == 299_999


def test_a_process_that_dies_is_replaced(door, spark):
    spark.udf.register("plus_two", lambda x: x + 2, "long")
    spark.range(3).createOrReplaceTempView("three")
    assert spark.sql("SELECT sum(plus_two(id)) AS s FROM three").collect()[0].s == 9
    dying = F.udf(lambda _: __import__("os")._exit(1), "int")
    with pytest.raises(Exception, match="ENGINE_FAILED"):
        spark.range(1).select(dying("id")).collect()
    assert spark.sql("SELECT sum(plus_two(id)) AS s FROM three").collect()[0].s == 9


def test_the_history_names_the_engine(door, spark):
    spark.range(5).filter("id > 2").collect()
    state, query, _ = history(door, "sail")[0]
    assert (state, query) == ("FINISHED", "[plan] filter < range")
