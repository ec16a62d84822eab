"""The metadata engine: table metadata and a list of updates in, new table metadata out.

Pure functions on raw JSON (dicts as `orjson` reads them). What this version does not know is kept
as it is, so a newer client's fields survive. Arguments are never changed: unchanged parts are
shared. Sources: Iceberg table spec (format versions 1 to 3) and REST spec (TableUpdate).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from headwater.catalog.partitioning import (
    FIRST_PARTITION_FIELD_ID,
    bind_spec,
    check_order,
    check_spec,
    same_spec,
)
from headwater.catalog.schema import (
    Json,
    current_schema,
    default_spec,
    highest_field_id,
    schema_by_id,
    snapshot_by_id,
)
from headwater.catalog.schema_rules import check_schema
from headwater.catalog.shapes import well_formed
from headwater.errors import ErrorCode, HeadwaterError, error

NEWEST_FORMAT_VERSION = 3
"""The newest table format version that this engine knows the rules of."""

_PREVIOUS_VERSIONS = "write.metadata.previous-versions-max"


def apply_updates(
    metadata: Mapping[str, Any],
    updates: Iterable[Mapping[str, Any]],
    *,
    metadata_location: str | None = None,
    now_ms: int | None = None,
) -> Json:
    """The metadata after the updates, or an equal copy when nothing changes.

    `metadata_location` is the file of the given metadata, which goes into the metadata log.
    Raises INVALID_METADATA or INVALID_ARGUMENT for an update that the table cannot take, and
    COMMIT_CONFLICT for a snapshot that was prepared on an older state.
    """
    now_ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    # A table's times never go back, whatever a clock does: readers refuse logs out of order.
    change = _Change(dict(metadata), max(now_ms, metadata.get("last-updated-ms", 0)))
    for update in updates:
        action = update.get("action")
        handler = _HANDLERS.get(action) if isinstance(action, str) else None
        if handler is None:
            raise error(ErrorCode.INVALID_ARGUMENT, f"unknown update {str(action)[:80]!r}")
        with well_formed(f"update {action}"):
            handler(change, update)
    if change.metadata == metadata:
        return change.metadata
    with well_formed("the table's metadata after the updates"):
        return _finished(change, metadata, metadata_location)


def empty_metadata(format_version: int, table_uuid: str, location: str) -> Json:
    """Metadata of a table without schema, which a create's updates then fill."""
    _check_version(format_version)
    metadata: Json = {
        "format-version": format_version,
        "table-uuid": table_uuid,
        "location": location,
        "last-updated-ms": 0,
        "last-column-id": 0,
        "schemas": [],
        "current-schema-id": -1,
        "partition-specs": [],
        "default-spec-id": -1,
        "last-partition-id": FIRST_PARTITION_FIELD_ID - 1,
        "sort-orders": [],
        "default-sort-order-id": -1,
        "properties": {},
        "current-snapshot-id": -1,
        "refs": {},
        "snapshots": [],
        "statistics": [],
        "partition-statistics": [],
        "snapshot-log": [],
        "metadata-log": [],
    }
    if format_version >= 2:
        metadata["last-sequence-number"] = 0
    if format_version >= 3:
        metadata["next-row-id"] = 0
        metadata["current-snapshot-id"] = None
    return metadata


class _Change:
    """One run of updates: the metadata so far, and what was added ("-1" means the last added)."""

    def __init__(self, metadata: Json, now_ms: int) -> None:
        self.metadata = metadata
        self.now_ms = now_ms
        self.last_added: dict[str, int] = {}
        self.added_snapshots: dict[int, int] = {}
        self.logged: list[int] = []

    @property
    def version(self) -> int:
        return int(self.metadata["format-version"])

    @property
    def newest_schema(self) -> Json:
        """The schema to check specs and orders against: clients set the current one last."""
        added = self.last_added.get("schema")
        found = None if added is None else schema_by_id(self.metadata, added)
        return found or current_schema(self.metadata)

    def resolve(self, wanted: int, kind: str) -> int:
        if wanted != -1:
            return wanted
        if kind not in self.last_added:
            raise _invalid(f"cannot set the last added {kind}: none was added")
        return self.last_added[kind]


