"""Tables for people who browse: tree, search, columns in figures, samples, comments, grants."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from headwater.catalog.entries import ObjectKind
from headwater.catalog.schema import current_snapshot_id, snapshot_by_id
from headwater.errors import ErrorCode, error
from headwater.governance.statements import GovernanceStatements
from headwater.model.identifiers import (
    CATALOG_NAME,
    TableIdentifier,
    namespace_text,
    parse_namespace,
)
from headwater.model.privilege import Privilege, Securable, SecurableKind
from headwater.model.scan import ScanColumn
from headwater.model.statement import Dialect
from headwater.query.show_create import literal
from headwater.server.api.catalog import ObjectView, partitioning
from headwater.server.api.context import Caller, RequestId, Running
from headwater.server.api.names import table_identifier
from headwater.server.inspection import (
    Look,
    live_rows,
    may_know_owner,
    securables_above,
    summary_number,
)
from headwater.server.parts import Parts
from headwater.sql import statements as s
from headwater.sql.types import quote, trino_type

router = APIRouter(tags=["catalog"])

_LONGEST_COMMENT = 10_000

Offset = Annotated[int, Query(ge=0)]
Limit = Annotated[int, Query(ge=1, le=1000)]


class ObjectPage(BaseModel):
    """Some tables and views of a schema by name; `total` matched the search."""

    items: list[ObjectView]
    total: int
    comments: dict[str, str] = Field(
        default_factory=dict, description="By name, when they were asked for."
    )


class FoundView(BaseModel):
    """A schema, table or view that matches a search."""

    kind: Literal["schema", "table", "view"]
    schema_name: str = Field(alias="schema", serialization_alias="schema")
    name: str | None


class OverviewColumn(BaseModel):
    """A visible column; `mask` names what stands in for its values."""

    name: str
    type: str = Field(description="Trino's type text.")
    required: bool
    comment: str | None
    mask: str | None


class Overview(BaseModel):
    """A table or view in short, as the viewer may know it.

    Counts, location and snapshot are for viewers who see all of it (`sees_all`).
    """

    schema_name: str = Field(alias="schema", serialization_alias="schema")
    name: str
    kind: Literal["table", "view"]
    comment: str | None
    columns: list[OverviewColumn]
    privileges: list[Privilege] = Field(description="What the viewer may do with it.")
    readable: bool
    sees_all: bool = Field(description="No filter, mask or hidden column restricts the viewer.")
    filtered: bool = Field(description="A row filter restricts the viewer.")
    owner: str | None
    rows: int | None
    bytes: int | None
    files: int | None
    snapshot_id: str | None
    snapshots: int | None
    updated_ms: int | None
    format_version: int | None
    partitioning: list[str]
    location: str | None
    properties: dict[str, str]
    view_text: str | None = Field(None, description="For who may change the view.")
    connection: str | None = Field(None, description="Whose catalog's table this is; read-only.")


class ColumnFigures(BaseModel):
    """What a column looks like among the rows that were looked at."""

    name: str
    nulls: int
    distinct: int | None
    low: float | str | None
    high: float | str | None
    bars: list[int]
    top: list[tuple[str, int]]


class ProfileView(BaseModel):
    """A table's visible rows in figures; `too_large` (bytes) when it was not made unasked."""

    rows: int
    looked_at: int
    columns: list[ColumnFigures]
    too_large: int | None = None


class SampleView(BaseModel):
    """Some rows; texts are cut after 300 characters, and `cut` says that one was."""

    columns: list[dict[str, str]]
    rows: list[list[Any]]
    cut: bool


class CommentChange(BaseModel):
    """A new comment; with `was`, only if the present one is that."""

    comment: str | None = Field(max_length=_LONGEST_COMMENT)
    was: str | None = None
    check: bool = Field(False, description="Compare with `was` first.")


class CommentView(BaseModel):
    """The comment now, and the one before, to undo with."""

    comment: str | None
    was: str | None


class GrantView(BaseModel):
    """One grant or deny that holds for the table; `on` is where it was made."""

    grantee: str
    grantee_kind: str
    effect: str
    privilege: str
    column: str | None
    grantable: bool
    grantor: str | None
    on: str
    on_kind: str


class PolicyView(BaseModel):
    """A row filter or column mask, for who manages the table's grants."""

    name: str
    kind: str
    column: str | None
    action: str | None
    expression: str | None
    to: str
    except_to: str


class Permissions(BaseModel):
    """Who may do what: all for who manages the table's grants, else the viewer's own part."""

    manages: bool
    owner: str | None
    mine: list[Privilege]
    grants: list[GrantView]
    policies: list[PolicyView] | None


