"""Turns what raw JSON of the wrong shape does to code that reads it into a clear error."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from headwater.errors import ErrorCode, error


@contextlib.contextmanager
def well_formed(what: str) -> Iterator[None]:
    """Raises INVALID_ARGUMENT, naming `what` the client sent, for missing or mistyped members."""
    try:
        yield
    except (LookupError, TypeError, AttributeError, ValueError, RecursionError) as exc:
        raise error(
            ErrorCode.INVALID_ARGUMENT, f"{what} is malformed: {type(exc).__name__} {exc!s:.120}"
        ) from exc