def _finished(change: _Change, base: Mapping[str, Any], location: str | None) -> Json:
    metadata = change.metadata
    if not metadata["schemas"]:
        raise _invalid("a table must have a schema")
    schema, version = current_schema(metadata), change.version
    check_spec(default_spec(metadata), schema, version)
    order_id = metadata["default-sort-order-id"]
    order = next((o for o in metadata["sort-orders"] if o["order-id"] == order_id), None)
    if order is None:
        raise _invalid("the table's default sort order is missing")
    check_order(order, schema, version)
    if version == 1:
        # Version 1 readers look at these two; they repeat what the lists say.
        metadata["schema"] = schema
        metadata["partition-spec"] = default_spec(metadata)["fields"]
    if len(change.logged) > 1:
        # Only the last of several states of main that one commit passed was ever current.
        passing = set(change.logged[:-1]) & set(change.added_snapshots)
        metadata["snapshot-log"] = [
            entry for entry in metadata["snapshot-log"] if entry["snapshot-id"] not in passing
        ]
    newest = max(change.added_snapshots.values(), default=0)
    metadata["last-updated-ms"] = max(change.now_ms, newest)
    if location is not None:
        log = [
            *(metadata.get("metadata-log") or ()),
            {"metadata-file": location, "timestamp-ms": base["last-updated-ms"]},
        ]
        metadata["metadata-log"] = log[-_previous_versions(metadata) :]
    return metadata


def _previous_versions(metadata: Mapping[str, Any]) -> int:
    try:
        return max(1, int((metadata.get("properties") or {}).get(_PREVIOUS_VERSIONS, 100)))
    except ValueError as exc:
        raise _invalid(f"{_PREVIOUS_VERSIONS} must be a whole number") from exc


# --- identity, place, properties ----------------------------------------------------------------


def _assign_uuid(change: _Change, update: Mapping[str, Any]) -> None:
    uuid = str(update["uuid"])
    if uuid.lower() != str(change.metadata["table-uuid"]).lower():
        raise _invalid("a table's uuid cannot be changed")


def _check_version(version: object) -> None:
    if type(version) is not int or not 1 <= version <= NEWEST_FORMAT_VERSION:
        raise _invalid(
            f"unsupported format version: {version}",
            hint=f"format versions 1 to {NEWEST_FORMAT_VERSION} are supported",
        )


def _upgrade_format_version(change: _Change, update: Mapping[str, Any]) -> None:
    version, metadata = update["format-version"], change.metadata
    _check_version(version)
    if version < change.version:
        raise _invalid(f"Cannot downgrade v{change.version} table to v{version}")
    if version == change.version:
        return
    metadata["format-version"] = version
    if version >= 2:
        metadata.setdefault("last-sequence-number", 0)
        metadata.pop("schema", None)
        metadata.pop("partition-spec", None)
    if version >= 3:
        metadata.setdefault("next-row-id", 0)
        if metadata.get("current-snapshot-id") == -1:
            metadata["current-snapshot-id"] = None


def _set_location(change: _Change, update: Mapping[str, Any]) -> None:
    location = update["location"]
    if not isinstance(location, str) or not location:
        raise _invalid("a location must be a string")
    change.metadata["location"] = location


def _set_properties(change: _Change, update: Mapping[str, Any]) -> None:
    updates = update["updates"] if "updates" in update else update["updated"]
    change.metadata["properties"] = {
        **(change.metadata.get("properties") or {}),
        **property_texts(updates),
    }


def _remove_properties(change: _Change, update: Mapping[str, Any]) -> None:
    removals = set(update["removals"] if "removals" in update else update["removed"])
    old = change.metadata.get("properties") or {}
    change.metadata["properties"] = {k: v for k, v in old.items() if k not in removals}


def property_texts(properties: Mapping[str, Any]) -> dict[str, str]:
    """Properties with every value as text; numbers and booleans are written as JSON does."""
    texts = {}
    for key, value in properties.items():
        if isinstance(value, bool):
            value = "true" if value else "false"
        if not isinstance(key, str) or not isinstance(value, (str, int, float)):
            raise _invalid(f"property {str(key)[:80]!r} must be a string")
        texts[key] = str(value)
    return texts


# --- schemas, partition specs, sort orders ------------------------------------------------------


