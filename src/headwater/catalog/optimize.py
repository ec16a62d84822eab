"""Compaction: small files into larger ones, deletes applied, row lineage kept.

`plan_optimize` chooses the files and writes SQL; an engine worker runs it; `finish_optimize` makes
the commit. What a group of files holds, deletes applied and in the current schema, is what
`iceberg_scan` reads from a *scratch table*: metadata of the same table, beside the real one and
never committed, whose only data files are the group's. So the engine's own reader resolves deletes,
schema evolution and row ids, reads no other file, and no column name can get in the way.

On format version 3 the rewritten files carry `_row_id` and `_last_updated_sequence_number` (Iceberg
table spec, "Row Lineage" and "Reserved Field IDs"), so that rows keep their identity.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from headwater.catalog.manifests import (
    Content,
    Entry,
    Manifest,
    ManifestFile,
    Status,
    read_manifest,
    read_manifest_list,
    write_manifest,
    write_manifest_list,
)
from headwater.catalog.parquet_footer import describe_file
from headwater.catalog.schema import (
    current_schema,
    current_snapshot_id,
    snapshot_by_id,
)
from headwater.catalog.snapshots import SnapshotBuilder, TableCommit
from headwater.errors import ErrorCode, error
from headwater.storage.fileio import FileIO

ROW_ID = ("_row_id", 2147483540)
LAST_UPDATED = ("_last_updated_sequence_number", 2147483539)
_FILE_PATH_IDS = (2147483546, 2147483646)
_TARGET_BYTES = 512 * 1024 * 1024
_SMALL = 0.75
_CODECS = {"zstd", "snappy", "gzip", "lz4", "uncompressed", "brotli"}

_Key = tuple[str, int | None]


@dataclass(frozen=True, slots=True)
class RewriteStep:
    """One group of files of one partition, and the SQL that rewrites them as `output`.

    `sql` is a COPY in DuckDB's dialect; it reads `scratch_location` (metadata) and nothing else.
    """

    sql: str
    output: str
    scratch_location: str
    inputs: tuple[Entry, ...] = field(repr=False)
    partition_type: Any = field(repr=False)


@dataclass(frozen=True, slots=True)
class OptimizePlan:
    """What to rewrite of a table at one snapshot; without steps there is nothing to do.

    `scratch` are files that nobody needs once the steps ran.
    """

    snapshot_id: int | None
    sequence_number: int
    steps: tuple[RewriteStep, ...]
    deletes: frozenset[_Key] = field(repr=False)
    scratch: tuple[str, ...] = field(repr=False)

    @property
    def outputs(self) -> tuple[str, ...]:
        """The files that the steps write: delete them, too, when the plan is given up."""
        return tuple(step.output for step in self.steps)


class _State:
    """All manifests of a snapshot, and which deletes apply to which data files."""

    def __init__(self, io: FileIO, metadata: Mapping[str, Any]) -> None:
        snapshot_id = current_snapshot_id(metadata)
        self.snapshot = None if snapshot_id is None else snapshot_by_id(metadata, snapshot_id)
        self.manifests: list[tuple[ManifestFile, Manifest]] = [
            (file, read_manifest(io, file))
            for file in (read_manifest_list(io, self.snapshot) if self.snapshot else ())
        ]
        live = [e for _, manifest in self.manifests for e in manifest.entries if e.is_live]
        self.data = [entry for entry in live if entry.content is Content.DATA]
        self.deletes = [entry for entry in live if entry.content is not Content.DATA]
        unpartitioned = {
            spec["spec-id"] for spec in metadata["partition-specs"] if not spec["fields"]
        }
        self._by_path: dict[str, list[Entry]] = defaultdict(list)
        self._by_partition: dict[Any, list[Entry]] = defaultdict(list)
        self._everywhere: list[Entry] = []
        for delete in self.deletes:
            target = referenced_file(delete)
            if target is not None:
                self._by_path[target].append(delete)
            elif delete.content is Content.EQUALITY_DELETES and delete.spec_id in unpartitioned:
                self._everywhere.append(delete)
            else:
                self._by_partition[_hashable(delete.partition)].append(delete)

    def applying(self, data: Entry) -> list[Entry]:
        """The delete files that apply to a data file (Iceberg spec, "Scan Planning")."""
        candidates = [
            *self._by_path.get(data.path, ()),
            *self._by_partition.get(_hashable(data.partition), ()),
            *self._everywhere,
        ]
        return [
            delete
            for delete in candidates
            if data.sequence_number < delete.sequence_number
            or (
                data.sequence_number == delete.sequence_number
                and delete.content is Content.POSITION_DELETES
            )
        ]


def plan_optimize(
    io: FileIO,
    metadata: Mapping[str, Any],
    *,
    file_size_threshold: int | None = None,
    target_bytes: int | None = None,
) -> OptimizePlan:
    """Chooses what to rewrite: files with deletes, and files under the threshold that have company.

    Files of one partition (and one partition spec) are packed together up to `target_bytes`
    (default: `write.target-file-size-bytes`, 512 MiB); the threshold in bytes defaults to three
    quarters of it.
    """
    SnapshotBuilder(io, metadata)  # refuses what cannot be committed before anything is written
    target = target_bytes or _target(metadata)
    small = file_size_threshold if file_size_threshold is not None else int(target * _SMALL)
    state = _State(io, metadata)
    groups: dict[Any, list[Entry]] = defaultdict(list)
    dirty = set()
    for entry in state.data:
        if state.applying(entry):
            dirty.add(entry.path)
        if entry.path in dirty or entry.size < small:
            groups[_hashable(entry.partition)].append(entry)
    types = {file.spec_id: manifest.partition_type for file, manifest in state.manifests}
    steps: list[RewriteStep] = []
    scratch: list[str] = []
    for group in groups.values():
        for packed in _packed(group, target):
            if len(packed) > 1 or packed[0].path in dirty:
                step, files = _step(io, metadata, state, packed, types[packed[0].spec_id])
                steps.append(step)
                scratch += files
    return OptimizePlan(
        snapshot_id=current_snapshot_id(metadata),
        sequence_number=state.snapshot["sequence-number"] if state.snapshot else 0,
        steps=tuple(steps),
        deletes=frozenset(entry.key for entry in state.deletes),
        scratch=tuple(scratch),
    )


def finish_optimize(io: FileIO, plan: OptimizePlan, metadata: Mapping[str, Any]) -> TableCommit:
    """The commit that puts the rewritten files in the place of the old ones.

    `metadata` is the table as it is now; other writers may have appended since the plan. Raises
    COMMIT_CONFLICT when they removed or deleted from a file of the plan. When `Catalog.commit` then
    reports a conflict, call this again with the newer metadata.
    """
    state = _State(io, metadata)
    removed = {entry.key for step in plan.steps for entry in step.inputs}
    if not removed <= {entry.key for entry in state.data}:
        raise _overtaken()
    if any(delete.key not in plan.deletes for delete in state.deletes):
        raise _overtaken()
    removed |= {entry.key for entry in _dangling(state, removed)}
    builder = SnapshotBuilder(io, metadata)
    for file, manifest in state.manifests:
        if any(entry.is_live and entry.key in removed for entry in manifest.entries):
            builder.replace(file, manifest, removed)
        else:
            builder.keep(file, manifest.entries)
    schema = current_schema(metadata)
    added: dict[int, list[Entry]] = defaultdict(list)
    types = {step.inputs[0].spec_id: step.partition_type for step in plan.steps}
    for step in plan.steps:
        first = step.inputs[0]
        described = describe_file(io, step.output, schema)
        if described["record_count"]:
            entry = Entry(
                status=Status.ADDED,
                snapshot_id=builder.snapshot_id,
                # The old files' place in the sequence: a delete that was applied is not again.
                sequence_number=plan.sequence_number,
                file_sequence_number=builder.sequence_number,
                spec_id=first.spec_id,
                file=described | {"partition": first.file["partition"]},
            )
            added[first.spec_id].append(entry)
    for spec_id, entries in added.items():
        builder.add(entries, types[spec_id])
    return builder.commit("replace")


def referenced_file(delete: Entry) -> str | None:
    """The one data file that a position delete file or deletion vector is about, if it says so."""
    if delete.content is not Content.POSITION_DELETES:
        return None
    named = delete.file.get("referenced_data_file")
    if named:
        return str(named)
    # Without the field, equal bounds of the delete file's `file_path` column say the same. DuckDB
    # 1.5.5 writes them under another reserved id than the spec's.
    bounds = [
        {item["key"]: item["value"] for item in delete.file.get(name) or ()}
        for name in ("lower_bounds", "upper_bounds")
    ]
    for field_id in _FILE_PATH_IDS:
        low, high = (found.get(field_id) for found in bounds)
        if low is not None and low == high:
            return bytes(low).decode("utf-8", "replace")
    return None


def _dangling(state: _State, removed: set[_Key]) -> Iterable[Entry]:
    """The delete files that apply to no data file that stays."""
    needed = {
        delete.key
        for entry in state.data
        if entry.key not in removed
        for delete in state.applying(entry)
    }
    return [delete for delete in state.deletes if delete.key not in needed]


def _packed(entries: Sequence[Entry], target: int) -> list[list[Entry]]:
    """Neighbours together, so that files stay clustered as they were written."""
    bins: list[list[Entry]] = []
    size = 0
    for entry in entries:
        if not bins or size + entry.size > target:
            bins.append([])
            size = 0
        bins[-1].append(entry)
        size += entry.size
    return bins


def _step(
    io: FileIO,
    metadata: Mapping[str, Any],
    state: _State,
    inputs: Sequence[Entry],
    partition_type: Any,
) -> tuple[RewriteStep, list[str]]:
    scratch, files = _scratch_table(io, metadata, state, inputs, partition_type)
    output = f"{metadata['location']}/data/{uuid.uuid4()}-compacted.parquet"
    columns = current_schema(metadata)["fields"]
    names = [column["name"] for column in columns]
    ids = [f"{_name(column['name'])}: {_field_ids(column)}" for column in columns]
    if metadata["format-version"] >= 3:
        for name, field_id in (ROW_ID, LAST_UPDATED):
            names.append(name)
            ids.append(f"{_name(name)}: {field_id}")
    sql = (
        f"COPY (SELECT {', '.join(map(_name, names))} FROM iceberg_scan({_literal(scratch)})) "
        f"TO {_literal(output)} "
        f"(FORMAT parquet, COMPRESSION {_codec(metadata)}, FIELD_IDS {{{', '.join(ids)}}})"
    )
    return RewriteStep(sql, output, scratch, tuple(inputs), partition_type), files


def _scratch_table(
    io: FileIO,
    metadata: Mapping[str, Any],
    state: _State,
    inputs: Sequence[Entry],
    partition_type: Any,
) -> tuple[str, list[str]]:
    """Metadata with the inputs as only data files; returns its location and all files written."""
    assert state.snapshot is not None, "a table without a snapshot has no files to rewrite"
    snapshot_id = state.snapshot["snapshot-id"]
    sequence_number = state.snapshot["sequence-number"]
    manifest = write_manifest(
        io,
        metadata,
        [replace(entry, status=Status.EXISTING) for entry in inputs],
        snapshot_id=snapshot_id,
        sequence_number=sequence_number,
        content=0,
        partition_type=partition_type,
        spec_id=inputs[0].spec_id,
    )
    deletes = [file for file, _ in state.manifests if file.content != 0]
    manifest_list, _ = write_manifest_list(
        io,
        metadata,
        [manifest, *deletes],
        snapshot_id=snapshot_id,
        parent_id=None,
        sequence_number=sequence_number,
        first_row_id=metadata.get("next-row-id") if metadata["format-version"] >= 3 else None,
    )
    snapshot = state.snapshot | {"manifest-list": manifest_list}
    snapshot.pop("parent-snapshot-id", None)
    scratch = dict(metadata) | {
        "snapshots": [snapshot],
        "current-snapshot-id": snapshot_id,
        "refs": {"main": {"type": "branch", "snapshot-id": snapshot_id}},
        "snapshot-log": [],
        "metadata-log": [],
        "statistics": [],
        "partition-statistics": [],
    }
    uri = f"{metadata['location']}/metadata/scratch-{uuid.uuid4()}.metadata.json"
    io.write_bytes(uri, orjson.dumps(scratch))
    return uri, [uri, manifest_list, manifest.path]


def _field_ids(column: Mapping[str, Any]) -> str:
    """DuckDB's FIELD_IDS value of a column: a number, or a struct for a nested one."""
    return _nested_ids(column["id"], column["type"])


