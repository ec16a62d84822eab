"""The Spark part of the red-team list on the level of plans: what each attack meets.

Each record is client code and the error that it must end with, or `neutral` with what the plan
must then hold or not hold. A name such as A96 is the attack's number in the list.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf import any_pb2

from headwater.errors import ErrorCode, HeadwaterError
from headwater.gateway.spark_connect.plans import (
    PlanLimits,
    RewrittenPlan,
    check_artifact,
    check_setting,
    rewrite,
    rewrite_analysis,
)
from headwater.gateway.spark_connect.plans.types import check_schema
from headwater.gateway.spark_connect.protocol import messages
from unit.gateway.spark_connect.conftest import Client

DENIED = ErrorCode.PERMISSION_DENIED
UNSUPPORTED = ErrorCode.NOT_SUPPORTED
MISSING = ErrorCode.TABLE_NOT_FOUND
UNKNOWN = ErrorCode.FUNCTION_NOT_FOUND
SYNTAX = ErrorCode.SYNTAX_ERROR

SQL = [
    ("A90", "select * from parquet.`/p`", DENIED),
    ("A90 csv", "select * from csv.`/etc/passwd`", DENIED),
    ("A90 text", "select * from text.`file:///etc/passwd`", DENIED),
    ("A90 in a subquery", "select 1 where exists (select * from json.`/p/q`)", DENIED),
    ("A90 in WITH", "with a as (select * from parquet.`/p`) select * from a", DENIED),
    ("A90 in a join", "select * from ns.t join orc.`/p/x` using (a)", DENIED),
    ("A90 in a scalar subquery", "select (select max(value) from text.`/etc/shadow`)", DENIED),
    ("A90 in IN", "select 1 from ns.t where a in (select value from text.`/etc/shadow`)", DENIED),
    ("A90 table argument", "select * from explode(table(text.`/etc/passwd`))", DENIED),
    ("A90 lateral", "select * from ns.t, lateral (select * from text.`/etc/passwd`)", DENIED),
    ("A90 unioned", "select 'a' union all select value from text.`/etc/passwd`", DENIED),
    ("A90 spelt out", "select * from `PARQUET`.`/p`", DENIED),
    ("A91 no grant", "select * from hr.secret", MISSING),
    ("A91 subquery", "select * from ns.t where a = (select max(x) from hr.secret)", MISSING),
    ("A91 inner WITH", "select * from (with x as (select * from hr.secret) select * from x)", MISSING),  # noqa: E501
    ("A91 order by", "select a from ns.t order by (select 1 from hr.secret)", MISSING),
    ("A91 pivot", "select * from hr.secret pivot (max(a) for b in ('x'))", MISSING),
    ("A91 values", "select * from values ((select max(a) from hr.secret)) as t(a)", MISSING),
    ("A91 CTE does not hide its own body", "with secret as (select * from hr.secret) select 1", MISSING),  # noqa: E501
    ("A91 table argument", "select * from explode(table(hr.secret))", MISSING),
    ("A91 plain table argument", "select * from explode(1, x => table hr.secret)", MISSING),
    ("A91 query as an argument", "select * from explode(table(select max(x) from hr.secret))", MISSING),  # noqa: E501
    ("A91 order of an argument", "select * from explode(table(ns.t) order by (select 1 from hr.secret))", MISSING),  # noqa: E501
    ("A91 spark_catalog", "select * from spark_catalog.hr.secret", MISSING),
    ("A96", "select java_method('java.lang.System', 'getenv', 'HOME')", DENIED),
    ("A96 reflect", "select reflect('java.lang.Runtime', 'getRuntime')", DENIED),
    ("A96 try_reflect", "select try_reflect('java.lang.System', 'getenv', 'HOME')", DENIED),
    ("A96 upper case", "select JAVA_METHOD('a', 'b')", DENIED),
    ("A96 quoted", "select `java_method`('a', 'b')", DENIED),
    ("A96 in a window", "select max(reflect('a','b')) over () from ns.t", DENIED),
    ("A96 in a lambda", "select transform(array(1), x -> java_method('a', 'b'))", DENIED),
    ("A96 in a hint", "select /*+ broadcast(t) */ java_method('a','b') from ns.t t", DENIED),
    ("A97", "select input_file_name() from ns.t", DENIED),
    ("A97 block", "select input_file_block_start() from ns.t", DENIED),
    ("A97 _metadata", "select _metadata.file_path from ns.t", DENIED),
    ("A97 _metadata of an alias", "select t._metadata.file_path from ns.t", DENIED),
    ("A97 all of _metadata", "select _metadata.* from ns.t", DENIED),
    ("code in a parameter's name", "select :`x, java_method('a', 'b')`", SYNTAX),
    ("code in a unit", "select extract(`java_method(1), year` from current_date)", SYNTAX),
    ("code in a unit of dateadd", "select dateadd(`day, java_method(1)`, 1, current_date)", None),
    ("code in a function's name", "select `sum(1), java_method`(1)", UNKNOWN),
    ("A97 in a table argument", "select * from explode(table(ns.t) partition by t._metadata)", DENIED),  # noqa: E501
    ("A96 in a table argument", "select * from explode(table(ns.t) partition by reflect('a', 'b'))", DENIED),  # noqa: E501
    ("A97 _metadata quoted", "select `_METADATA`.file_path from ns.t", DENIED),
    ("script", "select transform(a) using 'cat' as (b) from ns.t", UNSUPPORTED),
    ("identifier clause", "select * from identifier('hr.secret')", MISSING),
    ("identifier function", "select identifier('java_method')('a', 'b')", None),
    ("two statements", "select 1; select 2", SYNTAX),
    ("an unknown function", "select no_such_function(1)", UNKNOWN),
    ("a function of a schema", "select hr.f(1)", UNKNOWN),
    ("read_files", "select * from read_files('/etc/passwd')", UNKNOWN),
    ("worker logs", "select * from python_worker_logs()", DENIED),
    ("load data", "load data inpath '/etc/passwd' into table ns.t", None),
    ("add jar", "add jar '/tmp/x.jar'", None),
    ("list file", "list file", None),
    ("create function", "create temporary function f as 'a.B'", UNSUPPORTED),
    ("create function using jar", "create function f as 'a.B' using jar '/x.jar'", UNSUPPORTED),
    ("refresh path", "refresh '/etc'", UNSUPPORTED),
    ("set of code", "set spark.sql.extensions=a.B", DENIED),
    ("set of hadoop", "set spark.hadoop.fs.s3a.access.key=x", DENIED),
    ("set with a quoted key", "set `spark.sql.catalog.x`=a.B", DENIED),
    ("set of substitution", "set spark.sql.variable.substitute=true", DENIED),
    ("set of a value to substitute", "set spark.sql.legacy.x=${env:HOME}", DENIED),
    ("insert directory", "insert overwrite directory '/tmp/x' using parquet select 1", None),
    ("insert directory hive", "insert overwrite local directory '/tmp/x' select 1", None),
    ("temporary view of files", "create temporary view v using parquet options (path '/p')", None),
    ("streaming table", "select * from stream(ns.t)", UNKNOWN),
    ("execute immediate", "execute immediate 'select 1'", UNSUPPORTED),
    ("scripting", "begin select 1; end", None),
    ("declare", "declare variable x int", UNSUPPORTED),
    ("deep brackets", "select " + "(" * 5000 + "1" + ")" * 5000, SYNTAX),
    ("the inbox itself", "select * from parquet.`/inbox/ns.t`", DENIED),
    ("the inbox by a name that is ours", "select * from hw_0123456789", None),
]  # fmt: skip


@pytest.mark.parametrize(("attack", "text", "code"), SQL, ids=[name for name, _, _ in SQL])
def test_sql(client: Client, attack: str, text: str, code: ErrorCode | None) -> None:
    plan = client.plan(lambda: client.spark.sql(text))
    found = outcome(plan, client)
    if code is not None:
        assert found is code, attack
    elif not isinstance(found, ErrorCode):
        # Only a name that means something else may get here: it is looked up like any table.
        assert [name for name, _, _ in client.stager.tables] in ([], ["hw_0123456789"])


def outcome(plan: Any, client: Client) -> ErrorCode | RewrittenPlan:
    """What a plan meets: the code of its refusal, or the plan once it was staged."""
    try:
        rewritten = rewrite(plan, client.context)
        parts = [rewritten] if rewritten.write is None else rewritten.write.sources.values()
        for part in parts:
            if part.stage is not None:
                part.staged()
    except HeadwaterError as refused:
        return refused.code
    return rewritten


def _expression(text: str) -> Any:
    return lambda spark: spark.table("ns.t").selectExpr(text).collect()


def _column(build: Any) -> Any:
    def work(spark: Any) -> Any:
        import pyspark.sql.connect.functions as functions

        return spark.table("ns.t").select(build(functions)).collect()

    return work


FRAMES = [
    ("A89 parquet", lambda s: s.read.parquet("/p").collect(), DENIED),
    ("A89 load", lambda s: s.read.format("csv").load("/etc/passwd").collect(), DENIED),
    ("A89 option", lambda s: s.read.format("csv").option("path", "/etc/passwd").load().collect(), DENIED),  # noqa: E501
    ("A89 text", lambda s: s.read.text("file:///etc/passwd").collect(), DENIED),
    ("A89 many", lambda s: s.read.parquet("/granted/a", "/p").collect(), DENIED),
    ("A89 jdbc", lambda s: s.read.format("jdbc").option("url", "jdbc:x").load().collect(), UNSUPPORTED),  # noqa: E501
    ("A89 a class", lambda s: s.read.format("org.evil.Source").load("/p").collect(), UNSUPPORTED),
    ("A89 kafka", lambda s: s.read.format("kafka").load().collect(), UNSUPPORTED),
    ("A89 an option of Hadoop", lambda s: s.read.option("fs.s3a.access.key", "x").parquet("/granted/a").collect(), DENIED),  # noqa: E501
    ("A89 a codec class", lambda s: s.read.option("compression", "a.B").csv("/granted/a").collect(), DENIED),  # noqa: E501
    ("A89 XSD", lambda s: s.read.format("xml").option("rowTag", "r").option("rowValidationXSDPath", "/x").load("/granted/a").collect(), DENIED),  # noqa: E501
    ("A89 table", lambda s: s.table("parquet.`/p`").collect(), DENIED),
    ("A89 iceberg path", lambda s: s.read.format("iceberg").load("/warehouse/t").collect(), UNSUPPORTED),  # noqa: E501
    ("A91 table", lambda s: s.table("hr.secret").collect(), MISSING),
    ("A91 read.table", lambda s: s.read.table("lake.hr.secret").collect(), None),
    ("A96 function", _column(lambda f: f.java_method(f.lit("a"), f.lit("b"))), DENIED),
    ("A96 reflect", _column(lambda f: f.reflect(f.lit("a"), f.lit("b"))), DENIED),
    ("A96 try_reflect", _column(lambda f: f.try_reflect(f.lit("a"), f.lit("b"))), DENIED),
    ("A96 call_function", _column(lambda f: f.call_function("java_method", f.lit("a"))), DENIED),
    ("A96 qualified", _column(lambda f: f.call_function("system.builtin.java_method", f.lit("a"))), UNKNOWN),  # noqa: E501
    ("A96 nested", _column(lambda f: f.upper(f.concat(f.lit("x"), f.reflect(f.lit("a"), f.lit("b"))))), DENIED),  # noqa: E501
    ("A96 lambda", _column(lambda f: f.transform(f.array(f.lit(1)), lambda x: f.reflect(f.lit("a"), f.lit("b")))), DENIED),  # noqa: E501
    ("A97 input_file_name", _column(lambda f: f.input_file_name()), DENIED),
    ("A97 _metadata", _column(lambda f: f.col("_metadata.file_path")), DENIED),
    ("A97 star", _column(lambda f: f.col("_metadata.*")), DENIED),
    ("A97 alias", _column(lambda f: f.col("t._metadata.file_name")), DENIED),
    ("SQL in a column's metadata", _column(lambda f: f.col("a").alias("b", metadata={"EXISTS_DEFAULT": "java_method('a')"})), DENIED),  # noqa: E501
    ("a function of a dangerous name", lambda s: s.udf.register("java_method", lambda x: x), ErrorCode.INVALID_ARGUMENT),  # noqa: E501
    ("a function whose name is code", lambda s: s.udf.register("f(1), java_method", lambda x: x), ErrorCode.INVALID_ARGUMENT),  # noqa: E501
    ("A97 metadataColumn", lambda s: s.table("ns.t").select(s.table("ns.t").metadataColumn("_metadata")).collect(), DENIED),  # noqa: E501
    ("A101 expr", _expression("java_method('a', 'b')"), DENIED),
    ("A101 subquery", _expression("(select max(x) from hr.secret)"), MISSING),
    ("A101 file", _expression("(select max(value) from text.`/etc/passwd`)"), DENIED),
    ("A101 two expressions", _expression("1, 2 from hr.secret"), SYNTAX),
    ("A101 a whole statement", _expression("1 union select * from hr.secret"), SYNTAX),
    ("A101 where", lambda s: s.table("ns.t").where("exists (select 1 from hr.secret)").collect(), MISSING),  # noqa: E501
    ("A101 filter", lambda s: s.table("ns.t").filter("reflect('a', 'b') = 'c'").collect(), DENIED),
    ("A101 agg", lambda s: s.table("ns.t").groupBy().agg({"a": "reflect"}).collect(), DENIED),
    ("A101 lit is no SQL", _column(lambda f: f.lit("' union select * from hr.secret --")), None),
    ("cast to a type that is code", _column(lambda f: f.col("a").cast("int) as x, java_method('a','b'")), SYNTAX),  # noqa: E501
    ("schema that is code", lambda s: s.read.schema("a int default java_method('a')").parquet("/granted/a").collect(), None),  # noqa: E501
    ("A100 data source", lambda s: _data_source(s), UNSUPPORTED),
    ("A100 streaming read", lambda s: s.readStream.format("rate").load().writeStream.format("console").start(), UNSUPPORTED),  # noqa: E501
    ("A100 streaming table", lambda s: s.readStream.table("ns.t").writeStream.format("memory").start(), UNSUPPORTED),  # noqa: E501
    ("A98 inputs", lambda s: s.table("hr.secret").explain(True), None),
    ("write to a path of the system", lambda s: s.range(1).write.format("jdbc").save("/x"), UNSUPPORTED),  # noqa: E501
    ("write where it likes", lambda s: s.range(1).write.option("path", "/x").saveAsTable("ns.n"), DENIED),  # noqa: E501
    ("data path", lambda s: s.range(1).writeTo("ns.n").tableProperty("write.data.path", "/x").create(), DENIED),  # noqa: E501
    ("metadata path", lambda s: s.range(1).writeTo("ns.n").tableProperty("write.metadata.path", "/x").create(), DENIED),  # noqa: E501
    ("java udf", lambda s: s.udf.registerJavaFunction("f", "a.B"), UNSUPPORTED),
    ("java udaf", lambda s: s.udf.registerJavaUDAF("f", "a.B"), UNSUPPORTED),
    ("global view of nobody", lambda s: s.table("global_temp.x").collect(), MISSING),
]  # fmt: skip


def _data_source(spark: Any) -> None:
    from pyspark.sql.datasource import DataSource

    class Evil(DataSource):
        @classmethod
        def name(cls) -> str:
            return "evil"

    spark.dataSource.register(Evil)


@pytest.mark.parametrize(("attack", "work", "code"), FRAMES, ids=[name for name, _, _ in FRAMES])
def test_data_frames(client: Client, attack: str, work: Any, code: ErrorCode | None) -> None:
    before = len(client.recorder.plans)
    try:
        plan = client.plan(lambda: work(client.spark))
    except AssertionError:
        assert code is None, f"{attack}: the client sent no plan"
        return
    assert len(client.recorder.plans) > before
    found = outcome(plan, client)
    assert code is None or found is code, f"{attack}: {found}"


def _any() -> Any:
    return any_pb2.Any(type_url="type.googleapis.com/evil.Message", value=b"\x08\x01")


def test_a100_extensions_are_refused_at_every_place(client: Client) -> None:
    pb = messages()
    relation = pb.Plan()
    relation.root.extension.CopyFrom(_any())
    expression = pb.Plan()
    expression.root.project.input.range.step = 1
    expression.root.project.expressions.add().extension.CopyFrom(_any())
    command = pb.Plan()
    command.command.extension.CopyFrom(_any())
    nested = pb.Plan()
    nested.root.filter.input.extension.CopyFrom(_any())
    for plan in (relation, expression, command, nested):
        with pytest.raises(HeadwaterError) as refused:
            rewrite(plan, client.context)
        assert refused.value.code is UNSUPPORTED


def test_a100_ml_pipelines_and_external_commands_are_refused(client: Client) -> None:
    for name in (
        "ml_command",
        "pipeline_command",
        "execute_external_command",
        "register_data_source",
        "create_resource_profile_command",
        "streaming_query_command",
        "streaming_query_manager_command",
        "streaming_query_listener_bus_command",
        "write_stream_operation_start",
    ):
        plan = messages().Plan()
        getattr(plan.command, name).SetInParent()
        with pytest.raises(HeadwaterError) as refused:
            rewrite(plan, client.context)
        assert refused.value.code is UNSUPPORTED, name


def test_a_field_of_a_newer_client_is_refused(client: Client) -> None:
    """Field 777 of a project, and a relation of kind 777: nobody has judged them."""
    inside = messages().Plan()
    inside.root.range.end = 1
    inside.root.range.MergeFromString(b"\xca\x30\x02hi")
    kind = messages().Plan()
    kind.root.MergeFromString(b"\xca\x30\x02hi")
    for plan in (inside, kind, messages().Plan()):
        with pytest.raises(HeadwaterError) as refused:
            rewrite(plan, client.context)
        assert refused.value.code is UNSUPPORTED


def test_a102_a_bomb_of_compression_is_cut_off(client: Client) -> None:
    import zstandard

    plan = messages().Plan()
    bomb = zstandard.compress(b"\0" * (64 * 2**20), 19)
    assert len(bomb) < 20_000
    plan.compressed_operation.data = bomb
    plan.compressed_operation.op_type = 1
    plan.compressed_operation.compression_codec = 1
    with pytest.raises(HeadwaterError) as refused:
        client.context = _limited(client, PlanLimits(bytes=2**20))
        rewrite(plan, client.context)
    assert refused.value.code is ErrorCode.EXCEEDED_STATEMENT_SIZE


def _limited(client: Client, limits: PlanLimits) -> Any:
    from dataclasses import replace

    return replace(client.context, limits=limits)


def test_a102_what_is_compressed_is_walked(client: Client) -> None:
    import zstandard

    inner = client.plan(lambda: client.spark.read.parquet("/p").collect())
    plan = messages().Plan()
    plan.compressed_operation.data = zstandard.compress(inner.root.SerializeToString())
    plan.compressed_operation.op_type = 1
    plan.compressed_operation.compression_codec = 1
    with pytest.raises(HeadwaterError) as refused:
        rewrite(plan, client.context).staged()
    assert refused.value.code is DENIED


def test_a102_inside_each_other(client: Client) -> None:
    plan = messages().Plan()
    plan.compressed_operation.data = b"not zstd"
    plan.compressed_operation.op_type = 1
    plan.compressed_operation.compression_codec = 1
    with pytest.raises(HeadwaterError) as refused:
        rewrite(plan, client.context)
    assert refused.value.code is ErrorCode.INVALID_ARGUMENT


def test_plans_too_deep_or_too_large_are_refused(client: Client) -> None:
    def deep() -> Any:
        frame = client.spark.range(1)
        for _ in range(40):
            frame = frame.limit(1)
        return frame.collect()

    plan = client.plan(deep)
    for limits in (PlanLimits(depth=20), PlanLimits(nodes=30), PlanLimits(bytes=100)):
        with pytest.raises(HeadwaterError) as refused:
            rewrite(plan, _limited(client, limits))
        assert refused.value.code is ErrorCode.EXCEEDED_STATEMENT_SIZE
    assert rewrite(plan, client.context).staged().plan == plan


def test_a98_analyses(client: Client) -> None:
    import contextlib

    frame = client.spark.table("hr.secret")
    with contextlib.suppress(Exception):
        frame.inputFiles()
    request = client.recorder.analyses[-1]
    with pytest.raises(HeadwaterError) as refused:
        rewrite_analysis(request, client.context)
    assert refused.value.code is DENIED
    for ask in (lambda: frame.schema, lambda: frame.explain(True), lambda: frame.semanticHash()):
        with contextlib.suppress(Exception):
            ask()
        with pytest.raises(HeadwaterError) as refused:
            rewrite_analysis(client.recorder.analyses[-1], client.context)
        assert refused.value.code is MISSING


@pytest.mark.parametrize(
    "key",
    """spark.hadoop.fs.s3a.secret.key spark.sql.extensions spark.sql.catalog.x
    spark.sql.catalog.x.uri spark.sql.warehouse.dir spark.jars spark.driver.extraJavaOptions
    spark.executor.extraClassPath spark.plugins spark.sql.queryExecutionListeners
    spark.sql.sources.commitProtocolClass spark.sql.parquet.output.committer.class
    spark.sql.hive.metastore.jars spark.sql.streaming.checkpointLocation spark.sql.defaultCatalog
    spark.sql.variable.substitute spark.sql.artifact.isolation.enabled spark.local.dir
    spark.python.daemon.module spark.pyspark.python spark.connect.extensions.relation.classes
    spark.sql.execution.pyspark.udf.daemonKillWorkerOnFlushFailure.class nonsense""".split(),  # noqa: SIM905
)
def test_a92_settings(key: str) -> None:
    with pytest.raises(HeadwaterError) as refused:
        check_setting(key, "x")
    assert refused.value.code is DENIED


@pytest.mark.parametrize(
    "key", ["spark.sql.shuffle.partitions", "spark.sql.ansi.enabled", "spark.sql.session.timeZone"]
)
def test_harmless_settings(key: str) -> None:
    check_setting(key, "1")


@pytest.mark.parametrize(
    "name",
    [
        "jars/evil.jar",
        "classes/Evil.class",
        "pyfiles/../../x.py",
        "/etc/passwd",
        "pyfiles/a/b.py",
        "cache/zz",
        "",
        "files/..",
    ],
)
def test_a93_artifacts(name: str) -> None:
    with pytest.raises(HeadwaterError) as refused:
        check_artifact(name)
    assert refused.value.code is DENIED


def test_harmless_artifacts() -> None:
    check_artifact("cache/" + "0f" * 32)
    check_artifact("pyfiles/helpers.py")
    check_artifact("archives/env.tar.gz#env")


def test_a94_python_needs_a_sandbox(client: Client) -> None:
    from pyspark.sql.connect.functions import udf
    from pyspark.sql.types import IntegerType

    frame = client.spark.table("ns.t").select(udf(lambda x: x, IntegerType())("a"))
    assert client.staged(frame.collect).python
    with pytest.raises(HeadwaterError) as refused:
        client.staged(frame.collect, sandbox="none")
    assert refused.value.code is DENIED


def test_checkpoints_of_others_do_not_exist(client: Client) -> None:
    plan = messages().Plan()
    plan.root.cached_remote_relation.relation_id = "someone's"
    with pytest.raises(HeadwaterError) as refused:
        rewrite(plan, client.context)
    assert refused.value.code is ErrorCode.STATEMENT_NOT_FOUND


def test_sql_in_the_metadata_of_a_schema_is_refused() -> None:
    for key in ("CURRENT_DEFAULT", "EXISTS_DEFAULT", "exists_default"):
        field = {"name": "a", "type": "integer", "metadata": {key: "java_method('a', 'b')"}}
        for text in (
            json.dumps({"type": "struct", "fields": [field]}),
            json.dumps({"type": "struct", "fields": [field]}).replace("_", "\\u005f"),
        ):
            with pytest.raises(HeadwaterError) as refused:
                check_schema(text)
            assert refused.value.code is DENIED


_SPARKS_OWN = "org.apache.spark.ml.linalg.VectorUDT"


@pytest.mark.parametrize(
    "name",
    ["a.B", f"{_SPARKS_OWN}2", f"{_SPARKS_OWN}\0", f" {_SPARKS_OWN}", [_SPARKS_OWN], 1, {"a": 1}],
)
def test_classes_of_types_are_refused(name: object) -> None:
    inner = {"type": "udt", "class": name, "sqlType": "integer"}
    for text in map(json.dumps, (inner, {"type": "array", "elementType": inner})):
        with pytest.raises(HeadwaterError) as refused:
            check_schema(text)
        assert refused.value.code is DENIED


def test_classes_of_types_are_refused_in_messages(client: Client) -> None:
    plan = client.plan(lambda: client.spark.range(1).selectExpr("1").collect())
    cast = plan.root.project.expressions.add().cast
    cast.expr.literal.integer = 1
    cast.type.udt.type, cast.type.udt.jvm_class = "udt", _SPARKS_OWN
    rewrite(plan, client.context)
    for name in ("org.apache.spark.ml.linalg.Vectors", "a.B"):
        cast.type.udt.jvm_class = name
        with pytest.raises(HeadwaterError) as refused:
            rewrite(plan, client.context)
        assert refused.value.code is DENIED


def test_sparks_own_types_of_users_are_no_code_of_the_users() -> None:
    kind = {"type": "udt", "class": _SPARKS_OWN, "sqlType": "integer"}
    assert check_schema(json.dumps(kind))


def test_schemas_hold_nothing_but_types() -> None:
    for text in ("a int default java_method('a')", "a int, b", "struct<a: f(1)>", "a int)", "`a"):
        if text != "a int, b":
            with pytest.raises(HeadwaterError):
                check_schema(text)


@pytest.mark.parametrize(
    "text",
    [
        "'\\\\' || ' or 1=1 --'",
        "r'\\' || ' union select 2 --'",
        "'a\\'b'",
        '"a\'b"',
        "'${spark.x}'",
        "`a``b`",
        "'a\\nb\\0'",
    ],
)
def test_what_is_emitted_says_what_was_read(client: Client, text: str) -> None:
    from headwater.gateway.spark_connect.plans.sql_text import parse_statement

    query = client.staged(lambda: client.spark.sql(f"select {text}").collect()).plan.root.sql.query
    assert "${" not in query
    again = parse_statement(query)
    assert len(again.expressions) == 1
    assert set(again.args) >= {"expressions"}
    assert not any(again.args.get(part) for part in ("from_", "where", "with_"))
