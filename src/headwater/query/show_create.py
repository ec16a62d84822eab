"""The text of SHOW CREATE: a statement in Trino's dialect that makes the same object again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from headwater.catalog.schema import default_spec
from headwater.model.identifiers import CATALOG_NAME, TableIdentifier, namespace_text
from headwater.model.scan import ScanColumn
from headwater.sql.types import quote_if_needed, trino_type


def table_text(
    identifier: TableIdentifier, columns: Iterable[ScanColumn], metadata: Mapping[str, Any]
) -> str:
    """CREATE TABLE with the visible columns, comments, partitioning, order and properties."""
    visible = list(columns)
    names = {column.field_id: column.name for column in visible}
    lines = ",\n".join("   " + _column(column) for column in visible)
    text = f"CREATE TABLE {_path(identifier)} (\n{lines}\n)"
    properties = dict(metadata.get("properties") or {})
    comment = properties.pop("comment", None)
    if comment is not None:
        text += f"\nCOMMENT {literal(comment)}"
    options = [f"format_version = {metadata['format-version']}"]
    transforms = _listed(default_spec(metadata)["fields"], names)
    if transforms:
        options.append(f"partitioning = ARRAY[{transforms}]")
    order: list[Mapping[str, Any]] = next(
        (
            o["fields"]
            for o in metadata.get("sort-orders", ())
            if o["order-id"] == metadata.get("default-sort-order-id")
        ),
        [],
    )
    if sorted_by := _sorted(order, names):
        options.append(f"sorted_by = ARRAY[{sorted_by}]")
    options += [f'"{key}" = {literal(str(value))}' for key, value in sorted(properties.items())]
    return text + "\nWITH (\n" + ",\n".join(f"   {option}" for option in options) + "\n)"


def view_text(identifier: TableIdentifier, definition: str, comment: str | None) -> str:
    """CREATE VIEW with its text as it was written."""
    said = "" if comment is None else f" COMMENT {literal(comment)}"
    return f"CREATE VIEW {_path(identifier)}{said} AS\n{definition}"


def schema_text(name: str, properties: Mapping[str, str]) -> str:
    """CREATE SCHEMA with its properties."""
    text = f"CREATE SCHEMA {CATALOG_NAME}.{quote_if_needed(name)}"
    if properties:
        listed = (f'   "{key}" = {literal(value)}' for key, value in sorted(properties.items()))
        text += "\nWITH (\n" + ",\n".join(listed) + "\n)"
    return text


def literal(text: str) -> str:
    """A string literal."""
    return "'" + text.replace("'", "''") + "'"


def _path(identifier: TableIdentifier) -> str:
    schema = quote_if_needed(namespace_text(identifier.namespace))
    return f"{CATALOG_NAME}.{schema}.{quote_if_needed(identifier.name)}"


def _column(column: ScanColumn) -> str:
    text = f"{quote_if_needed(column.name)} {trino_type(column.type)}"
    if column.required:
        text += " NOT NULL"
    return text if column.comment is None else f"{text} COMMENT {literal(column.comment)}"


def _transform(transform: str, column: str) -> str:
    name, _, width = transform.rstrip("]").partition("[")
    if name == "identity":
        return column
    return f"{name}({column}, {width})" if width else f"{name}({column})"


def _listed(fields: Iterable[Mapping[str, Any]], names: Mapping[int, str]) -> str:
    return ", ".join(
        literal(_transform(field["transform"], names[field["source-id"]]))
        for field in fields
        if field["source-id"] in names
    )


def _sorted(fields: Iterable[Mapping[str, Any]], names: Mapping[int, str]) -> str:
    return ", ".join(
        literal(
            f"{_transform(field['transform'], names[field['source-id']])} "
            f"{field['direction'].upper()} {field['null-order'].upper().replace('-', ' ')}"
        )
        for field in fields
        if field["source-id"] in names
    )
