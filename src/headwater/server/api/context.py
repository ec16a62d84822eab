"""What routes ask for: the verified caller, the running parts, a JSON body."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import Depends, Request

from headwater.errors import ErrorCode, error
from headwater.model.principal import Identity
from headwater.server.parts import Parts

_FILES = frozenset({"/api/v1/uploads", "/api/v1/job-files"})
_STATE_CHANGES = frozenset({"POST", "PUT", "PATCH"})


def parts(request: Request) -> Parts:
    """The running parts of this server."""
    found: Parts = request.app.state.parts
    return found


def caller(request: Request) -> Identity:
    """Who the bearer token speaks for; raises UNAUTHENTICATED."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise error(
            ErrorCode.UNAUTHENTICATED,
            "this needs a bearer token",
            hint="`headwater token --user U` prints one",
        )
    identity = parts(request).tokens.verify(token.strip())
    return replace(identity, client=request.headers.get("user-agent", "")[:200])


def request_id(request: Request) -> str:
    """The id that the guard gave this request."""
    return str(request.state.request_id)


def json_only(request: Request) -> None:
    """Refuses a state change whose body is not JSON: a page's form cannot send that type."""
    if request.method not in _STATE_CHANGES or request.url.path in _FILES:
        return
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise error(
            ErrorCode.INVALID_ARGUMENT,
            "the body must be JSON",
            hint="send Content-Type: application/json",
        )


Running = Annotated[Parts, Depends(parts)]
Caller = Annotated[Identity, Depends(caller)]
RequestId = Annotated[str, Depends(request_id)]
