"""Files that were sent and wait to be loaded: spooled in the home, each owned by its sender."""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from headwater.errors import ErrorCode, error
from headwater.model.principal import Principal
from headwater.server.load.files import LoadFile, format_of, suffix_of

_EXPIRY_SECONDS = 3600.0
_RESERVE_BYTES = 1024**3
_RESERVE_PART = 20
"""What uploads leave free: 1 GiB, or of a small disk this part."""


@dataclass(frozen=True, slots=True)
class Held:
    """Files that wait to be loaded together: one that was sent, or those of a location's path.

    `name` is what its owner calls it; `received` is on the monotonic clock.
    """

    id: str
    owner: Principal
    name: str
    files: tuple[LoadFile, ...]
    received: float


class Uploads:
    """Hands out places in the spool and takes them back; unused files expire after an hour."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._held: dict[str, Held] = {}

    def place(self, name: str) -> LoadFile:
        """Where the bytes of a file of that name go; raises INVALID_FILE for an unknown kind."""
        self._expire()
        file_format, compressed = format_of(name)
        # The user's name never becomes a path: it is only told in messages.
        path = self._folder / (secrets.token_hex(16) + suffix_of(file_format, compressed))
        return LoadFile(path, name, file_format, compressed)

    def keep(self, owner: Principal, *files: LoadFile, name: str | None = None) -> str:
        """Registers files that have arrived in full, as one upload; returns its id."""
        held = Held(secrets.token_hex(16), owner, name or files[0].name, files, time.monotonic())
        with self._lock:
            self._held[held.id] = held
        return held.id

    def take(self, owner: Principal, ids: Sequence[str]) -> list[Held]:
        """The owner's uploads of those ids, for one load; raises FILE_NOT_FOUND."""
        with self._lock:
            found = [self._held.get(upload_id) for upload_id in ids]
            if not ids or not all(upload and upload.owner == owner for upload in found):
                raise error(
                    ErrorCode.FILE_NOT_FOUND,
                    "there is no such upload",
                    hint="send the file to /api/v1/uploads first; an upload is good for one load",
                )
            for upload_id in ids:
                del self._held[upload_id]
        return [upload for upload in found if upload is not None]

    def peek(self, owner: Principal, upload_id: str) -> Held:
        """The owner's upload of that id, which stays and lives for another hour."""
        with self._lock:
            upload = self._held.get(upload_id)
            if upload is None or upload.owner != owner:
                raise error(
                    ErrorCode.FILE_NOT_FOUND,
                    "there is no such upload",
                    hint="it was loaded already, or waited for more than an hour: send it again",
                )
            self._held[upload_id] = replace(upload, received=time.monotonic())
        return upload

    def give_back(self, taken: Sequence[Held]) -> None:
        """Takes uploads again that `take` handed out, under their ids: their load failed."""
        with self._lock:
            for upload in taken:
                self._held[upload.id] = replace(upload, received=time.monotonic())

    def drop(self, owner: Principal, upload_id: str) -> None:
        """Removes an upload that will not be loaded; harmless when it is gone."""
        with self._lock:
            upload = self._held.get(upload_id)
            if upload is None or upload.owner != owner:
                return
            del self._held[upload_id]
        _remove(upload)

    @property
    def room(self) -> int:
        """Bytes that another file may have before the disk runs low."""
        space = os.statvfs(self._folder)
        reserve = min(_RESERVE_BYTES, space.f_blocks * space.f_frsize // _RESERVE_PART)
        return max(0, space.f_bavail * space.f_frsize - reserve)

    @property
    def folder(self) -> Path:
        """Where the files lie."""
        return self._folder

    def _expire(self) -> None:
        limit = time.monotonic() - _EXPIRY_SECONDS
        with self._lock:
            old = [key for key, upload in self._held.items() if upload.received < limit]
            expired = [self._held.pop(key) for key in old]
        for upload in expired:
            _remove(upload)


def _remove(upload: Held) -> None:
    for file in upload.files:
        file.path.unlink(missing_ok=True)
