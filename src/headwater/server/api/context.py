"""What routes ask for: the verified caller, the running parts, a JSON body."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import Depends, Request

from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.model.principal import Identity
from headwater.server.parts import Parts

_FILES = frozenset({"/api/v1/uploads", "/api/v1/job-files"})
_STATE_CHANGES = frozenset({"POST", "PUT", "PATCH"})
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def parts(request: Request) -> Parts:
    """The running parts of this server."""
    found: Parts = request.app.state.parts
    return found


def caller(request: Request) -> Identity:
    """Who the bearer token speaks for, or else the studio's cookie; raises UNAUTHENTICATED."""
    if "authorization" in request.headers:
        return verified(request, bearer(request))
    token = request.cookies.get(cookie_name(request))
    if not token:
        raise _unauthenticated()
    if request.headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        # Other ports of this host count as the same site: their pages get the cookie sent along.
        raise error(
            ErrorCode.PERMISSION_DENIED,
            "with a cookie, only this server's own pages may ask",
            hint="send the token as Authorization: Bearer …",
        )
    if request.method not in _SAFE_METHODS and not _from_our_page(request):
        raise error(
            ErrorCode.PERMISSION_DENIED,
            "with a cookie, only this server's own pages may change anything",
            hint="send the token as Authorization: Bearer …",
        )
    return verified(request, token)


def bearer(request: Request) -> str:
    """The bearer token of the request; raises UNAUTHENTICATED."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise _unauthenticated()
    return token.strip()


def verified(request: Request, token: str) -> Identity:
    """Who a token speaks for; raises UNAUTHENTICATED."""
    identity = parts(request).tokens.verify(token)
    return replace(identity, client=request.headers.get("user-agent", "")[:200])


def cookie_name(request: Request) -> str:
    """The session cookie's name: browsers keep one jar for all ports of a host."""
    port = request.url.port or (443 if request.url.scheme == "https" else 80)
    return f"headwater-{port}"


def _from_our_page(request: Request) -> bool:
    """True when the browser says so; the guard has refused every header that says otherwise.

    A client that sends neither header is no browser, and has no business with a cookie.
    """
    return request.headers.get("sec-fetch-site") == "same-origin" or "origin" in request.headers


def _unauthenticated() -> HeadwaterError:
    return error(
        ErrorCode.UNAUTHENTICATED,
        "this needs a bearer token",
        hint="`headwater token --user U` prints one",
    )


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
