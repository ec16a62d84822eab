"""What a file that a user brings is, and what is wrong with it: file, line, reason.

The engine reads the data. This module looks at a file's beginning before that (format, encoding,
separator, column names), and through all of it after the engine has refused it, to say where.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO, Any, cast

import pyarrow as pa

from headwater.errors import ErrorCode, HeadwaterError, error

_SEPARATORS = ",\t;|"
_FIELD_BYTES = 16 * 1024 * 1024
_CHUNK = 1024 * 1024

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_VALUE = re.compile(
    r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|\d{4}-\d{2}-\d{2}([ T].*)?|\d{1,2}[./]\d{1,2}[./]\d{4}"
)
_RENAME = "give it the extension of what it is"
_MAGIC = (
    (b"PK\x03\x04", "a ZIP archive or an Excel workbook", "save it as CSV, or unpack it first"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook", "save it as CSV"),
    (b"\x1f\x8b", "gzip", "add .gz to its name"),
    (b"%PDF", "a PDF", "export the data as CSV"),
    (b"\x89PNG", "a PNG picture", _RENAME),
    (b"\xff\xd8\xff", "a JPEG picture", _RENAME),
    (b"GIF8", "a GIF picture", _RENAME),
    (b"SQLite format 3", "a SQLite database", "export its tables as CSV"),
    (b"Obj\x01", "Avro", "convert it to Parquet or JSON"),
    (b"<!DOCTYPE html", "a web page", "download the data itself"),
    (b"<html", "a web page", "download the data itself"),
    (b"<?xml", "XML", "convert it to CSV or JSON"),
)
"""How files begin, what they are then, and what to do."""

# Python's reader refuses cells beyond 128 KiB; the engine reads longer ones.
csv.field_size_limit(_FIELD_BYTES)


class FileFormat(StrEnum):
    """The formats that can be loaded; text formats also compressed with gzip."""

    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


_EXTENSIONS = {
    ".csv": FileFormat.CSV,
    ".tsv": FileFormat.CSV,
    ".json": FileFormat.JSON,
    ".ndjson": FileFormat.JSON,
    ".jsonl": FileFormat.JSON,
    ".parquet": FileFormat.PARQUET,
}


EXTENSIONS = [
    *_EXTENSIONS,
    *(f"{end}.gz" for end, kind in _EXTENSIONS.items() if kind is not FileFormat.PARQUET),
]
"""What names of files that can be loaded end with."""


@dataclass(frozen=True, slots=True)
class LoadFile:
    """One file: where it lies, and `name`, what its owner calls it."""

    path: Path
    name: str
    format: FileFormat
    compressed: bool


@dataclass(frozen=True, slots=True)
class CsvOptions:
    """How a CSV file is to be read; a separator of None is looked for in the first line."""

    separator: str | None = None
    header: bool = True


AS_WRITTEN = CsvOptions()
"""A header of names, and the separator that it has most of."""


@dataclass(frozen=True, slots=True)
class CsvLayout:
    """How a CSV file is written: its separator, its column names, whether they stand in it."""

    separator: str
    columns: tuple[str, ...]
    header: bool = True


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong in a line (from 1; None: in the file as a whole)."""

    line: int | None
    message: str


def format_of(name: str) -> tuple[FileFormat, bool]:
    """The format that a file name's extension tells, and whether it is gzipped.

    Raises INVALID_FILE for any other extension.
    """
    suffixes = [suffix.lower() for suffix in Path(name).suffixes]
    compressed = bool(suffixes) and suffixes[-1] == ".gz"
    if compressed:
        suffixes.pop()
    found = _EXTENSIONS.get(suffixes[-1]) if suffixes else None
    if found is None or (compressed and found is FileFormat.PARQUET):
        raise error(
            ErrorCode.INVALID_FILE,
            f"{name}: files of this kind cannot be loaded",
            hint="csv, tsv, json, ndjson and jsonl (also with .gz), and parquet can",
        )
    return found, compressed


def suffix_of(file_format: FileFormat, compressed: bool) -> str:
    """The extension under which a file of this kind is spooled."""
    return f".{file_format}" + (".gz" if compressed else "")


