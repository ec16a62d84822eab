"""Audit events that go into the very transaction of the change that they allowed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from headwater.errors import ErrorCode, HeadwaterError
from headwater.governance.audit import AuditLog


@contextlib.contextmanager
def sealed_by(
    audit: AuditLog, events: Sequence[Mapping[str, Any]]
) -> Iterator[Callable[[Connection], None]]:
    """Gives the block what writes the events, to be called once in each transaction that it tries.

    Events of transactions that failed, and of a block without any, are written when it ends. So the
    change is never there without its decisions, and no decision is left out. Not for changes that
    bump the policy epoch: they lock it before the audit chain, as all others do.
    """
    carried = False

    def write(connection: Connection) -> None:
        nonlocal carried
        audit.append(connection, events)
        carried = True

    try:
        yield write
    except BaseException as failure:
        if isinstance(failure, HeadwaterError) and failure.code is ErrorCode.COMMIT_STATE_UNKNOWN:
            # They are there if the change is; a metastore that is gone takes none just now.
            with contextlib.suppress(HeadwaterError):
                audit.write_missing(events)
        else:
            audit.write(events)
        raise
    if not carried:
        audit.write(events)
