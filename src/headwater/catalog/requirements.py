"""The requirements of a commit (Iceberg REST spec: TableRequirement, ViewRequirement)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from headwater.errors import ErrorCode, HeadwaterError, error

_COUNTERS = {
    # requirement: (its own field, the metadata's field, what a person calls it)
    "assert-last-assigned-field-id": (
        "last-assigned-field-id",
        "last-column-id",
        "last assigned field id",
    ),
    "assert-current-schema-id": ("current-schema-id", "current-schema-id", "current schema id"),
    "assert-last-assigned-partition-id": (
        "last-assigned-partition-id",
        "last-partition-id",
        "last assigned partition id",
    ),
    "assert-default-spec-id": ("default-spec-id", "default-spec-id", "default spec id"),
    "assert-default-sort-order-id": (
        "default-sort-order-id",
        "default-sort-order-id",
        "default sort order id",
    ),
}


def check_requirements(
    metadata: Mapping[str, Any] | None, requirements: Iterable[Mapping[str, Any]]
) -> None:
    """Raises COMMIT_CONFLICT for the first requirement that the metadata (None: no such table)
    does not meet, INVALID_ARGUMENT for one that does not exist.
    """
    for requirement in requirements:
        kind = requirement.get("type")
        if not isinstance(kind, str):
            raise error(ErrorCode.INVALID_ARGUMENT, "a requirement must have a type")
        if kind == "assert-create":
            if metadata is not None:
                raise _failed("table already exists")
        elif kind in ("assert-table-uuid", "assert-view-uuid"):
            key = "table-uuid" if kind == "assert-table-uuid" else "view-uuid"
            found = None if metadata is None else metadata.get(key)
            asked = str(requirement.get("uuid"))
            if found is None or str(found).lower() != asked.lower():
                raise _failed(f"UUID does not match: expected {asked[:64]}, found {found}")
        elif kind == "assert-ref-snapshot-id":
            _check_ref(metadata, requirement)
        elif kind in _COUNTERS:
            own, theirs, called = _COUNTERS[kind]
            found = None if metadata is None else metadata.get(theirs)
            wanted = requirement.get(own)
            if metadata is None or found != wanted:
                raise _failed(f"{called} has changed: expected {wanted}, found {found}")
        else:
            raise error(ErrorCode.INVALID_ARGUMENT, f"unknown requirement {str(kind)[:80]!r}")


def _check_ref(metadata: Mapping[str, Any] | None, requirement: Mapping[str, Any]) -> None:
    ref, wanted = requirement.get("ref"), requirement.get("snapshot-id")
    if not isinstance(ref, str):
        raise error(ErrorCode.INVALID_ARGUMENT, "a requirement on a ref must name it")
    if wanted == -1:
        # Some clients write "no snapshot" as the -1 of format versions 1 and 2.
        wanted = None
    found = ((metadata or {}).get("refs") or {}).get(ref)
    if found is None:
        if wanted is not None:
            raise _failed(f"branch or tag {ref} is missing, expected {wanted}")
    elif wanted is None:
        raise _failed(f"{found.get('type', 'branch')} {ref} was created concurrently")
    elif found["snapshot-id"] != wanted:
        raise _failed(
            f"{found.get('type', 'branch')} {ref} has changed: "
            f"expected id {wanted}, found {found['snapshot-id']}"
        )


def is_create(requirements: Iterable[Mapping[str, Any]]) -> bool:
    """True when the commit makes a table that must not exist yet."""
    return any(requirement.get("type") == "assert-create" for requirement in requirements)


def _failed(message: str) -> HeadwaterError:
    return error(
        ErrorCode.COMMIT_CONFLICT,
        f"Requirement failed: {message}",
        hint="load the table again and retry the change",
    )
