"""Which names tables, views and namespaces may have, and how they compare."""

from __future__ import annotations

import unicodedata

from headwater.errors import ErrorCode, error
from headwater.model.identifiers import Namespace

SEPARATOR = "\x1f"
"""Joins the levels of a namespace, in the metastore as in the URLs of Iceberg REST."""

_FORBIDDEN = frozenset('/\\:*?"<>|#+`')
_LONGEST = 255


def check_name(name: object, kind: str) -> str:
    """The name itself when it is allowed for a `kind` ("table", "view"); else INVALID_ARGUMENT.

    Forbidden are control and format characters, path and wildcard characters, `.` and `..`, white
    space at an edge, the empty name, and more than 255 characters.
    """
    if not isinstance(name, str):
        raise error(ErrorCode.INVALID_ARGUMENT, f"a {kind} name must be a string")
    problem = _problem(name)
    if problem:
        raise error(
            ErrorCode.INVALID_ARGUMENT,
            f"invalid {kind} name {name[:_LONGEST]!r}: {problem}",
            hint="use letters, digits, spaces inside, and _ - . $ @ and the like",
        )
    return name


def check_namespace(namespace: Namespace) -> Namespace:
    """The namespace itself when each level is an allowed name; SQL joins levels by dots, so none
    may hold one.
    """
    if not namespace:
        raise error(ErrorCode.INVALID_ARGUMENT, "a namespace must have at least one level")
    for level in namespace:
        check_name(level, "namespace")
        if "." in level:
            raise error(
                ErrorCode.INVALID_ARGUMENT,
                f"invalid namespace name {level!r}: it contains a dot",
                hint="a dot separates levels; create the outer namespace, then the inner one",
            )
    return namespace


def fold(name: str) -> str:
    """The form under which two names are the same to SQL: case does not count."""
    return unicodedata.normalize("NFC", name).casefold()


def namespace_key(namespace: Namespace) -> str:
    """The namespace as one string, levels joined by the unit separator."""
    return SEPARATOR.join(namespace)


def namespace_of(key: str) -> Namespace:
    """The namespace that `namespace_key` wrote."""
    return tuple(key.split(SEPARATOR))


def _problem(name: str) -> str | None:
    if not name:
        return "it is empty"
    if len(name) > _LONGEST:
        return f"it is longer than {_LONGEST} characters"
    if name in (".", ".."):
        return "it means a folder"
    if name != name.strip():
        return "it starts or ends with white space"
    for character in name:
        if character in _FORBIDDEN:
            return f"it contains {character}"
        if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
            return f"it contains the control character U+{ord(character):04X}"
    return None
