"""Upkeep that an administrator may ask for."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, Field

from headwater.model.privilege import Privilege, Securable
from headwater.server.api.context import Caller, RequestId, Running

router = APIRouter(tags=["server"])

_LISTED = 1000


class SweepRequest(BaseModel):
    """A sweep for files without a table."""

    dry_run: bool = Field(True, description="Only say what would be removed.")


class SweepView(BaseModel):
    """What a sweep found; `files` names the first thousand."""

    count: int
    bytes: int
    files: list[str]
    dropped_tables: list[str] = Field(description="Locations of tables dropped with purge.")
    left_alone: list[str] = Field(description="Why a table's folder was not looked at.")
    deleted: bool


@router.post("/sweeps")
def sweep(body: SweepRequest, caller: Caller, running: Running, request: RequestId) -> SweepView:
    """Looks for files that no table refers to and removes them; for administrators."""
    asked = running.access.begin(caller, request_id=request, statement="SWEEP")
    asked.check(Privilege.MANAGE_GRANTS, Securable.catalog())
    asked.seal()
    report = running.sweeping.sweep(delete=not body.dry_run)
    return SweepView(
        count=len(report.orphans),
        bytes=report.bytes,
        files=[file.uri for file in report.orphans[:_LISTED]],
        dropped_tables=list(report.purged),
        left_alone=[f"{location}: {why}" for location, why in report.skipped],
        deleted=report.deleted,
    )