def _nested_ids(field_id: int, kind: Any) -> str:
    if not isinstance(kind, Mapping):
        return str(field_id)
    if kind["type"] == "struct":
        inner = {child["name"]: (child["id"], child["type"]) for child in kind["fields"]}
    elif kind["type"] == "list":
        inner = {"element": (kind["element-id"], kind["element"])}
    else:
        inner = {
            "key": (kind["key-id"], kind["key"]),
            "value": (kind["value-id"], kind["value"]),
        }
    parts = [f"{_name(name)}: {_nested_ids(*child)}" for name, child in inner.items()]
    return "{" + ", ".join([f"__duckdb_field_id: {field_id}", *parts]) + "}"


def _codec(metadata: Mapping[str, Any]) -> str:
    asked = str(metadata.get("properties", {}).get("write.parquet.compression-codec", "zstd"))
    return asked.lower() if asked.lower() in _CODECS else "zstd"


def _target(metadata: Mapping[str, Any]) -> int:
    asked = metadata.get("properties", {}).get("write.target-file-size-bytes")
    try:
        return max(1, int(asked)) if asked is not None else _TARGET_BYTES
    except ValueError:
        return _TARGET_BYTES


def _name(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _hashable(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return tuple(_hashable(item) for item in value)
    return bytes(value) if isinstance(value, bytearray) else value


def _overtaken() -> Exception:
    return error(
        ErrorCode.COMMIT_CONFLICT,
        "another change removed or deleted from files while they were compacted",
        hint="run it again",
    )
