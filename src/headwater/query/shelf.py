"""What is staged for one user process: the folders of its inbox, and which plans read them."""

from __future__ import annotations

import contextlib
import errno
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from headwater.errors import ErrorCode, error
from headwater.query.needs import Comparison


@dataclass(frozen=True, slots=True)
class StagedTable:
    """A table as a user process reads it: a folder of Parquet files in its inbox.

    `path` is the folder as the process names it (empty for a table without rows, of which only the
    types are wanted), `schema` its columns as Spark DDL, `key` what tells its content from any
    other's. `restricted` when a policy narrows what the caller sees: then the user's own code
    needs a sandbox. `columns` are those that were staged, which may be fewer than the table has.
    """

    name: str
    key: str
    path: str
    schema: str
    columns: tuple[str, ...]
    restricted: bool = False
    linked: bool = False


@dataclass(frozen=True, slots=True)
class StagedFiles:
    """Files of a granted location in the inbox: their paths there, format and reading options."""

    key: str
    paths: tuple[str, ...]
    format: str
    options: Mapping[str, str] = field(default_factory=dict)


class Inbox(Protocol):
    """What staging uses of a user process; see `headwater.engines.userprocess.engine`."""

    @property
    def generation(self) -> str:
        """Another value means another process."""
        ...

    @property
    def inbox(self) -> Path:
        """The folder, outside."""
        ...

    @property
    def inbox_inside(self) -> str:
        """The folder, as the process names it."""
        ...

    @property
    def outbox(self) -> Path:
        """Where it leaves files; what lies there was made by user code."""
        ...

    @property
    def outbox_inside(self) -> str:
        """The outbox, as the process names it."""
        ...

    @property
    def alive(self) -> bool:
        """False once the process has ended."""
        ...

    @property
    def confines(self) -> bool:
        """True when the process cannot write what it is shown."""
        ...


@dataclass(slots=True)
class Entry:
    """Something staged: its folder, its bytes, and how many plans read it just now.

    `base` is what it is a part of: the key of the whole table as the same decision shows it, of
    which `where` left these rows; empty for what is no part of anything.
    """

    folder: str
    table: StagedTable
    bytes: int
    base: str = ""
    where: tuple[Comparison, ...] = ()
    used: float = 0.0
    pins: int = 0


@dataclass(slots=True)
class Shelf:
    """What is staged for one process."""

    process: Inbox
    entries: dict[str, Entry] = field(default_factory=dict)
    making: dict[str, threading.Lock] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)
    bytes: int = 0

    @contextlib.contextmanager
    def folder(self, token: str) -> Iterator[Path]:
        """A new folder of the inbox, which appears with all that is put into it or not at all."""
        inbox = self.process.inbox
        hidden = inbox / f".{token}"
        try:
            hidden.mkdir(mode=0o755)
            hidden.chmod(0o755)
            yield hidden
            hidden.rename(inbox / token)
        except OSError as failure:
            if failure.errno in (errno.ENOSPC, errno.EDQUOT):
                raise error(
                    ErrorCode.DISK_FULL,
                    "no space is left to stage what the plan reads",
                    hint="free some space, or read less",
                ) from failure
            if not self.process.alive:
                raise error(
                    ErrorCode.ENGINE_FAILED, "the process ended while its input was staged"
                ) from failure
            raise
        finally:
            shutil.rmtree(hidden, ignore_errors=True)

    @contextlib.contextmanager
    def made_once(self, key: str, pins: list[Entry]) -> Iterator[StagedTable | None]:
        """What is there under a key, pinned, or None for the one caller that makes it."""
        with self.lock:
            making = self.making.setdefault(key, threading.Lock())
        with making:
            with self.lock:
                entry = self.entries.get(key)
                known = None if entry is None else self.pin(entry, pins)
            try:
                yield known
            finally:
                with self.lock:
                    self.making.pop(key, None)

    def wider(
        self, base: str, columns: tuple[str, ...], where: tuple[Comparison, ...], pins: list[Entry]
    ) -> StagedTable | None:
        """What is there of a table and holds these columns of at least these rows, pinned."""
        with self.lock:
            found = [
                entry
                for entry in self.entries.values()
                if base
                and entry.base == base
                and set(columns) <= set(entry.table.columns)
                and all(each in where for each in entry.where)
            ]
            if not found:
                return None
            return self.pin(min(found, key=lambda entry: entry.bytes), pins)

    def keep(self, key: str, entry: Entry) -> Entry:
        """Puts something on the shelf."""
        with self.lock:
            self.entries[key] = entry
            self.bytes += entry.bytes
        return entry

    def pin(self, entry: Entry, pins: list[Entry]) -> StagedTable:
        """Notes that the plan which holds `pins` reads something."""
        with self.lock:
            entry.pins += 1
            entry.used = time.monotonic()
            pins.append(entry)
        return entry.table

    def unpin(self, pins: list[Entry]) -> None:
        """Notes that a plan is over."""
        with self.lock:
            for entry in pins:
                entry.pins -= 1

    def make_room(self, most: int) -> int:
        """Removes what no plan reads, oldest first, once half the room is taken; the bytes left."""
        with self.lock:
            idle = sorted(
                ((k, e) for k, e in self.entries.items() if not e.pins and e.bytes),
                key=lambda item: item[1].used,
            )
            for key, entry in idle:
                if self.bytes <= most // 2:
                    break
                del self.entries[key]
                self.bytes -= entry.bytes
                shutil.rmtree(self.process.inbox / entry.folder, ignore_errors=True)
            return most - self.bytes
