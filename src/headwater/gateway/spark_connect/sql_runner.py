"""Spark SQL that comes without a Spark client: on the caller's own Sail or Spark.

A text goes the way of `spark.sql` in a Connect session, through the same parser, allow-lists,
binder and staging. Its session lives as long as the statement: nothing that one statement sets is
there for the next, and nobody else can name it.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from headwater.engines.userprocess.engine import SAIL, SPARK
from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.gateway.spark_connect import plans
from headwater.gateway.spark_connect.commands import settings_rows, text_table
from headwater.gateway.spark_connect.conf import ENGINE, TIME_ZONE
from headwater.gateway.spark_connect.elsewhere import Elsewhere, UserSide, Writes
from headwater.gateway.spark_connect.encode import conform
from headwater.gateway.spark_connect.failures import SparkFailure, unsupported
from headwater.gateway.spark_connect.fallback import gap
from headwater.gateway.spark_connect.local import local_rows
from headwater.gateway.spark_connect.mirror import InUse
from headwater.gateway.spark_connect.operations import Abandoned, Operation
from headwater.gateway.spark_connect.plans.parts import literal_tree
from headwater.gateway.spark_connect.plans.sql_text import SparkText
from headwater.gateway.spark_connect.records import recorded
from headwater.gateway.spark_connect.sessions import DEFAULT_SCHEMA, SparkSession
from headwater.gateway.spark_connect.sql_errors import kept, told
from headwater.gateway.spark_connect.types import arrow_schema
from headwater.model.statement import Dialect, EngineChoice, Session, Statement
from headwater.query.other_engines import OtherEngine, Receiver
from headwater.query.query import Query

log = logging.getLogger(__name__)

_AT_ONCE = 32
_GRACE_SECONDS = 2.0
_INT, _LONG = 2**31, 2**63

Installed = Callable[[str], str | None]
"""The release that an engine comes from, if it is installed; by the engine's name."""

Carry = Callable[["_Feed"], None]


