"""`"t$files"`, `"t$manifests"`, `"t$partitions"`: what a snapshot says about its files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from headwater.catalog.manifests import Content, Entry, live_entries, read_manifest_list
from headwater.catalog.schema import current_schema, default_spec, snapshot_by_id
from headwater.errors import ErrorCode, error
from headwater.query.viewer import Row, columns, table
from headwater.storage.fileio import FileIO

_COUNTS = pa.map_(pa.int32(), pa.int64())
_COUNT_FIELDS = ("column_sizes", "value_counts", "null_value_counts", "nan_value_counts")

_FILES = pa.schema(
    [
        *columns("content file_path file_format spec_id:bigint record_count:bigint"),
        *columns("file_size_in_bytes:bigint"),
        *(pa.field(name, _COUNTS) for name in _COUNT_FIELDS),
        pa.field("split_offsets", pa.list_(pa.int64())),
        *columns("sort_order_id:bigint data_sequence_number:bigint first_row_id:bigint"),
    ]
)
_MANIFESTS = columns(
    "path length:bigint partition_spec_id:bigint content added_snapshot_id:bigint "
    "sequence_number:bigint added_data_files_count:bigint existing_data_files_count:bigint "
    "deleted_data_files_count:bigint added_rows_count:bigint existing_rows_count:bigint "
    "deleted_rows_count:bigint"
)
_PARTITION_COUNTS = columns("record_count:bigint file_count:bigint total_size:bigint")


@dataclass(frozen=True, slots=True)
class FileTable:
    """A metadata table about files: its columns for a table, and its rows at a snapshot."""

    schema: Callable[[Mapping[str, Any]], pa.Schema]
    rows: Callable[[FileIO, Mapping[str, Any], Mapping[str, Any] | None], Iterator[Row]]

    def build(self, io: FileIO, metadata: Mapping[str, Any], snapshot_id: int | None) -> pa.Table:
        """The whole table; reads the snapshot's manifests."""
        snapshot = None if snapshot_id is None else snapshot_by_id(metadata, snapshot_id)
        return table(self.schema(metadata), self.rows(io, metadata, snapshot))


def _files(
    io: FileIO, _metadata: Mapping[str, Any], snapshot: Mapping[str, Any] | None
) -> Iterator[Row]:
    for entry in live_entries(io, snapshot):
        file = entry.file
        yield (
            entry.content.name,
            entry.path,
            file["file_format"].upper(),
            entry.spec_id,
            entry.records,
            file["file_size_in_bytes"],
            *(_pairs(file.get(name)) for name in _COUNT_FIELDS),
            file.get("split_offsets"),
            file.get("sort_order_id"),
            entry.sequence_number,
            entry.first_row_id,
        )


def _pairs(counts: Any) -> list[tuple[int, int]] | None:
    if counts is None:
        return None
    items = (
        counts.items() if isinstance(counts, Mapping) else ((c["key"], c["value"]) for c in counts)
    )
    return [(int(key), value) for key, value in items]


def _manifests(
    io: FileIO, _metadata: Mapping[str, Any], snapshot: Mapping[str, Any] | None
) -> Iterator[Row]:
    for file in read_manifest_list(io, snapshot) if snapshot else ():
        row = file.row
        yield (
            file.path,
            file.length,
            file.spec_id,
            "DELETES" if file.content else "DATA",
            file.snapshot_id,
            file.sequence_number,
            row.get("added_files_count"),
            row.get("existing_files_count"),
            row.get("deleted_files_count"),
            row.get("added_rows_count"),
            row.get("existing_rows_count"),
            row.get("deleted_rows_count"),
        )


def _partition_schema(metadata: Mapping[str, Any]) -> pa.Schema:
    """As Trino's Iceberg connector has it: clients tell an Iceberg table by these columns."""
    fields = [pa.field(f["name"], pa.string()) for f in default_spec(metadata)["fields"]]
    if not fields:
        raise error(
            ErrorCode.NOT_SUPPORTED,
            "the table is not partitioned",
            hint='its "…$files" lists the files with their record counts',
        )
    nulls = pa.struct([pa.field("null_count", pa.int64())])
    data = pa.struct([pa.field(column["name"], nulls) for column in _plain_columns(metadata)])
    return pa.schema(
        [
            pa.field("partition", pa.struct(fields)),
            *_PARTITION_COUNTS,
            *([pa.field("data", data)] if data.num_fields else []),
        ]
    )


def _plain_columns(metadata: Mapping[str, Any]) -> list[Any]:
    return [f for f in current_schema(metadata)["fields"] if isinstance(f["type"], str)]


def _partitions(
    io: FileIO, metadata: Mapping[str, Any], snapshot: Mapping[str, Any] | None
) -> Iterator[Row]:
    names = [field["name"] for field in default_spec(metadata)["fields"]]
    plain = _plain_columns(metadata)
    found: dict[tuple[str | None, ...], list[Entry]] = {}
    for entry in live_entries(io, snapshot):
        if entry.content is Content.DATA:
            values = entry.file.get("partition") or {}
            key = tuple(None if (v := values.get(name)) is None else str(v) for name in names)
            found.setdefault(key, []).append(entry)
    for key, entries in found.items():
        nulls: Counter[int] = Counter()
        for entry in entries:
            nulls.update(dict(_pairs(entry.file.get("null_value_counts")) or ()))
        data = {column["name"]: {"null_count": nulls.get(column["id"])} for column in plain}
        yield (
            dict(zip(names, key, strict=True)),
            sum(entry.records for entry in entries),
            len(entries),
            sum(entry.size for entry in entries),
            *((data,) if data else ()),
        )


FILE_TABLES: dict[str, FileTable] = {
    "files": FileTable(lambda _metadata: _FILES, _files),
    "manifests": FileTable(lambda _metadata: _MANIFESTS, _manifests),
    "partitions": FileTable(_partition_schema, _partitions),
}
"""Every metadata table that tells about all files, and so about all rows."""