class NewSchema(BaseModel):
    """A schema to make."""

    name: str = Field(min_length=1, max_length=255)
    comment: str | None = Field(None, max_length=_LONGEST_COMMENT)


class CreateText(BaseModel):
    """A statement that makes the same table again."""

    dialect: Dialect
    sql: str


class LineageNode(BaseModel):
    """A table or view in the picture."""

    table: str
    schema_name: str = Field(alias="schema", serialization_alias="schema")
    name: str
    kind: str


class LineageEdge(BaseModel):
    """Statements that wrote `target` from `source`."""

    source: str
    target: str
    statements: int
    last_ms: int


class UseView(BaseModel):
    """How often a principal read or wrote the table."""

    principal: str
    action: Literal["read", "write"]
    statements: int
    last_ms: int


class LineageView(BaseModel):
    """What comes from what, around a table; `everyone` says whose uses are listed."""

    nodes: list[LineageNode]
    edges: list[LineageEdge]
    uses: list[UseView]
    everyone: bool


@router.get("/tree")
def tree(
    schema: str,
    caller: Caller,
    running: Running,
    q: str = "",
    offset: Offset = 0,
    limit: Limit = 200,
    comments: bool = False,
) -> ObjectPage:
    """Tables and views of a schema by name, those that contain `q`, a page at a time."""
    wanted = q.casefold()
    found = [
        each
        for each in running.browser.tables(caller, parse_namespace(schema))
        if wanted in each.identifier.name.casefold()
    ]
    page = found[offset : offset + limit]
    said = running.inspection.comments(page) if comments else {}
    return ObjectPage(
        items=[_object(each.identifier, each.kind) for each in page],
        total=len(found),
        comments=said,
    )


@router.get("/find")
def find(
    caller: Caller, running: Running, q: str = "", limit: Annotated[int, Query(ge=1, le=100)] = 20
) -> list[FoundView]:
    """Schemas, tables and views whose names contain all words of `q`, the best first."""
    words = q.casefold().replace(".", " ").split()
    scored: list[tuple[tuple[int, int, str], FoundView]] = []

    def consider(text: str, name: str, view: FoundView) -> None:
        folded = text.casefold()
        if all(word in folded for word in words):
            short = name.casefold()
            rank = min(
                (0 if short == w else 1 if short.startswith(w) else 2 if w in short else 3)
                for w in words or [""]
            )
            scored.append(((rank, len(text), folded), view))

    for namespace in running.browser.schemas(caller):
        schema = namespace_text(namespace)
        consider(schema, schema, FoundView(kind="schema", schema=schema, name=None))
        for each in running.browser.tables(caller, namespace):
            name = each.identifier.name
            kind: Literal["table", "view"] = "view" if each.kind == "view" else "table"
            consider(f"{schema}.{name}", name, FoundView(kind=kind, schema=schema, name=name))
    scored.sort(key=lambda pair: pair[0])
    return [view for _, view in scored[:limit]]


@router.post("/schemas", status_code=201)
def create_schema(body: NewSchema, caller: Caller, running: Running) -> Response:
    """CREATE SCHEMA."""
    said = "" if not body.comment else f" COMMENT {literal(body.comment)}"
    running.inspection.run(caller, f"CREATE SCHEMA {quote(body.name)}{said}")
    return Response(status_code=201)


@router.delete("/schemas/{schema}", status_code=204)
def drop_schema(schema: str, caller: Caller, running: Running) -> Response:
    """DROP SCHEMA, of an empty one."""
    running.inspection.run(caller, f"DROP SCHEMA {quote(schema)}")
    return Response(status_code=204)


