"""Apache Spark behind the same session: by fallback, and when the session asks for it."""

from __future__ import annotations

import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import functions as F

pytestmark = [
    pytest.mark.spark,
    pytest.mark.timeout(400),
    pytest.mark.usefixtures("sail", "real_spark"),
]


def test_what_sail_lacks_runs_on_spark_with_the_sessions_state(door, spark, ellen):
    spark.conf.set("spark.sql.shuffle.partitions", "2")
    spark.udf.register("plus_one", lambda x: x + 1, "long")
    spark.range(5).createOrReplaceTempView("five")
    sorted_rows = spark.sql("SELECT plus_one(id) AS n FROM five CLUSTER BY n").collect()
    assert sorted(row.n for row in sorted_rows) == [1, 2, 3, 4, 5]
    assert spark.range(101).approxQuantile("id", [0.5], 0.0) == [50.0]
    rows = door.lake.rows(
        "SELECT engine, state, error_message FROM system.runtime.queries "
        "WHERE query LIKE '%FROM five CLUSTER BY%' AND engine IN ('sail', 'spark') ORDER BY created"
    )
    assert [(engine, state) for engine, state, _ in rows] == [
        ("sail", "FAILED"),
        ("spark", "FINISHED"),
    ]
    assert rows[0][2].startswith("moved to Spark")
    # Policies are those of the caller there too.
    cards = ellen.sql("SELECT card FROM shop.orders CLUSTER BY card").collect()
    assert sorted(row.card for row in cards) == ["*****1111", "*****3333"]


def test_a_session_may_ask_for_spark(door):
    spark = door.connect(**{"headwater-engine": "spark"})
    spark.conf.set("spark.sql.shuffle.partitions", "2")
    assert spark.conf.get("headwater.engine") == "spark"
    found = spark.table("shop.orders").groupBy("region").count().orderBy("region").collect()
    assert [tuple(row) for row in found] == [("EU", 2), ("US", 2)]
    with pytest.raises(AnalysisException) as failure:
        spark.range(1).select("nope").collect()
    assert failure.value.getCondition() == "UNRESOLVED_COLUMN.WITH_SUGGESTION"
    plus = F.udf(lambda x: x + 1, "long")
    assert spark.range(2).select(plus("id").alias("n")).collect()[1].n == 2


def test_user_errors_do_not_fall_back(door, spark):
    before = door.lake.rows("SELECT count(*) FROM system.runtime.queries WHERE engine = 'spark'")
    with pytest.raises(AnalysisException):
        spark.range(1).select("nope").collect()
    after = door.lake.rows("SELECT count(*) FROM system.runtime.queries WHERE engine = 'spark'")
    assert after == before
