"""What a query would answer: its columns, without running it.

Decided and audited like the query itself, since it tells what tables hold; nothing reaches an
engine and the history gets no row. The plan is kept, so that the query soon after finds it.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlglot import exp

from headwater.errors import HeadwaterError
from headwater.model.scan import GovernedScan
from headwater.model.statement import Dialect, Session, Statement
from headwater.query.query import Query as SubmittedQuery
from headwater.query.queue import FairQueue
from headwater.query.session import with_properties
from headwater.query.stages.bind import bind
from headwater.query.stages.govern import govern
from headwater.query.stages.parse import parse
from headwater.query.stages.transpile import transpile
from headwater.query.work import Parts, Work
from headwater.sql.statements import ParsedStatement, Query
from headwater.sql.types import iceberg_type


@dataclass(frozen=True, slots=True)
class Described:
    """A statement's kind; for a query its columns' names and types, and the tables it reads.

    A type is Iceberg JSON, or None where only the engine knows it.
    """

    parsed: ParsedStatement
    output: tuple[tuple[str, Any], ...] = ()
    scans: tuple[GovernedScan, ...] = ()


class Describer:
    """Describes statements for their callers."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        # The stages before the engine need no place in the queue.
        self._ticket = FairQueue(1, 1, 1).enter("")

    def parse(self, session: Session, text: str) -> ParsedStatement:
        """What kind of statement a text is; raises SYNTAX_ERROR, NOT_SUPPORTED."""
        return self._parts.plans.parse(text, session.dialect)

    def describe(
        self,
        session: Session,
        text: str,
        parameters: Sequence[Any] = (),
        *,
        proven_only: bool = False,
    ) -> Described:
        """What a text is, and of a query its columns; raises what the query itself would."""
        session = with_properties(session)
        statement = Statement(text, tuple(parameters), proven_only=proven_only)
        query = SubmittedQuery(f"describe_{secrets.token_hex(8)}", session, statement)
        work = parse(Work(self._parts, query, self._ticket, session, statement))
        parsed = work.parsed
        assert parsed is not None, "parsed"
        if not isinstance(parsed, Query):
            return Described(parsed)
        try:
            work = transpile(govern(bind(work)))
        except HeadwaterError as exc:
            if query.requests:
                query.requests[-1].finish(outcome="failed", error_code=exc.code)
            raise
        work.request.seal()
        work.request.finish(outcome="done", rows=0)
        bound = work.bound
        assert bound is not None, "a query was bound"
        output = tuple((name, _type(kind)) for name, kind in bound.output)
        tree = self._parts.plans.tree(work.text, session.dialect, parsed.tree)
        return Described(Query(tree), output, bound.scans)


def _type(kind: exp.DataType) -> Any:
    try:
        return iceberg_type(kind, Dialect.DUCKDB)
    except HeadwaterError:
        return None
