"""The tables that the server makes up, by catalog, schema and name; and `system.runtime`,
`system.metadata`, `system.audit`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime

from headwater.errors import ErrorCode, error
from headwater.model.identifiers import CATALOG_NAME, namespace_text
from headwater.query.information_schema import LAKE_TABLES, system_information_schema
from headwater.query.jdbc_schema import JDBC_TABLES
from headwater.query.names import CATALOGS, INFORMATION_SCHEMA, SYSTEM_CATALOG
from headwater.query.session import PROPERTIES
from headwater.query.viewer import Row, SystemTable, Viewer, columns
from headwater.sql.hints import did_you_mean
from headwater.sql.statements import Name

_AUDIT_ROWS = 10_000
_HISTORY_ROWS = 10_000


def _time(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)


def _queries(viewer: Viewer) -> Iterator[Row]:
    mine = None if viewer.is_admin else viewer.identity.principal.id
    for entry in viewer.parts.history.entries(principal_id=mine, limit=_HISTORY_ROWS):
        yield (
            entry["id"],
            entry["state"],
            entry["principal_name"],
            entry["role"],
            entry["source"],
            entry["text"],
            entry["update_type"],
            entry["error_code"],
            entry["error_message"],
            _time(entry["created_ms"]),
            _time(entry["started_ms"]),
            _time(entry["finished_ms"]),
            entry["cpu_seconds"],
            entry["peak_memory_bytes"],
            entry["scanned_bytes"],
            entry["scanned_rows"],
            entry["result_rows"],
            entry["result_bytes"],
            entry["engine"],
            entry["decisions"],
        )


def _events(viewer: Viewer) -> Iterator[Row]:
    mine = None if viewer.is_admin else viewer.identity.principal.name
    viewer.parts.history.afterwards.flush()
    for event in viewer.parts.access.audit.query(principal=mine, limit=_AUDIT_ROWS):
        facts = (event if viewer.is_admin else event.for_its_principal()).facts
        yield (
            event.sequence,
            facts["id"],
            _time(facts["time_ms"]),
            facts["kind"],
            facts["outcome"],
            facts.get("action"),
            facts["principal"],
            facts.get("role"),
            facts["securable"],
            facts.get("reasons"),
            facts.get("policies"),
            facts.get("error_code"),
            facts.get("rows"),
            facts["request_id"],
            facts.get("statement"),
            json.dumps(facts, sort_keys=True),
        )


def _catalogs(_viewer: Viewer) -> Iterator[Row]:
    yield CATALOG_NAME, CATALOG_NAME, "iceberg"
    yield SYSTEM_CATALOG, SYSTEM_CATALOG, "system"


def _table_comments(viewer: Viewer) -> Iterator[Row]:
    for found in viewer.objects:
        schema = namespace_text(found.identifier.namespace)
        yield CATALOG_NAME, schema, found.identifier.name, viewer.comment(found)


def _table_properties(_viewer: Viewer) -> Iterator[Row]:
    for name, default, kind, meaning in (
        ("partitioning", "[]", "array(varchar)", "Partition transforms"),
        ("sorted_by", "[]", "array(varchar)", "Sort order of written files"),
        ("format_version", "3", "integer", "Iceberg format version"),
        ("location", "", "varchar", "Folder of the table's files, inside the warehouse"),
    ):
        yield CATALOG_NAME, name, default, kind, meaning


def _session_properties(_viewer: Viewer) -> Iterator[Row]:
    for known in PROPERTIES:
        yield "", known.name, known.default, known.type, known.description


def _nothing(_viewer: Viewer) -> Iterator[Row]:
    yield from ()


_PROPERTY = columns("catalog_name property_name default_value type description")

RUNTIME_TABLES: dict[str, SystemTable] = {
    "queries": SystemTable(
        columns(
            "query_id state user role source query update_type error_code error_message "
            "created:timestamp started:timestamp end:timestamp cpu_seconds:double "
            "peak_memory_bytes:bigint scanned_bytes:bigint scanned_rows:bigint result_rows:bigint "
            "result_bytes:bigint engine decisions:varchars"
        ),
        _queries,
    ),
}

METADATA_TABLES: dict[str, SystemTable] = {
    "catalogs": SystemTable(columns("catalog_name connector_id connector_name"), _catalogs),
    "table_comments": SystemTable(
        columns("catalog_name schema_name table_name comment"), _table_comments
    ),
    "table_properties": SystemTable(_PROPERTY, _table_properties),
    "schema_properties": SystemTable(_PROPERTY, _nothing),
    "column_properties": SystemTable(_PROPERTY, _nothing),
    "session_properties": SystemTable(_PROPERTY, _session_properties),
    "materialized_views": SystemTable(
        columns(
            "catalog_name schema_name name storage_catalog storage_schema storage_table freshness "
            "last_fresh_time:timestamp comment definition"
        ),
        _nothing,
    ),
}

AUDIT_TABLES: dict[str, SystemTable] = {
    "events": SystemTable(
        columns(
            "sequence:bigint event_id time:timestamp kind outcome action principal role securable "
            "reasons:varchars policies:varchars error_code row_count:bigint request_id statement "
            "facts"
        ),
        _events,
    ),
}

SYSTEM_SCHEMAS: dict[str, dict[str, SystemTable]] = {
    "audit": AUDIT_TABLES,
    "jdbc": JDBC_TABLES,
    "metadata": METADATA_TABLES,
    "runtime": RUNTIME_TABLES,
}
SYSTEM_SCHEMAS[INFORMATION_SCHEMA] = system_information_schema(SYSTEM_SCHEMAS)
"""Every schema of the catalog system."""


def find_system_table(catalog: str, schema: str, table: str, name: Name) -> SystemTable | None:
    """The made-up table of a full name; None for a table of the lake.

    Raises CATALOG_NOT_FOUND, SCHEMA_NOT_FOUND or TABLE_NOT_FOUND.
    """
    if catalog == CATALOG_NAME:
        if schema.lower() != INFORMATION_SCHEMA:
            return None
        tables = LAKE_TABLES
    elif catalog == SYSTEM_CATALOG:
        found = SYSTEM_SCHEMAS.get(schema.lower())
        if found is None:
            raise error(
                ErrorCode.SCHEMA_NOT_FOUND,
                f"schema {catalog}.{schema} does not exist",
                hint=did_you_mean(schema, SYSTEM_SCHEMAS)
                or "there are " + ", ".join(SYSTEM_SCHEMAS),
                position=name.position,
            )
        tables = found
    else:
        raise error(
            ErrorCode.CATALOG_NOT_FOUND,
            f"catalog {catalog} does not exist",
            hint="the catalogs are " + " and ".join(CATALOGS),
            position=name.position,
        )
    if table.lower() not in tables:
        raise error(
            ErrorCode.TABLE_NOT_FOUND,
            f"table {catalog}.{schema}.{table} does not exist",
            hint=did_you_mean(table, tables) or "there are " + ", ".join(tables),
            position=name.position,
        )
    return tables[table.lower()]
