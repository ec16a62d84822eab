"""What a run prints: two streams of bytes, kept in segments up to a cap, without its secrets.

A segment's name is the offset of its first byte in the stream, so an offset stays good while older
segments are dropped. Imported by the runner: standard library only.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

STREAMS = ("stdout", "stderr")
HIDDEN = "•••".encode()

_TOKENS = re.compile(rb"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}")
_BEARER = re.compile(rb"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}")
_URL_PASSWORD = re.compile(rb"(\w+://[^\s:/@]+):[^\s@/]+@")
_LONGEST_LINE = 64 * 1024


def redact(data: bytes, secrets: Sequence[bytes] = ()) -> bytes:
    """The bytes without these secrets, session tokens, bearer values and passwords in URLs."""
    for secret in secrets:
        if secret:
            data = data.replace(secret, HIDDEN)
    data = _TOKENS.sub(HIDDEN, data)
    data = _BEARER.sub(rb"\1 " + HIDDEN, data)
    return _URL_PASSWORD.sub(rb"\1:" + HIDDEN + b"@", data)


class LogWriter:
    """Appends to one stream; the oldest segments go when it outgrows `cap` bytes.

    Whole lines are written, so that no secret is cut in two; `flush` writes what waits. A full disk
    loses what is printed meanwhile, and says so once there is room.
    """

    def __init__(
        self,
        folder: Path,
        stream: str,
        *,
        cap: int,
        segment: int | None = None,
        secrets: Sequence[bytes] = (),
    ) -> None:
        self._folder = folder
        self._stream = stream
        self._cap = cap
        self._segment_bytes = segment or max(4096, cap // 8)
        self._secrets = tuple(secrets)
        self._pending = b""
        self._lost = 0
        known = segments(folder, stream)
        self._end = known[-1].end if known else 0
        self._start = self._end

    def write(self, data: bytes) -> None:
        """Takes bytes as they come; writes the whole lines among them."""
        self._pending += data
        cut = self._pending.rfind(b"\n") + 1
        if not cut and len(self._pending) > _LONGEST_LINE:
            cut = len(self._pending)
        if cut:
            self._put(self._pending[:cut])
            self._pending = self._pending[cut:]

    def flush(self) -> None:
        """Writes a line that has not ended."""
        if self._pending:
            self._put(self._pending)
            self._pending = b""

    @property
    def pending(self) -> bool:
        """True while a line has not ended."""
        return bool(self._pending)

    def _put(self, data: bytes) -> None:
        data = redact(data, self._secrets)
        if self._lost:
            data = b"[headwater: %d bytes were lost: the disk was full]\n" % self._lost + data
        if self._end - self._start >= self._segment_bytes:
            self._start = self._end
            self._drop_old()
        path = self._folder / segment_name(self._stream, self._start)
        try:
            with path.open("ab") as file:
                # A write that failed half-way left more than we counted.
                file.truncate(self._end - self._start)
                file.write(data)
        except OSError:
            self._lost += len(data)
            return
        self._lost = 0
        self._end += len(data)

    def _drop_old(self) -> None:
        known = segments(self._folder, self._stream)
        while known and self._end - known[0].start > self._cap - self._segment_bytes:
            with contextlib.suppress(OSError):
                known.pop(0).path.unlink()


@dataclass(frozen=True, slots=True)
class Segment:
    """One file of a stream: the offsets of its first byte and behind its last."""

    path: Path
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """Bytes of a stream from `start`; `next` is the offset to ask for then."""

    start: int
    data: bytes

    @property
    def next(self) -> int:
        """The offset behind the last byte."""
        return self.start + len(self.data)


def segment_name(stream: str, start: int) -> str:
    """The file name of the segment that begins at an offset."""
    return f"{stream}.{start:016d}"


def segments(folder: Path, stream: str) -> list[Segment]:
    """The segments that are there, oldest first."""
    found = []
    for path in sorted(folder.glob(f"{stream}.{'[0-9]' * 16}")):
        start = int(path.name.rpartition(".")[2])
        try:
            found.append(Segment(path, start, start + path.stat().st_size))
        except FileNotFoundError:
            continue  # dropped by its writer just now
    return found


def read(folder: Path, stream: str, offset: int, limit: int = 256 * 1024) -> Chunk:
    """Bytes from an offset on, at most `limit`; from the oldest kept when that one is gone.

    A negative offset counts from the end.
    """
    known = segments(folder, stream)
    if not known:
        return Chunk(max(offset, 0), b"")
    if offset < 0:
        offset = max(known[0].start, known[-1].end + offset)
    offset = max(offset, known[0].start)
    data = b""
    for segment in known:
        if segment.end <= offset + len(data) or len(data) >= limit:
            continue
        try:
            with segment.path.open("rb") as file:
                file.seek(offset + len(data) - segment.start)
                data += file.read(limit - len(data))
        except FileNotFoundError:
            break
    return Chunk(offset, data)


def tail(folder: Path, stream: str, limit: int = 8192) -> str:
    """The end of a stream as text."""
    return read(folder, stream, -limit, limit).data.decode("utf-8", "replace")
