"""`sql` runs: a script, statement by statement through the query service, as the run's identity.

The script's place is kept in `journal.json` of the run's folder: a restarted server, or a next
attempt, goes on with the first statement that did not end. Of the statement that a crash
interrupted, the audit log tells whether its commit was made: a commit and its audit row are one
transaction. So no change is made twice.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from headwater.client.values import python_values, text_of
from headwater.errors import ErrorCode, ErrorKind, HeadwaterError, error
from headwater.governance.audit import AuditLog
from headwater.governance.ids import now_ms
from headwater.jobs.execution import Look, Work
from headwater.jobs.folder import AttemptFolder
from headwater.jobs.logs import LogWriter
from headwater.jobs.records import Ending
from headwater.jobs.scripts import ScriptStatement, fill, split
from headwater.model.run import SQL, FailureClass, RunSpec, RunState, RunUsage
from headwater.model.statement import Dialect, QueryState, Session, Statement
from headwater.query.query import Query
from headwater.query.service import QueryService

_ROWS_SHOWN = 100
_TICK_SECONDS = 0.5
_SETTLED_SECONDS = 2.0
_LONGEST_SCRIPT = 16 * 1024 * 1024


class Interrupted(Exception):
    """The server stops; the script goes on when it is back."""


@dataclass
class _Script:
    """One attempt under way in this server."""

    thread: threading.Thread | None = None
    begun: float = field(default_factory=time.monotonic)
    cancel: threading.Event = field(default_factory=threading.Event)
    query: Query | None = None
    progress: Mapping[str, Any] = field(default_factory=dict)
    look: Look | None = None


class SqlKind:
    """Runs scripts in threads of the server."""

    name = SQL

    def __init__(self, queries: QueryService, audit: AuditLog, log_bytes: int) -> None:
        self._queries = queries
        self._audit = audit
        self._log_bytes = log_bytes
        self._lock = threading.Lock()
        self._scripts: dict[tuple[str, int], _Script] = {}
        self._stopping = threading.Event()

    def check(self, spec: RunSpec) -> None:
        """Refuses what a script cannot have."""
        try:
            Dialect(spec.dialect)
        except ValueError:
            raise error(
                ErrorCode.INVALID_ARGUMENT,
                f"'{spec.dialect}' is not a dialect",
                hint="use " + ", ".join(Dialect),
            ) from None
        if spec.arguments or spec.environment or spec.main_class:
            raise error(
                ErrorCode.INVALID_ARGUMENT,
                "a SQL script takes no arguments, environment or main class",
                hint="give it parameters, and write ${name} in the script",
            )

    def begin(self, work: Work) -> Mapping[str, Any]:
        """Starts the script's thread, unless it runs."""
        key = (work.run.id, work.attempt.number)
        with self._lock:
            if key in self._scripts:
                return {}
            script = self._scripts[key] = _Script()
        script.thread = threading.Thread(
            target=self._run, args=(work, script), name=f"script-{work.run.id[:8]}", daemon=True
        )
        script.thread.start()
        return {}

    def look(self, work: Work) -> Look:
        """How the script is; one that a killed server left is begun again where it was."""
        key = (work.run.id, work.attempt.number)
        with self._lock:
            script = self._scripts.get(key)
        if script is None:
            if work.run.state is RunState.CANCELLING:
                ending = Ending(RunState.CANCELLED, "cancelled")
                return Look(True, ending, self._usage(work, 0.0))
            if work.attempt.started_ms is not None:
                self.begin(work)
            return Look(work.attempt.started_ms is not None)
        if script.look is not None:
            with self._lock:
                self._scripts.pop(key, None)
            return script.look
        return Look(True, facts={"progress": script.progress})

    def cancel(self, work: Work) -> None:
        """Stops the statement that runs, and those after it."""
        with self._lock:
            script = self._scripts.get((work.run.id, work.attempt.number))
        if script is not None:
            script.cancel.set()
            if (query := script.query) is not None:
                query.cancel()

    def stop(self) -> None:
        """Lets the scripts go: they stay RUNNING in the metastore, and go on after a restart."""
        self._stopping.set()
        with self._lock:
            scripts = list(self._scripts.values())
        for script in scripts:
            if (query := script.query) is not None:
                query.cancel()
        for script in scripts:
            if script.thread is not None:
                script.thread.join(5.0)

    def _run(self, work: Work, script: _Script) -> None:
        with contextlib.suppress(Interrupted):
            try:
                self._carry_out(work, script)
                ending = Ending(RunState.SUCCESS)
            except HeadwaterError as exc:
                ending = failed(exc, cancelled=script.cancel.is_set())
            except Exception as exc:
                ending = failed(error(ErrorCode.INTERNAL_ERROR, f"the script's thread: {exc}"))
            script.look = Look(True, ending, self._usage(work, time.monotonic() - script.begun))

    def _carry_out(self, work: Work, script: _Script) -> None:
        dialect = Dialect(work.spec.dialect)
        statements = split(_text(work), dialect)
        journal = _Journal.load(AttemptFolder(work.folder.path.parent))
        out = LogWriter(work.folder.logs, "stdout", cap=self._log_bytes)
        err = LogWriter(work.folder.logs, "stderr", cap=self._log_bytes)
        session = Session(
            work.identity,
            dialect=dialect,
            schema=journal.schema or work.spec.schema,
            properties=dict(journal.properties),
        )
        deadline = (work.attempt.started_ms or now_ms()) / 1000 + work.spec.timeout_seconds
        for number, statement in enumerate(statements, start=1):
            if number <= journal.done:
                continue
            script.progress = {"statement": number, "of": len(statements)}
            heading = f"[{number}/{len(statements)}] line {statement.line}\n"
            err.write(heading.encode())
            if journal.begun == number and self._committed(work, journal):
                err.write(b"its change was committed before the interruption; not repeated\n")
            else:
                session = self._one(
                    work, script, statement, number, session, journal, out, err, deadline
                )
            journal.finish(number, session)
            out.flush()
            err.flush()

    def _one(
        self,
        work: Work,
        script: _Script,
        statement: ScriptStatement,
        number: int,
        session: Session,
        journal: _Journal,
        out: LogWriter,
        err: LogWriter,
        deadline: float,
    ) -> Session:
        source = f"run:{work.run.id}:{work.attempt.number}:{number}"
        journal.begin(number, source)
        if script.cancel.is_set():
            raise error(ErrorCode.USER_CANCELED, "cancelled")
        if self._stopping.is_set():
            raise Interrupted
        text = fill(statement.text, work.spec.parameters)
        query = self._queries.submit(replace(session, source=source), Statement(text))
        script.query = query
        if script.cancel.is_set():
            query.cancel()
        while not query.finish(_TICK_SECONDS).is_final:
            if time.time() > deadline:
                query.abort(
                    error(
                        ErrorCode.EXCEEDED_TIME_LIMIT,
                        f"it ran longer than {work.spec.timeout_seconds:g} s",
                    )
                )
        script.query = None
        if query.error is not None:
            if self._stopping.is_set() and not script.cancel.is_set():
                raise Interrupted
            err.write(f"{query.error}\n".encode())
            err.flush()
            if query.error.code is ErrorCode.COMMIT_STATE_UNKNOWN:
                # A commit that was on its way is on record by then.
                self._stopping.wait(_SETTLED_SECONDS)
            raise query.error
        _print(query, out)
        return _changed(session, query)

    def _committed(self, work: Work, journal: _Journal) -> bool:
        """True when the interrupted statement's change is on record."""
        name = work.identity.principal.name
        recent = self._audit.query(principal=name, since_ms=journal.begun_ms, limit=100_000)
        decisions = {
            str(event.facts["id"]): str(event.facts["request_id"])
            for event in recent
            if event.facts["kind"] == "decision" and event.facts.get("client") == journal.source
        }
        requests = set(decisions.values())
        return any(
            event.facts["kind"] == "change"
            and (
                event.facts.get("decision_id") in decisions
                or event.facts["request_id"] in requests
                or event.facts.get("client") == journal.source
            )
            for event in recent
        )

    def _usage(self, work: Work, wall: float) -> RunUsage:
        if work.attempt.started_ms is not None:
            wall = max(wall, now_ms() / 1000 - work.attempt.started_ms / 1000)
        return RunUsage(
            wall_seconds=wall, vcpu_seconds=wall * work.spec.compute.vcpu, method="engine"
        )