def inspect(file: LoadFile, options: CsvOptions = AS_WRITTEN) -> CsvLayout | None:
    """Checks a file's beginning; the layout for CSV. Raises INVALID_FILE."""
    if file.path.stat().st_size == 0:
        raise _invalid(file, "the file is empty")
    _check_kind(file)
    if file.format is FileFormat.PARQUET:
        _inspect_parquet(file)
        return None
    with _reading(file), _text(file) as text:
        if file.format is FileFormat.CSV:
            return _csv_layout(file, text, options)
        if not text.read(_CHUNK).strip():
            raise _invalid(file, "the file is empty")
    return None


def diagnose(file: LoadFile, layout: CsvLayout | None) -> HeadwaterError | None:
    """The first thing wrong in a file that the engine refused; None when nothing is found."""
    try:
        with _reading(file):
            if layout is not None:
                _check_csv(file, layout)
            elif file.format is FileFormat.JSON:
                _check_json(file)
    except HeadwaterError as exc:
        return exc
    return None


def count_records(file: LoadFile, layout: CsvLayout) -> int:
    """The records of a CSV file below its header, ragged ones included, empty lines not."""
    with _reading(file), _text(file) as text:
        reader = csv.reader(text, delimiter=layout.separator)
        if layout.header:
            next(reader)
        return sum(1 for row in reader if row)


def faults(file: LoadFile, layout: CsvLayout | None, *, most: int, records: int) -> list[Fault]:
    """What is wrong in the first records of a text file, `most` at most."""
    found: list[Fault] = []
    try:
        with _reading(file):
            source: Iterator[Fault] = iter(())
            if layout is not None:
                source = _ragged(file, layout, records)
            elif file.format is FileFormat.JSON:
                source = _broken_json(file, records)
            for fault in source:
                found.append(fault)
                if len(found) == most:
                    break
    except HeadwaterError as exc:
        found.append(Fault(None, exc.message))
    return found


def lines_with(
    file: LoadFile, layout: CsvLayout, values: Mapping[str, Collection[str]], *, most: int
) -> list[tuple[int, str, str]]:
    """Where a CSV file holds certain values: line, column, value; the first `most`."""
    places = [
        (index, name, values[name]) for index, name in enumerate(layout.columns) if name in values
    ]
    found: list[tuple[int, str, str]] = []
    with _reading(file), _text(file) as text:
        reader = csv.reader(text, delimiter=layout.separator)
        begins = 1
        for number, row in enumerate(reader):
            if number or not layout.header:
                for index, name, wanted in places:
                    if index < len(row) and row[index] in wanted:
                        found.append((begins, name, row[index]))
                        if len(found) == most:
                            return found
            begins = reader.line_num + 1
    return found


def is_array(file: LoadFile) -> bool:
    """True when a JSON file holds one array of rows, and not a row a line."""
    if file.format is not FileFormat.JSON:
        return False
    with _reading(file), _text(file) as text:
        return text.read(_CHUNK).lstrip()[:1] == "["


def seems_headless(file: LoadFile) -> bool:
    """True when the first line of a CSV file looks like values: a number or a date is among it."""
    with _reading(file), _text(file) as text:
        header = text.readline()
        separator = _separator(header)
        first = next(csv.reader([header], delimiter=separator), [])
    return any(_VALUE.fullmatch(cell.strip()) for cell in first)


def _inspect_parquet(file: LoadFile) -> None:
    import pyarrow.parquet as pq

    try:
        names = pq.read_schema(file.path).names
    except (pa.ArrowException, OSError) as exc:
        with file.path.open("rb") as content:
            starts = content.read(4) == b"PAR1"
            content.seek(-min(4, file.path.stat().st_size), io.SEEK_END)
            ends = content.read(4) == b"PAR1"
        if starts and not ends:
            raise _invalid(file, "the file is cut off: its end is missing") from exc
        raise _invalid(file, "the file is not Parquet, or it is damaged") from exc
    _check_names(file, names)


