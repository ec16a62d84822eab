"""`df.show()`: rows as text, as Spark's `Dataset.showString` draws them."""

from __future__ import annotations

import datetime
import html
import math
import re
import unicodedata
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa

from headwater.gateway.spark_connect.encode import batch_message

_SMALLEST_WIDTH = 3
_EPOCH = datetime.date(1970, 1, 1)


def show_string(
    rows: pa.Table, schema: Any, *, wanted: int, truncate: int, vertical: bool, time_zone: str
) -> str:
    """The text of `show(wanted, truncate, vertical)`; `rows` holds one row more, if there is one.

    `truncate` is the longest cell in characters; 0: any.
    """
    names = [_cut(field.name, truncate) for field in schema.struct.fields]
    shown = rows.slice(0, max(0, wanted))
    cells = [[_cut(text, truncate) for text in row] for row in cell_texts(shown, schema, time_zone)]
    if vertical and not cells:
        return "(0 rows)"
    text = _vertical(names, cells) if vertical else _table(names, cells, truncate)
    return text + _footer(rows, shown)


def without_end(raw: bytes, pb: Any) -> bytes:
    """A response of Sail's with what `show` shows, whose last line has no end since Spark 4."""
    with pa.ipc.open_stream(pb.ExecutePlanResponse.FromString(raw).arrow_batch.data) as reader:
        shown = reader.read_all()
    texts = [_LAST_LINE.sub(r"\1", str(each)) for each in shown.column(0).to_pylist()]
    texts = ["(0 rows)" if each.startswith("(0 rows)") else each for each in texts]
    batch = pa.record_batch([pa.array(texts, shown.schema.field(0).type)], schema=shown.schema)
    return batch_message(batch, 0)


_LAST_LINE = re.compile(r"(\nonly showing top \d+ rows?)\n\Z")


def _footer(rows: pa.Table, shown: pa.Table) -> str:
    """Says that there are more rows; since Spark 4 without an end of its own."""
    count = shown.num_rows
    if rows.num_rows <= count:
        return ""
    return f"only showing top {count} row{'' if count == 1 else 's'}"


def html_string(rows: pa.Table, schema: Any, *, wanted: int, truncate: int, time_zone: str) -> str:
    """The same rows as an HTML table, for notebooks."""
    shown = rows.slice(0, max(0, wanted))
    names = [html.escape(_cut(field.name, truncate)) for field in schema.struct.fields]
    lines = ["<table border='1'>", f"<tr><th>{'</th><th>'.join(names)}</th></tr>"]
    for row in cell_texts(shown, schema, time_zone):
        cells = [html.escape(_cut(text, truncate)) for text in row]
        lines.append(f"<tr><td>{'</td><td>'.join(cells)}</td></tr>")
    lines.append("</table>")
    footer = _footer(rows, shown)
    return "\n".join(lines) + "\n" + (f"{footer}\n" if footer else "")


def cell_texts(rows: pa.Table, schema: Any, time_zone: str) -> list[list[str]]:
    """Every value as text, as Spark casts it to string."""
    zone = _zone(time_zone)
    kinds = [field.data_type for field in schema.struct.fields]
    columns = [column.to_pylist() for column in rows.columns]
    if not columns:
        return [[] for _ in range(rows.num_rows)]
    return [
        [text(value, kind, zone) for value, kind in zip(row, kinds, strict=True)]
        for row in zip(*columns, strict=True)
    ]


def text(value: Any, kind: Any, zone: datetime.tzinfo) -> str:
    """One value as Spark's `ToPrettyString` writes it."""
    if value is None:
        return "NULL"
    name = kind.WhichOneof("kind")
    if name == "boolean":
        return "true" if value else "false"
    if name in ("float", "double"):
        return _floating(value, single=name == "float")
    if name == "decimal":
        return format(value, "f")
    if name == "binary":
        return "[" + " ".join(f"{byte:02X}" for byte in value) + "]"
    if name == "timestamp":
        return _timestamp(value.astimezone(zone).replace(tzinfo=None))
    if name == "timestamp_ntz":
        return _timestamp(value)
    if name == "array":
        inner = (text(each, kind.array.element_type, zone) for each in value)
        return f"[{', '.join(inner)}]"
    if name == "map":
        pairs = value.items() if isinstance(value, dict) else value
        inner = (
            f"{text(key, kind.map.key_type, zone)} -> {text(item, kind.map.value_type, zone)}"
            for key, item in pairs
        )
        return f"{{{', '.join(inner)}}}"
    if name == "struct":
        fields = zip(value.values(), kind.struct.fields, strict=True)
        inner = (text(each, field.data_type, zone) for each, field in fields)
        return f"{{{', '.join(inner)}}}"
    return str(value)


