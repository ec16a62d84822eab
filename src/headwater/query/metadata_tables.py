"""`"t$snapshots"` and its kin: what Iceberg metadata says about a table, as Trino lays it out.

File-level tables show bounds and counts of rows that a filter hides, so a caller who does not see
the whole table is refused them, and gets the others without counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from headwater.catalog.schema import current_snapshot_id
from headwater.errors import ErrorCode, error
from headwater.model.identifiers import TableIdentifier
from headwater.model.scan import GovernedScan
from headwater.query.file_tables import FILE_TABLES
from headwater.query.viewer import Row, columns, table
from headwater.query.work import Parts
from headwater.sql.hints import did_you_mean

PROPERTIES = columns("key value")
HISTORY = columns(
    "made_current_at:timestamp snapshot_id:bigint parent_id:bigint is_current_ancestor:boolean"
)
SNAPSHOTS = columns(
    "committed_at:timestamp snapshot_id:bigint parent_id:bigint operation manifest_list summary:map"
)
REFS = columns(
    "name type snapshot_id:bigint max_reference_age_in_ms:bigint min_snapshots_to_keep:bigint "
    "max_snapshot_age_in_ms:bigint"
)

_PLAIN = ("properties", "history", "snapshots", "refs")


@dataclass(frozen=True, slots=True)
class MetadataTable:
    """One metadata table of one table: its columns, and how to make its rows."""

    schema: pa.Schema
    build: Callable[[], pa.Table]


def split_metadata_name(identifier: TableIdentifier) -> tuple[TableIdentifier, str | None]:
    """The table and the kind of metadata that `t$kind` names; the kind is None for plain names."""
    base, mark, kind = identifier.name.rpartition("$")
    if not mark or not base:
        return identifier, None
    return TableIdentifier(identifier.namespace, base), kind.lower()


def metadata_table(
    parts: Parts,
    scan: GovernedScan,
    kind: str,
    metadata: Mapping[str, Any],
    snapshot_id: int | None,
) -> MetadataTable:
    """The metadata table `kind` of the table that was scanned, at a snapshot."""
    restricted = scan.is_restricted

    def plain(schema: pa.Schema, rows: Iterator[Row]) -> MetadataTable:
        return MetadataTable(schema, lambda: table(schema, rows))

    match kind:
        case "properties":
            return plain(PROPERTIES, _properties(metadata))
        case "history":
            return plain(HISTORY, _history(metadata))
        case "snapshots":
            return plain(SNAPSHOTS, _snapshots(metadata, restricted))
        case "refs":
            return plain(REFS, _refs(metadata))
    if kind not in FILE_TABLES:
        names = (*_PLAIN, *FILE_TABLES)
        raise error(
            ErrorCode.TABLE_NOT_FOUND,
            f"table {scan.identifier}${kind} does not exist",
            hint=did_you_mean(kind, names) or "there are " + ", ".join(f"${n}" for n in names),
        )
    if restricted:
        raise error(
            ErrorCode.PERMISSION_DENIED,
            f"{scan.identifier}${kind} tells about all rows, and you do not see all of them",
            hint="ask for a grant without row filter, mask or hidden columns",
        )
    made, io = FILE_TABLES[kind], parts.catalog.linked.files(scan.identifier)
    return MetadataTable(made.schema(metadata), lambda: made.build(io, metadata, snapshot_id))


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _properties(metadata: Mapping[str, Any]) -> Iterator[Row]:
    yield "format", "iceberg/" + metadata["properties"].get("write.format.default", "parquet")
    yield "format-version", str(metadata["format-version"])
    yield from sorted(metadata["properties"].items())


def _ancestors(metadata: Mapping[str, Any]) -> set[int]:
    parents = {s["snapshot-id"]: s.get("parent-snapshot-id") for s in metadata.get("snapshots", ())}
    found: set[int] = set()
    snapshot_id = current_snapshot_id(metadata)
    while snapshot_id is not None and snapshot_id not in found:
        found.add(snapshot_id)
        snapshot_id = parents.get(snapshot_id)
    return found


def _history(metadata: Mapping[str, Any]) -> Iterator[Row]:
    parents = {s["snapshot-id"]: s.get("parent-snapshot-id") for s in metadata.get("snapshots", ())}
    ancestors = _ancestors(metadata)
    for entry in metadata.get("snapshot-log", ()):
        snapshot_id = entry["snapshot-id"]
        at = _time(entry["timestamp-ms"])
        yield at, snapshot_id, parents.get(snapshot_id), snapshot_id in ancestors


def _snapshots(metadata: Mapping[str, Any], restricted: bool) -> Iterator[Row]:
    for snapshot in metadata.get("snapshots", ()):
        summary = dict(snapshot.get("summary") or {})
        operation = summary.pop("operation", None)
        yield (
            _time(snapshot["timestamp-ms"]),
            snapshot["snapshot-id"],
            snapshot.get("parent-snapshot-id"),
            operation,
            None if restricted else snapshot.get("manifest-list"),
            None if restricted else list(summary.items()),
        )


def _refs(metadata: Mapping[str, Any]) -> Iterator[Row]:
    for name, ref in sorted((metadata.get("refs") or {}).items()):
        yield (
            name,
            ref["type"].upper(),
            ref["snapshot-id"],
            ref.get("max-ref-age-ms"),
            ref.get("min-snapshots-to-keep"),
            ref.get("max-snapshot-age-ms"),
        )
