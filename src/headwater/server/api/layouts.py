"""A table's history and files: snapshots, branches, what changed between two, partitions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from headwater.catalog import layout
from headwater.catalog.entries import ObjectKind
from headwater.catalog.schema import current_snapshot_id, snapshot_by_id
from headwater.errors import ErrorCode, error
from headwater.server.api.context import Caller, RequestId, Running
from headwater.server.api.names import table_identifier
from headwater.server.inspection import live_rows, summary_number

router = APIRouter(tags=["catalog"])

_PARTITIONS = 1000


class SnapshotRow(BaseModel):
    """One state of a table; ids are text, since they exceed what JavaScript counts.

    Counts are there for viewers who see the whole table.
    """

    id: str
    parent_id: str | None
    timestamp_ms: int
    operation: str | None
    current: bool
    ancestor: bool = Field(description="The current state came from it.")
    refs: list[str]
    rows: int | None
    added_rows: int | None
    deleted_rows: int | None
    added_files: int | None
    deleted_files: int | None
    bytes: int | None
    engine: str | None


class RefRow(BaseModel):
    """A branch or tag."""

    name: str
    kind: str
    snapshot_id: str


class HistoryView(BaseModel):
    """A table's snapshots, latest first, and its branches and tags."""

    snapshots: list[SnapshotRow]
    refs: list[RefRow]
    sees_all: bool


class TableFileView(BaseModel):
    """One file of a table."""

    path: str
    content: str
    format: str
    partition: dict[str, str | None]
    records: int
    bytes: int


class FilesView(BaseModel):
    """Some files of a snapshot, and how many there are."""

    files: list[TableFileView]
    total: int
    location: str


class PartitionView(BaseModel):
    """One partition of a snapshot."""

    values: dict[str, str | None]
    records: int
    files: int
    bytes: int


class PartitionsView(BaseModel):
    """The largest partitions of a snapshot; `total` counts all."""

    partitions: list[PartitionView]
    total: int
    fields: list[str]


class DiffView(BaseModel):
    """What one snapshot has and another has not."""

    added_files: int
    removed_files: int
    added_rows: int
    removed_rows: int
    added_bytes: int
    removed_bytes: int
    deletes_added: int
    added: list[TableFileView]
    removed: list[TableFileView]
    columns_added: list[str]
    columns_removed: list[str]


@router.get("/tables/{table}/history")
def history(table: str, caller: Caller, running: Running, request: RequestId) -> HistoryView:
    """The table's snapshots, without counts for viewers who do not see all of it."""
    identifier = table_identifier(table)
    found = running.inspection.look(caller, identifier, request)
    if found.entry.kind is ObjectKind.VIEW:
        raise error(ErrorCode.NOT_SUPPORTED, f"{identifier} is a view: it has no snapshots")
    if found.scan is None:
        raise error(
            ErrorCode.PERMISSION_DENIED,
            f"the history of {identifier} is for who may read it",
            hint="ask an administrator for SELECT",
        )
    found.request.seal()
    metadata = found.metadata
    refs = metadata.get("refs") or {}
    names: dict[int, list[str]] = {}
    for name, ref in refs.items():
        names.setdefault(ref["snapshot-id"], []).append(name)
    current = current_snapshot_id(metadata)
    ancestors = _ancestors(metadata, current)
    return HistoryView(
        snapshots=[
            _snapshot(snapshot, current, ancestors, names, counts=found.sees_all)
            for snapshot in reversed(metadata.get("snapshots") or [])
        ],
        refs=[
            RefRow(name=name, kind=ref["type"], snapshot_id=str(ref["snapshot-id"]))
            for name, ref in sorted(refs.items())
        ],
        sees_all=found.sees_all,
    )


