"""SHOW and DESCRIBE: what the caller may see, as small tables made here, not in the engine."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

import pyarrow as pa

from headwater.catalog.entries import ObjectKind
from headwater.catalog.schema import current_snapshot_id, snapshot_by_id
from headwater.errors import ErrorCode, error
from headwater.model.identifiers import (
    CATALOG_NAME,
    TableIdentifier,
    namespace_text,
    parse_namespace,
)
from headwater.model.privilege import Privilege, Securable
from headwater.model.statement import Dialect
from headwater.query.information_schema import LAKE_TABLES, arrow_type_text
from headwater.query.metadata_tables import MetadataTable, metadata_table, split_metadata_name
from headwater.query.names import (
    CATALOGS,
    INFORMATION_SCHEMA,
    SYSTEM_CATALOG,
    existing,
    existing_schema,
    split_name,
    split_schema,
)
from headwater.query.session import PROPERTIES
from headwater.query.show_create import schema_text, table_text, view_text
from headwater.query.show_spark import spark_table
from headwater.query.system_tables import SYSTEM_SCHEMAS, find_system_table
from headwater.query.viewer import Row, Viewer, columns, table
from headwater.query.work import Outcome, Task, Work
from headwater.sql.functions import function_names
from headwater.sql.statements import Name, Nothing, Show
from headwater.sql.types import type_text


def show_task(work: Work, statement: Show) -> Task:
    """The task of a SHOW or DESCRIBE statement."""
    viewer = Viewer(work.parts, work.request)
    if work.session.dialect is Dialect.SPARK and _in_lake(work, statement):
        shown = spark_table(work, viewer, statement)
        if shown is not None:
            return lambda: Outcome(table=shown)
    built = _SHOWS[statement.what](work, viewer, statement)
    return lambda: Outcome(table=built)


def nothing_task(work: Work, statement: Nothing) -> Task:
    """CACHE TABLE and the like, for a table that the caller sees: nothing is done."""
    if statement.name is not None:
        identifier = _lake_table(work, statement.name)
        entry = work.parts.catalog.entry(identifier)
        view = entry is not None and entry.kind is ObjectKind.VIEW
        securable = Securable.view(identifier) if view else Securable.table(identifier)
        work.request.check(Privilege.DESCRIBE, securable)
    return lambda: Outcome(update_type=statement.what)


def _current_schema(work: Work, _viewer: Viewer, _statement: Show) -> pa.Table:
    return table(columns("catalog namespace"), [(work.session.catalog, work.session.schema)])


def _in_lake(work: Work, statement: Show) -> bool:
    """False for tables of the server's own, and for `t$files` and the like."""
    parts = () if statement.name is None else statement.name.parts
    names = {part.lower() for part in (*parts, work.session.catalog)}
    return not names & {SYSTEM_CATALOG, INFORMATION_SCHEMA} and not any("$" in p for p in parts)


def like_filter(pattern: str | None, escape: str | None) -> Callable[[str], bool]:
    """A function that tells whether a name matches an SQL LIKE pattern; None matches all."""
    if pattern is None:
        return lambda _name: True
    parts: list[str] = []
    literal = False
    for character in pattern:
        if literal:
            parts.append(re.escape(character))
            literal = False
        elif character == escape:
            literal = True
        else:
            parts.append({"%": ".*", "_": "."}.get(character, re.escape(character)))
    if literal:
        raise error(
            ErrorCode.INVALID_ARGUMENT, "the pattern ends in the middle of an escape sequence"
        )
    compiled = re.compile("".join(parts), re.DOTALL)
    return lambda name: compiled.fullmatch(name) is not None


def _one_column(title: str, statement: Show, names: Iterable[str]) -> pa.Table:
    matches = like_filter(statement.like, statement.escape)
    return table(columns(title), [(name,) for name in names if matches(name)])


def _catalogs(_work: Work, _viewer: Viewer, statement: Show) -> pa.Table:
    return _one_column("Catalog", statement, CATALOGS)


