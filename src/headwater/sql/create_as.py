"""Emits CREATE TABLE AS against the attached catalog `lake`: one commit makes table and rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlglot import exp

from headwater.errors import ErrorCode, error
from headwater.model.identifiers import CATALOG_NAME, TableIdentifier, namespace_text
from headwater.sql.statements import PartitionField
from headwater.sql.types import data_type, quote


def with_types(tree: exp.Expr, columns: Sequence[tuple[str, Any]]) -> exp.Select:
    """The query with its columns named and cast to Iceberg types, by position.

    A type of None is left to the engine.
    """
    names = [f"c{place}" for place in range(len(columns))]
    items: list[exp.Expr] = []
    for name, (label, kind) in zip(names, columns, strict=True):
        value: exp.Expr = exp.column(exp.to_identifier(name, quoted=True))
        if kind is not None:
            value = exp.Cast(this=value, to=data_type(kind))
        items.append(exp.Alias(this=value, alias=exp.to_identifier(label, quoted=True)))
    alias = exp.TableAlias(
        this=exp.to_identifier("query", quoted=True),
        columns=[exp.to_identifier(name, quoted=True) for name in names],
    )
    return exp.Select(expressions=items, from_=exp.From(this=exp.Subquery(this=tree, alias=alias)))


def create_table_as(
    identifier: TableIdentifier,
    partitioning: Iterable[PartitionField],
    properties: Mapping[str, str],
    query: str,
) -> str:
    """The statement for a query that `headwater.sql.transpile.emit` wrote."""
    path = (CATALOG_NAME, namespace_text(identifier.namespace), identifier.name)
    text = "CREATE TABLE " + ".".join(quote(part) for part in path)
    transforms = ", ".join(_transform(field) for field in partitioning)
    if transforms:
        text += f" PARTITIONED BY ({transforms})"
    if properties:
        listed = (f"{_literal(key)} = {_literal(value)}" for key, value in properties.items())
        text += f" WITH ({', '.join(listed)})"
    return f"{text} AS {query}"


def insert_into(identifier: TableIdentifier, columns: Iterable[str], query: str) -> str:
    """INSERT of a query that `headwater.sql.transpile.emit` wrote, for columns by name."""
    path = (CATALOG_NAME, namespace_text(identifier.namespace), identifier.name)
    listed = ", ".join(quote(column) for column in columns)
    return f"INSERT INTO {'.'.join(quote(part) for part in path)} ({listed}) {query}"


def _transform(field: PartitionField) -> str:
    column = quote(field.column)
    name, _, width = field.transform.rstrip("]").partition("[")
    match name:
        case "identity":
            return column
        case "year" | "month" | "day" | "hour":
            return f"{name}({column})"
        case "bucket" | "truncate" if width.isdigit():
            return f"{name}({int(width)}, {column})"
    raise error(ErrorCode.NOT_SUPPORTED, f"a table cannot be partitioned by {field.transform}")


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
