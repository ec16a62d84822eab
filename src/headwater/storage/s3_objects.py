"""Objects of buckets beside the warehouse: found and read, never written.

Which endpoint and keys reach a bucket is the server's setting, never the caller's: nobody can send
the server to a host of his own.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import IO, TYPE_CHECKING, NoReturn

from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.storage.credentials import S3Endpoint
from headwater.storage.fileio import FileInfo, missing
from headwater.storage.s3 import s3_client

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_ATTEMPTS = 3
_PIECE_BYTES = 1024 * 1024
_REFUSED = {"AccessDenied", "403", "Forbidden", "AllAccessDisabled", "AccountProblem"}
_KEYS = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"}
_GONE = {"NoSuchKey", "404", "NotFound"}
_ELSEWHERE = {"PermanentRedirect", "301", "AuthorizationHeaderMalformed"}


class S3Objects:
    """Reads `s3://bucket/key`: `places` has endpoints by location, `default` all others.

    The longest location that holds a URI counts. Raises STORAGE_UNAVAILABLE with what is wrong:
    no endpoint, no answer, keys or rights that do not do.
    """

    def __init__(
        self, default: S3Endpoint | None, places: Mapping[str, S3Endpoint] | None = None
    ) -> None:
        self._default = default
        self._places = {
            "s3://" + uri.partition("://")[2].rstrip("/"): endpoint
            for uri, endpoint in (places or {}).items()
        }
        self._lock = threading.Lock()
        self._clients: dict[S3Endpoint, S3Client] = {}

    def stat(self, uri: str) -> FileInfo | None:
        """The object of that very URI; None when there is none."""
        bucket, key = _split(uri)
        if not key:
            return None
        try:
            with _answers(uri):
                found = self._client(uri).head_object(Bucket=bucket, Key=key)
        except HeadwaterError as exc:
            if exc.code is ErrorCode.FILE_NOT_FOUND:
                return None
            raise
        return FileInfo(uri, found["ContentLength"], _millis(found["LastModified"].timestamp()))

    def below(self, folder: str, beginning: str = "") -> Iterator[FileInfo]:
        """Every object below a folder, at any depth, whose key goes on with `beginning` there.

        By whole components of the folder: `…/a` never lists `…/ab`. Markers of folders are left
        out.
        """
        bucket, key = _split(folder)
        prefix = f"{key}/{beginning}" if key else beginning
        with _answers(folder):
            pages = (
                self._client(folder)
                .get_paginator("list_objects_v2")
                .paginate(Bucket=bucket, Prefix=prefix)
            )
            for page in pages:
                for found in page.get("Contents", ()):
                    if not found["Key"].endswith("/"):
                        uri = f"s3://{bucket}/{found['Key']}"
                        modified = _millis(found["LastModified"].timestamp())
                        yield FileInfo(uri, found["Size"], modified)

    def children(self, folder: str, most: int) -> tuple[list[str], list[FileInfo]]:
        """The names of folders directly below one, and the objects; `most` of both."""
        bucket, key = _split(folder)
        prefix = f"{key}/" if key else ""
        folders: list[str] = []
        objects: list[FileInfo] = []
        with _answers(folder):
            pages = (
                self._client(folder)
                .get_paginator("list_objects_v2")
                .paginate(Bucket=bucket, Prefix=prefix, Delimiter="/")
            )
            for page in pages:
                folders += [
                    each["Prefix"].removeprefix(prefix).rstrip("/")
                    for each in page.get("CommonPrefixes", ())
                ]
                for found in page.get("Contents", ()):
                    if found["Key"] != prefix:
                        uri = f"s3://{bucket}/{found['Key']}"
                        modified = _millis(found["LastModified"].timestamp())
                        objects.append(FileInfo(uri, found["Size"], modified))
                if len(folders) + len(objects) >= most:
                    break
        return folders, objects

    def copy(self, uri: str, target: IO[bytes], heard: Callable[[int], None]) -> int:
        """Writes an object's bytes to a file, a megabyte at a time; how many there were.

        `heard` is told of each piece before it is written, and may raise. A connection that breaks
        is taken up where it broke, unless the object was changed meanwhile.
        """
        bucket, key = _split(uri)
        client = self._client(uri)
        done, tag = 0, ""
        while True:
            before = done
            try:
                with _answers(uri):
                    if done:
                        answer = client.get_object(
                            Bucket=bucket, Key=key, Range=f"bytes={done}-", IfMatch=tag
                        )
                    else:
                        answer = client.get_object(Bucket=bucket, Key=key)
                    tag = answer["ETag"]
                    for piece in answer["Body"].iter_chunks(_PIECE_BYTES):
                        heard(len(piece))
                        target.write(piece)
                        done += len(piece)
                return done
            except HeadwaterError as exc:
                if exc.code is not ErrorCode.STORAGE_UNAVAILABLE or done == before:
                    raise

    def _client(self, uri: str) -> S3Client:
        endpoint = self._endpoint(uri)
        with self._lock:
            client = self._clients.get(endpoint)
            if client is None:
                client = self._clients[endpoint] = s3_client(endpoint, attempts=_ATTEMPTS)
            return client

    def _endpoint(self, uri: str) -> S3Endpoint:
        holding = [place for place in self._places if (uri + "/").startswith(place + "/")]
        found = self._places[max(holding, key=len)] if holding else self._default
        if found is None:
            raise error(
                ErrorCode.STORAGE_UNAVAILABLE,
                f"this server has no keys for s3://{_split(uri)[0]}",
                hint="have HEADWATER_S3__ENDPOINT and its keys set, or HEADWATER_LOCATIONS",
            )
        return found


def _split(uri: str) -> tuple[str, str]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def _millis(seconds: float) -> int:
    return int(seconds * 1000)


@contextlib.contextmanager
def _answers(uri: str) -> Iterator[None]:
    """Turns boto's errors into ours: what is wrong and who can mend it, and never a key."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as exc:
        _fail(uri, str(exc.response.get("Error", {}).get("Code", "unknown")), exc)
    except BotoCoreError as exc:
        raise error(
            ErrorCode.STORAGE_UNAVAILABLE,
            f"the storage of s3://{_split(uri)[0]} does not answer: {type(exc).__name__}",
            hint="try again; if it stays so, have the S3 endpoint and the network checked",
        ) from exc


def _fail(uri: str, code: str, exc: Exception) -> NoReturn:
    bucket = f"s3://{_split(uri)[0]}"
    if code == "NoSuchBucket":
        raise error(
            ErrorCode.FILE_NOT_FOUND, f"there is no bucket {bucket}", hint="check its name"
        ) from exc
    if code in _GONE:
        raise missing(uri) from exc
    if code in _REFUSED:
        message = f"the storage does not let this server read {uri[:300]!r}: {code}"
        hint = "let the server's keys list and read it (s3:ListBucket, s3:GetObject)"
    elif code in _KEYS:
        message = f"the storage does not take this server's keys for {bucket}: {code}"
        hint = "have the keys checked: HEADWATER_S3__… or HEADWATER_LOCATIONS"
    elif code in _ELSEWHERE:
        message = f"{bucket} is in another region or at another endpoint: {code}"
        hint = "have its region set in HEADWATER_LOCATIONS"
    elif code in ("PreconditionFailed", "412"):
        message = f"{uri[:300]!r} was changed while it was read"
        hint = "load it again"
    else:
        message = f"the storage refused {uri[:300]!r}: {code}"
        hint = "have the S3 endpoint and its keys checked, then try again"
    raise error(ErrorCode.STORAGE_UNAVAILABLE, message, hint=hint) from exc