class SqlRunner:
    """`headwater.query.other_engines.OtherEngines` by the means of the Spark Connect gateway."""

    def __init__(self, side: UserSide, releases: Mapping[str, str], installed: Installed) -> None:
        self._side = side
        self._releases = releases
        self._installed = installed
        self._lock = threading.Lock()
        self._running: Counter[str] = Counter()

    def engines(self) -> Sequence[OtherEngine]:
        """Sail and Spark, with the releases that they come from."""
        return [
            OtherEngine(engine, release, self._installed(engine) is not None)
            for engine, release in self._releases.items()
        ]

    def prepare(
        self, session: Session, statement: Statement, engine: EngineChoice
    ) -> SqlOperation | None:
        """The statement, checked; None for what is the system's to carry out."""
        identity = session.identity
        if identity.engine_worker is not None or identity.impersonator is not None:
            raise error(
                ErrorCode.NOT_SUPPORTED,
                "in another user's name, statements run on the system engine alone",
                hint="leave the engine to auto",
            )
        try:
            spark = _Brief(session)
            spark.conf.set(TIME_ZONE, session.time_zone)
            spark.conf.set(ENGINE, self._chosen(engine))
            return self._checked(spark, statement)
        except SparkFailure as failure:
            raise told(failure, statement.text) from failure

    def _chosen(self, engine: EngineChoice) -> str:
        """What the session's setting says; `auto` means no engine that would be installed first."""
        if engine is not EngineChoice.AUTO:
            return engine.value
        here = [each.name for each in self.engines() if each.installed]
        if not here:
            raise error(ErrorCode.ENGINE_UNAVAILABLE, "neither Sail nor Spark is installed")
        return "auto" if len(here) > 1 else here[0]

    def _checked(self, spark: _Brief, statement: Statement) -> SqlOperation | None:
        before = spark.conf.changed()
        rows = settings_rows(statement.text, spark)
        if spark.conf.changed() != before:
            raise _brief()
        if rows is not None:
            return self._answer(spark, statement, rows)
        relation = self._relation(statement)
        command = self._side.pb.Plan()
        command.command.sql_command.input.CopyFrom(relation)
        noted: list[Any] = []
        writes = None if self._side.writes is None else _Noting(self._side.writes, noted)
        elsewhere = _Attempts(replace(self._side, writes=writes), spark)
        found = elsewhere.rewrite(command)
        match found.action:
            case plans.Action.STATEMENT | plans.Action.CATALOG:
                return None
            case plans.Action.QUERY:
                query = self._side.pb.Plan(root=found.echo)
                return self._operation(spark, statement, lambda f: elsewhere.run(query, f))
            case plans.Action.RUN:
                return self._operation(spark, statement, lambda f: elsewhere.run(command, f))
            case plans.Action.WRITE:

                def write(feed: _Feed) -> None:
                    elsewhere.write(command, feed)
                    query = noted[-1] if noted else None
                    feed.receiver.changed(
                        getattr(query, "update_type", None) or "INSERT",
                        getattr(query, "update_count", None),
                    )

                return self._operation(spark, statement, write, reads=False)
        if found.effects:
            raise _brief()
        titles, told_rows = found.rows or ((), ())
        return self._answer(spark, statement, text_table(titles, told_rows))

    def _answer(self, spark: _Brief, statement: Statement, rows: pa.Table) -> SqlOperation:
        """Rows that are known already."""
        return self._operation(spark, statement, lambda feed: feed.answer(rows))

    def _operation(
        self, spark: _Brief, statement: Statement, carry: Carry, *, reads: bool = True
    ) -> SqlOperation:
        return SqlOperation(self, spark, statement.text, carry, reads=reads)

    def _relation(self, statement: Statement) -> Any:
        """The statement as a relation, its parameters put in: engines count them differently."""
        pb = self._side.pb
        text = with_constants(statement.text, statement.parameters, pb)
        return pb.Relation(common=pb.RelationCommon(plan_id=0), sql=pb.SQL(query=text))

    @property
    def messages(self) -> Any:
        """The protocol's messages."""
        return self._side.pb

    @contextlib.contextmanager
    def place(self, principal_id: str) -> Iterator[None]:
        """One of the places that a principal's statements have; raises QUERY_QUEUE_FULL."""
        with self._lock:
            if self._running[principal_id] >= _AT_ONCE:
                raise error(
                    ErrorCode.QUERY_QUEUE_FULL,
                    f"you already have {_AT_ONCE} statements on Sail and Spark",
                    hint="wait for one of them, or cancel it",
                )
            self._running[principal_id] += 1
        try:
            yield
        finally:
            with self._lock:
                self._running[principal_id] -= 1
                if not self._running[principal_id]:
                    del self._running[principal_id]


class SqlOperation:
    """One statement that may run; `headwater.query.other_engines.Ready`."""

    def __init__(
        self, runner: SqlRunner, spark: _Brief, text: str, carry: Carry, *, reads: bool
    ) -> None:
        self._runner = runner
        self._spark = spark
        self._text = text
        self._carry = carry
        self._reads = reads

    @property
    def reads(self) -> bool:
        """True when it changes nothing."""
        return self._reads

    def run(self, receiver: Receiver) -> None:
        """Runs it to its end, in a thread of its own: a process that starts cannot be hurried.

        Who stops a query need not wait for that. A write is waited for: it may be done already.
        """
        query = receiver.query
        self._spark.receiver = receiver
        feed = _Feed(receiver, self._spark, self._runner.messages)
        failures: list[BaseException] = []
        woken, ended = threading.Event(), threading.Event()

        def work() -> None:
            try:
                with self._runner.place(query.session.identity.principal.id):
                    self._carry(feed)
                    feed.complete()
            except BaseException as failure:
                failures.append(failure)
            finally:
                ended.set()
                woken.set()
                self._spark.close()

        def stop() -> None:
            feed.interrupt()
            woken.set()

        threading.Thread(target=work, name=f"spark-sql-{query.id}", daemon=True).start()
        query.on_stop(stop)
        try:
            woken.wait()
            ended.wait(_GRACE_SECONDS if self._reads else None)
        finally:
            query.on_stop(None)
        if not ended.is_set() or (failures and feed.interrupted):
            raise error(ErrorCode.USER_CANCELED, "the statement was canceled")
        if failures:
            self._fail(query, failures[0])

    def _fail(self, query: Query, failure: BaseException) -> None:
        if isinstance(failure, Abandoned):
            raise error(ErrorCode.USER_CANCELED, "the statement was canceled") from failure
        if isinstance(failure, SparkFailure):
            query.kept_error = kept(failure, query.engine or "the engine")
            raise told(failure, self._text) from failure
        raise failure


