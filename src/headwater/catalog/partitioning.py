"""Partition specs and sort orders as raw JSON: what is valid, what is equal, which ids they get.

Iceberg table spec: "Partition Specs", "Sorting", "Partition Evolution".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from headwater.catalog.schema import Json, walk
from headwater.errors import ErrorCode, error

FIRST_PARTITION_FIELD_ID = 1000
"""Partition field ids start here; `last-partition-id` of a table without any is one less."""

_TRANSFORM = re.compile(r"identity|void|year|month|day|hour|(?:bucket|truncate)\[(?P<width>\d+)\]")


def bind_spec(metadata: Mapping[str, Any], spec: Mapping[str, Any], schema: Json) -> Json:
    """The spec with an id on every field, checked against a schema; its own id is left alone.

    A field that an older spec already had (same source, transform and name) keeps that field's id.
    """
    known = {
        _identity(field): field["field-id"]
        for old in metadata["partition-specs"]
        for field in old["fields"]
    }
    taken = {field_id: identity for identity, field_id in known.items()}
    last = metadata.get("last-partition-id", FIRST_PARTITION_FIELD_ID - 1)
    bound: list[Json] = []
    for field in _listed(spec, "a partition spec"):
        _check_transform(field)
        identity = _identity(field)
        field_id = field.get("field-id")
        if field_id is None:
            field_id = known.get(identity)
        if field_id is None:
            last += 1
            field_id = last
        elif taken.get(field_id, identity)[:2] != identity[:2]:
            raise _invalid(f"partition field id {field_id} already means another field")
        last = max(last, field_id)
        bound.append({**field, "field-id": field_id})
    check_spec({"fields": bound}, schema, metadata["format-version"])
    return {**spec, "fields": bound}


def check_spec(spec: Mapping[str, Any], schema: Json, format_version: int) -> None:
    """Raises INVALID_METADATA unless the spec can partition a table of that schema."""
    paths = {path.id: path for path in walk(schema)}
    columns = {field["name"]: field["id"] for field in schema["fields"]}
    names: set[str] = set()
    ids: set[int] = set()
    for position, field in enumerate(spec["fields"]):
        name, transform, sources = field.get("name"), field["transform"], _sources(field)
        if not isinstance(name, str) or not name:
            raise _invalid("a partition field must have a name")
        if name in names:
            raise _invalid(f"two partition fields are named {name!r}")
        if field["field-id"] in ids:
            raise _invalid(f"two partition fields have the id {field['field-id']}")
        names.add(name)
        ids.add(field["field-id"])
        if transform == "void":
            continue
        _check_sources(sources, paths, f"partition field {name}", format_version)
        if name in columns and (transform != "identity" or sources != [columns[name]]):
            raise _invalid(f"partition field {name!r} has the name of another column")
        if format_version == 1 and field["field-id"] != FIRST_PARTITION_FIELD_ID + position:
            raise _invalid("format version 1 needs sequential partition field ids")


def check_order(order: Mapping[str, Any], schema: Json, format_version: int) -> None:
    """Raises INVALID_METADATA unless the sort order can sort a table of that schema."""
    paths = {path.id: path for path in walk(schema)}
    for field in _listed(order, "a sort order"):
        _check_transform(field)
        if field.get("direction") not in ("asc", "desc"):
            raise _invalid("a sort field's direction must be asc or desc")
        if field.get("null-order") not in ("nulls-first", "nulls-last"):
            raise _invalid("a sort field's null-order must be nulls-first or nulls-last")
        _check_sources(_sources(field), paths, "sort field", format_version)


def same_spec(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two specs partition alike: same sources, transforms and names, in the same order."""
    return [_identity(f) for f in one["fields"]] == [_identity(f) for f in other["fields"]]


def map_sources(fields: Iterable[Mapping[str, Any]], ids: Mapping[int, int]) -> list[Json]:
    """Partition or sort fields whose source ids are translated, as `schema.reassign_ids` says."""
    mapped = []
    for field in fields:
        copy = dict(field)
        if "source-id" in copy:
            copy["source-id"] = ids.get(copy["source-id"], copy["source-id"])
        if "source-ids" in copy:
            copy["source-ids"] = [ids.get(i, i) for i in copy["source-ids"]]
        mapped.append(copy)
    return mapped


def _identity(field: Mapping[str, Any]) -> tuple[Any, ...]:
    return (tuple(_sources(field)), field.get("transform"), field.get("name"))


def _sources(field: Mapping[str, Any]) -> list[int]:
    """The source columns: `source-ids` (multi-argument transforms, version 3) or `source-id`."""
    several = field.get("source-ids")
    found = several if isinstance(several, list) else [field.get("source-id")]
    if not found or any(type(i) is not int for i in found):
        raise _invalid("a partition or sort field must have a source-id")
    return list(found)


def _check_sources(sources: list[int], paths: Mapping[int, Any], what: str, version: int) -> None:
    if len(sources) > 1 and version < 3:
        raise _invalid(f"{what}: several sources need format version 3")
    for source in sources:
        path = paths.get(source)
        if path is None:
            raise _invalid(f"Cannot find source column for {what}: {source}")
        if not isinstance(path.type, str):
            raise _invalid(f"{what}: column {path.name} is not of a primitive type")
        if path.in_collection:
            raise _invalid(f"{what}: column {path.name} lies in a list or map")


def _check_transform(field: Mapping[str, Any]) -> None:
    transform = field.get("transform")
    match = _TRANSFORM.fullmatch(transform) if isinstance(transform, str) else None
    if match is None:
        raise _invalid(
            f"unknown transform {str(transform)[:80]!r}",
            hint="identity, void, year, month, day, hour, bucket[N] or truncate[N]",
        )
    if match["width"] is not None and not 1 <= int(match["width"]) < 2**31:
        raise _invalid(f"transform {transform}: the width must be positive")


def _listed(holder: Mapping[str, Any], what: str) -> list[Json]:
    found = holder.get("fields")
    if not isinstance(found, list) or not all(isinstance(f, Mapping) for f in found):
        raise _invalid(f"{what} must have a list of fields")
    return found


def _invalid(message: str, hint: str | None = None) -> Exception:
    return error(ErrorCode.INVALID_METADATA, message, hint=hint)
