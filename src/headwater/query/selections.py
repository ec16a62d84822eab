"""Files of granted locations that somebody chose: found and decided first, copied afterwards.

selection = select(locations, session, ["s3://exchange/in/*.csv"])
selection.groups[0]                        # its files: names and sizes, nothing read yet
selection.copy(file, target, heard)        # one after the other; `heard` may raise to stop
selection.finish(None)                     # audited
"""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.governance.access import AccessRequest
from headwater.governance.locations import location_uri
from headwater.model.privilege import Privilege
from headwater.model.statement import Session
from headwater.query.location_files import LocationFiles, copy_file, failed, opened
from headwater.query.s3_files import (
    MOST_LISTED,
    FoundFile,
    find,
    is_hidden,
    is_s3,
    matches,
    split_pattern,
)

_READ = Privilege.READ_FILES


class Selection:
    """The files that each path stands for; `finish` it, whatever happens."""

    def __init__(
        self, files: LocationFiles, request: AccessRequest, groups: Sequence[Sequence[FoundFile]]
    ) -> None:
        self.groups = tuple(tuple(group) for group in groups)
        self._files = files
        self._request = request
        self._allowed: set[str] = set()

    @property
    def bytes(self) -> int:
        """Bytes of all files, as they were when they were found."""
        return sum(file.bytes for group in self.groups for file in group)

    def copy(self, file: FoundFile, target: Path, heard: Callable[[int], None]) -> int:
        """Copies a file to a new one, readable for the server only; its bytes.

        `heard` is told of each piece before it is written. Raises FILE_NOT_FOUND for a file that
        is gone or no file any more, DISK_FULL, STORAGE_UNAVAILABLE.
        """
        try:
            with open(target, "xb") as out:
                os.fchmod(out.fileno(), 0o600)
                if is_s3(file.uri):
                    return self._files.objects.copy(file.uri, out, heard)
                with opened(file.uri, self._may_read) as found:
                    if found is None:
                        raise error(ErrorCode.FILE_NOT_FOUND, f"{file.name} is no file")
                    return copy_file(found, out, heard)
        except OSError as failure:
            raise failed(failure, file.uri) from failure

    def finish(self, failure: HeadwaterError | None) -> None:
        """Says in the audit how it ended."""
        code = failure.code if failure else None
        outcome = "failed" if failure else "done"
        self._request.finish(outcome=outcome, error_code=code, engine="staging")

    def _may_read(self, path: str) -> None:
        """As `LocationFiles.allow`, once for each path."""
        if path not in self._allowed:
            self._files.allow(self._request, _READ, path)
            self._allowed.add(path)


def select(files: LocationFiles, session: Session, paths: Sequence[str]) -> Selection:
    """Finds what paths stand for: a file, all files below a folder, or those of a pattern.

    Decided and audited before anything is looked at. Raises PERMISSION_DENIED without READ FILES,
    INVALID_LOCATION, FILE_NOT_FOUND, EXCEEDED_RESULT_SIZE.
    """
    request = files.begin(session, "LOAD", paths)
    try:
        for path in paths:
            files.allow(request, _READ, split_pattern(_plain(path))[0])
        request.seal()
        groups = [
            find(files.objects, path, lambda uri: files.permit(request, uri))
            if is_s3(path)
            else sorted(_local(files, request, _plain(path)), key=lambda file: file.uri)
            for path in paths
        ]
    except HeadwaterError as exc:
        request.finish(outcome="failed", error_code=exc.code, engine="staging")
        raise
    return Selection(files, request, groups)


def _plain(path: str) -> str:
    return path.removeprefix("file://") if path.startswith("file:///") else path


def _local(files: LocationFiles, request: AccessRequest, path: str) -> list[FoundFile]:
    folder, pattern = split_pattern(path)
    folder = location_uri(folder).removeprefix("file://")
    # Links on the way are worth what they lead to, and before a name in there is told.
    real = os.path.realpath(folder)
    if real != folder:
        files.allow(request, _READ, real)
    if pattern is None and not os.path.isdir(real):
        found = _found(folder, folder.rpartition("/")[2])
        if found is None:
            raise error(ErrorCode.FILE_NOT_FOUND, f"there is no file {path[:200]!r}")
        return [found]
    everything: list[FoundFile] = []
    for place in _walk(real) if pattern is None else _matching(folder, pattern):
        name = os.path.relpath(place, real if pattern is None else folder)
        if pattern is None and is_hidden(name):
            continue
        if os.path.islink(place) or os.path.realpath(place) != place:
            files.allow(request, _READ, os.path.realpath(place))
        else:
            files.permit(request, location_uri(place))
        if len(everything) == MOST_LISTED:
            raise error(ErrorCode.EXCEEDED_RESULT_SIZE, f"more than {MOST_LISTED:,} files")
        found = _found(place, name)
        if found is not None:
            everything.append(found)
    if not everything:
        what = "no file below" if pattern is None else "no file that matches"
        raise error(ErrorCode.FILE_NOT_FOUND, f"there is {what} {path[:200]!r}")
    return everything


def _walk(folder: str) -> Iterator[str]:
    for top, folders, names in os.walk(folder):
        folders.sort()
        for name in names:
            yield os.path.join(top, name)


def _matching(folder: str, pattern: str) -> Iterator[str]:
    for place in glob.iglob(pattern, root_dir=folder, recursive=True):
        found = os.path.join(folder, place)
        if matches(pattern, place) and not os.path.isdir(found):
            yield found


def _found(path: str, name: str) -> FoundFile | None:
    """A file as it is there, links followed; None for anything else."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return FoundFile(path, name, status.st_size) if stat.S_ISREG(status.st_mode) else None
