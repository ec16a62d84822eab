"""Errors that emitted SQL raises on purpose reach the caller under their own code."""

from __future__ import annotations

import duckdb
import pytest

from headwater.engines.duckdb.failures import failure_of
from headwater.errors import ErrorCode
from headwater.model.statement import Dialect
from unit.sql.lake import Lake
from unit.sql.test_write import Writer


@pytest.mark.parametrize("governed", [True, False])
def test_row_filter_violation(governed: bool) -> None:
    with pytest.raises(duckdb.Error) as caught:
        Writer(analyst=True).run("INSERT INTO emp (id, region) VALUES (1, 'US')")
    failure = failure_of(caught.value, governed=governed)
    assert failure.code is ErrorCode.PERMISSION_DENIED
    assert failure.message == "a new row violates the row filter"


@pytest.mark.parametrize(
    ("dialect", "sql"),
    [
        (Dialect.TRINO, "SELECT 1 / (id - id) FROM emp"),
        (Dialect.TRINO, "SELECT 1 % (id - id) FROM emp"),
        (Dialect.SPARK, "SELECT 1 / (id - id) FROM emp"),
    ],
)
def test_division_by_zero(dialect: Dialect, sql: str) -> None:
    with pytest.raises(duckdb.Error) as caught:
        Lake().run(sql, dialect)
    assert failure_of(caught.value, governed=True).code is ErrorCode.DIVISION_BY_ZERO


def test_try_of_a_division_is_null() -> None:
    assert Lake().run("SELECT TRY(1 / (id - id)) FROM dept WHERE id = 1") == [(None,)]
