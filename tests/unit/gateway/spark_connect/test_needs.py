"""What a plan needs of the tables that it reads: which columns, and which rows at most.

Plans come from a real PySpark client. A column too many costs time; one too few, or a row, would be
a wrong answer: so every relation kind is here, and what is in doubt needs everything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from headwater.gateway.spark_connect.plans import rewrite_analysis
from headwater.gateway.spark_connect.protocol import messages
from headwater.query.needs import EVERYTHING, Columns, Comparison, Need, narrowed
from unit.gateway.spark_connect.conftest import Client
from unit.gateway.spark_connect.frames import (
    ALL,
    F,
    Shown,
    columns,
    need,
    sql,
    t,
    two,
    two_schema,
    typed,
    u,
    window,
)
from unit.gateway.spark_connect.test_rewrite import add_view

FRAMES: dict[str, tuple[Callable[[Any], Any], set[str] | None]] = {
    "read": (t, None),
    "select": (lambda s: t(s).select("a", "b"), {"a", "b"}),
    "select in another case": (lambda s: t(s).select("A", "UPPER"), {"a", "Upper"}),
    "select of an alias's column": (lambda s: t(s).alias("x").select("x.a", "t.b"), {"a", "b"}),
    "select star": (lambda s: t(s).select("*"), None),
    "star and more, then less": (
        lambda s: t(s).select("*", F().lit(1).alias("n")).select("n", "a"),
        {"a"},
    ),
    "star beside an unnamed column": (
        lambda s: t(s).select("*", F().col("a") + 1).select("a"),
        None,
    ),
    "star of a struct": (lambda s: t(s).select("s.*").select("f"), None),
    "star of an alias": (lambda s: t(s).alias("x").select("x.*").select("a"), {"a"}),
    "field of a struct": (lambda s: t(s).select("s.f"), {"s"}),
    "get field": (lambda s: t(s).select(F().col("s").getField("f")), {"s"}),
    "with field": (lambda s: t(s).select(F().col("s").withField("g", F().col("a"))), {"s", "a"}),
    "struct of everything": (lambda s: t(s).select(F().struct("*")), None),
    "regex": (lambda s: t(s).select(t(s).colRegex("`a.*`")), None),
    "filter below": (lambda s: t(s).where("ratio > 1").select("a"), {"a", "ratio"}),
    "filter above reaches through": (lambda s: t(s).select("a").where("b = 'x'"), {"a", "b"}),
    "sort above reaches through": (lambda s: t(s).select("a").sort("b"), {"a", "b"}),
    "filter at the top": (lambda s: t(s).where("ratio > 1"), None),
    "expression": (lambda s: t(s).select(F().expr("a + length(b) AS n")), {"a", "b"}),
    "selectExpr star": (lambda s: t(s).selectExpr("*").select("a"), {"a"}),
    "selectExpr count": (lambda s: t(s).selectExpr("count(*)"), {"flag"}),
    "selectExpr struct": (lambda s: t(s).selectExpr("struct(*)"), None),
    "count": (lambda s: t(s).groupBy().agg(F().count("*").alias("n")), {"flag"}),
    "count of a constant": (lambda s: t(s).groupBy().agg(F().count(F().lit(1))), {"flag"}),
    "count distinct": (lambda s: t(s).groupBy().agg(F().count_distinct("a", "b")), {"a", "b"}),
    "count distinct of all": (lambda s: t(s).selectExpr("count(DISTINCT *)"), None),
    "group": (lambda s: t(s).groupBy("a").agg(F().sum("price")), {"a", "price"}),
    "group, then filter": (
        lambda s: t(s).groupBy("a").agg(F().sum("price")).where(F().col("sum(price)") > 1),
        {"a", "price"},
    ),
    "rollup": (lambda s: t(s).rollup("a", "b").count(), {"a", "b"}),
    "cube": (lambda s: t(s).cube("a").count(), {"a"}),
    "pivot": (
        lambda s: t(s).groupBy("a").pivot("b", ["x"]).agg(F().sum("price")),
        {"a", "b", "price"},
    ),
    "max of a struct": (
        lambda s: t(s).groupBy("a").agg(F().max(F().struct("id", "b")).alias("m")).select("m.b"),
        {"a", "id", "b"},
    ),
    "distinct of some": (lambda s: two(t(s)).distinct(), {"a", "b"}),
    "distinct of all": (lambda s: t(s).distinct().select("a"), None),
    "drop duplicates": (lambda s: t(s).dropDuplicates(["id"]).select("a"), {"a", "id"}),
    "limit, offset, tail": (lambda s: t(s).limit(5).offset(1).select("a"), {"a"}),
    "sample": (lambda s: t(s).sample(0.5, seed=1).select("a"), {"a"}),
    "sample by": (lambda s: t(s).sampleBy("b", {"x": 0.5}, 1).select("a"), {"a", "b"}),
    "repartition": (lambda s: t(s).repartition(3).select("a"), {"a"}),
    "repartition by": (lambda s: t(s).repartition(3, "b").select("a"), {"a", "b"}),
    "hint": (lambda s: t(s).hint("broadcast").select("a"), {"a"}),
    "drop": (lambda s: t(s).drop("b", "S", "at"), set(ALL - {"b", "s", "at"})),
    "drop of what another makes": (lambda s: t(s).withColumn("n", F().col("b")).drop("b"), None),
    "drop, then select": (lambda s: t(s).drop("b").select("a"), {"a"}),
    "drop by expression": (lambda s: t(s).drop(F().col("b")), None),
    "renamed, then dropped": (lambda s: t(s).withColumnRenamed("a", "b2").drop("b2"), None),
    "with column": (lambda s: t(s).withColumn("n", F().col("a") + 1).select("n"), {"a"}),
    "with a column in its own place": (
        lambda s: t(s).withColumn("a", F().col("b")).select("a"),
        {"a", "b"},
    ),
    "renamed": (lambda s: t(s).withColumnRenamed("a", "n").select("n"), {"a"}),
    "renamed crosswise": (
        lambda s: t(s).withColumnsRenamed({"a": "b", "b": "a"}).select("a"),
        {"a", "b"},
    ),
    "by position": (lambda s: t(s).toDF(*"klmnopqrst").select("k"), None),
    "to schema": (lambda s: t(s).to(two_schema()).select("a"), None),
    "lateral alias": (lambda s: t(s).select(F().expr("a AS n"), F().expr("n + 1 AS m")), {"a"}),
    "explode": (lambda s: t(s).select("a", F().explode(F().array("b")).alias("e")), {"a", "b"}),
    "lambda": (
        lambda s: t(s).select(F().transform(F().array("a"), lambda x: x + F().col("id"))),
        {"a", "id"},
    ),
    "window": (
        lambda s: t(s).select(
            "a", F().sum("price").over(window().partitionBy("b").orderBy("id")).alias("w")
        ),
        {"a", "b", "id", "price"},
    ),
    "observe": (
        lambda s: t(s).observe("o", F().count(F().lit(1)), F().max("id")).select("a"),
        {"a", "id"},
    ),
    "map in pandas": (
        lambda s: typed(two(t(s))).mapInPandas(lambda p: p, two_schema()),
        {"a", "b"},
    ),
    "map in pandas of all": (
        lambda s: typed(t(s)).mapInPandas(lambda p: p, two_schema()).select("a"),
        None,
    ),
    "apply in pandas": (
        lambda s: typed(two(t(s))).groupBy("a").applyInPandas(lambda p: p, two_schema()),
        {"a", "b"},
    ),
    "apply in pandas of all": (
        lambda s: typed(t(s)).groupBy("a").applyInPandas(lambda p: p, two_schema()),
        None,
    ),
    "udf": (lambda s: t(s).select(F().udf(lambda x: x)("b").alias("n")), {"b"}),
    "udf of a struct": (
        lambda s: t(s).select(F().udf(lambda x: 1)(F().struct("a", "b"))),
        {"a", "b"},
    ),
    "udf of a row": (lambda s: t(s).select(F().udf(lambda x: 1)(F().struct("*"))), None),
    "fillna": (lambda s: t(s).fillna(0, ["a"]).select("b"), {"a", "b"}),
    "fillna everywhere": (lambda s: t(s).fillna(0).select("b"), {"b"}),
    "dropna": (lambda s: t(s).dropna(subset=["a"]).select("b"), {"a", "b"}),
    "dropna everywhere": (lambda s: t(s).dropna().select("b"), None),
    "replace": (lambda s: t(s).replace("x", "y", ["b"]).select("a"), {"a", "b"}),
    "replace everywhere": (lambda s: t(s).replace("x", "y").select("a"), None),
    "describe": (lambda s: t(s).describe("a", "price"), {"a", "price"}),
    "describe of all": (lambda s: t(s).describe(), None),
    "summary": (lambda s: t(s).summary(), None),
    "summary of some": (lambda s: two(t(s)).summary(), {"a", "b"}),
    "crosstab": (lambda s: t(s).crosstab("a", "b"), {"a", "b"}),
    "frequent items": (lambda s: t(s).freqItems(["a"]), {"a"}),
    "unpivot": (lambda s: t(s).unpivot("id", ["a"], "k", "v"), None),
    "unpivot of some": (
        lambda s: t(s).select("id", "a").unpivot("id", None, "k", "v"),
        {"id", "a"},
    ),
    "transpose": (lambda s: two(t(s)).transpose("a"), {"a", "b"}),
    "union": (lambda s: t(s).union(t(s)).select("a"), None),
    "union of some": (lambda s: two(t(s)).union(t(s).select("id", "b")), {"a", "b", "id"}),
    "union by name": (lambda s: t(s).unionByName(t(s)).select("a"), None),
    "except": (lambda s: t(s).exceptAll(t(s)).select("a"), None),
    "join": (lambda s: t(s).join(u(s), "id").select("a", "c"), {"id", "a"}),
    "join on a condition": (
        lambda s: (
            t(s).alias("x").join(u(s).alias("y"), F().col("x.b") == F().col("y.c")).select("y.d")
        ),
        {"b"},
    ),
    "join of everything": (lambda s: t(s).join(u(s), "id"), None),
    "semi join": (lambda s: u(s).join(t(s), "id", "left_semi"), {"id"}),
    "anti join": (lambda s: u(s).join(t(s), "id", "anti"), {"id"}),
    "self join": (
        lambda s: (
            t(s).alias("x").join(t(s).alias("y"), F().col("x.a") == F().col("y.id")).select("x.b")
        ),
        {"a", "id", "b"},
    ),
    "join with rows of the client": (
        lambda s: (
            t(s)
            .join(s.range(3).withColumnRenamed("id", "k"), F().col("a") == F().col("k"))
            .select("b")
        ),
        {"a", "b"},
    ),
    "cross join": (lambda s: t(s).crossJoin(u(s)).select("a"), {"a"}),
    "an unknown name": (lambda s: t(s).select("a", "nothing"), None),
    "a name of the other side": (lambda s: t(s).select("a", "c").crossJoin(u(s)), None),
    "a name beside a star": (lambda s: t(s).select("*").where("nothing = 1").select("a"), None),
    "show": (lambda s: Shown(two(t(s))), {"a", "b"}),
    "subquery": (
        lambda s: t(s).where(F().col("a") == u(s).select(F().max("id")).scalar()).select("a"),
        None,
    ),
    "exists": (
        lambda s: (
            t(s).where(u(s).where(F().col("id") == F().col("a").outer()).exists()).select("b")
        ),
        None,
    ),
    "a string of SQL with a subquery": (
        lambda s: t(s).where("a IN (SELECT id FROM ns.u)").select("a"),
        None,
    ),
    "SQL": (lambda s: sql(s, "SELECT a, b FROM ns.t WHERE id > 3"), {"a", "b", "id"}),
    "SQL in another case": (lambda s: sql(s, "SELECT A, UPPER FROM ns.t"), {"a", "Upper"}),
    "SQL count": (lambda s: sql(s, "SELECT count(*) FROM ns.t"), {"flag"}),
    "SQL count distinct": (lambda s: sql(s, "SELECT count(DISTINCT *) FROM ns.t"), None),
    "SQL star": (lambda s: sql(s, "SELECT * FROM ns.t"), None),
    "SQL star, then less": (
        lambda s: sql(s, "SELECT * FROM ns.t WHERE id > 1").select("a"),
        {"a", "id"},
    ),
    "SQL star and an unknown name": (
        lambda s: sql(s, "SELECT * FROM ns.t").select("a", "nothing"),
        None,
    ),
    "SQL star, by position": (
        lambda s: sql(s, "SELECT * FROM ns.t").toDF(*"klmnopqrst").select("k"),
        None,
    ),
    "SQL star, in the order of a place": (
        lambda s: sql(s, "SELECT * FROM ns.t ORDER BY 1 LIMIT 3").select("a"),
        None,
    ),
    "SQL star, in the order of all": (
        lambda s: sql(s, "SELECT * FROM ns.t ORDER BY ALL LIMIT 3").select("a"),
        None,
    ),
    "sorted by a place": (lambda s: t(s).sort(F().lit(1)).limit(3).select("a"), None),
    "sorted by a place as text": (lambda s: t(s).sort(F().expr("1")).limit(3).select("a"), None),
    "SQL star of a table": (lambda s: sql(s, "SELECT t.* FROM ns.t").select("a"), None),
    "SQL star of a join": (
        lambda s: sql(s, "SELECT * FROM ns.t JOIN ns.u USING (id)").select("a"),
        None,
    ),
    "SQL star but one": (lambda s: sql(s, "SELECT * EXCEPT (a) FROM ns.t").select("b"), None),
    "SQL star below": (lambda s: sql(s, "SELECT a FROM (SELECT * FROM ns.t)"), None),
    "SQL star below a name": (
        lambda s: sql(s, "WITH x AS (SELECT * FROM ns.t) SELECT a FROM x"),
        None,
    ),
    "SQL star with renamed columns": (
        lambda s: sql(s, "SELECT k FROM ns.t AS x(k, l, m, n, o, p, q, r, v, w)"),
        None,
    ),
    "SQL join": (
        lambda s: sql(s, "SELECT x.a, u.c FROM ns.t AS x JOIN ns.u ON x.id = u.id"),
        {"a", "id"},
    ),
    "SQL using": (lambda s: sql(s, "SELECT a FROM ns.t JOIN ns.u USING (id)"), {"a", "id"}),
    "SQL natural join": (lambda s: sql(s, "SELECT a FROM ns.t NATURAL JOIN ns.u"), None),
    "SQL self join": (
        lambda s: sql(s, "SELECT x.a FROM ns.t x, ns.t y WHERE x.id = y.a AND y.b = 'x'"),
        {"a", "b", "id"},
    ),
    "SQL outer reference": (
        lambda s: sql(
            s, "SELECT c FROM ns.u WHERE EXISTS (SELECT 1 FROM ns.t WHERE t.id = u.id AND a > 1)"
        ),
        {"a", "id"},
    ),
    "SQL scalar subquery": (
        lambda s: sql(s, "SELECT a, (SELECT max(d) FROM ns.u WHERE u.id = t.id) AS m FROM ns.t"),
        {"a", "id"},
    ),
    "SQL lateral view": (
        lambda s: sql(s, "SELECT a, e FROM ns.t LATERAL VIEW explode(array(b)) x AS e"),
        {"a", "b"},
    ),
    "SQL pivot": (
        lambda s: sql(
            s, "SELECT * FROM (SELECT a, b, price FROM ns.t) PIVOT (sum(price) FOR b IN ('x'))"
        ),
        None,
    ),
    "SQL unpivot": (lambda s: sql(s, "SELECT k, v FROM ns.t UNPIVOT (v FOR k IN (a, id))"), None),
    "SQL field": (lambda s: sql(s, "SELECT s.f, t.s.f FROM ns.t"), {"s"}),
    "SQL set operation": (
        lambda s: sql(s, "SELECT a FROM ns.t UNION SELECT id FROM ns.t"),
        {"a", "id"},
    ),
    "SQL group by all": (lambda s: sql(s, "SELECT a, count(*) AS n FROM ns.t GROUP BY ALL"), {"a"}),
    "SQL lateral column alias": (
        lambda s: sql(s, "SELECT a + 1 AS n, n * 2 AS m FROM ns.t"),
        {"a"},
    ),
    "SQL an unknown name": (lambda s: sql(s, "SELECT a, nothing FROM ns.t"), None),
    "SQL a column of another table": (
        lambda s: sql(s, "SELECT t.c FROM ns.t JOIN ns.u ON t.id = u.id"),
        None,
    ),
    "SQL with parameters": (
        lambda s: sql(s, "SELECT a FROM ns.t WHERE b = :x", {"x": "y"}),
        {"a", "b"},
    ),
    "SQL over a data frame": (lambda s: sql(s, "SELECT a FROM f", f=t(s)), None),
    "a filter of SQL reaches through": (
        lambda s: sql(s, "SELECT a FROM ns.t").where("b = 'x'"),
        {"a", "b"},
    ),
}


@pytest.mark.parametrize("name", FRAMES)
def test_columns(known: Client, name: str) -> None:
    work, expected = FRAMES[name]
    assert columns(known, work) == (ALL if expected is None else expected)


def test_each_table_of_a_join_has_its_own_need(known: Client) -> None:
    def work(spark: Any) -> Any:
        return t(spark).where("a = 1").join(u(spark), "id").select("b", "c")

    assert columns(known, work, "ns.u") == {"id", "c"}
    assert need(known, work, "ns.u").where == ()


def test_views_of_a_session_are_looked_through(known: Client) -> None:
    add_view(known, t(known.spark).where("a > 1").withColumnRenamed("b", "n"), "v")
    assert columns(known, lambda s: s.table("v").select("n")) == {"a", "b"}
    found = need(known, lambda s: sql(s, "SELECT n FROM v WHERE id = 2"))
    assert found.columns == ("id", "a", "b")
    assert found.where == (Comparison("a", ">", (1,)),), "no more: a new name lies between"
    add_view(known, t(known.spark).where("a > 1"), "w")
    found = need(known, lambda s: sql(s, "SELECT b FROM w WHERE id = 2"))
    assert found.where == (Comparison("a", ">", (1,)), Comparison("id", "=", (2,)))


def test_a_write_needs_what_it_writes(known: Client) -> None:
    found = known.rewrite(lambda: two(t(known.spark)).write.mode("append").saveAsTable("ns.x"))
    assert found.write is not None
    (source,) = found.write.sources.values()
    source.staged()
    assert known.stager.needs["ns.t"].columns == ("a", "b")


def test_what_a_session_may_change_the_meaning_of(known: Client) -> None:
    def work() -> Any:
        return two(t(known.spark)).where("a = 1").collect()

    for setting in (
        {"spark.sql.caseSensitive": "true"},
        {"headwater.staging": "whole"},
        {"spark.sql.session.collation.default": "UTF8_LCASE"},
    ):
        known.staged(work, settings=setting)
        assert known.stager.needs["ns.t"] == EVERYTHING
    known.staged(work, functions=frozenset({"and"}))
    assert known.stager.needs["ns.t"] == EVERYTHING
    known.staged(work, settings={"spark.sql.caseSensitive": "false"})
    assert known.stager.needs["ns.t"].columns == ("a", "b")


def test_a_table_with_one_name_twice_is_the_engine_s_to_refuse(known: Client) -> None:
    assert narrowed((("a", "int"), ("A", "int")), frozenset({"a"}), ()) == EVERYTHING


def test_a_deep_plan_needs_everything(known: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def work(spark: Any) -> Any:
        frame = two(t(spark))
        for number in range(20):
            frame = frame.withColumn(f"c{number}", F().lit(1))
        return frame

    assert columns(known, work) == {"a", "b"}
    monkeypatch.setattr("headwater.gateway.spark_connect.plans.needs._DEEPEST", 20)
    assert columns(known, work) == ALL


def analysis(client: Client, work: Callable[[], Any], **changes: Any) -> Need:
    """What an analysis of the plan's schema needs of the table."""
    request = messages().AnalyzePlanRequest()
    request.schema.plan.CopyFrom(client.plan(work))
    rewrite_analysis(request, replace(client.context, **changes))
    return client.stager.needs["ns.t"]


def test_an_analysis_needs_all_columns_and_no_rows(known: Client) -> None:
    assert analysis(known, lambda: two(t(known.spark)).collect()) == Need(rows=False)
    assert (
        analysis(
            known,
            lambda: known.spark.table("ns.t").groupBy("a").pivot("b", ["x"]).count().collect(),
        ).rows
        is False
    )


def test_an_analysis_that_reads_rows_gets_them(known: Client) -> None:
    for work in (
        lambda: t(known.spark).groupBy("a").pivot("b").count().collect(),
        lambda: t(known.spark).crosstab("a", "b").collect(),
        lambda: two(t(known.spark)).transpose().collect(),
    ):
        assert analysis(known, work) == EVERYTHING


def test_a_need_as_the_audit_log_tells_it() -> None:
    seen: Columns = (("a", "int"), ("staged", "string"))
    assert Need().text("`ns`.`t`") == "SELECT * FROM `ns`.`t`"
    found = narrowed(seen, frozenset({"staged"}), (Comparison("a", ">", (3,)),))
    assert found.text("`ns`.`t`") == "SELECT `staged` FROM `ns`.`t` WHERE `a` > 3"
