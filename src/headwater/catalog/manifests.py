"""Manifest lists and manifests: which data and delete files a snapshot consists of.

Reads format versions 1 to 3, writes 2 and 3 (Iceberg table spec, "Manifests", "Manifest Lists",
"Row Lineage", "Sequence Number Inheritance"). A file's record stays a dict with the spec's names,
so that what is not understood here is carried along.
"""

from __future__ import annotations

import io as memory
import threading
import uuid
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any

import fastavro
import orjson

from headwater.catalog.avro_schemas import manifest_list_schema, manifest_schema
from headwater.catalog.schema import Json, schema_by_id, snapshot_by_id
from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.storage.fileio import FileIO
from headwater.storage.warehouse import Warehouse

_CODEC = "deflate"


class Status(IntEnum):
    """What a snapshot did with the file of a manifest entry."""

    EXISTING = 0
    ADDED = 1
    DELETED = 2


class Content(IntEnum):
    """What a file holds."""

    DATA = 0
    POSITION_DELETES = 1
    EQUALITY_DELETES = 2


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a manifest, with everything that it inherits filled in.

    `file` is the spec's `data_file` record. `sequence_number` is the data sequence number (0 in
    version 1); `first_row_id` the row id of the file's first row, None before version 3 and for
    delete files.
    """

    status: Status
    snapshot_id: int
    sequence_number: int
    file_sequence_number: int
    spec_id: int
    file: Json
    first_row_id: int | None = None

    @property
    def path(self) -> str:
        """The file's URI."""
        found: str = self.file["file_path"]
        return found

    @property
    def content(self) -> Content:
        """Whether the file holds rows or deletes."""
        return Content(self.file.get("content") or 0)

    @property
    def records(self) -> int:
        """Rows in the file, deleted ones included."""
        found: int = self.file["record_count"]
        return found

    @property
    def size(self) -> int:
        """Bytes of the file; for a deletion vector, of its blob."""
        blob = self.file.get("content_size_in_bytes")
        return int(blob if blob is not None else self.file["file_size_in_bytes"])

    @property
    def key(self) -> tuple[str, int | None]:
        """What tells the entry from others: several deletion vectors may share a Puffin file."""
        return self.path, self.file.get("content_offset")

    @property
    def partition(self) -> tuple[int, tuple[Any, ...]]:
        """The partition: spec id and the values in the spec's order."""
        return self.spec_id, tuple((self.file.get("partition") or {}).values())

    @property
    def is_live(self) -> bool:
        """True unless the entry only records a removal."""
        return self.status is not Status.DELETED


@dataclass(frozen=True, slots=True)
class ManifestFile:
    """A row of a manifest list: a manifest, its counts, and what its entries inherit."""

    path: str
    length: int
    spec_id: int
    content: int
    sequence_number: int
    min_sequence_number: int
    snapshot_id: int
    first_row_id: int | None
    row: Json = field(repr=False)


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest's entries and the headers that a rewritten one must repeat."""

    entries: tuple[Entry, ...]
    partition_type: Any
    headers: dict[str, str] = field(repr=False)


def read_manifest_list(io: FileIO, snapshot: Mapping[str, Any]) -> list[ManifestFile]:
    """The manifests of a snapshot, data and deletes; INVALID_METADATA when it cannot be read."""
    if "manifest-list" not in snapshot:
        return [
            _manifest_row({"manifest_path": path}, snapshot)
            for path in snapshot.get("manifests") or ()
        ]
    _, rows = _read(io, snapshot["manifest-list"])
    return [_manifest_row(row, snapshot) for row in rows]


def read_manifest(io: FileIO, manifest: ManifestFile) -> Manifest:
    """A manifest's entries, with what they inherit from the manifest list."""
    reader, rows = _read(io, manifest.path)
    headers = {name: _text(value) for name, value in reader.metadata.items()}
    spec_id = int(headers.get("partition-spec-id", manifest.spec_id))
    next_row_id = manifest.first_row_id if manifest.content == 0 else None
    entries = []
    for row in rows:
        entry = _entry(row, manifest, spec_id)
        if next_row_id is not None and entry.is_live and entry.first_row_id is None:
            entry = replace(entry, first_row_id=next_row_id)
            next_row_id += entry.records
        entries.append(entry)
    schema: Any = reader.writer_schema
    return Manifest(tuple(entries), _partition_type(schema), headers)


def added_bytes(io: FileIO, snapshot: Mapping[str, Any]) -> int:
    """Bytes of the files that a snapshot added."""
    number = snapshot["snapshot-id"]
    return sum(
        entry.size
        for manifest in read_manifest_list(io, snapshot)
        if manifest.snapshot_id == number
        for entry in read_manifest(io, manifest).entries
        if entry.status is Status.ADDED
    )


