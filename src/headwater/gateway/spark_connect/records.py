"""Operations on user processes in the query history: one row for each attempt on an engine.

An operation that falls back has two: the attempt on Sail, failed with what Sail lacks, and the one
on Spark.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Iterator
from typing import Any

from headwater.engines.userprocess.engine import UserEngine
from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.gateway.spark_connect.failures import SparkFailure
from headwater.gateway.spark_connect.fallback import gap
from headwater.gateway.spark_connect.operations import Abandoned
from headwater.governance.redact import redacted
from headwater.model.statement import QueryState, QueryStats, Session, Statement
from headwater.query.history import History
from headwater.query.query import Query

_LONGEST = 4000
_PLAN = "[plan] "


@contextlib.contextmanager
def recorded(
    history: History, session: Session, plan: Any, engine: str, *, moves: bool = False
) -> Iterator[Query]:
    """Writes the row of an attempt when it begins and when it ends; errors pass through.

    `moves`: what the engine lacks is tried on Spark next, and the row says so.
    """
    stamp = time.strftime("%Y%m%d_%H%M%S", time.gmtime())
    query = Query(f"{stamp}_spark_{secrets.token_hex(5)}", session, Statement(described(plan)))
    query.engine = engine
    query.advance(QueryState.PLANNING)
    query.advance(QueryState.RUNNING)
    text = query.statement.text
    if not text.startswith(_PLAN):
        text = redacted(text)
    history.afterwards.add(lambda: history.started(query, text))
    failure: HeadwaterError | None = None
    try:
        yield query
    except Abandoned:
        failure = error(ErrorCode.USER_CANCELED, "the operation was canceled")
        raise
    except SparkFailure as exc:
        # The message may hold values of the caller's rows, and others read the history too.
        kind = exc.error_class or (exc.classes[0] if exc.classes else "an error")
        failure = error(ErrorCode.EVALUATION_FAILED, f"{kind} of {engine}")
        if exc.error_class == "OPERATION_CANCELED":
            failure = error(ErrorCode.USER_CANCELED, "the operation was canceled")
        elif moves and (lacking := gap(exc)) is not None:
            failure = error(ErrorCode.NOT_SUPPORTED, f"moved to Spark; {engine} says: {lacking}")
        raise
    except HeadwaterError as exc:
        failure = exc
        raise
    finally:
        query.settle(failure)
        history.afterwards.add(lambda: history.ended(query))
        query.end()


def metered(query: Query, engine: UserEngine) -> None:
    """Has the row of an attempt say what its process used from now on.

    Operations that run at the same time in one process count what both used.
    """
    before = engine.used()

    def used() -> QueryStats:
        now = engine.used()
        return QueryStats(
            cpu_seconds=max(0.0, now.cpu_seconds - before.cpu_seconds),
            scanned_bytes=max(0, now.bytes_read - before.bytes_read),
            peak_memory_bytes=now.peak_memory_bytes,
        )

    query.measure(used)


def described(plan: Any) -> str:
    """A plan in one line: its SQL, or the kinds of its nodes from the outermost in."""
    if plan.WhichOneof("op_type") == "command":
        command = plan.command
        kind = command.WhichOneof("command_type") or "command"
        if kind == "sql_command":
            told: str = command.sql_command.input.sql.query or command.sql_command.sql
            return told[:_LONGEST]
        return _PLAN + kind
    relation = plan.root
    kinds: list[str] = []
    while len(kinds) < 32:
        kind = relation.WhichOneof("rel_type")
        if kind is None:
            break
        if kind == "sql" and not kinds:
            text: str = relation.sql.query
            return text[:_LONGEST]
        kinds.append(_named(relation, kind))
        inner = getattr(relation, kind)
        found = [
            value
            for field, value in inner.ListFields()
            if field.message_type is not None
            and field.message_type.name == "Relation"
            and not field.is_repeated
        ]
        if not found:
            break
        relation = found[0]
    return _PLAN + " < ".join(kinds)


def _named(relation: Any, kind: str) -> str:
    if kind == "read" and relation.read.WhichOneof("read_type") == "named_table":
        return f"table {relation.read.named_table.unparsed_identifier[:128]}"
    return kind