@router.get("/tables/{table}/files")
def files(
    table: str,
    caller: Caller,
    running: Running,
    request: RequestId,
    snapshot: int | None = None,
    offset: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> FilesView:
    """The files of a snapshot; for viewers who see the whole table."""
    found = running.inspection.whole(caller, table_identifier(table), request, "files")
    chosen = _chosen(found.metadata, snapshot)
    io = running.catalog.linked.files(found.entry.identifier)
    page = layout.file_page(io, found.metadata, chosen, offset, limit)
    return FilesView(
        files=[TableFileView(**asdict(row)) for row in page.files],
        total=page.total,
        location=str(found.metadata["location"]),
    )


@router.get("/tables/{table}/partitions")
def partitions(
    table: str,
    caller: Caller,
    running: Running,
    request: RequestId,
    snapshot: int | None = None,
) -> PartitionsView:
    """The partitions of a snapshot, largest first; for viewers who see the whole table."""
    found = running.inspection.whole(caller, table_identifier(table), request, "partitions")
    chosen = _chosen(found.metadata, snapshot)
    io = running.catalog.linked.files(found.entry.identifier)
    rows = layout.partitions(io, found.metadata, chosen)
    names = dict.fromkeys(name for row in rows for name in row.values)
    return PartitionsView(
        partitions=[PartitionView(**asdict(row)) for row in rows[:_PARTITIONS]],
        total=len(rows),
        fields=list(names),
    )


@router.get("/tables/{table}/diff")
def diff(
    table: str,
    caller: Caller,
    running: Running,
    request: RequestId,
    before: Annotated[int, Query(description="A snapshot's id.")],
    after: Annotated[int, Query(description="Another one's.")],
) -> DiffView:
    """What changed from one snapshot to another; for viewers who see the whole table."""
    found = running.inspection.whole(caller, table_identifier(table), request, "changes")
    old, new = _chosen(found.metadata, before), _chosen(found.metadata, after)
    io = running.catalog.linked.files(found.entry.identifier)
    changed = layout.difference(io, found.metadata, old, new)
    had = {f["id"]: f["name"] for f in layout.columns_at(found.metadata, old or {})}
    has = {f["id"]: f["name"] for f in layout.columns_at(found.metadata, new or {})}
    return DiffView(
        **asdict(changed),
        columns_added=[name for key, name in has.items() if key not in had] if had else [],
        columns_removed=[name for key, name in had.items() if key not in has] if has else [],
    )


def _chosen(metadata: Mapping[str, Any], snapshot_id: int | None) -> Mapping[str, Any] | None:
    wanted = current_snapshot_id(metadata) if snapshot_id is None else snapshot_id
    if wanted is None:
        return None
    found = snapshot_by_id(metadata, wanted)
    if found is None:
        raise error(
            ErrorCode.SNAPSHOT_NOT_FOUND,
            f"the table has no snapshot {wanted}",
            hint="it may have expired meanwhile",
        )
    return found


def _ancestors(metadata: Mapping[str, Any], current: int | None) -> set[int]:
    parents = {s["snapshot-id"]: s.get("parent-snapshot-id") for s in metadata.get("snapshots", ())}
    found: set[int] = set()
    while current is not None and current not in found:
        found.add(current)
        current = parents.get(current)
    return found


def _snapshot(
    snapshot: Mapping[str, Any],
    current: int | None,
    ancestors: set[int],
    names: Mapping[int, list[str]],
    *,
    counts: bool,
) -> SnapshotRow:
    own, parent = snapshot["snapshot-id"], snapshot.get("parent-snapshot-id")
    summary = snapshot.get("summary") or {}

    def number(name: str) -> int | None:
        return summary_number(snapshot, name) if counts else None

    return SnapshotRow(
        id=str(own),
        parent_id=None if parent is None else str(parent),
        timestamp_ms=snapshot["timestamp-ms"],
        operation=summary.get("operation"),
        current=own == current,
        ancestor=own in ancestors,
        refs=sorted(names.get(own, [])),
        rows=live_rows(snapshot) if counts else None,
        added_rows=number("added-records"),
        deleted_rows=_sum(number("deleted-records"), number("added-position-deletes")),
        added_files=number("added-data-files"),
        deleted_files=number("deleted-data-files"),
        bytes=number("total-files-size"),
        engine=summary.get("engine-name"),
    )


def _sum(*counts: int | None) -> int | None:
    """The sum of what is known; None when nothing is."""
    known = [count for count in counts if count is not None]
    return sum(known) if known else None
