"""Who runs a statement: the system engine, or for Spark SQL the caller's own Sail or Spark.

`auto` keeps to the system engine. Spark SQL that it does not understand, a function or a clause
that it lacks, goes to Sail and from there to Spark, as in a Spark Connect session: only while
nothing has begun, and never what changes tables. `sail` and `spark` send there what reads; what is
the system's to do (definitions, changes, SHOW) it does, whatever engine is named.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pyarrow as pa

from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.model.statement import Dialect, EngineChoice, QueryState
from headwater.query.other_engines import OtherEngines, Ready
from headwater.query.query import Query
from headwater.query.results import ResultSpool
from headwater.query.work import Work
from headwater.sql import statements as s

TITLES = {
    EngineChoice.DUCKDB: "the system engine",
    EngineChoice.SAIL: "Sail",
    EngineChoice.SPARK: "Apache Spark",
}
"""Engines as people call them."""

_LACKING = frozenset(
    {ErrorCode.NOT_SUPPORTED, ErrorCode.FUNCTION_NOT_FOUND, ErrorCode.SYNTAX_ERROR}
)
"""What another engine may know: Spark has more functions, clauses and spellings."""

_ABSENT = frozenset(
    {
        ErrorCode.RELEASE_NOT_FOUND,
        ErrorCode.RELEASE_INVALID,
        ErrorCode.RELEASE_UNAVAILABLE,
        ErrorCode.ENGINE_UNAVAILABLE,
    }
)

_FOR_ENGINES = (s.Query, s.Insert, s.Update, s.Delete, s.Merge, s.CreateTable, s.Explain)
"""Statements of which another engine may have a part; all others are about the system."""

_OURS = "statements that define, change or show something are the system's own"


def carried_out(work: Work, here: Callable[[Work], Work]) -> Work:
    """Runs a statement where it belongs; `here` is the way through the system engine."""
    wanted = work.statement.engine
    if wanted in (EngineChoice.SAIL, EngineChoice.SPARK):
        ready = _wanted(work, wanted)
        if ready is None:
            work.query.engine_reason = _OURS
            return here(work)
        return _elsewhere(work, ready)
    if wanted is EngineChoice.DUCKDB or work.session.dialect is not Dialect.SPARK:
        return here(work)
    try:
        return here(work)
    except HeadwaterError as failure:
        instead = _instead(work, failure)
        if instead is None:
            raise
        lacking = failure
    _finish_attempt(work.query, lacking, work.parts.engine.name)
    work.query.engine_reason = f"the system engine says: {lacking.message}"
    try:
        return _elsewhere(work, instead)
    except HeadwaterError as other:
        if lacking.code is other.code is ErrorCode.SYNTAX_ERROR:
            raise lacking from other  # it says where
        raise


def _wanted(work: Work, engine: EngineChoice) -> Ready | None:
    """The statement for the engine that it asks for; None when it is the system's."""
    dialect = work.session.dialect
    if dialect is not Dialect.SPARK:
        raise error(
            ErrorCode.INVALID_ARGUMENT,
            f"{TITLES[engine]} runs Spark SQL, and this statement is in the dialect {dialect}",
            hint="choose the dialect spark, or leave the engine to auto",
        )
    mistake: HeadwaterError | None = None
    try:
        parsed = work.parts.plans.parse_or_recall(work.statement.text, dialect)
        if not isinstance(parsed, _FOR_ENGINES):
            return None
    except HeadwaterError as failure:
        mistake = failure  # or words that the other engine knows
    try:
        return _others(work, engine).prepare(work.session, work.statement, engine)
    except HeadwaterError as refused:
        misspelt = mistake is not None and mistake.code is ErrorCode.SYNTAX_ERROR
        if misspelt and refused.code in (ErrorCode.SYNTAX_ERROR, ErrorCode.NOT_SUPPORTED):
            assert mistake is not None, "misspelt"
            raise mistake from refused  # it says where
        raise


