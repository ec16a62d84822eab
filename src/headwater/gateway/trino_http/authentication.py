"""Who sends a request: a session token as bearer, or as the password of Basic authentication."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import uuid
from typing import Protocol

from starlette.requests import Request

from headwater.errors import ErrorCode, error
from headwater.governance.access import Access
from headwater.governance.tokens import Tokens
from headwater.model.principal import Identity

USER_HEADER = "x-trino-user"
CHALLENGES = ('Bearer realm="Headwater"', 'Basic realm="Headwater"')
"""What a 401 asks for; drivers choose between the two by how they were configured."""


class Authority(Protocol):
    """What the gateway asks of governance: whose token it is, and who may act for whom."""

    def verify(self, token: str) -> Identity:
        """The identity a token speaks for, or UNAUTHENTICATED."""
        ...

    def impersonate(self, identity: Identity, user: str) -> Identity:
        """The identity of another user, or PERMISSION_DENIED without the privilege for it."""
        ...


class TokenAuthority:
    """The authority of a running server; every impersonation is an audited decision."""

    def __init__(self, tokens: Tokens, access: Access) -> None:
        self._tokens = tokens
        self._access = access

    def verify(self, token: str) -> Identity:
        """The identity a session token speaks for, or UNAUTHENTICATED."""
        return self._tokens.verify(token)

    def impersonate(self, identity: Identity, user: str) -> Identity:
        """The identity of `user`, all its roles held; see `Access.impersonate`."""
        return self._access.impersonate(identity, user, request_id=uuid.uuid4().hex)


def authenticate(request: Request, authority: Authority) -> Identity:
    """Whose token a request carries; raises UNAUTHENTICATED or PERMISSION_DENIED."""
    _require_private_channel(request)
    token, name = _credentials(request.headers.get("authorization", ""))
    identity = authority.verify(token)
    if name is not None and name != identity.principal.name:
        raise error(
            ErrorCode.UNAUTHENTICATED,
            "the user name is not the one that the token was issued to",
            hint="use the token's user as user name and the token as password",
        )
    return identity


def session_identity(request: Request, identity: Identity, authority: Authority) -> Identity:
    """Who a statement runs as: `X-Trino-User`, which is the token's principal or somebody whom it
    may impersonate; without the header the token's principal.
    """
    user = request.headers.get(USER_HEADER) or identity.principal.name
    return identity if user == identity.principal.name else authority.impersonate(identity, user)


def _credentials(header: str) -> tuple[str, str | None]:
    scheme, _, value = header.strip().partition(" ")
    value = value.strip()
    if scheme.lower() == "bearer" and value:
        return value, None
    if scheme.lower() == "basic":
        try:
            name, colon, password = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            name, colon, password = "", "", ""
        if colon and password:
            return password, name
    raise error(
        ErrorCode.UNAUTHENTICATED,
        "a session token is needed",
        hint="send `Authorization: Bearer TOKEN`, or user name and token as password",
    )


def _require_private_channel(request: Request) -> None:
    """Tokens cross a network under TLS only; plain HTTP is for this machine's own clients."""
    if request.url.scheme == "https":
        return
    host = request.client.host if request.client else ""
    try:
        local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    if not local:
        raise error(ErrorCode.PERMISSION_DENIED, "tokens are taken over TLS only", hint="use https")
