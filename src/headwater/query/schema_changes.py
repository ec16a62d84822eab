"""Pure changes of an Iceberg schema (raw JSON): add, drop, rename, widen, relax, comment.

Iceberg table spec, "Schema Evolution". Paths are names from the top, matched without regard to
case as SQL does; a list's `element` and a map's `key` and `value` are steps of a path too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from typing import Any

from headwater.errors import ErrorCode, error
from headwater.sql.hints import did_you_mean
from headwater.sql.statements import ColumnDefinition

Json = dict[str, Any]

_WIDENINGS = {("int", "long"), ("float", "double")}
_DECIMAL = re.compile(r"decimal\(\s*(\d+)\s*,\s*(\d+)\s*\)")


def with_ids(kind: Any, next_id: Callable[[], int]) -> Any:
    """A type of `headwater.sql.types` with a field id for everything nested, level by level."""
    if not isinstance(kind, Mapping):
        return kind
    if kind["type"] == "struct":
        named = [{"id": next_id(), **field} for field in kind["fields"]]
        return {
            "type": "struct",
            "fields": [{**field, "type": with_ids(field["type"], next_id)} for field in named],
        }
    if kind["type"] == "list":
        element_id = next_id()
        return {
            "type": "list",
            "element-id": element_id,
            "element-required": bool(kind.get("element-required", False)),
            "element": with_ids(kind["element"], next_id),
        }
    key_id, value_id = next_id(), next_id()
    return {
        "type": "map",
        "key-id": key_id,
        "key": with_ids(kind["key"], next_id),
        "value-id": value_id,
        "value-required": bool(kind.get("value-required", False)),
        "value": with_ids(kind["value"], next_id),
    }


def field(column: ColumnDefinition, next_id: Callable[[], int], format_version: int) -> Json:
    """The schema field of a column definition."""
    made: Json = {
        "id": next_id(),
        "name": column.name,
        "required": column.required,
        "type": with_ids(column.type, next_id),
    }
    if column.comment is not None:
        made["doc"] = column.comment
    if column.default is not None:
        if format_version < 3:
            raise error(
                ErrorCode.NOT_SUPPORTED,
                f"a default for {column.name} needs a table of format version 3",
                hint="create the table WITH (format_version = 3)",
            )
        made["initial-default"] = made["write-default"] = column.default
    return made


class SchemaChange:
    """A schema being changed; `schema` is the result, `last_id` the highest field id given out.

    Who changes a definition sees the whole table (governance refuses others), so every column can
    be named and suggested.
    """

    def __init__(self, schema: Mapping[str, Any], last_id: int, format_version: int) -> None:
        self.schema: Json = deepcopy(dict(schema))
        self.schema.pop("schema-id", None)
        self.last_id = last_id
        self._version = format_version

    def next_id(self) -> int:
        """A field id that the table never used."""
        self.last_id += 1
        return self.last_id

    def add(self, column: ColumnDefinition, if_not_exists: bool) -> None:
        """Adds a column at the end, or `a.b.c` as a field of the struct `a.b`."""
        path = tuple(column.name.split("."))
        parents, name = path[:-1], path[-1]
        struct = self.schema if not parents else self._struct(parents)
        if any(f["name"].casefold() == name.casefold() for f in struct["fields"]):
            if if_not_exists:
                return
            raise error(ErrorCode.DUPLICATE_COLUMN_NAME, f"the table already has a column '{name}'")
        if column.required and column.default is None:
            raise error(
                ErrorCode.NOT_SUPPORTED,
                f"a new column '{name}' cannot be NOT NULL without a default",
                hint="existing rows have no value for it; add it without NOT NULL",
            )
        definition = ColumnDefinition(
            name, column.type, column.required, column.comment, column.default
        )
        struct["fields"].append(field(definition, self.next_id, self._version))

    def drop(self, path: tuple[str, ...], if_exists: bool) -> int | None:
        """Removes a field and returns its id; None when there was none and that is fine."""
        found = self._find(path)
        if found is None and if_exists:
            return None
        struct, target = found or self._fail(path)
        if len(struct["fields"]) == 1:
            raise error(
                ErrorCode.NOT_SUPPORTED,
                f"'{target['name']}' is the only field there is",
                hint="DROP TABLE removes the table",
            )
        struct["fields"].remove(target)
        field_id: int = target["id"]
        return field_id

    def rename(self, path: tuple[str, ...], to: str) -> None:
        """Renames a field; its id, and with it every policy and old file, stays."""
        struct, target = self._get(path)
        for other in struct["fields"]:
            if other is not target and other["name"].casefold() == to.casefold():
                raise error(
                    ErrorCode.DUPLICATE_COLUMN_NAME, f"the table already has a column '{to}'"
                )
        target["name"] = to

    def widen(self, path: tuple[str, ...], kind: Any) -> None:
        """Changes a primitive type to a wider one, as Iceberg allows."""
        _, target = self._get(path)
        if target["type"] != kind and not _is_wider(target["type"], kind):
            raise error(
                ErrorCode.NOT_SUPPORTED,
                f"the type of '{target['name']}' cannot become that",
                hint="int can become bigint, real double, and a decimal's precision can grow",
            )
        target["type"] = kind

    def relax(self, path: tuple[str, ...], nullable: bool) -> None:
        """Drops NOT NULL; setting it is refused, as existing rows may hold NULL."""
        _, target = self._get(path)
        if not nullable and not target["required"]:
            raise error(
                ErrorCode.NOT_SUPPORTED,
                f"'{target['name']}' cannot become NOT NULL",
                hint="create a new table with CREATE TABLE … AS SELECT",
            )
        if nullable and target["id"] in self.schema.get("identifier-field-ids", ()):
            raise error(
                ErrorCode.NOT_SUPPORTED, f"'{target['name']}' identifies rows, so it stays NOT NULL"
            )
        target["required"] = not nullable

    def comment(self, path: tuple[str, ...], text: str | None) -> None:
        """Sets a field's comment; None removes it."""
        _, target = self._get(path)
        if text is None:
            target.pop("doc", None)
        else:
            target["doc"] = text

    def _get(self, path: tuple[str, ...]) -> tuple[Json, Json]:
        return self._find(path) or self._fail(path)

    def _struct(self, path: tuple[str, ...]) -> Json:
        if self._find(path[:1]) is None:
            self._fail(path)
        kind, rest = _inside(self.schema, path)
        if rest or kind is None:
            raise error(ErrorCode.TYPE_MISMATCH, f"'{'.'.join(path)}' is not a row")
        return kind

    def _find(self, path: tuple[str, ...]) -> tuple[Json, Json] | None:
        struct, rest = _inside(self.schema, path[:-1])
        target = None if rest or struct is None else _field_of(struct, path[-1])
        return None if struct is None or target is None else (struct, target)

    def _fail(self, path: tuple[str, ...]) -> tuple[Json, Json]:
        raise error(
            ErrorCode.COLUMN_NOT_FOUND,
            f"the table has no column '{'.'.join(path)}'",
            hint=did_you_mean(path[0], self._names()),
        )

    def _names(self) -> Iterator[str]:
        return (f["name"] for f in self.schema["fields"])