def _schemas(work: Work, viewer: Viewer, statement: Show) -> pa.Table:
    catalog = work.session.catalog if statement.name is None else str(statement.name).lower()
    if catalog == SYSTEM_CATALOG:
        return _one_column("Schema", statement, sorted(SYSTEM_SCHEMAS))
    if catalog != CATALOG_NAME:
        raise error(ErrorCode.CATALOG_NOT_FOUND, f"catalog {catalog} does not exist")
    return _one_column("Schema", statement, sorted((INFORMATION_SCHEMA, *viewer.schemas)))


def _tables(work: Work, viewer: Viewer, statement: Show) -> pa.Table:
    catalog, schema = split_schema(statement.name, work.session)
    if catalog == SYSTEM_CATALOG:
        if schema not in SYSTEM_SCHEMAS:
            raise error(ErrorCode.SCHEMA_NOT_FOUND, f"schema {catalog}.{schema} does not exist")
        return _one_column("Table", statement, sorted(SYSTEM_SCHEMAS[schema]))
    if catalog != CATALOG_NAME:
        raise error(ErrorCode.CATALOG_NOT_FOUND, f"catalog {catalog} does not exist")
    if schema.lower() == INFORMATION_SCHEMA:
        return _one_column("Table", statement, sorted(LAKE_TABLES))
    namespace = existing_schema(work.parts.catalog, parse_namespace(schema))
    found = work.parts.browser.tables(viewer.identity, namespace)
    if statement.what == "views":
        found = [each for each in found if each.kind == "view"]
    return _one_column("Table", statement, [each.identifier.name for each in found])


def _columns(work: Work, viewer: Viewer, statement: Show) -> pa.Table:
    name = _required(statement.name)
    rows = describe(work, viewer, name)
    matches = like_filter(statement.like, statement.escape)
    schema = columns("Column Type Extra Comment")
    return table(schema, [(c, t, "", comment or "") for c, t, comment in rows if matches(c)])


def describe(work: Work, viewer: Viewer, name: Name) -> list[tuple[str, str, str | None]]:
    """Name, type in the session's dialect, and comment of each visible column."""
    catalog, schema, base = split_name(name, work.session)
    made_up = find_system_table(catalog, schema, base, name)
    if made_up is not None:
        return [(field.name, arrow_type_text(field.type), None) for field in made_up.schema]
    identifier = TableIdentifier(parse_namespace(schema), base)
    plain, kind = split_metadata_name(identifier)
    if kind is not None:
        found = _metadata(work, existing(work.parts.catalog, plain), kind).schema
        return [(field.name, arrow_type_text(field.type), None) for field in found]
    identifier = existing(work.parts.catalog, identifier)
    dialect = work.session.dialect
    visible = work.parts.browser.columns(viewer.identity, identifier)
    return [(c.name, type_text(c.type, dialect), c.comment) for c in visible]


def _titled(*titles: str) -> pa.Schema:
    return pa.schema([(title, pa.string()) for title in titles])


def _required(name: Name | None) -> Name:
    if name is None:
        raise error(ErrorCode.SYNTAX_ERROR, "the statement names no table")
    return name


def _functions(work: Work, _viewer: Viewer, statement: Show) -> pa.Table:
    return _one_column("Function", statement, function_names(work.session.dialect))


def _session(work: Work, _viewer: Viewer, statement: Show) -> pa.Table:
    matches = like_filter(statement.like, statement.escape)
    given = work.session.properties
    rows: list[Row] = [
        (p.name, given.get(p.name, p.default), p.default, p.type, p.description)
        for p in PROPERTIES
        if matches(p.name)
    ]
    return table(columns("Name Value Default Type Description"), rows)


def _stats(work: Work, viewer: Viewer, statement: Show) -> pa.Table:
    identifier = _lake_table(work, _required(statement.name))
    scan = work.request.scan(identifier)
    _refuse_restricted(scan.is_restricted, identifier)
    metadata = work.parts.catalog.table(identifier).metadata
    snapshot_id = current_snapshot_id(metadata)
    snapshot = None if snapshot_id is None else snapshot_by_id(metadata, snapshot_id)
    counted = ((snapshot or {}).get("summary") or {}).get("total-records")
    rows: list[Row] = [(c.name, *(None,) * 6) for c in scan.columns]
    rows.append((None, None, None, None, None if counted is None else float(counted), None, None))
    schema = columns(
        "column_name data_size:double distinct_values_count:double nulls_fraction:double "
        "row_count:double low_value high_value"
    )
    return table(schema, rows)


