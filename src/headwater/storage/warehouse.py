"""Which locations a table may have: below the warehouse's root, and in no other table's.

Location checks are a security boundary: a location that escapes lets a client read or overwrite
another table through the server's own credentials, or get credentials for it. So nothing is
repaired: a location either is in the one normal form, in a small alphabet, or it is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.storage.fileio import FileIO, canonical, outside

PATH_PROPERTIES = (
    "write.data.path",
    "write.metadata.path",
    "write.object-storage.path",
    "write.folder-storage.path",
)
"""Table properties that send a writer's files elsewhere (Iceberg docs, "Write properties")."""

_SEGMENT = re.compile(r"[A-Za-z0-9_=-][A-Za-z0-9._=-]*", re.ASCII)
# Printable ASCII: DuckDB 1.5.5 cannot delete rows of a table below any other path ("Invalid byte
# encountered in STRING -> BLOB conversion").
_ROOT = re.compile(r"(?:file:///|s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](?:/|\Z))[ -~]*")
_UNSAFE = frozenset("%*?[]{}$\\\"'`#<>|^~\x7f")
_LONGEST = 1024


class Warehouse:
    """A root URI and the file access to it.

    `root` has no trailing slash. Identifiers never enter a path: a table lives in `<root>/<uuid>`.
    """

    def __init__(self, root: str, io: FileIO) -> None:
        root = root.rstrip("/")
        path = root.partition("://")[2]
        if not _ROOT.fullmatch(root) or _UNSAFE & set(root) or _has_dots_or_gaps(path):
            raise error(
                ErrorCode.INVALID_LOCATION,
                f"{root!r} cannot be a warehouse",
                hint="choose a home (or bucket and prefix) in ASCII, without wildcards or quotes",
            )
        self.root = root
        self.io = io

    def new_location(self, table_uuid: str) -> str:
        """The location of a new table or view: `<root>/<uuid>`."""
        return self.check(f"{self.root}/{table_uuid}")

    def check(self, location: str) -> str:
        """The location in its normal form (no trailing slash); INVALID_LOCATION when not allowed.

        Allowed is the root followed by at least one segment of ASCII letters, digits and `._=-`,
        none of which starts with a dot. Everything else is refused unseen: `..`, empty segments,
        percent-encoding, backslashes, wildcards, quotes, control characters, other scheme or root.
        """
        if not isinstance(location, str) or len(location) > _LONGEST:
            raise outside(str(location))
        inner = location[len(self.root) + 1 :]
        inner = inner[:-1] if inner.endswith("/") else inner
        if not location.startswith(self.root + "/") or not all(
            _SEGMENT.fullmatch(segment) for segment in inner.split("/")
        ):
            raise outside(location)
        return f"{self.root}/{inner}"

    def check_inside(self, location: str, uri: str) -> str:
        """The file's URI, when it is a file below a table's location; else INVALID_LOCATION.

        For files that writers name (data files, manifests, statistics): their names may hold any
        printable character, as partition values do, since nobody matches them as a pattern.
        """
        named = canonical(uri) if isinstance(uri, str) else ""
        inner = named[len(location) + 1 :]
        if (
            not isinstance(uri, str)
            or len(uri) > 4 * _LONGEST
            or not named.startswith(location + "/")
            or "\\" in inner
            or not inner.isprintable()
            or any(segment in ("", ".", "..") for segment in inner.split("/"))
        ):
            raise outside(str(uri))
        return uri

    def check_table(
        self,
        metadata: Mapping[str, Any],
        location_of_others: Iterable[str] = (),
        *,
        base: Mapping[str, Any] | None = None,
    ) -> None:
        """Refuses metadata whose files could lie outside the table's own location.

        Looks at `location`, the four path properties, and every file that the metadata names
        (manifest lists, statistics, older metadata files); `location_of_others` are the locations
        of the catalog's other tables and views: none may contain the other. Raises
        INVALID_LOCATION. What `base` names, an earlier state of the table at the same location, was
        checked when it came.
        """
        location = self.check(metadata.get("location", ""))
        for other in location_of_others:
            if overlap(location, other):
                raise _overlapping(location)
        properties = metadata.get("properties") or {}
        for name in PATH_PROPERTIES:
            if name in properties and not _within(self.check(properties[name]), location):
                raise error(
                    ErrorCode.INVALID_LOCATION,
                    f"{name} is not inside the table's location",
                    hint="leave the property out, or name a folder below the table's location",
                )
        known: set[Any] = set()
        if base is not None and base.get("location") == metadata.get("location"):
            known.update(uri for uri in _files_named_in(base) if isinstance(uri, str))
        for uri in _files_named_in(metadata):
            if not isinstance(uri, str) or uri not in known:
                self.check_inside(location, uri)

    def ancestors(self, location: str) -> tuple[str, ...]:
        """The location and every folder above it below the root: what an overlap query looks up."""
        segments = self.check(location)[len(self.root) + 1 :].split("/")
        return tuple(
            "/".join((self.root, *segments[: count + 1])) for count in range(len(segments))
        )


def overlap(one: str, other: str) -> bool:
    """True when two locations are equal or one lies below the other."""
    return _within(one, other) or _within(other, one)


def _within(inner: str, outer: str) -> bool:
    return inner == outer or inner.startswith(outer.rstrip("/") + "/")


def _has_dots_or_gaps(path: str) -> bool:
    return "//" in path or bool({".", ".."} & set(path.split("/")))


def _files_named_in(metadata: Mapping[str, Any]) -> Iterable[str]:
    for snapshot in metadata.get("snapshots") or ():
        if "manifest-list" in snapshot:
            yield snapshot["manifest-list"]
        yield from snapshot.get("manifests") or ()
    for kind in ("statistics", "partition-statistics"):
        for statistics in metadata.get(kind) or ():
            yield statistics["statistics-path"]
    for entry in metadata.get("metadata-log") or ():
        yield entry["metadata-file"]


def _overlapping(location: str) -> HeadwaterError:
    return error(
        ErrorCode.INVALID_LOCATION,
        f"{location!r} overlaps with the location of another table",
        hint="leave the location out: the server chooses one",
    )
