"""Reading and writing whole files on S3, with boto3, which is imported only here and when used."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NoReturn

from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.storage.credentials import S3Endpoint
from headwater.storage.fileio import FileInfo, disk_full, missing, outside, taken

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sts import STSClient

_ATTEMPTS = 8
_CONNECT_SECONDS = 3
_READ_SECONDS = 60
_CONNECTIONS = 32
_DELETE_BATCH = 1000
_GONE = {"NoSuchKey", "NoSuchBucket", "404", "NotFound"}
_FULL = {"XMinioStorageFull", "InsufficientStorage", "507", "QuotaExceeded"}


def s3_client(endpoint: S3Endpoint, *, attempts: int = _ATTEMPTS) -> S3Client:
    """A thread-safe S3 client; retries with backoff before it gives up on an endpoint."""
    client: S3Client = _session().client("s3", **_options(endpoint, attempts))
    return client


def sts_client(endpoint: S3Endpoint) -> STSClient:
    """A thread-safe client of the security token service behind the same endpoint."""
    client: STSClient = _session().client("sts", **_options(endpoint, _ATTEMPTS))
    return client


def _session() -> Any:
    try:
        import boto3
    except ImportError as exc:
        raise error(
            ErrorCode.STORAGE_UNAVAILABLE,
            "S3 storage needs a package that is not installed",
            hint="pip install 'headwater[s3]'",
        ) from exc
    # A session of its own: the default session is shared, and making clients in it is not safe.
    return boto3.session.Session()


def _options(endpoint: S3Endpoint, attempts: int) -> dict[str, Any]:
    from botocore.config import Config

    return {
        "endpoint_url": endpoint.url,
        "region_name": endpoint.region,
        "aws_access_key_id": endpoint.access_key_id,
        "aws_secret_access_key": endpoint.secret_access_key,
        "aws_session_token": endpoint.session_token,
        "config": Config(
            s3={"addressing_style": "path" if endpoint.path_style else "auto"},
            retries={"mode": "standard", "total_max_attempts": attempts},
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=_READ_SECONDS,
            max_pool_connections=_CONNECTIONS,
        ),
    }


class S3FileIO:
    """Files below one prefix of one bucket: `s3://bucket/prefix`."""

    def __init__(self, client: S3Client, root: str) -> None:
        self._client = client
        self._root = root.rstrip("/")
        self._bucket = root.removeprefix("s3://").partition("/")[0]

    def check(self, uri: str) -> None:
        """Raises INVALID_LOCATION for a URI that is not below the root."""
        self._key(uri)

    def read_bytes(self, uri: str) -> bytes:
        """The content of an object."""
        with translated(uri):
            return self._client.get_object(Bucket=self._bucket, Key=self._key(uri))["Body"].read()

    def read_end(self, uri: str, count: int) -> tuple[bytes, int]:
        """The last `count` bytes of an object, and its size."""
        with translated(uri):
            answer = self._client.get_object(
                Bucket=self._bucket, Key=self._key(uri), Range=f"bytes=-{count}"
            )
            data = answer["Body"].read()
        return data, int(answer.get("ContentRange", f"/{len(data)}").rpartition("/")[2])

    def write_bytes(self, uri: str, data: bytes) -> None:
        """Puts a new object; an existing one is never replaced."""
        key = self._key(uri)
        try:
            with translated(uri):
                self._client.put_object(Bucket=self._bucket, Key=key, Body=data, IfNoneMatch="*")
        except HeadwaterError as exc:
            # A retry after a lost answer meets the object that the first try has written.
            if exc.code is not ErrorCode.INVALID_LOCATION or self.read_bytes(uri) != data:
                raise

    def exists(self, uri: str) -> bool:
        """True when there is such an object."""
        try:
            with translated(uri):
                self._client.head_object(Bucket=self._bucket, Key=self._key(uri))
        except HeadwaterError as exc:
            if exc.code is ErrorCode.FILE_NOT_FOUND:
                return False
            raise
        return True

    def list(self, prefix: str) -> Iterator[FileInfo]:
        """Every object below a folder, in the order of their keys."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._key(prefix) + "/"
        )
        with translated(prefix):
            for page in pages:
                for found in page.get("Contents", ()):
                    yield FileInfo(
                        f"s3://{self._bucket}/{found['Key']}",
                        found["Size"],
                        int(found["LastModified"].timestamp() * 1000),
                    )

    def delete(self, uris: Iterable[str]) -> None:
        """Removes objects, a thousand a request; those that are not there are fine."""
        keys = iter([self._key(uri) for uri in uris])
        while batch := list(itertools.islice(keys, _DELETE_BATCH)):
            uri = f"s3://{self._bucket}/{batch[0]}"
            with translated(uri):
                answer = self._client.delete_objects(
                    Bucket=self._bucket,
                    Delete={"Objects": [{"Key": key} for key in batch], "Quiet": True},
                )
            failed = [
                problem for problem in answer.get("Errors", ()) if problem.get("Code") not in _GONE
            ]
            if failed:
                raise _unavailable(
                    f"{len(failed)} of {len(batch)} files could not be removed: "
                    f"{failed[0].get('Code')}"
                )

    def prepare_table(self, location: str) -> None:
        """Nothing: S3 has no folders; only checks the location."""
        self._key(location)

    def remove_location(self, location: str) -> None:
        """Removes every object below a location."""
        if location.rstrip("/") == self._root:
            raise error(ErrorCode.INVALID_LOCATION, "the warehouse itself cannot be removed")
        self.delete(found.uri for found in list(self.list(location)))

    def check_bucket(self) -> None:
        """Raises STORAGE_UNAVAILABLE when the bucket does not answer or is not there."""
        try:
            with translated(self._root):
                self._client.head_bucket(Bucket=self._bucket)
        except HeadwaterError as exc:
            if exc.code is not ErrorCode.FILE_NOT_FOUND:
                raise
            raise error(
                ErrorCode.STORAGE_UNAVAILABLE,
                f"there is no bucket {self._bucket!r}",
                hint="make the bucket, or name another by HEADWATER_S3__BUCKET",
            ) from exc

    def _key(self, uri: str) -> str:
        uri = uri.rstrip("/")
        if uri != self._root and not uri.startswith(self._root + "/"):
            raise outside(uri)
        key = uri.removeprefix(f"s3://{self._bucket}").removeprefix("/")
        if not uri.isprintable() or any(part in ("", ".", "..") for part in key.split("/")):
            raise outside(uri)
        return key


@contextlib.contextmanager
def translated(uri: str) -> Iterator[None]:
    """Turns boto's errors into ours; messages name the file and S3's code, never a key."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as exc:
        _fail(uri, exc.response.get("Error", {}).get("Code", "unknown"), exc)
    except BotoCoreError as exc:
        raise _unavailable(f"the storage does not answer: {type(exc).__name__}") from exc


def _fail(uri: str, code: str, exc: Exception) -> NoReturn:
    if code in _GONE:
        raise missing(uri) from exc
    if code in ("PreconditionFailed", "412", "ConditionalRequestConflict"):
        raise taken(uri) from exc
    if code in _FULL:
        raise disk_full(uri) from exc
    raise _unavailable(f"the storage refused {uri[:300]!r}: {code}") from exc


def _unavailable(message: str) -> HeadwaterError:
    return error(
        ErrorCode.STORAGE_UNAVAILABLE,
        message,
        hint="check the S3 endpoint, its keys and the network, then try again",
    )
