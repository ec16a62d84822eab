"""Statements as the audit log keeps them: their hash, and their text without literals."""

from __future__ import annotations

import functools
import hashlib

from sqlglot.dialects import DuckDB
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import TokenType

_LONGEST = 20_000
_LITERALS = {
    TokenType.STRING,
    TokenType.NUMBER,
    TokenType.BIT_STRING,
    TokenType.HEX_STRING,
    TokenType.BYTE_STRING,
    TokenType.NATIONAL_STRING,
    TokenType.RAW_STRING,
    TokenType.HEREDOC_STRING,
    TokenType.UNICODE_STRING,
}


def statement_hash(text: str) -> str:
    """SHA-256, hex, of the statement's UTF-8 text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def redacted(text: str) -> str:
    """The statement with every literal as `?` and without comments, 20,000 characters at most.

    Values can be personal data. Text that is not SQL is not kept at all.
    """
    if len(text) > _LONGEST:
        return _redacted(text[:_LONGEST].rsplit(None, 1)[0]) + " …"
    return _redacted(text)


@functools.lru_cache(maxsize=64)
def _redacted(text: str) -> str:
    """The audit log and the history ask for the same statement's text, moments apart."""
    try:
        tokens = DuckDB().tokenize(text)
    except SqlglotError:
        return "(not SQL)"
    parts: list[str] = []
    end = -1
    for token in tokens:
        # What stands between two tokens is space and comments: of those, one space stays.
        if parts and token.start > end + 1:
            parts.append(" ")
        literal = token.token_type in _LITERALS
        parts.append("?" if literal else text[token.start : token.end + 1])
        end = token.end
    return "".join(parts)
