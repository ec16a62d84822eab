"""The files of linked tables: read below a connection's locations only, and checked before use."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from headwater.catalog.linked.definition import Connection, below
from headwater.catalog.linked.http import host_of
from headwater.catalog.linked.remote import RemoteTable, failure
from headwater.catalog.manifests import ManifestFile, read_manifest, read_manifest_list
from headwater.catalog.schema import Json, snapshot_by_id
from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.storage.credentials import EngineStorage, S3Endpoint
from headwater.storage.fileio import FILE_SCHEME, FileInfo, LocalFileIO, canonical

_CHECKED_KEPT = 50_000
_AT_ONCE = 8
_FOREVER_MS = 2**62
_RENEW_MS = 120_000
_PINNED_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys for the files below `prefix` on S3, good until `expires_at_ms`."""

    prefix: str
    endpoint: S3Endpoint
    expires_at_ms: int = _FOREVER_MS


class LinkedFiles:
    """The file access to one linked table: reading below the connection's locations, no more."""

    def __init__(self, connection: Connection, keys: Sequence[Keys]) -> None:
        self._connection = connection
        self._keys = keys
        self._lock = threading.Lock()
        self._opened: dict[str, LocalFileIO | Any] = {}

    def check(self, uri: Any) -> str:
        """The URI of a file that may be read; INVALID_LOCATION otherwise."""
        named = canonical(uri) if isinstance(uri, str) else ""
        try:
            self._holding(named).check(named)
        except HeadwaterError as exc:
            if exc.code is not ErrorCode.INVALID_LOCATION:
                raise
            raise error(
                ErrorCode.INVALID_LOCATION,
                f"connection {self._connection.name} names a file outside its locations: "
                f"{str(uri)[:300]!r}",
                hint="an administrator names the folders that it may be read from",
            ) from None
        return named

    def read_bytes(self, uri: str) -> bytes:
        """The content of a file."""
        named = self.check(uri)
        content: bytes = self._holding(named).read_bytes(named)
        return content

    def read_end(self, uri: str, count: int) -> tuple[bytes, int]:
        """The last `count` bytes of a file, and its size."""
        named = self.check(uri)
        found: tuple[bytes, int] = self._holding(named).read_end(named, count)
        return found

    def exists(self, uri: str) -> bool:
        """True when there is such a file."""
        named = self.check(uri)
        return bool(self._holding(named).exists(named))

    def list(self, prefix: str) -> Iterator[FileInfo]:
        """Refused: who needs a listing wants to remove something."""
        self._refuse()

    def write_bytes(self, uri: str, data: bytes) -> None:
        """Refused."""
        self._refuse()

    def delete(self, uris: Iterable[str]) -> None:
        """Refused."""
        self._refuse()

    def prepare_table(self, location: str) -> None:
        """Refused."""
        self._refuse()

    def remove_location(self, location: str) -> None:
        """Refused."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise error(
            ErrorCode.READ_ONLY_TABLE,
            f"the files of connection {self._connection.name} are only read",
        )

    def _holding(self, uri: str) -> Any:
        location = below(uri, self._connection.locations)
        if location is None:
            raise error(ErrorCode.INVALID_LOCATION, "outside")
        key = location
        if not location.startswith(FILE_SCHEME):
            key = below(uri, [each.prefix for each in self._keys]) or ""
        with self._lock:
            opened = self._opened.get(f"{location}\n{key}")
            if opened is None:
                opened = self._open(location, key)
                self._opened[f"{location}\n{key}"] = opened
        return opened

    def _open(self, location: str, prefix: str) -> Any:
        if location.startswith(FILE_SCHEME):
            return LocalFileIO(Path(location.removeprefix(FILE_SCHEME)))
        keys = next((each for each in self._keys if each.prefix == prefix), None)
        if keys is None:
            raise failure(
                self._connection.name,
                f"there are no keys for {location}: the catalog hands out none, and this server "
                "has no S3 of its own",
                hint="let the catalog vend credentials, or give the server S3 settings",
            )
        from headwater.storage.s3 import S3FileIO, s3_client

        return S3FileIO(s3_client(keys.endpoint), location)


def keys_of(connection: Connection, table: RemoteTable, own: EngineStorage) -> list[Keys]:
    """The keys for a table's files: those that the catalog handed out, else the server's own.

    Keys reach no further than the connection's locations. CONNECTION_FAILED for an endpoint that
    the catalog may not send us to.
    """
    found: list[Keys] = []
    for prefix, config in [*table.credentials, ("", table.config)]:
        if "s3.access-key-id" not in config or "s3.secret-access-key" not in config:
            continue
        base = {**table.config, **config}
        for location in connection.locations:
            held = _common(prefix or location, location)
            if held is not None and location.startswith("s3://"):
                found.append(_vended(connection, held, base))
    if not found and own.kind == "s3":
        endpoint = S3Endpoint(
            own.endpoint, own.region, own.access_key_id, own.secret_access_key, own.path_style
        )
        found = [Keys(each, endpoint) for each in connection.locations if each.startswith("s3://")]
    return sorted(found, key=lambda keys: -len(keys.prefix))


def _vended(connection: Connection, prefix: str, config: Mapping[str, str]) -> Keys:
    url = config.get("s3.endpoint") or None
    allowed = {host_of(connection.uri), host_of(connection.s3_endpoint)} - {""}
    if url is not None and not (
        url.startswith(("http://", "https://"))
        and (host_of(url) in allowed or host_of(url).endswith(".amazonaws.com"))
    ):
        raise failure(
            connection.name,
            f"it sends us to an S3 endpoint that nobody named: {url[:200]!r}",
            hint="name it as the connection's s3_endpoint",
        )
    region = config.get("s3.region") or config.get("client.region") or "us-east-1"
    expires = config.get("s3.session-token-expires-at-ms", "")
    return Keys(
        prefix,
        S3Endpoint(
            url,
            region,
            config["s3.access-key-id"],
            config["s3.secret-access-key"],
            config.get("s3.path-style-access", "true" if url else "false") == "true",
            config.get("s3.session-token") or None,
        ),
        int(expires) if expires.isascii() and expires.isdigit() else _FOREVER_MS,
    )


def _common(one: str, other: str) -> str | None:
    """The inner one of two folders of which one holds the other."""
    one, other = one.rstrip("/"), other.rstrip("/")
    if one == other or one.startswith(other + "/"):
        return one
    return other if other.startswith(one + "/") else None


def expires_soon(keys: Sequence[Keys]) -> bool:
    """True when keys must be asked for anew before a longer statement."""
    return any(each.expires_at_ms - _RENEW_MS < time.time() * 1000 for each in keys)


def check_named_files(files: LinkedFiles, metadata: Json) -> None:
    """Refuses metadata that names a location or manifest list outside the connection's own."""
    files.check(f"{str(metadata.get('location')).rstrip('/')}/metadata")
    for snapshot in metadata.get("snapshots") or ():
        for uri in (snapshot.get("manifest-list"), *(snapshot.get("manifests") or ())):
            if uri is not None:
                files.check(uri)


