"""Helpers over Iceberg schemas and metadata as raw JSON (dicts), the form they are kept in.

Iceberg table spec: "Schemas and Data Types", "Snapshots", "Snapshot References".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from headwater.errors import ErrorCode, error
from headwater.model.identifiers import SnapshotRef

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class FieldPath:
    """A field anywhere in a schema: its id, type, names from the top, and what it lies within.

    `parents` holds the ids from the top-level field down; `optional_parent` is True when any
    struct above may be null; `in_collection` when a list or map lies above.
    """

    id: int
    name: str
    type: Any
    required: bool
    parents: tuple[int, ...]
    optional_parent: bool
    in_collection: bool


def fields(schema: Mapping[str, Any]) -> list[Json]:
    """The top-level fields, in table order."""
    found: list[Json] = schema["fields"]
    return found


def walk(schema: Mapping[str, Any]) -> Iterator[FieldPath]:
    """Every field with an id, parents before children; list elements, map keys and values too."""
    yield from _walk(schema, "", (), False, False)


def _walk(
    node: Any, prefix: str, parents: tuple[int, ...], optional: bool, collection: bool
) -> Iterator[FieldPath]:
    if not isinstance(node, Mapping):
        return
    kind = node.get("type")
    if kind == "struct":
        children = [
            (f["id"], f["name"], f["type"], bool(f.get("required", False))) for f in node["fields"]
        ]
    elif kind == "list":
        children = [
            (node["element-id"], "element", node["element"], bool(node.get("element-required")))
        ]
        collection = True
    elif kind == "map":
        children = [
            (node["key-id"], "key", node["key"], True),
            (node["value-id"], "value", node["value"], bool(node.get("value-required"))),
        ]
        collection = True
    else:
        return
    for field_id, name, kind_of_field, required in children:
        path = f"{prefix}.{name}" if prefix else name
        yield FieldPath(field_id, path, kind_of_field, required, parents, optional, collection)
        yield from _walk(
            kind_of_field, path, (*parents, field_id), optional or not required, collection
        )


def highest_field_id(schema: Mapping[str, Any]) -> int:
    """The largest field id anywhere in the schema, 0 when it has no field."""
    return max((path.id for path in walk(schema)), default=0)


def field_by_id(schema: Mapping[str, Any], field_id: int) -> Json | None:
    """The top-level field with that id."""
    return next((f for f in schema["fields"] if f["id"] == field_id), None)


def field_by_name(schema: Mapping[str, Any], name: str) -> Json | None:
    """The top-level field of that name, whatever its case."""
    folded = name.casefold()
    return next((f for f in schema["fields"] if f["name"].casefold() == folded), None)


def schema_by_id(metadata: Mapping[str, Any], schema_id: int) -> Json | None:
    """The table's or view's schema with that id."""
    return next((s for s in metadata["schemas"] if s.get("schema-id") == schema_id), None)


def current_schema(metadata: Mapping[str, Any]) -> Json:
    """The table's current schema."""
    found = schema_by_id(metadata, metadata["current-schema-id"])
    if found is None:
        raise error(ErrorCode.INVALID_METADATA, "the table's current schema is missing")
    return found


def default_spec(metadata: Mapping[str, Any]) -> Json:
    """The partition spec that new data follows."""
    for spec in metadata.get("partition-specs", ()):
        if spec["spec-id"] == metadata["default-spec-id"]:
            found: Json = spec
            return found
    raise error(ErrorCode.INVALID_METADATA, "the table's default partition spec is missing")


def snapshot_by_id(metadata: Mapping[str, Any], snapshot_id: int) -> Json | None:
    """The snapshot with that id."""
    return next(
        (s for s in metadata.get("snapshots") or () if s["snapshot-id"] == snapshot_id), None
    )


