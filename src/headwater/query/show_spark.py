"""SHOW and DESCRIBE as Spark's clients read them: the same facts under Spark's column names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pyarrow as pa

from headwater.catalog.entries import ObjectKind
from headwater.catalog.schema import default_spec
from headwater.model.identifiers import (
    CATALOG_NAME,
    TableIdentifier,
    namespace_text,
    parse_namespace,
)
from headwater.model.privilege import Privilege, Securable
from headwater.model.scan import ScanColumn
from headwater.query.names import existing, existing_schema, split_name, split_schema
from headwater.query.viewer import Row, Viewer, columns, table
from headwater.query.work import Work
from headwater.sql.statements import Name, Show
from headwater.sql.types import spark_type

_RESERVED = ("comment", "format-version")


def matcher(pattern: str | None) -> Callable[[str], bool]:
    """Whether a name matches Spark's pattern: `*` for any text, `|` between alternatives."""
    if pattern is None:
        return lambda _name: True
    parts = (re.escape(part).replace(r"\*", ".*") for part in pattern.split("|"))
    compiled = re.compile("|".join(parts), re.IGNORECASE | re.DOTALL)
    return lambda name: compiled.fullmatch(name) is not None


def spark_table(work: Work, viewer: Viewer, statement: Show) -> pa.Table | None:
    """What Spark shows for the statement; None where it has nothing of the kind."""
    show = _SHOWS.get(statement.what)
    return None if show is None else show(work, viewer, statement)


def _schemas(_work: Work, viewer: Viewer, statement: Show) -> pa.Table:
    matches = matcher(statement.like)
    return table(columns("namespace"), [(name,) for name in viewer.schemas if matches(name)])


def _catalogs(_work: Work, _viewer: Viewer, statement: Show) -> pa.Table:
    matches = matcher(statement.like)
    return table(columns("catalog"), [(CATALOG_NAME,)] if matches(CATALOG_NAME) else [])


def _tables(work: Work, viewer: Viewer, statement: Show) -> pa.Table:
    _, schema = split_schema(statement.name, work.session)
    namespace = existing_schema(work.parts.catalog, parse_namespace(schema))
    found = work.parts.browser.tables(viewer.identity, namespace)
    if statement.what == "views":
        found = [each for each in found if each.kind == "view"]
    matches = matcher(statement.like)
    title = "viewName" if statement.what == "views" else "tableName"
    rows = [
        (namespace_text(namespace), each.identifier.name, False)
        for each in found
        if matches(each.identifier.name)
    ]
    return table(columns(f"namespace {title} isTemporary:boolean"), rows)


def _columns(work: Work, viewer: Viewer, statement: Show) -> pa.Table:
    found = _visible(work, viewer, statement)[1]
    return table(columns("col_name"), [(column.name,) for column in found])


def _describe(work: Work, viewer: Viewer, statement: Show) -> pa.Table:
    identifier, found = _visible(work, viewer, statement)
    rows: list[Row] = [(each.name, spark_type(each.type), each.comment) for each in found]
    entry = work.parts.catalog.entry(identifier)
    if entry is not None and entry.kind is ObjectKind.TABLE:
        metadata = work.parts.catalog.table(identifier).metadata
        rows += _partition_rows(metadata, found)
        if statement.what == "describe_extended":
            rows += _detail_rows(identifier, metadata)
    return table(columns("col_name data_type comment"), rows)


def _partition_rows(metadata: Mapping[str, Any], visible: Iterable[ScanColumn]) -> list[Row]:
    """The partitioning, as far as its columns are visible."""
    names = {column.field_id: column.name for column in visible}
    parts = [
        _transform(field["transform"], names[field["source-id"]])
        for field in default_spec(metadata)["fields"]
        if field["source-id"] in names
    ]
    if not parts:
        return []
    listed = [(f"Part {place}", part, "") for place, part in enumerate(parts)]
    return [("# Partitioning", "", ""), *listed]


def _detail_rows(identifier: TableIdentifier, metadata: Mapping[str, Any]) -> list[Row]:
    rows: list[Row] = [
        ("", "", ""),
        ("# Detailed Table Information", "", ""),
        ("Name", f"{CATALOG_NAME}.{namespace_text(identifier.namespace)}.{identifier.name}", ""),
        ("Type", "MANAGED", ""),
        ("Provider", "iceberg", ""),
        ("Format Version", str(metadata["format-version"]), ""),
    ]
    comment = (metadata.get("properties") or {}).get("comment")
    return rows if comment is None else [*rows, ("Comment", str(comment), "")]


