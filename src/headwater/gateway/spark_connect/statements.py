"""SQL of Spark clients on the system engine: which texts may run there, and their results.

A text goes there when every name in it is the catalog's and nothing in it is known to mean another
thing in Spark; it is then a statement like that of any other client.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pyarrow as pa
from sqlglot import exp

from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.gateway.spark_connect.ddl import parse_ddl
from headwater.gateway.spark_connect.encode import (
    batch_responses,
    conform,
    empty_batch,
    schema_response,
)
from headwater.gateway.spark_connect.failures import SparkFailure
from headwater.gateway.spark_connect.literals import NotPlainError, parameter, python_value
from headwater.gateway.spark_connect.operations import Operation
from headwater.gateway.spark_connect.oracle import Oracle, is_plain
from headwater.gateway.spark_connect.plans.identifiers import resolved
from headwater.gateway.spark_connect.protocol import Messages
from headwater.gateway.spark_connect.sessions import SparkSession
from headwater.gateway.spark_connect.times import is_utc
from headwater.gateway.spark_connect.types import arrow_schema, spark_schema
from headwater.model.identifiers import CATALOG_NAME
from headwater.model.statement import Statement
from headwater.query.describe import Described, Describer
from headwater.query.query import Query as Running
from headwater.query.service import QueryService
from headwater.sql.statements import ParsedStatement, Query
from headwater.sql.types import spark_type as iceberg_ddl

log = logging.getLogger(__name__)

_IDENTIFIER = re.compile(r"\s*(?:`(?:[^`]|``)+`|[^\W\d]\w*)(?:\s*\.\s*(?:`(?:[^`]|``)+`|\w+))*\s*")
_PART = re.compile(r"`((?:[^`]|``)+)`|(\w+)")
_LACKING = frozenset({ErrorCode.NOT_SUPPORTED, ErrorCode.FUNCTION_NOT_FOUND})
"""What another engine may know: Spark has more functions and clauses."""

_PROGRESS_SECONDS = 2.0
_WAIT_SECONDS = 1.0
_SCHEMAS_KEPT = 256


class AskSparkError(Exception):
    """A number left the engine's range, where Spark's may be wider: Spark's word counts."""


@contextlib.contextmanager
def _asking(nothing_sent: Callable[[], bool]) -> Iterator[None]:
    try:
        yield
    except HeadwaterError as failure:
        if failure.code is not ErrorCode.NUMERIC_VALUE_OUT_OF_RANGE or not nothing_sent():
            raise
        raise AskSparkError from failure
    except SparkFailure as failure:
        if failure.error_class != "ARITHMETIC_OVERFLOW" or not nothing_sent():
            raise
        raise AskSparkError from failure


@dataclass(frozen=True, slots=True)
class Text:
    """A query for the system engine: SQL in Spark's dialect, and its parameters in order.

    `schema` is its Spark schema as far as it is known, `source` the client's own `SQL` message when
    the columns are those of that text.
    """

    sql: str
    parameters: tuple[Any, ...] = ()
    schema: Any = None
    source: Any = None

    def limited(self, rows: int, skip: int = 0) -> Text:
        """The same query's first rows, after `skip`."""
        offset = f" OFFSET {skip}" if skip else ""
        return self.around(f"SELECT * FROM (\n{{}}\n) LIMIT {rows}{offset}")

    def counted(self) -> Text:
        """The number of its rows."""
        return replace(self.around("SELECT count(*) FROM (\n{}\n)"), schema=None, source=None)

    def around(self, template: str) -> Text:
        """The query inside another one, in the place of `{}`."""
        return replace(self, sql=template.replace("{}", self.sql.strip().rstrip(";").rstrip()))