def current_snapshot_id(metadata: Mapping[str, Any]) -> int | None:
    """The snapshot that `main` points to; None for a table without data."""
    main = (metadata.get("refs") or {}).get("main")
    found = main["snapshot-id"] if main else metadata.get("current-snapshot-id")
    return None if found is None or found == -1 else int(found)


def resolve_snapshot(metadata: Mapping[str, Any], at: SnapshotRef) -> int | None:
    """The snapshot that a reference means; None for the current state of a table without data.

    A timestamp means the snapshot that was current then (inclusive). Raises SNAPSHOT_NOT_FOUND.
    """
    if at.snapshot_id is not None:
        if snapshot_by_id(metadata, at.snapshot_id) is None:
            raise _no_snapshot(f"the table has no snapshot {at.snapshot_id}")
        return at.snapshot_id
    if at.ref is not None:
        reference = (metadata.get("refs") or {}).get(at.ref)
        if reference is None:
            if at.ref == "main":
                return current_snapshot_id(metadata)
            raise _no_snapshot(f"the table has no branch or tag {at.ref!r}")
        return int(reference["snapshot-id"])
    if at.timestamp_ms is not None:
        then = None
        for entry in metadata.get("snapshot-log") or ():
            if entry["timestamp-ms"] <= at.timestamp_ms:
                then = int(entry["snapshot-id"])
        if then is None or snapshot_by_id(metadata, then) is None:
            raise _no_snapshot("the table has no snapshot at or before that time")
        return then
    return current_snapshot_id(metadata)


def schema_at(metadata: Mapping[str, Any], at: SnapshotRef) -> Json:
    """The schema to read a reference with.

    The current one for the current state and for a branch; the snapshot's own for a snapshot id,
    a timestamp and a tag (Iceberg spec, "Snapshot References"; older snapshots may not name one).
    """
    if at.is_current:
        return current_schema(metadata)
    if at.ref is not None:
        reference = (metadata.get("refs") or {}).get(at.ref)
        if reference is None or reference.get("type") == "branch":
            return current_schema(metadata)
    snapshot_id = resolve_snapshot(metadata, at)
    snapshot = None if snapshot_id is None else snapshot_by_id(metadata, snapshot_id)
    schema_id = None if snapshot is None else snapshot.get("schema-id")
    found = None if schema_id is None else schema_by_id(metadata, schema_id)
    return found or current_schema(metadata)


def reassign_ids(schema: Mapping[str, Any]) -> tuple[Json, dict[int, int]]:
    """The schema with fresh field ids from 1, and old id → new id.

    Ids go level by level within each struct, as Iceberg's own libraries assign them at creation.
    """
    ids: dict[int, int] = {}
    last = 0

    def fresh(old: Any) -> int:
        nonlocal last
        last += 1
        if isinstance(old, int):
            ids[old] = last
        return last

    def visit(node: Any) -> Any:
        if not isinstance(node, Mapping):
            return node
        kind = node.get("type")
        if kind == "struct":
            renumbered = [{**f, "id": fresh(f.get("id"))} for f in node["fields"]]
            return {**node, "fields": [{**f, "type": visit(f["type"])} for f in renumbered]}
        if kind == "list":
            element_id = fresh(node.get("element-id"))
            return {**node, "element-id": element_id, "element": visit(node["element"])}
        if kind == "map":
            key_id, value_id = fresh(node.get("key-id")), fresh(node.get("value-id"))
            return {
                **node,
                "key-id": key_id,
                "value-id": value_id,
                "key": visit(node["key"]),
                "value": visit(node["value"]),
            }
        return dict(node)

    result: Json = visit(schema)
    identifiers = schema.get("identifier-field-ids")
    if identifiers:
        result["identifier-field-ids"] = [ids.get(i, i) for i in identifiers]
    return result, ids


def _no_snapshot(message: str) -> Exception:
    return error(
        ErrorCode.SNAPSHOT_NOT_FOUND,
        message,
        hint='SELECT * FROM "table$snapshots" lists what can be read',
    )
