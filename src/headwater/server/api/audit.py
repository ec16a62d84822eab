"""The audit log over HTTP: search, export, and the check that nobody altered it."""

from __future__ import annotations

import csv
import datetime
import io
import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from headwater.governance.audit import AuditEvent, AuditLog, ChainHead
from headwater.model.principal import Identity
from headwater.model.privilege import Privilege, Securable
from headwater.server.api.context import Caller, RequestId, Running

router = APIRouter(tags=["governance"])

_BATCH = 1000
_MOST_SCANNED = 20_000
_COLUMNS = (
    "sequence", "time", "kind", "outcome", "action", "principal", "impersonator", "role",
    "securable", "reasons", "policies", "error_code", "rows", "client", "request_id", "query_id",
    "statement", "details", "hash",
)  # fmt: skip
_FORMULA = ("=", "+", "-", "@", "\t", "\r")

Kind = Literal["decision", "completion", "change"]
Securables = Annotated[str | None, Query(description="As logged: `table hr.emp`.")]
RequestOf = Annotated[str | None, Query(description="A request or query id.")]
Milliseconds = Annotated[int | None, Query(description="Unix milliseconds.")]
Text = Annotated[str, Query(alias="q", max_length=200, description="Text anywhere in an event.")]


class AuditPage(BaseModel):
    """Audit events, newest first; `before` of the next page is `next`, None after the last."""

    events: list[dict[str, Any]]
    next: int | None
    everything: bool = Field(description="False: these are the caller's own events only.")


class ChainReport(BaseModel):
    """What verifying the chain found; `problem` is None when nothing is wrong."""

    events: int
    head_sequence: int
    head_hash: str
    problem: str | None


@router.get("/audit")
def audit(
    caller: Caller,
    running: Running,
    request: RequestId,
    principal: str | None = None,
    securable: Securables = None,
    kind: Kind | None = None,
    outcome: str | None = None,
    request_of: RequestOf = None,
    text: Text = "",
    since_ms: Milliseconds = None,
    until_ms: Milliseconds = None,
    before: Annotated[int | None, Query(description="Sequence of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> AuditPage:
    """The audit log: all of it for who manages grants on the catalog, else the caller's own."""
    asked = running.access.begin(caller, request_id=request)
    filters: dict[str, Any] = {
        "principal": principal,
        "securable": securable,
        "kind": kind,
        "outcome": outcome,
        "request_id": request_of,
        "since_ms": since_ms,
        "until_ms": until_ms,
    }
    if asked.allows(Privilege.MANAGE_GRANTS, Securable.catalog()):
        found = running.audit.query(**filters, contains=text.strip(), before=before, limit=limit)
        last = found[-1].sequence if len(found) == limit else None
        return AuditPage(events=[_event(event) for event in found], next=last, everything=True)
    own, last = _own(running.audit, caller, filters, text.strip().casefold(), before, limit)
    return AuditPage(events=[_event(event) for event in own], next=last, everything=False)


@router.get(
    "/audit/export",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/csv": {}, "application/x-ndjson": {}}}},
)
def export(
    caller: Caller,
    running: Running,
    request: RequestId,
    form: Annotated[Literal["csv", "json"], Query(alias="format")] = "csv",
    principal: str | None = None,
    securable: Securables = None,
    kind: Kind | None = None,
    outcome: str | None = None,
    request_of: RequestOf = None,
    text: Text = "",
    since_ms: Milliseconds = None,
    until_ms: Milliseconds = None,
) -> StreamingResponse:
    """All events that match, newest first, as a file: CSV, or JSON with an event on each line.

    For who manages grants on the catalog; the export itself is audited. A CSV text that a
    spreadsheet would take for a formula begins with an apostrophe.
    """
    asked = running.access.begin(caller, request_id=request, statement="EXPORT AUDIT")
    asked.check(Privilege.MANAGE_GRANTS, Securable.catalog())
    asked.seal()
    events = _all(
        running.audit,
        principal=principal,
        securable=securable,
        kind=kind,
        outcome=outcome,
        request_id=request_of,
        contains=text.strip(),
        since_ms=since_ms,
        until_ms=until_ms,
    )
    today = datetime.datetime.now(datetime.UTC).date()
    name = f"headwater-audit-{today}.{'csv' if form == 'csv' else 'jsonl'}"
    return StreamingResponse(
        _csv(events) if form == "csv" else _lines(events),
        media_type="text/csv; charset=utf-8" if form == "csv" else "application/x-ndjson",
        headers={"content-disposition": f'attachment; filename="{name}"'},
    )


@router.get("/audit/verify")
def verify(
    caller: Caller,
    running: Running,
    request: RequestId,
    sequence: int = 0,
    head: Annotated[str, Query(description="The hash that was noted for `sequence`.")] = "",
) -> ChainReport:
    """Recomputes the hash chain; a head noted earlier shows a cut-off end. For administrators."""
    asked = running.access.begin(caller, request_id=request)
    asked.check(Privilege.MANAGE_GRANTS, Securable.catalog())
    asked.seal()
    found = running.audit.verify(ChainHead(sequence, head) if sequence else None)
    return ChainReport(
        events=found.events,
        head_sequence=found.head.sequence,
        head_hash=found.head.hash,
        problem=found.problem,
    )


def _own(
    audit: AuditLog,
    caller: Identity,
    filters: Mapping[str, Any],
    text: str,
    before: int | None,
    limit: int,
) -> tuple[list[AuditEvent], int | None]:
    """The caller's own events, and where to go on.

    The text is looked for in what is shown only: a search must not tell what was withheld.
    """
    shown: list[AuditEvent] = []
    for _ in range(_MOST_SCANNED // _BATCH):
        wanted = {**filters, "principal": caller.principal.name}
        batch = audit.query(**wanted, before=before, limit=_BATCH)
        for event in batch:
            # Somebody else may have had the caller's name before.
            if event.facts.get("principal_id") != caller.principal.id:
                continue
            mine = event.for_its_principal()
            if text and text not in json.dumps(dict(mine.facts), ensure_ascii=False).casefold():
                continue
            shown.append(mine)
            if len(shown) == limit:
                return shown, mine.sequence
        if len(batch) < _BATCH:
            return shown, None
        before = batch[-1].sequence
    return shown, before


def _all(audit: AuditLog, **filters: Any) -> Iterator[AuditEvent]:
    before: int | None = None
    while True:
        batch = audit.query(**filters, before=before, limit=_BATCH)
        yield from batch
        if len(batch) < _BATCH:
            return
        before = batch[-1].sequence


def _lines(events: Iterator[AuditEvent]) -> Iterator[bytes]:
    for event in events:
        yield orjson.dumps(_event(event)) + b"\n"


def _csv(events: Iterator[AuditEvent]) -> Iterator[str]:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(_COLUMNS)
    for event in events:
        facts = _event(event)
        time = datetime.datetime.fromtimestamp(facts["time_ms"] / 1000, datetime.UTC)
        facts["time"] = time.isoformat(timespec="milliseconds")
        writer.writerow([_cell(facts.get(column)) for column in _COLUMNS])
        if out.tell() > 64 * 1024:
            yield out.getvalue()
            out.seek(0)
            out.truncate()
    yield out.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"'{text}" if isinstance(value, str) and text.startswith(_FORMULA) else text


def _event(event: AuditEvent) -> dict[str, Any]:
    return {"sequence": event.sequence, "hash": event.hash, **event.facts}
