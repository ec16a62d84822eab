"""What a table's manifests say about its files, for people: pages, partitions, differences.

Everything here tells about all rows of a table: only who sees the whole table may see it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from headwater.catalog.manifests import (
    Content,
    Entry,
    live_entries,
    read_manifest,
    read_manifest_list,
)
from headwater.catalog.schema import Json, schema_by_id
from headwater.storage.fileio import FileIO

_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class FileRow:
    """One live file of a snapshot; `partition` maps field names to values as people write them."""

    path: str
    content: str
    format: str
    partition: dict[str, str | None]
    records: int
    bytes: int


@dataclass(frozen=True, slots=True)
class FilePage:
    """Some of a snapshot's files in manifest order, and how many there are of them all."""

    files: tuple[FileRow, ...]
    total: int


@dataclass(frozen=True, slots=True)
class PartitionRow:
    """One partition of a snapshot: its values, and what its data files hold."""

    values: dict[str, str | None]
    records: int
    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Difference:
    """What is in one snapshot and not in another: files, their rows and bytes.

    Rows that delete files take away are counted in `deletes_added`, where they are known.
    `added` and `removed` name the first files of each.
    """

    added_files: int
    removed_files: int
    added_rows: int
    removed_rows: int
    added_bytes: int
    removed_bytes: int
    deletes_added: int
    added: tuple[FileRow, ...]
    removed: tuple[FileRow, ...]


def file_page(
    io: FileIO,
    metadata: Mapping[str, Any],
    snapshot: Mapping[str, Any] | None,
    offset: int,
    limit: int,
) -> FilePage:
    """Files `offset` to `offset + limit`; manifests before and after them are counted, not read."""
    total, found = 0, list[FileRow]()
    for manifest in read_manifest_list(io, snapshot) if snapshot else ():
        live = _live_count(manifest.row)
        wanted = total < offset + limit and (live is None or total + live > offset)
        if wanted or live is None:
            entries = [entry for entry in read_manifest(io, manifest).entries if entry.is_live]
            first = max(0, offset - total)
            for entry in entries[first : max(0, offset + limit - total)]:
                found.append(_file_row(metadata, entry))
            live = len(entries)
        total += live
    return FilePage(tuple(found), total)


def total_bytes(
    io: FileIO, snapshot: Mapping[str, Any] | None, *, most_manifests: int
) -> int | None:
    """Bytes of a snapshot's files; None when more manifests than that would have to be read."""
    manifests = read_manifest_list(io, snapshot) if snapshot else []
    if len(manifests) > most_manifests:
        return None
    return sum(
        entry.size
        for manifest in manifests
        for entry in read_manifest(io, manifest).entries
        if entry.is_live
    )


def partitions(
    io: FileIO, metadata: Mapping[str, Any], snapshot: Mapping[str, Any] | None
) -> list[PartitionRow]:
    """The partitions of a snapshot, largest first; none for a table without partitioning."""
    sums: dict[tuple[tuple[str, str | None], ...], list[int]] = {}
    for entry in live_entries(io, snapshot):
        values = tuple(partition_values(metadata, entry).items())
        if entry.content is not Content.DATA or not values:
            continue
        held = sums.setdefault(values, [0, 0, 0])
        held[0] += entry.records
        held[1] += 1
        held[2] += entry.size
    rows = [PartitionRow(dict(key), *held) for key, held in sums.items()]
    return sorted(rows, key=lambda row: row.bytes, reverse=True)


def difference(
    io: FileIO,
    metadata: Mapping[str, Any],
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
    *,
    listed: int = 200,
) -> Difference:
    """What `after` has that `before` has not, and the reverse; shared manifests are not read."""
    theirs = {m.path: m for m in (read_manifest_list(io, before) if before else ())}
    ours = {m.path: m for m in (read_manifest_list(io, after) if after else ())}
    old = dict(_keyed(io, [m for path, m in theirs.items() if path not in ours]))
    new = dict(_keyed(io, [m for path, m in ours.items() if path not in theirs]))
    # A rewritten manifest holds files that an old one held, too.
    added = [entry for key, entry in new.items() if key not in old]
    removed = [entry for key, entry in old.items() if key not in new]
    rows_added = [entry for entry in added if entry.content is Content.DATA]
    rows_removed = [entry for entry in removed if entry.content is Content.DATA]
    return Difference(
        added_files=len(added),
        removed_files=len(removed),
        added_rows=sum(entry.records for entry in rows_added),
        removed_rows=sum(entry.records for entry in rows_removed),
        added_bytes=sum(entry.size for entry in added),
        removed_bytes=sum(entry.size for entry in removed),
        deletes_added=sum(e.records for e in added if e.content is not Content.DATA),
        added=tuple(_file_row(metadata, entry) for entry in added[:listed]),
        removed=tuple(_file_row(metadata, entry) for entry in removed[:listed]),
    )


def partition_values(metadata: Mapping[str, Any], entry: Entry) -> dict[str, str | None]:
    """A file's partition as people write it: `{"pickup_month": "2024-03"}`; {} without one."""
    transforms = {field["name"]: field["transform"] for field in _spec_fields(metadata, entry)}
    return {
        name: None if value is None else _as_text(transforms.get(name, "identity"), value)
        for name, value in (entry.file.get("partition") or {}).items()
    }


def columns_at(metadata: Mapping[str, Any], snapshot: Mapping[str, Any]) -> list[Json]:
    """The top-level fields of the schema that a snapshot was written with; [] when not known."""
    schema = schema_by_id(metadata, snapshot.get("schema-id", -1))
    return list(schema["fields"]) if schema else []


def _keyed(io: FileIO, manifests: list[Any]) -> Iterator[tuple[tuple[str, int | None], Entry]]:
    for manifest in manifests:
        for entry in read_manifest(io, manifest).entries:
            if entry.is_live:
                yield entry.key, entry


def _live_count(row: Mapping[str, Any]) -> int | None:
    """The live files of a manifest as its list counts them; None where it does not."""
    added, existing = row.get("added_files_count"), row.get("existing_files_count")
    return None if added is None or existing is None else int(added) + int(existing)


def _file_row(metadata: Mapping[str, Any], entry: Entry) -> FileRow:
    return FileRow(
        path=entry.path,
        content=entry.content.name.lower().replace("_", " "),
        format=str(entry.file.get("file_format") or "").lower(),
        partition=partition_values(metadata, entry),
        records=entry.records,
        bytes=entry.size,
    )


def _spec_fields(metadata: Mapping[str, Any], entry: Entry) -> list[Json]:
    for spec in metadata.get("partition-specs") or ():
        if spec["spec-id"] == entry.spec_id:
            return list(spec["fields"])
    return []


def _as_text(transform: str, value: Any) -> str:
    """A partition value as Iceberg's human-readable form has it (spec: "Partition Transforms")."""
    if transform == "year" and isinstance(value, int):
        return f"{1970 + value}"
    if transform == "month" and isinstance(value, int):
        return f"{1970 + value // 12:04d}-{value % 12 + 1:02d}"
    if transform == "day" and isinstance(value, int):
        return (_EPOCH + timedelta(days=value)).isoformat()
    if transform == "hour" and isinstance(value, int):
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(hours=value)
        return moment.strftime("%Y-%m-%d-%H")
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, date | datetime):
        return value.isoformat()
    return str(value)
