"""A statement's result while it is written and read: in memory first, then on disk.

The file has no name from the moment it is opened, so that nothing is left of it after `close`, a
crash or a kill. It holds Arrow IPC messages, each found by its offset, so that any page can be read
while later ones are still being written.
"""

from __future__ import annotations

import errno
import mmap
import os
import tempfile
import threading
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from headwater.errors import ErrorCode, HeadwaterError, error

MIB = 1024**2
MEMORY_BYTES = 16 * MIB
"""What one result may keep in the server's memory."""

RESERVE_BYTES = 64 * MIB
"""Disk that results leave free, so that the metastore can go on when clients ask for too much."""

_FULL = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in the file a page lies."""

    offset: int
    length: int


class ResultSpool:
    """One result: one thread appends, any number of threads read pages by index.

    `folder` takes the file (0700, made when needed) once the pages exceed `memory_bytes`;
    `total_bytes` limits the result as a whole (None: no limit here).
    """

    def __init__(
        self,
        schema: pa.Schema,
        folder: Path,
        *,
        memory_bytes: int = MEMORY_BYTES,
        total_bytes: int | None = None,
        reserve_bytes: int = RESERVE_BYTES,
    ) -> None:
        self._schema = schema
        self._folder = folder
        self._memory_bytes = memory_bytes
        self._total_bytes = total_bytes
        self._reserve_bytes = reserve_bytes
        self._guard = threading.Lock()
        self._pages: list[pa.RecordBatch | _Place] = []
        self._starts: list[int] = []
        self._file: int | None = None
        self._end = 0
        self._rows = 0
        self._bytes = 0
        self._readers = 0
        self._closed = False

    @property
    def schema(self) -> pa.Schema:
        """The result's columns."""
        return self._schema

    @property
    def pages_ready(self) -> int:
        """How many pages can be read now."""
        return len(self._pages)

    @property
    def rows(self) -> int:
        """Rows written so far."""
        return self._rows

    @property
    def bytes(self) -> int:
        """Arrow bytes written so far."""
        return self._bytes

    @property
    def disk_bytes(self) -> int:
        """Bytes of them that are on disk."""
        return self._end

    def append(self, batch: pa.RecordBatch) -> None:
        """Adds a page; raises EXCEEDED_RESULT_SIZE or DISK_FULL, and keeps the pages before it."""
        size = batch.nbytes
        if self._total_bytes is not None and self._bytes + size > self._total_bytes:
            raise error(
                ErrorCode.EXCEEDED_RESULT_SIZE,
                f"The result is larger than {self._total_bytes} bytes",
                hint="aggregate, add LIMIT, or raise limits.result_bytes",
            )
        page: pa.RecordBatch | _Place = batch
        if self._file is not None or self._bytes + size > self._memory_bytes:
            page = self._write(batch.serialize())
        with self._guard:
            if self._closed:
                return
            self._pages.append(page)
            self._starts.append(self._rows)
            self._rows += batch.num_rows
            self._bytes += size

    def page_of(self, row: int) -> tuple[int, int]:
        """The page that has a row that was written, and that page's first row."""
        index = bisect_right(self._starts, row) - 1
        return index, self._starts[index]

    def pages_from(self, row: int) -> Iterator[tuple[int, int]]:
        """The pages from the one that has a row on, each with its first row."""
        if row >= self._rows:
            return
        first, _ = self.page_of(row)
        for index in range(first, len(self._pages)):
            yield index, self._starts[index]

    def page(self, index: int) -> pa.RecordBatch | None:
        """Page `index` from 0, or None when it is not there (yet, or any more)."""
        return self._page(index, _read)

    def peek(self, index: int) -> pa.RecordBatch | None:
        """As `page`, but what lies on disk is read when and where it is looked at.

        For who needs few rows or columns of a page, soon.
        """
        return self._page(index, _map)

    def _page(self, index: int, read: Callable[[int, _Place], Any]) -> pa.RecordBatch | None:
        with self._guard:
            if self._closed or not 0 <= index < len(self._pages):
                return None
            page = self._pages[index]
            if isinstance(page, pa.RecordBatch):
                return page
            file = self._file
            assert file is not None
            self._readers += 1
        try:
            data = read(file, page)
        finally:
            with self._guard:
                self._readers -= 1
                self._close_file()
        return pa.ipc.read_record_batch(pa.py_buffer(data), self._schema)

    def close(self) -> None:
        """Frees memory and disk; pages are gone, and harmless when called again."""
        with self._guard:
            self._closed = True
            self._pages = []
            self._close_file()

    def _close_file(self) -> None:
        """Closes the file once nobody reads it; the lock is held."""
        if self._closed and self._readers == 0 and self._file is not None:
            os.close(self._file)
            self._file = None

    def _write(self, data: pa.Buffer) -> _Place:
        """Appends to the file; pages count only once they are whole."""
        with self._guard:
            if self._closed:
                return _Place(0, 0)
            self._readers += 1  # a close meanwhile must wait for us
        try:
            if self._file is None:
                self._file = _open(self._folder)
            self._check_reserve(self._file, data.size)
            view, offset = memoryview(data), self._end
            while view:
                written = os.pwrite(self._file, view, offset)
                view, offset = view[written:], offset + written
        except OSError as failure:
            raise _disk_error(failure) from failure
        finally:
            with self._guard:
                self._readers -= 1
                self._close_file()
        place = _Place(self._end, data.size)
        self._end += data.size
        return place

    def _check_reserve(self, file: int, size: int) -> None:
        space = os.fstatvfs(file)
        if space.f_bavail * space.f_frsize < size + self._reserve_bytes:
            raise OSError(errno.ENOSPC, "the reserve is touched")


def _open(folder: Path) -> int:
    """A new file without a name, mode 0600."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        return os.dup(file.fileno())


def _read(file: int, place: _Place) -> bytearray:
    data = bytearray(place.length)
    view, offset = memoryview(data), place.offset
    while view:
        count = os.preadv(file, [view], offset)
        if count == 0:
            raise error(ErrorCode.STORAGE_UNAVAILABLE, "A page of the result cannot be read back")
        view, offset = view[count:], offset + count
    return data


def _map(file: int, place: _Place) -> memoryview:
    start = place.offset - place.offset % mmap.ALLOCATIONGRANULARITY
    skipped = place.offset - start
    mapped = mmap.mmap(file, skipped + place.length, access=mmap.ACCESS_READ, offset=start)
    return memoryview(mapped)[skipped:]


def _disk_error(failure: OSError) -> HeadwaterError:
    if failure.errno in _FULL:
        return error(
            ErrorCode.DISK_FULL,
            "There is no disk space left for the result",
            hint="aggregate or add LIMIT, or give the home more disk",
        )
    return error(ErrorCode.STORAGE_UNAVAILABLE, f"The result cannot be written: {failure.strerror}")
