"""Which numbers of a query may differ in one plan, and what becomes of the plan's SQL."""

from __future__ import annotations

import pytest

from headwater.model.statement import Dialect
from headwater.query.shapes import Shape, Template, free_numbers, shape_of
from headwater.sql.trees import parse_query

TRINO = Dialect.TRINO


def shape(text: str) -> Shape:
    found = shape_of(text, TRINO)
    assert found is not None
    return found


def free(text: str) -> set[str]:
    numbers = shape(text).numbers
    return {numbers[place] for place in free_numbers(parse_query(text, TRINO), numbers)}


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("SELECT * FROM t WHERE a = 17", {"17"}),
        ("SELECT * FROM t WHERE 17 < a", {"17"}),
        ("SELECT * FROM t WHERE a BETWEEN 17 AND 18 AND b IN (1, 2)", {"17", "18", "1", "2"}),
        # what a number is compared with, and where
        ("SELECT * FROM t WHERE a + 17 = 18", set()),
        ("SELECT * FROM t WHERE a = -17", set()),
        ("SELECT * FROM t WHERE 17 = 18", set()),
        ("SELECT a = 17 FROM t", set()),
        ("SELECT * FROM t GROUP BY a HAVING max(b) > 17", set()),
        ("SELECT * FROM t WHERE date_add('day', 17, d) > d", set()),
        ("SELECT * FROM t ORDER BY 2 LIMIT 17", set()),
        ("SELECT * FROM t FOR VERSION AS OF 17", set()),
        ("SELECT * FROM t TABLESAMPLE BERNOULLI (17)", set()),
        # what it looks like
        ("SELECT * FROM t WHERE a = 017", set()),
        ("SELECT * FROM t WHERE a = 0", set()),
        ("SELECT * FROM t WHERE a = 1.7", set()),
        ("SELECT * FROM t WHERE a = 17e0", set()),
        ("SELECT * FROM t WHERE a = 2147483648", set()),
        # twice: no telling which is which
        ("SELECT * FROM t WHERE a = 17 LIMIT 17", set()),
        ("SELECT CAST(b AS decimal(17, 2)) FROM t WHERE a = 17", set()),
        ("SELECT * FROM t WHERE a = 17 AND d > current_date - INTERVAL '3' DAY", {"17"}),
    ],
)
def test_numbers_that_may_differ(text: str, numbers: set[str]) -> None:
    assert free(text) == numbers


def test_a_shape_is_all_but_the_numbers() -> None:
    first = shape("SELECT a FROM t WHERE b = 1 AND c = 'x'")
    assert first.numbers == ("1",)
    assert first.key == shape("SELECT  a FROM t -- more\n WHERE b = 22 AND c = 'x'").key
    for other in (
        "SELECT a FROM t WHERE b = 1 AND c = 'y'",
        "SELECT \"a\" FROM t WHERE b = 1 AND c = 'x'",
        "SELECT a FROM t WHERE b = -1 AND c = 'x'",
        "SELECT a FROM t WHERE b = 1 AND c = 'x' LIMIT 1",
        "SELECT a FROM t WHERE b =1 AND c = 'x'",
    ):
        assert first.key != shape(other).key
    assert shape_of("SELECT a FROM t", TRINO) is None
    assert shape_of("SELECT 'open", TRINO) is None
    assert shape_of("SELECT 1" + " " * 5000, TRINO) is None


def test_a_template_is_filled_with_plain_numbers_only() -> None:
    made = Template.between(
        ("SELECT a17 FROM t WHERE a = 17 OR a = 17 LIMIT 5", ("17", "5")),
        ("SELECT a17 FROM t WHERE a = 18 OR a = 18 LIMIT 5", ("18", "5")),
        frozenset({0}),
    )
    assert made is not None
    assert made.fill(("99", "5")) == "SELECT a17 FROM t WHERE a = 99 OR a = 99 LIMIT 5"
    for numbers in (("99", "6"), ("0", "5"), ("1e3", "5"), ("1234567890", "5"), ("99",)):
        assert made.fill(numbers) is None


def test_no_template_where_the_plan_holds_more_than_the_number() -> None:
    for first, second in (
        ("SELECT 2 WHERE a = 1", "SELECT 3 WHERE a = 2"),  # something made of it
        ("SELECT 1 WHERE a > 0", "SELECT 1 WHERE a > 0"),  # nothing of it
        ("SELECT 7 WHERE a = 1", "SELECT 2 WHERE a = 2"),  # another one that looks like it
    ):
        assert Template.between((first, ("1",)), (second, ("2",)), frozenset({0})) is None