class Statements:
    """Runs SQL of Spark sessions through the query service."""

    def __init__(
        self,
        queries: QueryService,
        describer: Describer,
        pb: Messages,
        oracle: Oracle | None = None,
    ) -> None:
        self._queries = queries
        self._oracle = oracle
        self._describer = describer
        self._pb = pb

    # --- what may run here ----------------------------------------------------------------------

    def text_of(self, relation: Any, session: SparkSession) -> Text | None:
        """The query that a relation is, when it may run on the system engine; else None.

        Decided and audited; raises what the query itself would: an unknown name, a missing grant.
        """
        if session.conf.engine != "auto" or not session.conf.plain_semantics():
            return None
        text = self._text(relation, session)
        if text is None:
            return None
        try:
            proven_only = text.source is not None
            described = self.describe(text, session, proven_only=proven_only)
            if proven_only and _depends_on_zone(described, text, session):
                return None
            schema = self._schema_of(text, session, described)
            if schema is not None and _has_intervals(schema):
                return None  # Arrow's types of the two engines are not each other's
            return replace(text, schema=schema)
        except HeadwaterError as failure:
            if failure.code in _LACKING:
                return None
            raise
        except SparkFailure as failure:
            log.info("Sail does not type a query: %s", failure.message[:200])
            return None

    def _text(self, relation: Any, session: SparkSession) -> Text | None:
        kind = relation.WhichOneof("rel_type")
        if kind == "sql":
            return self._sql_text(relation.sql, session)
        if kind == "read":
            read = relation.read
            if read.WhichOneof("read_type") != "named_table" or read.is_streaming:
                return None
            if read.named_table.options:
                return None
            return self._table_text(read.named_table.unparsed_identifier, session)
        if kind == "hint" and not _is_idle(relation.hint):
            return None
        if kind in ("subquery_alias", "hint"):
            return self._text(getattr(relation, kind).input, session)
        if kind == "limit":
            inner = self._text(relation.limit.input, session)
            return None if inner is None else inner.limited(max(0, relation.limit.limit))
        if kind == "with_relations" and not relation.with_relations.references:
            return self._text(relation.with_relations.root, session)
        if kind == "aggregate" and _is_count(relation.aggregate):
            inner = self._text(relation.aggregate.input, session)
            return None if inner is None else inner.counted()
        return None

    def _table_text(self, identifier: str, session: SparkSession) -> Text | None:
        if not _IDENTIFIER.fullmatch(identifier):
            return None
        if is_view(session, name_parts(identifier)):
            return None
        return Text(f"SELECT * FROM {identifier.strip()}")

    def _sql_text(self, sql: Any, session: SparkSession) -> Text | None:
        sql = resolved(sql)
        text = self.with_arguments(sql, session)
        if text is None:
            return None
        try:
            parsed = self._describer.parse(session.statements(), text.sql)
        except HeadwaterError:
            return None
        if not isinstance(parsed, Query) or not only_catalog(parsed.tree, session):
            return None
        return replace(text, source=sql)

    def with_arguments(self, sql: Any, session: SparkSession) -> Text | None:
        """The text of a `SQL` message with its arguments as parameters.

        None when an argument is no constant.
        """
        sql = resolved(sql)
        query = str(sql.query)
        zone = session.conf.time_zone
        try:
            if sql.pos_arguments:
                return Text(query, tuple(parameter(each, zone) for each in sql.pos_arguments))
            if sql.pos_args:
                return Text(query, tuple(python_value(each, zone) for each in sql.pos_args))
            named = {name: parameter(each, zone) for name, each in sql.named_arguments.items()}
            named |= {name: python_value(each, zone) for name, each in sql.args.items()}
        except NotPlainError:
            return None
        return Text(query) if not named else positional(query, named)

    # --- types ----------------------------------------------------------------------------------

    def parse(self, text: Text, session: SparkSession) -> ParsedStatement:
        """What kind of statement a text is; raises SYNTAX_ERROR, NOT_SUPPORTED."""
        return self._describer.parse(session.statements(), text.sql)

    def explain(self, text: Text, session: SparkSession) -> str:
        """The system engine's plan of a query."""
        query = self._queries.submit(
            session.statements(), Statement(f"EXPLAIN {text.sql}", text.parameters)
        )
        rows = query.table()
        query.discard()
        return "== Physical Plan ==\n" + "\n".join(map(str, rows.column(0).to_pylist())) + "\n"

    def describe(
        self, text: Text, session: SparkSession, *, proven_only: bool = False
    ) -> Described:
        """The kind of a statement and its columns; raises what the statement itself would.

        `proven_only`: NOT_SUPPORTED unless the answer is proven to be Spark's.
        """
        return self._describer.describe(
            session.statements(), text.sql, text.parameters, proven_only=proven_only
        )

    def schema(self, text: Text, session: SparkSession) -> Any:
        """The Spark schema of a query's result."""
        if text.schema is not None:
            return text.schema
        made = self._schema_of(text, session, self.describe(text, session))
        if made is not None:
            return made
        query = self._submit(text.limited(0), session)
        query.finish()
        try:
            if query.error is not None:
                raise query.error
            return spark_schema(query.schema or pa.schema([]), self._pb)
        finally:
            query.discard()

    def _schema_of(self, text: Text, session: SparkSession, described: Described) -> Any:
        """A query's Spark schema; None where only running it tells. Raises SparkFailure."""
        if self._oracle is None or text.source is None:
            return self._known_schema(described)
        assert isinstance(described.parsed, Query), "a text with a source is a query"
        tree = described.parsed.tree
        if is_plain(tree):
            return self._named(self._known_schema(described), tree)
        told = self._oracle.schema(text.source, session, described)
        known = self._known_schema(described)
        if known is not None:
            if len(known.struct.fields) != len(told.struct.fields):
                raise error(
                    ErrorCode.NOT_SUPPORTED, "Sail sees other columns than the system engine"
                )
            # Sail sizes the quotient of two decimals by rules of its own; ours are Spark's.
            for field, ours in zip(told.struct.fields, known.struct.fields, strict=True):
                if {field.data_type.WhichOneof("kind"), ours.data_type.WhichOneof("kind")} == {
                    "decimal"
                }:
                    field.data_type.CopyFrom(ours.data_type)
        return told

    def _named(self, schema: Any, tree: exp.Expr) -> Any:
        """Names the constants of a plain query as Spark does, and says that they are not NULL."""
        if schema is not None and len(tree.expressions) == len(schema.struct.fields):
            for field, item in zip(schema.struct.fields, tree.expressions, strict=True):
                if isinstance(item.unalias(), exp.Literal):
                    field.nullable = False
                if isinstance(item, exp.Literal):
                    field.name = item.name
        return schema

    def _known_schema(self, described: Described) -> Any:
        if any(kind is None for _, kind in described.output):
            return None
        made = self._pb.DataType()
        made.struct.SetInParent()
        for name, kind in described.output:
            try:
                told = parse_ddl(iceberg_ddl(kind), self._pb)
            except (HeadwaterError, SparkFailure):
                return None
            made.struct.fields.add(name=name, data_type=told, nullable=True)
        return made

    # --- running --------------------------------------------------------------------------------

    def stream(self, text: Text, session: SparkSession, operation: Operation) -> None:
        """Runs a query and sends its schema and rows; raises AskSparkError with nothing sent."""
        schema = self.schema(text, session)
        target = arrow_schema(schema, session.conf.time_zone)
        sent = 0
        with _asking(lambda: sent == 0):
            for page, query in self._pages(text, session, operation):
                for message, rows in batch_responses(page, target, sent):
                    if sent == 0:
                        operation.emit(schema_response(schema, self._pb))
                    sent += rows
                    operation.emit(message, waiting=partial(query.page, 0))
        if sent == 0:
            operation.emit(schema_response(schema, self._pb))
            for message, _ in batch_responses(empty_batch(target), target, 0):
                operation.emit(message)

    def rows(self, text: Text, session: SparkSession, operation: Operation) -> tuple[Any, pa.Table]:
        """The schema and all rows of a query that has few; raises AskSparkError."""
        schema = self.schema(text, session)
        target = arrow_schema(schema, session.conf.time_zone)
        with _asking(lambda: True):
            pages = [page for page, _ in self._pages(text, session, operation)]
            return schema, pa.Table.from_batches([conform(page, target) for page in pages], target)

    def command(
        self, text: Text, session: SparkSession, operation: Operation
    ) -> tuple[pa.Table | None, Running]:
        """Runs a statement that is no query, to its end; its rows, if it has any.

        What it changes of the session (USE) is changed.
        """
        running = self._submit(text, session)
        try:
            pages = list(self._follow(running, operation))
            schema = running.schema
        finally:
            running.discard()
        changes = running.session_changes
        if changes.schema is not None:
            session.catalog, session.schema = changes.catalog or CATALOG_NAME, changes.schema
        return (None if schema is None else pa.Table.from_batches(pages, schema)), running

    def _submit(self, text: Text, session: SparkSession) -> Running:
        return self._queries.submit(session.statements(), Statement(text.sql, text.parameters))

    def _pages(
        self, text: Text, session: SparkSession, operation: Operation
    ) -> Iterator[tuple[pa.RecordBatch, Running]]:
        query = self._submit(text, session)
        try:
            for page in self._follow(query, operation):
                yield page, query
        finally:
            query.discard()

    def _follow(self, query: Running, operation: Operation) -> Iterator[pa.RecordBatch]:
        """The pages of a running query as they come; raises its error at its end."""
        operation.on_stop(query.cancel)
        changed = threading.Event()
        stop = query.watch(changed.set)
        index, told = 0, time.monotonic()
        try:
            while True:
                changed.clear()
                final = query.state.is_final
                while (page := query.page(index)) is not None:
                    index += 1
                    yield page
                if final:
                    break
                changed.wait(_WAIT_SECONDS)
                operation.check()
                if index == 0 and time.monotonic() - told > _PROGRESS_SECONDS:
                    told = time.monotonic()
                    operation.emit(self._progress(query))
            if query.error is not None:
                raise query.error
        finally:
            operation.on_stop(None)
            stop()
            if not query.state.is_final:
                query.cancel()

    def _progress(self, query: Running) -> bytes:
        """An `ExecutionProgress`: one stage of a hundred tasks, as far as the engine is."""
        stats = query.stats()
        done = int(100 * (stats.progress or 0.0))
        progress = self._pb.ExecutePlanResponse(
            execution_progress={
                "stages": [
                    {
                        "stage_id": 0,
                        "num_tasks": 100,
                        "num_completed_tasks": min(done, 99),
                        "input_bytes_read": stats.scanned_bytes,
                    }
                ],
                "num_inflight_tasks": 1,
            }
        )
        encoded: bytes = progress.SerializeToString()
        return encoded


