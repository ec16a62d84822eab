"""Carries out one operation: a relation's rows or a command's effect, sent to its client."""

from __future__ import annotations

import logging
from typing import Any

import pyarrow as pa

from headwater.errors import ErrorCode, HeadwaterError
from headwater.gateway.spark_connect import plans
from headwater.gateway.spark_connect.analyze import Analysis
from headwater.gateway.spark_connect.commands import (
    local_relation,
    settings_rows,
    spark_rows,
    text_table,
)
from headwater.gateway.spark_connect.elsewhere import Elsewhere, apply_effects
from headwater.gateway.spark_connect.encode import schema_response, table_responses
from headwater.gateway.spark_connect.failures import (
    SparkFailure,
    invalid_plan,
    spark_failure,
    unsupported,
)
from headwater.gateway.spark_connect.local import local_rows
from headwater.gateway.spark_connect.operations import Abandoned, Operation, canceled, response
from headwater.gateway.spark_connect.sessions import SparkSession
from headwater.gateway.spark_connect.show import html_string, show_string
from headwater.gateway.spark_connect.statements import AskSparkError, Text
from headwater.gateway.spark_connect.tools import Tools
from headwater.gateway.spark_connect.types import (
    arrow_schema,
    simple_string,
    spark_schema,
    typed_query,
)
from headwater.sql.statements import Query

log = logging.getLogger(__name__)

_MOST_SHOWN = 100_000