@router.get("/tables/{table}/overview")
def overview(table: str, caller: Caller, running: Running, request: RequestId) -> Overview:
    """A table or view in short."""
    identifier = table_identifier(table)
    found = running.inspection.look(caller, identifier, request)
    found.request.seal()
    metadata = found.metadata
    properties = dict(metadata.get("properties") or {})
    comment = properties.pop("comment", None)
    is_view = found.entry.kind is ObjectKind.VIEW
    snapshot_id = None if is_view or not found.sees_all else current_snapshot_id(metadata)
    snapshot = {} if snapshot_id is None else snapshot_by_id(metadata, snapshot_id) or {}
    empty = 0 if found.sees_all and snapshot_id is None else None
    visible = {column.field_id for column in found.columns}
    return Overview(
        schema=namespace_text(identifier.namespace),
        name=identifier.name,
        kind="view" if is_view else "table",
        comment=comment,
        columns=[_column(column) for column in found.columns],
        privileges=found.privileges,
        readable=found.scan is not None
        or (is_view and found.request.allows(Privilege.SELECT, found.securable)),
        sees_all=found.sees_all,
        filtered=found.scan is not None and found.scan.row_filter is not None,
        owner=_owner(found),
        rows=live_rows(snapshot) if snapshot else empty,
        bytes=running.inspection.size(identifier, metadata, snapshot_id)
        if found.sees_all
        else None,
        files=_number(snapshot, "total-data-files", empty),
        snapshot_id=None if snapshot_id is None else str(snapshot_id),
        snapshots=None if is_view else len(metadata.get("snapshots") or ()),
        updated_ms=metadata.get("last-updated-ms") if found.scan is not None else None,
        format_version=metadata.get("format-version"),
        partitioning=[] if is_view else partitioning(dict(metadata), visible),
        location=metadata.get("location") if found.sees_all else None,
        properties=properties,
        view_text=_view_text(running, found) if is_view else None,
        connection=found.connection,
    )


@router.get("/tables/{table}/profile")
def profile(
    table: str, caller: Caller, running: Running, request: RequestId, force: bool = False
) -> ProfileView:
    """The columns in figures, from one query that runs as the viewer.

    A table of more than 4 GiB is looked at only with `force`.
    """
    found = running.inspection.profile(caller, table_identifier(table), request, force=force)
    if isinstance(found, int):
        return ProfileView(rows=0, looked_at=0, columns=[], too_large=found)
    return ProfileView(
        rows=found.rows,
        looked_at=found.looked_at,
        columns=[ColumnFigures(**asdict(column)) for column in found.columns],
    )


@router.get("/tables/{table}/sample")
def sample(
    table: str,
    caller: Caller,
    running: Running,
    request: RequestId,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    snapshot: int | None = None,
) -> SampleView:
    """Some rows as the viewer sees them, now or as of a snapshot."""
    found = running.inspection.sample(
        caller, table_identifier(table), request, limit=limit, snapshot_id=snapshot
    )
    return SampleView(
        columns=[{"name": name, "type": kind} for name, kind in found.columns],
        rows=found.rows,
        cut=found.cut,
    )


@router.patch("/tables/{table}/comment")
def comment_table(
    table: str, body: CommentChange, caller: Caller, running: Running, request: RequestId
) -> CommentView:
    """COMMENT ON TABLE (or VIEW)."""
    identifier = table_identifier(table)
    found = running.inspection.look(caller, identifier, request)
    was = (found.metadata.get("properties") or {}).get("comment")
    _check_was(body, was)
    kind = "VIEW" if found.entry.kind is ObjectKind.VIEW else "TABLE"
    running.inspection.run(caller, f"COMMENT ON {kind} {_sql(identifier)} IS {_text(body)}")
    return CommentView(comment=body.comment, was=was)


@router.patch("/tables/{table}/columns/{column}/comment")
def comment_column(
    table: str,
    column: str,
    body: CommentChange,
    caller: Caller,
    running: Running,
    request: RequestId,
) -> CommentView:
    """COMMENT ON COLUMN."""
    identifier = table_identifier(table)
    found = running.inspection.look(caller, identifier, request)
    held = next((each for each in found.columns if each.name == column), None)
    if held is None:
        raise error(ErrorCode.COLUMN_NOT_FOUND, f"{identifier} has no column {column[:200]!r}")
    _check_was(body, held.comment)
    place = f"{_sql(identifier)}.{quote(column)}"
    running.inspection.run(caller, f"COMMENT ON COLUMN {place} IS {_text(body)}")
    return CommentView(comment=body.comment, was=held.comment)


@router.get("/tables/{table}/permissions")
def permissions(table: str, caller: Caller, running: Running, request: RequestId) -> Permissions:
    """Grants and policies that hold for a table, here or above it."""
    found = running.inspection.look(caller, table_identifier(table), request)
    manages = may_know_owner(found)
    grants: list[GrantView] = []
    for on in (found.securable, *securables_above(found.entry.identifier)):
        if on.kind is SecurableKind.SCHEMA and not running.browser.sees_schema(
            caller, on.namespace
        ):
            continue
        grants += [_grant(row) for row in _show(running, found, "grants", on)]
    policies = None
    if manages and found.entry.kind is ObjectKind.TABLE:
        shown = _show(running, found, "policies", found.securable)
        policies = [_policy(row) for row in shown]
    return Permissions(
        manages=manages,
        owner=_owner(found),
        mine=found.privileges,
        grants=grants,
        policies=policies,
    )


