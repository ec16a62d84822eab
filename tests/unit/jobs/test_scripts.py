"""SQL scripts: splitting and parameters."""

from __future__ import annotations

import pytest

from headwater.errors import ErrorCode, HeadwaterError
from headwater.jobs.scripts import fill, split
from headwater.model.statement import Dialect


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("select 1", [("select 1", 1)]),
        ("select 1;", [("select 1", 1)]),
        ("\n-- nothing; here\nselect ';'; \n\n select 2;;", [("select ';'", 3), ("select 2", 5)]),
        ("select 1 /* ; */ ; select `a;b` from t", [("select 1", 1), ("select `a;b` from t", 1)]),
        ("", []),
        (" ; ;; -- end", []),
    ],
)
def test_scripts_are_split_at_semicolons_of_sql_alone(
    text: str, found: list[tuple[str, int]]
) -> None:
    assert [(each.text, each.line) for each in split(text, Dialect.SPARK)] == found


def test_an_open_quote_is_an_error() -> None:
    with pytest.raises(HeadwaterError) as caught:
        split("select 1; select 'x", Dialect.SPARK)
    assert caught.value.code is ErrorCode.SYNTAX_ERROR


def test_parameters_are_put_in() -> None:
    text = "select * from t where d = '${day}' limit ${n}"
    filled = fill(text, {"day": "2026-01-02", "n": "5"})
    assert filled == "select * from t where d = '2026-01-02' limit 5"


@pytest.mark.parametrize("value", ["a'b", 'a"b', "a;b", "a--b", "a/*b", "a\\b", "a\nb", "`"])
def test_a_value_cannot_leave_its_place(value: str) -> None:
    with pytest.raises(HeadwaterError) as caught:
        fill("select '${x}'", {"x": value})
    assert caught.value.code is ErrorCode.INVALID_ARGUMENT


def test_a_missing_parameter_is_named() -> None:
    with pytest.raises(HeadwaterError, match="day"):
        fill("select '${day}'", {})
