import datetime
from decimal import Decimal

import pyarrow as pa

from headwater.cli.table import Style, cells, escape, render
from headwater.client.values import text_of

TABLE = pa.table(
    {
        "borough": ["Brooklyn", None, "東京"],
        "trips": pa.array([1, 22222, None], pa.int64()),
        "fare": pa.array([Decimal("1.50"), Decimal("-3.00"), None], pa.decimal128(10, 2)),
    }
)


def test_text_to_the_left_numbers_to_the_right():
    assert render(TABLE, Style()).splitlines() == [
        "borough  │ trips │  fare",
        "─────────┼───────┼──────",
        "Brooklyn │     1 │  1.50",
        "NULL     │ 22222 │ -3.00",
        "東京     │  NULL │  NULL",
    ]


def test_nulls_are_dim_only_in_colour():
    assert "\x1b[2mNULL" in render(TABLE, Style(color=True))
    assert "\x1b" not in render(TABLE, Style())


def test_wide_columns_shrink_and_narrow_ones_stay():
    table = pa.table({"id": [1], "text": ["x" * 200], "other": ["y" * 20]})
    lines = render(table, Style(width=60)).splitlines()
    assert max(map(cells, lines)) <= 60
    assert "x…" in lines[2]
    assert "y" * 20 in lines[2]


def test_too_many_columns_become_records():
    table = pa.table({f"column_{i}": ["value"] for i in range(30)})
    text = render(table, Style(width=60))
    assert text.startswith("── row 1 ─")
    assert "column_29 │ value" in text
    assert max(map(cells, text.splitlines())) <= 60


def test_every_width_fits():
    table = pa.table({"a": ["x" * 30], "bb": ["y" * 9], "c": ["z"], "d": [12345678901]})
    for width in range(20, 120):
        assert max(map(cells, render(table, Style(width=width)).splitlines())) <= width


def test_values_cannot_command_the_terminal():
    text = render(pa.table({"a\x1b": ["x\x1b]0;title\x07\ny\u202ez"]}), Style())
    assert not any(character in text for character in "\x1b\x07\u202e")
    assert "\\ny" in text
    assert escape("tab\there") == "tab\\there"


def test_types_read_as_people_write_them():
    assert text_of(True) == "true"
    assert text_of(1e20) == "1e+20"
    assert text_of(float("nan")) == "NaN"
    assert text_of(Decimal("1E+3")) == "1000"
    stamp = datetime.datetime(2024, 2, 29, 1, 2, 3, tzinfo=datetime.UTC)
    assert text_of(stamp) == "2024-02-29 01:02:03+00:00"
    assert text_of({"a": None, "b": [1, "x"]}) == "{a: NULL, b: [1, x]}"
    assert text_of([("k", 1)]) == "{k → 1}"
    assert text_of(b"\x01\xff") == "01 ff"


def test_values_that_python_cannot_hold():
    table = pa.table({"t": pa.array([1], pa.timestamp("ns")), "d": pa.array([0], pa.date32())})
    assert "1970-01-01 00:00:00.000000001 │ 1970-01-01" in render(table, Style())


def test_no_rows_still_shows_the_columns():
    assert render(TABLE.slice(0, 0), Style()).splitlines()[0].startswith("borough")
