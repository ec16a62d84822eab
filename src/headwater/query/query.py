"""One submitted statement: its state machine, its result pages and how to wait for and stop it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from typing import Protocol

import pyarrow as pa

from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.model.statement import QueryState, QueryStats, Session, Statement
from headwater.query.session import SessionChanges

_NEXT: dict[QueryState, tuple[QueryState, ...]] = {
    QueryState.QUEUED: (QueryState.PLANNING, QueryState.FAILED, QueryState.CANCELED),
    QueryState.PLANNING: (QueryState.RUNNING, QueryState.FAILED, QueryState.CANCELED),
    QueryState.RUNNING: (QueryState.FINISHED, QueryState.FAILED, QueryState.CANCELED),
}


class Results(Protocol):
    """A statement's result while and after it is written: record batches by index."""

    @property
    def schema(self) -> pa.Schema:
        """The result's columns."""
        ...

    @property
    def pages_ready(self) -> int:
        """How many batches can be read."""
        ...

    @property
    def rows(self) -> int:
        """Rows written so far."""
        ...

    @property
    def bytes(self) -> int:
        """Arrow bytes written so far."""
        ...

    def page(self, index: int) -> pa.RecordBatch | None:
        """Batch `index`, or None when it is not there."""
        ...

    def close(self) -> None:
        """Frees memory and disk."""
        ...


class Decisions(Protocol):
    """What an access request tells of its decisions, and how it learns of their end."""

    @property
    def decision_ids(self) -> Sequence[str]:
        """Their audit ids, in the order in which they were taken."""
        ...

    def finish(
        self,
        *,
        outcome: str,
        error_code: str | None = None,
        rows: int | None = None,
        scanned_bytes: int | None = None,
        engine: str | None = None,
    ) -> None:
        """Records how the statement ended."""
        ...


