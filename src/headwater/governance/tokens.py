"""Session tokens: JSON Web Tokens that Headwater signs itself with Ed25519 (RFC 7519, RFC 8037)."""

from __future__ import annotations

import hashlib
import json
import math
import os
import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from headwater.errors import ErrorCode, error
from headwater.governance.state import PolicyStore
from headwater.model.principal import Identity, Principal, PrincipalKind

AUDIENCE = "headwater"
"""Who session tokens are meant for: every protocol of the server."""

ENGINE_AUDIENCE = "engine"
"""Who the tokens of engine workers are meant for: the server's catalog, for leased tables only."""

_ISSUER = "headwater"
_ALGORITHM = "Ed25519"
_SKEW_SECONDS = 60
_MAX_TTL_SECONDS = 90 * 24 * 3600
_MAX_LENGTH = 4096
_REMEMBERED = 1024


class Tokens:
    """Issues and verifies tokens; the key lives in one file of mode 0600.

    Only our own algorithm and key are accepted: `alg` and `kid` of a token choose nothing.
    """

    def __init__(self, key_path: Path, store: PolicyStore) -> None:
        self._key = _load_key(key_path)
        self._store = store
        self._engine_session = secrets.token_hex(8)
        self._sessions: tuple[str, Callable[[str], bool]] | None = None
        self._lock = threading.Lock()
        # Verified claims by the token's SHA-256 and audience: a signature is checked once, the
        # expiry and the principal at every use.
        self._verified: dict[tuple[bytes, str], dict[str, Any]] = {}

    def issue(
        self,
        principal: Principal,
        role: str | None = None,
        ttl: float = 3600.0,
        audience: str = AUDIENCE,
        session: str | None = None,
    ) -> str:
        """A token of a user or service account; `ttl` in seconds, 90 days at most.

        Tokens of one `session` share its id; without one it gets its own.

        Raises PERMISSION_DENIED when the principal does not hold the role, INVALID_ARGUMENT for a
        role as principal or an odd `ttl`.
        """
        if principal.kind is PrincipalKind.ROLE:
            raise error(
                ErrorCode.INVALID_ARGUMENT,
                f"{principal.name} is a role",
                hint="roles do not log in; issue a token for a user or a service account",
            )
        if not 0 < ttl <= _MAX_TTL_SECONDS:
            raise error(ErrorCode.INVALID_ARGUMENT, "a token lives for up to 90 days")
        self._store.current().subject(Identity(principal, role=role))
        claims = {"role": role} if role else {}
        return self._sign(principal.id, ttl, audience, session or secrets.token_hex(8), claims)

    def issue_engine(self, worker: str) -> str:
        """A token of an engine worker: good for what is leased to that worker, nothing else.

        It ends with this run of the server, not at a time: a worker keeps it as long as it lives.
        """
        return self._sign(worker, None, ENGINE_AUDIENCE, self._engine_session, {})

    def bind_sessions(self, prefix: str, lives: Callable[[str], bool]) -> None:
        """Refuses tokens of sessions of that prefix once `lives` says no, whatever their expiry."""
        self._sessions = (prefix, lives)

    def verify(self, token: str, audience: str = AUDIENCE) -> Identity:
        """Who the token speaks for; raises UNAUTHENTICATED for any token that is not good now."""
        claims = self._claims(token, audience)
        subject, session = claims["sub"], claims["sid"]
        if audience == ENGINE_AUDIENCE:
            if session != self._engine_session:
                raise _refused("the token is of an earlier run of the server")
            worker = Principal(f"engine:{subject}", subject, PrincipalKind.SERVICE_ACCOUNT)
            return Identity(worker, session_id=session, engine_worker=subject)
        state = self._store.current()
        principal = state.principals.get(subject)
        if principal is None or principal.id in state.disabled:
            raise _refused("the token's principal may not log in")
        prefix, lives = self._sessions or ("", None)
        if lives is not None and session.startswith(prefix) and not lives(session):
            raise _refused("the token's run has ended")
        return Identity(principal, role=claims.get("role"), session_id=session)

    def expires_at(self, token: str) -> float:
        """When a session token ends, in Unix seconds; raises UNAUTHENTICATED like `verify`."""
        return float(self._claims(token, AUDIENCE)["exp"])

    def _sign(
        self, subject: str, ttl: float | None, audience: str, session: str, claims: dict[str, Any]
    ) -> str:
        # No "issued at": a clock that is set back must not end the tokens of the hour before.
        expiry = {} if ttl is None else {"exp": int(time.time() + ttl)}
        return jwt.encode(
            {"alg": _ALGORITHM, "typ": "JWT"},
            {
                "iss": _ISSUER,
                "sub": subject,
                "aud": audience,
                "sid": session,
                "jti": secrets.token_hex(16),
                **expiry,
                **claims,
            },
            self._key,
            algorithms=[_ALGORITHM],
        )

    def _claims(self, token: str, audience: str) -> dict[str, Any]:
        if len(token) > _MAX_LENGTH:
            raise _refused("the token is too long")
        try:
            key = (hashlib.sha256(token.encode()).digest(), audience)
        except UnicodeEncodeError as exc:
            raise _refused("the token is not valid, or has expired") from exc
        known = self._verified.get(key)
        # The token of an engine worker has no expiry.
        if known is not None and time.time() < known.get("exp", math.inf) + _SKEW_SECONDS:
            return known
        claims = self._checked(token, audience)
        with self._lock:
            if len(self._verified) >= _REMEMBERED:
                del self._verified[next(iter(self._verified))]
            self._verified[key] = claims
        return claims

    def _checked(self, token: str, audience: str) -> dict[str, Any]:
        """The claims of a token whose signature, audience and times are right."""
        try:
            claims = jwt.decode(token, self._key, algorithms=[_ALGORITHM]).claims
            jwt.JWTClaimsRegistry(
                leeway=_SKEW_SECONDS,
                iss={"essential": True, "value": _ISSUER},
                aud={"essential": True, "value": audience},
                exp={"essential": audience != ENGINE_AUDIENCE},
                sub={"essential": True},
                sid={"essential": True},
            ).validate(claims)
        except (JoseError, ValueError, TypeError, KeyError) as exc:
            raise _refused("the token is not valid, or has expired") from exc
        # A list that also names other audiences would be accepted by them too; ours has one.
        if claims["aud"] != audience or not isinstance(claims["sub"], str):
            raise _refused("the token is not meant for this service")
        return dict(claims)


def _refused(message: str) -> Exception:
    return error(ErrorCode.UNAUTHENTICATED, message, hint="get a new one: headwater token --user …")


def _load_key(path: Path) -> OKPKey:
    """The key of a file; makes one when there is none. Two servers never race: one owns a home."""
    if path.exists():
        mode = path.stat().st_mode & 0o777
        if mode & 0o077:
            raise error(
                ErrorCode.HOME_NOT_WRITABLE,
                f"the signing key {path.name} is open to others (mode {mode:o})",
                hint=f"chmod 600 {path}, or delete it to make a new one (all tokens end)",
            )
        return OKPKey.import_key(json.loads(path.read_text(encoding="utf-8")))
    key = OKPKey.generate_key("Ed25519")
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    opened = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(opened, "w", encoding="utf-8") as file:
        json.dump(key.as_dict(private=True), file)
        file.flush()
        os.fsync(file.fileno())
    partial.rename(path)
    return key
