"""View metadata: the first version, and updates to it (Iceberg view spec, REST spec ViewUpdate)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from headwater.catalog.schema import Json, schema_by_id
from headwater.catalog.schema_rules import check_schema
from headwater.catalog.shapes import well_formed
from headwater.catalog.updates import NEWEST_FORMAT_VERSION, property_texts
from headwater.errors import ErrorCode, HeadwaterError, error

_HISTORY = "version.history.num-entries"
_DROP_DIALECT = "replace.drop-dialect.allowed"


def new_view(request: Mapping[str, Any], view_uuid: str, location: str) -> Json:
    """Metadata for a CreateViewRequest."""
    schema, version = request.get("schema"), request.get("view-version")
    if not isinstance(schema, Mapping) or not isinstance(version, Mapping):
        raise error(ErrorCode.INVALID_ARGUMENT, "a view needs a schema and a view-version")
    base: Json = {
        "view-uuid": view_uuid,
        "format-version": 1,
        "location": location,
        "schemas": [],
        "current-version-id": -1,
        "versions": [],
        "version-log": [],
        "properties": {},
    }
    updates: list[Json] = [
        {"action": "add-schema", "schema": schema},
        {"action": "set-properties", "updates": request.get("properties") or {}},
        {"action": "add-view-version", "view-version": {**version, "schema-id": -1}},
        {"action": "set-current-view-version", "view-version-id": -1},
    ]
    return apply_view_updates(base, updates)


def apply_view_updates(metadata: Mapping[str, Any], updates: Iterable[Mapping[str, Any]]) -> Json:
    """The view's metadata after the updates; arguments are never changed.

    Raises INVALID_METADATA or INVALID_ARGUMENT for an update that the view cannot take.
    """
    change = _Change(dict(metadata))
    for update in updates:
        action = update.get("action")
        handler = _HANDLERS.get(action) if isinstance(action, str) else None
        if handler is None:
            raise error(ErrorCode.INVALID_ARGUMENT, f"unknown update {str(action)[:80]!r}")
        with well_formed(f"update {action}"):
            handler(change, update)
    with well_formed("the view's metadata after the updates"):
        _expire(change.metadata)
    return change.metadata


class _Change:
    def __init__(self, metadata: Json) -> None:
        self.metadata = metadata
        self.base = metadata.copy()
        self.last_schema: int | None = None
        self.last_version: int | None = None


def _assign_uuid(change: _Change, update: Mapping[str, Any]) -> None:
    if str(update["uuid"]).lower() != str(change.metadata["view-uuid"]).lower():
        raise _invalid("a view's uuid cannot be changed")


def _upgrade(change: _Change, update: Mapping[str, Any]) -> None:
    if update["format-version"] != change.metadata["format-version"]:
        raise _invalid(f"unsupported view format version: {update['format-version']}")


def _set_location(change: _Change, update: Mapping[str, Any]) -> None:
    if not isinstance(update["location"], str):
        raise _invalid("a location must be a string")
    change.metadata["location"] = update["location"].rstrip("/")


def _set_properties(change: _Change, update: Mapping[str, Any]) -> None:
    texts = property_texts(update["updates"])
    change.metadata["properties"] = {**(change.metadata.get("properties") or {}), **texts}


def _remove_properties(change: _Change, update: Mapping[str, Any]) -> None:
    removals = set(update["removals"])
    old = change.metadata.get("properties") or {}
    change.metadata["properties"] = {k: v for k, v in old.items() if k not in removals}


def _add_schema(change: _Change, update: Mapping[str, Any]) -> None:
    schema, schemas = {"type": "struct", **update["schema"]}, change.metadata["schemas"]
    check_schema(schema, NEWEST_FORMAT_VERSION)
    schema.pop("schema-id", None)
    for old in schemas:
        if {k: v for k, v in old.items() if k != "schema-id"} == schema:
            change.last_schema = old["schema-id"]
            return
    schema["schema-id"] = max((old["schema-id"] + 1 for old in schemas), default=0)
    change.metadata["schemas"] = [*schemas, schema]
    change.last_schema = schema["schema-id"]


def _add_version(change: _Change, update: Mapping[str, Any]) -> None:
    version, versions = dict(update["view-version"]), change.metadata["versions"]
    if version.get("schema-id") == -1:
        if change.last_schema is None:
            raise _invalid("cannot use the last added schema: none was added")
        version["schema-id"] = change.last_schema
    if schema_by_id(change.metadata, version["schema-id"]) is None:
        raise _invalid(f"the view has no schema {version['schema-id']}")
    _check_representations(version.get("representations"))
    version.setdefault("timestamp-ms", int(time.time() * 1000))
    version.setdefault("summary", {})
    if not isinstance(version.get("default-namespace"), list):
        raise _invalid("a view version must have a default-namespace")
    ignored = ("version-id", "timestamp-ms")
    for old in versions:
        if {k: v for k, v in old.items() if k not in ignored} == {
            k: v for k, v in version.items() if k not in ignored
        }:
            change.last_version = old["version-id"]
            return
    version["version-id"] = max((old["version-id"] + 1 for old in versions), default=1)
    change.metadata["versions"] = [*versions, version]
    change.last_version = version["version-id"]


def _check_representations(representations: Any) -> None:
    if not isinstance(representations, list) or not representations:
        raise _invalid("a view version must have a representation")
    dialects: set[str] = set()
    for representation in representations:
        if representation.get("type") != "sql":
            continue
        if not isinstance(representation.get("sql"), str):
            raise _invalid("an SQL representation must have a text")
        dialect = str(representation.get("dialect", "")).lower()
        if not dialect or dialect in dialects:
            raise _invalid(f"a view version must have one SQL text a dialect ({dialect!r})")
        dialects.add(dialect)


def _set_current_version(change: _Change, update: Mapping[str, Any]) -> None:
    version_id = update["view-version-id"]
    if version_id == -1:
        if change.last_version is None:
            raise _invalid("cannot set the last added view version: none was added")
        version_id = change.last_version
    metadata = change.metadata
    new = _version(metadata, version_id)
    if new is None:
        raise _invalid(f"the view has no version {version_id}")
    old = _version(change.base, metadata["current-version-id"])
    allowed = (metadata.get("properties") or {}).get(_DROP_DIALECT, "false").lower() == "true"
    if old is not None and not allowed and _dialects(old) - _dialects(new):
        raise _invalid(
            f"the new version lacks the dialects {sorted(_dialects(old) - _dialects(new))}",
            hint=f"set the view's property {_DROP_DIALECT} to true to drop them",
        )
    if metadata["current-version-id"] == version_id:
        return
    metadata["current-version-id"] = version_id
    entry = {"timestamp-ms": int(time.time() * 1000), "version-id": version_id}
    metadata["version-log"] = [*metadata["version-log"], entry]


def _version(metadata: Mapping[str, Any], version_id: int) -> Json | None:
    return next((v for v in metadata["versions"] if v["version-id"] == version_id), None)


def _dialects(version: Mapping[str, Any]) -> set[str]:
    return {str(r.get("dialect", "")).lower() for r in version["representations"]}


def _expire(metadata: Json) -> None:
    """Keeps the newest versions, as many as the view's property says, and the current one."""
    try:
        keep = max(1, int((metadata.get("properties") or {}).get(_HISTORY, 10)))
    except ValueError as exc:
        raise _invalid(f"{_HISTORY} must be a whole number") from exc
    versions = metadata["versions"]
    if len(versions) <= keep:
        return
    current = metadata["current-version-id"]
    newest = sorted((v["version-id"] for v in versions), reverse=True)
    kept = {current, *[v for v in newest if v != current][: keep - 1]}
    metadata["versions"] = [v for v in versions if v["version-id"] in kept]
    log: list[Json] = []
    for entry in metadata["version-log"]:
        log = [*log, entry] if entry["version-id"] in kept else []
    metadata["version-log"] = log


_HANDLERS: dict[str, Callable[[_Change, Mapping[str, Any]], None]] = {
    "assign-uuid": _assign_uuid,
    "upgrade-format-version": _upgrade,
    "set-location": _set_location,
    "set-properties": _set_properties,
    "remove-properties": _remove_properties,
    "add-schema": _add_schema,
    "add-view-version": _add_version,
    "set-current-view-version": _set_current_version,
}


def _invalid(message: str, hint: str | None = None) -> HeadwaterError:
    return error(ErrorCode.INVALID_METADATA, message, hint=hint)
