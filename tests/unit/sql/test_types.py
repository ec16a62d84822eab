"""Types of tables and of Arrow rows are the same types to the binder."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from headwater.sql.types import arrow_data_type, data_type

STRUCT = {
    "type": "struct",
    "fields": [
        {"id": 1, "name": "a", "required": False, "type": "int"},
        {"id": 2, "name": "B c", "required": False, "type": "string"},
    ],
}
FIELDS = pa.struct([("a", pa.int32()), ("B c", pa.string())])
TYPES: list[tuple[Any, pa.DataType]] = [
    ("boolean", pa.bool_()),
    ("int", pa.int32()),
    ("long", pa.int64()),
    ("float", pa.float32()),
    ("double", pa.float64()),
    ("string", pa.string()),
    ("string", pa.large_string()),
    ("binary", pa.binary()),
    ("binary", pa.large_binary()),
    ("date", pa.date32()),
    ("time", pa.time64("us")),
    ("timestamp", pa.timestamp("us")),
    ("timestamptz", pa.timestamp("us", "UTC")),
    ("decimal(38, 9)", pa.decimal128(38, 9)),
    (STRUCT, FIELDS),
    ({"type": "list", "element": STRUCT}, pa.list_(FIELDS)),
    ({"type": "map", "key": "string", "value": "long"}, pa.map_(pa.string(), pa.int64())),
    (
        {"type": "map", "key": "int", "value": {"type": "list", "element": STRUCT}},
        pa.map_(pa.int32(), pa.large_list(FIELDS)),
    ),
]


@pytest.mark.parametrize(("iceberg", "arrow"), TYPES, ids=str)
def test_arrow_rows_have_the_types_of_tables(iceberg: Any, arrow: pa.DataType) -> None:
    assert arrow_data_type(arrow) == data_type(iceberg)
