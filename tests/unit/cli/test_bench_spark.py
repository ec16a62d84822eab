"""What `headwater bench spark` calls equal, and what it makes of its samples."""

from __future__ import annotations

from typing import Any

import pytest

from headwater.cli.bench.spark import difference, row, summary, texts


def answer(*rows: list[Any], schema: str = "int") -> dict[str, Any]:
    return {"rows": list(rows), "schema": [["a", schema], ["b", "double"]]}


def test_order_and_the_last_bits_of_floats_do_not_matter() -> None:
    assert difference(answer([1, 0.1], [2, 3.0]), answer([2, 3.0], [1, 0.1 + 1e-17])) is None


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (answer([1, 0.1001], [2, 3.0]), "on Spark"),
        (answer([1, 0.1]), "2 rows, Spark has 1"),
        (answer([1, 0.1], [2, None]), "on Spark"),
        (answer([1, 0.1], ["2", 3.0]), "on Spark"),
        (answer([1, 0.1], [2, 3.0], schema="bigint"), "types"),
        ({"error": "no"}, "Spark fails: no"),
    ],
)
def test_differences_are_told(other: dict[str, Any], says: str) -> None:
    found = difference(answer([1, 0.1], [2, 3.0]), other)
    assert found is not None
    assert says in found


def test_summary_leaves_out_what_one_side_could_not_run() -> None:
    good = row({"ours": [1.0, 9.0, 1.0], "spark": [4.0]}, {"ours": [1.0], "spark": [2.0]}, None)
    bad = row({"ours": [], "spark": [4.0]}, {"ours": [], "spark": [2.0]}, "Headwater fails: no")
    found = summary({"01": good, "02": bad})
    assert found["total_seconds"] == [1.0, 4.0]
    assert found["total_ratio"] == 4.0
    assert found["worst"] == (4.0, "01")
    assert found["differences"] == {"02": "Headwater fails: no"}


def test_all_queries_are_there_in_spark_sql() -> None:
    assert len(texts("tpch")) == 22
    queries = texts("tpcds")
    assert len(queries) == 99
    assert not any('"' in text for text in queries.values())
