"""Small real Iceberg tables for maintenance tests: Parquet files, manifests, snapshots."""

from __future__ import annotations

import io as memory
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from headwater.catalog.avro_schemas import EMPTY_PARTITION
from headwater.catalog.catalog import Catalog
from headwater.catalog.entries import LoadedTable
from headwater.catalog.manifests import Entry, Status, read_manifest, read_manifest_list
from headwater.catalog.parquet_footer import describe_file
from headwater.catalog.schema import current_schema, current_snapshot_id, snapshot_by_id
from headwater.catalog.snapshots import SnapshotBuilder, TableCommit
from headwater.model.identifiers import TableIdentifier
from headwater.model.principal import SYSTEM
from headwater.storage.warehouse import Warehouse

NAME = TableIdentifier(("sales",), "orders")
SCHEMA = {
    "type": "struct",
    "fields": [
        {"id": 1, "name": "id", "type": "long", "required": False},
        {"id": 2, "name": "city", "type": "string", "required": False},
    ],
}


@dataclass
class Table:
    """A table in a catalog, and how to change it as a writer would."""

    catalog: Catalog
    warehouse: Warehouse
    identifier: TableIdentifier = field(default=NAME)

    @property
    def loaded(self) -> LoadedTable:
        return self.catalog.table(self.identifier)

    @property
    def metadata(self) -> dict[str, Any]:
        return self.loaded.metadata

    @property
    def snapshot_ids(self) -> list[int]:
        return [snapshot["snapshot-id"] for snapshot in self.metadata.get("snapshots") or ()]

    def commit(self, change: TableCommit) -> None:
        requirements, updates = [*change.requirements], [*change.updates]
        self.catalog.commit(self.identifier, requirements, updates, SYSTEM)

    def append(self, ids: Sequence[int]) -> str:
        """Adds one data file and returns its URI."""
        metadata, io = self.metadata, self.warehouse.io
        columns = {"id": pa.array(ids, pa.int64()), "city": [f"city {i}" for i in ids]}
        uri = f"{metadata['location']}/data/{uuid.uuid4()}.parquet"
        io.write_bytes(uri, parquet(columns))
        builder = SnapshotBuilder(io, metadata)
        current = current_snapshot_id(metadata)
        if current is not None:
            snapshot = snapshot_by_id(metadata, current)
            assert snapshot is not None
            for file in read_manifest_list(io, snapshot):
                builder.keep(file, read_manifest(io, file).entries)
        described = describe_file(io, uri, current_schema(metadata)) | {"partition": {}}
        builder.add([added(builder, described)], EMPTY_PARTITION)
        self.commit(builder.commit("append"))
        return uri


def added(builder: SnapshotBuilder, described: Mapping[str, Any]) -> Entry:
    number = builder.sequence_number
    return Entry(Status.ADDED, builder.snapshot_id, number, number, 0, dict(described))


def parquet(columns: Mapping[str, Any], **options: Any) -> bytes:
    """A Parquet file whose columns have the field ids 1, 2, … in their order."""
    table = pa.table(dict(columns))
    fields = [
        column.with_metadata({"PARQUET:field_id": str(number)})
        for number, column in enumerate(table.schema, 1)
    ]
    output = memory.BytesIO()
    pq.write_table(table.cast(pa.schema(fields)), output, **options)
    return output.getvalue()


def make_table(
    catalog: Catalog, version: int = 3, name: str = "orders", schema: Mapping[str, Any] = SCHEMA
) -> Table:
    identifier = TableIdentifier(("sales",), name)
    if catalog.resolve_namespace(("sales",)) is None:
        catalog.create_namespace(("sales",), {}, SYSTEM)
    request = {"name": name, "schema": schema, "properties": {"format-version": str(version)}}
    catalog.create_table(identifier, request, SYSTEM)
    return Table(catalog, catalog.warehouse, identifier)