class _Journal:
    """How far a script is, kept in the run's folder."""

    def __init__(self, folder: AttemptFolder, found: Mapping[str, Any]) -> None:
        self._folder = folder
        self.done = int(found.get("done", 0))
        self.begun = int(found.get("begun", 0))
        self.begun_ms = int(found.get("begun_ms", 0))
        self.source = str(found.get("source", ""))
        self.schema: str | None = found.get("schema")
        self.properties: Mapping[str, str] = found.get("properties", {})

    @classmethod
    def load(cls, folder: AttemptFolder) -> _Journal:
        """The journal of a run; empty before its first statement."""
        return cls(folder, folder.read("journal") or {})

    def begin(self, number: int, source: str) -> None:
        """Notes which statement is under way, before it is."""
        self.begun, self.source, self.begun_ms = number, source, now_ms()
        self._write()

    def finish(self, number: int, session: Session) -> None:
        """Notes that a statement ended, and what the session is now."""
        self.done, self.begun = number, 0
        self.schema, self.properties = session.schema, session.properties
        self._write()

    def _write(self) -> None:
        self._folder.write(
            "journal",
            {
                "done": self.done,
                "begun": self.begun,
                "begun_ms": self.begun_ms,
                "source": self.source,
                "schema": self.schema,
                "properties": dict(self.properties),
            },
        )