def _add_schema(change: _Change, update: Mapping[str, Any]) -> None:
    schema, metadata = dict(update["schema"]), change.metadata
    check_schema(schema, change.version)
    schema.setdefault("type", "struct")
    highest = max(highest_field_id(schema), update.get("last-column-id") or 0)
    metadata["last-column-id"] = max(metadata["last-column-id"], highest)
    for old in metadata["schemas"]:
        if _content(old, "schema-id") == _content(schema, "schema-id"):
            change.last_added["schema"] = old["schema-id"]
            return
    schema["schema-id"] = _next_id(metadata["schemas"], "schema-id", 0)
    metadata["schemas"] = [*metadata["schemas"], schema]
    change.last_added["schema"] = schema["schema-id"]


def _content(item: Mapping[str, Any], id_key: str) -> Json:
    """What counts when two schemas are compared: all but the id; no identifier fields = none."""
    ignored = {id_key} if item.get("identifier-field-ids") else {id_key, "identifier-field-ids"}
    return {key: value for key, value in item.items() if key not in ignored}


def _next_id(items: Iterable[Mapping[str, Any]], key: str, first: int) -> int:
    return max((item[key] + 1 for item in items), default=first)


def _set_current_schema(change: _Change, update: Mapping[str, Any]) -> None:
    schema_id = change.resolve(update["schema-id"], "schema")
    if schema_by_id(change.metadata, schema_id) is None:
        raise _invalid(f"the table has no schema {schema_id}")
    change.metadata["current-schema-id"] = schema_id


def _add_spec(change: _Change, update: Mapping[str, Any]) -> None:
    metadata = change.metadata
    spec = bind_spec(metadata, update["spec"], change.newest_schema)
    highest = max((field["field-id"] for field in spec["fields"]), default=0)
    for old in metadata["partition-specs"]:
        if same_spec(old, spec):
            change.last_added["partition spec"] = old["spec-id"]
            return
    spec["spec-id"] = _next_id(metadata["partition-specs"], "spec-id", 0)
    metadata["partition-specs"] = [*metadata["partition-specs"], spec]
    metadata["last-partition-id"] = max(
        metadata.get("last-partition-id", FIRST_PARTITION_FIELD_ID - 1), highest
    )
    change.last_added["partition spec"] = spec["spec-id"]


def _set_default_spec(change: _Change, update: Mapping[str, Any]) -> None:
    spec_id = change.resolve(update["spec-id"], "partition spec")
    if all(spec["spec-id"] != spec_id for spec in change.metadata["partition-specs"]):
        raise _invalid(f"the table has no partition spec {spec_id}")
    change.metadata["default-spec-id"] = spec_id


def _add_sort_order(change: _Change, update: Mapping[str, Any]) -> None:
    metadata, order = change.metadata, dict(update["sort-order"])
    check_order(order, change.newest_schema, change.version)
    for old in metadata["sort-orders"]:
        if old["fields"] == order["fields"]:
            change.last_added["sort order"] = old["order-id"]
            return
    # Order 0 is reserved for "unsorted".
    order["order-id"] = _next_id(metadata["sort-orders"], "order-id", 1) if order["fields"] else 0
    metadata["sort-orders"] = [*metadata["sort-orders"], order]
    change.last_added["sort order"] = order["order-id"]


def _set_default_sort_order(change: _Change, update: Mapping[str, Any]) -> None:
    order_id = change.resolve(update["sort-order-id"], "sort order")
    if all(order["order-id"] != order_id for order in change.metadata["sort-orders"]):
        raise _invalid(f"the table has no sort order {order_id}")
    change.metadata["default-sort-order-id"] = order_id


def _remove_partition_specs(change: _Change, update: Mapping[str, Any]) -> None:
    removed = set(update["spec-ids"])
    if change.metadata["default-spec-id"] in removed:
        raise _invalid("Cannot remove the default partition spec")
    kept = [s for s in change.metadata["partition-specs"] if s["spec-id"] not in removed]
    change.metadata["partition-specs"] = kept


def _remove_schemas(change: _Change, update: Mapping[str, Any]) -> None:
    removed = set(update["schema-ids"])
    if change.metadata["current-schema-id"] in removed:
        raise _invalid("Cannot remove the current schema")
    kept = [s for s in change.metadata["schemas"] if s["schema-id"] not in removed]
    change.metadata["schemas"] = kept


# --- snapshots and refs -------------------------------------------------------------------------


