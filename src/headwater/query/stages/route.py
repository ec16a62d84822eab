"""Stage 5: chooses who runs the statement: the engine, or the server itself for definitions."""

from __future__ import annotations

from headwater.errors import ErrorCode, error
from headwater.query.work import Work


def route(work: Work) -> Work:
    """The same work, checked to have exactly one way to run.

    There is one engine; another one is chosen here, by its capabilities, when it comes.
    """
    if (work.tree is None) == (work.task is None):
        raise error(ErrorCode.INTERNAL_ERROR, "a statement has no way to run, or two")
    return work
