"""Query results for people: aligned columns, numbers to the right, NULLs dim, as wide as they fit.

Values that hold control characters are escaped, so that data can neither break the table nor
command the terminal. Where even narrow columns do not fit, rows are printed one below another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from unicodedata import category, combining, east_asian_width

import pyarrow as pa

from headwater.client.values import NULL, python_values, text_of

_NARROWEST = 8
_WIDEST = 60
_DIM, _BOLD, _PLAIN = "\x1b[2m", "\x1b[1m", "\x1b[0m"


@dataclass(frozen=True, slots=True)
class Style:
    """How to print: `width` in terminal cells (None: as wide as it gets), and whether in colour."""

    width: int | None = None
    color: bool = False


def render(table: pa.Table, style: Style) -> str:
    """The table as text, without the line end of the last line."""
    names = [escape(name) for name in table.column_names]
    right = [_is_number(column_type) for column_type in table.schema.types]
    columns = [_texts(column) for column in table.columns]
    widths = [
        max(cells(name), max((cells(text) for text in texts if text is not None), default=0), 4)
        for name, texts in zip(names, columns, strict=True)
    ]
    fitted = _fit(widths, style.width)
    if fitted is None:
        return _records(names, columns, table.num_rows, style)
    lines = [
        " │ ".join(
            _paint(_pad(name, width, to_right), _BOLD, style)
            for name, width, to_right in zip(names, fitted, right, strict=True)
        ),
        "─┼─".join("─" * width for width in fitted),
    ]
    lines.extend(
        " │ ".join(
            _cell(texts[row], width, to_right, style)
            for texts, width, to_right in zip(columns, fitted, right, strict=True)
        ).rstrip()
        for row in range(table.num_rows)
    )
    return "\n".join(lines)


def escape(text: str) -> str:
    """The text on one line, with control and formatting characters written as escapes."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(character) for character in text)


def cells(text: str) -> int:
    """How many terminal cells a text takes (Unicode TR 11: wide characters take two)."""
    return len(text) if text.isascii() else sum(_cells(character) for character in text)


@lru_cache(maxsize=4096)
def _escaped(character: str) -> str:
    short = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(character)
    if short is not None:
        return short
    if category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
        return f"\\u{ord(character):04x}"
    return character


@lru_cache(maxsize=4096)
def _cells(character: str) -> int:
    if combining(character):
        return 0
    return 2 if east_asian_width(character) in ("W", "F") else 1


def _texts(column: pa.ChunkedArray[Any]) -> list[str | None]:
    texts = (text_of(value) for value in python_values(column))
    return [None if text is None else escape(text) for text in texts]


def _is_number(column_type: pa.DataType) -> bool:
    return (
        pa.types.is_integer(column_type)
        or pa.types.is_floating(column_type)
        or pa.types.is_decimal(column_type)
    )


def _fit(widths: Sequence[int], available: int | None) -> list[int] | None:
    """Column widths that fit, taken from the widest columns; None when columns are too many."""
    if available is None:
        return list(widths)
    room = available - 3 * (len(widths) - 1)
    if sum(min(width, _NARROWEST) for width in widths) > room:
        return None
    fitted = list(widths)
    if sum(fitted) > room:
        fitted = [min(width, _WIDEST) for width in fitted]
    # The largest cap that fits: narrow columns keep their width, wide ones share the rest.
    cap = max(fitted)
    while sum(min(width, cap) for width in fitted) > room:
        cap -= 1
    fitted = [min(width, cap) for width in fitted]
    spare = room - sum(fitted)
    for index, width in enumerate(widths):
        more = min(spare, width - fitted[index])
        fitted[index] += more
        spare -= more
    return fitted


def _records(
    names: Sequence[str], columns: Sequence[Sequence[str | None]], rows: int, style: Style
) -> str:
    label = max(cells(name) for name in names)
    lines = []
    for row in range(rows):
        title = f"── row {row + 1} "
        lines.append(_paint(title + "─" * max(0, (style.width or 80) - len(title)), _DIM, style))
        room = None if style.width is None else max(style.width - label - 3, _NARROWEST)
        for name, texts in zip(names, columns, strict=True):
            value = texts[row]
            shown = _paint(NULL, _DIM, style) if value is None else _cut(value, room)
            lines.append(f"{_paint(_pad(name, label, False), _BOLD, style)} │ {shown}")
    return "\n".join(lines)


def _cell(text: str | None, width: int, to_right: bool, style: Style) -> str:
    if text is None:
        return _paint(_pad(NULL, width, to_right), _DIM, style)
    return _pad(text, width, to_right)


def _pad(text: str, width: int, to_right: bool) -> str:
    text = _cut(text, width)
    space = " " * (width - cells(text))
    return space + text if to_right else text + space


def _cut(text: str, width: int | None) -> str:
    if width is None or cells(text) <= width:
        return text
    kept, used = [], 0
    for character in text:
        used += _cells(character)
        if used > width - 1:
            break
        kept.append(character)
    return "".join(kept) + "…"


def _paint(text: str, code: str, style: Style) -> str:
    return f"{code}{text}{_PLAIN}" if style.color else text
