"""The canary's table: a small Iceberg table of format version 2, made once in the home.

Every row that the canary's policies hide is poison: its name is no number, its salary overflows
when one is added, its pattern is no regular expression. A predicate that fails on any of them saw a
row that the policy had hidden. The files follow https://iceberg.apache.org/spec/.
"""

from __future__ import annotations

import io
import json
import uuid
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.parquet as parquet

ROWS = 12_000
VISIBLE_ROWS = ROWS // 3
"""How many rows the canary's policies let pass."""

FILES = 2
SNAPSHOT_ID = 1
VERSION = "1"
"""Changes when the table's content does, so that an old home gets the new one."""

_COLUMNS: tuple[tuple[str, str, Any], ...] = (
    ("id", "long", pa.int64()),
    ("name", "string", pa.string()),
    ("salary", "long", pa.int64()),
    ("pattern", "string", pa.string()),
    ("region", "string", pa.string()),
)


def ensure_canary_table(folder: Path) -> Path:
    """The table's metadata file; makes the table below `folder` unless it is there already."""
    table = folder / f"v{VERSION}"
    metadata = table / "metadata" / "v1.metadata.json"
    if not metadata.exists():
        (table / "data").mkdir(mode=0o700, parents=True, exist_ok=True)
        (table / "metadata").mkdir(mode=0o700, exist_ok=True)
        _write(table, metadata)
    return metadata


def _write(table: Path, metadata: Path) -> None:
    files = [_write_data(table, number) for number in range(FILES)]
    manifest = table / "metadata" / "manifest.avro"
    size = _write_avro(
        manifest,
        _MANIFEST_ENTRY,
        [
            {
                "status": 1,
                "snapshot_id": SNAPSHOT_ID,
                "sequence_number": 1,
                "file_sequence_number": 1,
                "data_file": {
                    "content": 0,
                    "file_path": str(path),
                    "file_format": "PARQUET",
                    "partition": {},
                    "record_count": ROWS // FILES,
                    "file_size_in_bytes": path.stat().st_size,
                },
            }
            for path in files
        ],
        {
            "schema": json.dumps(_schema()),
            "schema-id": "0",
            "partition-spec": "[]",
            "partition-spec-id": "0",
            "format-version": "2",
            "content": "data",
        },
    )
    manifest_list = table / "metadata" / "snapshot.avro"
    _write_avro(
        manifest_list,
        _MANIFEST_FILE,
        [
            {
                "manifest_path": str(manifest),
                "manifest_length": size,
                "partition_spec_id": 0,
                "content": 0,
                "sequence_number": 1,
                "min_sequence_number": 1,
                "added_snapshot_id": SNAPSHOT_ID,
                "added_files_count": FILES,
                "existing_files_count": 0,
                "deleted_files_count": 0,
                "added_rows_count": ROWS,
                "existing_rows_count": 0,
                "deleted_rows_count": 0,
            }
        ],
        {"snapshot-id": str(SNAPSHOT_ID), "sequence-number": "1", "format-version": "2"},
    )
    text = json.dumps(_table_metadata(table, manifest_list))
    temporary = metadata.with_suffix(f".{uuid.uuid4().hex}")
    temporary.write_text(text)
    temporary.replace(metadata)  # last, so that a table that exists is whole


def _write_data(table: Path, number: int) -> Path:
    """One data file: of three rows one is visible (region EU), two are poison."""
    ids = range(number * ROWS // FILES, (number + 1) * ROWS // FILES)
    visible = [i % 3 == 0 for i in ids]
    columns: tuple[list[Any], ...] = (
        list(ids),
        [str(i) if seen else f"hidden {i}" for i, seen in zip(ids, visible, strict=True)],
        [i if seen else 2**63 - 1 for i, seen in zip(ids, visible, strict=True)],
        ["a|b" if seen else "(" for seen in visible],
        ["EU" if seen else ("US", "ZA")[i % 2] for i, seen in zip(ids, visible, strict=True)],
    )
    schema = pa.schema(
        [
            pa.field(name, kind, metadata={"PARQUET:field_id": str(number)})
            for number, (name, _, kind) in enumerate(_COLUMNS, 1)
        ]
    )
    arrays = [pa.array(c, kind) for c, (_, _, kind) in zip(columns, _COLUMNS, strict=True)]
    path = table / "data" / f"{number}.parquet"
    parquet.write_table(pa.table(arrays, schema=schema), path, row_group_size=3000)
    return path


def _write_avro(
    path: Path, schema: dict[str, Any], records: list[dict[str, Any]], metadata: dict[str, str]
) -> int:
    buffer = io.BytesIO()
    fastavro.writer(buffer, schema, records, metadata=metadata)
    return path.write_bytes(buffer.getvalue())


def _schema() -> dict[str, Any]:
    fields = [
        {"id": number, "name": name, "required": False, "type": kind}
        for number, (name, kind, _) in enumerate(_COLUMNS, 1)
    ]
    return {"type": "struct", "schema-id": 0, "fields": fields}


def _table_metadata(table: Path, manifest_list: Path) -> dict[str, Any]:
    return {
        "format-version": 2,
        "table-uuid": str(uuid.uuid4()),
        "location": str(table),
        "last-sequence-number": 1,
        "last-updated-ms": 1,
        "last-column-id": len(_COLUMNS),
        "schemas": [_schema()],
        "current-schema-id": 0,
        "partition-specs": [{"spec-id": 0, "fields": []}],
        "default-spec-id": 0,
        "last-partition-id": 999,
        "sort-orders": [{"order-id": 0, "fields": []}],
        "default-sort-order-id": 0,
        "properties": {},
        "current-snapshot-id": SNAPSHOT_ID,
        "refs": {"main": {"snapshot-id": SNAPSHOT_ID, "type": "branch"}},
        "snapshots": [
            {
                "snapshot-id": SNAPSHOT_ID,
                "sequence-number": 1,
                "timestamp-ms": 1,
                "schema-id": 0,
                "manifest-list": str(manifest_list),
                "summary": {"operation": "append"},
            }
        ],
    }


def _record(name: str, *fields: tuple[int, str, Any]) -> dict[str, Any]:
    return {
        "type": "record",
        "name": name,
        "fields": [{"name": n, "type": kind, "field-id": number} for number, n, kind in fields],
    }


_MANIFEST_ENTRY = _record(
    "manifest_entry",
    (0, "status", "int"),
    (1, "snapshot_id", ["null", "long"]),
    (3, "sequence_number", ["null", "long"]),
    (4, "file_sequence_number", ["null", "long"]),
    (
        2,
        "data_file",
        _record(
            "r2",
            (134, "content", "int"),
            (100, "file_path", "string"),
            (101, "file_format", "string"),
            (102, "partition", _record("r102")),
            (103, "record_count", "long"),
            (104, "file_size_in_bytes", "long"),
        ),
    ),
)
_MANIFEST_FILE = _record(
    "manifest_file",
    (500, "manifest_path", "string"),
    (501, "manifest_length", "long"),
    (502, "partition_spec_id", "int"),
    (517, "content", "int"),
    (515, "sequence_number", "long"),
    (516, "min_sequence_number", "long"),
    (503, "added_snapshot_id", "long"),
    (504, "added_files_count", "int"),
    (505, "existing_files_count", "int"),
    (506, "deleted_files_count", "int"),
    (512, "added_rows_count", "long"),
    (513, "existing_rows_count", "long"),
    (514, "deleted_rows_count", "long"),
)
