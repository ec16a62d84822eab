"""What every request passes before any gateway sees it, and every response on its way out.

Requests: the Host header must name this server (a DNS-rebinding page cannot), a state change must
not come from another site's page, a body has a size limit. Responses: a request id, security
headers, one log line, one metric. No CORS header is ever sent.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

import orjson
import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headwater.errors import ErrorCode
from headwater.telemetry import metrics
from headwater.telemetry.logs import log

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")

_MIB = 1024 * 1024
_BODY_LIMITS = (
    ("/api/v1/uploads", 64 * 1024 * _MIB),
    # The setting of their size is smaller; the route applies it.
    ("/api/v1/job-files", 4 * 1024 * _MIB),
    ("/api/v1/job-runs", 16 * _MIB),
    ("/iceberg/", 64 * _MIB),
)
_DEFAULT_BODY_LIMIT = 4 * _MIB
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}

_log = log("http")


class _BodyTooLargeError(Exception):
    """A body grew beyond its limit while it was read."""


class Guard:
    """ASGI middleware around everything that the server answers.

    `hosts` are the names that a Host header may carry beside the loopback ones, without port.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str]) -> None:
        self.app = app
        self.hosts = frozenset(name.lower().strip("[]") for name in (*LOOPBACK_NAMES, *hosts))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one connection event; websockets are refused, no gateway speaks them."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        path: str = scope["path"]
        given = headers.get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        structlog.contextvars.bind_contextvars(request_id=request_id)
        started = time.perf_counter()
        status = 0

        async def send_out(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                out = MutableHeaders(scope=message)
                out["x-request-id"] = request_id
                for name, value in _SECURITY_HEADERS.items():
                    out.setdefault(name, value)
                if not path.startswith("/iceberg/"):  # its ETags are for caches
                    out.setdefault("cache-control", "no-store")
            await send(message)

        limit = next((size for start, size in _BODY_LIMITS if path.startswith(start)), None)
        limit = limit or _DEFAULT_BODY_LIMIT
        received = 0

        async def receive_limited() -> Message:
            nonlocal received
            message = await receive()
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
                if received > limit:
                    raise _BodyTooLargeError
            return message

        try:
            refusal = self._refusal(scope, headers, limit)
            if refusal is not None:
                await _answer(send_out, *refusal)
            else:
                await self.app(scope, receive_limited, send_out)
        except _BodyTooLargeError:
            if status == 0:
                await _answer(send_out, *_too_large(limit))
        except Exception:
            # The client learns the request id; what happened is in the log alone.
            _log.exception("request failed", method=scope["method"], path=_log_path(path))
            if status == 0:
                await _answer(
                    send_out,
                    500,
                    ErrorCode.INTERNAL_ERROR,
                    "the server failed to answer this request",
                    f"look for request {request_id} in the server's log",
                )
        finally:
            elapsed = time.perf_counter() - started
            surface = _surface(path)
            metrics.http_requests.labels(surface, scope["method"], str(status)).inc()
            metrics.http_seconds.labels(surface).observe(elapsed)
            _log.debug(
                "request",
                method=scope["method"],
                path=_log_path(path),
                status=status,
                milliseconds=round(elapsed * 1000, 1),
            )
            structlog.contextvars.unbind_contextvars("request_id")

    def _refusal(
        self, scope: Scope, headers: Headers, limit: int
    ) -> tuple[int, ErrorCode, str, str] | None:
        hosts = headers.getlist("host")
        if len(hosts) != 1 or self._host_name(hosts[0]) not in self.hosts:
            return (
                421,
                ErrorCode.PERMISSION_DENIED,
                "the Host header does not name this server",
                "use 127.0.0.1 or localhost, or list the name in HEADWATER_ALLOWED_HOSTS",
            )
        if scope["method"] not in _SAFE_METHODS and not self._same_site(headers, hosts[0]):
            return (
                403,
                ErrorCode.PERMISSION_DENIED,
                "a page of another site may not change anything here",
                "send the request without Origin, or from this server's own pages",
            )
        length = headers.get("content-length")
        if length is not None and length.isdigit() and int(length) > limit:
            return _too_large(limit)
        return None

    def _host_name(self, host: str) -> str | None:
        try:
            parts = urlsplit(f"//{host}")
            parts.port  # noqa: B018  raises on a port that is not a number
            return parts.hostname if parts.path == "" and parts.username is None else None
        except ValueError:
            return None

    def _same_site(self, headers: Headers, host: str) -> bool:
        if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
            return False
        origin = headers.get("origin")
        if origin is None:
            return True
        return origin.lower() in (f"http://{host.lower()}", f"https://{host.lower()}")


def _too_large(limit: int) -> tuple[int, ErrorCode, str, str]:
    return (
        413,
        ErrorCode.EXCEEDED_STATEMENT_SIZE,
        f"the request's body is larger than {limit // _MIB} MiB",
        "send less in one request; load data with `headwater catalog load`",
    )


async def _answer(send: Any, status: int, code: ErrorCode, message: str, hint: str) -> None:
    body = orjson.dumps({"code": code, "message": message, "hint": hint, "position": None})
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _surface(path: str) -> str:
    for start, surface in (("/iceberg", "iceberg"), ("/v1/", "trino"), ("/api/", "api")):
        if path.startswith(start):
            return surface
    return "other"


def _log_path(path: str) -> str:
    """Enough to tell the route; what follows may name tables or carry a Trino result slug."""
    return "/".join(path.split("/")[:4])
