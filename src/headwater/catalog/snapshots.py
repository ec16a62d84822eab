"""New snapshots that the server itself makes: their JSON, and the commit that adds them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from headwater.catalog.manifests import (
    Content,
    Entry,
    Manifest,
    ManifestFile,
    Status,
    write_manifest,
    write_manifest_list,
)
from headwater.catalog.schema import Json, current_snapshot_id
from headwater.errors import ErrorCode, error
from headwater.storage.fileio import FileIO


@dataclass(frozen=True, slots=True)
class TableCommit:
    """Requirements and updates for `Catalog.commit`.

    `written` are the files that only this commit refers to: delete them when it fails.
    """

    requirements: tuple[Json, ...]
    updates: tuple[Json, ...]
    snapshot_id: int | None = None
    written: tuple[str, ...] = ()


class SnapshotBuilder:
    """Collects the manifests of one new snapshot of `main` and makes the commit of it."""

    def __init__(self, io: FileIO, metadata: Mapping[str, Any]) -> None:
        if metadata["format-version"] < 2:
            raise error(
                ErrorCode.NOT_SUPPORTED,
                "a table of format version 1 cannot be maintained",
                hint="set the table property format-version to 2 or 3 first",
            )
        self._io = io
        self._metadata = metadata
        self._manifests: list[ManifestFile] = []
        self._written: list[str] = []
        self._live: list[Entry] = []
        self._added: list[Entry] = []
        self._removed: list[Entry] = []
        self.snapshot_id = _new_snapshot_id(metadata)
        self.sequence_number = metadata.get("last-sequence-number", 0) + 1

    def keep(self, manifest: ManifestFile, entries: Iterable[Entry]) -> None:
        """Takes a manifest of the parent over as it is; `entries` are what it holds."""
        self._manifests.append(manifest)
        self._live += [entry for entry in entries if entry.is_live]

    def replace(
        self, file: ManifestFile, manifest: Manifest, removed: set[tuple[str, int | None]]
    ) -> None:
        """Takes a manifest of the parent over without some of its files, which it lists as deleted.

        `removed` holds keys of entries (`Entry.key`).
        """
        entries = []
        for entry in manifest.entries:
            if not entry.is_live:
                continue
            if entry.key in removed:
                gone = replace(entry, status=Status.DELETED, snapshot_id=self.snapshot_id)
                self._removed.append(gone)
                entries.append(gone)
            else:
                kept = replace(entry, status=Status.EXISTING)
                self._live.append(kept)
                entries.append(kept)
        self._write(entries, file.content, file.spec_id, manifest.partition_type)

    def add(self, entries: Sequence[Entry], partition_type: Any) -> None:
        """Adds new files of one partition spec and kind."""
        self._added += entries
        self._live += entries
        content = int(entries[0].content is not Content.DATA)
        self._write(entries, content, entries[0].spec_id, partition_type)

    def commit(self, operation: str) -> TableCommit:
        """Writes the manifest list; the snapshot's `operation` is the spec's word for the change.

        The commit holds only while `main` still points to the snapshot this one was made from.
        """
        metadata = self._metadata
        parent = current_snapshot_id(metadata)
        first_row_id = metadata.get("next-row-id", 0) if metadata["format-version"] >= 3 else None
        uri, row_ids = write_manifest_list(
            self._io,
            metadata,
            self._manifests,
            snapshot_id=self.snapshot_id,
            parent_id=parent,
            sequence_number=self.sequence_number,
            first_row_id=first_row_id,
        )
        self._written.append(uri)
        snapshot: Json = {
            "snapshot-id": self.snapshot_id,
            "sequence-number": self.sequence_number,
            "timestamp-ms": max(time.time_ns() // 1_000_000, metadata["last-updated-ms"]),
            "manifest-list": uri,
            "summary": {"operation": operation, **self._summary()},
            "schema-id": metadata["current-schema-id"],
        }
        if parent is not None:
            snapshot["parent-snapshot-id"] = parent
        if first_row_id is not None:
            snapshot |= {"first-row-id": first_row_id, "added-rows": row_ids}
        return TableCommit(
            requirements=on_main(metadata),
            updates=({"action": "add-snapshot", "snapshot": snapshot}, move_main(self.snapshot_id)),
            snapshot_id=self.snapshot_id,
            written=tuple(self._written),
        )

    def _write(
        self, entries: Sequence[Entry], content: int, spec_id: int, partition_type: Any
    ) -> None:
        written = write_manifest(
            self._io,
            self._metadata,
            entries,
            snapshot_id=self.snapshot_id,
            sequence_number=self.sequence_number,
            content=content,
            partition_type=partition_type,
            spec_id=spec_id,
        )
        self._written.append(written.path)
        self._manifests.append(written)

    def _summary(self) -> dict[str, str]:
        """Iceberg spec, "Optional Snapshot Summary Fields"; fields that are zero are left out."""
        counts: dict[str, int] = {}
        for word, entries in (("added", self._added), ("deleted", self._removed)):
            data, deletes = _by_kind(entries)
            size = "added-files-size" if word == "added" else "removed-files-size"
            counts[f"{word}-data-files"] = len(data)
            counts[f"{word}-records"] = sum(entry.records for entry in data)
            counts[size] = sum(entry.size for entry in entries)
            if word == "deleted":
                counts["removed-delete-files"] = len(deletes)
        found = {name: str(count) for name, count in counts.items() if count}
        data, deletes = _by_kind(self._live)
        equality = [entry for entry in deletes if entry.content is Content.EQUALITY_DELETES]
        position = [entry for entry in deletes if entry.content is Content.POSITION_DELETES]
        return found | {
            "total-data-files": str(len(data)),
            "total-delete-files": str(len(deletes)),
            "total-records": str(sum(entry.records for entry in data)),
            "total-files-size": str(sum(entry.size for entry in self._live)),
            "total-position-deletes": str(sum(entry.records for entry in position)),
            "total-equality-deletes": str(sum(entry.records for entry in equality)),
        }


def on_main(metadata: Mapping[str, Any]) -> tuple[Json, ...]:
    """The requirements that the table is the same and that `main` has not moved."""
    return (
        {"type": "assert-table-uuid", "uuid": metadata["table-uuid"]},
        {
            "type": "assert-ref-snapshot-id",
            "ref": "main",
            "snapshot-id": current_snapshot_id(metadata),
        },
    )


def move_main(snapshot_id: int) -> Json:
    """The update that points `main` to a snapshot."""
    return {
        "action": "set-snapshot-ref",
        "ref-name": "main",
        "type": "branch",
        "snapshot-id": snapshot_id,
    }


def _by_kind(entries: Iterable[Entry]) -> tuple[list[Entry], list[Entry]]:
    data: list[Entry] = []
    deletes: list[Entry] = []
    for entry in entries:
        (data if entry.content is Content.DATA else deletes).append(entry)
    return data, deletes


def _new_snapshot_id(metadata: Mapping[str, Any]) -> int:
    taken = {snapshot["snapshot-id"] for snapshot in metadata.get("snapshots") or ()}
    while True:
        found = secrets.randbits(63)
        if found and found not in taken:
            return found
