"""What the page Admin shows and does; every route is for administrators."""

from __future__ import annotations

import datetime
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, Field

from headwater.governance.access import AccessRequest
from headwater.model.privilege import Privilege, Securable
from headwater.server.administration import Installation
from headwater.server.api.context import Caller, RequestId, Running
from headwater.server.api.problems import Problem, problem_of

router = APIRouter(tags=["server"])


class SettingView(BaseModel):
    """A setting in force; a secret only tells whether it is set."""

    name: str
    variable: str
    value: str | None
    default: str | None
    changed: bool
    secret: bool
    description: str


class ProcessView(BaseModel):
    """A process with its tree; `cpus` are CPUs busy since the last look, null at the first."""

    kind: str
    name: str
    pid: int | None
    state: str
    detail: str | None
    user: str | None
    role: str | None
    processes: int
    memory_bytes: int
    cpu_seconds: float
    cpus: float | None
    started_ms: int | None
    restarts: int
    idle_seconds: float | None


class InstallationView(BaseModel):
    """How far an installation is, from 0 to 1; with an error, how far it came."""

    doing: str
    share: float
    error: Problem | None


class ReleaseView(BaseModel):
    """A release, and whether it is installed."""

    name: str
    summary: str
    python: str
    java: list[int]
    features: list[str]
    end_of_life: datetime.date | None
    installed: bool
    bytes_on_disk: int
    last_used_ms: int | None
    packages: dict[str, str]
    install_seconds: int = Field(description="How long an installation takes about.")
    installing: InstallationView | None


class Nothing(BaseModel):
    """An empty body."""


def administrator(caller: Caller, running: Running, request: RequestId) -> AccessRequest:
    """The request of an administrator; raises PERMISSION_DENIED for everybody else."""
    asked = running.access.begin(caller, request_id=request, statement="ADMINISTER")
    asked.check(Privilege.MANAGE_GRANTS, Securable.catalog())
    return asked


Administrator = Annotated[AccessRequest, Depends(administrator)]


@router.get("/admin/settings")
def settings(_asked: Administrator, running: Running) -> list[SettingView]:
    """Every setting as it is in force."""
    return [SettingView(**asdict(found)) for found in running.administration.settings()]


@router.get("/admin/processes")
def processes(_asked: Administrator, running: Running) -> list[ProcessView]:
    """The server and the processes that are its own."""
    return [ProcessView(**asdict(found)) for found in running.administration.processes()]


@router.get("/admin/releases")
def releases(_asked: Administrator, running: Running) -> list[ReleaseView]:
    """The releases that there are, and how far their installation is."""
    return [
        ReleaseView(
            name=status.definition.name,
            summary=status.definition.summary,
            python=status.definition.python,
            java=list(status.definition.java),
            features=list(status.definition.features),
            end_of_life=status.definition.end_of_life,
            installed=status.installed is not None,
            bytes_on_disk=status.bytes_on_disk,
            last_used_ms=int(status.last_used * 1000) if status.last_used else None,
            packages=dict(status.installed.packages) if status.installed else {},
            install_seconds=status.definition.install_seconds,
            installing=_installation(installing) if installing else None,
        )
        for status, installing in running.administration.releases()
    ]


@router.post("/admin/releases/{name}/install", status_code=202)
def install(name: str, _body: Nothing, asked: Administrator, running: Running) -> None:
    """Begins to install a release; the list tells how far it is."""
    asked.seal()
    running.administration.install(name)
    _note(running, asked, "install release", name)


@router.delete("/admin/releases/{name}", status_code=204)
def remove(name: str, asked: Administrator, running: Running) -> Response:
    """Removes a release that nothing runs with."""
    asked.seal()
    if running.administration.remove(name):
        _note(running, asked, "remove release", name)
    return Response(status_code=204)


def _note(running: Running, asked: AccessRequest, action: str, name: str) -> None:
    with running.database.write() as connection:
        running.audit.change(connection, asked.actor(), action, securable=f"release {name}")


def _installation(found: Installation) -> InstallationView:
    return InstallationView(
        doing=found.doing,
        share=found.share,
        error=Problem(**problem_of(found.error)) if found.error else None,
    )
