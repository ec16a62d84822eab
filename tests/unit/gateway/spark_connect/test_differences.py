"""What Sail is known to answer otherwise than Spark goes to Spark, and what is like it does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from headwater.gateway.spark_connect.fallback import needs_spark
from headwater.gateway.spark_connect.ordering import in_one_partition
from unit.gateway.spark_connect.conftest import Client

Work = Callable[[Any], object]


def functions() -> Any:
    from pyspark.sql.connect import functions

    return functions


def struct_of_long() -> Any:
    from pyspark.sql.types import LongType, StructField, StructType

    return StructType([StructField("id", LongType())])


def udf_of(kind: Any) -> Any:
    return functions().udf(lambda value: value, kind)


def types() -> Any:
    from pyspark.sql import types

    return types


def point() -> Any:
    from pyspark.sql.types import ArrayType, DoubleType, UserDefinedType

    class Point(UserDefinedType):  # type: ignore[misc, valid-type]
        @classmethod
        def sqlType(cls) -> Any:
            return ArrayType(DoubleType(), False)

        @classmethod
        def module(cls) -> str:
            return "__main__"

        def serialize(self, obj: Any) -> Any:
            return obj

        def deserialize(self, datum: Any) -> Any:
            return datum

    return Point()


def collated(name: str) -> Any:
    from pyspark.sql.types import StringType

    return StringType(name)


def column(build: Callable[[Any], Any]) -> Work:
    return lambda spark: spark.range(1).select(build(functions())).collect()


def sql(text: str) -> Work:
    return lambda spark: spark.sql(text)


FOR_SPARK: dict[str, Work] = {
    "to": lambda s: s.range(1).to(struct_of_long()).collect(),
    "parse_json": column(lambda f: f.parse_json(f.lit("1.5"))),
    "a cast to variant": column(lambda f: f.lit("1").cast("variant")),
    "a cast to rows with one": column(lambda f: f.col("id").cast("struct<a: variant>")),
    "a function that gives variants": column(lambda f: udf_of(types().VariantType())("id")),
    "variant in SQL": sql("select cast(1 as variant) v"),
    "variant of JSON in SQL": sql("select try_variant_get(try_parse_json(x), '$.a') from ns.t"),
    "lateral subquery": sql("select * from ns.t, lateral (select a + 1)"),
    "lateral function": sql("select * from ns.t, lateral explode(b)"),
    "lateral join": lambda s: s.range(1).lateralJoin(s.range(2)).collect(),
    "collation": column(lambda f: f.col("id").cast(collated("UNICODE_CI"))),
    "collation by name": column(lambda f: f.col("id").cast("string collate UNICODE_CI")),
    "collation in SQL": sql("select 'a' collate unicode_ci = 'A'"),
    "collation in expr": column(lambda f: f.expr("'a' collate unicode_ci")),
    "except all": lambda s: s.range(1).exceptAll(s.range(1)).collect(),
    "elt": sql("select elt(5, 'a')"),
    "percentiles": lambda s: s.range(1).summary("1%").collect(),
    "rows by range": lambda s: s.range(9).repartitionByRange(2, "id").collect(),
    "transform of a partition": column(lambda f: f.partitioning.days("id")),
    "CSV": lambda s: s.read.csv("/x", schema="a int").collect(),
    "JSON": lambda s: s.read.json("/x").collect(),
    "CSV by its class": lambda s: s.read.format("org.apache.spark.sql.csv").load("/x").collect(),
    "timestamps of files": lambda s: s.read.schema("t timestamp").parquet("/x").collect(),
    "CSV as a table": lambda s: s.table("csv.`/x`").collect(),
    "JSON in SQL": sql("select * from ns.t join `json`.`/x/y`"),
    "written CSV": lambda s: s.range(5).write.csv("/x"),
    "written JSON": lambda s: s.range(5).write.json("/x"),
    "lines that end otherwise": lambda s: s.read.text("/x", lineSep="|").collect(),
    "functions that give CHAR": column(lambda f: udf_of(types().CharType(3))("id")),
    "types of users in functions": column(lambda f: udf_of(point())("id")),
}


@pytest.mark.parametrize("name", FOR_SPARK)
def test_for_spark_at_once(client: Client, name: str) -> None:
    plan = client.plan(lambda: FOR_SPARK[name](client.spark))
    assert needs_spark([plan], ())


def by_day(writer: Any) -> Any:
    return writer.partitionedBy(functions().partitioning.days("id"))


FOR_SAIL: dict[str, Work] = {
    "a query": sql("select a, sum(b) from ns.t group by a order by 1"),
    "a range": lambda s: s.range(5).collect(),
    "a column called variant": sql("select variant, a as variant, time from ns.t"),
    "a schema with such names": lambda s: s.read.schema("variant string").parquet("/x").collect(),
    "lateral view": sql("select * from ns.t lateral view outer explode(b) e as c"),
    "the usual order of strings": column(lambda f: f.col("id").cast(collated("UTF8_BINARY"))),
    "Parquet": lambda s: s.read.parquet("/x").collect(),
    "Parquet in SQL": sql("select csv.a, json.b from parquet.`/x/csv` csv, ns.t json"),
    "written Parquet": lambda s: s.range(5).write.parquet("/x"),
    "text": lambda s: s.read.text("/x").collect(),
    "a function": column(lambda f: udf_of(types().LongType())("id")),
    "hash": lambda s: s.range(9).repartition(2, "id").collect(),
    "a write by range": lambda s: s.range(9).repartitionByRange(2, "id").writeTo("n").create(),
    "a partitioned write": lambda s: by_day(s.range(9).writeTo("n")).create(),
    "usual percentiles": lambda s: s.range(1).summary("25%", "max").collect(),
    "intersect": lambda s: s.range(1).intersect(s.range(1)).collect(),
}  # fmt: skip


@pytest.mark.parametrize("name", FOR_SAIL)
def test_for_sail(client: Client, name: str) -> None:
    plan = client.plan(lambda: FOR_SAIL[name](client.spark))
    assert not needs_spark([plan], ())


def test_checkpoints_are_in_spark(client: Client) -> None:
    plan = client.plan(client.spark.range(5).collect)
    plan.root.cached_remote_relation.relation_id = "made-before"
    assert needs_spark([plan], {"made-before"})
    assert not needs_spark([plan], {"another"})


def test_views_are_judged_too(client: Client) -> None:
    view = client.plan(lambda: FOR_SPARK["to"](client.spark)).root
    assert needs_spark([client.plan(client.spark.range(1).collect), view], ())


def ranges(client: Client, work: Callable[[], object]) -> list[int]:
    """The partitions of the ranges of a plan, as Sail gets it; 0: as Sail likes."""
    plan = client.plan(work)
    in_one_partition(plan)
    found, waiting = [], [plan.root]
    while waiting:
        relation = waiting.pop()
        kind = relation.WhichOneof("rel_type")
        if kind == "range":
            found.append(relation.range.num_partitions)
        elif kind == "join":
            waiting += [relation.join.right, relation.join.left]
        else:
            waiting.append(getattr(relation, kind).input)
    return found


def test_small_ranges_have_one_partition_on_sail(client: Client) -> None:
    spark, f = client.spark, functions()
    assert ranges(client, spark.range(8, numPartitions=4).collect) == [1]
    assert ranges(client, spark.range(100, 0, -3).select("id").collect) == [1]
    assert ranges(client, spark.range(8000).crossJoin(spark.range(9000)).collect) == [1, 0]
    assert ranges(client, spark.range(-(2**63), 2**63 - 1, 1, 4).collect) == [4]
    by_partition = spark.range(8, numPartitions=4).select(f.spark_partition_id())
    assert ranges(client, by_partition.collect) == [4]
    numbered = spark.range(8, numPartitions=4).selectExpr("monotonically_increasing_id()")
    assert ranges(client, numbered.collect) == [4]
