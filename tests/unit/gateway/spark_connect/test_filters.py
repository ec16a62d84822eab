# ruff: noqa: E501
"""Which rows a plan can be spared: those that its own first filters drop, and no others."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from headwater.query.needs import Comparison
from unit.gateway.spark_connect.conftest import Client
from unit.gateway.spark_connect.frames import F, flag, need, sql, t, two, u

FILTERS: dict[str, tuple[Callable[[Any], Any], list[tuple[Any, ...]]]] = {
    "equal": (lambda s: t(s).where(F().col("a") == 3), [("a", "=", 3)]),
    "turned round": (lambda s: t(s).where(F().lit(3) < F().col("a")), [("a", ">", 3)]),
    "a date": (
        lambda s: t(s).where(F().col("day") == F().lit(date(2026, 1, 31))),
        [("day", "=", date(2026, 1, 31))],
    ),
    "a date before 1970": (
        lambda s: t(s).where(F().col("day") >= F().lit(date(1969, 12, 31))),
        [("day", ">=", date(1969, 12, 31))],
    ),
    "a date as text": (lambda s: t(s).where(F().col("day") == "2026-01-31"), []),
    "a wide integer": (lambda s: t(s).where(F().col("id") == 2**40), [("id", "=", 2**40)]),
    "an integer as text": (lambda s: t(s).where(F().col("id") == "3").where("a = 1"), []),
    "a decimal": (
        lambda s: t(s).where(F().col("price") <= Decimal("1.50")),
        [("price", "<=", Decimal("1.50"))],
    ),
    "a decimal of another scale": (lambda s: t(s).where(F().col("price") <= Decimal("1.5")), []),
    "a decimal that is too long": (
        lambda s: t(s).where(F().col("price") <= Decimal("12345678.50")),
        [],
    ),
    "a boolean": (lambda s: t(s).where(F().col("flag") == True), [("flag", "=", True)]),  # noqa: E712
    "a string": (lambda s: t(s).where(F().col("b") == "x"), [("b", "=", "x")]),
    "strings are not ordered": (
        lambda s: t(s).where(F().col("b") < "x").where("a = 1"),
        [("a", "=", 1)],
    ),
    "floats are not compared": (
        lambda s: t(s).where(F().col("ratio") == 1.5).where("a = 1"),
        [("a", "=", 1)],
    ),
    "instants are not compared": (
        lambda s: t(s).where("at = TIMESTAMP '2026-01-01'").where("a = 1"),
        [],
    ),
    "among": (lambda s: t(s).where(F().col("a").isin(1, 2)), [("a", "in", 1, 2)]),
    "among with a null": (lambda s: t(s).where("a IN (1, NULL)"), []),
    "between": (lambda s: t(s).where(F().col("a").between(1, 2)), [("a", ">=", 1), ("a", "<=", 2)]),
    "null": (
        lambda s: t(s).where(F().col("ratio").isNull() & F().col("at").isNotNull()),
        [("ratio", "is null"), ("at", "is not null")],
    ),
    "null of a struct": (lambda s: t(s).where(F().col("s").isNull()), []),
    "text": (
        lambda s: t(s).where(
            "a = 3 AND b IN ('x', 'y') AND day BETWEEN DATE '2026-01-01' AND DATE '2026-01-31' AND price > 1.50 AND (id <> 2 OR flag) AND ratio IS NOT NULL"
        ),
        [
            ("a", "=", 3),
            ("b", "in", "x", "y"),
            ("day", ">=", date(2026, 1, 1)),
            ("day", "<=", date(2026, 1, 31)),
            ("price", ">", Decimal("1.50")),
            ("ratio", "is not null"),
        ],
    ),
    "negative": (lambda s: t(s).where("a > -3"), [("a", ">", -3)]),
    "text with escapes": (lambda s: t(s).where(r"b = 'a\\b'"), []),
    "either": (lambda s: t(s).where((F().col("a") == 1) | (F().col("a") == 2)), []),
    "not": (lambda s: t(s).where(~(F().col("a") == 1)).where("id = 1"), [("id", "=", 1)]),
    "after what may raise": (lambda s: t(s).where("1 / a > 0 AND id = 1"), []),
    "before what may raise": (
        lambda s: t(s).where("id = 1 AND 1 / a > 0 AND a = 3"),
        [("id", "=", 1)],
    ),
    "a filter on one that may raise": (lambda s: t(s).where("1 / a > 0").where("id = 1"), []),
    "a filter below one that may raise": (
        lambda s: t(s).where("id = 1").where("1 / a > 0"),
        [("id", "=", 1)],
    ),
    "two filters": (lambda s: t(s).where("id = 1").where("a = 2"), [("id", "=", 1), ("a", "=", 2)]),
    "through an alias": (lambda s: t(s).alias("x").where("x.a = 1"), [("a", "=", 1)]),
    "through a select": (lambda s: two(t(s)).where("a = 1"), [("a", "=", 1)]),
    "not through a new name": (
        lambda s: t(s).select(F().col("b").alias("a"), F().col("a").alias("b")).where("a = 1"),
        [],
    ),
    "not through a struct": (lambda s: t(s).select("s.f", "a").where("a = 1"), []),
    "not through a new column": (lambda s: t(s).withColumn("a", F().lit(1)).where("a = 1"), []),
    "not through a limit": (lambda s: t(s).limit(3).where("a = 1"), []),
    "not through a sample": (lambda s: t(s).sample(0.5).where("a = 1"), []),
    "not through what is observed": (
        lambda s: t(s).observe("o", F().count(F().lit(1))).where("a = 1"),
        [],
    ),
    "not through numbers of rows": (
        lambda s: t(s).select("a", F().monotonically_increasing_id().alias("n")).where("a = 1"),
        [],
    ),
    "not through a sort": (lambda s: t(s).sort("a").where("a = 1"), []),
    "not through an aggregate": (lambda s: t(s).groupBy("a").count().where("a = 1"), []),
    "not through a union": (lambda s: t(s).union(t(s)).where("a = 1"), []),
    "not through a join": (lambda s: t(s).join(u(s), "id").where("a = 1"), []),
    "below a join": (lambda s: t(s).where("a = 1").join(u(s), "id"), [("a", "=", 1)]),
    "below an observation": (
        lambda s: t(s).where("a = 1").observe("o", F().count(F().lit(1))),
        [("a", "=", 1)],
    ),
    "the same table with and without": (lambda s: t(s).where("a = 1").join(t(s), "id"), []),
    "the same table with others": (lambda s: t(s).where("a = 1").union(t(s).where("a = 2")), []),
    "the same table with the same": (
        lambda s: t(s).where("a = 1").union(t(s).where("a = 1")),
        [("a", "=", 1)],
    ),
    "a random condition": (lambda s: t(s).where((F().rand() < 0.5) & (F().col("a") == 1)), []),
    "a udf first": (
        lambda s: t(s).where(F().udf(lambda x: True, flag())("b") & (F().col("a") == 1)),
        [],
    ),
    "an unknown column": (lambda s: t(s).where("nothing = 1 AND a = 1"), []),
    "SQL": (
        lambda s: sql(s, "SELECT b FROM ns.t AS x WHERE x.a = 1 AND b = 'x' ORDER BY 1"),
        [("a", "=", 1), ("b", "=", "x")],
    ),
    "SQL with a subquery": (
        lambda s: sql(s, "SELECT b FROM ns.t WHERE a = 1 AND id IN (SELECT id FROM ns.u)"),
        [("a", "=", 1)],
    ),
    "SQL of a join": (lambda s: sql(s, "SELECT b FROM ns.t JOIN ns.u USING (id) WHERE a = 1"), []),
    "SQL in a subquery": (lambda s: sql(s, "SELECT b FROM (SELECT * FROM ns.t WHERE a = 1)"), []),
    "SQL of a sample": (
        lambda s: sql(s, "SELECT b FROM ns.t TABLESAMPLE (50 PERCENT) WHERE a = 1"),
        [],
    ),
    "SQL with a parameter": (lambda s: sql(s, "SELECT b FROM ns.t WHERE a = :x", {"x": 1}), []),
    "SQL with a lateral view": (
        lambda s: sql(s, "SELECT b FROM ns.t LATERAL VIEW explode(array(1)) x AS a WHERE a = 1"),
        [],
    ),
    "above SQL": (lambda s: sql(s, "SELECT * FROM ns.t").where("a = 1"), []),
}


@pytest.mark.parametrize("name", FILTERS)
def test_rows(known: Client, name: str) -> None:
    work, expected = FILTERS[name]
    found = need(known, work).where
    assert found == tuple(Comparison(column, op, tuple(values)) for column, op, *values in expected)