@router.get("/tables/{table}/lineage")
def lineage(
    table: str,
    caller: Caller,
    running: Running,
    request: RequestId,
    depth: Annotated[int, Query(ge=1, le=3)] = 2,
) -> LineageView:
    """What comes from what around a table, among the tables that the viewer sees.

    Who uses it is for who manages its grants; others read of their own uses.
    """
    found = running.inspection.look(caller, table_identifier(table), request)
    manages = may_know_owner(found)
    picture = running.inspection.lineage.around(caller, found.entry, depth=depth, people=manages)
    return LineageView(
        nodes=[
            LineageNode(
                table=str(node.identifier),
                schema=namespace_text(node.identifier.namespace),
                name=node.identifier.name,
                kind=node.kind,
            )
            for node in picture.nodes
        ],
        edges=[
            LineageEdge(
                source=str(edge.source),
                target=str(edge.target),
                statements=edge.statements,
                last_ms=edge.last_ms,
            )
            for edge in picture.edges
        ],
        uses=[
            UseView(
                principal=use.principal,
                action="write" if use.action == "write" else "read",
                statements=use.statements,
                last_ms=use.last_ms,
            )
            for use in picture.uses
        ],
        everyone=manages,
    )


@router.get("/tables/{table}/ddl")
def ddl(
    table: str,
    caller: Caller,
    running: Running,
    dialect: Literal["trino", "spark"] = "trino",
) -> CreateText:
    """SHOW CREATE TABLE (or VIEW) in a dialect."""
    chosen = Dialect(dialect)
    text = running.inspection.create_text(caller, table_identifier(table), chosen)
    return CreateText(dialect=chosen, sql=text)


def _object(identifier: TableIdentifier, kind: str) -> ObjectView:
    return ObjectView(schema=namespace_text(identifier.namespace), name=identifier.name, kind=kind)


def _column(column: ScanColumn) -> OverviewColumn:
    return OverviewColumn(
        name=column.name,
        type=trino_type(column.type),
        required=column.required,
        comment=column.comment,
        mask=column.mask.name if column.mask else None,
    )


def _number(snapshot: dict[str, Any], name: str, empty: int | None) -> int | None:
    return summary_number(snapshot, name) if snapshot else empty


def _owner(found: Look) -> str | None:
    owner = found.request.state.owners.get(found.entry.uuid)
    if owner is None:
        return None
    if owner in found.request.subject.held or may_know_owner(found):
        return found.request.state.name(owner)
    return None


def _view_text(running: Parts, found: Look) -> str | None:
    if not found.request.allows(Privilege.ALTER, found.securable):
        return None
    version = running.catalog.view(found.entry.identifier).current
    texts = (r["sql"] for r in version["representations"] if r.get("type", "sql") == "sql")
    return next(texts, None)


def _check_was(body: CommentChange, was: str | None) -> None:
    if body.check and (body.was or None) != (was or None):
        raise error(
            ErrorCode.COMMIT_CONFLICT,
            "somebody else changed this comment meanwhile",
            hint="look at it again, then change it",
        )


def _text(body: CommentChange) -> str:
    return literal(body.comment) if body.comment else "NULL"


def _sql(identifier: TableIdentifier) -> str:
    return f"{quote(namespace_text(identifier.namespace))}.{quote(identifier.name)}"


def _show(running: Parts, found: Look, what: str, on: Securable) -> list[dict[str, Any]]:
    name = None
    if on.kind is not SecurableKind.CATALOG:
        parts = on.namespace if on.name is None else (namespace_text(on.namespace), on.name)
        name = s.Name(tuple(parts))
    statement = s.ShowGovernance(what, s.SecurableName(on.kind.value, name))
    shown = GovernanceStatements(running.access).run(statement, found.request)
    return [] if shown is None else shown.to_pylist()


def _grant(row: dict[str, Any]) -> GrantView:
    kind = str(row["Object Type"])
    return GrantView(
        grantee=row["Grantee"],
        grantee_kind=row["Grantee Type"],
        effect=row["Effect"],
        privilege=row["Privilege"],
        column=row["Column"],
        grantable=bool(row["Grantable"]),
        grantor=row["Grantor"],
        on=CATALOG_NAME if kind == "catalog" else row["Object"],
        on_kind=kind,
    )


def _policy(row: dict[str, Any]) -> PolicyView:
    return PolicyView(
        name=row["Policy"],
        kind=row["Type"],
        column=row["Column"],
        action=row["Action"],
        expression=row["Expression"],
        to=row["To"] or "",
        except_to=row["Except"] or "",
    )
