"""Plans that the system engine does not answer: on the caller's own Sail, and on Spark where Sail
cannot.

A plan is checked and its tables are put into the process's inbox, decided and audited, before the
process hears of it; see `headwater.gateway.spark_connect.plans`.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import pyarrow as pa

from headwater.engines.userprocess.engine import SAIL, SPARK, UserEngine, UserEngines
from headwater.errors import ErrorCode, error
from headwater.gateway.spark_connect import plans
from headwater.gateway.spark_connect.binaries import check_binaries
from headwater.gateway.spark_connect.essence import essence
from headwater.gateway.spark_connect.failures import (
    SparkFailure,
    analysis_failure,
    engine_failure,
    unsupported,
)
from headwater.gateway.spark_connect.fallback import functions_in, gap, needs_spark, views_in
from headwater.gateway.spark_connect.instants import check_instants
from headwater.gateway.spark_connect.merging import merged
from headwater.gateway.spark_connect.mirror import InUse, ended, mirror_of
from headwater.gateway.spark_connect.operations import Operation
from headwater.gateway.spark_connect.ordering import in_one_partition
from headwater.gateway.spark_connect.protocol import Messages
from headwater.gateway.spark_connect.records import metered, recorded
from headwater.gateway.spark_connect.sessions import SparkSession
from headwater.gateway.spark_connect.show import without_end
from headwater.gateway.spark_connect.sources import metrics_of, rows_of
from headwater.gateway.spark_connect.suiting import suit
from headwater.gateway.spark_connect.times import check_times
from headwater.model.statement import Session
from headwater.query.history import History
from headwater.query.staging import ProcessStager

log = logging.getLogger(__name__)

_LEARNED = 512
_SIZE = re.compile(rb"\b(?:size|cardinality)\b", re.IGNORECASE)
_ANALYSIS_SECONDS = 10.0
_NO_REVISION = "0" * 40
"""What `version()` says beside the version, in the place of a revision of Spark's source."""

StagerOf = Callable[[UserEngine], ProcessStager]
"""Makes what puts tables into a process's inbox."""


class Writes(Protocol):
    """Commits rows that came from a user process; `headwater.query.arrow_writes`."""

    def write(
        self,
        session: Session,
        target: Any,
        sources: Mapping[str, tuple[pa.Schema, Iterator[pa.RecordBatch]]],
    ) -> Any:
        """Commits the rows of all sources, or nothing."""
        ...

    def write_query(
        self,
        session: Session,
        target: Any,
        sql: str,
        parameters: tuple[object, ...],
        names: Sequence[str],
        began: Callable[[Any], None],
    ) -> Any:
        """Commits the rows of a query that the system engine runs; `began` gets the statement."""
        ...


@dataclass(slots=True)
class UserSide:
    """What plans in user processes stand on; made once.

    `learned` remembers what Sail could not do, by the plan's shape, so that a loop does not try it
    again each time.
    """

    pb: Messages
    engines: UserEngines
    stager_of: StagerOf
    history: History
    sandbox: str
    writes: Writes | None = None
    learned: OrderedDict[bytes, None] = field(default_factory=OrderedDict)

    def lacks(self, shape: bytes) -> bool:
        """True when Sail is known not to run a plan of that shape."""
        return shape in self.learned

    def learn(self, shape: bytes) -> None:
        """Notes that Sail does not run a plan of that shape."""
        self.learned[shape] = None
        while len(self.learned) > _LEARNED:
            self.learned.popitem(last=False)


class _Stager:
    """Stages for the process that is in use; there is none while a plan is only checked."""

    def __init__(self) -> None:
        self.inner: ProcessStager | None = None

    def __getattr__(self, name: str) -> Any:
        if self.inner is None:
            raise error(ErrorCode.INTERNAL_ERROR, "a plan was staged before it had a process")
        return getattr(self.inner, name)


class _Stopping:
    """What stops the operation's stream: for the operation, and for whoever reads the stream."""

    def __init__(self, operation: Operation) -> None:
        self._operation = operation
        self._stop: Callable[[], None] | None = None

    def set(self, stop: Callable[[], None] | None) -> None:
        self._stop = stop
        self._operation.on_stop(stop)

    def __call__(self) -> None:
        if (stop := self._stop) is not None:
            stop()


