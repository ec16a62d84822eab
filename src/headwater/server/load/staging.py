"""Files of granted locations on their way to a load: copied in a thread, seen and stopped by id.

What was copied is an upload like one that was sent: it is previewed and loaded the same way.
"""

from __future__ import annotations

import secrets
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.model.principal import Identity
from headwater.model.statement import Session
from headwater.query.location_files import LocationFiles
from headwater.query.s3_files import WILD, FoundFile
from headwater.query.selections import Selection, select
from headwater.server.load.files import LoadFile, format_of
from headwater.server.load.uploads import Uploads
from headwater.telemetry.logs import log

MOST_FILES = 10_000
"""Files that are loaded at once."""

_KEPT = 200
_AT_ONCE = 4

_log = log("staging")


@dataclass(frozen=True, slots=True)
class Staged:
    """What a path stood for, copied: an upload's id, its name, bytes and number of files."""

    id: str
    name: str
    bytes: int
    files: int


@dataclass(slots=True)
class Staging:
    """A copy under way: how far it is, and the uploads at its end."""

    id: str
    identity: Identity
    paths: tuple[str, ...]
    files: int
    total_bytes: int
    done_files: int = 0
    done_bytes: int = 0
    staged: tuple[Staged, ...] = ()
    error: HeadwaterError | None = None
    stop: threading.Event = field(default_factory=threading.Event)
    done: threading.Event = field(default_factory=threading.Event)


class Stagings:
    """Copies files for callers; `most` bounds the bytes of one copy, beside the disk's room."""

    def __init__(self, locations: LocationFiles, uploads: Uploads, most: int) -> None:
        self._locations = locations
        self._uploads = uploads
        self._most = most
        self._lock = threading.Lock()
        self._known: dict[str, Staging] = {}

    def start(self, identity: Identity, paths: Sequence[str]) -> Staging:
        """Finds the files and begins to copy them.

        Raises what `select` does, INVALID_FILE for files that cannot be loaded or not together,
        EXCEEDED_RESULT_SIZE, DISK_FULL, and QUERY_QUEUE_FULL when the caller copies much already.
        """
        self._check_free(identity)
        selection = select(self._locations, Session(identity, source="load"), paths)
        try:
            self._check(paths, selection)
        except HeadwaterError as exc:
            selection.finish(exc)
            raise
        made = Staging(
            f"stage-{secrets.token_hex(16)}",
            identity,
            tuple(paths),
            sum(map(len, selection.groups)),
            selection.bytes,
        )
        with self._lock:
            self._known[made.id] = made
            ended = [each.id for each in self._known.values() if each.done.is_set()]
            for old in ended[: max(0, len(self._known) - _KEPT)]:
                del self._known[old]
        thread = threading.Thread(
            target=self._run, args=(made, selection), name=made.id, daemon=True
        )
        thread.start()
        return made

    def get(self, identity: Identity, staging_id: str) -> Staging | None:
        """The caller's own copy of that id."""
        found = self._known.get(staging_id)
        return found if found and found.identity.principal == identity.principal else None

    def cancel(self, staging: Staging) -> None:
        """Stops a copy; nothing of it stays. What has ended already is dropped."""
        staging.stop.set()
        if staging.done.is_set():
            for each in staging.staged:
                self._uploads.drop(staging.identity.principal, each.id)

    def _check_free(self, identity: Identity) -> None:
        with self._lock:
            running = sum(
                each.identity.principal == identity.principal and not each.done.is_set()
                for each in self._known.values()
            )
        if running >= _AT_ONCE:
            raise error(
                ErrorCode.QUERY_QUEUE_FULL,
                f"{running} of your copies of files are under way",
                hint="wait for one of them, or cancel it",
            )

    def _check(self, paths: Sequence[str], selection: Selection) -> None:
        """Raises for what would fail after minutes of copying."""
        for path, group in zip(paths, selection.groups, strict=True):
            _check_kinds(path, group)
        count = sum(map(len, selection.groups))
        if count > MOST_FILES:
            raise error(
                ErrorCode.EXCEEDED_RESULT_SIZE,
                f"{count:,} files; {MOST_FILES:,} can be loaded at once",
                hint="load them in parts, by folders or patterns",
            )
        if selection.bytes > self._most:
            raise error(
                ErrorCode.EXCEEDED_RESULT_SIZE,
                f"the files have {selection.bytes / 1024**3:.1f} GiB; "
                f"{self._most / 1024**3:.1f} GiB can be loaded at once",
                hint="load them in parts, or raise limits.upload_bytes",
            )
        if selection.bytes > self._uploads.room:
            raise _no_room()

    def _run(self, staging: Staging, selection: Selection) -> None:
        made: list[LoadFile] = []
        try:
            staging.staged = self._copy(staging, selection, made)
        except HeadwaterError as exc:
            staging.error = exc
        except Exception:
            _log.exception("staging failed", staging=staging.id)
            staging.error = error(
                ErrorCode.INTERNAL_ERROR,
                "the server failed to copy the files",
                hint=f"look for {staging.id} in the server's log",
            )
        finally:
            if staging.error is not None:
                for file in made:
                    file.path.unlink(missing_ok=True)
            try:
                selection.finish(staging.error)
            finally:
                staging.done.set()

    def _copy(
        self, staging: Staging, selection: Selection, made: list[LoadFile]
    ) -> tuple[Staged, ...]:
        def heard(size: int) -> None:
            if staging.stop.is_set():
                raise error(ErrorCode.USER_CANCELED, "the copy was canceled")
            staging.done_bytes += size
            if staging.done_bytes > self._most or self._uploads.room == 0:
                raise _no_room()

        copied: list[tuple[str, list[LoadFile], int]] = []
        for path, group in zip(staging.paths, selection.groups, strict=True):
            files, size = [], 0
            for found in group:
                heard(0)
                place = self._uploads.place(found.name)
                made.append(place)
                size += selection.copy(found, place.path, heard)
                files.append(place)
                staging.done_files += 1
            copied.append((_name_of(path, group), files, size))
        heard(0)
        owner = staging.identity.principal
        return tuple(
            Staged(self._uploads.keep(owner, *files, name=name), name, size, len(files))
            for name, files, size in copied
        )


def _check_kinds(path: str, group: Sequence[FoundFile]) -> None:
    """Raises INVALID_FILE unless the files can be loaded, and as one table."""
    kinds: Counter[str] = Counter()
    ending = ""
    for file in group:
        try:
            kind = format_of(file.name)[0].value
        except HeadwaterError:
            kind = "of another kind"
        else:
            ending = ending or file.name.rpartition("/")[2].partition(".")[2]
        kinds[kind] += 1
    if not ending:
        format_of(group[0].name)
    if len(kinds) > 1:
        listed = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common())
        raise error(
            ErrorCode.INVALID_FILE,
            f"{path[:200]} stands for files of different kinds: {listed}",
            hint=f"name one kind by a pattern, like {_folder_of(path)}/*.{ending}",
        )


def _folder_of(path: str) -> str:
    parts = path.rstrip("/").split("/")
    wild = next((i for i, part in enumerate(parts) if WILD & set(part)), len(parts))
    return "/".join(parts[:wild])[:200]


def _name_of(path: str, group: Sequence[FoundFile]) -> str:
    """What an upload is called: its file, or the folder that the files were found in."""
    if len(group) == 1:
        return group[0].name
    return _folder_of(path).rpartition("/")[2]


def _no_room() -> HeadwaterError:
    return error(
        ErrorCode.DISK_FULL,
        "the home has no room for these files",
        hint="free some space, or load fewer files at once",
    )
