"""The system engine's results have Spark's column types and names (those of Spark 4.1)."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.usefixtures("sail")

TYPES = {
    "sum(cast(id AS decimal(15, 2)))": "decimal(25,2)",
    "avg(cast(id AS decimal(15, 2)))": "decimal(19,6)",
    "sum(id)": "bigint",
    "avg(id)": "double",
    "count(*)": "bigint",
    "max(cast(1.5 AS decimal(4, 2)) * cast(2 AS decimal(4, 2)))": "decimal(9,4)",
    "max(cast(1 AS decimal(15, 2)) + cast(1 AS decimal(10, 4)))": "decimal(18,4)",
    "max(id / 2)": "double",
    "max(year(DATE'2024-02-29'))": "int",
    "max(length(card))": "int",
    "max(id % 2 = 0)": "boolean",
    "max(upper(card))": "string",
    "max(DATE'2024-02-29' + INTERVAL '1' DAY)": "date",
}


@pytest.mark.parametrize("expression", TYPES)
def test_types(spark, expression):
    frame = spark.sql(f"SELECT {expression} AS x FROM shop.orders")
    assert frame.schema.fields[0].dataType.simpleString() == TYPES[expression]
    assert frame.collect()[0].x is not None


def test_names_of_columns_without_one(spark):
    frame = spark.sql("SELECT count(*), sum(id), id % 2 FROM shop.orders GROUP BY id % 2")
    assert frame.columns == ["count(1)", "sum(id)", "(id % 2)"]


def test_types_follow_the_text_inside(spark):
    frame = spark.sql(
        "WITH t AS (SELECT sum(cast(id AS decimal(12, 2))) s FROM shop.orders) "
        "SELECT s * 2 AS x FROM t"
    )
    assert frame.schema.fields[0].dataType.simpleString().startswith("decimal(")
    assert frame.count() == 1


def test_parameters_do_not_change_that(spark):
    frame = spark.sql("SELECT sum(id * :f) AS x FROM shop.orders", args={"f": 2})
    assert frame.schema.fields[0].dataType.simpleString() == "bigint"
    assert frame.collect()[0].x > 0
