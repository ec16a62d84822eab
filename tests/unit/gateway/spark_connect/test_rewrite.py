"""What an allowed plan becomes: staged inputs instead of names."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from headwater.gateway.spark_connect.plans import Action, AddView, SessionView
from headwater.model.identifiers import CURRENT, SnapshotRef
from headwater.query.arrow_writes import WriteMode
from headwater.sql.statements import PartitionField
from unit.gateway.spark_connect.conftest import Client


def add_view(client: Client, frame: Any, name: str) -> SessionView:
    """What the gateway keeps of createOrReplaceTempView."""
    rewritten = client.rewrite(lambda: frame.createOrReplaceTempView(name))
    assert rewritten.action is Action.SESSION
    (effect,) = rewritten.effects
    assert isinstance(effect, AddView)
    client.context = _with_view(client, effect.view)
    return effect.view


def _with_view(client: Client, view: SessionView) -> Any:
    from dataclasses import replace

    views = {**client.context.views, view.name.casefold(): view}
    return replace(client.context, views=views)


def test_a_table_is_read_from_the_inbox_under_its_alias(client: Client) -> None:
    staged = client.staged(lambda: client.spark.table("ns.t").select("t.a").collect())
    alias = staged.plan.root.project.input.subquery_alias
    assert alias.alias == "t"
    source = alias.input.read.data_source
    assert (source.format, list(source.paths)) == ("parquet", ["/inbox/ns.t"])
    assert source.schema == "a INT, b STRING"
    assert staged.views == ()
    assert not staged.python


def test_sql_reads_views_whose_names_tell_their_content(client: Client) -> None:
    staged = client.staged(lambda: client.spark.sql("select t.a, ns.t.b from ns.t").collect())
    ((name, view),) = staged.views
    query = staged.plan.root.sql.query
    assert query == f"SELECT `t`.`a`, `t`.`b` FROM `{name}` AS `t`"
    assert list(view.command.create_dataframe_view.input.read.data_source.paths) == ["/inbox/ns.t"]
    again = client.staged(lambda: client.spark.sql("select 1 from ns.t x").collect())
    assert [each for each, _ in again.views] == [name]


def test_ctes_shadow_tables_and_only_where_they_are_seen(client: Client) -> None:
    text = """
        with t as (select * from t), u as (select * from t)
        select * from u join (with v as (select 1 x) select * from v) using (x)
        where exists (select * from v)
    """
    client.staged(lambda: client.spark.sql(text).collect())
    assert [name for name, _, _ in client.stager.tables] == ["t", "v"]


def test_time_travel(client: Client) -> None:
    client.staged(lambda: client.spark.read.option("snapshot-id", "7").table("ns.t").collect())
    client.staged(lambda: client.spark.read.option("branch", "b").table("ns.t").collect())
    client.staged(lambda: client.spark.sql("select * from ns.t version as of 9").collect())
    client.staged(
        lambda: client.spark.sql(
            "select * from ns.t timestamp as of '1970-01-01 00:00:01'"
        ).collect()
    )
    assert [at for _, at, _ in client.stager.tables] == [
        SnapshotRef(snapshot_id=7),
        SnapshotRef(ref="b"),
        SnapshotRef(snapshot_id=9),
        SnapshotRef(timestamp_ms=1000),
    ]


def test_a_temporary_view_is_put_into_the_plan(client: Client) -> None:
    add_view(client, client.spark.table("ns.t").where("a > 1"), "v")
    staged = client.staged(lambda: client.spark.table("v").join(client.spark.table("V")).collect())
    assert [table.name for table in staged.tables] == ["ns.t"]
    join = staged.plan.root.join
    assert join.left.subquery_alias.alias == "v"
    assert join.left.subquery_alias.input.WhichOneof("rel_type") == "filter"
    ids = [side.subquery_alias.input.common.plan_id for side in (join.left, join.right)]
    assert len(set(ids)) == 2, "the same relation twice has two ids"


def test_a_temporary_view_keeps_the_names_of_its_time(client: Client) -> None:
    add_view(client, client.spark.table("ns.t"), "v")
    add_view(client, client.spark.table("v").limit(1), "v")
    add_view(client, client.spark.range(1), "t")
    staged = client.staged(lambda: client.spark.sql("select * from v").collect())
    assert [table.name for table in staged.tables] == ["ns.t"]
    assert len(staged.views) == 1


def test_what_a_view_names_is_decided_at_every_use(client: Client) -> None:
    view = add_view(client, client.spark.table("ns.t"), "v")
    assert view.relation.read.named_table.unparsed_identifier == "ns.t"
    for _ in range(2):
        client.staged(lambda: client.spark.table("v").collect())
    assert client.stager.tables == [("ns.t", CURRENT, "sample")] * 2


def test_data_frames_in_sql(client: Client) -> None:
    frame = client.spark.table("ns.t")
    staged = client.staged(lambda: client.spark.sql("select * from {f}, ns.u", f=frame).collect())
    assert sorted(name for name, _, _ in client.stager.tables) == ["ns.t", "ns.u"]
    assert staged.plan.root.with_relations.references[0].subquery_alias.input.HasField(
        "subquery_alias"
    )


def collected(client: Client, text: str) -> Any:
    """The rows of a query."""
    return client.spark.sql(text).collect()


def test_functions_of_the_session_are_constants(client: Client) -> None:
    from pyspark.sql.connect import functions as f

    frame = client.spark.range(1).select(f.current_user(), f.expr("Current_Database ( )"))
    staged = client.staged(frame.collect)
    columns = [each.alias for each in staged.plan.root.project.expressions]
    assert [list(each.name) for each in columns] == [["current_user()"], ["current_database()"]]
    assert columns[0].expr.literal.string == "alice"
    assert columns[1].expr.expression_string.expression == "'sample'"
    for text, told in {
        "current_user() u": "'alice' AS `u`",
        "current_user, user()": "'alice' AS `current_user()`, 'alice' AS `user()`",
        "upper(session_user()), version()": "upper('alice'), '4.1.4 0' AS `version()`",
    }.items():
        query = client.staged(partial(collected, client, f"select {text}"), version="4.1.4 0")
        assert query.plan.root.sql.query == f"SELECT {told}"
    filtered = client.staged(client.spark.range(1).filter("current_user() = 'x'").collect)
    condition = filtered.plan.root.filter.condition.expression_string.expression
    assert condition == "'alice' = 'x'"


def test_elements_of_arrays_are_no_arrays(client: Client) -> None:
    text = "select array(a, 2)[1], array(array(a))[0][0], array(1)[0] + 1 from ns.t"
    query = client.staged(partial(collected, client, text)).plan.root.sql.query
    told = "SELECT array(`a`, 2)[1], array(array(`a`))[0][0], array(1)[0] + 1 FROM "
    assert query.startswith(told)


def test_times_are_no_timestamps(client: Client) -> None:
    text = "select TIME '1:02', x::time(3) from ns.t"
    query = client.staged(partial(collected, client, text))
    assert "CAST('1:02' AS TIME)" in query.plan.root.sql.query
    assert "AS TIME(3))" in query.plan.root.sql.query


def test_settings_are_never_put_into_sql(client: Client) -> None:
    staged = client.staged(lambda: client.spark.sql("select '${spark.x}' x").collect())
    assert "${" not in staged.plan.root.sql.query


def test_pure_sql_is_known_as_such(client: Client) -> None:
    sql = client.spark.sql
    query = client.rewrite(lambda: sql("select a from ns.t where b = :b", {"b": "x'y"}))
    assert query.action is Action.QUERY
    assert query.sql is not None
    assert query.sql.text == "SELECT `a` FROM `ns`.`t` WHERE `b` = 'x\\'y'"
    add_view(client, client.spark.range(1), "v")
    assert client.rewrite(lambda: sql("select * from v")).sql is None
    assert client.rewrite(lambda: sql("drop table ns.t")).action is Action.STATEMENT


def test_formats_of_sessions(client: Client) -> None:
    frame = client.spark.read.load("/granted/x")
    for default, told in {
        "iceberg": "parquet",
        "json": "json",
        "org.apache.spark.sql.json": "json",
        "org.apache.spark.sql.execution.datasources.csv": "csv",
    }.items():
        staged = client.staged(frame.collect, settings={"spark.sql.sources.default": default})
        assert staged.plan.root.read.data_source.format == told


def test_granted_files(client: Client) -> None:
    frame = client.spark.read.option("header", True).schema("a int").csv("/granted/x")
    source = client.staged(frame.collect).plan.root.read.data_source
    assert (source.format, list(source.paths), source.schema) == (
        "csv",
        ["/inbox/granted/x"],
        "a int",
    )
    assert dict(source.options) == {"header": "true"}


@pytest.mark.parametrize(
    ("work", "mode", "table", "by_name"),
    [
        (lambda f: f.write.saveAsTable("ns.n"), WriteMode.ERROR_IF_EXISTS, "ns.n", True),
        (lambda f: f.write.mode("append").saveAsTable("n"), WriteMode.APPEND, "n", True),
        (lambda f: f.write.mode("overwrite").saveAsTable("n"), WriteMode.OVERWRITE, "n", True),
        (lambda f: f.write.mode("ignore").saveAsTable("n"), WriteMode.IGNORE, "n", True),
        (lambda f: f.write.insertInto("n"), WriteMode.APPEND, "n", False),
        (lambda f: f.write.insertInto("n", overwrite=True), WriteMode.OVERWRITE, "n", False),
        (lambda f: f.writeTo("n").append(), WriteMode.APPEND, "n", True),
        (lambda f: f.writeTo("n").create(), WriteMode.CREATE, "n", True),
        (lambda f: f.writeTo("n").replace(), WriteMode.REPLACE, "n", True),
        (lambda f: f.writeTo("n").createOrReplace(), WriteMode.CREATE_OR_REPLACE, "n", True),
        (lambda f: f.writeTo("n").overwritePartitions(), WriteMode.OVERWRITE_PARTITIONS, "n", True),
    ],
)
def test_writes(client: Client, work: Any, mode: WriteMode, table: str, by_name: bool) -> None:
    rewritten = client.rewrite(lambda: work(client.spark.range(3)))
    assert rewritten.action is Action.WRITE
    assert rewritten.write is not None
    target = rewritten.write.target
    assert (target.mode, str(target.table), target.by_name) == (mode, table, by_name)
    (source,) = rewritten.write.sources.values()
    assert source.staged().plan.root.range.end == 3


def test_partitioned_writes(client: Client) -> None:
    from pyspark.sql.connect import functions as f

    frame = client.spark.table("ns.t")
    writer = frame.writeTo("n").partitionedBy(
        f.partitioning.years("d"), f.partitioning.bucket(4, "a"), f.col("b")
    )
    rewritten = client.rewrite(writer.create)
    assert rewritten.write is not None
    assert rewritten.write.target.partitioning == (
        PartitionField("d", "year"),
        PartitionField("a", "bucket[4]"),
        PartitionField("b", "identity"),
    )


def test_changes_with_temporary_views_are_fed_from_the_user_process(client: Client) -> None:
    add_view(client, client.spark.range(3), "v")
    insert = client.rewrite(lambda: client.spark.sql("insert into ns.t select * from v"))
    assert insert.write is not None
    assert insert.write.target.statement == "INSERT INTO `ns`.`t` SELECT * FROM `hw_source`"
    merge = client.rewrite(
        lambda: client.spark.sql("merge into ns.t t using v on t.a = v.id when matched then delete")
    )
    assert merge.write is not None
    assert "`hw_source_0` AS `v`" in (merge.write.target.statement or "")
    assert list(merge.write.sources) == ["hw_source_0"]
    create = client.rewrite(
        lambda: client.spark.sql("create table ns.n using iceberg as select * from v")
    )
    assert create.write is not None
    assert create.write.target.statement == (
        "create table ns.n using iceberg  AS SELECT * FROM `hw_source`"
    )
    plain = client.rewrite(lambda: client.spark.sql("insert into ns.t select * from ns.u"))
    assert plain.action is Action.STATEMENT