class _Sources(Mapping[str, Any]):
    """The sources of a write by name, each begun when it is asked for: one after the other."""

    def __init__(self, begin: dict[str, Callable[[], Any]]) -> None:
        self._begin = begin

    def __getitem__(self, name: str) -> Any:
        return self._begin[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._begin)

    def __len__(self) -> int:
        return len(self._begin)


class Elsewhere:
    """Runs plans of one session on its processes."""

    def __init__(self, side: UserSide, session: SparkSession) -> None:
        self._side = side
        self._session = session
        self._pb = side.pb
        # The plan as it was checked, for the first engine that runs it.
        self._checked: tuple[plans.RewrittenPlan, _Stager] | None = None

    def rewrite(self, plan: Any) -> plans.RewrittenPlan:
        """The plan, checked; what it needs of a process is not done yet."""
        stager = _Stager()
        found = plans.rewrite(plan, self._context(stager))
        self._checked = (found, stager)
        return found

    def run(self, plan: Any, operation: Operation) -> None:
        """Runs a plan that is a query or a command of Spark's own, and sends what it answers."""

        sent_rows = False

        def once(engine: str) -> None:
            nonlocal sent_rows
            with self._recorded(plan, engine) as query, self._using(engine) as use:
                metered(query, use.engine)
                for raw, holds_rows in self._stream(use, plan, operation):
                    sent_rows = sent_rows or holds_rows
                    if shows and holds_rows and engine == SAIL:
                        raw = without_end(raw, self._pb)
                    if keeps:
                        self._note_checkpoint(raw)
                    operation.emit(raw)

        keeps = plan.command.HasField("checkpoint_command")
        shows = plan.root.HasField("show_string")
        self._with_fallback(plan, once, lambda: not sent_rows)
        gone = plan.command.remove_cached_remote_relation_command.relation.relation_id
        self._session.relations.discard(gone)

    def _note_checkpoint(self, raw: bytes) -> None:
        """A checkpoint is the session's from here on, in the process that made it."""
        found = self._pb.ExecutePlanResponse.FromString(raw)
        if found.HasField("checkpoint_command_result"):
            self._session.relations.add(found.checkpoint_command_result.relation.relation_id)

    def write(self, plan: Any, operation: Operation) -> None:
        """Computes the rows of a write here and has the system commit them.

        Nothing is committed before all rows have come, so that failing on Sail leaves nothing.
        """

        def once(engine: str) -> None:
            with self._recorded(plan, engine) as query, self._using(engine) as use:
                metered(query, use.engine)
                rewritten, stager = self._for_process(use, plan)
                operation.on_stop(stager.cancel)
                found = rewritten.write
                assert found is not None, "a write"
                if (path := found.target.path) is not None:
                    stager.export(
                        self._session.statements(),
                        path,
                        found.target.mode,
                        lambda inside: self._drain(use, plans.path_write(found, inside), operation),
                    )
                    return
                sources = _Sources(
                    {
                        name: partial(self._rows, use, source, operation)
                        for name, source in found.sources.items()
                    }
                )
                if self._side.writes is None:
                    raise unsupported("writing from a user process is not supported yet")
                self._side.writes.write(self._session.statements(), found.target, sources)

        self._with_fallback(plan, once, lambda: True)

    def _rows(
        self, use: InUse, source: plans.RewrittenPlan, operation: Operation
    ) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
        responses = self._run_staged(use, source.staged(), operation)
        return rows_of(responses, self._pb, operation.emit)

    def _drain(self, use: InUse, staged: plans.StagedPlan, operation: Operation) -> None:
        responses = self._run_staged(use, staged, operation)
        metrics_of(responses, self._pb, operation.emit)

    def analyze(self, request: Any) -> Any:
        """What an analysis answers, as an AnalyzePlanResponse."""
        found: list[Any] = []

        def once(engine: str) -> None:
            with self._using(engine) as use:
                try:
                    found.append(self._analyzed(use, request))
                    return
                except SparkFailure as failure:
                    if ended(use, failure) is None or use.engine.alive:
                        raise
            # The process was ended meanwhile, and an analysis changes nothing.
            with self._using(engine) as use:
                found.append(self._analyzed(use, request))

        self._with_fallback(request, once, lambda: True)
        return found[-1]

    def _analyzed(self, use: InUse, request: Any) -> Any:
        rewritten = plans.rewrite_analysis(request, self._context(self._stager(use)))
        if rewritten.request is None:
            return self._pb.AnalyzePlanResponse(**rewritten.answer)
        self._prepare(use, rewritten.request, rewritten.views)
        return use.backend.unary("AnalyzePlan", rewritten.request, self._pb.AnalyzePlanResponse)

    def _prepare(self, use: InUse, message: Any, views: Sequence[tuple[str, Any]]) -> None:
        """Makes the views that a staged plan reads, and of a plan for Sail what Sail answers right.

        Raises UNSUPPORTED_FEATURE, as of Sail, for what only Spark answers right.
        """
        on_sail = use.engine.engine == SAIL
        moves = on_sail and self._session.conf.engine == "auto"
        if on_sail:
            # A view is made once, be it for an analysis or for its rows.
            for each in (*(view for _, view in views), message):
                in_one_partition(each)
        if moves:
            messages, conf = [*(view for _, view in views), message], self._session.conf
            schemas = check_instants(messages, use.backend, self._pb)
            check_times([*messages, *schemas], conf.time_zone)
            check_binaries([*messages, *self._functions(messages)], conf.get)
        use.mirror.create_views(use, tuple(views))
        if on_sail:
            try:
                suit([message], [view for _, view in views], use.backend)
            except SparkFailure:
                if moves:
                    raise

    def _functions(self, messages: Sequence[Any]) -> list[Any]:
        registered = {each.name: each.payload for each in self._session.named("function")}
        return functions_in(messages, registered, self._pb)

    def analyze_on_sail(self, request: Any, stager: plans.Stager) -> Any:
        """What Sail alone says of a plan, over tables that `stager` makes up.

        A process that does not answer, busy with what nobody waits for any more, is replaced once.
        """
        try:
            return self._ask_sail(request, stager)
        except SparkFailure as failure:
            if failure.error_class != "ENGINE_FAILED":
                raise
            log.warning("a Sail process did not answer and is replaced")
        self._side.engines.discard(self._session.identity, SAIL)
        return self._ask_sail(request, stager)

    def _ask_sail(self, request: Any, stager: plans.Stager) -> Any:
        with self._using(SAIL) as use:
            rewritten = plans.rewrite_analysis(request, self._context(stager))
            if rewritten.request is None:
                raise unsupported("nothing is to be asked of Sail")
            self._prepare(use, rewritten.request, rewritten.views)
            return use.backend.unary(
                "AnalyzePlan",
                rewritten.request,
                self._pb.AnalyzePlanResponse,
                seconds=_ANALYSIS_SECONDS,
            )

    # --- engines --------------------------------------------------------------------------------

    def _with_fallback(
        self, message: Any, once: Callable[[str], None], repeatable: Callable[[], bool]
    ) -> None:
        """Does something on Sail, or on Spark: when the session says so, or when Sail cannot."""
        wanted = self._session.conf.engine
        shape = _shape(message)
        encoded = message.SerializeToString()
        used = [message, *views_in(encoded, self._session.views)]
        used += self._functions(used)
        if wanted == SPARK or (
            wanted == "auto" and (self._side.lacks(shape) or self._needs_spark(used))
        ):
            once(SPARK)
            return
        try:
            once(SAIL)
        except SparkFailure as failure:
            lacking = gap(failure, encoded) if wanted == "auto" else None
            if lacking is None:
                raise
            if not repeatable():
                raise SparkFailure(
                    f"{failure.message} (the operation had begun to answer, so it was not "
                    "repeated on Spark; run it with spark.conf.set('headwater.engine', 'spark'))",
                    failure.classes,
                    failure.error_class,
                    failure.sql_state,
                ) from failure
            log.info("an operation moves to Spark: %s", lacking)
        else:
            return
        once(SPARK)
        self._side.learn(shape)

    def _needs_spark(self, messages: Sequence[Any]) -> bool:
        conf = self._session.conf
        if conf.of_spark_alone():
            return True
        # Without ANSI the size of NULL is -1, but on Sail.
        if conf.get("spark.sql.ansi.enabled") == "false" and any(
            _SIZE.search(each.SerializeToString()) for each in messages
        ):
            return True
        table_functions = [entry.name for entry in self._session.named("table_function")]
        return needs_spark(messages, self._session.relations, table_functions)

    def _recorded(self, plan: Any, engine: str) -> Any:
        moves = engine == SAIL and self._session.conf.engine == "auto"
        session = self._session.statements()
        return recorded(self._side.history, session, plan, engine, moves=moves)

    def _using(self, engine: str) -> Any:
        return mirror_of(self._session, self._side.engines, engine, self._pb).using()

    def _stream(self, use: InUse, plan: Any, operation: Operation) -> Iterator[tuple[bytes, bool]]:
        # The stager keeps what it staged in place for as long as it lives.
        found, stager = self._for_process(use, plan)
        operation.on_stop(stager.cancel)
        staged = found.staged()
        operation.on_stop(None)
        yield from self._run_staged(use, staged, operation)

    def _for_process(self, use: InUse, plan: Any) -> tuple[plans.RewrittenPlan, Any]:
        """The plan with what stages for a process; a second engine gets it anew."""
        found, self._checked = self._checked, None
        if found is None:
            stager = self._stager(use)
            return plans.rewrite(plan, self._context(stager)), stager
        found[1].inner = self._side.stager_of(use.engine)
        return found

    def _stager(self, use: InUse) -> Any:
        stager = _Stager()
        stager.inner = self._side.stager_of(use.engine)
        return stager

    def _run_staged(
        self, use: InUse, staged: plans.StagedPlan, operation: Operation
    ) -> Iterator[tuple[bytes, bool]]:
        try:
            self._prepare(use, staged.plan, staged.views)
            stopping = _Stopping(operation)
            stream = use.backend.execute(staged.plan, operation.tags, stopping.set)
            yield from merged(stream, stopping, self._pb)
        except SparkFailure as failure:
            why = ended(use, failure)
            operation.check()
            if why is None and failure.error_class == "OPERATION_CANCELED":
                # Nobody asked for it: Sail ends streams so when it cannot go on.
                failure.error_class, failure.message = None, "the engine canceled the operation"
            if why is None:
                raise
            use.mirror.reset()
            raise engine_failure(
                f"your {use.engine.engine} process ended while the operation ran: {why}; the "
                "session goes on with a new one, so run the operation again"
            ) from failure

    def _context(self, stager: plans.Stager) -> plans.PlanContext:
        session = self._session
        functions = {entry.name.casefold() for entry in session.named("function")}
        table_functions = {entry.name.casefold() for entry in session.named("table_function")}
        return plans.PlanContext(
            session=session.statements(),
            stager=stager,
            views=dict(session.views),
            functions=frozenset(functions),
            table_functions=frozenset(table_functions),
            relations=frozenset(session.relations),
            settings=session.conf.all(),
            sandbox=self._side.sandbox,
            version=f"{session.conf.spark_version()} {_NO_REVISION}",
        )