def _depends_on_zone(described: Described, text: Text, session: SparkSession) -> bool:
    """True when the session's time zone may matter: answers are compared with Spark's in UTC."""
    if is_utc(session.conf.time_zone):
        return False
    instants = ("timestamptz", "timestamptz_ns")
    return "timestamp" in text.sql.lower() or any(
        column.type in instants for scan in described.scans for column in scan.columns
    )


def _has_intervals(schema: Any) -> bool:
    return any(
        (field.data_type.WhichOneof("kind") or "").endswith("interval")
        for field in schema.struct.fields
    )


def only_catalog(tree: exp.Expr, session: SparkSession) -> bool:
    """True when no name of a query is a temporary view, a function of the session's or a path."""
    for table in tree.find_all(exp.Table):
        parts = [part.name for part in table.parts if isinstance(part, exp.Identifier)]
        if not parts or is_view(session, parts):
            return False
    functions = {entry.name.lower() for entry in session.named("function")}
    if functions:
        for call in tree.find_all(exp.Anonymous, exp.Func):
            name = call.name if isinstance(call, exp.Anonymous) else call.sql_name()
            if name.lower() in functions:
                return False
    return True


def is_view(session: SparkSession, parts: list[str]) -> bool:
    """True when a name means a temporary view of the session."""
    if len(parts) == 1:
        return parts[0].casefold() in session.views
    return len(parts) == 2 and parts[0].lower() == "global_temp"


