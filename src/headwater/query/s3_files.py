"""Files of granted S3 locations: found by name, folder or pattern.

A key is what it is: nothing in it is resolved. Keys that no location can name (`.`, `..`, empty
parts, control characters) are refused and not skipped: whoever loads a folder wants all of it.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from headwater.errors import ErrorCode, error
from headwater.governance.locations import location_uri
from headwater.storage.fileio import FileInfo
from headwater.storage.s3_objects import S3Objects

WILD = frozenset("*?[")
"""Characters that make a part of a path a pattern."""

MOST_LISTED = 100_000
"""Objects or files that one path may make us look at."""

_HIDDEN = ("_", ".")
_S3 = re.compile(r"s3[an]?://")

Permit = Callable[[str], None]
"""Raises PERMISSION_DENIED when a URI may not be read."""


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file of a location: its URI, its name below what was asked for, its size."""

    uri: str
    name: str
    bytes: int


def is_s3(path: str) -> bool:
    """True for a path on S3, in any of the ways that clients write it."""
    return _S3.match(path) is not None


def split_pattern(path: str) -> tuple[str, str | None]:
    """The folder before a path's first wildcard, and the pattern below it; None without one."""
    parts = path.split("/")
    wild = next((i for i, part in enumerate(parts) if WILD & set(part)), None)
    if wild is None:
        return path, None
    below = parts[wild:]
    if any(part in ("", ".", "..") for part in below):
        raise error(ErrorCode.INVALID_LOCATION, f"{path[:200]!r} is no path")
    return "/".join(parts[:wild]), "/".join(below)


def matches(pattern: str, name: str) -> bool:
    """A relative name against a pattern: `*`, `?`, `[…]` within a part, `**` for any folders.

    Parts that begin with `_` or `.` want a pattern that begins so, as in a shell.
    """
    parts = pattern.split("/")
    states = _skipping(parts, {0})
    for name_part in name.split("/"):
        reached = set()
        for state in states:
            part = parts[state] if state < len(parts) else None
            if part == "**" and not name_part.startswith(_HIDDEN):
                reached.add(state)
            elif (
                part is not None
                and (part.startswith(_HIDDEN) or not name_part.startswith(_HIDDEN))
                and fnmatch.fnmatchcase(name_part, part)
            ):
                reached.add(state + 1)
        states = _skipping(parts, reached)
    return len(parts) in states


def _skipping(parts: list[str], states: set[int]) -> set[int]:
    """The states, and those behind a `**` that stands for no folder."""
    found = set(states)
    for state in sorted(states):
        while state < len(parts) and parts[state] == "**":
            state += 1
            found.add(state)
    return found


def is_hidden(name: str) -> bool:
    """True for what Spark and Hive leave beside data: a part that begins with `_` or `.`."""
    return any(part.startswith(_HIDDEN) for part in name.split("/"))


def find(objects: S3Objects, path: str, permit: Permit) -> list[FoundFile]:
    """The objects that a path stands for: one, all of a folder, or those of a pattern.

    The folder was permitted; `permit` is asked for each object. Raises FILE_NOT_FOUND for none.
    """
    folder, pattern = split_pattern(path)
    uri = location_uri(folder)
    if pattern is None and not folder.endswith("/"):
        found = objects.stat(uri)
        if found is not None:
            permit(uri)
            return [FoundFile(uri, uri.rpartition("/")[2], found.size)]
    files = []
    for each, name in _below(objects, uri, pattern):
        permit(each.uri)
        files.append(FoundFile(each.uri, name, each.size))
    if not files:
        what = "nothing below" if pattern is None else "no file that matches"
        raise error(
            ErrorCode.FILE_NOT_FOUND, f"there is {what} {path[:200]!r}", hint="check its spelling"
        )
    return sorted(files, key=lambda file: file.uri)


def _below(objects: S3Objects, folder: str, pattern: str | None) -> Iterator[tuple[FileInfo, str]]:
    beginning = "" if pattern is None else re.split(r"[*?[]", pattern, maxsplit=1)[0]
    for count, each in enumerate(objects.below(folder, beginning)):
        if count == MOST_LISTED:
            raise error(
                ErrorCode.EXCEEDED_RESULT_SIZE,
                f"{folder[:200]!r} holds more than {MOST_LISTED:,} objects",
                hint="name a folder further down, or a pattern that begins with more letters",
            )
        name = each.uri.removeprefix(folder + "/")
        if pattern is None:
            if not is_hidden(name):
                yield each, _plain(folder, name)
        elif matches(pattern, name):
            yield each, _plain(folder, name)


def _plain(folder: str, name: str) -> str:
    if any(part in ("", ".", "..") for part in name.split("/")) or not name.isprintable():
        raise error(
            ErrorCode.INVALID_LOCATION,
            f"{folder[:200]!r} holds an object with a name that is no path: {name[:100]!r}",
            hint="rename it, or name the others by a pattern",
        )
    return name
