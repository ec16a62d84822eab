"""Completes the names of a statement with its session's catalog and schema."""

from __future__ import annotations

from collections.abc import Sequence

from headwater.catalog.catalog import Catalog
from headwater.errors import ErrorCode, error
from headwater.model.identifiers import CATALOG_NAME, Namespace, TableIdentifier, parse_namespace
from headwater.model.statement import Session
from headwater.sql.statements import Name

SYSTEM_CATALOG = "system"
"""The catalog of tables about the server: `system.runtime.queries` and the like."""

INFORMATION_SCHEMA = "information_schema"

FILE_FORMATS = frozenset({"avro", "binaryfile", "csv", "json", "orc", "parquet", "text", "xml"})
"""Formats of files that Spark reads by name, lower case."""

CATALOGS = (CATALOG_NAME, SYSTEM_CATALOG)


def split_name(name: Name, session: Session) -> tuple[str, str, str]:
    """Catalog, schema and table of a name of one to three parts (more: a nested schema).

    `a.b` is schema `a`; `lake.a.b.t` is table `t` of the schema `a.b`. Raises SCHEMA_NOT_FOUND when
    the name needs the session's schema and it has none, CATALOG_NOT_FOUND for other catalogs.
    """
    parts = name.parts
    if len(parts) == 1:
        if session.schema is None:
            raise error(
                ErrorCode.SCHEMA_NOT_FOUND,
                f"'{parts[0]}' names no schema, and the session has none",
                hint=f"write schema.{parts[0]}, or USE a schema first",
                position=name.position,
            )
        return session.catalog, session.schema, parts[0]
    if len(parts) > 2 and parts[0].lower() in CATALOGS:
        return parts[0].lower(), ".".join(parts[1:-1]), parts[-1]
    if len(parts) == 3:
        raise _no_catalog(name, parts[0])
    return session.catalog, ".".join(parts[:-1]), parts[-1]


def names_files(parts: Sequence[str]) -> bool:
    """True for Spark's way to name files as a table: parquet.`/folder`."""
    return len(parts) == 2 and parts[0].lower() in FILE_FORMATS and "/" in parts[1]


def table_identifier(lake: Catalog, name: Name, session: Session) -> TableIdentifier:
    """The table or view of the lake that a name means; other catalogs cannot be changed."""
    catalog, schema, table = split_name(name, session)
    _only_lake(catalog, name)
    if schema.lower() == INFORMATION_SCHEMA:
        raise error(
            ErrorCode.NOT_SUPPORTED, "information_schema is read-only", position=name.position
        )
    return existing(lake, TableIdentifier(parse_namespace(schema), table))


def existing(catalog: Catalog, identifier: TableIdentifier) -> TableIdentifier:
    """The table or view as it is spelt in the catalog, or as given when there is none.

    SQL compares names without regard to case; a new name in an existing schema keeps its own case.
    """
    entry = catalog.resolve(identifier.namespace, identifier.name)
    if entry is not None:
        return entry.identifier
    return TableIdentifier(existing_schema(catalog, identifier.namespace), identifier.name)


def existing_schema(catalog: Catalog, name: Namespace) -> Namespace:
    """The schema as it is spelt in the catalog, or as given when there is none."""
    found = catalog.resolve_namespace(name)
    return name if found is None else found.namespace


def split_schema(name: Name | None, session: Session) -> tuple[str, str]:
    """Catalog and schema of a schema's name, or the session's own when there is no name."""
    if name is None:
        if session.schema is None:
            raise error(
                ErrorCode.SCHEMA_NOT_FOUND,
                "the session has no schema",
                hint="name one, or USE a schema first",
            )
        return session.catalog, session.schema
    if len(name.parts) > 1 and name.parts[0].lower() in CATALOGS:
        return name.parts[0].lower(), ".".join(name.parts[1:])
    return session.catalog, ".".join(name.parts)


def namespace(lake: Catalog, name: Name, session: Session) -> Namespace:
    """The schema of the lake that a name means."""
    catalog, schema = split_schema(name, session)
    _only_lake(catalog, name)
    if schema.lower() == INFORMATION_SCHEMA:
        raise error(
            ErrorCode.NOT_SUPPORTED, "information_schema is read-only", position=name.position
        )
    return existing_schema(lake, parse_namespace(schema))


def _only_lake(catalog: str, name: Name) -> None:
    if catalog == SYSTEM_CATALOG:
        raise error(
            ErrorCode.NOT_SUPPORTED,
            "the catalog system is read-only",
            hint=f"use the catalog {CATALOG_NAME}",
            position=name.position,
        )
    if catalog != CATALOG_NAME:
        raise _no_catalog(name, catalog)


def _no_catalog(name: Name, catalog: str) -> Exception:
    return error(
        ErrorCode.CATALOG_NOT_FOUND,
        f"there is no catalog '{catalog}'",
        hint=f"the catalogs are {CATALOG_NAME} and {SYSTEM_CATALOG}",
        position=name.position,
    )
