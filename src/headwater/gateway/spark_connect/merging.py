"""Joins small batches of a stream that comes fast into larger ones.

Sail answers in batches of 8192 rows. Every message costs its client a call of its own in return
(`ReleaseExecute`), so a large result in small messages is slow at both ends. What waits already is
joined; nothing is held back to wait for more.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from headwater.gateway.spark_connect.encode import batch_message

_JOINED_BYTES = 4 * 2**20
_LARGE = 2**20
_WAITING = 64
_AT_FIRST = 4
"""Responses that are passed on as they come: a small result, mostly, for which a thread of its own
would be the larger part of the time."""


class _End:
    """Ends the queue: with an error, or well."""

    def __init__(self, failure: BaseException | None) -> None:
        self.failure = failure


def merged(
    responses: Iterator[tuple[bytes, bool]], stop: Callable[[], None], pb: Any
) -> Iterator[tuple[bytes, bool]]:
    """The same responses, rows joined: serialised messages, and whether each holds rows.

    `stop` ends the stream that they come from; it is called when nobody reads on.
    """
    joiner = _Joiner(pb)
    try:
        for _ in range(_AT_FIRST):
            found = next(responses, None)
            if found is None:
                return
            yield from joiner.add(*found)
            yield from joiner.flush()
        yield from _joined(responses, stop, joiner)
    finally:
        _close(responses)


def _joined(
    responses: Iterator[tuple[bytes, bool]], stop: Callable[[], None], joiner: _Joiner
) -> Iterator[tuple[bytes, bool]]:
    """What a thread of its own has read ahead, joined."""
    waiting: queue.Queue[tuple[bytes, bool] | _End] = queue.Queue(_WAITING)
    stopped = threading.Event()
    reader = threading.Thread(
        target=_read, args=(responses, waiting, stopped), name="spark-read", daemon=True
    )
    reader.start()
    try:
        while True:
            found = waiting.get()
            held = 0
            while not isinstance(found, _End):
                held += len(found[0])
                yield from joiner.add(*found)
                if held >= _JOINED_BYTES:
                    break
                try:
                    found = waiting.get_nowait()
                except queue.Empty:
                    break
            yield from joiner.flush()
            if isinstance(found, _End):
                if found.failure is not None:
                    raise found.failure
                return
    finally:
        stopped.set()
        if reader.is_alive():
            stop()
        while reader.is_alive():
            _drain(waiting)
            reader.join(0.05)


def _read(
    responses: Iterator[tuple[bytes, bool]],
    waiting: queue.Queue[tuple[bytes, bool] | _End],
    stopped: threading.Event,
) -> None:
    failure: BaseException | None = None
    try:
        for response in responses:
            if stopped.is_set():
                break
            waiting.put(response)
    except BaseException as exc:
        failure = exc
    finally:
        _close(responses)
        waiting.put(_End(failure))


def _close(responses: Iterator[tuple[bytes, bool]]) -> None:
    close = getattr(responses, "close", None)
    if close is not None:
        close()


def _drain(waiting: queue.Queue[Any]) -> None:
    while True:
        try:
            waiting.get_nowait()
        except queue.Empty:
            return


class _Joiner:
    """Collects batches; anything else goes out as it came, after what was collected."""

    def __init__(self, pb: Any) -> None:
        self._pb = pb
        self._batches: list[pa.RecordBatch] = []
        self._raw: list[bytes] = []
        self._start = 0

    def add(self, raw: bytes, holds_rows: bool) -> Iterator[tuple[bytes, bool]]:
        if not holds_rows:
            yield from self.flush()
            yield raw, False
            return
        batch = None if len(raw) > _LARGE else self._batch(raw)
        if batch is None:
            yield from self.flush()
            self._start += self._pb.ExecutePlanResponse.FromString(raw).arrow_batch.row_count
            yield raw, True
            return
        self._batches.append(batch)
        self._raw.append(raw)

    def flush(self) -> Iterator[tuple[bytes, bool]]:
        batches, raws = self._batches, self._raw
        self._batches, self._raw = [], []
        rows = sum(batch.num_rows for batch in batches)
        if len(batches) == 1:
            yield raws[0], True
        elif batches:
            joined = pa.Table.from_batches(batches).combine_chunks().to_batches()
            yield batch_message(joined[0], self._start), True
        self._start += rows

    def _batch(self, raw: bytes) -> pa.RecordBatch | None:
        """The one batch of a response; None for one that is not to be joined."""
        found = self._pb.ExecutePlanResponse.FromString(raw).arrow_batch
        if found.num_chunks_in_batch > 1:
            return None
        with pa.ipc.open_stream(found.data) as reader:
            batches = list(reader)
        if len(batches) != 1 or not batches[0].num_columns:
            return None  # joining would lose the number of rows without columns
        if self._batches and batches[0].schema != self._batches[0].schema:
            return None
        return batches[0]
