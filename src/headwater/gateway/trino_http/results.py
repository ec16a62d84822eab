"""One statement as its client reads it: tokens, pages by bytes, and the wait for the next."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import orjson
import pyarrow as pa
from starlette.concurrency import run_in_threadpool

from headwater.gateway.trino_http.encode import rows_text
from headwater.gateway.trino_http.errors import query_error
from headwater.gateway.trino_http.session import write_changes
from headwater.gateway.trino_http.types import columns
from headwater.model.principal import Principal
from headwater.model.statement import QueryState
from headwater.query.query import Query

TARGET_BYTES = 1024 * 1024
"""About how large a response's rows are; Trino's own default."""

MAX_TARGET_BYTES = 128 * 1024 * 1024
"""The most that a client may ask for with X-Trino-Target-Result-Size."""

FIRST_TOKEN = 0
"""The token of the answer to a POST, which nobody can ask for again."""

_GRACE_SECONDS = 0.01

_MAX_ROWS_AT_ONCE = 65_536

_FEW_BYTES = 16 * 1024
"""Of a finished result: encoding it takes less than handing it to a thread."""

_STATES = {
    QueryState.QUEUED: "QUEUED",
    QueryState.PLANNING: "PLANNING",
    QueryState.RUNNING: "RUNNING",
    QueryState.FINISHED: "FINISHED",
    QueryState.FAILED: "FAILED",
    QueryState.CANCELED: "FAILED",
}
"""Trino has no state for a canceled statement: it failed with USER_CANCELED."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A `QueryResults` document and the headers that go with it; `more` when a next one follows."""

    body: bytes
    headers: tuple[tuple[str, str], ...]
    more: bool


