"""Which schemas a format version allows (Iceberg table spec: "Schemas and Data Types",
"Default values", "Identifier Field IDs").
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from headwater.catalog.schema import walk
from headwater.errors import ErrorCode, error

_PRIMITIVES = frozenset(
    (
        "boolean",
        "int",
        "long",
        "float",
        "double",
        "date",
        "time",
        "timestamp",
        "timestamptz",
        "string",
        "uuid",
        "binary",
    )
)
_PRIMITIVES_V3 = frozenset(
    ("timestamp_ns", "timestamptz_ns", "variant", "unknown", "geometry", "geography")
)
_NULL_DEFAULT_ONLY = frozenset(["variant", "unknown", "geometry", "geography"])
_DEEPEST = 100
_PARAMETERISED = re.compile(
    r"(?:decimal\(\s*(?P<precision>\d{1,2})\s*,\s*(?P<scale>\d{1,2})\s*\)"
    r"|fixed\[\s*\d{1,9}\s*\]"
    r"|(?P<geo>geometry|geography)\(.{1,256}\))"
)


def check_schema(schema: object, format_version: int) -> None:
    """Raises INVALID_METADATA unless the schema is well formed and allowed in the format version.

    Field ids are unique, so are names within one struct (whatever their case, as SQL cannot tell
    them apart), every type is known, types and defaults of version 3 are in version 3 tables only,
    and identifier fields are required primitive fields outside lists and maps.
    """
    if not isinstance(schema, Mapping) or schema.get("type", "struct") != "struct":
        raise _invalid("a schema must be a struct")
    _check_struct(schema, "", format_version)
    seen: set[int] = set()
    paths = list(walk({**schema, "type": "struct"}))
    for path in paths:
        if path.id in seen:
            raise _invalid(f"field id {path.id} is used twice in one schema ({path.name})")
        seen.add(path.id)
    by_id = {path.id: path for path in paths}
    for field_id in schema.get("identifier-field-ids") or ():
        found = by_id.get(field_id)
        if found is None:
            raise _invalid(f"identifier field {field_id} is not a field of the schema")
        if not isinstance(found.type, str) or found.type in ("float", "double"):
            raise _invalid(f"identifier field {found.name} must be of a primitive, exact type")
        if not found.required or found.optional_parent or found.in_collection:
            raise _invalid(f"identifier field {found.name} must be required and not in a list")


def _check_struct(node: Mapping[str, Any], prefix: str, version: int) -> None:
    children = node.get("fields")
    if not isinstance(children, list):
        raise _invalid("a struct must have a list of fields")
    names: dict[str, str] = {}
    for child in children:
        if not isinstance(child, Mapping):
            raise _invalid("a field must be an object")
        name, field_id = child.get("name"), child.get("id")
        if not isinstance(name, str) or not name:
            raise _invalid("a field must have a name")
        path = f"{prefix}.{name}" if prefix else name
        if type(field_id) is not int or not 0 <= field_id < 2**31:
            raise _invalid(f"field {path} must have an id")
        if name.casefold() in names:
            raise error(
                ErrorCode.DUPLICATE_COLUMN_NAME,
                f"two fields of one struct are named {names[name.casefold()]!r} and {name!r}",
                hint="names must differ by more than case",
            )
        names[name.casefold()] = name
        _check_type(child.get("type"), path, version)
        _check_defaults(child, path, version)
        if child.get("type") == "unknown" and child.get("required"):
            raise _invalid(f"field {path} of type unknown must be optional")


def _check_type(kind: Any, path: str, version: int) -> None:
    if path.count(".") > _DEEPEST:
        raise _invalid(f"types are nested deeper than {_DEEPEST} levels")
    if isinstance(kind, str):
        _check_primitive(kind, path, version)
        return
    if not isinstance(kind, Mapping):
        raise _invalid(f"field {path} has no type")
    if kind.get("type") == "struct":
        _check_struct(kind, path, version)
    elif kind.get("type") == "list":
        _need_ids(kind, path, "element-id")
        _check_type(kind.get("element"), f"{path}.element", version)
    elif kind.get("type") == "map":
        _need_ids(kind, path, "key-id", "value-id")
        _check_type(kind.get("key"), f"{path}.key", version)
        _check_type(kind.get("value"), f"{path}.value", version)
    else:
        raise _invalid(f"field {path} has an unknown type {str(kind.get('type'))[:80]!r}")


def _need_ids(kind: Mapping[str, Any], path: str, *names: str) -> None:
    for name in names:
        if type(kind.get(name)) is not int:
            raise _invalid(f"field {path} must have {name}")


def _check_primitive(kind: str, path: str, version: int) -> None:
    if kind in _PRIMITIVES:
        return
    match = _PARAMETERISED.fullmatch(kind)
    if kind in _PRIMITIVES_V3 or (match and match["geo"]):
        if version < 3:
            raise _invalid(
                f"field {path}: type {kind} is not supported until format version 3",
                hint="create the table with format-version 3",
            )
        return
    if match is None:
        raise _invalid(f"field {path} has an unknown type {kind[:80]!r}")
    if match["precision"]:
        precision, scale = int(match["precision"]), int(match["scale"])
        if not 1 <= precision <= 38 or scale > precision:
            raise _invalid(f"field {path}: {kind} is out of range (precision 1 to 38)")


def _check_defaults(child: Mapping[str, Any], path: str, version: int) -> None:
    for key in ("initial-default", "write-default"):
        default = child.get(key)
        if default is None:
            continue
        if version < 3:
            raise _invalid(
                f"field {path}: {key} is not supported until format version 3",
                hint="create the table with format-version 3",
            )
        kind = child["type"]
        if isinstance(kind, str):
            if kind.split("(")[0] in _NULL_DEFAULT_ONLY:
                raise _invalid(f"field {path}: {key} of type {kind} must be null")
            if not _fits(default, kind):
                raise _invalid(f"field {path}: {key} does not fit type {kind}")
        elif kind.get("type") == "struct" and default != {}:
            raise _invalid(f"field {path}: {key} of a struct must be empty or null")


def _fits(default: Any, kind: str) -> bool:
    """Whether a JSON value is a single value of the type (spec: JSON serialization)."""
    if kind == "boolean":
        return isinstance(default, bool)
    if kind in ("int", "long"):
        bits = 31 if kind == "int" else 63
        return type(default) is int and -(2**bits) <= default < 2**bits
    if kind in ("float", "double"):
        return isinstance(default, (int, float)) and not isinstance(default, bool)
    return isinstance(default, str)


def _invalid(message: str, hint: str | None = None) -> Exception:
    return error(ErrorCode.INVALID_METADATA, message, hint=hint)
