"""The rows of a plan as Arrow, for writes: what a user process computes, read by the server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from headwater.errors import ErrorCode, error
from headwater.gateway.spark_connect.encode import conform
from headwater.gateway.spark_connect.types import arrow_schema

Tell = Callable[[bytes], None]
"""Takes a response that is for the client."""


def metrics_of(responses: Iterator[tuple[bytes, bool]], pb: Any, tell: Tell) -> None:
    """Reads responses to their end and passes on those with metrics that `observe` asked for."""
    for raw, _ in responses:
        _tell_metrics(raw, pb, tell)


def _tell_metrics(raw: bytes, pb: Any, tell: Tell) -> None:
    if pb.ExecutePlanResponse.FromString(raw).observed_metrics:
        tell(raw)


def rows_of(
    responses: Iterator[tuple[bytes, bool]], pb: Any, tell: Tell
) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """The schema of a plan's rows, and the rows as they come; `tell` gets observed metrics.

    What the process says is distrusted: rows that are not of the schema are refused.
    """
    before: list[bytes] = []
    for raw, holds_rows in responses:
        found = pb.ExecutePlanResponse.FromString(raw)
        if holds_rows:
            before.append(raw)
        elif found.observed_metrics:
            tell(raw)
        if found.HasField("schema"):
            schema = arrow_schema(found.schema, "UTC")
            return schema, _batches(before, responses, schema, pb, tell)
    if not before:
        return pa.schema([]), iter(())
    # An engine that tells no schema: the rows have one of their own.
    first = _read(pb.ExecutePlanResponse.FromString(before[0]).arrow_batch.data)
    return first.schema, _batches(before, responses, first.schema, pb, tell)


def _batches(
    before: list[bytes],
    responses: Iterator[tuple[bytes, bool]],
    schema: pa.Schema,
    pb: Any,
    tell: Tell,
) -> Iterator[pa.RecordBatch]:
    parts: list[bytes] = []
    for raw in before:
        yield from _taken(raw, parts, schema, pb)
    for raw, holds_rows in responses:
        if holds_rows:
            yield from _taken(raw, parts, schema, pb)
        else:
            _tell_metrics(raw, pb, tell)


def _taken(raw: bytes, parts: list[bytes], schema: pa.Schema, pb: Any) -> Iterator[pa.RecordBatch]:
    """The rows of one response; of a batch in several chunks once it is whole."""
    found = pb.ExecutePlanResponse.FromString(raw).arrow_batch
    parts.append(found.data)
    if found.num_chunks_in_batch > len(parts):
        return
    data = parts[0] if len(parts) == 1 else b"".join(parts)
    parts.clear()
    table = _read(data)
    if len(table.schema) != len(schema):
        raise error(ErrorCode.ENGINE_FAILED, "the engine sent rows of another shape")
    for batch in table.to_batches():
        if batch.num_rows:
            yield conform(batch, schema)


def _read(data: bytes) -> pa.Table:
    try:
        with pa.ipc.open_stream(data) as reader:
            return reader.read_all()
    except (pa.ArrowInvalid, OSError) as exc:
        raise error(ErrorCode.ENGINE_FAILED, "the engine sent rows that cannot be read") from exc
