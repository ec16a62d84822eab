"""What the query editor asks while a statement is written: completions, layout, the plan."""

from __future__ import annotations

import json

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from headwater.errors import HeadwaterError, Position, error
from headwater.model.statement import Dialect, Session, Statement
from headwater.server.api.acting import acting
from headwater.server.api.context import Caller, RequestId, Running
from headwater.sql.format import format_sql
from headwater.sql.parse import parse

router = APIRouter(tags=["editor"])

_MOST_TEXT = 1024 * 1024


class CompletionRequest(BaseModel):
    """A statement that is being written, and where its cursor is."""

    sql: str = Field(max_length=_MOST_TEXT)
    position: int = Field(ge=0, description="The cursor, in UTF-16 units from the start.")
    dialect: Dialect = Dialect.TRINO
    schema_name: str | None = Field(None, alias="schema", max_length=500)
    role: str | None = Field(None, max_length=200)
    limit: int = Field(50, ge=1, le=1000)


class CompletionItem(BaseModel):
    """One thing to type: `apply` replaces what was typed, `detail` is a type or schema."""

    label: str
    apply: str
    kind: str = Field(description="keyword, function, schema, table, view or column")
    detail: str | None = None
    info: str | None = Field(None, description="The comment, if there is one.")


class Completions(BaseModel):
    """Items for the text between two UTF-16 offsets; ask again when `incomplete`."""

    start: int = Field(serialization_alias="from")
    end: int = Field(serialization_alias="to")
    items: list[CompletionItem]
    incomplete: bool


class FormatRequest(BaseModel):
    """Statements to lay out."""

    sql: str = Field(max_length=_MOST_TEXT)
    dialect: Dialect = Dialect.TRINO


class Formatted(BaseModel):
    """The statements laid out; `notes` tell which stay as they are, and why."""

    sql: str
    changed: bool
    notes: list[str]


class PlanRequest(BaseModel):
    """A statement to explain; `analyze` runs it (queries only)."""

    sql: str = Field(max_length=_MOST_TEXT)
    dialect: Dialect = Dialect.TRINO
    schema_name: str | None = Field(None, alias="schema", max_length=500)
    properties: dict[str, str] = Field(default_factory=dict)
    time_zone: str = "UTC"
    role: str | None = Field(None, max_length=200)
    user: str | None = Field(None, max_length=200)
    analyze: bool = False


class ScanView(BaseModel):
    """A table that is read, as the caller may know it; no name for one behind a view."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    table: str | None
    through_view: bool
    snapshot: str | None = None
    columns: list[str] = Field(default_factory=list)
    row_filter: bool = False
    masked: list[str] = Field(default_factory=list)
    enforcement: str | None = None


class PlanNode(BaseModel):
    """A step of a plan, and those that its rows come from."""

    kind: str
    label: str
    detail: str
    children: list[PlanNode]


class PlanView(BaseModel):
    """A plan: as text, as the steps that were written, and the tables with what protects them."""

    text: str
    engine: str | None
    output: list[str]
    nodes: PlanNode | None = Field(None, description="The last step on top.")
    scans: list[ScanView]
    analyzed: dict[str, float] | None = None


@router.post("/completions")
def complete(
    body: CompletionRequest, caller: Caller, running: Running, request: RequestId
) -> Completions:
    """What may be typed at the cursor, of what the caller may see."""
    identity = acting(running, caller, request, role=body.role, user=None)
    cursor = _offset(body.sql, body.position)
    found = running.completer.complete(
        identity,
        body.sql,
        cursor,
        dialect=body.dialect,
        schema=body.schema_name,
        limit=body.limit,
    )
    return Completions(
        start=_units(body.sql[: found.start]),
        end=_units(body.sql[: found.end]),
        items=[
            CompletionItem(
                label=item.label,
                apply=item.apply,
                kind=item.kind,
                detail=item.detail,
                info=item.info,
            )
            for item in found.items
        ],
        incomplete=found.incomplete,
    )


@router.post("/sql/format")
def layout(body: FormatRequest, caller: Caller) -> Formatted:
    """The statements laid out with their comments; what cannot be is left as it is."""
    made, notes = format_sql(body.sql, body.dialect)
    return Formatted(sql=made, changed=made != body.sql, notes=notes)


@router.post("/plan")
def plan(body: PlanRequest, caller: Caller, running: Running, request: RequestId) -> PlanView:
    """How a statement would run, or did; never data, nor what hides data."""
    parse(body.sql, body.dialect)  # its errors have their place in this text, not in EXPLAIN's
    session = Session(
        acting(running, caller, request, role=body.role, user=body.user),
        dialect=body.dialect,
        schema=body.schema_name,
        time_zone=body.time_zone,
        properties=body.properties,
        source="studio:plan",
    )
    explain = f"EXPLAIN {'ANALYZE ' if body.analyze else ''}(FORMAT JSON)\n{body.sql}"
    query = running.queries.submit(session, Statement(explain))
    try:
        told = json.loads(query.table().column(0)[0].as_py())
    except HeadwaterError as exc:
        at = exc.position  # one line up: the first line of what was explained is ours
        place = Position(max(1, at.line - 1), at.column) if at else None
        raise error(exc.code, exc.message, hint=exc.hint, position=place) from exc
    query.discard()
    return PlanView(**told)


def _units(text: str) -> int:
    """The text's length in UTF-16 units, as browsers count."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _offset(text: str, units: int) -> int:
    """The offset of a UTF-16 position."""
    encoded = text.encode("utf-16-le", "surrogatepass")[: units * 2]
    return len(encoded.decode("utf-16-le", "ignore"))