def _check_kind(file: LoadFile) -> None:
    """Raises INVALID_FILE for a file whose first bytes say that it is something else."""
    if file.compressed:
        with file.path.open("rb") as raw:
            if raw.read(2) != b"\x1f\x8b":
                raise _invalid(file, "the name says gzip, the file is not", "rename it without .gz")
        return
    with file.path.open("rb") as raw:
        head = raw.read(512)
    if file.format is not FileFormat.PARQUET and _is_parquet(file):
        hint = "rename it to .parquet and send it again"
        raise _invalid(file, f"the name says {file.format}, the file is Parquet", hint)
    for magic, kind, hint in _MAGIC:
        if head.startswith(magic):
            raise _invalid(file, f"the name says {file.format}, the file is {kind}", hint)
    if file.format is not FileFormat.PARQUET and b"\0" in head and not head.startswith(_UTF16):
        raise _invalid(file, f"the name says {file.format}, the file is binary data")


def _is_parquet(file: LoadFile) -> bool:
    """True when it begins and ends like Parquet: a column's name may be PAR1, too."""
    with file.path.open("rb") as raw:
        starts = raw.read(4) == b"PAR1"
        raw.seek(-min(4, file.path.stat().st_size), io.SEEK_END)
        return starts and raw.read(4) == b"PAR1"


def _separator(header: str) -> str:
    counts = {separator: _outside_quotes(header, separator) for separator in _SEPARATORS}
    return max(counts, key=lambda candidate: counts[candidate])


def _csv_layout(file: LoadFile, text: IO[str], options: CsvOptions) -> CsvLayout:
    header = text.readline()
    if not header.strip():
        raise _invalid(file, "line 1: the column names are missing")
    separator = options.separator or _separator(header)
    rest = iter([header])
    reader = csv.reader(_joined(rest, text), delimiter=separator, strict=True)
    columns = tuple(next(reader))
    if not options.header:
        names = tuple(f"column_{number}" for number, _ in enumerate(columns, 1))
        return CsvLayout(separator, names, header=False)
    if any(not name.strip() for name in columns):
        place = next(index for index, name in enumerate(columns, 1) if not name.strip())
        raise _invalid(file, f"line 1: column {place} has no name")
    _check_names(file, columns)
    return CsvLayout(separator, columns)


def _check_csv(file: LoadFile, layout: CsvLayout) -> None:
    for fault in _ragged(file, layout):
        raise error(
            ErrorCode.INVALID_FILE,
            f"{file.name} line {fault.line}: {fault.message}",
            hint="mend the line, or leave such rows out with --on-error skip",
        )


def _ragged(file: LoadFile, layout: CsvLayout, records: int | None = None) -> Iterator[Fault]:
    """The records that have more or fewer values than there are columns."""
    named = "the header names" if layout.header else "line 1 has"
    with _text(file) as text:
        reader = csv.reader(text, delimiter=layout.separator, strict=True)
        begins = 1
        for number, row in enumerate(reader):
            if records is not None and number > records:
                return
            if row and len(row) != len(layout.columns):
                wanted = _columns(len(layout.columns))
                yield Fault(begins, f"{_values(len(row))} where {named} {wanted}")
            begins = reader.line_num + 1


def _broken_json(file: LoadFile, records: int) -> Iterator[Fault]:
    """The lines of newline-delimited JSON that cannot be read, or hold no object."""
    if is_array(file):
        return
    with _text(file) as text:
        for number, line in enumerate(text, 1):
            if number > records:
                return
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except json.JSONDecodeError as exc:
                yield Fault(number, f"{exc.msg} at column {exc.colno}")
            else:
                if not isinstance(row, dict):
                    yield Fault(number, "not an object; rows are objects")


def check_types(files: Sequence[LoadFile]) -> None:
    """Raises INVALID_FILE where JSON holds values of different types in one place of its rows."""
    for file in files:
        with _reading(file):
            _check_json(file)


def _check_json(file: LoadFile) -> None:
    """Rows must be objects, and a place in them must hold values of one type, or null."""
    seen: dict[str, tuple[str, str]] = {}
    for where, row in _json_rows(file):
        if not isinstance(row, dict):
            raise _invalid(file, f"{where} is not an object; rows are objects")
        for place, kind in _kinds("", row):
            first, there = seen.setdefault(place, (kind, where))
            if kind != first:
                raise _invalid(
                    file,
                    f"{where}: {place} is {kind}, but {first} in {there}",
                    hint="give the value one type in all rows; strings hold anything",
                )


