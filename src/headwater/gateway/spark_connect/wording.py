"""SQL text looked through for words, in a time that grows with its length and no faster.

A user's text must not keep the server busy: Python holds its lock while a pattern is looked for,
and a pattern with `.*` between two words takes the square of the text's length, or more.
"""

from __future__ import annotations

import re

LONGEST = 128 * 1024
"""Characters of a text that is looked through; nobody writes longer ones by hand."""

_SPACE = re.compile(r"\s+")


def looked_through(text: str) -> str | None:
    """The text with one space for each run of white space; None when it is too long for that."""
    return None if len(text) > LONGEST else _SPACE.sub(" ", text)


def in_order(text: str, first: re.Pattern[str], then: re.Pattern[str]) -> bool:
    """True when something that `then` matches comes after something that `first` matches."""
    found = first.search(text)
    return found is not None and then.search(text, found.end()) is not None
