"""`TABLE(…)` in the arguments of table functions: read, governed and written again."""

from __future__ import annotations

import pytest

from headwater.errors import ErrorCode, HeadwaterError
from headwater.gateway.spark_connect.fallback import needs_spark
from headwater.gateway.spark_connect.plans.sql_names import named_tables
from headwater.gateway.spark_connect.plans.sql_text import (
    check_tree,
    emit_checked,
    parse_statement,
)
from headwater.gateway.spark_connect.protocol import messages
from unit.gateway.spark_connect.conftest import Client

OURS = frozenset({"f", "g"})
STAR = "SELECT * FROM `t`"

READ = {
    "f(TABLE(t))": f"f(TABLE({STAR}))",
    "f(table t)": f"f(TABLE({STAR}))",
    "f(TABLE(a.b.t), 3)": "f(TABLE(SELECT * FROM `a`.`b`.`t`), 3)",
    "f(1, rows => TABLE(t), n => 3)": f"f(1, rows => TABLE({STAR}), n => 3)",
    "f(`rows` => TABLE `t`)": f"f(rows => TABLE({STAR}))",
    "f(TABLE(t) WITH SINGLE PARTITION)": f"f(TABLE({STAR}) WITH SINGLE PARTITION)",
    "f(TABLE(t) PARTITION BY a ORDER BY b DESC, 2)": (
        f"f(TABLE({STAR}) PARTITION BY (`a`) ORDER BY (`b` DESC), 2)"
    ),
    "f(TABLE(t) DISTRIBUTE BY (a, b + 1) SORT BY ((b + 1) * 2))": (
        f"f(TABLE({STAR}) PARTITION BY (`a`, `b` + 1) ORDER BY ((`b` + 1) * 2))"
    ),
    "f(TABLE(t) PARTITION BY (a + 1) * 2)": (f"f(TABLE({STAR}) PARTITION BY ((`a` + 1) * 2))"),
    "f(TABLE(SELECT a FROM t WHERE a > 1), TABLE(VALUES (1) AS v(x)))": (
        "f(TABLE(SELECT `a` FROM `t` WHERE `a` > 1), TABLE(VALUES (1) AS `v`(`x`)))"
    ),
    "f(TABLE(SELECT 1 UNION ALL SELECT 2))": "f(TABLE(SELECT 1 UNION ALL SELECT 2))",
    "f(TABLE(WITH c AS (SELECT 1) SELECT * FROM c))": (
        "f(TABLE(WITH `c` AS (SELECT 1) SELECT * FROM `c`))"
    ),
    "f(TABLE(g(1)))": "f(TABLE(SELECT * FROM g(1)))",
    "x, LATERAL f(TABLE(t), x.a)": f"`x` CROSS JOIN LATERAL f(TABLE({STAR}), `x`.`a`)",
    "f(table)": "f(`table`)",
}

FAULTS = [
    "SELECT f(TABLE(t))",
    "SELECT f(rows => TABLE(t))",
    "SELECT * FROM f(1 + TABLE(t))",
    "SELECT * FROM f(g(TABLE(t)))",
    "SELECT * FROM f(TABLE())",
    "SELECT * FROM f(TABLE(t) AS x)",
    "SELECT * FROM f(TABLE(t) WITH PARTITION)",
    "SELECT * FROM f(TABLE(t) WITH SINGLE PARTITION PARTITION BY a)",
    "SELECT * FROM f(TABLE(",
    "SELECT * FROM f(x =>",
]


@pytest.mark.parametrize("text", READ)
def test_read_and_written(text: str) -> None:
    tree = parse_statement(f"SELECT * FROM {text}")
    check_tree(tree, OURS, lambda _: None)
    assert emit_checked(tree, OURS, parse_statement) == f"SELECT * FROM {READ[text]}"


@pytest.mark.parametrize("text", FAULTS)
def test_faults(text: str) -> None:
    with pytest.raises(HeadwaterError) as told:
        check_tree(parse_statement(text), OURS, lambda _: None)
    # What is no argument of a table function is a call of a function that there is not.
    assert told.value.code in (ErrorCode.SYNTAX_ERROR, ErrorCode.FUNCTION_NOT_FOUND)


def test_the_tables_inside_are_named() -> None:
    tree = parse_statement(
        "WITH c AS (SELECT 1) SELECT * FROM f(TABLE(c), TABLE(a.t),"
        " TABLE(SELECT * FROM u WHERE x IN (SELECT y FROM v)))"
    )
    assert [".".join(each.parts) for each in named_tables(tree)] == ["a.t", "u", "v"]


def test_names_of_one_with_do_not_reach_another() -> None:
    """Moved up, the first would hide the table, and there would be two of a name."""
    text = (
        "SELECT * FROM (WITH `c` AS (SELECT 1) SELECT * FROM `c`) AS `x`"
        " CROSS JOIN (WITH `c` AS (SELECT 2) SELECT * FROM `c`) AS `y` CROSS JOIN `c`"
    )
    tree = parse_statement(text)
    assert emit_checked(tree, OURS, parse_statement) == text
    assert [each.parts for each in named_tables(tree)] == [("c",)]


def test_what_is_staged(client: Client) -> None:
    """A table is its governed copy, whole, for a function sees all columns."""
    staged = client.staged(
        lambda: client.spark.sql("SELECT n FROM f(TABLE(ns.t) PARTITION BY t.a)").collect(),
        table_functions=frozenset({"f"}),
    )
    ((name, view),) = staged.views
    query = staged.plan.root.sql.query
    assert query == (
        f"SELECT `n` FROM f(TABLE(SELECT * FROM `{name}` AS `t`) PARTITION BY (`t`.`a`))"
    )
    assert list(view.command.create_dataframe_view.input.read.data_source.paths) == ["/inbox/ns.t"]
    assert staged.python


@pytest.mark.parametrize(
    ("text", "needed"),
    [
        ("SELECT * FROM f(1)", True),
        ("SELECT * FROM `F` (1)", True),
        ("SELECT * FROM of(1)", False),
        ("SELECT f FROM t", False),
    ],
)
def test_registered_table_functions_are_sparks(text: str, needed: bool) -> None:
    plan = messages().Plan()
    plan.root.sql.query = text
    assert needs_spark([plan], (), ["f"]) is needed
