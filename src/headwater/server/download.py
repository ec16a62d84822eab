"""A stored result as a file to download: CSV, Parquet or an Arrow stream, batch by batch.

CSV files are opened in spreadsheets, which run texts that begin with `=`, `+`, `-` or `@` as
formulas: a cell of somebody else's table could then send the file's contents away. So such texts
get an apostrophe in front, unless the caller asks for the exact values; numbers stay as they are.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc

from headwater.client.values import json_value, python_values, text_of

_PART_BYTES = 256 * 1024
_FORMULA = r"^[\s]*[=+\-@\t\r\n＝＋－＠]"
_NUMBER = r"^[+-]?[0-9][0-9., ]*(e[+-]?[0-9]+)?%?$"


class FileKind(StrEnum):
    """What a result can be downloaded as."""

    CSV = "csv"
    PARQUET = "parquet"
    ARROW = "arrow"

    @property
    def media_type(self) -> str:
        """The Content-Type."""
        return {
            FileKind.CSV: "text/csv; charset=utf-8",
            FileKind.PARQUET: "application/vnd.apache.parquet",
            FileKind.ARROW: "application/vnd.apache.arrow.stream",
        }[self]


def disposition(name: str, kind: FileKind) -> str:
    """A Content-Disposition that saves under that name (RFC 6266), whatever the name holds.

    Letters and digits of all scripts stay; path separators, quotes, control and direction
    characters do not, so the name shows what it is and stays in its folder.
    """
    ending = f".{kind}"
    stem = name.removesuffix(ending)
    kept = "".join(
        character if unicodedata.category(character)[0] in "LNM" or character in " ._-()" else "_"
        for character in unicodedata.normalize("NFC", stem)
    )
    stem = re.sub(r"\s+", " ", kept).strip(" ._")[:100].strip(" ._") or "result"
    plain = re.sub(r"[^A-Za-z0-9 ._()-]", "_", stem)
    encoded = quote(stem + ending, safe="")
    return f"attachment; filename=\"{plain}{ending}\"; filename*=UTF-8''{encoded}"


def file_parts(
    kind: FileKind, schema: pa.Schema, batches: Iterable[pa.RecordBatch], *, guard_formulas: bool
) -> Iterator[bytes]:
    """The file's bytes in parts, made while they are sent."""
    sink = _Sink()
    convert, written = _conversion(kind, schema, guard_formulas)
    with _writer(kind, sink, written) as writer:
        for batch in batches:
            writer.write_batch(convert(batch))
            if sink.size >= _PART_BYTES:
                yield sink.take()
    yield sink.take()


class _Sink:
    """Collects what a writer writes until it is sent; knows how far the file is."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._sent = 0
        self.size = 0

    def write(self, data: Any) -> int:
        part = bytes(data)
        self._parts.append(part)
        self.size += len(part)
        return len(part)

    def tell(self) -> int:
        return self._sent + self.size

    def flush(self) -> None:
        return

    def close(self) -> None:
        return

    def take(self) -> bytes:
        data, self._parts = b"".join(self._parts), []
        self._sent += len(data)
        self.size = 0
        return data


def _writer(kind: FileKind, sink: Any, schema: pa.Schema) -> Any:
    if kind is FileKind.ARROW:
        return pa.ipc.new_stream(sink, schema)
    if kind is FileKind.PARQUET:
        import pyarrow.parquet as pq

        return pq.ParquetWriter(sink, schema, compression="zstd")
    import pyarrow.csv as csv

    return csv.CSVWriter(sink, schema)


def _conversion(
    kind: FileKind, schema: pa.Schema, guard: bool
) -> tuple[Callable[[pa.RecordBatch], pa.RecordBatch], pa.Schema]:
    """What makes a batch fit the file, and the schema that it has then."""
    if kind is FileKind.ARROW:
        return lambda batch: batch, schema
    fits = _fits_csv if kind is FileKind.CSV else _fits_parquet
    guard = guard and kind is FileKind.CSV
    fields = []
    for field in schema:
        made = field if fits(field.type) else pa.field(field.name, pa.string())
        name = _guarded_text(field.name) if guard else field.name
        fields.append(made.with_name(name).remove_metadata())
    written = pa.schema(fields)

    def convert(batch: pa.RecordBatch) -> pa.RecordBatch:
        columns = []
        for column, field in zip(batch.columns, written, strict=True):
            if column.type != field.type:
                column = _as_text(column)
            if guard and _is_text(column.type):
                column = _guarded(column)
            columns.append(column)
        return pa.RecordBatch.from_arrays(columns, schema=written)

    return convert, written


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _fits_csv(kind: pa.DataType) -> bool:
    return bool(
        _is_text(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_date(kind)
        or pa.types.is_time(kind)
        or pa.types.is_timestamp(kind)
    )


def _fits_parquet(kind: pa.DataType) -> bool:
    return not (pa.types.is_interval(kind) or pa.types.is_duration(kind))


def _as_text(column: Any) -> Any:
    """Nested values as JSON, all others as people write them."""
    values = python_values(column)
    if pa.types.is_nested(column.type):
        texts = (v if v is None else json.dumps(json_value(v), ensure_ascii=False) for v in values)
    else:
        texts = (text_of(value) for value in values)
    return pa.array(texts, pa.string())


def _guarded(column: Any) -> Any:
    risky = pc.and_not(
        pc.match_substring_regex(column, _FORMULA),
        pc.match_substring_regex(column, _NUMBER, ignore_case=True),
    )
    if not pc.any(risky).as_py():
        return column
    marked = pc.binary_join_element_wise(pa.scalar("'", column.type), column, "")
    return pc.if_else(pc.fill_null(risky, False), marked, column).cast(column.type)


def _guarded_text(text: str) -> str:
    return str(_guarded(pa.array([text]))[0].as_py())
