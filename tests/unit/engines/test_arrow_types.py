"""Types: whatever DuckDB produces, the server sees the promised Arrow types and the same values."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from headwater.engines.duckdb.arrow_types import TYPE_KEY, Normalizer, OutOfRange, text_casts

CASES: list[tuple[str, pa.DataType, Any]] = [
    ("true", pa.bool_(), True),
    ("1::TINYINT", pa.int8(), 1),
    ("200::UTINYINT", pa.int16(), 200),
    ("60000::USMALLINT", pa.int32(), 60000),
    ("4000000000::UINTEGER", pa.int64(), 4000000000),
    ("18446744073709551615::UBIGINT", pa.decimal128(20, 0), Decimal(18446744073709551615)),
    ("10::HUGEINT", pa.decimal128(38, 0), Decimal(10)),
    ("10::UHUGEINT", pa.decimal128(38, 0), Decimal(10)),
    ("1.5::DECIMAL(4,2)", pa.decimal128(4, 2), Decimal("1.50")),
    ("1.5::FLOAT", pa.float32(), 1.5),
    ("'é'", pa.string(), "é"),
    ("'\\xAB'::BLOB", pa.binary(), b"\xab"),
    ("'a'::ENUM('a', 'b')", pa.string(), "a"),
    ("['a'::ENUM('a')]", pa.list_(pa.field("l", pa.string())), ["a"]),
    ("[1, 2]::INTEGER[2]", pa.list_(pa.field("", pa.int32())), [1, 2]),
    ("MAP {'k': 1::UTINYINT}", pa.map_(pa.string(), pa.int16()), [("k", 1)]),
    ("{'a': 1::UBIGINT}", pa.struct([("a", pa.decimal128(20, 0))]), {"a": Decimal(1)}),
    ("NULL", pa.int32(), None),
    ("TIMESTAMP_S '2020-01-01 00:00:01'", pa.timestamp("us"), None),
    ("TIMESTAMP_MS '2020-01-01'", pa.timestamp("us"), None),
    ("TIMESTAMP_NS '2020-01-01'", pa.timestamp("ns"), None),
    ("TIMESTAMPTZ '2020-01-01 00:00:00+02'", pa.timestamp("us", "UTC"), None),
    ("TIME '01:02:03'", pa.time64("us"), None),
    ("TIME_NS '01:02:03.123456789'", pa.time64("us"), None),
    ("INTERVAL 3 MONTH", pa.month_day_nano_interval(), None),
    ("'{\"a\":1}'::JSON", pa.string(), '{"a":1}'),
]


@pytest.fixture(scope="module")
def connection() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'Asia/Tokyo'")
    return connection


@pytest.mark.parametrize(("expression", "kind", "value"), CASES)
def test_type_and_value(
    connection: duckdb.DuckDBPyConnection, expression: str, kind: pa.DataType, value: Any
) -> None:
    cursor = connection.execute(f"SELECT {expression} AS x UNION ALL SELECT NULL")
    types = [column[1] for column in cursor.description]
    assert text_casts(types) is None
    reader = connection.to_arrow_reader(10)
    normalize = Normalizer(reader.schema, types)
    table = pa.Table.from_batches([normalize(b) for b in reader], normalize.schema)
    field = table.schema.field("x")
    assert field.type == kind
    assert (field.metadata or {})[TYPE_KEY].decode() == str(types[0])
    table.validate(full=True)
    assert table.column("x")[1].as_py() is None
    if value is not None:
        assert table.column("x")[0].as_py() == value


@pytest.mark.parametrize(
    ("expression", "cast"),
    [
        ("'101'::BIT", "VARCHAR"),
        ("5::BIGNUM", "VARCHAR"),
        ("TIME '01:02:03'::TIMETZ", "VARCHAR"),
        ("union_value(x := 1)", "VARCHAR"),
        ("{'a': 1}::VARIANT", "VARCHAR"),
        ("['1'::BIT]", "VARCHAR[]"),
        ("{'a': '1'::BIT, 'B \"c\"': 2}", 'STRUCT("a" VARCHAR, "B ""c""" INTEGER)'),
        ("MAP {'k': ['1'::BIT]}", "MAP(VARCHAR, VARCHAR[])"),
    ],
)
def test_what_arrow_cannot_hold_is_cast_to_text(
    connection: duckdb.DuckDBPyConnection, expression: str, cast: str
) -> None:
    cursor = connection.execute(f"SELECT 1 AS a, {expression} AS x")
    types = [column[1] for column in cursor.description]
    assert text_casts(types) == [None, cast]
    connection.execute(f"SELECT CAST({expression} AS {cast}) AS x").fetchall()


@pytest.mark.parametrize(
    "expression",
    [
        "170141183460469231731687303715884105727::HUGEINT",
        "(-170141183460469231731687303715884105727)::HUGEINT",
        "340282366920938463463374607431768211455::UHUGEINT",
        "170141183460469231731687303715884105727::UHUGEINT",
    ],
)
def test_a_number_beyond_38_digits_is_an_error(
    connection: duckdb.DuckDBPyConnection, expression: str
) -> None:
    cursor = connection.execute(f"SELECT {expression} AS x")
    types = [column[1] for column in cursor.description]
    reader = connection.to_arrow_reader(10)
    normalize = Normalizer(reader.schema, types)
    with pytest.raises(OutOfRange):
        normalize(reader.read_next_batch())


def test_equal_column_names_stay_apart(connection: duckdb.DuckDBPyConnection) -> None:
    cursor = connection.execute("SELECT 1 AS x, 'b' AS x")
    types = [column[1] for column in cursor.description]
    reader = connection.to_arrow_reader(10)
    normalize = Normalizer(reader.schema, types)
    assert normalize.schema.names == ["x", "x"]
    assert [column.to_pylist() for column in normalize(reader.read_next_batch()).columns] == [
        [1], ["b"],
    ]  # fmt: skip