class Reader:
    """Where a client is in a statement's result; the query itself is passed to each call.

    Token `n` asks for what follows reply `n - 1`; the last reply is kept, so that a client that
    lost it may ask again. `owner` is whose token started it, `slug` the secret in its addresses.
    """

    def __init__(self, owner: Principal, *, parametric_datetime: bool) -> None:
        self.owner = owner
        self.slug = secrets.token_urlsafe(18)
        self._parametric_datetime = parametric_datetime
        self._token = FIRST_TOKEN - 1
        self._more = True
        self._last: Reply | None = None
        self._page = 0
        self._row = 0
        self._bytes_per_row = 0.0
        self._turn = asyncio.Lock()

    async def reply(
        self, query: Query, token: int, *, seconds: float, target_bytes: int, base: str
    ) -> Reply | None:
        """The reply for a token, or None when it is neither the next nor the last one.

        Waits up to `seconds` for rows or the end, without holding a thread. `base` is the server's
        address as the client wrote it, for the addresses in the reply.
        """
        async with self._turn:
            if token == self._token:
                query.wait(0)  # a sign of life
                return self._last
            if token != self._token + 1 or not self._more:
                return None
            await self._changed(query, seconds)
            if query.state.is_final and query.held_bytes <= _FEW_BYTES:
                reply = self._next(query, token, target_bytes, base)
            else:
                reply = await run_in_threadpool(self._next, query, token, target_bytes, base)
            self._token, self._more = token, reply.more
            self._last = reply if token > FIRST_TOKEN else None
            if not reply.more:
                query.discard()
            return reply

    async def _changed(self, query: Query, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        changed = asyncio.Event()

        def tell() -> None:
            # Only for what ends a wait below: each wake takes the interpreter from the statement.
            if query.state.is_final or query.pages_ready > self._page:
                with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                    loop.call_soon_threadsafe(changed.set)

        stop = query.watch(tell)
        try:
            # When time is up, a reply without rows tells the client how far the statement is.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    while not query.state.is_final and query.pages_ready <= self._page:
                        await changed.wait()
                        changed.clear()
            # A small statement's end follows its only page closely; it saves the client a request.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_GRACE_SECONDS):
                    while not query.state.is_final and query.pages_ready == self._page + 1:
                        await changed.wait()
                        changed.clear()
        finally:
            stop()

    def _next(self, query: Query, token: int, target_bytes: int, base: str) -> Reply:
        # The state is read before the pages: a final one promises that no page comes later.
        state = query.wait(0)
        failure = query.error if state.is_final else None
        schema = query.schema
        rows: list[bytes] = []
        if failure is None and schema is not None:
            rows = self._rows(query, target_bytes)
        more = failure is None and not (state.is_final and query.pages_ready <= self._page)
        shown = QueryState.RUNNING if more and state.is_final else state
        query_id = quote(query.id)
        body: dict[str, Any] = {"id": query.id, "infoUri": f"{base}/v1/query/{query_id}"}
        if more:
            stage = "queued" if state is QueryState.QUEUED else "executing"
            body["nextUri"] = f"{base}/v1/statement/{stage}/{query_id}/{self.slug}/{token + 1}"
        if schema is not None and schema.names:
            body["columns"] = columns(schema, parametric_datetime=self._parametric_datetime)
        elif query.update_type is not None and state is QueryState.FINISHED:
            outcome, rows = _outcome(query)
            body["columns"] = columns(outcome, parametric_datetime=True)
        body["stats"] = statement_stats(query, shown)
        if failure is not None:
            body["error"] = query_error(failure)
        if query.update_type is not None:
            body["updateType"] = query.update_type
            if query.update_count is not None:
                body["updateCount"] = query.update_count
        body["warnings"] = []
        text = orjson.dumps(body)
        if rows:
            text = text[:-1] + b',"data":[' + b",".join(rows) + b"]}"
        changes = write_changes(query.session_changes) if state is QueryState.FINISHED else []
        return Reply(text, tuple(changes), more)

    def _rows(self, query: Query, target_bytes: int) -> list[bytes]:
        """Encoded rows from where the client is, until they are about `target_bytes` long."""
        texts: list[bytes] = []
        size = 0
        while size < target_bytes:
            page = query.page(self._page)
            if page is None:
                break
            if self._row >= page.num_rows:
                self._page, self._row = self._page + 1, 0
                continue
            per_row = self._bytes_per_row or _estimate(page)
            count = max(1, min(int((target_bytes - size) / per_row), _MAX_ROWS_AT_ONCE))
            part = page.slice(self._row, count)
            text = rows_text(part, parametric_datetime=self._parametric_datetime)
            texts.append(text)
            size += len(text) + 1
            self._row += part.num_rows
            self._bytes_per_row = len(text) / part.num_rows
        return texts


def statement_stats(query: Query, state: QueryState) -> dict[str, Any]:
    """The `stats` object (`io.trino.client.StatementStats`): one node, one split a statement."""
    used = query.stats()
    queued = state is QueryState.QUEUED
    done = state.is_final
    progress = 100.0 if state is QueryState.FINISHED else (used.progress or 0.0) * 100.0
    return {
        "state": _STATES[state],
        "queued": queued,
        "scheduled": not queued,
        "progressPercentage": progress,
        "runningPercentage": 0.0 if queued or done else 100.0,
        "nodes": 0 if queued else 1,
        "totalSplits": 1,
        "queuedSplits": int(queued),
        "runningSplits": int(not queued and not done),
        "completedSplits": int(done),
        "cpuTimeMillis": int(used.cpu_seconds * 1000),
        "wallTimeMillis": int(used.elapsed_seconds * 1000),
        "queuedTimeMillis": int(used.queued_seconds * 1000),
        "elapsedTimeMillis": int(used.elapsed_seconds * 1000),
        "processedRows": used.scanned_rows,
        "processedBytes": used.scanned_bytes,
        "physicalInputBytes": used.scanned_bytes,
        "physicalWrittenBytes": 0,
        "peakMemoryBytes": used.peak_memory_bytes,
        "spilledBytes": 0,
    }


def _outcome(query: Query) -> tuple[pa.Schema, list[bytes]]:
    """The single row that Trino shows for a statement without a result: a count, or `true`."""
    if query.update_count is not None:
        return pa.schema({"rows": pa.int64()}), [f"[{query.update_count}]".encode()]
    return pa.schema({"result": pa.bool_()}), [b"[true]"]


def _estimate(page: pa.RecordBatch) -> float:
    """Bytes of JSON a row, before one was encoded: Arrow's own bytes and the punctuation."""
    return page.nbytes / page.num_rows * 1.5 + 4.0 * page.num_columns
