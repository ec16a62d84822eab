"""Sorting and filtering of stored results: nothing that was typed becomes SQL."""

import datetime

import pyarrow as pa
import pytest

from headwater.errors import ErrorCode, HeadwaterError
from headwater.sql.arrange import Arrangement, Comparison, Condition, SortKey, parse_sort

SCHEMA = pa.schema(
    [
        ("number", pa.int32()),
        ("text", pa.string()),
        ("day", pa.date32()),
        ("at", pa.timestamp("us", tz="Europe/Zurich")),
        ("amount", pa.decimal128(10, 2)),
        ("list", pa.list_(pa.int32())),
        ("bytes", pa.binary()),
    ]
)
EVIL = "x' OR 1=1; DROP TABLE hw_rows --"


def test_what_was_typed_is_a_value_and_never_sql() -> None:
    view = Arrangement(
        (SortKey(0, True), SortKey(2)),
        (Condition(1, Comparison.EQ, EVIL), Condition(1, Comparison.CONTAINS, EVIL)),
    )
    sql = view.sql()
    assert "DROP" not in sql
    assert "'" not in sql
    assert sql == (
        'SELECT "hw_rows"."place" FROM "hw_rows" CROSS JOIN "hw_given" '
        'WHERE "hw_rows"."c1" = "hw_given"."v0" '
        'AND CONTAINS(LOWER(CAST("hw_rows"."c1" AS TEXT)), LOWER("hw_given"."v1")) '
        'ORDER BY "hw_rows"."c0" DESC, "hw_rows"."c2" ASC, "hw_rows"."place" ASC'
    )
    assert view.given(SCHEMA).to_pylist() == [{"v0": EVIL, "v1": EVIL}]
    assert view.columns == [0, 1, 2]


@pytest.mark.parametrize(
    ("column", "text", "value"),
    [
        (0, "-12", -12),
        (2, "2026-01-31", datetime.date(2026, 1, 31)),
        (3, "2026-01-31T12:00:00Z", "2026-01-31T13:00:00+01:00"),
        (3, "2026-01-31T12:00:00", "2026-01-31T12:00:00+01:00"),
        (6, "00ff", b"\x00\xff"),
    ],
)
def test_values_take_their_column_s_type(column: int, text: str, value: object) -> None:
    found = Arrangement(conditions=(Condition(column, Comparison.GE, text),)).given(SCHEMA)
    assert found.schema.field(0).type == SCHEMA.field(column).type
    got = found.column(0)[0].as_py()
    assert (got.isoformat() if isinstance(got, datetime.datetime) else got) == value


@pytest.mark.parametrize(
    ("column", "text"), [(0, "1; DROP"), (0, "99999999999"), (2, "tomorrow"), (5, "1"), (6, "xyz")]
)
def test_a_value_of_another_type_is_refused(column: int, text: str) -> None:
    view = Arrangement(conditions=(Condition(column, Comparison.EQ, text),))
    with pytest.raises(HeadwaterError) as caught:
        view.given(SCHEMA)
    assert caught.value.code is ErrorCode.INVALID_ARGUMENT


def test_sort_keys() -> None:
    assert parse_sort("") == ()
    assert parse_sort("2:desc, 0,1:asc") == (SortKey(2, True), SortKey(0), SortKey(1))
    for wrong in ("x", "-1", "1:down", "1;2", "0 desc", "1,,2", "9999999"):
        with pytest.raises(HeadwaterError):
            parse_sort(wrong)


def test_columns_that_are_not_there_are_refused() -> None:
    for view in (
        Arrangement((SortKey(7),)),
        Arrangement(conditions=(Condition(-1, Comparison.IS_NULL),)),
        Arrangement(tuple(SortKey(0) for _ in range(21))),
    ):
        with pytest.raises(HeadwaterError):
            view.check(SCHEMA)
