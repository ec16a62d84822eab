"""Whether the server lives, how it is, and what it counts."""

from __future__ import annotations

from dataclasses import asdict

from fastapi import APIRouter
from pydantic import BaseModel

import headwater
from headwater.model.privilege import Privilege, Securable
from headwater.server import checks
from headwater.server.api.context import Caller, RequestId, Running

router = APIRouter(tags=["server"])


class Health(BaseModel):
    """`ok` while the server answers and its metastore does."""

    status: str


class Version(BaseModel):
    """The server's version."""

    version: str


class Finding(BaseModel):
    """One check of the doctor's."""

    name: str
    ok: bool
    detail: str
    hint: str | None


@router.get("/health")
def health(running: Running) -> Health:
    """Answers anybody; raises METASTORE_UNAVAILABLE when the metastore does not answer."""
    running.database.ping()
    return Health(status="ok")


@router.get("/version")
def version() -> Version:
    """Answers anybody."""
    return Version(version=headwater.__version__)


@router.get("/doctor")
def doctor(caller: Caller, running: Running, request: RequestId) -> list[Finding]:
    """All checks of the running server; for administrators."""
    asked = running.access.begin(caller, request_id=request, statement="DOCTOR")
    asked.check(Privilege.MANAGE_GRANTS, Securable.catalog())
    asked.seal()
    return [Finding(**asdict(check)) for check in checks.running(running)]
