"""Files of granted locations: into a user process's inbox, and out of its outbox.

Rights are checked on the path as it was asked for, before anything tells whether it is there, and
again on every file as it was opened: a link that leads elsewhere is worth what the caller may do
there, and nothing that changes in between is followed.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import secrets
import shutil
import stat
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.governance.access import Access, AccessRequest
from headwater.governance.locations import check_free, location_uri
from headwater.model.privilege import Privilege, Securable
from headwater.model.statement import Session
from headwater.query.arrow_writes import WriteMode
from headwater.query.s3_files import MOST_LISTED, find, is_s3, split_pattern
from headwater.storage.s3_objects import S3Objects

_CHUNK = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class LocationEntry:
    """A file or folder in a location; bytes are 0 for a folder."""

    name: str
    path: str
    is_folder: bool
    bytes: int


class LocationFiles:
    """Reads and writes granted locations for callers; `taken` are folders of the server's own.

    `objects` reads S3; without it, files on S3 cannot be reached.
    """

    def __init__(
        self, access: Access, taken: Sequence[Path], objects: S3Objects | None = None
    ) -> None:
        self.objects = objects or S3Objects(None)
        self._access = access
        self._taken = tuple(str(path) for path in taken)

    # --- reading --------------------------------------------------------------------------------

    def fetch(
        self, session: Session, paths: Sequence[str], folder: Path, *, most: int
    ) -> tuple[list[str], int]:
        """The names below `folder` for each path, in order, and the bytes that were copied.

        Decided and audited; raises PERMISSION_DENIED without READ FILES, FILE_NOT_FOUND,
        EXCEEDED_RESULT_SIZE.
        """
        fetch = _Fetch(self, self.begin(session, "READ", paths), folder, most)
        outcome, code = "failed", None
        try:
            names = [fetch.path(number, path) for number, path in enumerate(paths)]
            fetch.request.seal()
            outcome = "done"
        except HeadwaterError as exc:
            code = exc.code
            raise
        finally:
            fetch.request.finish(outcome=outcome, error_code=code, engine="staging")
        return names, fetch.bytes

    def entries(self, session: Session, path: str, *, most: int) -> list[LocationEntry]:
        """What a granted folder holds, folders first, by name; `most` of it.

        Links are not followed. Raises PERMISSION_DENIED without READ FILES, FILE_NOT_FOUND.
        """
        request = self.begin(session, "LIST", [path])
        self.allow(request, Privilege.READ_FILES, path)
        if is_s3(path):
            request.seal()
            return self._objects(request, location_uri(path), most)
        folder = os.path.realpath(location_uri(path).removeprefix("file://"))
        self.allow(request, Privilege.READ_FILES, folder)
        request.seal()
        found: list[LocationEntry] = []
        try:
            with os.scandir(folder) as listed:
                for each in listed:
                    if each.is_symlink() or each.name.startswith("."):
                        continue
                    is_folder = each.is_dir(follow_symlinks=False)
                    if not is_folder and not each.is_file(follow_symlinks=False):
                        continue
                    size = 0 if is_folder else each.stat(follow_symlinks=False).st_size
                    found.append(LocationEntry(each.name, each.path, is_folder, size))
        except (FileNotFoundError, NotADirectoryError) as failure:
            raise error(ErrorCode.FILE_NOT_FOUND, f"there is no folder {path[:200]!r}") from failure
        except OSError as failure:
            raise failed(failure, path) from failure
        return sorted(found, key=lambda each: (not each.is_folder, each.name))[:most]

    def _objects(self, request: AccessRequest, folder: str, most: int) -> list[LocationEntry]:
        """What a folder on S3 holds; what is denied, or no location can name, is not shown."""
        names, objects = self.objects.children(folder, most)
        found = [LocationEntry(name, f"{folder}/{name}", True, 0) for name in names]
        for each in objects:
            name = each.uri.rpartition("/")[2]
            found.append(LocationEntry(name, each.uri, False, each.size))
        shown = [each for each in found if _can_be_named(each) and self._may(request, each.path)]
        return sorted(shown, key=lambda each: (not each.is_folder, each.name))[:most]

    def _may(self, request: AccessRequest, uri: str) -> bool:
        return request.allows(Privilege.READ_FILES, Securable.location(uri))

    def permit(self, request: AccessRequest, uri: str) -> None:
        """Raises PERMISSION_DENIED unless the caller may read what was found in a folder of his.

        A deny may cover it. Only refusals are audited: the folder's decision stands for the rest.
        """
        if not self._may(request, uri):
            raise request.refusal(
                str(Privilege.READ_FILES),
                Securable.location(uri),
                f"needs READ FILES on location {uri[:300]}",
            )

    def begin(self, session: Session, verb: str, paths: Sequence[str]) -> AccessRequest:
        """The request of one use of locations, as the audit tells it."""
        return self._access.begin(
            session.identity,
            request_id=f"files-{uuid.uuid4().hex}",
            client=session.source,
            statement=f"{verb} FILES {', '.join(paths)[:1000]}",
        )

    def allow(self, request: AccessRequest, privilege: Privilege, path: str) -> None:
        """Raises PERMISSION_DENIED unless the caller may use the path."""
        uri = location_uri(path)
        request.check(privilege, Securable.location(uri))
        if is_s3(uri) and privilege is not Privilege.READ_FILES:
            raise error(
                ErrorCode.NOT_SUPPORTED,
                "files on S3 can be read, but not written yet",
                hint="write a table, or to a folder of the server",
            )
        try:
            check_free(uri, (self._access.catalog.warehouse.root, *self._taken))
        except HeadwaterError as inside:
            raise request.refusal(str(privilege), Securable.location(uri), inside.message) from None

    # --- writing --------------------------------------------------------------------------------

    def check_target(self, session: Session, path: str, mode: WriteMode) -> bool:
        """Whether a write to a folder may begin: False when there is nothing to do (IGNORE).

        Raises PERMISSION_DENIED without WRITE FILES, TABLE_ALREADY_EXISTS.
        """
        request = self.begin(session, "WRITE", [path])
        target = self._target(request, path)
        request.seal()
        if not os.path.lexists(target):
            return True
        if mode is WriteMode.IGNORE:
            return False
        if mode in (WriteMode.ERROR_IF_EXISTS, WriteMode.CREATE):
            raise error(
                ErrorCode.TABLE_ALREADY_EXISTS,
                f"the path {path} already exists",
                hint='choose mode("append") or mode("overwrite")',
            )
        return True

    def _target(self, request: AccessRequest, path: str) -> Path:
        self.allow(request, Privilege.WRITE_FILES, path)
        target = Path(location_uri(path).removeprefix("file://"))
        real = os.path.realpath(target)
        if real != str(target):
            self.allow(request, Privilege.WRITE_FILES, real)
        return Path(real)

    def publish(self, session: Session, made: Path, path: str, mode: WriteMode) -> int:
        """Moves the files below `made`, a folder of an outbox, to a granted folder; their number.

        Only plain files with plain names are taken: what lies in an outbox was made by user code.
        An overwrite replaces the folder as a whole.
        """
        request = self.begin(session, "WRITE", [path])
        target = self._target(request, path)
        request.seal()
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = target.parent / f".headwater-{secrets.token_hex(8)}"
        try:
            fresh.mkdir(mode=0o755)
            count = sum(_take(source, fresh / name) for name, source in _made(made))
            if mode is WriteMode.APPEND and target.is_dir():
                for name, source in _made(fresh):
                    place = target / name
                    place.parent.mkdir(parents=True, exist_ok=True)
                    os.link(source, place)
                return count
            old = target.parent / f".headwater-{secrets.token_hex(8)}"
            if os.path.lexists(target):
                target.rename(old)
            try:
                fresh.rename(target)
            except OSError:
                if old.exists():
                    old.rename(target)
                raise
            if old.is_dir():
                shutil.rmtree(old, ignore_errors=True)
            else:
                old.unlink(missing_ok=True)
            return count
        except FileExistsError as failure:
            raise error(
                ErrorCode.COMMIT_CONFLICT, f"{path} was written by somebody else"
            ) from failure
        except OSError as failure:
            raise failed(failure, path) from failure
        finally:
            shutil.rmtree(fresh, ignore_errors=True)


class _Fetch:
    """One fetch: its decisions, the folder it fills and the room that is left."""

    def __init__(
        self, files: LocationFiles, request: AccessRequest, folder: Path, most: int
    ) -> None:
        self.files = files
        self.request = request
        self.folder = folder
        self.most = most
        self.bytes = 0
        self.count = 0
        self._allowed: set[str] = set()

    def path(self, number: int, path: str) -> str:
        """Copies what a path stands for; its name in the folder."""
        plain = path.removeprefix("file://") if path.startswith("file:///") else path
        root, wild = split_pattern(plain)
        self.files.allow(self.request, Privilege.READ_FILES, root)
        if is_s3(path):
            return self._objects(str(number), path, root)
        if wild is not None and any(part in ("", ".", "..") for part in plain.split("/")[1:]):
            raise error(ErrorCode.INVALID_LOCATION, f"{path[:200]!r} is no path")
        found = [plain.rstrip("/")] if wild is None else sorted(glob.glob(plain))
        if not found or not os.path.lexists(found[0]):
            raise error(ErrorCode.FILE_NOT_FOUND, f"there is no file {path[:200]!r}")
        name = str(number)
        if wild is None and os.path.isdir(found[0]):
            self._tree(found[0], self.folder / name)
            return name
        for place in found:
            target = self.folder / name / Path(place).name
            if os.path.isdir(place):
                self._tree(place, target)
            else:
                self._file(place, target)
        return name if wild is not None else f"{name}/{Path(found[0]).name}"

    def _objects(self, name: str, path: str, folder: str) -> str:
        """Copies what a path on S3 stands for; its name in the folder."""
        self.request.seal()
        found = find(self.files.objects, path, lambda uri: self.files.permit(self.request, uri))
        pattern = split_pattern(path)[1] is not None
        for number, each in enumerate(found):
            target = self.folder / name / each.name
            if pattern:
                # Side by side, as a shell would pass them: readers do not look into folders.
                target = self.folder / name / target.name
                if target.exists():
                    target = target.with_name(f"{number}-{target.name}")
            self._count()
            try:
                self._make(target.parent)
                with open(target, "xb") as out:
                    os.fchmod(out.fileno(), 0o644)
                    self.files.objects.copy(each.uri, out, self._take)
            except OSError as failure:
                raise failed(failure, each.uri) from failure
        single = len(found) == 1 and found[0].uri == location_uri(folder)
        return f"{name}/{found[0].name}" if single else name

    def _take(self, size: int) -> None:
        self.bytes += size
        if self.bytes > self.most:
            raise error(
                ErrorCode.EXCEEDED_RESULT_SIZE,
                "the files do not fit into the room of a user process",
                hint="read fewer of them, or raise user_engines.disk_bytes",
            )

    def _count(self) -> None:
        self.count += 1
        if self.count > MOST_LISTED:
            raise error(ErrorCode.EXCEEDED_RESULT_SIZE, f"more than {MOST_LISTED} files")

    def _tree(self, source: str, target: Path) -> None:
        real = os.path.realpath(source)
        self._may_read(real)
        self._make(target)
        for top, folders, names in os.walk(real):
            folders.sort()
            inside = target / os.path.relpath(top, real)
            for name in sorted(names):
                self._file(os.path.join(top, name), inside / name)

    def _make(self, folder: Path) -> None:
        """A folder of the inbox that the sandbox's own user can enter, whatever the umask."""
        if folder == self.folder or folder.is_dir():
            return
        self._make(folder.parent)
        folder.mkdir()
        folder.chmod(0o755)

    def _may_read(self, path: str) -> None:
        """Raises unless the caller may read a path as it was found, links followed."""
        if path not in self._allowed:
            self.files.allow(self.request, Privilege.READ_FILES, path)
            self._allowed.add(path)

    def _file(self, source: str, target: Path) -> None:
        self._count()
        with opened(source, self._may_read) as found:
            if found is None:
                return
            self._make(target.parent)
            with open(target, "xb") as out:
                os.fchmod(out.fileno(), 0o644)
                copy_file(found, out, self._take)


