"""Reading and writing whole files by URI: the protocol, and local folders.

A URI is `s3://bucket/key` or `file:///absolute/path`. Local tables use `file:///` and not a bare
path: DuckDB and PyIceberg read and write tables of that form (`tests/integration/catalog`), and
Hadoop's `Path`, and so Spark, is documented to take it. Only the URI names its scheme, so that no
client reads it relative to a default file system of its own. Nobody percent-decodes it, and neither
do we: what follows `file://` is the path itself, to the byte.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, Protocol

from headwater.errors import ErrorCode, HeadwaterError, error

FILE_SCHEME = "file://"


@dataclass(frozen=True, slots=True)
class FileInfo:
    """A file in the warehouse: its URI, size in bytes, and last change in Unix milliseconds."""

    uri: str
    size: int
    modified_ms: int


class FileIO(Protocol):
    """Whole-file access to one warehouse; every URI outside it raises INVALID_LOCATION.

    Raises FILE_NOT_FOUND, DISK_FULL, or STORAGE_UNAVAILABLE when the storage does not answer.
    """

    def read_bytes(self, uri: str) -> bytes:
        """The content of a file."""
        ...

    def read_end(self, uri: str, count: int) -> tuple[bytes, int]:
        """The last `count` bytes of a file (all of a shorter one), and the file's size."""
        ...

    def write_bytes(self, uri: str, data: bytes) -> None:
        """Writes a new file, durably and in one piece; INVALID_LOCATION when it exists."""
        ...

    def exists(self, uri: str) -> bool:
        """True when there is such a file."""
        ...

    def list(self, prefix: str) -> Iterator[FileInfo]:
        """Every file below a folder, at any depth, in no particular order."""
        ...

    def delete(self, uris: Iterable[str]) -> None:
        """Removes files; those that are not there are fine."""
        ...

    def prepare_table(self, location: str) -> None:
        """Makes what a client expects to find below a new table's location."""
        ...

    def remove_location(self, location: str) -> None:
        """Removes everything below a location, folders included."""
        ...


class LocalFileIO:
    """Files below one local folder; symbolic links that lead out of it are refused."""

    def __init__(self, root: Path) -> None:
        self._folder = root
        self._real: str | None = None

    @property
    def _real_root(self) -> str:
        if self._real is None:
            self._real = os.path.realpath(self._folder)
        return self._real

    def check(self, uri: str) -> None:
        """Raises INVALID_LOCATION for a URI that is not below the root, links resolved."""
        self._path(uri)

    def read_bytes(self, uri: str) -> bytes:
        """The content of a file."""
        path = self._path(uri)
        with _translated(uri), path.open("rb") as file:
            return file.read()

    def read_end(self, uri: str, count: int) -> tuple[bytes, int]:
        """The last `count` bytes of a file, and its size."""
        path = self._path(uri)
        with _translated(uri), path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - count))
            return file.read(), size

    def write_bytes(self, uri: str, data: bytes) -> None:
        """Writes a temporary file, syncs it, and links it to its name, which must be free."""
        path = self._path(uri)
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
        with _translated(uri):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                with _private_file(temporary) as descriptor:
                    _write_all(descriptor, data)
                    os.fsync(descriptor)
                _publish(temporary, path)
            finally:
                temporary.unlink(missing_ok=True)
            _sync_folder(path.parent)

    def exists(self, uri: str) -> bool:
        """True when there is such a regular file."""
        path = self._path(uri)
        with _translated(uri):
            return path.is_file()

    def list(self, prefix: str) -> Iterator[FileInfo]:
        """Every regular file below a folder; links are not followed; a missing folder is empty."""
        top = str(self._path(prefix))
        for folder, _folders, names in os.walk(top, onerror=_reraise, followlinks=False):
            for name in names:
                path = os.path.join(folder, name)
                with contextlib.suppress(FileNotFoundError):
                    found = os.lstat(path)
                    if stat.S_ISREG(found.st_mode):
                        yield FileInfo(
                            FILE_SCHEME + path, found.st_size, found.st_mtime_ns // 1_000_000
                        )

    def delete(self, uris: Iterable[str]) -> None:
        """Removes files; folders stay, since a writer may be about to use them."""
        for uri in uris:
            path = self._path(uri)
            with _translated(uri):
                path.unlink(missing_ok=True)

    def prepare_table(self, location: str) -> None:
        """Makes `data/` and `metadata/`, which DuckDB does not create by itself."""
        path = self._path(location)
        with _translated(location):
            for name in ("data", "metadata"):
                (path / name).mkdir(mode=0o700, parents=True, exist_ok=True)
            _sync_folder(path)

    def remove_location(self, location: str) -> None:
        """Removes everything below a location, links themselves included, and its folder."""
        top = self._path(location)
        if str(top) == str(self._folder):
            raise error(ErrorCode.INVALID_LOCATION, "the warehouse itself cannot be removed")
        with _translated(location):
            for folder, folders, names in os.walk(top, topdown=False, followlinks=False):
                for name in names:
                    Path(folder, name).unlink(missing_ok=True)
                for name in folders:
                    path = Path(folder, name)
                    if path.is_symlink():
                        path.unlink(missing_ok=True)
                    else:
                        path.rmdir()
            if top.is_dir():
                top.rmdir()

    def _path(self, uri: str) -> Path:
        """The path that a URI names, once it is sure to lie below the root, links resolved."""
        uri = canonical(uri)
        text = uri.removeprefix(FILE_SCHEME)
        if not uri.startswith(FILE_SCHEME) or "\0" in text:
            raise outside(uri)
        normal = os.path.normpath(text)
        root = str(self._folder)
        if normal != text.rstrip("/") or not _below(normal, root):
            raise outside(uri)
        # A link on the way or at the end may lead anywhere, so the real path counts as well.
        if not _below(os.path.realpath(normal), self._real_root):
            raise outside(uri)
        return Path(normal)