def _others(work: Work, engine: EngineChoice) -> OtherEngines:
    others = work.parts.others.attached
    if others is None:
        raise error(
            ErrorCode.NOT_SUPPORTED,
            f"this server has no {TITLES[engine]}",
            hint="pip install 'headwater[spark]' on the server, or leave the engine to auto",
        )
    return others


def _instead(work: Work, failure: HeadwaterError) -> Ready | None:
    """What another engine makes of a statement that failed here; None when the failure stands."""
    query, others = work.query, work.parts.others.attached
    if failure.code not in _LACKING or others is None or query.results is not None:
        return None
    if not any(engine.installed for engine in others.engines()):
        return None
    query.check()
    try:
        ready = others.prepare(work.session, work.statement, EngineChoice.AUTO)
    except HeadwaterError as other:
        if other.code in _LACKING or other.code in _ABSENT:
            return None  # our own error says where in the text it is
        raise
    if ready is None or not ready.reads:
        return None
    return ready


def _finish_attempt(query: Query, failure: HeadwaterError, engine: str) -> None:
    """Has the audit log say that an engine was tried, and why another one follows."""
    if query.requests:
        query.requests[-1].finish(outcome="failed", error_code=failure.code, engine=engine)


def _elsewhere(work: Work, ready: Ready) -> Work:
    """Runs a statement on another engine; what it reads is decided there, table by table."""
    query = work.query
    query.on_stop(None)
    work.ticket.leave()  # it needs none of the system engine's slots
    query.check()
    if query.state is QueryState.QUEUED:
        query.advance(QueryState.PLANNING)
    receiver = _Receiver(work)
    query.advance(QueryState.RUNNING)
    ready.run(receiver)
    if ready.reads:
        # A write that was stopped too late is done, and its client must hear so.
        query.check()
    return work


class _Receiver:
    """Puts what another engine tells into the statement and its result."""

    def __init__(self, work: Work) -> None:
        self.query = work.query
        self._work = work
        self._results: ResultSpool | None = None
        self._open()

    def starting(self, engine: str) -> None:
        """A process is wanted."""
        self.query.engine, self.query.release = engine, None
        self.query.engine_starting = True
        self.query.advance()

    def running(self, engine: str, release: str) -> None:
        """The process is there."""
        self.query.engine, self.query.release = engine, release
        self.query.engine_starting = False
        self.query.advance()

    def because(self, why: str) -> None:
        """Why the engine is not the one that comes first; what was said before stays in front."""
        before = self.query.engine_reason
        self.query.engine_reason = why if not before else f"{before}; {why}"

    def moved(self, engine: str, why: str) -> None:
        """The engine could not do it."""
        lacking = error(ErrorCode.NOT_SUPPORTED, why)
        _finish_attempt(self.query, lacking, engine)
        self._open()
        self.because(f"{TITLES[EngineChoice(engine)]} says: {why}")

    def begin(self, schema: pa.Schema) -> None:
        """The result's columns."""
        limit = self._work.session.limits.result_bytes
        self._results = ResultSpool(schema, self._work.parts.spool, total_bytes=limit)
        self.query.deliver(self._results)

    def append(self, batch: pa.RecordBatch) -> None:
        """Some rows."""
        assert self._results is not None, "begun"
        self._results.append(batch)
        self.query.advance()

    def changed(self, update_type: str | None, update_count: int | None) -> None:
        """What a write did."""
        self.query.update_type, self.query.update_count = update_type, update_count

    def _open(self) -> None:
        """A request for the audit log to have the run's end; tables have requests of their own."""
        session = self._work.session
        opened = self._work.parts.access.begin(
            session.identity,
            request_id=self.query.id,
            query_id=self.query.id,
            client=session.source,
            statement=self._work.statement.text,
        )
        self.query.took_decisions(opened)
        self._work = replace(self._work, opened=opened)
