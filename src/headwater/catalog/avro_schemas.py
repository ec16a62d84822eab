"""The Avro schemas of manifests and manifest lists, with the field ids of the Iceberg spec.

Iceberg table spec: "Manifests" (`manifest_entry`, `data_file`) and "Manifest Lists"
(`manifest_file`), versions 2 and 3.
"""

from __future__ import annotations

from typing import Any

from headwater.catalog.schema import Json

EMPTY_PARTITION: Json = {"type": "record", "name": "r102", "fields": []}
"""The partition record of an unpartitioned table."""


def manifest_schema(version: int, partition_type: Any) -> Json:
    """The schema of a manifest's entries; `partition_type` is the record of its partition spec."""
    return {
        "type": "record",
        "name": "manifest_entry",
        "fields": [
            _required("status", 0, "int"),
            _optional("snapshot_id", 1, "long"),
            _optional("sequence_number", 3, "long"),
            _optional("file_sequence_number", 4, "long"),
            _required("data_file", 2, _data_file(version, partition_type)),
        ],
    }


def manifest_list_schema(version: int) -> Json:
    """The schema of a manifest list's rows."""
    summary = {
        "type": "record",
        "name": "r508",
        "fields": [
            _required("contains_null", 509, "boolean"),
            _optional("contains_nan", 518, "boolean"),
            _optional("lower_bound", 510, "bytes"),
            _optional("upper_bound", 511, "bytes"),
        ],
    }
    fields = [
        _required("manifest_path", 500, "string"),
        _required("manifest_length", 501, "long"),
        _required("partition_spec_id", 502, "int"),
        _required("content", 517, "int"),
        _required("sequence_number", 515, "long"),
        _required("min_sequence_number", 516, "long"),
        _required("added_snapshot_id", 503, "long"),
        _required("added_files_count", 504, "int"),
        _required("existing_files_count", 505, "int"),
        _required("deleted_files_count", 506, "int"),
        _required("added_rows_count", 512, "long"),
        _required("existing_rows_count", 513, "long"),
        _required("deleted_rows_count", 514, "long"),
        _optional("partitions", 507, {"type": "array", "element-id": 508, "items": summary}),
        _optional("key_metadata", 519, "bytes"),
    ]
    if version >= 3:
        fields.append(_optional("first_row_id", 520, "long"))
    return {"type": "record", "name": "manifest_file", "fields": fields}


def _data_file(version: int, partition_type: Any) -> Json:
    fields = [
        _required("content", 134, "int"),
        _required("file_path", 100, "string"),
        _required("file_format", 101, "string"),
        _required("partition", 102, partition_type),
        _required("record_count", 103, "long"),
        _required("file_size_in_bytes", 104, "long"),
        _optional("column_sizes", 108, _map(117, "int", 118, "long")),
        _optional("value_counts", 109, _map(119, "int", 120, "long")),
        _optional("null_value_counts", 110, _map(121, "int", 122, "long")),
        _optional("nan_value_counts", 137, _map(138, "int", 139, "long")),
        _optional("lower_bounds", 125, _map(126, "int", 127, "bytes")),
        _optional("upper_bounds", 128, _map(129, "int", 130, "bytes")),
        _optional("key_metadata", 131, "bytes"),
        _optional("split_offsets", 132, {"type": "array", "element-id": 133, "items": "long"}),
        _optional("equality_ids", 135, {"type": "array", "element-id": 136, "items": "int"}),
        _optional("sort_order_id", 140, "int"),
    ]
    if version >= 3:
        fields += [
            _optional("first_row_id", 142, "long"),
            _optional("referenced_data_file", 143, "string"),
            _optional("content_offset", 144, "long"),
            _optional("content_size_in_bytes", 145, "long"),
        ]
    else:
        fields.append(_optional("referenced_data_file", 143, "string"))
    return {"type": "record", "name": "r2", "fields": fields}


def _required(name: str, field_id: int, kind: Any) -> Json:
    return {"name": name, "type": kind, "field-id": field_id}


def _optional(name: str, field_id: int, kind: Any) -> Json:
    return {"name": name, "type": ["null", kind], "default": None, "field-id": field_id}


def _map(key_id: int, key: str, value_id: int, value: str) -> Json:
    """A map with non-string keys: Avro has none, so the spec writes an array of records."""
    entry = {
        "type": "record",
        "name": f"k{key_id}_v{value_id}",
        "fields": [_required("key", key_id, key), _required("value", value_id, value)],
    }
    return {"type": "array", "logicalType": "map", "items": entry}