def _refuse_restricted(restricted: bool, identifier: TableIdentifier) -> None:
    if restricted:
        raise error(
            ErrorCode.PERMISSION_DENIED,
            f"statistics of {identifier} tell about all rows, and you do not see all of them",
        )


def _lake_table(work: Work, name: Name) -> TableIdentifier:
    catalog, schema, base = split_name(name, work.session)
    if catalog != CATALOG_NAME or schema.lower() == INFORMATION_SCHEMA:
        raise error(ErrorCode.NOT_SUPPORTED, f"{name} is a system table", position=name.position)
    return existing(work.parts.catalog, TableIdentifier(parse_namespace(schema), base))


def _metadata(work: Work, identifier: TableIdentifier, kind: str) -> MetadataTable:
    scan = work.request.scan(identifier)
    metadata = work.parts.catalog.table(scan.identifier).metadata
    return metadata_table(work.parts, scan, kind, metadata, current_snapshot_id(metadata))


def _partitions(work: Work, _viewer: Viewer, statement: Show) -> pa.Table:
    identifier = _lake_table(work, _required(statement.name))
    return _metadata(work, identifier, "partitions").build()


def _properties(work: Work, _viewer: Viewer, statement: Show) -> pa.Table:
    identifier = _lake_table(work, _required(statement.name))
    return _metadata(work, identifier, "properties").build()


def _create_table(work: Work, viewer: Viewer, statement: Show) -> pa.Table:
    identifier = _lake_table(work, _required(statement.name))
    entry = work.parts.catalog.entry(identifier)
    if entry is not None and entry.kind is ObjectKind.VIEW:
        return _create_view(work, viewer, statement)
    work.request.check(Privilege.DESCRIBE, Securable.table(identifier))
    visible = work.parts.browser.columns(viewer.identity, identifier)
    metadata = work.parts.catalog.table(identifier).metadata
    return table(_titled("Create Table"), [(table_text(identifier, visible, metadata),)])


def _create_view(work: Work, viewer: Viewer, statement: Show) -> pa.Table:
    identifier = _lake_table(work, _required(statement.name))
    work.request.check(Privilege.DESCRIBE, Securable.view(identifier))
    definition = viewer.definition(identifier)
    if definition is None:
        raise error(
            ErrorCode.PERMISSION_DENIED,
            f"the text of the view {identifier} is shown to those who may alter it",
            hint="DESCRIBE lists its columns",
        )
    comment = (work.parts.catalog.view(identifier).metadata.get("properties") or {}).get("comment")
    return table(_titled("Create View"), [(view_text(identifier, definition, comment),)])


def _create_schema(work: Work, _viewer: Viewer, statement: Show) -> pa.Table:
    _, schema = split_schema(_required(statement.name), work.session)
    namespace = existing_schema(work.parts.catalog, parse_namespace(schema))
    work.request.check(Privilege.DESCRIBE, Securable.schema(namespace))
    properties = work.parts.catalog.namespace(namespace).properties
    text = schema_text(namespace_text(namespace), properties)
    return table(_titled("Create Schema"), [(text,)])


_SHOWS: dict[str, Callable[[Work, Viewer, Show], pa.Table]] = {
    "catalogs": _catalogs,
    "schemas": _schemas,
    "tables": _tables,
    "views": _tables,
    "columns": _columns,
    "describe": _columns,
    "describe_extended": _columns,
    "describe_schema": _create_schema,
    "functions": _functions,
    "session": _session,
    "stats": _stats,
    "partitions": _partitions,
    "properties": _properties,
    "create_table": _create_table,
    "create_view": _create_view,
    "create_schema": _create_schema,
    "current_schema": _current_schema,
}
