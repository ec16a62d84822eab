"""Who the caller is, and session tokens."""

from __future__ import annotations

import time

from fastapi import APIRouter
from pydantic import BaseModel, Field

from headwater.model.principal import PrincipalKind
from headwater.model.privilege import Privilege, Securable
from headwater.server.api.context import Caller, RequestId, Running

router = APIRouter(tags=["identity"])


class Whoami(BaseModel):
    """The caller; `roles` are all held, `role` the one acted in (None: all)."""

    name: str
    kind: PrincipalKind
    role: str | None
    roles: list[str]


class TokenRequest(BaseModel):
    """Whose token, and for how long."""

    user: str
    role: str | None = None
    ttl_seconds: float = Field(3600, gt=0)


class IssuedToken(BaseModel):
    """A bearer token; it is shown this once."""

    token: str
    user: str
    role: str | None
    expires_at: float = Field(description="Unix seconds.")


@router.get("/whoami")
def whoami(caller: Caller, running: Running) -> Whoami:
    """The caller, as the token names it."""
    state = running.policies.current()
    held = state.closure(caller.principal.id) - {caller.principal.id}
    return Whoami(
        name=caller.principal.name,
        kind=caller.principal.kind,
        role=caller.role,
        roles=sorted(state.name(role) for role in held),
    )


@router.post("/tokens", status_code=201)
def issue(body: TokenRequest, caller: Caller, running: Running, request: RequestId) -> IssuedToken:
    """A session token of a user or service account, by who may impersonate in the catalog."""
    asked = running.access.begin(
        caller, request_id=request, client=caller.client, statement="issue token"
    )
    # Before the name is looked up: who may not act for others learns nothing of their names.
    asked.check(Privilege.IMPERSONATE, Securable.catalog())
    principal = running.directory.find_login(body.user)
    asked.seal()
    token = running.tokens.issue(principal, body.role, body.ttl_seconds)
    asked.finish(outcome="done")
    return IssuedToken(
        token=token,
        user=principal.name,
        role=body.role,
        expires_at=time.time() + body.ttl_seconds,
    )
