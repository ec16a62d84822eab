"""The metadata database: transactions on SQLite and Postgres, and the errors they turn into."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import sqlalchemy
from sqlalchemy import Connection, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DatabaseError, OperationalError, SQLAlchemyError

from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.store.prepared import Prepared

T = TypeVar("T")

_BUSY_SECONDS = 30.0
_CACHE = -16384
_LOG_BYTES = 4_300_000
"""SQLite empties the log after 1,000 pages of 4 KiB, a little later with a large transaction."""

_CONNECT_ATTEMPTS = 3
_SERIALIZATION_FAILURES = {"40001", "40P01"}


class Database:
    """The one metadata database.

    `read()` and `write()` are transactions: commit on success, roll back on any exception. On
    SQLite there is one writer at a time: `write()` takes the write lock at its start (BEGIN
    IMMEDIATE), so a transaction never fails half-way for a lock; keep write transactions short and
    do no file or network I/O inside.
    """

    def __init__(self, url: str) -> None:
        self.url = make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._writer = threading.Lock()
        self.engine = _engine(self.url, self.is_sqlite)
        self._readers: deque[sqlite3.Connection] = deque()
        self._before_close: list[Callable[[], None]] = []

    def reserve_log(self) -> None:
        """Gives SQLite's write-ahead log the size that it grows to; call once at the start.

        A commit that makes a file longer waits for the file system's journal, and with it for the
        writes of everybody else: 3 ms at the median on a busy disk, 0.1 ms once the log has its
        size. Pages that a rolled-back transaction spills lengthen the log and change nothing else.
        """
        if not self.is_sqlite:
            return
        with _translated():
            reader = self._new_reader()
            reader.execute("PRAGMA cache_size=10")
            reader.execute("BEGIN IMMEDIATE")
            try:
                reader.execute("CREATE TABLE reserved (content)")
                reader.execute("INSERT INTO reserved VALUES (zeroblob(?))", [_LOG_BYTES])
            finally:
                reader.execute("ROLLBACK")
            reader.execute(f"PRAGMA cache_size={_CACHE}")
        # SQLite removes the log when the last connection closes: this one stays.
        self._readers.append(reader)

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads; sees one consistent state."""
        with _translated(), self.engine.connect() as connection, connection.begin():
            yield connection

    def rows(self, statement: Prepared, **parameters: Any) -> Sequence[Sequence[Any]]:
        """What one read finds, as committed now; much cheaper than `read` on SQLite."""
        if not self.is_sqlite:
            with self.read() as connection:
                return statement.rows(connection, parameters)
        with _translated():
            try:
                reader = self._readers.pop()
            except IndexError:
                reader = self._new_reader()
            try:
                found = statement.driver_rows(reader, parameters)
            except BaseException:
                reader.close()
                raise
            self._readers.append(reader)
        return found

    def _new_reader(self) -> sqlite3.Connection:
        pooled = self.engine.raw_connection()
        reader = pooled.driver_connection
        pooled.detach()
        assert isinstance(reader, sqlite3.Connection)
        return reader

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that may write."""
        # Threads of this process queue here instead of on SQLite's lock, which polls.
        gate: contextlib.AbstractContextManager[Any] = (
            self._writer if self.is_sqlite else contextlib.nullcontext()
        )
        with gate, _translated(), self.engine.connect() as connection:
            connection = connection.execution_options(headwater_write=True)
            with connection.begin():
                yield connection

    def retrying(self, work: Callable[[Connection], T], attempts: int = 5) -> T:
        """Runs `work` in a write transaction, again when Postgres reports a serialization failure.

        `work` must have no effect outside the database.
        """
        for attempt in range(attempts):
            try:
                with self.write() as connection:
                    return work(connection)
            except HeadwaterError as exc:
                last = attempt == attempts - 1
                if exc.code is not ErrorCode.COMMIT_CONFLICT or last:
                    raise
                time.sleep(0.01 * 2**attempt)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def ping(self) -> None:
        """Raises METASTORE_UNAVAILABLE, after three tries, when the database does not answer."""
        for attempt in range(_CONNECT_ATTEMPTS):
            try:
                with self.read() as connection:
                    connection.execute(sqlalchemy.text("SELECT 1"))
                return
            except HeadwaterError:
                if attempt == _CONNECT_ATTEMPTS - 1:
                    raise
                time.sleep(0.2 * 2**attempt)

    def before_close(self, work: Callable[[], None]) -> None:
        """Has `close` call something that still needs the database."""
        self._before_close.append(work)

    def close(self) -> None:
        """Closes all connections."""
        for work in self._before_close:
            work()
        while self._readers:
            self._readers.pop().close()
        self.engine.dispose()


def _engine(url: sqlalchemy.URL, is_sqlite: bool) -> sqlalchemy.Engine:
    if not is_sqlite:
        return sqlalchemy.create_engine(
            url,
            pool_pre_ping=True,
            pool_size=10,
            max_overflow=20,
            connect_args={"connect_timeout": 5},
        )
    engine = sqlalchemy.create_engine(
        url,
        connect_args={"timeout": _BUSY_SECONDS, "check_same_thread": False},
        pool_size=10,
        max_overflow=30,
    )

    @event.listens_for(engine, "connect")
    def configure(dbapi: sqlite3.Connection, _record: object) -> None:
        # We emit BEGIN ourselves; the driver's own transaction handling would start them too late.
        dbapi.isolation_level = None
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "temp_store=MEMORY",
            f"cache_size={_CACHE}",
        ):
            dbapi.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        write = connection.get_execution_options().get("headwater_write", False)
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        driver.execute("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Turns the driver's failures into ours; integrity errors pass: the caller knows them."""
    try:
        yield
    except sqlalchemy.exc.IntegrityError:
        raise
    except sqlite3.IntegrityError as exc:
        # From a prepared statement, which SQLAlchemy has not seen.
        raise sqlalchemy.exc.IntegrityError(None, None, exc) from exc
    except sqlite3.Error as exc:
        raise _translate(exc) from exc
    except (OperationalError, DatabaseError) as exc:
        raise _translate(exc.orig or exc) from exc
    except SQLAlchemyError as exc:
        if isinstance(exc, sqlalchemy.exc.TimeoutError):
            raise error(
                ErrorCode.METASTORE_UNAVAILABLE,
                "the metastore has no free connection",
                hint="try again; if it lasts, look for a stuck request in the server's log",
            ) from exc
        raise


def _translate(exc: BaseException) -> HeadwaterError:
    text = str(exc).splitlines()[0] if str(exc) else type(exc).__name__
    if getattr(exc, "sqlstate", None) in _SERIALIZATION_FAILURES:
        return error(ErrorCode.COMMIT_CONFLICT, "a concurrent change came first", hint="try again")
    if "malformed" in text or "not a database" in text:
        return error(
            ErrorCode.METASTORE_CORRUPT,
            f"the metastore is damaged: {text}",
            hint="stop the server and restore metastore.db from a backup; nothing was changed",
        )
    if "disk is full" in text or "disk I/O error" in text:
        return error(
            ErrorCode.DISK_FULL,
            "the metastore cannot be written: the disk is full",
            hint="free some space and try again; nothing was changed",
        )
    if "readonly database" in text:
        return error(
            ErrorCode.HOME_NOT_WRITABLE,
            "the metastore is read-only",
            hint="make the home and everything in it writable for this user",
        )
    return error(
        ErrorCode.METASTORE_UNAVAILABLE,
        f"the metastore does not answer: {text}",
        hint="check that the database runs and that --metastore names it; then try again",
    )