class _Brief(SparkSession):
    """A session for one statement, with the names, the zone and the limits that it came with."""

    def __init__(self, given: Session) -> None:
        schema = given.schema or DEFAULT_SCHEMA
        super().__init__(str(uuid.uuid4()), given.identity, schema=schema, client=given.source)
        self._given = given
        self.receiver: Receiver | None = None

    def statements(self) -> Session:
        """The session as the query service takes it."""
        return replace(
            self._given,
            dialect=Dialect.SPARK,
            schema=self.schema,
            time_zone=self.conf.time_zone,
        )


class _Attempts(Elsewhere):
    """Tells the statement which engine is at work, and why it is another one than the first.

    The statement has a row of its own in the history; an attempt on Sail that moves to Spark gets
    one beside it, as those of Spark clients do.
    """

    def __init__(self, side: UserSide, session: _Brief) -> None:
        super().__init__(side, session)
        self._brief = session
        self._lacking: SparkFailure | None = None

    @property
    def _receiver(self) -> Receiver:
        assert self._brief.receiver is not None, "it runs"
        return self._brief.receiver

    def _recorded(self, plan: Any, engine: str) -> Any:
        return self._attempt(plan, engine)

    def _using(self, engine: str) -> Any:
        return self._leased(engine)

    @contextlib.contextmanager
    def _attempt(self, plan: Any, engine: str) -> Iterator[Query]:
        lacking, self._lacking = self._lacking, None
        if lacking is not None:
            self._note_move(plan, lacking)
        elif engine == SPARK and self._session.conf.engine == "auto":
            self._receiver.because("Sail is known not to answer this as Spark does")
        try:
            yield self._receiver.query
        except SparkFailure as failure:
            if engine == SAIL:
                self._lacking = failure
            raise

    def _note_move(self, plan: Any, lacking: SparkFailure) -> None:
        session = self._session.statements()
        history = self._side.history
        with (
            contextlib.suppress(SparkFailure),
            recorded(history, session, plan, SAIL, moves=True),
        ):
            raise lacking
        self._receiver.moved(SAIL, gap(lacking, plan.SerializeToString()) or "an error")

    @contextlib.contextmanager
    def _leased(self, engine: str) -> Iterator[InUse]:
        self._receiver.starting(engine)
        with super()._using(engine) as use:
            self._receiver.running(engine, use.engine.release_name)
            yield use


class _Noting:
    """Writes, of which the statement that did them is noted."""

    def __init__(self, inner: Writes, noted: list[Any]) -> None:
        self._inner = inner
        self._noted = noted

    def write(self, session: Session, target: Any, sources: Any) -> Any:
        """Commits the rows of all sources, or nothing."""
        done = self._inner.write(session, target, sources)
        if done is not None:
            self._noted.append(done)
        return done

    def write_query(self, *given: Any, **named: Any) -> Any:
        """Commits the rows of a query of the system engine."""
        return self._inner.write_query(*given, **named)


