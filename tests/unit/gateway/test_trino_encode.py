"""Arrow to Trino's JSON: every value is what Trino's documentation of the protocol prints."""

import datetime as dt
import json
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.gateway.trino_http.encode import rows_text
from headwater.gateway.trino_http.types import TYPE_KEY, columns


def encoded(array: pa.Array, **options: bool) -> list:
    """The values as a client reads them; many rows and few are encoded in two ways."""

    def values(column: pa.Array) -> list:
        batch = pa.RecordBatch.from_arrays([column], names=["c"])
        return [row[0] for row in json.loads(b"[" + rows_text(batch, **options) + b"]")]

    few = [value for place in range(len(array)) for value in values(array.slice(place, 1))]
    many = values(pa.concat_arrays([array] * (33 // max(1, len(array)) + 1)))[: len(array)]
    assert repr(few) == repr(many)
    return many


UTC = dt.UTC
CASES = [
    (pa.array([1, None, -(2**63)], pa.int64()), "bigint", [1, None, -(2**63)]),
    (pa.array([True, False, None]), "boolean", [True, False, None]),
    (
        pa.array([1.0, -0.0, 1e22, 0.1, float("nan"), float("inf"), -float("inf"), None]),
        "double",
        [1.0, -0.0, 1e22, 0.1, "NaN", "Infinity", "-Infinity", None],
    ),
    (pa.array([0.1, 2], pa.float32()), "real", [0.1, 2.0]),
    (
        pa.array([Decimal("1.50"), Decimal("-0.01"), None], pa.decimal128(10, 2)),
        "decimal(10,2)",
        ["1.50", "-0.01", None],
    ),
    (
        pa.array([Decimal("1e-10"), Decimal(0), None], pa.decimal128(38, 10)),
        "decimal(38,10)",
        ["0.0000000001", "0.0000000000", None],
    ),
    (pa.array(["a", None, ""]), "varchar", ["a", None, ""]),
    (pa.array([b"\x00\xff", b"", None]), "varbinary", ["AP8=", "", None]),
    (pa.array([dt.date(1969, 12, 31), None]), "date", ["1969-12-31", None]),
    (pa.array([dt.time(1, 2, 3, 4)], pa.time64("us")), "time(6)", ["01:02:03.000004"]),
    (
        pa.array([dt.datetime.fromisoformat("2026-01-01"), None], pa.timestamp("us")),
        "timestamp(6)",
        ["2026-01-01 00:00:00.000000", None],
    ),
    (
        pa.array([dt.datetime(2026, 1, 1, tzinfo=UTC)], pa.timestamp("us", "America/New_York")),
        "timestamp(6) with time zone",
        ["2026-01-01 00:00:00.000000 UTC"],
    ),
    (
        pa.array(
            [pa.MonthDayNano([0, 3, 4 * 10**9 + 10**6]), pa.MonthDayNano([-1, 0, -(10**9)]), None]
        ),
        "interval day to second",
        ["3 00:00:04.001", "-30 00:00:01.000", None],
    ),
    (
        pa.array([[1, None], None, []], pa.list_(pa.int32())),
        "array(integer)",
        [[1, None], None, []],
    ),
    (
        pa.array([[[1], None], None], pa.list_(pa.list_(pa.int8()))),
        "array(array(tinyint))",
        [[[1], None], None],
    ),
    (
        pa.array([{"a": 1, "b c": None}, None], pa.struct({"a": pa.int32(), "b c": pa.string()})),
        'row("a" integer, "b c" varchar)',
        [[1, None], None],
    ),
    (
        pa.array([[("k", 1), ('"', None)], None, []], pa.map_(pa.string(), pa.int64())),
        "map(varchar, bigint)",
        [{"k": 1, '"': None}, None, {}],
    ),
    (
        pa.array([[(1, dt.date(2026, 1, 2))]], pa.map_(pa.int32(), pa.date32())),
        "map(integer, date)",
        [{"1": "2026-01-02"}],
    ),
    (pa.nulls(2), "unknown", [None, None]),
]


@pytest.mark.parametrize(("array", "kind", "expected"), CASES, ids=[case[1] for case in CASES])
def test_a_value_is_encoded_as_its_type_says(array, kind, expected):
    schema = pa.schema([pa.field("c", array.type)])
    assert columns(schema, parametric_datetime=True)[0]["type"] == kind
    assert encoded(array) == expected
    for start in range(len(array)):
        assert encoded(array.slice(start)) == expected[start:]


def test_doubles_are_never_written_as_integers():
    values = pa.array([1.0, -2.0, 1e300])
    batch = pa.RecordBatch.from_pydict({"c": values})
    assert rows_text(batch) == b"[1.0],[-2.0],[1e+300]"
    batch = pa.RecordBatch.from_pydict({"c": pa.concat_arrays([values] * 11)})
    assert rows_text(batch) == b",".join([b"[1.0],[-2.0],[1e+300]"] * 11)


def test_dates_that_python_has_not():
    days = pa.array([-719529, 2932897], pa.int32()).cast(pa.date32())  # the years 0 and 10000
    assert encoded(days) == [pa.array([day]).cast(pa.string())[0].as_py() for day in days]


@settings(deadline=None)
@given(st.lists(st.none() | st.text()))
def test_any_text_survives(values):
    assert encoded(pa.array(values, pa.string())) == values


@settings(deadline=None)
@given(st.lists(st.none() | st.dictionaries(st.text(), st.lists(st.none() | st.text()))))
def test_any_nesting_survives(values):
    kind = pa.map_(pa.string(), pa.list_(pa.string()))
    array = pa.array([None if value is None else list(value.items()) for value in values], kind)
    assert encoded(array) == values


@pytest.mark.parametrize(("engine", "trino"), [("UUID", "uuid"), ("JSON", "json")])
def test_the_engine_names_what_arrow_cannot(engine, trino):
    schema = pa.schema([pa.field("c", pa.string(), metadata={TYPE_KEY: engine.encode()})])
    assert columns(schema, parametric_datetime=True) == [
        {"name": "c", "type": trino, "typeSignature": {"rawType": trino, "arguments": []}}
    ]


def test_clients_without_parametric_datetime_get_milliseconds():
    inner = pa.struct({"t": pa.timestamp("us", "UTC")})
    array = pa.array(
        [[{"t": dt.datetime(2026, 1, 1, microsecond=123456, tzinfo=UTC)}]], pa.list_(inner)
    )
    schema = pa.schema([pa.field("c", array.type)])
    assert columns(schema, parametric_datetime=False)[0]["type"] == (
        'array(row("t" timestamp with time zone))'
    )
    assert encoded(array, parametric_datetime=False) == [[["2026-01-01 00:00:00.123 UTC"]]]


def test_signatures_carry_their_arguments():
    schema = pa.schema({"m": pa.map_(pa.string(), pa.struct({"d": pa.decimal128(5, 1)}))})
    signature = columns(schema, parametric_datetime=True)[0]["typeSignature"]
    key, value = (argument["value"] for argument in signature["arguments"])
    assert key == {"rawType": "varchar", "arguments": [{"kind": "LONG", "value": 2147483647}]}
    (named,) = value["arguments"]
    assert named["kind"] == "NAMED_TYPE"
    assert named["value"]["fieldName"] == {"name": "d"}
    assert [argument["value"] for argument in named["value"]["typeSignature"]["arguments"]] == [
        5,
        1,
    ]
