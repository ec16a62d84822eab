"""The protocol's routes, and how one request is answered."""

from __future__ import annotations

import re
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import anyio
import anyio.to_thread
import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from headwater.catalog.catalog import Catalog
from headwater.catalog.receipts import LIFETIME_SECONDS, Receipt
from headwater.engines.engine import WriteLeases
from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.gateway.iceberg_rest.commits import CommitOperations
from headwater.gateway.iceberg_rest.errors import WireError, answer, error_body
from headwater.gateway.iceberg_rest.namespaces import NamespaceOperations
from headwater.gateway.iceberg_rest.permits import Permits
from headwater.gateway.iceberg_rest.tables import TableOperations
from headwater.gateway.iceberg_rest.views import ViewOperations
from headwater.gateway.iceberg_rest.wire import LARGEST_BODY, Call, Reply, json_reply
from headwater.governance.access import Access
from headwater.governance.tokens import ENGINE_AUDIENCE, Tokens
from headwater.model.identifiers import CATALOG_NAME
from headwater.model.principal import Identity
from headwater.storage.credentials import CredentialVendor

_THREADS = 40
_JSON = "application/json"
_log = structlog.get_logger("headwater.iceberg_rest")

Handler = Callable[[Call], Reply]


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the protocol: a method, a path below `/v1/{prefix}`, and its handler."""

    method: str
    path: str
    handler: Handler

    @property
    def endpoint(self) -> str:
        """How the config endpoint names it."""
        path = self.path.replace("{name}", "{view}" if "/views" in self.path else "{table}")
        return f"{self.method} /v1/{{prefix}}{path}"

    @property
    def about_views(self) -> bool:
        """True when what is missing would be a view."""
        return "/views" in self.path


@dataclass(frozen=True, slots=True)
class Services:
    """What the protocol stands on."""

    catalog: Catalog
    access: Access
    tokens: Tokens
    leases: WriteLeases
    vendor: CredentialVendor
    client_config: dict[str, str]


def operations(services: Services) -> list[Operation]:
    """All operations, in the order of the REST specification."""
    permits = Permits(services.access, services.leases)
    namespaces = NamespaceOperations(services.catalog, services.access)
    tables = TableOperations(services.catalog, permits, services.vendor, services.client_config)
    commits = CommitOperations(services.catalog, permits, tables)
    views = ViewOperations(services.catalog, permits)
    namespace = "/namespaces/{namespace}"
    table, view = f"{namespace}/tables/{{name}}", f"{namespace}/views/{{name}}"
    return [
        Operation("GET", "/namespaces", namespaces.list),
        Operation("POST", "/namespaces", namespaces.create),
        Operation("GET", namespace, namespaces.load),
        Operation("HEAD", namespace, namespaces.exists),
        Operation("DELETE", namespace, namespaces.drop),
        Operation("POST", f"{namespace}/properties", namespaces.update),
        Operation("GET", f"{namespace}/tables", tables.list),
        Operation("POST", f"{namespace}/tables", tables.create),
        Operation("POST", f"{namespace}/register", tables.register),
        Operation("GET", table, tables.load),
        Operation("HEAD", table, tables.exists),
        Operation("POST", table, commits.commit),
        Operation("DELETE", table, tables.drop),
        Operation("GET", f"{table}/credentials", tables.credentials),
        Operation("POST", f"{table}/metrics", tables.metrics),
        Operation("POST", "/tables/rename", tables.rename),
        Operation("POST", "/transactions/commit", commits.commit_all),
        Operation("GET", f"{namespace}/views", views.list),
        Operation("POST", f"{namespace}/views", views.create),
        Operation("GET", view, views.load),
        Operation("HEAD", view, views.exists),
        Operation("POST", view, views.replace),
        Operation("DELETE", view, views.drop),
        Operation("POST", "/views/rename", views.rename),
    ]


def create_app(services: Services) -> Starlette:
    """The application to mount at `/iceberg`."""
    gateway = _Gateway(services)
    found = operations(services)
    endpoints = [operation.endpoint for operation in found]
    config = Operation("GET", "/config", lambda call: _config(call, endpoints))
    routes = [Route("/v1/config", gateway.endpoint(config), methods=["GET"])]
    by_path: dict[str, dict[str, Operation]] = {}
    for operation in found:
        by_path.setdefault(operation.path, {})[operation.method] = operation
    routes += [
        Route(f"/v1/{CATALOG_NAME}{path}", gateway.dispatch(methods), methods=[*methods])
        for path, methods in by_path.items()
    ]
    return Starlette(routes=routes, exception_handlers={HTTPException: _no_route})


def _config(call: Call, endpoints: list[str]) -> Reply:
    """GET config: what a client should know before its first request."""
    warehouse = call.query.get("warehouse")
    if warehouse not in (None, "", CATALOG_NAME):
        raise error(
            ErrorCode.CATALOG_NOT_FOUND,
            f"there is no warehouse {str(warehouse)[:100]!r}",
            hint=f"the only warehouse is {CATALOG_NAME}",
        )
    return json_reply(
        {
            "defaults": {},
            "overrides": {"prefix": CATALOG_NAME},
            "endpoints": endpoints,
            "idempotency-key-lifetime": f"PT{LIFETIME_SECONDS // 60}M",
        }
    )


class _Gateway:
    def __init__(self, services: Services) -> None:
        self._services = services
        self._limiter: anyio.CapacityLimiter | None = None

    def dispatch(self, methods: dict[str, Operation]) -> Callable[[Request], Awaitable[Response]]:
        """Answers the operations of one path by method."""
        endpoints = {method: self.endpoint(operation) for method, operation in methods.items()}

        async def answer_one(request: Request) -> Response:
            found = endpoints.get(request.method)
            if found is None:
                raise HTTPException(405)
            return await found(request)

        return answer_one

    def endpoint(self, operation: Operation) -> Callable[[Request], Awaitable[Response]]:
        """Reads a request, answers it in a thread, and writes the reply."""

        async def answer_one(request: Request) -> Response:
            if self._limiter is None:
                self._limiter = anyio.CapacityLimiter(_THREADS)
            try:
                body = await _read(request)
                reply = await anyio.to_thread.run_sync(
                    self._answer, operation, request, body, limiter=self._limiter
                )
            except (HeadwaterError, WireError) as exc:
                status, content = answer(exc, view=operation.about_views)
                headers = {"www-authenticate": "Bearer"} if status == 401 else {}
                reply = Reply(status, content, headers)
            except (ClientDisconnect, HTTPException):
                raise
            except Exception:
                # A client takes 500 for "state unknown", and never learns what went wrong inside.
                _log.exception("request failed", operation=operation.endpoint)
                reply = Reply(
                    500, error_body(500, "InternalServerError", "the server failed; see its log")
                )
            content = b"" if reply.body is None or request.method == "HEAD" else reply.body
            media = None if reply.body is None else _JSON
            return Response(content, reply.status, dict(reply.headers), media)

        return answer_one

    def _answer(self, operation: Operation, request: Request, body: bytes) -> Reply:
        identity = self._identity(request.headers.get("authorization"))
        request_id = getattr(request.state, "request_id", None) or uuid.uuid4().hex
        client = request.headers.get("user-agent", "")[:200]
        access = None
        if identity.engine_worker is None:
            access = self._services.access.begin(identity, request_id=request_id, client=client)
        call = Call(
            method=request.method,
            url_path=request.url.path,
            # Nothing else may hold a plus: some clients write a space as one, as forms do.
            path={k: v.replace("+", " ") for k, v in request.path_params.items()},
            query=dict(request.query_params),
            headers=dict(request.headers),
            body=body,
            identity=identity,
            request_id=request_id,
            access=access,
        )
        receipt = call.receipt if request.method in ("POST", "DELETE") else None
        return operation.handler(call) if receipt is None else self._once(operation, call, receipt)

    def _once(self, operation: Operation, call: Call, receipt: Receipt) -> Reply:
        """Answers a request with an Idempotency-Key: a repeated one is told, not done again."""
        repeated = self._repeated(call, receipt)
        if repeated is not None:
            return operation.handler(repeated)
        try:
            return operation.handler(call)
        except HeadwaterError:
            # The same request may have come twice at once; then the other one did it.
            repeated = self._repeated(call, receipt)
            if repeated is None:
                raise
            return operation.handler(repeated)

    def _repeated(self, call: Call, receipt: Receipt) -> Call | None:
        outcome = self._services.catalog.outcome(receipt.principal_id, receipt.key)
        if outcome is None:
            return None
        if outcome.request_hash != receipt.request_hash:
            raise WireError(
                422,
                "UnprocessableEntityException",
                "this Idempotency-Key was used for another request",
            )
        return replace(call, outcome=outcome)

    def _identity(self, authorization: str | None) -> Identity:
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise error(
                ErrorCode.UNAUTHENTICATED,
                "a bearer token is needed",
                hint="set the catalog's `token` property; `headwater token` makes one",
            )
        token = token.strip()
        try:
            return self._services.tokens.verify(token)
        except HeadwaterError as exc:
            try:
                return self._services.tokens.verify(token, ENGINE_AUDIENCE)
            except HeadwaterError:
                raise exc from None


async def _read(request: Request) -> bytes:
    """The whole body, as long as it is not too large."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY:
            raise error(
                ErrorCode.EXCEEDED_STATEMENT_SIZE,
                f"the request's body is larger than {LARGEST_BODY >> 20} MiB",
            )
    return bytes(body)


_MISSING = {
    "tables": "NoSuchTableException",
    "views": "NoSuchViewException",
    None: "NoSuchNamespaceException",
}
_NAMED = re.compile(rf"/v1/{CATALOG_NAME}/namespaces/(?:[^/]+/(tables|views)/)?.")


async def _no_route(request: Request, exc: Any) -> Response:
    """Unknown paths and methods, in the protocol's own shape.

    A name with slashes ends here as well, and is one that no table has: Spark asks for the table
    `/a/b` of the namespace `parquet` before it reads the path of "parquet.`/a/b`".
    """
    kind = "UnsupportedOperationException" if exc.status_code == 405 else "NotFoundException"
    named = _NAMED.match(request.scope["path"].removeprefix(request.scope.get("root_path", "")))
    if exc.status_code == 404 and named is not None:
        kind = _MISSING[named[1]]
    message = (
        "the path does not take this method"
        if exc.status_code == 405
        else f"there is nothing here; the catalog is at /v1/{CATALOG_NAME}"
    )
    content = error_body(exc.status_code, kind, message)
    return Response(content, exc.status_code, dict(exc.headers or {}), _JSON)