@dataclass(slots=True)
class Checked:
    """Manifest lists whose every file was found to lie where it may; they never change."""

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _known: OrderedDict[str, None] = field(default_factory=OrderedDict)

    def snapshot(self, scope: str, files: LinkedFiles, metadata: Json, snapshot_id: int) -> None:
        """Refuses a snapshot with any data or delete file outside the connection's locations.

        Our engine reads what manifests name, with whatever it can reach.
        """
        snapshot = snapshot_by_id(metadata, snapshot_id)
        if snapshot is None:
            return
        whole = f"{scope}\n{snapshot.get('manifest-list') or snapshot_id}"
        if self._has(whole):
            return
        manifests = [
            each
            for each in read_manifest_list(files, snapshot)
            if not self._has(f"{scope}\n{each.path}")
        ]
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="linked files") as pool:
            for path in pool.map(_checker(files), manifests):
                self._add(f"{scope}\n{path}")
        self._add(whole)

    def _has(self, key: str) -> bool:
        with self._lock:
            return key in self._known

    def _add(self, key: str) -> None:
        with self._lock:
            self._known[key] = None
            while len(self._known) > _CHECKED_KEPT:
                self._known.popitem(last=False)


def _checker(files: LinkedFiles) -> Callable[[ManifestFile], str]:
    def check(manifest: ManifestFile) -> str:
        files.check(manifest.path)
        for entry in read_manifest(files, manifest).entries:
            files.check(entry.path)
            if entry.file.get("referenced_data_file"):
                files.check(entry.file["referenced_data_file"])
        return manifest.path

    return check


class Pins:
    """Metadata as it was checked, in files of our own: an engine reads these and no others.

    What a linked table's own metadata file says may differ from what its catalog answered.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for leftover in folder.iterdir():
            self.forget(leftover.name)

    def folder(self, table_uuid: str) -> Path:
        """Where a table's pinned metadata lies."""
        return self._folder / table_uuid

    def pin(self, table_uuid: str, metadata_json: bytes) -> str:
        """The URI of a file with this metadata; ones of an hour ago go."""
        folder = self.folder(table_uuid)
        path = folder / f"{hashlib.sha256(metadata_json).hexdigest()[:40]}.metadata.json"
        if path.exists():
            os.utime(path)
        else:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            old = time.time() - _PINNED_SECONDS
            for each in folder.iterdir():
                if each.stat().st_mtime < old:
                    each.unlink(missing_ok=True)
            temporary = path.with_suffix(f".{threading.get_ident()}.tmp")
            temporary.write_bytes(metadata_json)
            temporary.replace(path)
        return FILE_SCHEME + str(path)

    def forget(self, table_uuid: str) -> None:
        """Removes a table's pinned metadata."""
        folder = self.folder(table_uuid)
        if folder.is_dir():
            for each in folder.iterdir():
                each.unlink(missing_ok=True)
            folder.rmdir()