def live_entries(io: FileIO, snapshot: Mapping[str, Any] | None) -> Iterator[Entry]:
    """Every data and delete file that a snapshot consists of."""
    for manifest in read_manifest_list(io, snapshot) if snapshot else ():
        for entry in read_manifest(io, manifest).entries:
            if entry.is_live:
                yield entry


def write_manifest(
    io: FileIO,
    metadata: Mapping[str, Any],
    entries: Sequence[Entry],
    *,
    snapshot_id: int,
    sequence_number: int,
    content: int,
    partition_type: Any,
    spec_id: int,
) -> ManifestFile:
    """Writes a manifest of one partition spec and kind into the table's metadata folder.

    Entries that this snapshot adds inherit their sequence numbers unless the entry was given one
    of its own (`sequence_number` other than the snapshot's), as a rewrite needs.
    """
    version = metadata["format-version"]
    spec = _spec(metadata, spec_id)
    schema_json = schema_by_id(metadata, metadata["current-schema-id"]) or {}
    headers = {
        "schema": orjson.dumps(schema_json).decode(),
        "schema-id": str(metadata["current-schema-id"]),
        "partition-spec": orjson.dumps(spec["fields"]).decode(),
        "partition-spec-id": str(spec_id),
        "format-version": str(version),
        "content": "deletes" if content else "data",
    }
    rows = [_row(entry, sequence_number, version) for entry in entries]
    data = _avro(manifest_schema(version, partition_type), rows, headers)
    uri = f"{metadata['location']}/metadata/{uuid.uuid4()}-m0.avro"
    io.write_bytes(uri, data)
    row = _counts(entries) | {
        "manifest_path": uri,
        "manifest_length": len(data),
        "partition_spec_id": spec_id,
        "content": content,
        "sequence_number": sequence_number,
        "min_sequence_number": min(
            (entry.sequence_number for entry in entries if entry.is_live), default=sequence_number
        ),
        "added_snapshot_id": snapshot_id,
        "partitions": None,
        "first_row_id": None,
    }
    return _manifest_row(row, {})


def write_manifest_list(
    io: FileIO,
    metadata: Mapping[str, Any],
    manifests: Sequence[ManifestFile],
    *,
    snapshot_id: int,
    parent_id: int | None,
    sequence_number: int,
    first_row_id: int | None = None,
) -> tuple[str, int]:
    """Writes a manifest list; returns its URI and how many row ids its new manifests took.

    In version 3, data manifests without row ids get theirs here, from `first_row_id` on.
    """
    version = metadata["format-version"]
    rows, taken = [], 0
    for manifest in manifests:
        row = dict(manifest.row)
        if first_row_id is not None and manifest.content == 0 and manifest.first_row_id is None:
            row["first_row_id"] = first_row_id + taken
            taken += (row["added_rows_count"] or 0) + (row["existing_rows_count"] or 0)
        rows.append(row)
    headers = {
        "snapshot-id": str(snapshot_id),
        "parent-snapshot-id": "null" if parent_id is None else str(parent_id),
        "sequence-number": str(sequence_number),
        "format-version": str(version),
    }
    if first_row_id is not None:
        headers["first-row-id"] = str(first_row_id)
    uri = f"{metadata['location']}/metadata/snap-{snapshot_id}-1-{uuid.uuid4()}.avro"
    io.write_bytes(uri, _avro(manifest_list_schema(version), rows, headers))
    return uri, taken


class CheckedLists:
    """The manifests of snapshots whose files were all checked, by manifest list; the last few.

    The next commit to a table asks for its parent's. Files never change, so neither does this.
    """

    def __init__(self, lists: int = 256, longest: int = 4096) -> None:
        self._lists = lists
        self._longest = longest
        self._guard = threading.Lock()
        self._known: OrderedDict[str, frozenset[str]] = OrderedDict()

    def find(self, uri: str) -> frozenset[str] | None:
        """The manifests that a list named when it was checked, or None when it is not known."""
        with self._guard:
            return self._known.get(uri)

    def add(self, uri: str, manifests: frozenset[str]) -> None:
        """Remembers a list, unless it is very long."""
        if len(manifests) > self._longest:
            return
        with self._guard:
            self._known[uri] = manifests
            if len(self._known) > self._lists:
                self._known.popitem(last=False)


