"""Bounds and counts read from a Parquet footer hold for every value in the file."""

from __future__ import annotations

import decimal
import struct
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyiceberg.conversions import from_bytes
from pyiceberg.types import DecimalType, DoubleType, LongType, StringType

from headwater.catalog.parquet_footer import describe_file
from headwater.errors import ErrorCode, HeadwaterError
from unit.catalog.files import parquet


class OneFile:
    """A file access to one file in memory."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def read_end(self, uri: str, count: int) -> tuple[bytes, int]:
        return self.data[-count:], len(self.data)


def described(data: bytes, **types: Any) -> dict[str, Any]:
    fields = [
        {"id": number, "name": name, "type": kind, "required": False}
        for number, (name, kind) in enumerate(types.items(), 1)
    ]
    io: Any = OneFile(data)
    return describe_file(io, "file:///f.parquet", {"type": "struct", "fields": fields})


def bounds(found: dict[str, Any], field_id: int = 1) -> tuple[bytes | None, bytes | None]:
    low, high = (
        {item["key"]: item["value"] for item in found[name]}.get(field_id)
        for name in ("lower_bounds", "upper_bounds")
    )
    return low, high


@given(st.lists(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)), min_size=1))
@settings(deadline=None, max_examples=60)
def test_integer_bounds_hold(values: list[int | None]) -> None:
    data = parquet({"a": pa.array(values, pa.int64())}, row_group_size=3)
    found = described(data, a="long")
    known = [value for value in values if value is not None]
    low, high = bounds(found)
    assert (low is None) == (high is None) == (not known)
    if low is not None and high is not None:
        assert from_bytes(LongType(), low) == min(known)
        assert from_bytes(LongType(), high) == max(known)
    assert found["record_count"] == len(values)
    assert found["null_value_counts"] == [{"key": 1, "value": len(values) - len(known)}]
    assert found["file_size_in_bytes"] == len(data)


@given(
    st.lists(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=40), min_size=1)
)
@settings(deadline=None, max_examples=120)
def test_text_bounds_hold(values: list[str]) -> None:
    low, high = bounds(described(parquet({"a": pa.array(values, pa.string())}), a="string"))
    encoded = [value.encode() for value in values]
    assert low is None or all(low <= value for value in encoded)
    assert high is None or all(value <= high for value in encoded)
    for bound in (low, high):
        assert bound is None or len(from_bytes(StringType(), bound)) <= 16


@given(st.lists(st.floats(), min_size=1))
@settings(deadline=None, max_examples=120)
def test_floating_bounds_hold_or_are_left_out(values: list[float]) -> None:
    low, high = bounds(described(parquet({"a": pa.array(values, pa.float64())}), a="double"))
    numbers = [value for value in values if value == value]
    if low is not None and high is not None:
        lowest, highest = from_bytes(DoubleType(), low), from_bytes(DoubleType(), high)
        assert all(lowest <= number <= highest for number in numbers)
        if 0.0 in (lowest, highest):
            assert struct.pack("<d", lowest) != struct.pack("<d", 0.0)
            assert struct.pack("<d", highest) != struct.pack("<d", -0.0)


@given(st.lists(st.integers(-(10**18) + 1, 10**18 - 1), min_size=1), st.sampled_from([9, 18, 38]))
@settings(deadline=None, max_examples=80)
def test_decimal_bounds_hold(values: list[int], precision: int) -> None:
    numbers = [decimal.Decimal(value % 10 ** min(precision, 18)).scaleb(-2) for value in values]
    data = parquet({"a": pa.array(numbers, pa.decimal128(precision, 2))})
    low, high = bounds(described(data, a=f"decimal({precision}, 2)"))
    if low is not None and high is not None:
        kind = DecimalType(precision, 2)
        assert from_bytes(kind, low) == min(numbers)
        assert from_bytes(kind, high) == max(numbers)


def test_nested_columns_are_found_by_their_path() -> None:
    inner = pa.array([{"x": 1, "y": [5, 6]}, {"x": 9, "y": []}])
    schema = {
        "type": "struct",
        "fields": [
            {"id": 2, "name": "x", "type": "long", "required": False},
            {"id": 3, "name": "y", "type": {"type": "list", "element-id": 4, "element": "long"}},
        ],
    }
    found = described(parquet({"s": inner}), s=schema)
    assert bounds(found, 2) == ((1).to_bytes(8, "little"), (9).to_bytes(8, "little"))
    assert bounds(found, 4) == (None, None)
    assert {item["key"] for item in found["column_sizes"]} >= {2, 4}


def test_a_footer_larger_than_the_first_read_is_read_whole() -> None:
    columns = {f"a_rather_long_column_name_{number}": [number] for number in range(1500)}
    data = parquet(columns)
    assert int.from_bytes(data[-8:-4], "little") > 64 * 1024
    found = described(data, **dict.fromkeys(columns, "long"))
    assert len(found["lower_bounds"]) == 1500


@pytest.mark.parametrize("cut", [0, 4, 100, 10_000])
def test_a_truncated_file_is_said(cut: int) -> None:
    data = parquet({"a": list(range(1000))})
    for damaged in (data[:-cut] if cut else b"", data[: cut + 4], b"\0" * 8 + data[-8:]):
        if damaged == data:
            continue
        with pytest.raises(HeadwaterError) as caught:
            described(damaged, a="long")
        assert caught.value.code is ErrorCode.INVALID_FILE