def apply_effects(effects: tuple[plans.Effect, ...], session: SparkSession) -> None:
    """Changes a session as a plan says that it changes, once it succeeded."""
    for effect in effects:
        match effect:
            case plans.SetSchema():
                session.schema = effect.schema
            case plans.SetSetting(value=None):
                session.conf.unset(effect.key)
            case plans.SetSetting():
                session.conf.set(effect.key, effect.value or "")
            case plans.AddView():
                _add_view(effect, session)
            case plans.DropView():
                prefix = "global_temp." if effect.is_global else ""
                session.views.pop(prefix + effect.name.casefold(), None)
            case plans.AddFunction():
                kind = "table_function" if effect.is_table_function else "function"
                session.put(kind, effect.name, effect.command.SerializeToString())
            case plans.DropFunction():
                for kind in ("function", "table_function"):
                    for entry in session.named(kind):
                        if entry.name.casefold() == effect.name:
                            session.drop(kind, entry.name)


def _add_view(effect: plans.AddView, session: SparkSession) -> None:
    name = effect.view.name.casefold()
    if effect.view.is_global:
        name = f"global_temp.{name}"
    with session.lock:
        if name in session.views and not effect.replace:
            raise analysis_failure(
                "TEMP_TABLE_OR_VIEW_ALREADY_EXISTS",
                f"Cannot create the temporary view `{effect.view.name}` because it already "
                "exists. Choose a different name, drop or replace the existing view. "
                "SQLSTATE: 42P07",
                "42P07",
            )
        if len(session.views) >= 2000:
            raise error(ErrorCode.EXCEEDED_MEMORY_LIMIT, "the session holds too many views")
        session.views[name] = effect.view


def _shape(message: Any) -> bytes:
    """What tells one plan from another for what Sail can do."""
    if message.DESCRIPTOR.name == "AnalyzePlanRequest":
        message = getattr(message, message.WhichOneof("analyze"))
    return hashlib.sha256(essence(message)).digest()