class Execution:
    """One operation of one session; `run` is what its thread does."""

    def __init__(self, tools: Tools, session: SparkSession, operation: Operation) -> None:
        self._tools = tools
        self._session = session
        self._operation = operation
        self._pb = tools.pb

    def run(self, plan: Any) -> None:
        """Carries out a plan to its end; never raises."""
        operation = self._operation
        try:
            self._plan(plan)
            operation.finish(response(self._pb, result_complete=self._complete()))
        except Abandoned:
            operation.fail(canceled())
        except SparkFailure as failure:
            self._fail(failure)
        except HeadwaterError as failure:
            self._fail(canceled() if operation.interrupted else spark_failure(failure))
        except Exception:
            log.exception("operation %s failed", operation.id)
            self._fail(
                SparkFailure(
                    "[INTERNAL_ERROR] the server failed to carry out the operation; its log says "
                    f"why, under {operation.id}"
                )
            )

    def _complete(self) -> Any:
        return self._pb.ExecutePlanResponse.ResultComplete()

    def _fail(self, failure: SparkFailure) -> None:
        self._session.remember(failure)
        self._operation.fail(failure)

    def _plan(self, plan: Any) -> None:
        kind = plan.WhichOneof("op_type")
        if kind == "root":
            self._relation(plan.root, plan)
        elif kind == "command":
            self._command(plan.command, plan)
        else:
            raise invalid_plan("The plan is empty.")

    # --- relations ------------------------------------------------------------------------------

    def _relation(self, relation: Any, plan: Any) -> None:
        kind = relation.WhichOneof("rel_type")
        if kind == "catalog":
            self._send(
                self._tools.catalog.answer(
                    relation.catalog, self._session, self._statement, self._columns_of
                )
            )
            return
        try:
            done = self._here(relation, kind)
        except AskSparkError:
            done = False
        if not done:
            self._elsewhere(plan)

    def _here(self, relation: Any, kind: str) -> bool:
        """Answers a relation without a user process; False when that cannot be."""
        if kind in ("show_string", "html_string") and self._show(relation, kind):
            return True
        text = self._tools.statements.text_of(relation, self._session)
        if text is not None:
            self._tools.statements.stream(text, self._session, self._operation)
            return True
        rows = self._local(relation)
        if rows is not None:
            self._send(rows[1], rows[0])
        return rows is not None

    def _show(self, relation: Any, kind: str) -> bool:
        """Answers `show` of a query of the system engine; False for any other."""
        asked = getattr(relation, kind)
        text = self._tools.statements.text_of(asked.input, self._session)
        local = self._local(asked.input) if text is None else None
        wanted = max(0, min(asked.num_rows, _MOST_SHOWN))
        if text is not None:
            schema, rows = self._tools.statements.rows(
                text.limited(wanted + 1), self._session, self._operation
            )
        elif local is not None:
            schema, rows = local
        else:
            return False
        zone = self._session.conf.time_zone
        if kind == "show_string":
            drawn = show_string(
                rows,
                schema,
                wanted=wanted,
                truncate=asked.truncate,
                vertical=asked.vertical,
                time_zone=zone,
            )
        else:
            drawn = html_string(
                rows, schema, wanted=wanted, truncate=asked.truncate, time_zone=zone
            )
        self._send(pa.table({kind: [drawn]}))
        return True

    def _local(self, relation: Any) -> tuple[Any, pa.Table] | None:
        """Schema and rows of a relation that brings them along."""
        return local_rows(relation, self._session.conf.time_zone, self._pb)

    def _send(self, rows: pa.Table, schema: Any = None) -> None:
        """Sends a table of our own."""
        if schema is None:
            schema = spark_schema(rows.schema, self._pb)
        self._operation.emit(schema_response(schema, self._pb))
        target = arrow_schema(schema, self._session.conf.time_zone)
        for message, _ in table_responses(rows, target):
            self._operation.emit(message)

    def _statement(self, sql: str) -> pa.Table | None:
        """Runs a statement of ours as the session's caller."""
        rows, _ = self._tools.statements.command(Text(sql), self._session, self._operation)
        return rows

    def _columns_of(self, session: SparkSession, view: str) -> list[tuple[str, str, bool]]:
        """The columns of a temporary view."""
        plan = self._pb.Plan(root=session.views[view].relation)
        schema = Analysis(self._tools, session).schema(plan)
        return [(f.name, simple_string(f.data_type), f.nullable) for f in schema.struct.fields]

    # --- commands -------------------------------------------------------------------------------

    def _command(self, command: Any, plan: Any) -> None:
        kind = command.WhichOneof("command_type")
        if kind == "sql_command":
            self._sql(command.sql_command, plan)
        else:
            self._elsewhere(plan)

    def _sql(self, command: Any, plan: Any) -> None:
        """`spark.sql`: a query is answered unexecuted, a command with its rows."""
        relation = command.input
        if relation.WhichOneof("rel_type") is None:
            # Clients before 4.0 send the text in fields of its own.
            relation = self._pb.Relation(
                common=self._pb.RelationCommon(plan_id=0),
                sql=self._pb.SQL(
                    query=command.sql,
                    args=command.args,
                    pos_args=command.pos_args,
                    named_arguments=command.named_arguments,
                    pos_arguments=command.pos_arguments,
                ),
            )
        statements = self._tools.statements
        if statements.text_of(relation, self._session) is not None:
            self._answer(relation)
            return
        if relation.WhichOneof("rel_type") == "sql":
            rows = settings_rows(relation.sql.query, self._session)
            if rows is not None:
                self._answer(local_relation(rows, self._pb))
                return
            ready = statements.with_arguments(relation.sql, self._session)
            if ready is not None and self._tools.user_side is None:
                parsed = statements.parse(ready, self._session)
                if not isinstance(parsed, Query):
                    found, _ = statements.command(ready, self._session, self._operation)
                    told = spark_rows(parsed, found, self._session)
                    self._answer(local_relation(told, self._pb))
                    return
        try:
            self._elsewhere(plan)
        except HeadwaterError as failure:
            if failure.code is ErrorCode.NOT_SUPPORTED and relation.HasField("sql"):
                self._check_words(relation.sql.query)
            raise

    def _check_words(self, text: str) -> None:
        """Raises SYNTAX_ERROR for a misspelt word: a mistake, not something that is lacking."""
        try:
            self._tools.statements.parse(Text(text), self._session)
        except HeadwaterError as failure:
            if failure.code is ErrorCode.SYNTAX_ERROR:
                raise

    def _answer(self, relation: Any) -> None:
        result = self._pb.ExecutePlanResponse.SqlCommandResult(relation=relation)
        self._operation.emit(response(self._pb, sql_command_result=result))

    # --- the caller's own process ---------------------------------------------------------------

    def _elsewhere(self, plan: Any) -> None:
        """What the system engine does not answer: checked, then run where it belongs."""
        side = self._tools.user_side
        if side is None:
            raise unsupported("only SQL over tables of the catalog runs here")
        elsewhere = Elsewhere(side, self._session)
        found = elsewhere.rewrite(plan)
        match found.action:
            case plans.Action.CATALOG:
                raise unsupported("spark.catalog cannot be part of another plan")
            case plans.Action.QUERY:
                elsewhere.analyze(self._schema_request(found.echo))
                self._answer(found.echo)
            case plans.Action.STATEMENT:
                self._run_statement(found)
            case plans.Action.SESSION:
                self._check_view(found, elsewhere)
            case plans.Action.WRITE if self._write_here(found, plan):
                pass
            case plans.Action.WRITE:
                elsewhere.write(plan, self._operation)
            case _ if any(isinstance(effect, plans.AddFunction) for effect in found.effects):
                pass  # sent to the process that needs it first
            case _:
                elsewhere.run(plan, self._operation)
        apply_effects(found.effects, self._session)
        told = found.action in (plans.Action.SESSION, plans.Action.WRITE)
        if told and plan.command.HasField("sql_command"):
            titles, rows = found.rows or ((), ())
            self._answer(local_relation(text_table(titles, rows), self._pb))

    def _write_here(self, found: plans.RewrittenPlan, plan: Any) -> bool:
        """Writes a query of the system engine to a table in one statement; False for others."""
        side, write = self._tools.user_side, found.write
        assert side is not None, "a write was checked"
        assert write is not None, "a write was checked"
        kind = plan.command.WhichOneof("command_type")
        if side.writes is None or write.target.table is None or not kind.startswith("write_"):
            return False
        if write.target.widened is not None:  # by what rows came
            return False
        text = self._tools.statements.text_of(getattr(plan.command, kind).input, self._session)
        if text is None:
            return False
        typed = typed_query(text.sql, self._tools.statements.schema(text, self._session))
        if typed is None:
            return False
        sql, names = typed
        operation = self._operation
        try:
            side.writes.write_query(
                self._session.statements(),
                write.target,
                sql,
                text.parameters,
                names,
                lambda query: operation.on_stop(query.cancel),
            )
        except HeadwaterError as failure:
            # Nothing was committed, and Spark's numbers may go further.
            if failure.code is not ErrorCode.NUMERIC_VALUE_OUT_OF_RANGE:
                raise
            return False
        finally:
            operation.on_stop(None)
        return True

    def _run_statement(self, found: plans.RewrittenPlan) -> None:
        assert found.sql is not None, "a statement has its text"
        text = Text(found.sql.text, found.sql.parameters)
        parsed = self._tools.statements.parse(text, self._session)
        rows, _ = self._tools.statements.command(text, self._session, self._operation)
        self._answer(local_relation(spark_rows(parsed, rows, self._session), self._pb))

    def _check_view(self, found: plans.RewrittenPlan, elsewhere: Elsewhere) -> None:
        """Tells the errors of a new view's relation now, as Spark does."""
        if found.echo is None:
            return
        known = self._tools.statements.text_of(found.echo, self._session) is not None
        if not known and self._local(found.echo) is None:
            elsewhere.analyze(self._schema_request(found.echo))

    def _schema_request(self, relation: Any) -> Any:
        request = self._pb.AnalyzePlanRequest()
        request.schema.plan.root.CopyFrom(relation)
        return request