def _field_of(struct: Json, name: str) -> Json | None:
    return next((f for f in struct["fields"] if f["name"].casefold() == name.casefold()), None)


def _inside(struct: Json, path: tuple[str, ...]) -> tuple[Json | None, tuple[str, ...]]:
    """The struct that a path leads to, and the steps that lead nowhere.

    A list may be passed without naming its `element`; a map's `value` is named. The struct is None
    when the path ends at something else.
    """
    rest = path
    kind: Any = struct
    while rest:
        target = _field_of(kind, rest[0])
        if target is None:
            break
        kind, rest = target["type"], rest[1:]
        while isinstance(kind, dict) and kind["type"] != "struct":
            step = "element" if kind["type"] == "list" else "value"
            named = bool(rest) and rest[0].casefold() == step
            if step == "value" and not named:
                return None, rest
            kind, rest = kind[step], rest[1:] if named else rest
        if not isinstance(kind, dict):
            return None, rest
    return kind, rest


def _is_wider(old: Any, new: Any) -> bool:
    if (old, new) in _WIDENINGS:
        return True
    if not isinstance(old, str) or not isinstance(new, str):
        return False
    before, after = _DECIMAL.fullmatch(old), _DECIMAL.fullmatch(new)
    return bool(before and after and before[2] == after[2] and int(after[1]) >= int(before[1]))
