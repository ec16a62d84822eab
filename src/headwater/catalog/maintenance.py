"""Maintenance that changes metadata only: expire snapshots, truncate, roll back.

Each function plans from a table's metadata and returns requirements and updates for
`Catalog.commit`; files are removed by the caller, after the commit. Compaction is in
`catalog.optimize`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headwater.catalog.manifests import read_manifest, read_manifest_list
from headwater.catalog.schema import Json, current_snapshot_id, snapshot_by_id
from headwater.catalog.snapshots import SnapshotBuilder, TableCommit, move_main, on_main
from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.storage.fileio import FileIO
from headwater.storage.warehouse import Warehouse

_DEFAULT_AGE_MS = 5 * 24 * 3600 * 1000
_DEFAULT_KEPT = 1


@dataclass(frozen=True, slots=True)
class ExpirePlan:
    """A commit that forgets snapshots, and the files that no snapshot needs after it.

    Remove `files` only when the commit succeeded. Without `snapshot_ids` there is nothing to do.
    """

    commit: TableCommit
    snapshot_ids: tuple[int, ...]
    files: tuple[str, ...]


def expire_snapshots(
    warehouse: Warehouse,
    metadata: Mapping[str, Any],
    *,
    older_than_ms: int | None = None,
    retain_last: int | None = None,
    now_ms: int | None = None,
) -> ExpirePlan:
    """Plans to forget the snapshots older than a time (Unix milliseconds; default five days ago).

    Kept, whatever their age: what a branch or tag points to, and the last `retain_last` (default 1)
    snapshots of every branch; a ref's own `min-snapshots-to-keep`, `max-snapshot-age-ms` and
    `max-ref-age-ms` and the table's `history.expire.*` properties hold where no argument is given
    (Iceberg table spec, "Snapshot Retention Policy").
    """
    now = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    refs = _lasting_refs(metadata, now)
    gone_refs = set(metadata.get("refs") or {}) - set(refs)
    kept = _kept_snapshots(metadata, refs, older_than_ms, retain_last, now)
    expired = [s for s in metadata.get("snapshots") or () if s["snapshot-id"] not in kept]
    staying = [s for s in metadata.get("snapshots") or () if s["snapshot-id"] in kept]
    ids = tuple(snapshot["snapshot-id"] for snapshot in expired)
    updates: list[Json] = [
        {"action": "remove-snapshot-ref", "ref-name": name} for name in sorted(gone_refs)
    ]
    if ids:
        updates.append({"action": "remove-snapshots", "snapshot-ids": list(ids)})
    requirements = [
        on_main(metadata)[0],
        *(
            {"type": "assert-ref-snapshot-id", "ref": name, "snapshot-id": ref["snapshot-id"]}
            for name, ref in (metadata.get("refs") or {}).items()
        ),
    ]
    return ExpirePlan(
        commit=TableCommit(tuple(requirements), tuple(updates), current_snapshot_id(metadata)),
        snapshot_ids=ids,
        files=tuple(_unreachable(warehouse, metadata, expired, staying)) if ids else (),
    )


def truncate(io: FileIO, metadata: Mapping[str, Any]) -> TableCommit | None:
    """A snapshot without rows; the old ones stay readable. None when the table has no snapshot."""
    snapshot_id = current_snapshot_id(metadata)
    snapshot = None if snapshot_id is None else snapshot_by_id(metadata, snapshot_id)
    if snapshot is None:
        return None
    builder = SnapshotBuilder(io, metadata)
    for file in read_manifest_list(io, snapshot):
        manifest = read_manifest(io, file)
        live = {entry.key for entry in manifest.entries if entry.is_live}
        if live:
            builder.replace(file, manifest, live)
    return builder.commit("delete")


def rollback_to_snapshot(metadata: Mapping[str, Any], snapshot_id: int) -> TableCommit:
    """Points `main` back to one of its own earlier snapshots; nothing is lost.

    Raises SNAPSHOT_NOT_FOUND for a snapshot that is not in `main`'s history.
    """
    current = current_snapshot_id(metadata)
    if snapshot_id not in set(ancestors(metadata, current)):
        raise error(
            ErrorCode.SNAPSHOT_NOT_FOUND,
            f"snapshot {snapshot_id} is not in the table's history",
            hint='SELECT * FROM "table$history" lists what can be rolled back to',
        )
    return TableCommit(on_main(metadata), (move_main(snapshot_id),), snapshot_id)


def ancestors(metadata: Mapping[str, Any], snapshot_id: int | None) -> Iterable[int]:
    """A snapshot and its parents, newest first, as far as the table still knows them."""
    parents = {
        snapshot["snapshot-id"]: snapshot.get("parent-snapshot-id")
        for snapshot in metadata.get("snapshots") or ()
    }
    seen: set[int] = set()
    while snapshot_id is not None and snapshot_id in parents and snapshot_id not in seen:
        seen.add(snapshot_id)
        yield snapshot_id
        snapshot_id = parents[snapshot_id]


def reachable_files(io: FileIO, snapshots: Iterable[Mapping[str, Any]]) -> set[str]:
    """Every file that any of the snapshots needs: manifest lists, manifests, data and deletes."""
    found: set[str] = set()
    for snapshot in snapshots:
        if "manifest-list" in snapshot:
            found.add(snapshot["manifest-list"])
        for file in read_manifest_list(io, snapshot):
            if file.path not in found:
                found.add(file.path)
                found |= {e.path for e in read_manifest(io, file).entries if e.is_live}
    return found


def statistics_files(metadata: Mapping[str, Any]) -> dict[int, list[str]]:
    """The statistics files of each snapshot id."""
    found: dict[int, list[str]] = {}
    for kind in ("statistics", "partition-statistics"):
        for item in metadata.get(kind) or ():
            found.setdefault(item["snapshot-id"], []).append(item["statistics-path"])
    return found


def _lasting_refs(metadata: Mapping[str, Any], now_ms: int) -> dict[str, Json]:
    """The refs that outlive their own `max-ref-age-ms`; `main` never ends."""
    lasting: dict[str, Json] = {}
    for name, ref in (metadata.get("refs") or {}).items():
        longest = ref.get("max-ref-age-ms")
        snapshot = snapshot_by_id(metadata, ref["snapshot-id"])
        age = now_ms - snapshot["timestamp-ms"] if snapshot is not None else None
        if name == "main" or longest is None or (age is not None and age <= longest):
            lasting[name] = ref
    current = current_snapshot_id(metadata)
    if "main" not in lasting and current is not None:
        lasting["main"] = {"type": "branch", "snapshot-id": current}
    return lasting


def _kept_snapshots(
    metadata: Mapping[str, Any],
    refs: Mapping[str, Json],
    older_than_ms: int | None,
    retain_last: int | None,
    now_ms: int,
) -> set[int]:
    times = {s["snapshot-id"]: s["timestamp-ms"] for s in metadata.get("snapshots") or ()}
    age = _property(metadata, "history.expire.max-snapshot-age-ms", _DEFAULT_AGE_MS)
    count = _property(metadata, "history.expire.min-snapshots-to-keep", _DEFAULT_KEPT)
    kept: set[int] = set()
    reachable: set[int] = set()
    for ref in refs.values():
        kept.add(ref["snapshot-id"])
        if ref.get("type") != "branch":
            reachable.add(ref["snapshot-id"])
            continue
        oldest = older_than_ms
        if oldest is None:
            oldest = now_ms - int(ref.get("max-snapshot-age-ms", age))
        least = retain_last
        if least is None:
            least = int(ref.get("min-snapshots-to-keep", count))
        for position, snapshot_id in enumerate(ancestors(metadata, ref["snapshot-id"])):
            reachable.add(snapshot_id)
            if position < least or times[snapshot_id] >= oldest:
                kept.add(snapshot_id)
    # Snapshots outside every branch (rolled back, or staged) only have their age.
    limit = older_than_ms if older_than_ms is not None else now_ms - age
    kept |= {i for i, time_ms in times.items() if i not in reachable and time_ms >= limit}
    return kept


def _unreachable(
    warehouse: Warehouse,
    metadata: Mapping[str, Any],
    expired: Sequence[Mapping[str, Any]],
    staying: Sequence[Mapping[str, Any]],
) -> list[str]:
    """The files of expired snapshots that no other one needs and that are in the table's folder."""
    io = warehouse.io
    needed = reachable_files(io, staying)
    statistics = statistics_files(metadata)
    needed |= {uri for s in staying for uri in statistics.get(s["snapshot-id"], ())}
    candidates: dict[str, None] = {}
    for snapshot in expired:
        candidates |= dict.fromkeys(statistics.get(snapshot["snapshot-id"], ()))
        if "manifest-list" in snapshot:
            candidates[snapshot["manifest-list"]] = None
        for file in read_manifest_list(io, snapshot):
            if file.path not in needed and file.path not in candidates:
                candidates[file.path] = None
                # Removed files, too: the snapshot that removed one may be the last to name it.
                candidates |= dict.fromkeys(e.path for e in read_manifest(io, file).entries)
    return [
        uri
        for uri in candidates
        if uri not in needed and _is_inside(warehouse, metadata["location"], uri)
    ]


def _is_inside(warehouse: Warehouse, location: str, uri: str) -> bool:
    try:
        warehouse.check_inside(location, uri)
    except HeadwaterError:
        return False
    return True


def _property(metadata: Mapping[str, Any], name: str, default: int) -> int:
    try:
        return int(metadata.get("properties", {}).get(name, default))
    except ValueError:
        return default
