"""Names of tables in paths and bodies, as SQL writes them: `sample.flights`, `"my schema".t`."""

from __future__ import annotations

import re

from headwater.errors import ErrorCode, error
from headwater.model.identifiers import CATALOG_NAME, TableIdentifier

_PART = re.compile(r'"((?:[^"]|"")+)"|([^".\s]+)')


def parts_of(text: str) -> tuple[str, ...]:
    """The parts of a dotted name, unquoted; raises INVALID_ARGUMENT."""
    found: list[str] = []
    at = 0
    while True:
        match = _PART.match(text, at)
        if match is None:
            break
        found.append(match[1].replace('""', '"') if match[1] is not None else match[2])
        at = match.end()
        if at == len(text):
            return tuple(found)
        if text[at] != ".":
            break
        at += 1
    raise error(
        ErrorCode.INVALID_ARGUMENT,
        f"{text!r} is not a name",
        hint='write schema.table; quote parts with odd characters: "my schema".table',
    )


def table_identifier(text: str) -> TableIdentifier:
    """The table that `[lake.]schema.table` names; more parts are levels of a nested schema."""
    found = parts_of(text)
    if len(found) > 2 and found[0] == CATALOG_NAME:
        found = found[1:]
    if len(found) < 2:
        raise error(
            ErrorCode.INVALID_ARGUMENT,
            f"{text!r} names no schema",
            hint="write schema.table",
        )
    levels = tuple(level for part in found[:-1] for level in part.split("."))
    return TableIdentifier(levels, found[-1])
