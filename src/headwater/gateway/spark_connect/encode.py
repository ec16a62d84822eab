"""Results as `ExecutePlanResponse` messages, put together by hand around Arrow's own bytes.

A batch travels as one Arrow IPC stream inside a protobuf field. Letting protobuf build the message
would copy every byte two more times.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from headwater.errors import ErrorCode, error

_BATCH_BYTES = 8 * 2**20
"""Arrow bytes of one message: clients of old take 128 MiB at most, and progress shows sooner."""

_ARROW_BATCH = b"\x12"  # field 2, length-delimited
_DATA = b"\x12"  # field 2 of ArrowBatch, length-delimited


def schema_response(schema: Any, pb: Any) -> bytes:
    """The response that tells the result's type."""
    encoded: bytes = pb.ExecutePlanResponse(schema=schema).SerializeToString()
    return encoded


def batch_responses(
    batch: pa.RecordBatch, schema: pa.Schema, start: int
) -> Iterator[tuple[bytes, int]]:
    """Responses holding the rows of a batch, cast to a schema, and how many rows each holds.

    `start` is the number of rows before the batch. Raises NUMERIC_VALUE_OUT_OF_RANGE for a value
    that its Spark type cannot hold.
    """
    cast = conform(batch, schema)
    pieces = max(1, -(-cast.nbytes // _BATCH_BYTES))
    step = max(1, -(-cast.num_rows // pieces))
    for offset in range(0, max(1, cast.num_rows), step):
        piece = cast.slice(offset, step)
        yield batch_message(piece, start + offset), piece.num_rows


def conform(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The batch in the types of a schema; columns that have them already are not copied."""
    if not len(schema) and not batch.num_columns:
        return batch  # one made anew would have no rows
    try:
        columns = [
            column if column.type == field.type else _cast(column, field.type)
            for column, field in zip(batch.columns, schema, strict=True)
        ]
    except pa.ArrowInvalid as exc:
        raise error(
            ErrorCode.NUMERIC_VALUE_OUT_OF_RANGE,
            "a value is out of the range of its column's Spark type",
        ) from exc
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _cast(column: pa.Array[Any], kind: pa.DataType) -> pa.Array[Any]:
    if pa.types.is_null(kind):  # Arrow casts nothing to it, all of whose values are NULL
        return pa.nulls(len(column))
    return column.cast(kind)


def table_responses(table: pa.Table, schema: pa.Schema) -> Iterator[tuple[bytes, int]]:
    """Responses with all rows of a table; one, empty, for a table without rows."""
    start = 0
    batches = table.to_batches() or [empty_batch(table.schema)]
    if not table.num_columns and table.num_rows:
        batches = [_of_no_columns(table.num_rows)]
    for batch in batches:
        for message, rows in batch_responses(batch, schema, start):
            yield message, rows
            start += rows


def _of_no_columns(rows: int) -> pa.RecordBatch:
    """A batch of rows that have no columns."""
    whole = pa.RecordBatch.from_arrays([pa.nulls(rows)], names=["x"])
    return whole.select([])


def empty_batch(schema: pa.Schema) -> pa.RecordBatch:
    """A batch without rows."""
    return pa.RecordBatch.from_arrays([pa.array([], field.type) for field in schema], schema=schema)


def ipc_stream(table: pa.Table | pa.RecordBatch) -> bytes:
    """An Arrow IPC stream of a table, as `LocalRelation.data` holds it."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write(table)
    return sink.getvalue().to_pybytes()


def batch_message(batch: pa.RecordBatch, start: int) -> bytes:
    """The response that holds a batch, as it is; `start` is the number of rows before it."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    data = sink.getvalue()
    # row_count (field 1) and start_offset (field 3) are varints; both may be zero.
    head = b"\x08" + varint(batch.num_rows) + b"\x18" + varint(start)
    length = varint(data.size)
    body = len(head) + len(_DATA) + len(length) + data.size
    return b"".join((_ARROW_BATCH, varint(body), head, _DATA, length, memoryview(data)))


def varint(value: int) -> bytes:
    """A protobuf varint."""
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)
