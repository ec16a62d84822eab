"""What ran, for whom and at what cost: one row a statement, written at its start and at its end."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, Column, Float, Index, Table, Text, select

from headwater.errors import ErrorCode
from headwater.model.statement import QueryState
from headwater.query.afterwards import Afterwards
from headwater.query.query import Query
from headwater.store.database import Database
from headwater.store.metadata import JsonValue, metadata

query_history = Table(
    "query_history",
    metadata,
    Column("id", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("principal_id", Text, nullable=False),
    Column("principal_name", Text, nullable=False),
    Column("role", Text),
    Column("session_id", Text, nullable=False),
    Column("client", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("dialect", Text, nullable=False),
    Column("schema_name", Text),
    Column("text", Text, nullable=False),
    Column("update_type", Text),
    Column("engine", Text),
    Column("error_code", Text),
    Column("error_message", Text),
    Column("decisions", JsonValue, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("started_ms", BigInteger),
    Column("finished_ms", BigInteger),
    Column("cpu_seconds", Float, nullable=False),
    Column("peak_memory_bytes", BigInteger, nullable=False),
    Column("scanned_bytes", BigInteger, nullable=False),
    Column("scanned_rows", BigInteger, nullable=False),
    Column("result_rows", BigInteger, nullable=False),
    Column("result_bytes", BigInteger, nullable=False),
    Column("impersonator_id", Text),
    Column("impersonator_name", Text),
    Index("ix_query_history_principal_id_created_ms", "principal_id", "created_ms"),
    Index("ix_query_history_created_ms", "created_ms"),
    Index("ix_query_history_impersonator_id_created_ms", "impersonator_id", "created_ms"),
)
"""One statement; times in Unix milliseconds UTC, sizes in bytes; `text` without its literals."""


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One row of the history: its columns by name."""

    values: Mapping[str, Any]

    def __getitem__(self, column: str) -> Any:
        return self.values[column]


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds * 1000)


class History:
    """The table `query_history`; survives restarts.

    What is noted is written by `write`, which `afterwards` calls after each of its batches: a
    statement that began and ended within one batch costs a single row. Reading waits for it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._guard = threading.Lock()
        self._writing = threading.Lock()
        self._begun: dict[str, tuple[Query, str]] = {}
        self._ended: dict[str, Query] = {}
        self.afterwards = Afterwards(self.write)

    def recover(self) -> int:
        """Marks the statements that were running when the server died as failed; how many."""
        final = [state for state in QueryState if state.is_final]
        change = (
            query_history.update()
            .where(query_history.c.state.not_in(final))
            .values(
                state=QueryState.FAILED,
                error_code=ErrorCode.ENGINE_FAILED,
                error_message="the server stopped while the statement ran",
                finished_ms=_ms(time.time()),
            )
        )
        self.write()
        with self._database.write() as connection:
            return connection.execute(change).rowcount

    def started(self, query: Query, text: str) -> None:
        """Notes a statement's beginning, for its row's first form; `text` is already redacted."""
        with self._guard:
            self._begun[query.id] = (query, text)

    def ended(self, query: Query) -> None:
        """Notes a statement's end, for its row's final form."""
        with self._guard:
            self._ended[query.id] = query

    def write(self) -> None:
        """Writes what was noted, in one transaction; what the metastore refuses is lost."""
        with self._writing:
            with self._guard:
                begun, self._begun = self._begun, {}
                # An end is never written before its beginning, which may have been noted later.
                ended, self._ended = self._ended, {}
            if not begun and not ended:
                return
            new = [{**_row(query), "text": text} for query, text in begun.values()]
            changed = [_row(query) for name, query in ended.items() if name not in begun]
            with self._database.write() as connection:
                if new:
                    connection.execute(query_history.insert(), new)
                for row in changed:
                    key = query_history.c.id == row.pop("id")
                    connection.execute(query_history.update().where(key).values(**row))

    def entries(
        self,
        *,
        principal_id: str | None = None,
        state: str | None = None,
        since_ms: int | None = None,
        before_ms: int | None = None,
        text: str | None = None,
        principal_name: str | None = None,
        source: str | None = None,
        limit: int = 1000,
    ) -> list[HistoryEntry]:
        """The newest statements first; of one principal, or of all when `principal_id` is None.

        A principal's are those that ran with its rights, and those that it ran as somebody else.
        `text` is looked for in the statements without regard to case.
        """
        query = select(query_history).order_by(query_history.c.created_ms.desc()).limit(limit)
        if principal_id is not None:
            mine = query_history.c.principal_id == principal_id
            query = query.where(mine | (query_history.c.impersonator_id == principal_id))
        if text:
            query = query.where(query_history.c.text.icontains(text, autoescape=True))
        if principal_name is not None:
            query = query.where(query_history.c.principal_name == principal_name)
        if source is not None:
            query = query.where(query_history.c.source == source)
        if state is not None:
            query = query.where(query_history.c.state == state)
        if since_ms is not None:
            query = query.where(query_history.c.created_ms >= since_ms)
        if before_ms is not None:
            query = query.where(query_history.c.created_ms < before_ms)
        self.afterwards.flush()
        with self._database.read() as connection:
            rows = connection.execute(query).mappings()
            return [HistoryEntry(dict(row)) for row in rows]

    def entry(self, query_id: str) -> HistoryEntry | None:
        """The row of one statement."""
        query = select(query_history).where(query_history.c.id == query_id)
        self.afterwards.flush()
        with self._database.read() as connection:
            row = connection.execute(query).mappings().first()
        return None if row is None else HistoryEntry(dict(row))

    def forget(self, before_ms: int) -> int:
        """Deletes the rows of statements that ended before a time; how many."""
        change = query_history.delete().where(query_history.c.finished_ms < before_ms)
        with self._database.write() as connection:
            return connection.execute(change).rowcount


def _row(query: Query) -> dict[str, Any]:
    stats = query.stats()
    identity = query.session.identity
    return {
        "id": query.id,
        "state": query.outcome or query.state,
        "principal_id": identity.principal.id,
        "principal_name": identity.principal.name,
        "role": identity.role,
        "session_id": identity.session_id,
        "client": identity.client,
        "source": query.session.source,
        "dialect": query.session.dialect,
        "schema_name": query.session.schema,
        "update_type": query.update_type,
        "engine": query.engine,
        "error_code": query.error.code if query.error else None,
        "error_message": (query.kept_error or query.error.message) if query.error else None,
        "decisions": list(query.decisions),
        "created_ms": _ms(query.created),
        "started_ms": _ms(query.started),
        "finished_ms": _ms(query.finished),
        "cpu_seconds": stats.cpu_seconds,
        "peak_memory_bytes": stats.peak_memory_bytes,
        "scanned_bytes": stats.scanned_bytes,
        "scanned_rows": stats.scanned_rows,
        "result_rows": stats.result_rows,
        "result_bytes": stats.result_bytes,
        "impersonator_id": identity.impersonator.id if identity.impersonator else None,
        "impersonator_name": identity.impersonator.name if identity.impersonator else None,
    }
