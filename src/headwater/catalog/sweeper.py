"""Finds and removes files that no table or view of the catalog refers to.

They are left by a crash between writing a file and committing it, by a writer that gave up, and by
dropped tables. A file is only taken for an orphan when it is older than a grace period, which must
be longer than any statement runs: a writer's files are unreferenced until it commits. Where a
table's metadata cannot be read, nothing of that table is touched.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from headwater.catalog.catalog import Catalog
from headwater.catalog.entries import ObjectKind, TableEntry
from headwater.catalog.maintenance import reachable_files, statistics_files
from headwater.errors import ErrorCode, HeadwaterError
from headwater.storage.fileio import FileInfo, canonical

GRACE_MS = 3 * 24 * 3600 * 1000
"""Default age, in milliseconds, from which an unreferenced file counts as orphaned: three days."""


@dataclass(frozen=True, slots=True)
class SweepReport:
    """What a sweep found: orphaned files, purged folders of dropped tables, folders left alone.

    `skipped` pairs a location with the reason. `deleted` is False for a dry run.
    """

    orphans: tuple[FileInfo, ...]
    purged: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...]
    deleted: bool

    @property
    def bytes(self) -> int:
        """The size of all orphaned files together."""
        return sum(file.size for file in self.orphans)


class Sweeper:
    """Sweeps one catalog's warehouse; may run while tables are written."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._warehouse = catalog.warehouse

    def sweep(
        self, *, grace_ms: int = GRACE_MS, delete: bool = False, now_ms: int | None = None
    ) -> SweepReport:
        """Looks for orphans older than the grace period; removes them when `delete` says so.

        The folder of a table that was dropped with purge goes as a whole; of one that was dropped
        without, nothing goes: it may be registered again.
        """
        now = time.time_ns() // 1_000_000 if now_ms is None else now_ms
        # Files first, references after: what is committed in between is seen as referenced.
        files = [
            file
            for file in self._warehouse.io.list(self._warehouse.root)
            if file.modified_ms < now - grace_ms
        ]
        entries = [
            entry
            for entry in self._catalog.all_entries()
            if not self._catalog.linked.holds(entry.identifier.namespace)
        ]
        locations: dict[str, set[str] | None] = {}
        skipped: list[tuple[str, str]] = []
        for entry in entries:
            try:
                location, metadata, current = self._load(entry)
            except HeadwaterError as exc:
                if exc.code in (ErrorCode.TABLE_NOT_FOUND, ErrorCode.SCHEMA_NOT_FOUND):
                    # Dropped or renamed a moment ago: what its folder is now, the next sweep sees.
                    return SweepReport((), (), ((str(entry.identifier), str(exc)),), False)
                raise
            try:
                locations[location] = self._references(metadata, current)
            except HeadwaterError as exc:
                locations[location] = None
                skipped.append((location, str(exc)))
        retired = {found.location: found for found in self._catalog.retired()}
        purged = [
            location
            for location, found in retired.items()
            if found.purge and found.retired_ms < now - grace_ms and location not in locations
        ]
        orphans = []
        for folder, inside in self._by_location(files, {*locations, *retired}).items():
            if folder in retired and folder not in locations:
                orphans += inside if folder in purged else []
                continue
            needed = set() if folder is None else locations[folder]
            if needed is not None:
                orphans += [file for file in inside if file.uri not in needed]
        if delete:
            self._warehouse.io.delete(file.uri for file in orphans)
            for location in purged:
                self._warehouse.io.remove_location(location)
                self._catalog.forget_retired(location)
        return SweepReport(tuple(orphans), tuple(purged), tuple(skipped), delete)

    def _load(self, entry: TableEntry) -> tuple[str, Mapping[str, Any], str]:
        if entry.kind is ObjectKind.VIEW:
            view = self._catalog.view(entry.identifier)
            return view.metadata["location"], view.metadata, view.metadata_location
        table = self._catalog.table(entry.identifier)
        return table.metadata["location"], table.metadata, table.metadata_location

    def _references(self, metadata: Mapping[str, Any], current: str) -> set[str]:
        """Every file that a table or view may still need, older metadata files among them.

        As the storage lists them, whatever their writers wrote.
        """
        found = {current}
        found |= {item["metadata-file"] for item in metadata.get("metadata-log") or ()}
        for uris in statistics_files(metadata).values():
            found.update(uris)
        found |= reachable_files(self._warehouse.io, metadata.get("snapshots") or ())
        return {canonical(uri) for uri in found}

    def _by_location(
        self, files: list[FileInfo], locations: set[str]
    ) -> dict[str | None, list[FileInfo]]:
        """Files under the location that they lie in; None for those in no one's."""
        grouped: dict[str | None, list[FileInfo]] = defaultdict(list)
        for file in files:
            folder = file.uri.rpartition("/")[0]
            while folder not in locations and len(folder) > len(self._warehouse.root):
                folder = folder.rpartition("/")[0]
            grouped[folder if folder in locations else None].append(file)
        return grouped
