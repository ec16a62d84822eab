"""`system.jdbc`: what the Trino JDBC driver asks for `java.sql.DatabaseMetaData`.

Column names and order are those of java.sql.DatabaseMetaData's result sets.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from headwater.model.identifiers import CATALOG_NAME, namespace_text
from headwater.query.names import CATALOGS, INFORMATION_SCHEMA
from headwater.query.viewer import Row, SystemTable, Viewer, columns
from headwater.sql.types import trino_type

_NULLABLE, _NO_NULLS = 1, 0

# Iceberg type: (java.sql.Types, precision, decimal digits)
_JDBC_TYPES: dict[str, tuple[int, int | None, int | None]] = {
    "boolean": (16, None, None),
    "int": (4, 10, 0),
    "long": (-5, 19, 0),
    "float": (7, 24, None),
    "double": (8, 53, None),
    "date": (91, 14, None),
    "time": (92, 15, 6),
    "timestamp": (93, 26, 6),
    "timestamptz": (2014, 32, 6),
    "timestamp_ns": (93, 29, 9),
    "timestamptz_ns": (2014, 35, 9),
    "string": (12, 2**31 - 1, None),
    "uuid": (2000, None, None),
    "binary": (-3, 2**31 - 1, None),
}


def jdbc_type(kind: Any) -> tuple[int, int | None, int | None]:
    """The java.sql.Types number, precision and decimal digits of an Iceberg type."""
    if isinstance(kind, dict):
        return (2003 if kind["type"] == "list" else 2000), None, None
    if kind.startswith("decimal"):
        precision, scale = kind.removeprefix("decimal(").rstrip(")").split(",")
        return 3, int(precision), int(scale)
    if kind.startswith("fixed"):
        return -3, None, None
    return _JDBC_TYPES.get(kind, (2000, None, None))


def _catalogs(_viewer: Viewer) -> Iterator[Row]:
    for name in CATALOGS:
        yield (name,)


def _schemas(viewer: Viewer) -> Iterator[Row]:
    for schema in (INFORMATION_SCHEMA, *viewer.schemas):
        yield schema, CATALOG_NAME


def _table_types(_viewer: Viewer) -> Iterator[Row]:
    yield ("TABLE",)
    yield ("VIEW",)


def _tables(viewer: Viewer) -> Iterator[Row]:
    for found in viewer.objects:
        yield (
            CATALOG_NAME,
            namespace_text(found.identifier.namespace),
            found.identifier.name,
            "VIEW" if found.kind == "view" else "TABLE",
            viewer.comment(found),
            *(None,) * 5,
        )


def _columns(viewer: Viewer) -> Iterator[Row]:
    for found in viewer.objects:
        for place, column in enumerate(viewer.columns(found.identifier), 1):
            number, size, digits = jdbc_type(column.type)
            nullable = _NO_NULLS if column.required else _NULLABLE
            yield (
                CATALOG_NAME,
                namespace_text(found.identifier.namespace),
                found.identifier.name,
                column.name,
                number,
                trino_type(column.type),
                size,
                None,
                digits,
                10 if number in (3, 4, -5) else None,
                nullable,
                column.comment,
                *(None,) * 3,
                size if number == 12 else None,
                place,
                "NO" if column.required else "YES",
                *(None,) * 4,
                "NO",
                "NO",
            )


def _types(_viewer: Viewer) -> Iterator[Row]:
    for kind, (number, size, digits) in _JDBC_TYPES.items():
        yield (
            trino_type(kind),
            number,
            size,
            *(None,) * 3,
            _NULLABLE,
            number == 12,
            3,
            False,
            False,
            False,
            None,
            0,
            digits or 0,
            None,
            None,
            10 if number in (3, 4, -5) else None,
        )


def _nothing(_viewer: Viewer) -> Iterator[Row]:
    yield from ()


_TABLE = (
    "table_cat table_schem table_name table_type remarks type_cat type_schem type_name "
    "self_referencing_col_name ref_generation"
)
_COLUMN = (
    "table_cat table_schem table_name column_name data_type:bigint type_name column_size:bigint "
    "buffer_length:bigint decimal_digits:bigint num_prec_radix:bigint nullable:bigint remarks "
    "column_def sql_data_type:bigint sql_datetime_sub:bigint char_octet_length:bigint "
    "ordinal_position:bigint is_nullable scope_catalog scope_schema scope_table "
    "source_data_type:bigint is_autoincrement is_generatedcolumn"
)
_TYPE = (
    "type_name data_type:bigint precision:bigint literal_prefix literal_suffix create_params "
    "nullable:bigint case_sensitive:boolean searchable:bigint unsigned_attribute:boolean "
    "fixed_prec_scale:boolean auto_increment:boolean local_type_name minimum_scale:bigint "
    "maximum_scale:bigint sql_data_type:bigint sql_datetime_sub:bigint num_prec_radix:bigint"
)

JDBC_TABLES: dict[str, SystemTable] = {
    "catalogs": SystemTable(columns("table_cat"), _catalogs),
    "schemas": SystemTable(columns("table_schem table_catalog"), _schemas),
    "table_types": SystemTable(columns("table_type"), _table_types),
    "tables": SystemTable(columns(_TABLE), _tables),
    "columns": SystemTable(columns(_COLUMN), _columns),
    "types": SystemTable(columns(_TYPE), _types),
    "procedures": SystemTable(
        columns(
            "procedure_cat procedure_schem procedure_name reserved_1 reserved_2 reserved_3 "
            "remarks procedure_type:bigint specific_name"
        ),
        _nothing,
    ),
    "procedure_columns": SystemTable(
        columns(
            "procedure_cat procedure_schem procedure_name column_name column_type:bigint "
            "data_type:bigint type_name precision:bigint length:bigint scale:bigint radix:bigint "
            "nullable:bigint remarks column_def sql_data_type:bigint sql_datetime_sub:bigint "
            "char_octet_length:bigint ordinal_position:bigint is_nullable specific_name"
        ),
        _nothing,
    ),
    "super_tables": SystemTable(
        columns("table_cat table_schem table_name supertable_name"), _nothing
    ),
    "super_types": SystemTable(
        columns("type_cat type_schem type_name supertype_cat supertype_schem supertype_name"),
        _nothing,
    ),
    "udts": SystemTable(
        columns(
            "type_cat type_schem type_name class_name data_type:bigint remarks base_type:bigint"
        ),
        _nothing,
    ),
    "attributes": SystemTable(
        columns(
            "type_cat type_schem type_name attr_name data_type:bigint attr_type_name "
            "attr_size:bigint decimal_digits:bigint num_prec_radix:bigint nullable:bigint remarks "
            "attr_def sql_data_type:bigint sql_datetime_sub:bigint char_octet_length:bigint "
            "ordinal_position:bigint is_nullable scope_catalog scope_schema scope_table "
            "source_data_type:bigint"
        ),
        _nothing,
    ),
    "pseudo_columns": SystemTable(
        columns(
            "table_cat table_schem table_name column_name data_type:bigint column_size:bigint "
            "decimal_digits:bigint num_prec_radix:bigint column_usage remarks "
            "char_octet_length:bigint is_nullable"
        ),
        _nothing,
    ),
}
