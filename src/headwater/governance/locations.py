"""Locations of files outside the catalog: their one normal form, and what lies above each.

A location is a folder or object by its URI: `file:///data/in`, `s3://bucket/prefix`. A right on a
location holds for everything below it, by whole components of the path. Nothing is allowed by
default, and no right on the catalog, `ALL PRIVILEGES` included, is a right on files.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.governance.decide import Node, Path
from headwater.governance.resolve import CATALOG_NODE
from headwater.model.privilege import SecurableKind

SYSTEM_FOLDERS = (
    "/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/run", "/sbin", "/sys", "/usr",
    "/var/lib", "/var/log", "/var/run",
)  # fmt: skip
"""Folders of the machine itself: neither they nor what holds them can be a location."""

_S3 = re.compile(r"s3[an]?://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(/.*)?", re.DOTALL)
_LONGEST = 4096


def location_uri(text: str) -> str:
    """The normal form of a location, without a slash at its end; INVALID_LOCATION otherwise.

    `/data/in/` is `file:///data/in`. Nothing is repaired: relative paths, `.` and `..`, empty
    components, percent-encoding, wildcards, backslashes and control characters are refused.
    """
    bucket = _S3.fullmatch(text)
    if bucket is not None:
        scheme, path = f"s3://{bucket[1]}", bucket[2] or "/"
    elif text.startswith("file:"):
        scheme, path = "file://", text.removeprefix("file:")
        path = path.removeprefix("//") if path.startswith("///") else path
    else:
        scheme, path = "file://", text
    if path.endswith("/") and path != "/":
        path = path[:-1]
    components = path.split("/")[1:]
    if (
        not path.startswith("/")
        or len(text) > _LONGEST
        or (path != "/" and any(part in ("", ".", "..") for part in components))
        or any(ord(c) < 32 or c in "\\*?[]{}%\x7f" for c in path)
    ):
        raise _invalid(text)
    if path == "/":
        if scheme == "file://":
            raise _invalid(text)
        return scheme
    return scheme + path


def _invalid(text: str) -> HeadwaterError:
    return error(
        ErrorCode.INVALID_LOCATION,
        f"{text[:200]!r} is no location",
        hint="write '/absolute/folder' or 's3://bucket/prefix', without . and .., wildcards or %",
    )


def location_path(uri: str) -> Path:
    """A location and everything above it, innermost first, the catalog last."""
    root, _, rest = uri.partition("://")
    start, *parts = rest.split("/")
    names = [f"{root}://{start}"] if start else []
    for part in parts:
        names.append(f"{names[-1] if names else f'{root}://'}/{part}")
    return (
        *(
            Node(f"location:{name}", SecurableKind.LOCATION, f"location {name}")
            for name in reversed(names)
        ),
        CATALOG_NODE,
    )


def check_free(uri: str, taken: Iterable[str]) -> None:
    """Raises INVALID_LOCATION for a location inside or above a folder of the server's own.

    `taken` are local folders or URIs (the warehouse, the home); links are followed.
    """
    for each in (*taken, *SYSTEM_FOLDERS):
        other = each if "://" in each else f"file://{each}"
        for mine in {uri, _real(uri)}:
            for theirs in {other.rstrip("/"), _real(other.rstrip("/"))}:
                if _holds(mine, theirs) or _holds(theirs, mine):
                    raise error(
                        ErrorCode.INVALID_LOCATION,
                        f"{uri} cannot be a location: it holds, or lies in, a folder of the "
                        "server or of the machine",
                        hint="choose a folder of its own for files to exchange",
                    )


def _real(uri: str) -> str:
    if not uri.startswith("file://"):
        return uri
    return "file://" + os.path.realpath(uri.removeprefix("file://"))


def _holds(outer: str, inner: str) -> bool:
    return inner == outer or inner.startswith(outer + "/")