class Query:
    """A statement from submission to expiry; safe to use from any thread.

    Every use by its client (`wait`, `page`) counts as a sign of life: a query whose client shows
    none for long is canceled, and its result expires.

    `engine` is who runs or ran it, of `release` where that is known, `engine_reason` why it was not
    the one that comes first; `engine_starting` while its process starts. `kept_error` is what the
    history has in place of an error's message that may hold values of rows.
    """

    def __init__(self, query_id: str, session: Session, statement: Statement) -> None:
        self.id = query_id
        self.session = session
        self.statement = statement
        self.created = time.time()
        self.started: float | None = None
        self.finished: float | None = None
        self._born = time.monotonic()
        self._queued_seconds: float | None = None
        self._elapsed_seconds: float | None = None
        self._last_seen = self._born
        self._attending = 0
        self.update_type: str | None = None
        self.update_count: int | None = None
        self.session_changes = SessionChanges()
        self.requests: list[Decisions] = []
        self.engine: str | None = None
        self.release: str | None = None
        self.engine_reason: str | None = None
        self.engine_starting = False
        self.kept_error: str | None = None
        self.outcome: QueryState | None = None
        self._state = QueryState.QUEUED
        self._error: HeadwaterError | None = None
        self._cause: HeadwaterError | None = None
        self._results: Results | None = None
        self._kept: dict[Hashable, Results] = {}
        self.arranging = threading.Lock()
        self.discarded = False
        self._progress: Callable[[], QueryStats] | None = None
        self._private = False
        self._final_stats: QueryStats | None = None
        self._stop: Callable[[], None] | None = None
        self._advances = 0
        self._changed = threading.Condition()
        self._watchers: set[Callable[[], None]] = set()

    # --- what clients use ---------------------------------------------------------------------

    @property
    def state(self) -> QueryState:
        """Where the statement is."""
        return self._state

    @property
    def error(self) -> HeadwaterError | None:
        """Why it failed or was canceled; None otherwise."""
        return self._error

    @property
    def schema(self) -> pa.Schema | None:
        """The result's columns; None until they are known, and for statements without rows."""
        return self._results.schema if self._results else None

    @property
    def pages_ready(self) -> int:
        """How many pages (record batches) of the result can be read now."""
        return self._results.pages_ready if self._results else 0

    @property
    def held_bytes(self) -> int:
        """Arrow bytes of the result so far."""
        return self._results.bytes if self._results else 0

    @property
    def results(self) -> Results | None:
        """The spool of the result; None until there is one, and after it was discarded."""
        return self._results

    def touch(self) -> None:
        """A sign of life from the client."""
        self._last_seen = time.monotonic()

    def kept(self, key: Hashable) -> Results | None:
        """What `keep` was given under a key; `arranging` is held."""
        found = self._kept.get(key)
        if found is not None:
            self._kept[key] = self._kept.pop(key)  # the latest used comes last
        return found

    def keep(self, key: Hashable, results: Results, *, most: int) -> None:
        """Keeps what was made of the result as long as it; beyond `most`, the oldest goes."""
        self._kept[key] = results
        while len(self._kept) > most:
            self._kept.pop(next(iter(self._kept))).close()
        if self.discarded:
            self._discard_kept()

    def page(self, index: int) -> pa.RecordBatch | None:
        """Page `index` (from 0), or None when it does not exist (yet)."""
        self._last_seen = time.monotonic()
        results = self._results
        return results.page(index) if results is not None else None

    def wait(self, seconds: float) -> QueryState:
        """Waits for a change of state or for more result pages, `seconds` at most."""
        self._last_seen = time.monotonic()
        with self._changed:
            seen = self._advances
            if not self._state.is_final:
                self._changed.wait_for(lambda: self._advances != seen, timeout=seconds)
            return self._state

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Calls `changed` at every change of state or new page, until the returned function is.

        For callers that wait without a thread. It is called from any thread and must not block.
        """
        with self._changed:
            self._watchers.add(changed)

        def stop() -> None:
            with self._changed:
                self._watchers.discard(changed)

        return stop

    def finish(self, seconds: float | None = None) -> QueryState:
        """Waits for the end, as in-process callers do; `seconds` at most."""
        with self._changed:
            self._attending += 1
            try:
                self._changed.wait_for(lambda: self._state.is_final, timeout=seconds)
            finally:
                self._attending -= 1
                self._last_seen = time.monotonic()
            return self._state

    @property
    def elapsed_seconds(self) -> float:
        """Seconds from submission to the end, or to now."""
        ended = self._elapsed_seconds
        return time.monotonic() - self._born if ended is None else ended

    @property
    def unattended_seconds(self) -> float:
        """How long ago its client last showed a sign of life; 0 while one waits for the end."""
        return 0.0 if self._attending else time.monotonic() - self._last_seen

    def table(self) -> pa.Table:
        """Waits for the end and returns the whole result; raises the statement's error."""
        self.finish()
        if self._error is not None:
            raise self._error
        if self._results is None:
            return pa.table({})
        results = self._results
        pages = (results.page(index) for index in range(results.pages_ready))
        return pa.Table.from_batches([page for page in pages if page is not None], results.schema)

    def stats(self) -> QueryStats:
        """What the statement used so far, as its caller may know it.

        How much was read behind a filter is nobody's business who cannot see it.
        """
        used = self.usage()
        if not self._private:
            return used
        return replace(used, scanned_bytes=0, scanned_rows=0, peak_memory_bytes=0)

    def usage(self) -> QueryStats:
        """What the statement used so far, for the audit log alone."""
        used = self._final_stats or (self._progress() if self._progress else QueryStats())
        results = self._results
        return replace(
            used,
            elapsed_seconds=self.elapsed_seconds,
            queued_seconds=(
                self.elapsed_seconds if self._queued_seconds is None else self._queued_seconds
            ),
            result_rows=results.rows if results else 0,
            result_bytes=results.bytes if results else 0,
            progress=1.0 if self.outcome is QueryState.FINISHED else used.progress,
        )

    def cancel(self) -> None:
        """Stops the statement wherever it is; harmless when it has ended."""
        self.abort(error(ErrorCode.USER_CANCELED, "the statement was canceled"))

    # --- what the pipeline uses ---------------------------------------------------------------

    def abort(self, cause: HeadwaterError) -> None:
        """Stops the statement for a reason of its own: canceled, out of time, abandoned."""
        with self._changed:
            if self.outcome is not None or self._cause is not None:
                return
            self._cause = cause
            stop = self._stop
        if stop is not None:
            stop()

    def insist(self) -> None:
        """Stops the current step once more, when `abort` came just before the step began."""
        with self._changed:
            stop = self._stop if self._cause is not None and self.outcome is None else None
        if stop is not None:
            stop()

    def check(self) -> None:
        """Raises the cause when the statement was stopped; stages call it between steps."""
        if self._cause is not None:
            raise self._cause

    def on_stop(self, stop: Callable[[], None] | None) -> None:
        """Sets what `abort` must call to stop the current step; calls it if it is too late."""
        with self._changed:
            self._stop = stop
            late = self._cause is not None
        if late and stop is not None:
            stop()

    def advance(self, state: QueryState | None = None) -> None:
        """Moves to the next state, or tells waiters that the result advanced."""
        with self._changed:
            if state is not None and state is not self._state:
                if state not in _NEXT.get(self._state, ()):
                    raise error(ErrorCode.INTERNAL_ERROR, f"{self._state} cannot become {state}")
                self._state = state
                if state is QueryState.PLANNING:
                    self.started = time.time()
                    self._queued_seconds = time.monotonic() - self._born
            self._tell()

    def took_decisions(self, request: Decisions) -> None:
        """Notes the decisions of an attempt, from its first on."""
        self.requests.append(request)

    @property
    def decisions(self) -> tuple[str, ...]:
        """The ids of the audit rows that allowed the statement, of all its attempts."""
        return tuple(found for request in self.requests for found in request.decision_ids)

    def deliver(self, results: Results) -> None:
        """Takes the spool that the result is being written to."""
        self._results = results
        self.advance()

    def measure(self, progress: Callable[[], QueryStats], *, private: bool = False) -> None:
        """Takes the function that tells what the engine used so far; private: not its caller."""
        self._progress = progress
        self._private = private

    def settle(self, failure: HeadwaterError | None) -> None:
        """Decides how the statement ended; `end` tells its client once that is on record."""
        if self._progress is not None:
            self._final_stats = self._progress()
            self._progress = None
        with self._changed:
            self._stop = None
            self.finished = time.time()
            self._elapsed_seconds = time.monotonic() - self._born
            if failure is None:
                self.outcome = QueryState.FINISHED
            else:
                self._error = self._cause or failure
                canceled = self._error.code is ErrorCode.USER_CANCELED
                self.outcome = QueryState.CANCELED if canceled else QueryState.FAILED

    def end(self, failure: HeadwaterError | None = None) -> None:
        """Ends the statement as `settle` decided (with `failure`: settles it so first)."""
        if self.outcome is None:
            self.settle(failure)
        with self._changed:
            state = self.outcome
            assert state is not None, "settle has decided"
            if state not in _NEXT[self._state]:
                raise error(ErrorCode.INTERNAL_ERROR, f"{self._state} cannot become {state}")
            self._state = state
            self._tell()

    def _tell(self) -> None:
        self._advances += 1
        self._changed.notify_all()
        for changed in self._watchers:
            changed()

    def discard(self) -> None:
        """Frees the result and what was made of it; later reads of pages find none."""
        self.discarded = True
        results, self._results = self._results, None
        if results is not None:
            results.close()
        self._discard_kept()

    def _discard_kept(self) -> None:
        kept, self._kept = self._kept, {}
        for made in kept.values():
            made.close()
