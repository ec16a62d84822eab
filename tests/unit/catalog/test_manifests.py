"""Manifests: written and read back, row ids and sequence numbers inherited, damage said."""

from __future__ import annotations

import io as memory
from typing import Any

import fastavro
import pytest
from pyiceberg.table import StaticTable

from headwater.catalog.catalog import Catalog
from headwater.catalog.manifests import (
    Status,
    check_snapshot_files,
    live_entries,
    read_manifest,
    read_manifest_list,
)
from headwater.catalog.schema import snapshot_by_id
from headwater.errors import ErrorCode, HeadwaterError
from headwater.model.principal import SYSTEM
from headwater.storage.warehouse import Warehouse
from unit.catalog.files import Table, make_table


@pytest.fixture(params=[2, 3])
def table(request: pytest.FixtureRequest, catalog: Catalog) -> Table:
    return make_table(catalog, request.param)


def newest(table: Table) -> dict[str, Any]:
    found = snapshot_by_id(table.metadata, table.snapshot_ids[-1])
    assert found is not None
    return found


def test_what_is_written_is_read_back(table: Table, warehouse: Warehouse) -> None:
    first, second = table.append([1, 2, 3]), table.append([4, 5])
    entries = {entry.path: entry for entry in live_entries(warehouse.io, newest(table))}
    assert set(entries) == {first, second}
    assert [entries[uri].records for uri in (first, second)] == [3, 2]
    assert [entries[uri].sequence_number for uri in (first, second)] == [1, 2]
    assert [entries[uri].snapshot_id for uri in (first, second)] == table.snapshot_ids
    lows = {item["key"]: item["value"] for item in entries[second].file["lower_bounds"]}
    assert lows == {1: (4).to_bytes(8, "little"), 2: b"city 4"}
    expected = [0, 3] if table.metadata["format-version"] == 3 else [None, None]
    assert [entries[uri].first_row_id for uri in (first, second)] == expected


def test_pyiceberg_reads_what_is_written(table: Table) -> None:
    table.append([1, 2, 3])
    table.append([4, 5])
    found = StaticTable.from_metadata(table.loaded.metadata_location)
    assert sorted(found.scan().to_arrow()["id"].to_pylist()) == [1, 2, 3, 4, 5]
    assert len(list(found.scan(row_filter="id > 3").plan_files())) == 1
    assert found.current_snapshot().summary["total-records"] == "5"


def test_files_have_the_field_ids_of_the_specification(table: Table, warehouse: Warehouse) -> None:
    table.append([1])
    snapshot = newest(table)
    (file,) = read_manifest_list(warehouse.io, snapshot)
    listed = field_ids(warehouse.io.read_bytes(snapshot["manifest-list"]))
    entry = field_ids(warehouse.io.read_bytes(file.path))
    assert {listed[name] for name in ("manifest_path", "content", "added_rows_count")} == {
        500,
        517,
        512,
    }
    named = ("status", "snapshot_id", "sequence_number", "file_sequence_number", "data_file")
    assert [entry[name] for name in named] == [0, 1, 3, 4, 2]
    named = ("content", "file_path", "partition", "lower_bounds", "referenced_data_file")
    assert [entry[name] for name in named] == [134, 100, 102, 125, 143]
    is_v3 = table.metadata["format-version"] == 3
    assert ("first_row_id" in listed, "first_row_id" in entry) == (is_v3, is_v3)


def field_ids(data: bytes) -> dict[str, int]:
    reader: Any = fastavro.reader(memory.BytesIO(data))
    found: dict[str, int] = {}

    def visit(node: Any) -> None:
        if isinstance(node, list):
            for item in node:
                visit(item)
        elif isinstance(node, dict):
            for child in node.get("fields", ()):
                found[child["name"]] = child["field-id"]
                visit(child["type"])
            visit(node.get("type") if isinstance(node.get("type"), (dict, list)) else None)

    visit(reader.writer_schema)
    return found


def test_a_damaged_manifest_is_said(table: Table, warehouse: Warehouse) -> None:
    table.append([1])
    (file,) = read_manifest_list(warehouse.io, newest(table))
    data = warehouse.io.read_bytes(file.path)
    for damaged in (b"", b"Obj\x01", data[: len(data) // 2], b"not avro at all" * 10):
        uri = f"{table.metadata['location']}/metadata/{len(damaged)}.avro"
        warehouse.io.write_bytes(uri, damaged)
        with pytest.raises(HeadwaterError) as caught:
            read_manifest_list(warehouse.io, {"snapshot-id": 1, "manifest-list": uri})
        assert caught.value.code is ErrorCode.INVALID_METADATA


def test_a_snapshot_may_only_name_files_of_its_own_table(
    catalog: Catalog, warehouse: Warehouse
) -> None:
    secret, own = make_table(catalog, 3, "secret"), make_table(catalog, 3, "own")
    stolen = secret.append([1, 2, 3])
    own.append([7])
    check_snapshot_files(warehouse, own.metadata, own.snapshot_ids)

    # A manifest of the table itself that lists another table's data file.
    forged = make_table(catalog, 3, "forged")
    (entry,) = live_entries(warehouse.io, newest(secret))
    assert entry.path == stolen
    from headwater.catalog.avro_schemas import EMPTY_PARTITION
    from headwater.catalog.snapshots import SnapshotBuilder

    builder = SnapshotBuilder(warehouse.io, forged.metadata)
    builder.add([entry], EMPTY_PARTITION)
    forged.commit(builder.commit("append"))
    with pytest.raises(HeadwaterError) as caught:
        check_snapshot_files(warehouse, forged.metadata, forged.snapshot_ids)
    assert caught.value.code is ErrorCode.INVALID_LOCATION

    # Nor does it come in by its metadata file.
    location = forged.loaded.metadata_location
    catalog.drop_table(forged.identifier, False, SYSTEM)
    with pytest.raises(HeadwaterError) as caught:
        catalog.register_table(forged.identifier, location, False, SYSTEM)
    assert caught.value.code is ErrorCode.INVALID_LOCATION
    assert catalog.entry(forged.identifier) is None

    # Another table's manifest, and another table's manifest list.
    (file,) = read_manifest_list(warehouse.io, newest(secret))
    other = make_table(catalog, 3, "other")
    builder = SnapshotBuilder(warehouse.io, other.metadata)
    builder.keep(file, read_manifest(warehouse.io, file).entries)
    snapshot = builder.commit("append").updates[0]["snapshot"]
    for found in (snapshot, newest(secret)):
        metadata = other.metadata | {"snapshots": [found]}
        with pytest.raises(HeadwaterError) as caught:
            check_snapshot_files(warehouse, metadata, [found["snapshot-id"]])
        assert caught.value.code is ErrorCode.INVALID_LOCATION


def test_removed_files_stay_listed_as_deleted(table: Table, warehouse: Warehouse) -> None:
    from headwater.catalog.maintenance import truncate

    uri = table.append([1, 2])
    change = truncate(warehouse.io, table.metadata)
    assert change is not None
    table.commit(change)
    (file,) = read_manifest_list(warehouse.io, newest(table))
    (entry,) = read_manifest(warehouse.io, file).entries
    assert (entry.status, entry.path, entry.snapshot_id) == (
        Status.DELETED,
        uri,
        table.snapshot_ids[-1],
    )
