"""CREATE TABLE and CREATE VIEW as the requests of the Iceberg REST specification: pure."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Mapping
from typing import Any

from headwater.catalog.schema import current_schema, current_snapshot_id, default_spec
from headwater.catalog.snapshots import on_main
from headwater.errors import ErrorCode, error
from headwater.model.identifiers import CATALOG_NAME, Namespace
from headwater.model.statement import Dialect
from headwater.query.alterations import RESERVED_PROPERTIES, partition_spec, sort_order
from headwater.query.schema_changes import field
from headwater.sql.statements import ColumnDefinition, TableOptions
from headwater.sql.types import quote

Json = dict[str, Any]

DEFAULT_FORMAT_VERSION = 3
"""Of tables made by SQL: row lineage, deletion vectors, defaults. Foreign clients choose theirs."""


def table_request(name: str, columns: Iterable[ColumnDefinition], options: TableOptions) -> Json:
    """A CreateTableRequest."""
    version = options.format_version or DEFAULT_FORMAT_VERSION
    ids = itertools.count(1)
    schema = {
        "type": "struct",
        "fields": [field(column, lambda: next(ids), version) for column in columns],
    }
    request: Json = {
        "name": name,
        "schema": schema,
        "partition-spec": partition_spec(options.partitioning, schema),
        "write-order": sort_order(options.sorting, schema),
        "properties": table_properties(options),
    }
    if options.location is not None:
        request["location"] = options.location
    return request


def table_properties(options: TableOptions) -> dict[str, str]:
    """The table properties that the options of CREATE TABLE come to."""
    if reserved := RESERVED_PROPERTIES & options.properties.keys():
        raise error(ErrorCode.INVALID_ARGUMENT, f"the property {min(reserved)} cannot be set")
    properties = dict(options.properties)
    properties["format-version"] = str(options.format_version or DEFAULT_FORMAT_VERSION)
    if options.comment is not None:
        properties["comment"] = options.comment
    return properties


def like_request(name: str, metadata: Mapping[str, Any], options: TableOptions) -> Json:
    """A CreateTableRequest for CREATE TABLE … (LIKE other): its columns and partitioning."""
    schema = current_schema(metadata)
    spec = partition_spec(options.partitioning, schema) if options.partitioning else None
    kept = default_spec(metadata)["fields"]
    properties = table_properties(options)
    if options.format_version is None:
        properties["format-version"] = str(metadata["format-version"])
    request: Json = {
        "name": name,
        "schema": {"type": "struct", "fields": schema["fields"]},
        "partition-spec": spec or {"fields": kept},
        "write-order": sort_order(options.sorting, schema),
        "properties": properties,
    }
    if options.location is not None:
        request["location"] = options.location
    return request


def unchanged(metadata: Mapping[str, Any]) -> list[Json]:
    """The requirements that a table's rows and definition are still those of its metadata."""
    return [
        *on_main(metadata),
        {"type": "assert-current-schema-id", "current-schema-id": metadata["current-schema-id"]},
        {"type": "assert-default-spec-id", "default-spec-id": metadata["default-spec-id"]},
        {
            "type": "assert-last-assigned-field-id",
            "last-assigned-field-id": metadata["last-column-id"],
        },
    ]


def replacement(
    metadata: Mapping[str, Any], columns: Iterable[ColumnDefinition], options: TableOptions
) -> list[Json]:
    """The updates that make another table of one: its columns, partitioning, order; no rows.

    Its history stays, and so do its grants and policies. A column that keeps its name and type
    keeps its field id, so policies on it hold.
    """
    if options.location is not None and options.location != metadata["location"]:
        raise error(
            ErrorCode.NOT_SUPPORTED,
            "a table that is replaced stays where it is",
            hint="leave the location out",
        )
    version = options.format_version or metadata["format-version"]
    ids = itertools.count(metadata["last-column-id"] + 1)
    schema: Json = {
        "type": "struct",
        "fields": [field(column, lambda: next(ids), version) for column in columns],
    }
    old = {each["name"]: each for each in current_schema(metadata)["fields"]}
    for made in schema["fields"]:
        before = old.get(made["name"])
        if before is not None and isinstance(made["type"], str) and before["type"] == made["type"]:
            made["id"] = before["id"]
    properties = {**table_properties(options)}
    properties.pop("format-version", None)
    updates: list[Json] = []
    if version != metadata["format-version"]:
        updates.append({"action": "upgrade-format-version", "format-version": version})
    updates += [
        {"action": "add-schema", "schema": schema},
        {"action": "set-current-schema", "schema-id": -1},
        {"action": "add-spec", "spec": partition_spec(options.partitioning, schema)},
        {"action": "set-default-spec", "spec-id": -1},
        {"action": "add-sort-order", "sort-order": sort_order(options.sorting, schema)},
        {"action": "set-default-sort-order", "sort-order-id": -1},
    ]
    if "comment" in (metadata.get("properties") or {}) and options.comment is None:
        updates.append({"action": "remove-properties", "removals": ["comment"]})
    if properties:
        updates.append({"action": "set-properties", "updates": properties})
    if current_snapshot_id(metadata) is not None:
        updates.append({"action": "remove-snapshot-ref", "ref-name": "main"})
    return updates


def view_request(
    name: str,
    sql: str,
    dialect: Dialect,
    columns: Iterable[ColumnDefinition],
    default_namespace: Namespace,
    comment: str | None,
) -> Json:
    """A CreateViewRequest with one SQL text, which Iceberg clients of the dialect read."""
    ids = itertools.count(1)
    fields = [field(column, lambda: next(ids), 3) for column in columns]
    return {
        "name": name,
        "schema": {"type": "struct", "schema-id": 0, "fields": fields},
        "view-version": {
            "version-id": 1,
            "timestamp-ms": int(time.time() * 1000),
            "schema-id": 0,
            "summary": {"engine-name": "headwater"},
            "representations": [{"type": "sql", "sql": sql, "dialect": str(dialect)}],
            "default-catalog": CATALOG_NAME,
            "default-namespace": list(default_namespace),
        },
        "properties": {} if comment is None else {"comment": comment},
    }


def with_column_names(sql: str, columns: Iterable[str], dialect: Dialect) -> str:
    """A view's text that gives its columns other names, so that any reader of it sees those."""
    mark = "`" if dialect is Dialect.SPARK else '"'
    names = [f"`{name.replace('`', '``')}`" if mark == "`" else quote(name) for name in columns]
    return (
        f"WITH {mark}definition{mark} ({', '.join(names)}) AS (\n{sql}\n) "
        f"SELECT * FROM {mark}definition{mark}"
    )
