"""LIKE patterns, constants, names, retries, bookkeeping."""

from __future__ import annotations

import datetime
import threading
import time
import uuid
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.model.principal import Identity, Principal, PrincipalKind
from headwater.model.statement import Session
from headwater.query.afterwards import Afterwards
from headwater.query.constants import constant
from headwater.query.names import split_name, split_schema
from headwater.query.retry import retrying
from headwater.query.show import like_filter
from headwater.query.threads import Threads
from headwater.sql.statements import Name

SESSION = Session(Identity(Principal("u", "ellen", PrincipalKind.USER)), schema="s")


@pytest.mark.parametrize(
    ("pattern", "escape", "name", "matches"),
    [
        (None, None, "anything", True),
        ("a%", None, "abc", True),
        ("a_c", None, "abc", True),
        ("a\\_c", "\\", "abc", False),
        ("a\\_c", "\\", "a_c", True),
        ("a.c", None, "abc", False),
        ("%", None, "a\nb", True),
    ],
)
def test_like(pattern: str | None, escape: str | None, name: str, matches: bool) -> None:
    assert like_filter(pattern, escape)(name) is matches


def test_a_pattern_that_ends_in_an_escape_is_refused() -> None:
    with pytest.raises(HeadwaterError):
        like_filter("a\\", "\\")


@pytest.mark.parametrize(
    ("value", "sql"),
    [
        (None, "NULL"),
        (True, "TRUE"),
        (-3, "-3"),
        (Decimal("1.50"), "CAST('1.50' AS DECIMAL(38, 2))"),
        (1.5, "CAST(1.5 AS DOUBLE)"),
        ("it's", "'it''s'"),
        (datetime.date(2020, 1, 2), "CAST('2020-01-02' AS DATE)"),
        (datetime.datetime(2020, 1, 2, 3), "CAST('2020-01-02 03:00:00' AS TIMESTAMP)"),  # noqa: DTZ001
        (uuid.UUID(int=1), "CAST('00000000-0000-0000-0000-000000000001' AS UUID)"),
        ([1, "a"], "[1, 'a']"),
    ],
)
def test_constants(value: Any, sql: str) -> None:
    assert constant(value).sql(dialect="duckdb") == sql


@pytest.mark.parametrize("value", [object(), Decimal("NaN"), {1, 2}])
def test_values_that_sql_cannot_hold(value: Any) -> None:
    with pytest.raises(HeadwaterError) as refused:
        constant(value)
    assert refused.value.code is ErrorCode.INVALID_ARGUMENT


@given(st.text())
def test_a_text_constant_stays_one_literal(text: str) -> None:
    assert constant(text).sql(dialect="duckdb") == "'" + text.replace("'", "''") + "'"


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (("t",), ("lake", "s", "t")),
        (("x", "t"), ("lake", "x", "t")),
        (("LAKE", "x", "t"), ("lake", "x", "t")),
        (("lake", "x", "y", "t"), ("lake", "x.y", "t")),
        (("system", "runtime", "queries"), ("system", "runtime", "queries")),
    ],
)
def test_names_are_completed(parts: tuple[str, ...], expected: tuple[str, ...]) -> None:
    assert split_name(Name(parts), SESSION) == expected


def test_other_catalogs_do_not_exist() -> None:
    with pytest.raises(HeadwaterError) as refused:
        split_name(Name(("other", "x", "t")), SESSION)
    assert refused.value.code is ErrorCode.CATALOG_NOT_FOUND
    assert split_schema(Name(("lake", "x")), SESSION) == ("lake", "x")


def test_only_a_conflict_is_tried_again() -> None:
    calls: list[int] = []

    def conflict() -> int:
        calls.append(1)
        if len(calls) < 3:
            raise error(ErrorCode.COMMIT_CONFLICT, "somebody was first")
        return len(calls)

    assert retrying(conflict) == 3

    def unknown() -> int:
        calls.append(1)
        raise error(ErrorCode.COMMIT_STATE_UNKNOWN, "who knows")

    calls.clear()
    with pytest.raises(HeadwaterError):
        retrying(unknown)
    assert len(calls) == 1


def test_bookkeeping_goes_on_after_a_failure_and_in_order() -> None:
    books, done = Afterwards(), []
    gate = threading.Event()
    books.add(gate.wait)  # type: ignore[arg-type]
    books.add(lambda: done.append(1))
    books.add(lambda: 1 / 0)  # type: ignore[arg-type, return-value]
    books.add(lambda: done.append(2))
    assert done == []
    gate.set()
    books.flush()
    assert done == [1, 2]


def test_books_are_kept_in_batches() -> None:
    done: list[str] = []
    batched = threading.Event()
    books = Afterwards(lambda: done.append("batch"), pause=0.05)
    for name in ("a", "b"):
        books.add(lambda name=name: done.append(name))  # type: ignore[misc]
    books.flush()
    assert done == ["a", "b", "batch"]
    books.add(batched.set)  # without a flush it is done all the same
    assert batched.wait(10)


def test_threads_are_used_again_and_never_shared() -> None:
    threads, names = Threads("kept"), []
    for _ in range(3):
        ended = threading.Event()
        threads.run(lambda ended=ended: (names.append(threading.get_ident()), ended.set()))  # type: ignore[misc]
        assert ended.wait(10)
        while not threads._idle:
            time.sleep(0.001)
    assert len(set(names)) == 1
    gate, both = threading.Event(), threading.Barrier(3)
    for _ in range(2):
        threads.run(lambda: (both.wait(10), gate.wait(10)))  # type: ignore[arg-type, return-value]
    both.wait(10)
    gate.set()