def canonical(uri: str) -> str:
    """A file's URI as we write it; Hadoop's `Path`, so Spark and Flink, write `file:/a` for ours.

    For comparing and opening. Metadata keeps what its writer wrote: position deletes name their
    data files by the same text.
    """
    if uri.startswith("file:/") and not uri.startswith("file://"):
        return FILE_SCHEME + uri.removeprefix("file:")
    return uri


def outside(uri: str) -> HeadwaterError:
    """The INVALID_LOCATION error for a URI that is not in the warehouse."""
    return error(
        ErrorCode.INVALID_LOCATION,
        f"{uri[:300]!r} is not in the warehouse",
        hint="leave the location out: the server chooses one",
    )


def missing(uri: str) -> HeadwaterError:
    """The FILE_NOT_FOUND error for a URI."""
    return error(ErrorCode.FILE_NOT_FOUND, f"there is no file {uri[:300]!r}")


def taken(uri: str) -> HeadwaterError:
    """The INVALID_LOCATION error for a new file whose name is in use; files never change."""
    return error(ErrorCode.INVALID_LOCATION, f"there is already a file {uri[:300]!r}")


def disk_full(uri: str) -> HeadwaterError:
    """The DISK_FULL error for a file that could not be written."""
    return error(
        ErrorCode.DISK_FULL,
        f"no space left to write {uri[:300]!r}",
        hint="free some space and try again; nothing was changed",
    )


def _below(path: str, root: str) -> bool:
    return path == root or path.startswith(root.rstrip("/") + "/")


@contextlib.contextmanager
def _private_file(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _publish(temporary: Path, path: Path) -> None:
    """Gives a finished file its name, which must be free."""
    try:
        os.link(temporary, path)
    except OSError as exc:
        if exc.errno not in (errno.EPERM, errno.ENOTSUP, errno.EMLINK):
            raise
        # A file system without hard links: names are unique (UUIDs), so the check is enough.
        if path.exists():
            raise FileExistsError(errno.EEXIST, "exists", str(path)) from exc
        temporary.rename(path)


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _translated(uri: str) -> Iterator[None]:
    try:
        yield
    except FileExistsError as exc:
        raise taken(uri) from exc
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as exc:
        raise missing(uri) from exc
    except OSError as exc:
        _fail(uri, exc)


def _reraise(exc: OSError) -> None:
    if not isinstance(exc, FileNotFoundError):
        _fail(str(exc.filename), exc)


def _fail(uri: str, exc: OSError) -> NoReturn:
    if exc.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        raise disk_full(uri) from exc
    if exc.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        raise error(
            ErrorCode.HOME_NOT_WRITABLE,
            f"no permission for {uri[:300]!r}",
            hint="make the warehouse and everything in it readable and writable for this user",
        ) from exc
    raise error(
        ErrorCode.STORAGE_UNAVAILABLE,
        f"{uri[:300]!r} cannot be accessed: {os.strerror(exc.errno) if exc.errno else exc}",
        hint="check the disk or mount that holds the warehouse, then try again",
    ) from exc
