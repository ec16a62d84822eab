"""Grammar of the governance statements: roles, grants, denies, row filters, column masks."""

from __future__ import annotations

from headwater.errors import ErrorCode, error
from headwater.sql.statements import ParsedStatement
from headwater.sql.tokens import Cursor

_OBJECTS = (("ROLE",), ("USER",), ("SERVICE", "ACCOUNT"), ("ROW", "FILTER"), ("COLUMN", "MASK"))
_SHOWS = (
    ("GRANTS",), ("ROLES",), ("ROLE", "GRANTS"), ("CURRENT", "ROLES"), ("USERS",), ("POLICIES",),
)  # fmt: skip


def is_governance(cursor: Cursor) -> bool:
    """True when the statement at the cursor is one of governance; nothing is read."""
    if any(cursor.looking_at(word) for word in ("GRANT", "REVOKE", "DENY")):
        return True
    for verb in (("CREATE",), ("CREATE", "OR", "REPLACE"), ("DROP",), ("ALTER",)):
        if cursor.looking_at(*verb):
            for words in _OBJECTS:
                if cursor.looking_at(*words, ahead=len(verb)):
                    return True
    return cursor.looking_at("SHOW") and any(cursor.looking_at(*words, ahead=1) for words in _SHOWS)


def parse_governance(cursor: Cursor) -> ParsedStatement:
    """The governance statement at the cursor; SYNTAX_ERROR with a place and a hint."""
    raise error(
        ErrorCode.NOT_SUPPORTED,
        "governance statements are not supported",
        position=cursor.position,
    )