def _add_snapshot(change: _Change, update: Mapping[str, Any]) -> None:
    snapshot, metadata = dict(update["snapshot"]), change.metadata
    snapshot_id, timestamp = snapshot["snapshot-id"], snapshot["timestamp-ms"]
    if type(snapshot_id) is not int or type(timestamp) is not int:
        raise _invalid("a snapshot must have a numeric id and timestamp")
    if snapshot_by_id(metadata, snapshot_id) is not None:
        raise _invalid(f"the table already has a snapshot {snapshot_id}")
    # The writer's clock may be behind; its sequence number tells whether its state is.
    timestamp = snapshot["timestamp-ms"] = max(timestamp, metadata["last-updated-ms"])
    if "manifest-list" not in snapshot and (change.version > 1 or "manifests" not in snapshot):
        raise _invalid("a snapshot must have a manifest list")
    schema_id = snapshot.get("schema-id")
    if schema_id is not None and schema_by_id(metadata, schema_id) is None:
        raise _invalid(f"the snapshot names schema {schema_id}, which the table does not have")
    if change.version >= 2:
        _take_sequence_number(metadata, snapshot)
    elif snapshot.get("sequence-number") == 0:
        # Version 1 has none; some clients send their default.
        del snapshot["sequence-number"]
    if change.version >= 3:
        _take_row_ids(metadata, snapshot)
    metadata["snapshots"] = [*(metadata.get("snapshots") or ()), snapshot]
    change.added_snapshots[snapshot_id] = timestamp


def _take_sequence_number(metadata: Json, snapshot: Mapping[str, Any]) -> None:
    number, last = snapshot.get("sequence-number"), metadata.get("last-sequence-number", 0)
    if type(number) is not int:
        raise _invalid("a snapshot must have a sequence number in format version 2 and later")
    if number <= last and snapshot.get("parent-snapshot-id") not in (None, -1):
        raise _stale(f"snapshot sequence number {number} is not after the table's {last}")
    metadata["last-sequence-number"] = max(last, number)


def _take_row_ids(metadata: Json, snapshot: Mapping[str, Any]) -> None:
    first, added = snapshot.get("first-row-id"), snapshot.get("added-rows")
    next_row_id = metadata.get("next-row-id") or 0
    if type(first) is not int or type(added) is not int or added < 0:
        raise _invalid("a snapshot must have first-row-id and added-rows in format version 3")
    if first < next_row_id:
        raise _stale(f"first-row-id {first} is behind the table's next-row-id {next_row_id}")
    metadata["next-row-id"] = first + added


def _set_snapshot_ref(change: _Change, update: Mapping[str, Any]) -> None:
    name, metadata = update["ref-name"], change.metadata
    reference = {k: v for k, v in update.items() if k not in ("action", "ref-name")}
    snapshot_id, kind = reference["snapshot-id"], reference["type"]
    if not isinstance(name, str) or not name:
        raise _invalid("a branch or tag must have a name")
    if kind not in ("branch", "tag"):
        raise _invalid("a ref must be of type branch or tag")
    if snapshot_by_id(metadata, snapshot_id) is None:
        raise _invalid(f"cannot set {name} to unknown snapshot {snapshot_id}")
    if kind == "tag" and (
        name == "main" or "min-snapshots-to-keep" in reference or "max-snapshot-age-ms" in reference
    ):
        raise _invalid("a tag cannot be main and has no snapshot retention")
    for key in ("min-snapshots-to-keep", "max-snapshot-age-ms", "max-ref-age-ms"):
        value = reference.get(key)
        if value is None:
            reference.pop(key, None)
        elif type(value) is not int or value <= 0:
            raise _invalid(f"{key} must be a positive number")
    refs = metadata.get("refs") or {}
    if refs.get(name) == reference:
        return
    metadata["refs"] = {**refs, name: reference}
    if name == "main":
        moved = metadata.get("current-snapshot-id") != snapshot_id
        metadata["current-snapshot-id"] = snapshot_id
        if moved:
            at = change.added_snapshots.get(snapshot_id, change.now_ms)
            entry = {"snapshot-id": snapshot_id, "timestamp-ms": at}
            metadata["snapshot-log"] = [*(metadata.get("snapshot-log") or ()), entry]
            change.logged.append(snapshot_id)


def _remove_snapshot_ref(change: _Change, update: Mapping[str, Any]) -> None:
    _drop_refs(change, {update["ref-name"]})


def _drop_refs(change: _Change, names: set[str]) -> None:
    refs = change.metadata.get("refs") or {}
    change.metadata["refs"] = {k: v for k, v in refs.items() if k not in names}
    if "main" in names and "main" in refs:
        change.metadata["current-snapshot-id"] = None if change.version >= 3 else -1
        change.metadata["snapshot-log"] = []