def _json_rows(file: LoadFile) -> Iterator[tuple[str, Any]]:
    """Each row and where it stands: lines of newline-delimited JSON, or elements of an array."""
    with _text(file) as text:
        begins = text.read(_CHUNK).lstrip()[:1]
    with _text(file) as text:
        if begins == "[":
            try:
                rows = json.load(text)
            except json.JSONDecodeError as exc:
                raise _invalid(file, f"line {exc.lineno}: {exc.msg}") from exc
            yield from ((f"element {number}", row) for number, row in enumerate(rows, 1))
            return
        for number, line in enumerate(text, 1):
            if line.strip():
                try:
                    yield f"line {number}", json.loads(line)
                except json.JSONDecodeError as exc:
                    raise _invalid(file, f"line {number}: {exc.msg} at column {exc.colno}") from exc


def _kinds(place: str, value: Any) -> Iterator[tuple[str, str]]:
    """The kinds of a value and of all inside it, by place: `tags[]`, `address.city`."""
    if value is None:
        return
    yield place or "the row", _JSON_KINDS[type(value)]
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _kinds(f"{place}.{name}" if place else name, item)
    elif isinstance(value, list):
        for item in value:
            yield from _kinds(f"{place}[]", item)


_JSON_KINDS = {
    dict: "an object",
    list: "an array",
    str: "a string",
    bool: "a boolean",
    int: "a number",
    float: "a number",
}


class _reading:  # noqa: N801  reads as what it is: `with _reading(file):`
    """Turns what goes wrong while a file is read into INVALID_FILE with its line."""

    def __init__(self, file: LoadFile) -> None:
        self._file = file

    def __enter__(self) -> None:
        return

    def __exit__(self, _kind: object, exc: BaseException | None, _trace: object) -> None:
        if isinstance(exc, UnicodeDecodeError):
            line = _line_of_bad_byte(self._file)
            raise _invalid(
                self._file, f"line {line}: not UTF-8 text", hint="convert the file to UTF-8"
            ) from exc
        if isinstance(exc, EOFError | zlib.error | gzip.BadGzipFile):
            raise _invalid(self._file, "the gzip data is damaged or cut off") from exc
        if isinstance(exc, csv.Error):
            raise _invalid(self._file, f"the quotes do not match: {exc}") from exc
        if isinstance(exc, StopIteration):
            raise _invalid(self._file, "the file is empty") from exc


def _open(file: LoadFile) -> io.BufferedIOBase:
    return gzip.open(file.path, "rb") if file.compressed else file.path.open("rb")


def _text(file: LoadFile) -> io.TextIOWrapper:
    with _open(file) as content:
        head = content.read(4)
    if head.startswith(_UTF16):
        raise _invalid(file, "the file is UTF-16", hint="convert the file to UTF-8")
    return io.TextIOWrapper(cast("IO[bytes]", _open(file)), encoding="utf-8-sig", newline="")


def _line_of_bad_byte(file: LoadFile) -> int:
    decoder = codecs.getincrementaldecoder("utf-8")()
    with _open(file) as content:
        for number, line in enumerate(content, 1):
            try:
                decoder.decode(line)
            except UnicodeDecodeError:
                return number
    return 1


def _joined(first: Iterator[str], rest: IO[str]) -> Iterator[str]:
    yield from first
    yield from rest


def _outside_quotes(line: str, separator: str) -> int:
    return sum(part.count(separator) for part in line.split('"')[::2])


def _check_names(file: LoadFile, names: tuple[str, ...] | list[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name.casefold() in seen:
            raise _invalid(
                file,
                f"the column name {name!r} appears more than once",
                hint="give every column a name of its own; upper and lower case do not differ",
            )
        seen.add(name.casefold())


def _values(count: int) -> str:
    return "1 value" if count == 1 else f"{count} values"


def _columns(count: int) -> str:
    return "1 column" if count == 1 else f"{count} columns"


def _invalid(
    file: LoadFile, what: str, hint: str = "mend the file and load it again"
) -> HeadwaterError:
    return error(ErrorCode.INVALID_FILE, f"{file.name}: {what}", hint=hint)
