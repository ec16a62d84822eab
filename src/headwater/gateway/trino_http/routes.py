"""The HTTP edge of Trino's client protocol; everything that blocks runs in threads below it."""

from __future__ import annotations

import secrets
import weakref
from collections.abc import Awaitable, Callable

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from headwater.errors import ErrorCode, ErrorKind, HeadwaterError, error
from headwater.gateway.trino_http.authentication import (
    CHALLENGES,
    Authority,
    authenticate,
    session_identity,
)
from headwater.gateway.trino_http.errors import query_error
from headwater.gateway.trino_http.results import (
    FIRST_TOKEN,
    MAX_TARGET_BYTES,
    TARGET_BYTES,
    Reader,
    statement_stats,
)
from headwater.gateway.trino_http.session import has_parametric_datetime, read_session
from headwater.model.statement import Statement
from headwater.query.query import Query
from headwater.query.service import QueryService
from headwater.query.session import parse_bytes, parse_seconds

_FIRST_WAIT_SECONDS = 0.5
"""How long a POST waits: most statements end within it and need no second request."""

_WAIT_SECONDS = 1.0
_MAX_WAIT_SECONDS = 10.0

_STATUS = {
    ErrorCode.UNAUTHENTICATED: 401,
    ErrorCode.PERMISSION_DENIED: 403,
    ErrorCode.PRINCIPAL_NOT_FOUND: 403,
    ErrorCode.EXCEEDED_STATEMENT_SIZE: 413,
}

_Handler = Callable[[Request], Awaitable[Response]]


class _UnknownQueryError(Exception):
    """The address names no query of this caller."""


def routes(
    queries: QueryService, authority: Authority, *, version: str, uptime: Callable[[], float]
) -> list[Route]:
    """The routes below `/v1`, to be mounted at the server's root.

    `uptime` is in seconds.
    """
    gateway = _Gateway(queries, authority, version, uptime)
    address = "/{query_id}/{slug}/{token:int}"
    result: list[Route] = [
        Route("/v1/info", gateway.info, methods=["GET"]),
        Route("/v1/info/state", gateway.info_state, methods=["GET"]),
        Route("/v1/statement", _guarded(gateway.submit), methods=["POST"]),
        Route("/v1/query/{query_id}", _guarded(gateway.describe), methods=["GET"]),
    ]
    for stage in ("queued", "executing"):
        path = f"/v1/statement/{stage}{address}"
        result.append(Route(path, _guarded(gateway.fetch), methods=["GET"]))
        result.append(Route(path, _guarded(gateway.cancel), methods=["DELETE"]))
    return result


def _guarded(handler: _Handler) -> _Handler:
    """The handler, with errors before a statement exists told by status, as Trino tells them."""

    async def handle(request: Request) -> Response:
        try:
            return await handler(request)
        except _UnknownQueryError:
            return PlainTextResponse("no such query", 404)
        except HeadwaterError as failure:
            return _refusal(failure)

    return handle


def _refusal(failure: HeadwaterError) -> Response:
    # 503 makes drivers try again, which is right for what will come back by itself.
    fallback = 503 if failure.code.kind is ErrorKind.EXTERNAL else 400
    status = _STATUS.get(failure.code, fallback)
    if failure.code.kind is ErrorKind.INTERNAL:
        status = 500
    text = query_error(failure)["message"]
    response = PlainTextResponse(text, status)
    if status == 401:
        for challenge in CHALLENGES:
            response.headers.append("www-authenticate", challenge)
    return response


