"""ALTER TABLE as Iceberg metadata updates: pure, from a table's metadata and the actions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

from headwater.catalog.schema import current_schema, current_snapshot_id, snapshot_by_id
from headwater.errors import ErrorCode, error
from headwater.query.schema_changes import SchemaChange
from headwater.sql.statements import (
    AddColumn,
    AlterAction,
    AlterColumnType,
    DropColumn,
    DropRef,
    PartitionField,
    RenameColumn,
    SetColumnComment,
    SetColumnNullable,
    SetComment,
    SetPartitioning,
    SetProperties,
    SetRef,
    SortField,
)

Json = dict[str, Any]

RESERVED_PROPERTIES = frozenset(
    {"uuid", "current-snapshot-id", "current-schema", "default-partition-spec"}
)
"""Names that Iceberg keeps for facts about the table, not for properties."""


def requirements(metadata: Mapping[str, Any]) -> list[Json]:
    """What must still hold when a change of definition is committed."""
    return [
        {"type": "assert-table-uuid", "uuid": metadata["table-uuid"]},
        {
            "type": "assert-current-schema-id",
            "current-schema-id": metadata["current-schema-id"],
        },
        {"type": "assert-default-spec-id", "default-spec-id": metadata["default-spec-id"]},
    ]


def updates(metadata: Mapping[str, Any], actions: Iterable[AlterAction]) -> list[Json]:
    """The updates that carry out the actions; empty when there is nothing to do."""
    change = SchemaChange(
        current_schema(metadata), metadata["last-column-id"], metadata["format-version"]
    )
    before = deepcopy(change.schema)
    others: list[Json] = []
    for action in actions:
        match action:
            case AddColumn(column, if_not_exists):
                change.add(column, if_not_exists)
            case DropColumn(path, if_exists):
                _check_unused(metadata, change.drop(path, if_exists), path)
            case RenameColumn(path, to):
                change.rename(path, to)
            case AlterColumnType(path, kind):
                change.widen(path, kind)
            case SetColumnNullable(path, nullable):
                change.relax(path, nullable)
            case SetColumnComment(path, comment):
                change.comment(path, comment)
            case SetComment(comment):
                others += _properties({"comment": comment})
            case SetProperties(properties):
                others += _properties(properties)
            case SetPartitioning(fields):
                spec = partition_spec(fields, change.schema)
                others.append({"action": "add-spec", "spec": spec})
                others.append({"action": "set-default-spec", "spec-id": -1})
            case SetRef():
                others += _set_ref(metadata, action)
            case DropRef():
                others += _drop_ref(metadata, action)
            case _:
                raise error(ErrorCode.NOT_SUPPORTED, "this change cannot be combined with others")
    if change.schema == before:
        return others
    schema: list[Json] = [
        {"action": "add-schema", "schema": change.schema, "last-column-id": change.last_id},
        {"action": "set-current-schema", "schema-id": -1},
    ]
    return schema + others


def _check_unused(metadata: Mapping[str, Any], field_id: int | None, path: Iterable[str]) -> None:
    specs = [s for s in metadata["partition-specs"] if s["spec-id"] == metadata["default-spec-id"]]
    orders = [
        o
        for o in metadata.get("sort-orders", ())
        if o["order-id"] == metadata["default-sort-order-id"]
    ]
    used = {f.get("source-id") for part in (*specs, *orders) for f in part["fields"]}
    if field_id is not None and field_id in used:
        raise error(
            ErrorCode.NOT_SUPPORTED,
            f"the table is partitioned or sorted by '{'.'.join(path)}'",
            hint="first ALTER TABLE … SET PROPERTIES partitioning = ARRAY[]",
        )


def _properties(properties: Mapping[str, str | None]) -> list[Json]:
    if reserved := RESERVED_PROPERTIES & properties.keys():
        raise error(ErrorCode.INVALID_ARGUMENT, f"the property {min(reserved)} cannot be set")
    found: list[Json] = []
    changed = {key: value for key, value in properties.items() if value is not None}
    version = changed.pop("format-version", None)
    if version is not None:
        if version not in ("1", "2", "3"):
            raise error(
                ErrorCode.INVALID_ARGUMENT,
                f"there is no Iceberg format version {version[:20]!r}",
                hint="1, 2 or 3",
            )
        found.append({"action": "upgrade-format-version", "format-version": int(version)})
    if changed:
        found.append({"action": "set-properties", "updates": changed})
    removed = [key for key, value in properties.items() if value is None]
    if removed:
        found.append({"action": "remove-properties", "removals": removed})
    return found


def _set_ref(metadata: Mapping[str, Any], action: SetRef) -> list[Json]:
    refs = metadata.get("refs") or {}
    if action.ref in refs and not action.replace:
        if action.if_not_exists:
            return []
        raise error(
            ErrorCode.INVALID_ARGUMENT,
            f"the table already has a {refs[action.ref]['type']} '{action.ref}'",
            hint=f"CREATE OR REPLACE {action.kind.upper()} moves it",
        )
    if action.ref == "main":
        raise error(
            ErrorCode.INVALID_ARGUMENT,
            "main is the table itself",
            hint="ALTER TABLE … EXECUTE rollback_to_snapshot(id) moves it",
        )
    snapshot_id = action.snapshot_id
    if snapshot_id is None:
        snapshot_id = current_snapshot_id(metadata)
    if snapshot_id is None or snapshot_by_id(metadata, snapshot_id) is None:
        raise error(
            ErrorCode.SNAPSHOT_NOT_FOUND,
            "the table has no snapshot yet"
            if snapshot_id is None
            else f"the table has no snapshot {snapshot_id}",
            hint='SELECT * FROM "table$snapshots" lists what can be named',
        )
    return [
        {
            "action": "set-snapshot-ref",
            "ref-name": action.ref,
            "type": action.kind,
            "snapshot-id": snapshot_id,
        }
    ]


def _drop_ref(metadata: Mapping[str, Any], action: DropRef) -> list[Json]:
    found = (metadata.get("refs") or {}).get(action.ref)
    if found is None or found["type"] != action.kind or action.ref == "main":
        if action.if_exists:
            return []
        raise error(
            ErrorCode.SNAPSHOT_NOT_FOUND, f"the table has no {action.kind} '{action.ref}' to drop"
        )
    return [{"action": "remove-snapshot-ref", "ref-name": action.ref}]


def partition_spec(fields: Iterable[PartitionField], schema: Mapping[str, Any]) -> Json:
    """An Iceberg partition spec; fields are named as Iceberg does (`d_month`, `id_bucket_16`)."""
    made: list[Json] = []
    for field in fields:
        source = _source(field.column, schema)
        name, _, width = field.transform.rstrip("]").partition("[")
        label = field.column if name == "identity" else f"{field.column}_{name}"
        if name == "truncate":
            label = f"{field.column}_trunc"
        made.append(
            {
                "source-id": source,
                "name": f"{label}_{width}" if name == "bucket" and width else label,
                "transform": field.transform,
            }
        )
    return {"fields": made}


def sort_order(fields: Iterable[SortField], schema: Mapping[str, Any]) -> Json:
    """An Iceberg sort order."""
    return {
        "fields": [
            {
                "transform": field.transform,
                "source-id": _source(field.column, schema),
                "direction": "asc" if field.ascending else "desc",
                "null-order": "nulls-first" if field.nulls_first else "nulls-last",
            }
            for field in fields
        ]
    }


def _source(column: str, schema: Mapping[str, Any]) -> int:
    kind: Any = schema
    found: Mapping[str, Any] | None = None
    for name in column.split("."):
        fields = kind["fields"] if isinstance(kind, Mapping) and "fields" in kind else ()
        found = next((f for f in fields if f["name"].casefold() == name.casefold()), None)
        if found is None:
            raise error(
                ErrorCode.COLUMN_NOT_FOUND,
                f"the table has no column '{column}' to partition or sort by",
            )
        kind = found["type"]
    assert found is not None, "a column's name has at least one part"
    field_id: int = found["id"]
    return field_id