_FAILURES: dict[ErrorCode, FailureClass] = {
    ErrorCode.EXCEEDED_MEMORY_LIMIT: FailureClass.OUT_OF_MEMORY,
    ErrorCode.EXCEEDED_TIME_LIMIT: FailureClass.TIMEOUT,
    ErrorCode.ENGINE_FAILED: FailureClass.LOST_ENGINE,
    ErrorCode.QUERY_QUEUE_FULL: FailureClass.INFRASTRUCTURE,
    ErrorCode.DISK_FULL: FailureClass.INFRASTRUCTURE,
    # The next attempt finds in the audit log whether it was made, before it goes on.
    ErrorCode.COMMIT_STATE_UNKNOWN: FailureClass.LOST_ENGINE,
}


def failed(exc: HeadwaterError, *, cancelled: bool = False) -> Ending:
    """The ending that an error makes, with its class for retries."""
    if cancelled:
        return Ending(RunState.CANCELLED, "cancelled")
    failure = _FAILURES.get(exc.code)
    if failure is None:
        external = exc.code.kind in (ErrorKind.EXTERNAL, ErrorKind.INTERNAL)
        failure = FailureClass.INFRASTRUCTURE if external else FailureClass.USER
    reason = exc.message + (f" ({exc.hint})" if exc.hint else "")
    return Ending(RunState.FAILED, reason, failure, exc.code)


def _text(work: Work) -> str:
    try:
        data = work.entry.read_bytes()
    except OSError as exc:
        raise error(ErrorCode.FILE_NOT_FOUND, f"the run's script is gone: {exc.strerror}") from exc
    if len(data) > _LONGEST_SCRIPT:
        raise error(ErrorCode.EXCEEDED_STATEMENT_SIZE, "the script has more than 16 MiB")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise error(
            ErrorCode.INVALID_FILE,
            f"the script is not UTF-8: bad byte at offset {exc.start}",
            hint="save the file as UTF-8",
        ) from exc


def _print(query: Query, out: LogWriter) -> None:
    """Writes the result's first rows, tab-separated under their column names."""
    if query.schema is None or query.state is not QueryState.FINISHED:
        return
    if query.schema.names:
        out.write(("\t".join(query.schema.names) + "\n").encode())
    shown = index = 0
    while shown < _ROWS_SHOWN and (batch := query.page(index)) is not None:
        columns = [python_values(column) for column in batch.columns]
        for row in zip(*columns, strict=True):
            if shown == _ROWS_SHOWN:
                break
            line = "\t".join("NULL" if value is None else str(text_of(value)) for value in row)
            out.write((line.replace("\n", "\\n") + "\n").encode())
            shown += 1
        index += 1
    rows = query.stats().result_rows
    if rows > shown:
        out.write(f"… {rows - shown} more rows\n".encode())


def _changed(session: Session, query: Query) -> Session:
    changes = query.session_changes
    if changes.role is not None:
        raise error(
            ErrorCode.NOT_SUPPORTED,
            "a script cannot change its role",
            hint="run it as the role: --role NAME",
        )
    properties = {**session.properties, **changes.set_properties}
    for name in changes.reset_properties:
        properties.pop(name, None)
    for name, text in changes.added_prepared.items():
        properties[f"prepared:{name}"] = text
    for name in changes.removed_prepared:
        properties.pop(f"prepared:{name}", None)
    return replace(session, schema=changes.schema or session.schema, properties=properties)
