"""What to try next: "did you mean" over visible names, and hints for syntax errors."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

_KEYWORDS = frozenset({
    "SELECT", "FROM", "WHERE", "GROUP", "ORDER", "BY", "HAVING", "LIMIT", "OFFSET", "JOIN",
    "LEFT", "RIGHT", "FULL", "INNER", "CROSS", "ON", "USING", "UNION", "INTERSECT", "EXCEPT",
    "WITH", "AS", "AND", "OR", "NOT", "IN", "BETWEEN", "LIKE", "IS", "NULL", "CASE", "WHEN",
    "THEN", "ELSE", "END", "DISTINCT", "INSERT", "INTO", "VALUES", "UPDATE", "SET", "DELETE",
    "MERGE", "CREATE", "TABLE", "VIEW", "SCHEMA", "DROP", "ALTER", "COLUMN", "RENAME", "TO",
    "EXISTS", "SHOW", "DESCRIBE", "EXPLAIN", "ANALYZE", "USE", "TRUNCATE", "GRANT", "REVOKE",
    "DENY", "COMMENT", "EXECUTE", "PREPARE", "DEALLOCATE", "RESET", "SESSION", "ROLE", "COMMIT",
    "ROLLBACK", "START", "TRANSACTION",
})  # fmt: skip


def did_you_mean(name: str, candidates: Iterable[str]) -> str | None:
    """`did you mean "region"?` for the nearest candidate, or None when nothing is near."""
    by_folded = {candidate.casefold(): candidate for candidate in candidates}
    near = get_close_matches(name.casefold(), by_folded, n=1, cutoff=0.6)
    return f'did you mean "{by_folded[near[0]]}"?' if near else None


def known_names(candidates: Iterable[str], limit: int = 12) -> str | None:
    """A short list of the names there are, for an error about a name that there is not."""
    names = list(dict.fromkeys(candidates))
    if not names:
        return None
    return ", ".join(names[:limit]) + (", …" if len(names) > limit else "")


def syntax_hint(found: str | None, expected: str = "") -> str | None:
    """A hint for a syntax error at a word: a misspelt keyword, or a missing end."""
    if found is None:
        return "the statement ends too early"
    if found.upper() in _KEYWORDS or not found.isalpha():
        return None
    near = get_close_matches(found.upper(), _KEYWORDS, n=1, cutoff=0.7)
    return f"did you mean {near[0]}?" if near else None