def _public(metadata: Mapping[str, Any]) -> dict[str, str]:
    kept = {
        key: str(value)
        for key, value in (metadata.get("properties") or {}).items()
        if key not in _RESERVED
    }
    return kept | {"format": "iceberg/parquet", "format-version": str(metadata["format-version"])}


def _describe_schema(work: Work, _viewer: Viewer, statement: Show) -> pa.Table:
    _, schema = split_schema(statement.name, work.session)
    namespace = existing_schema(work.parts.catalog, parse_namespace(schema))
    work.request.check(Privilege.DESCRIBE, Securable.schema(namespace))
    properties = work.parts.catalog.namespace(namespace).properties
    rows: list[Row] = [
        ("Catalog Name", CATALOG_NAME),
        ("Namespace Name", namespace_text(namespace)),
        ("Comment", properties.get("comment", "")),
    ]
    return table(columns("info_name info_value"), rows)


def _properties(work: Work, viewer: Viewer, statement: Show) -> pa.Table:
    identifier, _ = _visible(work, viewer, statement)
    work.request.check(Privilege.DESCRIBE, Securable.table(identifier))
    found = _public(work.parts.catalog.table(identifier).metadata)
    if statement.like is not None:
        value = found.get(statement.like, f"Table {identifier} does not have this property")
        return table(columns("key value"), [(statement.like, value)])
    return table(columns("key value"), sorted(found.items()))


def _create_table(work: Work, viewer: Viewer, statement: Show) -> pa.Table | None:
    identifier, found = _visible(work, viewer, statement)
    entry = work.parts.catalog.entry(identifier)
    if entry is None or entry.kind is not ObjectKind.TABLE:
        return None
    work.request.check(Privilege.DESCRIBE, Securable.table(identifier))
    metadata = work.parts.catalog.table(identifier).metadata
    listed = ",\n".join(_column(column) for column in found)
    path = f"{CATALOG_NAME}.{namespace_text(identifier.namespace)}.{identifier.name}"
    text = f"CREATE TABLE {path} (\n{listed})\nUSING iceberg\n"
    parts = [part for _, part, _ in _partition_rows(metadata, found)[1:]]
    if parts:
        text += f"PARTITIONED BY ({', '.join(parts)})\n"
    comment = (metadata.get("properties") or {}).get("comment")
    if comment is not None:
        text += f"COMMENT {_literal(str(comment))}\n"
    pairs = (f"  {_literal(k)} = {_literal(v)}" for k, v in sorted(_public(metadata).items()))
    text += "TBLPROPERTIES (\n" + ",\n".join(pairs) + ")\n"
    return table(columns("createtab_stmt"), [(text,)])


def _column(column: ScanColumn) -> str:
    text = f"  {column.name} {spark_type(column.type).upper()}"
    if column.required:
        text += " NOT NULL"
    return text if column.comment is None else f"{text} COMMENT {_literal(column.comment)}"


def _literal(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _transform(transform: str, column: str) -> str:
    name, _, width = transform.rstrip("]").partition("[")
    if name == "identity":
        return column
    plural = f"{name}s" if name in ("year", "month", "day", "hour") else name
    return f"{plural}({width}, {column})" if width else f"{plural}({column})"


def _visible(
    work: Work, viewer: Viewer, statement: Show
) -> tuple[TableIdentifier, tuple[ScanColumn, ...]]:
    name = statement.name or Name(())
    _, schema, base = split_name(name, work.session)
    identifier = existing(work.parts.catalog, TableIdentifier(parse_namespace(schema), base))
    return identifier, work.parts.browser.columns(viewer.identity, identifier)


_SHOWS: dict[str, Callable[[Work, Viewer, Show], pa.Table | None]] = {
    "catalogs": _catalogs,
    "schemas": _schemas,
    "tables": _tables,
    "views": _tables,
    "columns": _columns,
    "describe": _describe,
    "describe_extended": _describe,
    "describe_schema": _describe_schema,
    "properties": _properties,
    "create_table": _create_table,
}
