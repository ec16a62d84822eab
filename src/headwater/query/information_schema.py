"""`information_schema` of the lake and of the catalog system, as Trino lays it out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from headwater.model.identifiers import CATALOG_NAME, namespace_text
from headwater.query.names import INFORMATION_SCHEMA, SYSTEM_CATALOG
from headwater.query.viewer import Row, SystemTable, Viewer, columns
from headwater.sql.types import trino_type

SCHEMATA = columns("catalog_name schema_name")
TABLES = columns("table_catalog table_schema table_name table_type")
COLUMNS = columns(
    "table_catalog table_schema table_name column_name ordinal_position:bigint column_default "
    "is_nullable data_type comment"
)
VIEWS = columns("table_catalog table_schema table_name view_definition")


def _schemata(viewer: Viewer) -> Iterator[Row]:
    for schema in (INFORMATION_SCHEMA, *viewer.schemas):
        yield CATALOG_NAME, schema


def _tables(viewer: Viewer) -> Iterator[Row]:
    for name in LAKE_TABLES:
        yield CATALOG_NAME, INFORMATION_SCHEMA, name, "BASE TABLE"
    for found in viewer.objects:
        kind = "VIEW" if found.kind == "view" else "BASE TABLE"
        schema = namespace_text(found.identifier.namespace)
        yield CATALOG_NAME, schema, found.identifier.name, kind


def _columns(viewer: Viewer) -> Iterator[Row]:
    for name, known in LAKE_TABLES.items():
        yield from _system_columns(CATALOG_NAME, INFORMATION_SCHEMA, name, known)
    for found in viewer.objects:
        schema = namespace_text(found.identifier.namespace)
        for place, column in enumerate(viewer.columns(found.identifier), 1):
            yield (
                CATALOG_NAME,
                schema,
                found.identifier.name,
                column.name,
                place,
                None,
                "NO" if column.required else "YES",
                trino_type(column.type),
                column.comment,
            )


def _system_columns(catalog: str, schema: str, name: str, known: SystemTable) -> Iterator[Row]:
    for place, field in enumerate(known.schema, 1):
        kind = arrow_type_text(field.type)
        yield catalog, schema, name, field.name, place, None, "YES", kind, None


def _views(viewer: Viewer) -> Iterator[Row]:
    for found in viewer.objects:
        if found.kind == "view":
            schema = namespace_text(found.identifier.namespace)
            yield CATALOG_NAME, schema, found.identifier.name, viewer.definition(found.identifier)


def _table_privileges(viewer: Viewer) -> Iterator[Row]:
    for grant in viewer.governance("grants"):
        if grant["Effect"].lower() != "grant" or grant["Column"]:
            continue
        if grant["Object Type"].lower() in ("table", "view"):
            schema, _, name = grant["Object"].rpartition(".")
            yield (
                grant["Grantor"],
                None,
                grant["Grantee"],
                grant["Grantee Type"].upper(),
                CATALOG_NAME,
                schema,
                name,
                grant["Privilege"],
                "YES" if grant["Grantable"] else "NO",
                None,
            )


def _applicable_roles(viewer: Viewer) -> Iterator[Row]:
    for held in viewer.governance("role_grants"):
        yield held["Grantee"], held["Grantee Type"].upper(), held["Role"], "NO"


def _enabled_roles(viewer: Viewer) -> Iterator[Row]:
    for role in viewer.governance("current_roles"):
        yield (role["Role"],)


def _roles(viewer: Viewer) -> Iterator[Row]:
    for role in viewer.governance("roles"):
        yield (role["Role"],)


LAKE_TABLES: dict[str, SystemTable] = {
    "schemata": SystemTable(SCHEMATA, _schemata),
    "tables": SystemTable(TABLES, _tables),
    "columns": SystemTable(COLUMNS, _columns),
    "views": SystemTable(VIEWS, _views),
    "table_privileges": SystemTable(
        columns(
            "grantor grantor_type grantee grantee_type table_catalog table_schema table_name "
            "privilege_type is_grantable with_hierarchy"
        ),
        _table_privileges,
    ),
    "roles": SystemTable(columns("role_name"), _roles),
    "applicable_roles": SystemTable(
        columns("grantee grantee_type role_name is_grantable"), _applicable_roles
    ),
    "enabled_roles": SystemTable(columns("role_name"), _enabled_roles),
}


def system_information_schema(
    schemas: Mapping[str, Mapping[str, SystemTable]],
) -> dict[str, SystemTable]:
    """The information_schema of the catalog system, which everybody sees whole."""

    def schemata(_viewer: Viewer) -> Iterator[Row]:
        for schema in schemas:
            yield SYSTEM_CATALOG, schema

    def tables(_viewer: Viewer) -> Iterator[Row]:
        for schema, known in schemas.items():
            for name in known:
                yield SYSTEM_CATALOG, schema, name, "BASE TABLE"

    def system_columns(_viewer: Viewer) -> Iterator[Row]:
        for schema, known in schemas.items():
            for name, made_up in known.items():
                yield from _system_columns(SYSTEM_CATALOG, schema, name, made_up)

    def views(_viewer: Viewer) -> Iterator[Row]:
        yield from ()

    return {
        "schemata": SystemTable(SCHEMATA, schemata),
        "tables": SystemTable(TABLES, tables),
        "columns": SystemTable(COLUMNS, system_columns),
        "views": SystemTable(VIEWS, views),
    }


def arrow_type_text(kind: pa.DataType) -> str:
    """Trino's name for the type of a made-up table's column."""
    if pa.types.is_list(kind):
        return f"array({arrow_type_text(kind.value_type)})"
    if pa.types.is_struct(kind):
        fields = (kind.field(place) for place in range(kind.num_fields))
        return f"row({', '.join(f'{f.name} {arrow_type_text(f.type)}' for f in fields)})"
    if pa.types.is_map(kind):
        return f"map({arrow_type_text(kind.key_type)}, {arrow_type_text(kind.item_type)})"
    return _ARROW_NAMES[kind]


_ARROW_NAMES: dict[Any, str] = {
    pa.string(): "varchar",
    pa.int32(): "integer",
    pa.int64(): "bigint",
    pa.float64(): "double",
    pa.bool_(): "boolean",
    pa.timestamp("us", tz="UTC"): "timestamp(6) with time zone",
}
