"""Functions in Python answer as on Spark: what they get, what becomes of what they give."""

from __future__ import annotations

import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import functions as F

pytestmark = [
    pytest.mark.spark,
    pytest.mark.timeout(400),
    pytest.mark.usefixtures("sail", "real_spark"),
]


def test_binary_values_are_bytes(door, spark):
    def kind(value):
        return type(value).__name__

    named = F.udf(kind, "string")
    frame = spark.createDataFrame([(bytearray(b"a"), [b"b"])], "one binary, many array<binary>")
    frame.writeTo("shop.blobs").create()
    try:
        many = F.udf(lambda values: kind(values[0]), "string")
        assert frame.select(named("one"), many("many")).first()[:] == ("bytes", "bytes")
        assert spark.table("shop.blobs").select(named("one")).first()[0] == "bytes"
        spark.udf.register("kind_of", kind)
        assert spark.sql("select kind_of(one) from shop.blobs").first()[0] == "bytes"
        spark.conf.set("spark.sql.execution.pyspark.binaryAsBytes", "false")
        assert spark.table("shop.blobs").select(named("one")).first()[0] == "bytearray"
    finally:
        door.lake.rows("DROP TABLE shop.blobs")


def test_what_a_pandas_function_returns_is_cast(spark):
    import pandas as pd

    for given, declared, wanted in (("123", "int", 123), (7.0, "decimal(10,0)", 7)):
        made = F.pandas_udf(lambda _, given=given: pd.Series([given]), declared)
        assert spark.range(1).select(made("id")).first()[0] == wanted


def test_tasks_and_barriers_are_there(spark):
    def tasks(batches):
        from pyspark import BarrierTaskContext, TaskContext

        for batch in batches:
            is_barrier = isinstance(TaskContext.get(), BarrierTaskContext)
            yield batch.assign(barrier=is_barrier, partition=TaskContext.get().partitionId())

    schema = "id long, barrier boolean, partition int"
    for barrier in (False, True):
        frame = spark.range(1, numPartitions=1).mapInPandas(tasks, schema, barrier=barrier)
        assert frame.collect() == [(0, barrier, 0)]


def test_vectors_travel(spark):
    from pyspark.ml.linalg import Vectors, VectorUDT
    from pyspark.sql.types import StructField, StructType

    schema = StructType([StructField("v", VectorUDT())])
    frame = spark.createDataFrame([(Vectors.dense([1.0, 2.0]),)], schema)
    assert frame.schema == schema
    assert frame.first().v == Vectors.dense([1.0, 2.0])
    total = F.udf(lambda vector: float(vector.toArray().sum()), "double")
    assert frame.select(total("v")).first()[0] == 3.0


def test_other_classes_of_the_jvm_do_not(spark):
    from pyspark.ml.linalg import Vectors, VectorUDT
    from pyspark.sql.types import StructField, StructType

    class Other(VectorUDT):
        @classmethod
        def scalaUDT(cls):
            return "java.lang.ProcessBuilder"

    with pytest.raises(AnalysisException, match="a class of the JVM"):
        rows = [(Vectors.dense([1.0]),)]
        spark.createDataFrame(rows, StructType([StructField("v", Other())])).collect()
    with pytest.raises(AnalysisException, match="a class of the JVM"):
        spark.range(1).select(F.col("id").cast(Other())).collect()
