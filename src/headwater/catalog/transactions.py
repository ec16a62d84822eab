"""The write transactions of the catalog, and what a failure in one means."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import sqlalchemy
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.store.database import Database

_ADVISORY_LOCK = 0x48_57_43_41


@contextlib.contextmanager
def catalog_write(database: Database) -> Iterator[Connection]:
    """A write transaction; changes of the catalog come one after the other on Postgres, too.

    So events are numbered in commit order, and a check of names and locations holds until the
    commit. Raises COMMIT_CONFLICT when another change came first, COMMIT_STATE_UNKNOWN when the
    connection broke while committing.
    """
    committing = False
    try:
        with database.write() as connection:
            if not database.is_sqlite:
                connection.execute(
                    sqlalchemy.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK}
                )
            yield connection
            committing = True
    except IntegrityError as exc:
        raise error(
            ErrorCode.COMMIT_CONFLICT, "a concurrent change came first", hint="try again"
        ) from exc
    except HeadwaterError as exc:
        if committing and exc.code is ErrorCode.METASTORE_UNAVAILABLE:
            raise error(
                ErrorCode.COMMIT_STATE_UNKNOWN,
                "the metastore stopped answering while the change was being committed",
                hint="load the object again to see whether the change took place",
            ) from exc
        raise
