"""The query service: what gateways, the API and the command line call to run statements."""

from __future__ import annotations

import contextlib
import itertools
import logging
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.model.principal import Identity, Principal
from headwater.model.statement import Session, Statement
from headwater.query.history import History
from headwater.query.memory import give_back
from headwater.query.query import Query
from headwater.query.queue import FairQueue, Ticket
from headwater.query.session import effective_limits, with_properties
from headwater.query.threads import Threads
from headwater.settings import Settings

_TICK_SECONDS = 0.5
_FORGET_SECONDS = 3600.0
_NO_TEXT = re.compile("[\\0\\ud800-\\udfff]")

log = logging.getLogger(__name__)

Run = Callable[[Query, Ticket], None]
"""Runs one statement through all stages; returns when it ended, and never raises."""


class QueryService:
    """Runs statements: each in a thread of its own, behind one fair queue for the engine.

    `run` takes a statement through the pipeline. There is no result cache: every statement is
    decided, audited and evaluated anew, so a revoked grant can never be answered from memory.
    """

    def __init__(self, settings: Settings, history: History, run: Run) -> None:
        self._settings = settings
        self._history = history
        self._run = run
        limits = settings.limits
        self._queue = FairQueue(
            settings.engine.workers, limits.queue_length, limits.queue_length_per_principal
        )
        self._queries: dict[str, Query] = {}
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._threads = Threads("query")
        self._stopping = threading.Event()
        self._watch = threading.Thread(target=self._watcher, name="query-watch", daemon=True)

    def start(self) -> None:
        """Marks what a crash left running as failed and begins to watch limits."""
        self._history.recover()
        self._watch.start()

    def stop(self, seconds: float = 5.0) -> None:
        """Cancels what runs and waits for it, `seconds` at most."""
        self._stopping.set()
        queries = self._snapshot()
        for query in queries:
            query.abort(error(ErrorCode.USER_CANCELED, "the server is shutting down"))
        deadline = time.monotonic() + seconds
        for query in queries:
            query.finish(max(0.0, deadline - time.monotonic()))
            query.discard()
        self._history.afterwards.flush(seconds)

    def submit(self, session: Session, statement: Statement, run: Run | None = None) -> Query:
        """Queues a statement and returns at once; refusals show as the query's error.

        `run` stands in for the service's own, such as a pipeline over policies that are a draft.
        """
        now = time.gmtime()
        number = next(self._numbers)
        stamp = time.strftime("%Y%m%d_%H%M%S", now)
        query = Query(f"{stamp}_{number:05d}_{secrets.token_hex(3)}", session, statement)
        try:
            if self._stopping.is_set():
                raise error(ErrorCode.SERVER_UNREACHABLE, "the server is shutting down")
            session = with_properties(session)
            limits = effective_limits(session, self._settings.limits)
            query.session = replace(session, limits=limits)
            _check_text(statement.text, self._settings.limits.statement_bytes)
            ticket = self._queue.enter(session.identity.principal.id)
        except HeadwaterError as exc:
            query.end(exc)
            self._remember(query)
            return query
        self._remember(query)
        through = run or self._run
        self._threads.run(lambda: through(query, ticket))
        return query

    def run(self, session: Session, text: str, *parameters: object) -> Query:
        """Submits a statement and waits for its end, for callers inside the server."""
        query = self.submit(session, Statement(text, parameters))
        query.finish()
        return query

    def get(self, query_id: str) -> Query | None:
        """The query of that id, until its result expires; callers check whose it is."""
        return self._queries.get(query_id)

    @contextlib.contextmanager
    def slot(self, principal: Principal) -> Iterator[None]:
        """Holds one of the engine's slots in a principal's name; raises QUERY_QUEUE_FULL."""
        ticket = self._queue.enter(principal.id)
        try:
            ticket.wait()
            yield
        finally:
            ticket.leave()

    def cancel(self, query_id: str) -> None:
        """Stops a query; unknown ids and ended queries are ignored."""
        query = self._queries.get(query_id)
        if query is not None:
            query.cancel()

    def running(self, identity: Identity | None = None) -> list[Query]:
        """Statements that have not ended, oldest first; of one principal when given."""
        return [
            query
            for query in self._snapshot()
            if not query.state.is_final
            and (identity is None or query.session.identity.principal == identity.principal)
        ]

    @property
    def history(self) -> History:
        """The table of all statements."""
        return self._history

    @property
    def queued(self) -> int:
        """How many statements wait for the engine."""
        return self._queue.waiting

    def _remember(self, query: Query) -> None:
        with self._lock:
            self._queries[query.id] = query

    def _snapshot(self) -> list[Query]:
        with self._lock:
            return list(self._queries.values())

    def _watcher(self) -> None:
        forgotten = 0.0
        held = False
        while not self._stopping.wait(_TICK_SECONDS):
            queries = self._snapshot()
            for query in queries:
                self._watch_one(query)
            if held and not queries:
                give_back()
            held = bool(queries)
            if time.monotonic() - forgotten > _FORGET_SECONDS:
                forgotten = time.monotonic()
                self._forget()

    def _forget(self) -> None:
        age_ms = self._settings.limits.history_days * 24 * 3600 * 1000
        try:
            self._history.forget(int(time.time() * 1000) - age_ms)
        except HeadwaterError:
            log.warning("old history rows were not removed", exc_info=True)

    def _watch_one(self, query: Query) -> None:
        limits = self._settings.limits
        unseen = query.unattended_seconds
        if query.state.is_final:
            if unseen > limits.result_seconds:
                with self._lock:
                    self._queries.pop(query.id, None)
                query.discard()
            return
        query.insist()
        seconds = query.session.limits.seconds
        if seconds is not None and query.elapsed_seconds > seconds:
            query.abort(
                error(
                    ErrorCode.EXCEEDED_TIME_LIMIT,
                    f"the statement ran longer than {seconds:g} seconds",
                    hint="narrow it, or raise limits.seconds",
                )
            )
        elif unseen > limits.client_seconds:
            query.abort(
                error(
                    ErrorCode.USER_CANCELED,
                    f"the client has not asked for {limits.client_seconds:g} seconds",
                )
            )


def _check_text(text: str, most: int) -> None:
    """Raises EXCEEDED_STATEMENT_SIZE, or SYNTAX_ERROR for text that is not Unicode."""
    size = len(text.encode(errors="surrogatepass"))
    if size > most:
        raise error(
            ErrorCode.EXCEEDED_STATEMENT_SIZE,
            f"the statement has {size} bytes; {most} are allowed",
            hint="load data with `headwater catalog load` or in several statements",
        )
    if _NO_TEXT.search(text):
        raise error(
            ErrorCode.SYNTAX_ERROR,
            "the statement holds characters that are no text",
            hint="send valid UTF-8 without NUL characters",
        )
