"""The steps of a query, from its text alone."""

from headwater.model.statement import Dialect
from headwater.sql.outline import Step, outline
from headwater.sql.trees import parse_tree


def steps(sql: str) -> Step:
    return outline(parse_tree(sql, Dialect.TRINO), Dialect.TRINO)


def shape(step: Step) -> object:
    return (step.kind, *[shape(child) for child in step.children])


def test_a_whole_query() -> None:
    found = steps(
        "WITH w AS (SELECT * FROM s.t WHERE a > 1) "
        "SELECT x.b, count(*) FROM w x JOIN s.u USING (b) GROUP BY 1 HAVING count(*) > 2 "
        "ORDER BY 2 DESC LIMIT 5"
    )
    with_ = ("with", ("project", ("filter", ("scan",))))
    joined = ("join", with_, ("scan",))
    assert shape(found) == (
        "limit", ("sort", ("project", ("filter", ("aggregate", joined))))
    )  # fmt: skip
    assert found.detail == "limit 5"
    aggregate = found.children[0].children[0].children[0].children[0]
    assert "COUNT(*)" in aggregate.detail
    assert aggregate.children[0].detail == "using b"


def test_sets_subqueries_and_values() -> None:
    assert shape(steps("SELECT 1 UNION ALL (SELECT a FROM t)")) == (
        "set", ("project", ("values",)), ("project", ("scan",))
    )  # fmt: skip
    assert shape(steps("SELECT * FROM (SELECT DISTINCT a FROM t) q")) == (
        "project", ("subquery", ("distinct", ("project", ("scan",))))
    )  # fmt: skip
    inside = steps("SELECT a FROM t WHERE a IN (SELECT b FROM u)")
    assert shape(inside) == (
        "project", ("filter", ("scan",), ("subquery", ("project", ("scan",))))
    )  # fmt: skip


def test_a_query_that_names_itself_ends() -> None:
    assert "scan" in str(shape(steps("WITH a AS (SELECT * FROM a) SELECT * FROM a")))


def test_parameters_are_question_marks() -> None:
    assert steps("SELECT a FROM t WHERE a = ?").children[0].detail == 'a = "?1"'
