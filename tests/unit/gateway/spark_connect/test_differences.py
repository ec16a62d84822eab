"""What Sail is known to answer otherwise than Spark goes to Spark, and what is like it does not."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest

from headwater.engines.userprocess.engine import SAIL
from headwater.gateway.spark_connect.binaries import check_binaries
from headwater.gateway.spark_connect.failures import SparkFailure
from headwater.gateway.spark_connect.fallback import functions_in, gap, needs_spark
from headwater.gateway.spark_connect.ordering import in_one_partition
from headwater.gateway.spark_connect.protocol import messages
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


def of_the_jvm() -> Any:
    """A type of users that Spark knows as a class of its own."""
    kind = point()
    type(kind).scalaUDT = classmethod(lambda cls: "org.apache.spark.ml.linalg.VectorUDT")
    type(kind).module = classmethod(lambda cls: "pyspark.ml.linalg")
    return kind


def collated(name: str) -> Any:
    from pyspark.sql.types import StringType

    return StringType(name)


class Numbers:
    """A table function."""

    def eval(self, most: int) -> Any:
        """The numbers below another."""
        yield from ((number,) for number in range(most))


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
    "JSON files": lambda s: s.read.json("/x").collect(),
    "CSV by its class": lambda s: s.read.format("org.apache.spark.sql.csv").load("/x").collect(),
    "timestamps of files": lambda s: s.read.schema("t timestamp").parquet("/x").collect(),
    "CSV as a table": lambda s: s.table("csv.`/x`").collect(),
    "JSON in SQL": sql("select * from ns.t join `json`.`/x/y`"),
    "written CSV": lambda s: s.range(5).write.csv("/x"),
    "written JSON": lambda s: s.range(5).write.json("/x"),
    "lines that end otherwise": lambda s: s.read.text("/x", lineSep="|").collect(),
    "functions that give CHAR": column(lambda f: udf_of(types().CharType(3))("id")),
    "numbers in grouping sets": sql(
        "select a, count(*) from ns.t group by grouping sets((1), (b))"
    ),
    "names of having": sql("select sum(a) b from ns.t group by rollup(b)\nhaving b > 1"),
    "bytes of numbers": sql("select cast(a as binary) from ns.t"),
    "bytes of a column": column(lambda f: f.col("id").cast("binary")),
    "units of intervals": sql("select cast(interval '10' day as bigint)"),
    "a cast to an interval": sql("select 10 :: interval day"),
    "seconds": sql("select to_timestamp(1.5)"),
    "random numbers used twice": sql(
        "with r as (select rand() x)\nselect * from r union select * from r"
    ),
    "decimals united": sql(
        "select cast(1 as decimal(4,1)) union all select cast(1 as decimal(9,2))"
    ),
    "a number in another base": column(lambda f: f.conv("id", 10, 16)),
    "letters": column(lambda f: f.split(f.lit("hello"), "")),
    "letters in SQL": sql("select split('hello', '', 3)"),
    "a count of no rows": sql(
        "select * from ns.t where a in (select count(*) + 1 from ns.u where u.a = t.a)"
    ),
    "a group of no rows": sql(
        "select * from ns.t where a in (select 1 from ns.u where u.a = t.a having max(b) > 0)"
    ),
    "JSON": column(lambda f: f.from_json(f.lit("[1]"), "array<int>")),
    "the length of JSON": sql("select json_array_length(b) from ns.t"),
    "histogram": column(lambda f: f.histogram_numeric("id", f.lit(2))),
    "arguments by name": sql("select mask(a, digitChar => 'd') from ns.t"),
    "natural join": sql("select t.* from ns.t natural left join ns.u"),
    "columns of one side": sql("select t.*, u.b from ns.t join ns.u using (a)"),
    "a cube of groups": sql("select a, b, sum(c) from ns.t group by cube (a, (a, b))"),
    "grouping sets of sums": sql("select a + b from ns.t group by grouping sets ((a + b), (b))"),
    "a count by stars": sql("select count(t.*, t.*) from ns.t"),
    "names of zones": sql("select date_format(ts, 'yyyy-MM-dd z') from ns.t"),
    "zones of a frame": column(lambda f: f.date_format("id", "HH:mm O")),
    "an aggregate that exists": sql("select * from ns.t where exists (select count(*) from ns.u)"),
    "not in beside or": sql("select * from ns.t where a = 1 or b not in (select b from ns.u)"),
    "not in of columns": sql("select * from ns.t where (a, b) not in (select a, b from ns.u)"),
    "a value of in": sql("select a, a in (select b from ns.u) from ns.t"),
    "a table function": lambda s: (
        functions().udtf(Numbers, returnType="n int")(functions().lit(1)).collect()
    ),
    "types of users in functions": column(lambda f: udf_of(point())("id")),
    "types of users in the JVM": column(lambda f: f.col("id").cast(of_the_jvm())),
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
    "grouping sets": sql("select a, count(*) from ns.t group by grouping sets((a), (b))"),
    "a time of text": sql("select to_timestamp(b), to_timestamp('2026-01-31') from ns.t"),
    "words": sql("select split(b, ' '), split(b, ',', 2) from ns.t"),
    "in": sql("select count(*) from ns.t where a in (select a from ns.u where u.b > 3)"),
    "random numbers": sql("select rand() from ns.t"),
    "an interval": sql("select now() + interval '10' day, a as binary_ from ns.t"),
    "decimals": sql("select a from ns.t union all select cast(1 as decimal(9,2))"),
    "lateral view": sql("select * from ns.t lateral view outer explode(b) e as c"),
    "the usual order of strings": column(lambda f: f.col("id").cast(collated("UTF8_BINARY"))),
    "Parquet": lambda s: s.read.parquet("/x").collect(),
    "Parquet in SQL": sql("select csv.a, json.b from parquet.`/x/csv` csv, ns.t json"),
    "written Parquet": lambda s: s.range(5).write.parquet("/x"),
    "text": lambda s: s.read.text("/x").collect(),
    "a function": column(lambda f: udf_of(types().LongType())("id")),
    "using": sql("select *, u.b from ns.t join ns.u using (a)"),
    "not in": sql("select * from ns.t where a = 1 and b not in (select b from ns.u)"),
    "exists": sql("select count(*) from ns.t where exists (select 1 from ns.u where b = 1)"),
    "a cube": sql("select a, b, sum(c) from ns.t group by cube (a, b) order by lower(b)"),
    "counts": sql("select count(*), count(a, b), count(1) from ns.t"),
    "dates as text": sql("select date_format(ts, 'yyyy-MM-ddZ'), 'zone' from ns.t"),
    "dates of a frame": column(lambda f: f.date_format("id", "yyyy-MM-dd HH:mm")),
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


MAP_IN_PANDAS, MAP_IN_ARROW, GROUPS, GROUPS_IN_PARTS = 205, 207, 201, 216


@pytest.mark.parametrize(
    ("kind", "parts", "for_spark"),
    [
        (MAP_IN_PANDAS, {}, False),
        (MAP_IN_PANDAS, {"barrier": True}, True),
        (MAP_IN_PANDAS, {"output": "id long not null"}, False),
        (MAP_IN_ARROW, {}, False),
        (MAP_IN_ARROW, {"output": "id long not null"}, True),
        (MAP_IN_ARROW, {"nullable": True}, False),
        (MAP_IN_ARROW, {"nullable": False}, True),
        (GROUPS, {}, False),
        (GROUPS, {"command": b"cpyspark.taskcontext TaskContext"}, True),
        (GROUPS_IN_PARTS, {}, True),
        (GROUPS_IN_PARTS - 1, {}, True),
    ],
)
def test_functions_over_many_rows(kind: int, parts: dict[str, Any], for_spark: bool) -> None:
    plan = messages().Plan()
    if kind in (MAP_IN_PANDAS, MAP_IN_ARROW):
        plan.root.map_partitions.is_barrier = parts.get("barrier", False)
        function = plan.root.map_partitions.func.python_udf
    else:
        function = plan.root.group_map.func.python_udf
    function.eval_type, function.command = kind, parts.get("command", b"")
    if "nullable" in parts:
        function.output_type.struct.fields.add(name="id", nullable=parts["nullable"])
    else:
        function.output_type.unparsed.data_type_string = parts.get("output", "id long")
    assert needs_spark([plan], ()) is for_spark


@pytest.mark.parametrize("jvm", [True, False])
def test_rows_of_types_of_users(jvm: bool) -> None:
    kind = {"type": "udt", "sqlType": "double", "pyClass": "a.B", "serializedClass": "x"}
    if jvm:
        kind["class"] = "org.apache.spark.ml.linalg.VectorUDT"
    plan = messages().Plan()
    field = {"name": "p", "type": kind, "nullable": True, "metadata": {}}
    plan.root.local_relation.schema = json.dumps({"type": "struct", "fields": [field]})
    assert needs_spark([plan], ()) is jvm


def register(name: str, kind: int) -> dict[str, bytes]:
    command = messages().Command()
    command.register_function.function_name = name
    command.register_function.python_udf.eval_type = kind
    return {name: command.SerializeToString()}


def test_registered_functions_are_judged_too(client: Client) -> None:
    plan = client.plan(lambda: client.spark.sql("select Grouped(a) from ns.t"))
    for name, found in (("grouped", 1), ("other", 0)):
        commands = functions_in([plan], register(name, GROUPS_IN_PARTS), messages())
        assert len(commands) == found
        assert needs_spark([plan, *commands], ()) is bool(found)


ROW_BY_ROW, ARROW = 100, 101


@pytest.mark.parametrize(
    ("schema", "kind", "setting", "for_spark"),
    [
        ("a int, b binary", ROW_BY_ROW, None, True),
        ("a array<struct<b: BINARY>>", ROW_BY_ROW, "true", True),
        ("a int, b binary", ROW_BY_ROW, "false", False),
        ("a int, b binary", ARROW, None, False),
        ("a int, b string", ROW_BY_ROW, None, False),
        ("a int, binary_ string", ROW_BY_ROW, None, False),
    ],
)
def test_functions_over_binary_columns(
    schema: str, kind: int, setting: str | None, for_spark: bool
) -> None:
    plan = messages().Plan()
    plan.root.project.input.read.data_source.schema = schema
    function = plan.root.project.expressions.add().common_inline_user_defined_function
    function.python_udf.eval_type = kind
    function.python_udf.output_type.binary.SetInParent()
    with pytest.raises(SparkFailure) if for_spark else nullcontext() as told:
        check_binaries([plan], lambda key: setting)
    assert told is None or gap(told.value)


def test_what_functions_return_is_cast_by_spark() -> None:
    trace = "\n".join(
        (
            "Traceback (most recent call last):",
            '  File "/x/pyspark/sql/conversion.py", line 410, in convert_column',
            "pyarrow.lib.ArrowInvalid: Could not convert '123' with type str",
        )
    )
    raised = trace.replace("convert_column", "by_the_user")
    for text, moves in ((trace, True), (raised, False)):
        failure = SparkFailure(text, ("org.apache.spark.api.python.PythonException",))
        failure.engine = SAIL
        assert bool(gap(failure)) is moves
        failure.engine = "spark"
        assert not gap(failure)


def test_a_division_by_zero_that_no_row_comes_to() -> None:
    failure = SparkFailure("[DIVIDE_BY_ZERO] divide by zero", error_class="DIVIDE_BY_ZERO")
    failure.engine = SAIL
    assert gap(failure, b"SELECT if(n = 0, 0, 1 / 0) FROM t")
    assert not gap(failure, b"SELECT 1 / 0 FROM t")


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
