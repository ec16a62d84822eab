"""Schemas, tables and views as the caller may see them."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from headwater.errors import ErrorCode, error
from headwater.model.identifiers import TableIdentifier, namespace_text, parse_namespace
from headwater.model.statement import Session, Statement
from headwater.server.api.context import Caller, RequestId, Running
from headwater.server.api.names import table_identifier
from headwater.sql.types import quote, trino_type

router = APIRouter(tags=["catalog"])


class SchemaView(BaseModel):
    """A schema (Iceberg namespace); levels are joined by dots."""

    name: str
    comment: str | None = None


class ObjectView(BaseModel):
    """A table or view in a listing."""

    schema_name: str = Field(alias="schema", serialization_alias="schema")
    name: str
    kind: str


class ColumnView(BaseModel):
    """A visible column; `mask` names what stands in for its values, if anything does."""

    name: str
    type: str = Field(description="Trino's type text.")
    required: bool
    comment: str | None
    mask: str | None


class TableView(BaseModel):
    """A table or view; what the caller may not see is not there."""

    schema_name: str = Field(alias="schema", serialization_alias="schema")
    name: str
    kind: str
    comment: str | None
    columns: list[ColumnView]
    format_version: int | None = None
    partitioning: list[str] = Field(default_factory=list)
    properties: dict[str, str] = Field(default_factory=dict)


class SnapshotView(BaseModel):
    """One state in a table's history; `summary` is Iceberg's, with counts of rows and files."""

    snapshot_id: int
    parent_id: int | None
    timestamp_ms: int
    operation: str | None
    current: bool
    refs: list[str]
    summary: dict[str, str]


@router.get("/schemas")
def schemas(caller: Caller, running: Running) -> list[SchemaView]:
    """The schemas that the caller may see."""
    return [
        SchemaView(
            name=namespace_text(namespace),
            comment=running.catalog.namespace(namespace).properties.get("comment"),
        )
        for namespace in running.browser.schemas(caller)
    ]


@router.get("/schemas/{schema}/tables")
def tables(schema: str, caller: Caller, running: Running) -> list[ObjectView]:
    """The tables and views of a schema that the caller may see."""
    return [
        ObjectView(
            schema=namespace_text(found.identifier.namespace),
            name=found.identifier.name,
            kind=found.kind,
        )
        for found in running.browser.tables(caller, parse_namespace(schema))
    ]


@router.get("/tables/{table}")
def describe(table: str, caller: Caller, running: Running) -> TableView:
    """A table's or view's columns and, for who sees all of it, how it is laid out."""
    identifier = table_identifier(table)
    columns = running.browser.columns(caller, identifier)
    entry = running.catalog.entry(identifier)
    if entry is None:
        raise error(ErrorCode.TABLE_NOT_FOUND, f"table {identifier} does not exist")
    loaded = (
        running.catalog.view(identifier)
        if entry.kind == "view"
        else running.catalog.table(identifier)
    )
    properties = dict(loaded.metadata.get("properties") or {})
    return TableView(
        schema=namespace_text(identifier.namespace),
        name=identifier.name,
        kind=entry.kind,
        comment=properties.pop("comment", None),
        columns=[
            ColumnView(
                name=column.name,
                type=trino_type(column.type),
                required=column.required,
                comment=column.comment,
                mask=column.mask.name if column.mask else None,
            )
            for column in columns
        ],
        format_version=loaded.metadata.get("format-version"),
        partitioning=partitioning(loaded.metadata, {column.field_id for column in columns}),
        properties=properties,
    )


@router.get("/tables/{table}/snapshots")
def snapshots(
    table: str, caller: Caller, running: Running, request: RequestId
) -> list[SnapshotView]:
    """The table's history, latest first; for callers whom no policy restricts.

    Summaries count rows and files, which a row filter must not give away.
    """
    identifier = table_identifier(table)
    asked = running.access.begin(caller, request_id=request, statement="SHOW HISTORY")
    scan = asked.scan(identifier)
    asked.seal()
    if scan.is_restricted:
        raise error(
            ErrorCode.PERMISSION_DENIED,
            f"the history of {identifier} counts rows that you may not see",
            hint="ask somebody who sees the whole table",
        )
    metadata = running.catalog.table(identifier).metadata
    refs: dict[int, list[str]] = {}
    for name, ref in (metadata.get("refs") or {}).items():
        refs.setdefault(ref["snapshot-id"], []).append(name)
    return [
        SnapshotView(
            snapshot_id=snapshot["snapshot-id"],
            parent_id=snapshot.get("parent-snapshot-id"),
            timestamp_ms=snapshot["timestamp-ms"],
            operation=(snapshot.get("summary") or {}).get("operation"),
            current=snapshot["snapshot-id"] == metadata.get("current-snapshot-id"),
            refs=sorted(refs.get(snapshot["snapshot-id"], [])),
            summary=snapshot.get("summary") or {},
        )
        for snapshot in reversed(metadata.get("snapshots") or [])
    ]


@router.delete("/tables/{table}", status_code=204)
def drop(table: str, caller: Caller, running: Running) -> Response:
    """Drops a table or view, as DROP TABLE or DROP VIEW does."""
    identifier = table_identifier(table)
    entry = running.catalog.entry(identifier)
    kind = "VIEW" if entry is not None and entry.kind == "view" else "TABLE"
    statement = Statement(f"DROP {kind} {_sql_name(identifier)}")
    query = running.queries.submit(Session(caller, source="api"), statement)
    query.finish()
    if query.error is not None:
        raise query.error
    return Response(status_code=204)


def _sql_name(identifier: TableIdentifier) -> str:
    return f"{quote(namespace_text(identifier.namespace))}.{quote(identifier.name)}"


def partitioning(metadata: dict[str, Any], visible: set[int]) -> list[str]:
    """The default partition spec as `month(pickup)`; columns that are hidden are left out."""
    names = {
        field["id"]: field["name"]
        for schema in metadata.get("schemas") or []
        if schema.get("schema-id") == metadata.get("current-schema-id")
        for field in schema["fields"]
    }
    for spec in metadata.get("partition-specs") or []:
        if spec.get("spec-id") == metadata.get("default-spec-id"):
            return [
                names[field["source-id"]]
                if field["transform"] == "identity"
                else f"{field['transform']}({names[field['source-id']]})"
                for field in spec["fields"]
                if field.get("source-id") in visible and field["source-id"] in names
            ]
    return []
