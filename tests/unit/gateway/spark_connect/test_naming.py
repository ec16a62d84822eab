"""Names of computed columns, as real Spark 4.1 gives them."""

from __future__ import annotations

import pytest

from headwater.gateway.spark_connect.naming import computed_names
from headwater.gateway.spark_connect.plans.sql_text import emit, parse_statement


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
        ("1 + length(cast(a AS string))", None),
    ],
)
def test_computed_names(text: str, name: str | None) -> None:
    assert computed_names(parse_statement(f"SELECT {text} FROM t")) == [name]


def test_functions_of_spark_are_written_small_and_those_of_users_as_they_are() -> None:
    text = emit(parse_statement("SELECT SUM (a), SUBSTRING(b, 1, 2), MyOwn(c) FROM t"))
    assert text == "SELECT sum(`a`), substring(`b`, 1, 2), MyOwn(`c`) FROM `t`"
