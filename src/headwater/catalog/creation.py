"""The first metadata of a table: from a createTable request, or from a staged create's updates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from headwater.catalog.partitioning import map_sources
from headwater.catalog.schema import Json, reassign_ids
from headwater.catalog.schema_rules import check_schema
from headwater.catalog.shapes import well_formed
from headwater.catalog.updates import apply_updates, empty_metadata, property_texts
from headwater.errors import ErrorCode, error

DEFAULT_FORMAT_VERSION = 2
"""What a client that asks for nothing gets: every Iceberg client writes version 2."""


def new_table(request: Mapping[str, Any], table_uuid: str, location: str) -> Json:
    """Metadata for a CreateTableRequest: field ids are assigned anew, the property
    `format-version` chooses the version and is not kept.
    """
    schema = request.get("schema")
    if not isinstance(schema, Mapping):
        raise error(ErrorCode.INVALID_ARGUMENT, "a table needs a schema")
    with well_formed("the request"):
        return _new_table(schema, request, table_uuid, location)


def _new_table(
    schema: Mapping[str, Any], request: Mapping[str, Any], table_uuid: str, location: str
) -> Json:
    properties = property_texts(_object(request.get("properties"), "properties"))
    version = _format_version(properties.pop("format-version", str(DEFAULT_FORMAT_VERSION)))
    check_schema(schema, version)
    fresh, ids = reassign_ids({"type": "struct", **schema})
    spec = _object(request.get("partition-spec"), "partition-spec")
    order = _object(request.get("write-order"), "write-order")
    # Ids of a spec that has no table yet mean nothing: they are assigned like those of columns.
    spec_fields = [
        {key: value for key, value in field.items() if key != "field-id"}
        for field in map_sources(spec.get("fields") or (), ids)
    ]
    order_fields = map_sources(order.get("fields") or (), ids)
    updates: list[Json] = [
        {"action": "add-schema", "schema": fresh},
        {"action": "set-current-schema", "schema-id": -1},
        {"action": "add-spec", "spec": {**spec, "fields": spec_fields}},
        {"action": "set-default-spec", "spec-id": -1},
        {"action": "add-sort-order", "sort-order": {**order, "fields": order_fields}},
        {"action": "set-default-sort-order", "sort-order-id": -1},
        {"action": "set-properties", "updates": properties},
    ]
    return apply_updates(empty_metadata(version, table_uuid, location), updates)


def staged_table(
    updates: Iterable[Mapping[str, Any]], default_uuid: str, default_location: str
) -> Json:
    """Metadata for the commit that ends a staged create; its updates describe the whole table."""
    with well_formed("the commit"):
        return _staged_table(list(updates), default_uuid, default_location)


def _staged_table(
    updates: list[Mapping[str, Any]], default_uuid: str, default_location: str
) -> Json:
    def asked(action: str, key: str, default: Any) -> Any:
        return next((u[key] for u in updates if u.get("action") == action and key in u), default)

    base = empty_metadata(
        asked("upgrade-format-version", "format-version", DEFAULT_FORMAT_VERSION),
        str(asked("assign-uuid", "uuid", default_uuid)),
        asked("set-location", "location", default_location),
    )
    rest = [u for u in updates if u.get("action") != "set-location"]
    actions = {u.get("action") for u in rest}
    if "add-spec" not in actions:
        rest += [
            {"action": "add-spec", "spec": {"fields": []}},
            {"action": "set-default-spec", "spec-id": -1},
        ]
    if "add-sort-order" not in actions:
        rest += [
            {"action": "add-sort-order", "sort-order": {"fields": []}},
            {"action": "set-default-sort-order", "sort-order-id": -1},
        ]
    metadata = apply_updates(base, rest)
    metadata["properties"] = {
        k: v for k, v in metadata["properties"].items() if k != "format-version"
    }
    return metadata


def _format_version(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise error(
            ErrorCode.INVALID_METADATA, f"unsupported format version: {text[:20]}"
        ) from None


def _object(value: Any, what: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise error(ErrorCode.INVALID_ARGUMENT, f"{what} must be an object")
    return value
