"""The studio's session: a token, exchanged for a cookie that scripts cannot read."""

from __future__ import annotations

import time

from fastapi import APIRouter, Request, Response
from pydantic import Field

from headwater.server.api.context import Running, bearer, cookie_name, verified
from headwater.server.api.identity import Whoami, whoami

router = APIRouter(tags=["session"])


class SessionView(Whoami):
    """Who is logged in with the cookie, and until when."""

    expires_at: float = Field(description="Unix seconds.")


@router.post("/session", status_code=201)
def begin(request: Request, response: Response, running: Running) -> SessionView:
    """Logs a browser in: the bearer token becomes a cookie, for as long as the token is good.

    The cookie is for this server's own pages: HttpOnly, SameSite=Strict, Secure over TLS. With it,
    a state change needs a header by which the browser says that such a page asks for it.
    """
    token = bearer(request)
    identity = verified(request, token)
    expires_at = running.tokens.expires_at(token)
    response.set_cookie(
        cookie_name(request),
        token,
        max_age=max(0, int(expires_at - time.time())),
        path="/",
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    known = whoami(identity, running)
    return SessionView(**known.model_dump(), expires_at=expires_at)


@router.delete("/session", status_code=204)
def end(request: Request) -> Response:
    """Logs the browser out: its cookie is removed. The token itself stays good until it expires."""
    response = Response(status_code=204)
    response.delete_cookie(cookie_name(request), path="/", httponly=True, samesite="strict")
    return response