def _remove_snapshots(change: _Change, update: Mapping[str, Any]) -> None:
    removed, metadata = set(update["snapshot-ids"]), change.metadata
    if not removed:
        return
    kept = [s for s in metadata.get("snapshots") or () if s["snapshot-id"] not in removed]
    metadata["snapshots"] = kept
    left = {s["snapshot-id"] for s in kept}
    log: list[Json] = []
    for entry in metadata.get("snapshot-log") or ():
        # A gap would make the log lie about what was current before it.
        log = [*log, entry] if entry["snapshot-id"] in left else []
    metadata["snapshot-log"] = log
    for key in ("statistics", "partition-statistics"):
        if metadata.get(key):
            metadata[key] = [s for s in metadata[key] if s["snapshot-id"] in left]
    refs = metadata.get("refs") or {}
    _drop_refs(change, {name for name, ref in refs.items() if ref["snapshot-id"] not in left})


# --- statistics and keys ------------------------------------------------------------------------


def _set_statistics(change: _Change, update: Mapping[str, Any]) -> None:
    _put_file(change, "statistics", update["statistics"])


def _remove_statistics(change: _Change, update: Mapping[str, Any]) -> None:
    _take(change, "statistics", "snapshot-id", update["snapshot-id"])


def _set_partition_statistics(change: _Change, update: Mapping[str, Any]) -> None:
    _put_file(change, "partition-statistics", update["partition-statistics"])


def _remove_partition_statistics(change: _Change, update: Mapping[str, Any]) -> None:
    _take(change, "partition-statistics", "snapshot-id", update["snapshot-id"])


def _add_encryption_key(change: _Change, update: Mapping[str, Any]) -> None:
    if change.version < 3:
        raise _invalid("encryption keys are not supported until format version 3")
    _put(change, "encryption-keys", "key-id", update["encryption-key"])


def _remove_encryption_key(change: _Change, update: Mapping[str, Any]) -> None:
    _take(change, "encryption-keys", "key-id", update["key-id"])


def _put_file(change: _Change, listing: str, item: Mapping[str, Any]) -> None:
    if not isinstance(item["statistics-path"], str):
        raise _invalid("statistics must name their file")
    _put(change, listing, "snapshot-id", item)


def _put(change: _Change, listing: str, key: str, item: Mapping[str, Any]) -> None:
    value = item[key]
    kept = [old for old in change.metadata.get(listing) or () if old[key] != value]
    change.metadata[listing] = [*kept, dict(item)]


def _take(change: _Change, listing: str, key: str, value: Any) -> None:
    if change.metadata.get(listing):
        kept = [old for old in change.metadata[listing] if old[key] != value]
        change.metadata[listing] = kept


_HANDLERS: dict[str, Callable[[_Change, Mapping[str, Any]], None]] = {
    "assign-uuid": _assign_uuid,
    "upgrade-format-version": _upgrade_format_version,
    "set-location": _set_location,
    "set-properties": _set_properties,
    "remove-properties": _remove_properties,
    "add-schema": _add_schema,
    "set-current-schema": _set_current_schema,
    "remove-schemas": _remove_schemas,
    "add-spec": _add_spec,
    "set-default-spec": _set_default_spec,
    "remove-partition-specs": _remove_partition_specs,
    "add-sort-order": _add_sort_order,
    "set-default-sort-order": _set_default_sort_order,
    "add-snapshot": _add_snapshot,
    "set-snapshot-ref": _set_snapshot_ref,
    "remove-snapshot-ref": _remove_snapshot_ref,
    "remove-snapshots": _remove_snapshots,
    "set-statistics": _set_statistics,
    "remove-statistics": _remove_statistics,
    "set-partition-statistics": _set_partition_statistics,
    "remove-partition-statistics": _remove_partition_statistics,
    "add-encryption-key": _add_encryption_key,
    "remove-encryption-key": _remove_encryption_key,
}


def _invalid(message: str, hint: str | None = None) -> HeadwaterError:
    return error(ErrorCode.INVALID_METADATA, message, hint=hint)


def _stale(message: str) -> HeadwaterError:
    return error(
        ErrorCode.COMMIT_CONFLICT, message, hint="load the table again and retry the change"
    )
