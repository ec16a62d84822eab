"""Names of computed columns, as real Spark 4.1 gives them."""

from __future__ import annotations

import pytest
from sqlglot import exp

from headwater.gateway.spark_connect.naming import computed_names, spark_name
from headwater.gateway.spark_connect.plans.sql_text import emit, parse_statement
from headwater.gateway.spark_connect.protocol import messages
from headwater.gateway.spark_connect.trees import tree_of

_SO_FAR = "ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (
            "cast(a AS decimal(15,4))/cast(b AS decimal(15, 4))*100",
            "((CAST(a AS DECIMAL(15,4)) / CAST(b AS DECIMAL(15,4))) * 100)",
        ),
        ("1 + cast(t.a AS int)", "(1 + CAST(a AS INT))"),
        ("cast(a AS int)", None),
        ("cast(a AS int) AS b", None),
        ("a + b", None),
        ("1 + try_cast(a AS int)", None),
        ("1 + length(cast(a AS string))", "(1 + length(CAST(a AS STRING)))"),
        ("a IS NULL", "(a IS NULL)"),
        ("t.a IS NOT NULL", "(a IS NOT NULL)"),
        ("st.p IS NULL", "(st.p IS NULL)"),
        ("!(a IS NULL)", "(NOT (a IS NULL))"),
        ("a IN (1, 2)", "(a IN (1, 2))"),
        ("a BETWEEN 1 AND b", "between(a, 1, b)"),
        ("s LIKE 'a%'", "s LIKE a%"),
        ("a <> 1", "(NOT (a = 1))"),
        ("a <=> 1", "(a <=> 1)"),
        ("a DIV 2", "(a div 2)"),
        ("-5 + cast(a AS int)", "(-5 + CAST(a AS INT))"),
        ("if(a > 0, 'x', 'y')", "(IF((a > 0), x, y))"),
        (
            "sum(CASE WHEN a IS NULL THEN 0 ELSE 1 END)",
            "sum(CASE WHEN (a IS NULL) THEN 0 ELSE 1 END)",
        ),
        ("DATE '2020-01-01'", "DATE '2020-01-01'"),
        ("string(a)", "a"),
        ("int(a) + 1", "(a + 1)"),
        ("sort_array(a)", "sort_array(a, true)"),
        ("split(a, ',')", "split(a, ,, -1)"),
        ("array_agg(a)", "collect_list(a)"),
        ("cos(cast(a AS double))", "COS(CAST(a AS DOUBLE))"),
        (
            "exists(a, v -> v = 'x')",
            "exists(a, lambdafunction((namedlambdavariable() = x), namedlambdavariable()))",
        ),
        (
            "row_number() OVER (PARTITION BY a ORDER BY b DESC)",
            f"row_number() OVER (PARTITION BY a ORDER BY b DESC NULLS LAST {_SO_FAR})",
        ),
        (
            "sum(a) OVER ()",
            "sum(a) OVER (ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)",
        ),
        # What Spark makes of these depends on types, or is not known.
        ("a > 1.5 OR b IS NULL", None),
        ("datediff(DAY, cast(a AS date), b)", None),
        ("unhex(cast(a AS string))", None),
    ],
)
def test_computed_names(text: str, name: str | None) -> None:
    assert computed_names(parse_statement(f"SELECT {text} FROM t")) == [name]


def test_functions_of_spark_are_written_small_and_those_of_users_as_they_are() -> None:
    text = emit(parse_statement("SELECT SUM (a), SUBSTRING(b, 1, 2), MyOwn(c) FROM t"))
    assert text == "SELECT sum(`a`), substring(`b`, 1, 2), MyOwn(`c`) FROM `t`"


def test_parameters_are_named_by_their_values() -> None:
    item = parse_statement("SELECT concat(:m, a) FROM t").expressions[0]
    assert spark_name(item, {"m": "it's"}) == "concat(it's, a)"
    assert spark_name(item) is None


def test_names_of_expressions_that_are_too_deep_are_unsure() -> None:
    deep: exp.Expr = exp.column("a")
    for _ in range(3000):
        deep = exp.Add(this=deep, expression=exp.Literal.number(1))
    assert spark_name(deep) is None


def test_expressions_that_python_cannot_hold_have_no_tree() -> None:
    """They are the engine's to refuse; the gateway goes on."""
    far, nameless = messages().Expression(), messages().Expression()
    far.literal.date = 2**31 - 1
    nameless.unresolved_named_lambda_variable.SetInParent()
    assert tree_of(far) is None
    assert tree_of(nameless) is None