def _table(names: list[str], cells: list[list[str]], truncate: int) -> str:
    widths = [
        max([_SMALLEST_WIDTH, _width(name), *(_width(row[place]) for row in cells)])
        for place, name in enumerate(names)
    ]
    line = "+" + "+".join("-" * width for width in widths) + "+\n"

    def drawn(row: list[str]) -> str:
        padded = (
            " " * (width - _width(cell)) + cell
            if truncate > 0
            else cell + " " * (width - _width(cell))
            for cell, width in zip(row, widths, strict=True)
        )
        return "|" + "|".join(padded) + "|\n"

    return line + drawn(names) + line + "".join(drawn(row) for row in cells) + line


def _vertical(names: list[str], cells: list[list[str]]) -> str:
    name_width = max([_SMALLEST_WIDTH, *(_width(name) for name in names)])
    widest = max([_SMALLEST_WIDTH, *(_width(cell) for row in cells for cell in row)])
    lines = []
    for number, row in enumerate(cells):
        head = f"-RECORD {number}"
        lines.append(head + "-" * max(0, name_width + widest + 5 - len(head)))
        for name, cell in zip(names, row, strict=True):
            padded = name + " " * (name_width - _width(name))
            lines.append(f" {padded} | {cell + ' ' * (widest - _width(cell))} ")
    return "\n".join(lines) + "\n"


def _cut(cell: str, truncate: int) -> str:
    cell = cell.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
    if 0 < truncate < len(cell):
        return cell[:truncate] if truncate < 4 else cell[: truncate - 3] + "..."
    return cell


def _width(cell: str) -> int:
    """Columns that a text takes: wide characters take two."""
    if cell.isascii():
        return len(cell)
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in cell)


def _timestamp(value: datetime.datetime) -> str:
    told = f"{value:%Y-%m-%d %H:%M:%S}" if value.year >= 1000 else _early(value)
    if value.microsecond:
        told += f".{value.microsecond:06d}".rstrip("0")
    return told


def _early(value: datetime.datetime) -> str:
    return f"{value.year:04d}-{value:%m-%d %H:%M:%S}"


def _floating(value: float, *, single: bool) -> str:
    """A number as Java's `Double.toString` writes it."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    digits = _shortest_single(value) if single else repr(value)
    number = Decimal(digits)
    sign, figures, exponent = number.as_tuple()
    plain = "".join(map(str, figures)).rstrip("0") or "0"
    assert isinstance(exponent, int), "finite"
    point = len(figures) + exponent
    minus = "-" if sign else ""
    if plain == "0":
        return f"{minus}0.0"
    if 1e-3 <= abs(value) < 1e7:
        if point <= 0:
            return f"{minus}0.{'0' * -point}{plain}"
        whole = plain[:point].ljust(point, "0")
        return f"{minus}{whole}.{plain[point:] or '0'}"
    return f"{minus}{plain[0]}.{plain[1:] or '0'}E{point - 1}"


def _shortest_single(value: float) -> str:
    """The shortest digits that name a 32-bit number."""
    import struct

    for precision in range(1, 10):
        told = f"{value:.{precision}g}"
        if struct.unpack("f", struct.pack("f", float(told)))[0] == value:
            return told
    return repr(value)


def _zone(name: str) -> datetime.tzinfo:
    if name[:1] in "+-":
        hours, minutes = int(name[1:3]), int(name[4:6])
        offset = datetime.timedelta(hours=hours, minutes=minutes)
        return datetime.timezone(-offset if name[0] == "-" else offset)
    return ZoneInfo(name)