class _Gateway:
    def __init__(
        self,
        queries: QueryService,
        authority: Authority,
        version: str,
        uptime: Callable[[], float],
    ) -> None:
        self._queries = queries
        self._authority = authority
        self._version = version
        self._uptime = uptime
        # A reader lives as long as its query, which the service keeps until the result expires.
        self._readers: weakref.WeakKeyDictionary[Query, Reader] = weakref.WeakKeyDictionary()

    async def info(self, _request: Request) -> Response:
        """`GET /v1/info`, for clients that ask whether the server is there and how old it is."""
        return JSONResponse(
            {
                "nodeVersion": {"version": self._version},
                "environment": "headwater",
                "coordinator": True,
                "starting": False,
                "uptime": f"{self._uptime():.2f}s",
            }
        )

    async def info_state(self, _request: Request) -> Response:
        """`GET /v1/info/state`, for probes."""
        return JSONResponse("ACTIVE")

    async def submit(self, request: Request) -> Response:
        """`POST /v1/statement`: starts the statement in the body."""
        body = await request.body()
        target = _target_bytes(request)

        def start() -> tuple[Query, Reader]:
            owner = authenticate(request, self._authority)
            identity = session_identity(request, owner, self._authority)
            session = read_session(request.headers, identity)
            query = self._queries.submit(session, Statement(_statement_text(body)))
            precise = has_parametric_datetime(request.headers)
            return query, Reader(owner.principal, parametric_datetime=precise)

        query, reader = await run_in_threadpool(start)
        self._readers[query] = reader
        return await self._answer(request, query, reader, FIRST_TOKEN, _FIRST_WAIT_SECONDS, target)

    async def fetch(self, request: Request) -> Response:
        """`GET nextUri`: the next rows, or how far the statement is."""
        query, reader = await self._find(request)
        if request.method == "HEAD":
            query.wait(0)
            return Response()
        return await self._answer(
            request,
            query,
            reader,
            request.path_params["token"],
            _wait_seconds(request),
            _target_bytes(request),
        )

    async def cancel(self, request: Request) -> Response:
        """`DELETE nextUri`: stops the statement; harmless when it has ended."""
        query, _ = await self._find(request)
        await run_in_threadpool(query.cancel)
        return Response(status_code=204)

    async def describe(self, request: Request) -> Response:
        """`GET /v1/query/{id}`, where `infoUri` leads: state and stats, for the query's owner."""
        query, _ = await self._own(request)
        body = {
            "queryId": query.id,
            "state": query.state.value,
            "query": query.statement.text,
            "session": {"user": query.session.identity.principal.name},
            "queryStats": statement_stats(query, query.state),
        }
        return Response(orjson.dumps(body), media_type="application/json")

    async def _answer(
        self,
        request: Request,
        query: Query,
        reader: Reader,
        token: int,
        seconds: float,
        target: int,
    ) -> Response:
        base = str(request.base_url).rstrip("/")
        reply = await reader.reply(query, token, seconds=seconds, target_bytes=target, base=base)
        if reply is None:
            return PlainTextResponse("these rows were already fetched, or do not exist", 410)
        response = Response(reply.body, media_type="application/json")
        for name, value in reply.headers:
            response.headers.append(name, value)
        return response

    async def _find(self, request: Request) -> tuple[Query, Reader]:
        query, reader = await self._own(request)
        slug = request.path_params["slug"]
        if not secrets.compare_digest(reader.slug.encode(), slug.encode()):
            raise _UnknownQueryError
        return query, reader

    async def _own(self, request: Request) -> tuple[Query, Reader]:
        """The query of the path; somebody else's is as unknown as one that never was."""
        identity = await run_in_threadpool(authenticate, request, self._authority)
        query = self._queries.get(request.path_params["query_id"])
        reader = None if query is None else self._readers.get(query)
        if query is None or reader is None or reader.owner != identity.principal:
            raise _UnknownQueryError
        return query, reader


def _statement_text(body: bytes) -> str:
    try:
        text = body.decode()
    except UnicodeDecodeError as exc:
        raise error(
            ErrorCode.INVALID_ARGUMENT,
            f"the statement is not UTF-8: byte {exc.start} cannot be read",
            hint="send the statement as UTF-8",
        ) from None
    if not text.strip():
        raise error(ErrorCode.INVALID_ARGUMENT, "the statement is empty")
    return text


def _wait_seconds(request: Request) -> float:
    given = request.query_params.get("maxWait")
    return min(parse_seconds(given), _MAX_WAIT_SECONDS) if given else _WAIT_SECONDS


def _target_bytes(request: Request) -> int:
    given = request.headers.get("x-trino-target-result-size") or request.query_params.get(
        "targetResultSize"
    )
    return min(parse_bytes(given), MAX_TARGET_BYTES) if given else TARGET_BYTES
