"""Running operations: what they answered so far, who listens, and what a broken stream can resume.

A producer thread adds responses; one consumer at a time, the gRPC stream, takes them. The producer
waits when the consumer is far behind, so a result of any size passes through bounded memory.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Any

from headwater.gateway.spark_connect.failures import SparkFailure, invalid_handle

_AHEAD_BYTES = 32 * 2**20
"""How far a producer may be ahead of its consumer, and how much is kept for a reattach."""


_WAITING_SECONDS = 20.0


class OperationState(StrEnum):
    """Where an operation is; the last three are final."""

    RUNNING = "OPERATION_STATE_RUNNING"
    SUCCEEDED = "OPERATION_STATE_SUCCEEDED"
    FAILED = "OPERATION_STATE_FAILED"
    CANCELLED = "OPERATION_STATE_CANCELLED"


class Abandoned(Exception):
    """Nobody will read what the operation still has to say."""


class Operation:
    """One `ExecutePlan`; safe to use from any thread.

    `envelope(response_id)` yields the bytes that complete a response with the ids of session and
    operation: in protobuf, fields that come later win.
    """

    def __init__(
        self,
        operation_id: str,
        envelope: Callable[[str], bytes],
        *,
        tags: tuple[str, ...] = (),
        reattachable: bool = False,
    ) -> None:
        self.id = operation_id
        self.tags = tags
        self.reattachable = reattachable
        self.state = OperationState.RUNNING
        self.started = time.monotonic()
        self._envelope = envelope
        self._changed = threading.Condition()
        self._responses: deque[bytes] = deque()
        self._first = 0  # index of the oldest response that is kept
        self._sent = 0  # index of the next response to send
        self._unsent_bytes = 0
        self._kept_bytes = 0
        self._ended = False
        self._failure: SparkFailure | None = None
        self._reader = 0
        self._released = False
        self._detached_since: float | None = time.monotonic()
        self._stop: Callable[[], None] | None = None
        self._interrupted = False

    # --- the producer ---------------------------------------------------------------------------

    def emit(self, payload: bytes, waiting: Callable[[], object] | None = None) -> None:
        """Adds a response without its ids; waits while the consumer is far behind.

        `waiting` is called now and then meanwhile, to keep alive what the response came from.
        Raises Abandoned when the operation was interrupted or released.
        """
        with self._changed:
            while not self._changed.wait_for(
                lambda: self._unsent_bytes < _AHEAD_BYTES or self._released or self._interrupted,
                timeout=_WAITING_SECONDS,
            ):
                if waiting is not None:
                    waiting()
            if self._released or self._interrupted:
                raise Abandoned
            index = self._first + len(self._responses)
            response = payload + self._envelope(str(index))
            self._responses.append(response)
            self._unsent_bytes += len(response)
            self._kept_bytes += len(response)
            self._changed.notify_all()

    def finish(self, complete: bytes) -> None:
        """Ends the operation well: `complete` is the last response."""
        with self._changed:
            if self._ended:
                return
            response = complete + self._envelope(str(self._first + len(self._responses)))
            self._responses.append(response)
            self._unsent_bytes += len(response)
            self._kept_bytes += len(response)
            self.state = OperationState.SUCCEEDED
            self._ended = True
            self._changed.notify_all()

    def fail(self, failure: SparkFailure) -> None:
        """Ends the operation with an error, which every reader is told after the responses."""
        with self._changed:
            if self._ended:
                return
            self._failure = failure.alone()
            self.state = OperationState.FAILED
            if failure.error_class == "OPERATION_CANCELED":
                self.state = OperationState.CANCELLED
            self._ended = True
            self._changed.notify_all()

    def on_stop(self, stop: Callable[[], None] | None) -> None:
        """Sets what stops the current step; calls it if the operation is to stop already."""
        with self._changed:
            self._stop = stop
            late = self._interrupted or self._released
        if late and stop is not None:
            stop()

    def check(self) -> None:
        """Raises Abandoned when the operation is to stop."""
        if self._interrupted or self._released:
            raise Abandoned

    @property
    def interrupted(self) -> bool:
        """True once somebody asked it to stop."""
        return self._interrupted

    @property
    def answered(self) -> bool:
        """True once a response exists."""
        return self._first + len(self._responses) > 0

    @property
    def ended(self) -> bool:
        """True when nothing more will come."""
        return self._ended

    @property
    def idle(self) -> bool:
        """True when nothing more will come and nobody reads what came."""
        return self._ended and self._detached_since is not None

    # --- the consumer ---------------------------------------------------------------------------

    def responses(self, after: str | None, alive: Callable[[], bool]) -> Iterator[bytes]:
        """The responses after the one with id `after` (None: from the start), as they come.

        A new reader takes the place of the one before, whose iterator then ends. Raises the
        operation's error at its end, and INVALID_CURSOR for a response that is no longer kept.
        """
        with self._changed:
            self._reader += 1
            reader = self._reader
            self._detached_since = None
            self._seek(after)
            self._changed.notify_all()
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(
                        lambda: (
                            self._reader != reader
                            or self._released
                            or self._ended
                            or self._sent < self._first + len(self._responses)
                        ),
                        timeout=1.0,
                    )
                    if self._reader != reader or self._released or not alive():
                        return
                    end = self._first + len(self._responses)
                    if self._sent < end:
                        response = self._responses[self._sent - self._first]
                        self._sent += 1
                        self._unsent_bytes -= len(response)
                        self._forget_old()
                        self._changed.notify_all()
                    elif self._ended:
                        if self._failure is not None:
                            raise self._failure.alone()
                        return
                    else:
                        continue
                yield response
        finally:
            with self._changed:
                if self._reader == reader:
                    self._detached_since = time.monotonic()

    def release_until(self, response_id: str) -> None:
        """Forgets the responses up to and including that one."""
        with self._changed:
            until = _index(response_id)
            while self._responses and self._first <= until and self._first < self._sent:
                self._drop_oldest()

    def release(self) -> None:
        """Forgets the operation's responses and stops it if it still runs."""
        with self._changed:
            self._released = True
            self._responses.clear()
            self._unsent_bytes = self._kept_bytes = 0
            stop = None if self._ended else self._stop
            self._changed.notify_all()
        if stop is not None:
            stop()

    def interrupt(self) -> bool:
        """Stops the operation; its reader is told OPERATION_CANCELED. False when it had ended."""
        with self._changed:
            if self._ended or self._interrupted:
                return False
            self._interrupted = True
            stop = self._stop
            self._changed.notify_all()
        self.fail(canceled())
        if stop is not None:
            stop()
        return True

    @property
    def detached_seconds(self) -> float:
        """How long nobody has read; 0 while somebody does."""
        since = self._detached_since
        return 0.0 if since is None else time.monotonic() - since

    def _seek(self, after: str | None) -> None:
        wanted = 0 if after is None else _index(after) + 1
        if not self._first <= wanted <= self._first + len(self._responses):
            raise SparkFailure(
                "[INVALID_CURSOR.POSITION_NOT_AVAILABLE] The cursor is invalid. The cursor "
                "position is no longer available. SQLSTATE: HY109",
                error_class="INVALID_CURSOR.POSITION_NOT_AVAILABLE",
                sql_state="HY109",
            )
        self._sent = wanted
        self._unsent_bytes = sum(
            len(response) for response in list(self._responses)[wanted - self._first :]
        )

    def _forget_old(self) -> None:
        """Keeps only so many bytes of what was sent but not released."""
        if not self.reattachable:
            while self._first < self._sent:
                self._drop_oldest()
        while self._kept_bytes - self._unsent_bytes > _AHEAD_BYTES and self._first < self._sent:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        self._kept_bytes -= len(self._responses.popleft())
        self._first += 1


def canceled() -> SparkFailure:
    """What the reader of an interrupted operation is told."""
    return SparkFailure(
        "[OPERATION_CANCELED] Operation has been canceled. SQLSTATE: HY008",
        error_class="OPERATION_CANCELED",
        sql_state="HY008",
    )


def _index(response_id: str) -> int:
    if not response_id.isascii() or not response_id.isdigit() or len(response_id) > 18:
        raise invalid_handle("FORMAT", response_id)
    return int(response_id)


def response(pb: Any, **fields: Any) -> bytes:
    """A serialised `ExecutePlanResponse` without ids."""
    encoded: bytes = pb.ExecutePlanResponse(**fields).SerializeToString()
    return encoded