def name_parts(identifier: str) -> list[str]:
    """The parts of a dotted name, unquoted."""
    return [
        quoted.replace("``", "`") if quoted else plain
        for quoted, plain in _PART.findall(identifier)
    ]


def positional(query: str, named: dict[str, Any]) -> Text | None:
    """A text whose `:name` markers became `?`; None when its tokens cannot be told apart."""
    from sqlglot.dialects.spark import Spark
    from sqlglot.errors import TokenError
    from sqlglot.tokenizer_core import TokenType

    try:
        tokens = Spark().tokenize(query)
    except TokenError:
        return None
    pieces, values, offset = [], [], 0
    for mark, name in itertools.pairwise(tokens):
        if (
            mark.token_type is TokenType.COLON
            and name.start == mark.end + 1
            and name.text in named
            and (mark.start == 0 or not (query[mark.start - 1].isalnum()))
        ):
            pieces += [query[offset : mark.start], "?"]
            values.append(named[name.text])
            offset = name.end + 1
    if not values:
        return None
    return Text("".join(pieces) + query[offset:], tuple(values))


def _is_idle(hint: Any) -> bool:
    """False for a hint whose parameters Spark may refuse."""
    name = hint.name.lower()
    if name not in ("coalesce", "rebalance") and not name.startswith("repartition"):
        return True
    return all(each.literal.HasField("integer") for each in hint.parameters)


def _is_count(aggregate: Any) -> bool:
    """True for `df.count()`: count(1) of everything."""
    if aggregate.grouping_expressions or len(aggregate.aggregate_expressions) != 1:
        return False
    if aggregate.HasField("pivot") or aggregate.grouping_sets:
        return False
    call = aggregate.aggregate_expressions[0]
    if call.WhichOneof("expr_type") == "alias":
        call = call.alias.expr
    if call.WhichOneof("expr_type") != "unresolved_function":
        return False
    function = call.unresolved_function
    return (
        function.function_name == "count"
        and not function.is_distinct
        and len(function.arguments) == 1
        and function.arguments[0].WhichOneof("expr_type") == "literal"
        and function.arguments[0].literal.WhichOneof("literal_type") in ("integer", "long")
    )