class _Feed(Operation):
    """An operation whose responses become a statement's result at once, instead of a stream."""

    def __init__(self, receiver: Receiver, session: SparkSession, pb: Any) -> None:
        super().__init__(str(uuid.uuid4()), lambda _response_id: b"")
        self.receiver = receiver
        self._pb = pb
        self._zone = session.conf.time_zone
        self._told: Any = None
        self._schema: pa.Schema | None = None
        self._chunks: list[bytes] = []

    def emit(self, payload: bytes, waiting: Callable[[], object] | None = None) -> None:
        """Takes a response; raises Abandoned when the statement is to stop."""
        self.check()
        found = self._pb.ExecutePlanResponse.FromString(payload)
        if found.HasField("schema"):
            self._told = found.schema
            self._chunks.clear()
        if found.HasField("arrow_batch"):
            self._take(found.arrow_batch)
        if found.HasField("sql_command_result"):
            self._command(found.sql_command_result.relation)

    def complete(self) -> None:
        """The end: a result without rows has its columns all the same."""
        if self._schema is None and self._told is not None:
            self._begin(arrow_schema(self._told, self._zone))

    def answer(self, rows: pa.Table) -> None:
        """Takes rows of our own."""
        if rows.num_columns:
            self._begin(rows.schema)
            for batch in rows.to_batches():
                self.receiver.append(batch)

    def _begin(self, schema: pa.Schema) -> None:
        self._schema = schema
        self.receiver.begin(schema)

    def _take(self, found: Any) -> None:
        """The rows of one response; of a batch in several chunks once it is whole."""
        self._chunks.append(found.data)
        if found.num_chunks_in_batch > len(self._chunks):
            return
        data = b"".join(self._chunks)
        self._chunks.clear()
        try:
            with pa.ipc.open_stream(data) as reader:
                rows = reader.read_all()
        except (pa.ArrowInvalid, OSError) as exc:
            raise _unreadable() from exc
        for batch in rows.to_batches():
            if not batch.num_rows:
                continue
            if self._schema is None:
                told = self._told
                self._begin(batch.schema if told is None else arrow_schema(told, self._zone))
            assert self._schema is not None, "begun"
            if batch.num_columns != len(self._schema):
                raise _unreadable()
            self.receiver.append(conform(batch, self._schema))

    def _command(self, relation: Any) -> None:
        """What a command of the engine's own answers: its rows, as a relation that holds them."""
        found = local_rows(relation, self._zone, self._pb)
        if found is None:
            raise unsupported("this statement answers in a form that is not supported here")
        self.answer(found[1])


def with_constants(text: str, values: Sequence[Any], pb: Any) -> str:
    """A text with a constant in the place of each `?`; INVALID_ARGUMENT unless they are as many."""
    from sqlglot.dialects.spark import Spark
    from sqlglot.errors import TokenError
    from sqlglot.tokenizer_core import TokenType

    if not values:
        return text
    try:
        tokens = Spark().tokenize(text)
    except TokenError as exc:
        raise error(ErrorCode.SYNTAX_ERROR, "the statement cannot be parsed") from exc
    places = [token for token in tokens if token.token_type is TokenType.PLACEHOLDER]
    trees = [literal_tree(literal(value, pb).literal) for value in values]
    if len(places) != len(trees) or None in trees:
        raise error(
            ErrorCode.INVALID_ARGUMENT,
            f"the statement has {len(places)} parameters, and {len(trees)} values came with it",
            hint="give one plain value for each ? in the statement",
        )
    pieces, offset = [], 0
    for place, tree in zip(places, trees, strict=True):
        assert tree is not None, "checked"
        pieces += [text[offset : place.start], tree.sql(dialect=SparkText)]
        offset = place.end + 1
    return "".join(pieces) + text[offset:]


def literal(value: Any, pb: Any) -> Any:
    """A parameter as an expression; INVALID_ARGUMENT for what is no plain constant."""
    made = pb.Expression()
    match value:
        case None:
            made.literal.null.null.SetInParent()
        case bool():
            made.literal.boolean = value
        case int() if -_INT <= value < _INT:
            made.literal.integer = value
        case int() if -_LONG <= value < _LONG:
            made.literal.long = value
        case float():
            made.literal.double = value
        case str():
            made.literal.string = value
        case _:
            raise error(
                ErrorCode.INVALID_ARGUMENT,
                f"a parameter of the type {type(value).__name__} cannot go to Sail or Spark",
                hint="give texts, numbers, true, false or null",
            )
    return made


def _brief() -> HeadwaterError:
    return error(
        ErrorCode.NOT_SUPPORTED,
        "settings, temporary views and functions would be gone with this statement: each has a "
        "session of its own",
        hint="write WITH for a view; a Spark Connect session keeps what is set in it",
    )


def _unreadable() -> HeadwaterError:
    return error(ErrorCode.ENGINE_FAILED, "the engine sent rows that cannot be read")
