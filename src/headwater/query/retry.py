"""Runs a catalog change again when another commit came first."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from headwater.errors import ErrorCode, HeadwaterError

T = TypeVar("T")

COMMIT_ATTEMPTS = 8
"""How often a change is tried while other commits come first."""


def retrying(change: Callable[[], T], attempts: int = COMMIT_ATTEMPTS) -> T:
    """What `change` returns; it is called anew after COMMIT_CONFLICT, a limited number of times.

    Only that code says for certain that nothing was committed; any other error is passed on.
    """
    for attempt in range(1, attempts):
        try:
            return change()
        except HeadwaterError as exc:
            if exc.code is not ErrorCode.COMMIT_CONFLICT:
                raise
        time.sleep(random.uniform(0.5, 1.0) * min(1.0, 0.02 * 2**attempt))  # noqa: S311
    return change()
