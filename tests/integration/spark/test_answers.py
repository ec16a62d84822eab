# ruff: noqa: DTZ001, E501
"""What Sail alone would answer with other values, types or names: the answers are real Spark 4.1's.

Sail gets these plans in other words; where none are known, Spark gets them.
"""

from __future__ import annotations

import datetime
from decimal import Decimal as D
from typing import Any

import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import functions as F

pytestmark = [
    pytest.mark.spark,
    pytest.mark.timeout(400),
    pytest.mark.usefixtures("sail", "real_spark"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

SCHEMA = "a int, f float, d double, x decimal(10,2), y decimal(5,3), l bigint, arr array<string>, s string, ts timestamp, dt date"
DAY = datetime.date(2020, 2, 1)
ROWS = [
    (1, 1.5, 2.5, D("10.25"), D("1.125"), 7, ["a", None], "b", datetime.datetime(2020, 1, 1), DAY),
    (None,) * 10,
]

SQL: dict[str, tuple[str, list[Any]]] = {
    "x / y": ("(x / y):decimal(19,8)", [D("9.11111111"), None]),
    "x / 3": ("(x / 3):decimal(14,6)", [D("3.416667"), None]),
    "x / l": ("(x / l):decimal(31,23)", [D("1.46428571428571428571429"), None]),
    "sum(x) * 100 / sum(y)": ("((sum(x) * 100) / sum(y)):decimal(38,13)", [D("911.1111111111111")]),
    "round(sum(x) / count(*), 2)": ("round((sum(x) / count(1)), 2):decimal(21,2)", [D("5.13")]),
    "CAST(d - 1.495D AS decimal(10,2)) + 0": (
        "(CAST((d - CAST(1.495 AS DOUBLE)) AS DECIMAL(10,2)) + 0):decimal(11,2)",
        [D("1.01"), None],
    ),
    "CAST(d + 3245871.5D AS decimal(38,18)) AS wide": (
        "wide:decimal(38,18)",
        [D("3245874.000000000000000000"), None],
    ),
    "if(a > 1, a, 3000000000L) AS wider": ("wider:bigint", [3000000000] * 2),
    "array_join(array(d, 2D), ' ') AS joined": ("joined:string", ["2.5 2.0", "2.0"]),
    "x = '10.254' AS same": ("same:boolean", [False, None]),
    "ts - INTERVAL 1 DAY 2 HOURS AS before": (
        "before:timestamp",
        [datetime.datetime(2019, 12, 30, 22), None],
    ),
    "a | l & 6 AS bits": ("bits:bigint", [7, None]),
    "a = 5 OR a NOT IN (SELECT 2) AS other": ("other:boolean", [True, None]),
    "x * 2": ("(x * 2):decimal(12,2)", [D("20.50"), None]),
    "f + a": ("(f + a):double", [2.5, None]),
    "coalesce(x, d)": ("coalesce(x, d):double", [10.25, None]),
    "nvl(x, 0)": ("nvl(x, 0):decimal(12,2)", [D("10.25"), D("0.00")]),
    "CASE WHEN a > 0 THEN x ELSE y END": (
        "CASE WHEN (a > 0) THEN x ELSE y END:decimal(11,3)",
        [D("10.250"), None],
    ),
    "sum(if(a > 0, x, 0))": ("sum((IF((a > 0), x, 0))):decimal(22,2)", [D("10.25")]),
    "datediff(ts, dt)": ("datediff(ts, dt):int", [-31, None]),
    "date_trunc('DAY', dt)": (
        "date_trunc(DAY, dt):timestamp",
        [datetime.datetime(2020, 2, 1), None],
    ),
    "isnan(d)": ("isnan(d):boolean", [False, False]),
    "array_contains(arr, 'z')": ("array_contains(arr, z):boolean", [None, None]),
    "upper(cast(a AS string))": ("upper(CAST(a AS STRING)):string", ["1", None]),
    "a IS NULL": ("(a IS NULL):boolean", [False, True]),
    "a IN (1, 2)": ("(a IN (1, 2)):boolean", [True, None]),
    "transform(arr, v -> upper(v))": (
        "transform(arr, lambdafunction(upper(namedlambdavariable()), namedlambdavariable())):array<string>",
        [["A", None], None],
    ),
    "DATE '2020-01-01'": ("DATE '2020-01-01':date", [datetime.date(2020, 1, 1)] * 2),
    # Of these Spark is asked.
    "dt - dt": ("(dt - dt):interval day", [datetime.timedelta(0), None]),
    "CAST(d * 4e9D AS string) AS written": ("written:string", ["1.0E10", None]),
    "percentile_approx(a, 0.5)": ("percentile_approx(a, 0.5, 10000):int", [1]),
}


@pytest.fixture
def frame(spark):
    made = spark.createDataFrame(ROWS, SCHEMA)
    made.createOrReplaceTempView("v")
    return made


def answer(frame):
    return (frame.schema.simpleString()[len("struct<") : -1], [row[0] for row in frame.collect()])


@pytest.mark.parametrize("expression", SQL)
def test_sql(spark, frame, expression):
    assert answer(spark.sql(f"SELECT {expression} FROM v")) == SQL[expression]


def test_frames(frame):
    assert answer(frame.select(F.col("x") / F.col("y"))) == SQL["x / y"]
    assert answer(frame.select(F.col("x") / 3)) == SQL["x / 3"]
    assert answer(frame.selectExpr("x / 3")) == SQL["x / 3"]
    assert answer(frame.select(F.col("x") * 2)) == SQL["x * 2"]
    assert answer(frame.select(F.coalesce("x", "d"))) == SQL["coalesce(x, d)"]
    assert answer(frame.select(F.datediff("ts", "dt"))) == SQL["datediff(ts, dt)"]
    assert (
        answer(frame.select(F.upper(F.col("a").cast("string")))) == SQL["upper(cast(a AS string))"]
    )
    assert answer(frame.select(F.isnan("d"))) == SQL["isnan(d)"]
    cents = frame.select((F.col("d") - 1.495).cast("decimal(10,2)"))
    assert answer(cents) == ("CAST((d - 1.495) AS DECIMAL(10,2)):decimal(10,2)", [D("1.01"), None])
    assert answer(frame.select(F.col("d").cast("decimal(4,1)"))) == (
        "d:decimal(4,1)",
        [D("2.5"), None],
    )
    assert answer(frame.select(F.col("x") == "10.254")) == (
        "(x = 10.254):boolean",
        [False, None],
    )
    assert frame.filter(F.col("x") == "10.254").isEmpty()
    joined = frame.select(F.array_join(F.array("d", F.lit(2.0)), " ").alias("joined"))
    assert answer(joined) == SQL["array_join(array(d, 2D), ' ') AS joined"]
    contains = frame.select(F.array_contains("arr", "z"))
    assert answer(contains) == SQL["array_contains(arr, 'z')"]
    assert frame.filter(F.col("x") / 3 > 3.4166665).count() == 1
    assert frame.filter(F.array_contains("arr", "a")).count() == 1
    grouped = frame.groupBy(F.col("x") / 3).agg(F.sum(F.col("x") * 2)).dropna().collect()
    assert [tuple(row) for row in grouped] == [(D("3.416667"), D("20.50"))]


def test_most_of_it_needs_no_spark(door, spark, frame):
    found = answer(spark.sql("SELECT x / y FROM v AS mended_here"))
    assert found == SQL["x / y"]
    engines = door.lake.rows(
        "SELECT DISTINCT engine FROM system.runtime.queries WHERE query LIKE '%AS mended_here'"
    )
    assert [tuple(row) for row in engines] == [("sail",)]


def test_set_operations_of_several_types(spark, frame):
    both = frame.select("a").union(frame.select("d"))
    assert both.schema.simpleString() == "struct<a:double>"
    assert [row.a for row in both.collect()] == [1.0, None, 2.5, None]
    text = spark.sql("SELECT x FROM v UNION ALL SELECT 0")
    assert text.schema.simpleString() == "struct<x:decimal(12,2)>"


def test_parameters_are_named_by_their_values(spark, frame):
    found = spark.sql(
        "SELECT a + :m, element_at(:n, 'k'), :m FROM v LIMIT 1",
        args={"m": 5, "n": F.create_map(F.lit("k"), F.lit(1))},
    )
    assert found.columns == ["(a + 5)", "element_at(map(k, 1), k)", "5"]
    assert spark.sql("SELECT ?, 'x'", args=[5]).columns == ["5", "x"]
    assert (
        spark.sql("SELECT :m * 2 FROM v", args={"m": D("1.50")}).schema.simpleString()
        == "struct<(1.50 * 2):decimal(5,2)>"
    )


def test_settings_in_sql_text(spark):
    spark.conf.set("spark.myapp.low", "7")
    assert spark.conf.get("spark.myapp.low") == "7"
    assert spark.sql("SELECT ${spark.myapp.low} + 1 AS n").collect()[0].n == 8
    assert spark.range(10).filter("id > ${spark.myapp.low}").count() == 2
    spark.sql("SET spark.myapp.table = shop.orders")
    assert spark.sql("SELECT count(*) AS n FROM ${spark.myapp.table}").collect()[0].n == 4


def test_hints_that_spark_refuses(spark):
    orders = spark.table("shop.orders")
    assert orders.hint("COALESCE", 3).count() == 4
    with pytest.raises(AnalysisException):
        orders.hint("REPARTITION", "id", 3).collect()