@contextlib.contextmanager
def opened(source: str, may_read: Callable[[str], None]) -> Iterator[int | None]:
    """The descriptor of a plain file that may be read; None for a pipe, a socket or a device.

    `may_read` is asked for what was opened, whatever the path leads to by now.
    """
    try:
        descriptor = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError as failure:
        raise error(ErrorCode.FILE_NOT_FOUND, f"there is no file {source!r}") from failure
    except OSError as failure:
        raise failed(failure, source) from failure
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            yield None
            return
        may_read(os.path.realpath(f"/proc/self/fd/{descriptor}"))
        yield descriptor
    finally:
        os.close(descriptor)


def copy_file(source: int, target: IO[bytes], heard: Callable[[int], None]) -> int:
    """Copies an open file, as long as it was at first; `heard` is told of each piece before."""
    left = size = os.fstat(source).st_size
    while left > 0:
        heard(min(left, _CHUNK))
        sent = os.sendfile(target.fileno(), source, None, min(left, _CHUNK))
        if not sent:
            break
        left -= sent
    return size - left


def _can_be_named(entry: LocationEntry) -> bool:
    try:
        return not entry.name.startswith(".") and location_uri(entry.path) == entry.path
    except HeadwaterError:
        return False


def _made(folder: Path) -> Iterator[tuple[str, Path]]:
    """Plain files below a folder, by their relative names; links are neither taken nor followed."""
    count = 0
    for top, folders, names in os.walk(folder, followlinks=False):
        folders[:] = sorted(f for f in folders if not os.path.islink(os.path.join(top, f)))
        for name in sorted(names):
            count += 1
            path = Path(top) / name
            if count > MOST_LISTED:
                raise error(ErrorCode.EXCEEDED_RESULT_SIZE, f"more than {MOST_LISTED} files")
            if name.isprintable() and not name.startswith(".") and not path.is_symlink():
                yield os.path.relpath(path, folder), path


def _take(source: Path, target: Path) -> int:
    """Copies one plain file; 0 when it is something else by now."""
    try:
        descriptor = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as failure:
        if failure.errno in (errno.ELOOP, errno.ENOENT):
            return 0
        raise
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
            return 0
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(target, "xb") as out:
            shutil.copyfileobj(file, out, _CHUNK)
    return 1


def failed(failure: OSError, path: str) -> HeadwaterError:
    """What the system's error about a file means: DISK_FULL or STORAGE_UNAVAILABLE."""
    if failure.errno in (errno.ENOSPC, errno.EDQUOT):
        return error(ErrorCode.DISK_FULL, "no space is left for the files")
    return error(
        ErrorCode.STORAGE_UNAVAILABLE,
        f"{path[:200]!r} cannot be used: {(failure.strerror or 'error').lower()}",
    )