def check_snapshot_files(
    warehouse: Warehouse,
    metadata: Mapping[str, Any],
    snapshot_ids: Iterable[int],
    checked: CheckedLists | None = None,
) -> None:
    """Raises INVALID_LOCATION when a snapshot names any file outside its table's location.

    For snapshots that a foreign client commits or registers: our engine reads what they name with
    credentials for the whole warehouse, so a manifest that lists another table's files would show
    them. Manifests of the parent snapshot were checked when they came and are not read again.
    """
    location = metadata["location"]
    for snapshot_id in snapshot_ids:
        snapshot = snapshot_by_id(metadata, snapshot_id)
        if snapshot is None:
            continue
        if "manifest-list" in snapshot:
            warehouse.check_inside(location, snapshot["manifest-list"])
        known: frozenset[str] | None = frozenset()
        parent = snapshot_by_id(metadata, snapshot.get("parent-snapshot-id") or -1)
        if parent is not None and parent["snapshot-id"] not in snapshot_ids:
            known = None if checked is None else checked.find(parent.get("manifest-list", ""))
            if known is None:
                listed = read_manifest_list(warehouse.io, parent)
                known = frozenset(manifest.path for manifest in listed)
        assert known is not None
        manifests = read_manifest_list(warehouse.io, snapshot)
        for manifest in manifests:
            warehouse.check_inside(location, manifest.path)
            if manifest.path in known:
                continue
            for entry in read_manifest(warehouse.io, manifest).entries:
                warehouse.check_inside(location, entry.path)
                referenced = entry.file.get("referenced_data_file")
                if referenced:
                    warehouse.check_inside(location, referenced)
        if checked is not None and "manifest-list" in snapshot:
            paths = frozenset(manifest.path for manifest in manifests)
            checked.add(snapshot["manifest-list"], paths)


def _read(io: FileIO, uri: str) -> tuple[Any, list[Json]]:
    data = io.read_bytes(uri)
    try:
        reader: Any = fastavro.reader(memory.BytesIO(data))
        return reader, [dict(row) for row in reader]
    except HeadwaterError:
        raise
    # fastavro lets through whatever its parser meets: ValueError, EOFError, IndexError, KeyError …
    except Exception as exc:
        raise error(ErrorCode.INVALID_METADATA, f"{uri!r} is not a manifest: {exc}") from exc


def _manifest_row(row: Mapping[str, Any], snapshot: Mapping[str, Any]) -> ManifestFile:
    """A manifest list's row; fields that version 1 lacks get their defaults from the spec."""
    return ManifestFile(
        path=row["manifest_path"],
        length=row.get("manifest_length") or 0,
        spec_id=row.get("partition_spec_id") or 0,
        content=row.get("content") or 0,
        sequence_number=row.get("sequence_number") or 0,
        min_sequence_number=row.get("min_sequence_number") or 0,
        snapshot_id=row.get("added_snapshot_id") or snapshot.get("snapshot-id") or 0,
        first_row_id=row.get("first_row_id"),
        row=dict(row),
    )


def _entry(row: Json, manifest: ManifestFile, spec_id: int) -> Entry:
    status = Status(row["status"])
    sequence = row.get("sequence_number")
    file_sequence = row.get("file_sequence_number")
    snapshot_id = row.get("snapshot_id")
    return Entry(
        status=status,
        snapshot_id=manifest.snapshot_id if snapshot_id is None else snapshot_id,
        sequence_number=manifest.sequence_number if sequence is None else sequence,
        file_sequence_number=manifest.sequence_number if file_sequence is None else file_sequence,
        spec_id=spec_id,
        file=row["data_file"],
        first_row_id=row["data_file"].get("first_row_id"),
    )


def _row(entry: Entry, sequence_number: int, version: int) -> Json:
    added = entry.status is Status.ADDED
    own = entry.sequence_number
    file = dict(entry.file)
    if version >= 3:
        # A new file gets its row ids from the manifest list; one that stays must keep its own.
        file["first_row_id"] = None if added else entry.first_row_id
    return {
        "status": int(entry.status),
        "snapshot_id": entry.snapshot_id,
        "sequence_number": None if added and own == sequence_number else own,
        "file_sequence_number": None if added else entry.file_sequence_number,
        "data_file": file,
    }


def _counts(entries: Sequence[Entry]) -> Json:
    names = {Status.ADDED: "added", Status.EXISTING: "existing", Status.DELETED: "deleted"}
    row: Json = {}
    for status, name in names.items():
        found = [entry for entry in entries if entry.status is status]
        row[f"{name}_files_count"] = len(found)
        row[f"{name}_rows_count"] = sum(entry.records for entry in found)
    return row


def _avro(schema: Json, rows: Sequence[Json], headers: dict[str, str]) -> bytes:
    output = memory.BytesIO()
    fastavro.writer(output, fastavro.parse_schema(schema), rows, codec=_CODEC, metadata=headers)
    return output.getvalue()


def _partition_type(schema: Any) -> Any:
    data_file = next(f["type"] for f in schema["fields"] if f["name"] == "data_file")
    return next(f["type"] for f in data_file["fields"] if f["name"] == "partition")


def _spec(metadata: Mapping[str, Any], spec_id: int) -> Json:
    for spec in metadata["partition-specs"]:
        if spec["spec-id"] == spec_id:
            found: Json = spec
            return found
    raise error(ErrorCode.INVALID_METADATA, f"the table has no partition spec {spec_id}")


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
