"""Loads files into a table: one governed write, one commit, or nothing."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import pyarrow as pa
from sqlglot import exp

from headwater.catalog.catalog import Catalog
from headwater.engines.engine import Engine, GovernedPlan
from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.governance.access import Access, AccessRequest
from headwater.model.identifiers import TableIdentifier
from headwater.model.principal import Identity
from headwater.model.scan import GovernedWrite, WriteOperation
from headwater.server.load import emit
from headwater.server.load.files import (
    AS_WRITTEN,
    CsvLayout,
    CsvOptions,
    Fault,
    FileFormat,
    LoadFile,
    check_types,
    count_records,
    diagnose,
    faults,
    inspect,
    lines_with,
)
from headwater.server.load.uploads import Held, Uploads
from headwater.sql.types import data_type
from headwater.telemetry.logs import log

_JOBS_KEPT = 200
_FAULTS = 20
_FAULT_RECORDS = 1_000_000
_SHOWN = 80
_OF_THE_DATA = frozenset(
    {
        ErrorCode.INVALID_CAST,
        ErrorCode.NUMERIC_VALUE_OUT_OF_RANGE,
        ErrorCode.EVALUATION_FAILED,
        ErrorCode.INVALID_ARGUMENT,
        ErrorCode.TYPE_MISMATCH,
        ErrorCode.STORAGE_UNAVAILABLE,
    }
)
"""What an engine error may be when the file itself is at fault."""

_log = log("load")


class LoadMode(StrEnum):
    """What happens to a table's rows: `create` wants no such table yet."""

    CREATE = "create"
    APPEND = "append"
    REPLACE = "replace"


@dataclass(frozen=True, slots=True)
class ColumnChoice:
    """What becomes of a file's column: its name in the table and its Iceberg type.

    A `type` of None is found out from all rows.
    """

    name: str
    to: str
    type: Any = None


@dataclass(frozen=True, slots=True)
class Load:
    """What to load: files of one format into one table; no `columns` means all as they are.

    `kept` are the uploads that are there again, for another attempt, when the load fails.
    """

    table: TableIdentifier
    files: tuple[LoadFile, ...]
    mode: LoadMode
    skip_errors: bool
    columns: tuple[ColumnChoice, ...] = ()
    options: CsvOptions = AS_WRITTEN
    kept: tuple[Held, ...] = ()


@dataclass(slots=True)
class LoadJob:
    """A load and how it goes: rows loaded and skipped are known at its end.

    `stage` is what it does at present; `faults` are lines that made it fail.
    """

    id: str
    identity: Identity
    load: Load
    done: threading.Event
    stage: str = "reading"
    rows: int = 0
    skipped: int = 0
    error: HeadwaterError | None = None
    faults: tuple[Fault, ...] = ()


class Loader:
    """Runs loads in threads of their own; a job is forgotten when 200 newer ones have come."""

    def __init__(self, catalog: Catalog, access: Access, engine: Engine, uploads: Uploads) -> None:
        self.uploads = uploads
        self._catalog = catalog
        self._access = access
        self._engine = engine
        self._lock = threading.Lock()
        self._jobs: dict[str, LoadJob] = {}

    def start(self, identity: Identity, load: Load) -> LoadJob:
        """Begins a load; its files are removed at its end, whatever that is."""
        job = LoadJob(f"load-{uuid.uuid4().hex}", identity, load, threading.Event())
        with self._lock:
            self._jobs[job.id] = job
            while len(self._jobs) > _JOBS_KEPT:
                del self._jobs[next(iter(self._jobs))]
        threading.Thread(target=self._run, args=(job,), name=job.id, daemon=True).start()
        return job

    def get(self, identity: Identity, job_id: str) -> LoadJob | None:
        """The caller's own job of that id."""
        job = self._jobs.get(job_id)
        return job if job and job.identity.principal == identity.principal else None

    def cancel(self, job: LoadJob) -> None:
        """Stops a job; nothing of it stays. Harmless when it has ended."""
        self._engine.cancel(job.id)

    def _run(self, job: LoadJob) -> None:
        try:
            self._load(job)
        except HeadwaterError as exc:
            job.error = exc
        except Exception:
            _log.exception("load failed", job=job.id)
            job.error = error(
                ErrorCode.INTERNAL_ERROR,
                "the server failed to load the files",
                hint=f"look for {job.id} in the server's log",
            )
        finally:
            if job.error is not None and job.load.kept:
                self.uploads.give_back(job.load.kept)
            else:
                for file in job.load.files:
                    file.path.unlink(missing_ok=True)
            job.done.set()

    def _load(self, job: LoadJob) -> None:
        load = job.load
        request = self._access.begin(
            job.identity,
            request_id=job.id,
            client=job.identity.client,
            statement=f"LOAD INTO {load.table}",
        )
        write = self._write(request, load)
        request.seal()
        outcome, code = "failed", None
        try:
            layout = _layout(load.files, load.options)
            job.rows = self._execute(job, write, layout)
            if load.skip_errors and layout is not None:
                job.stage = "counting"
                records = sum(count_records(file, layout) for file in load.files)
                job.skipped = max(0, records - job.rows)
            outcome = "done"
        except HeadwaterError as exc:
            code = exc.code
            raise
        finally:
            request.finish(outcome=outcome, error_code=code, rows=job.rows)

    def _write(self, request: AccessRequest, load: Load) -> GovernedWrite:
        if load.mode is LoadMode.CREATE:
            write = request.write(load.table, WriteOperation.CREATE)
            if self._catalog.entry(load.table) is not None:
                raise error(
                    ErrorCode.TABLE_ALREADY_EXISTS,
                    f"table {load.table} exists already",
                    hint="add to it with --mode append, or empty it first with --mode replace",
                )
            return write
        if load.mode is LoadMode.REPLACE:
            request.write(load.table, WriteOperation.TRUNCATE)
        write = request.write(load.table, WriteOperation.INSERT)
        if load.mode is LoadMode.REPLACE:
            # Both were allowed above; the lease of an INSERT would refuse the removal of rows.
            write = replace(write, operation=WriteOperation.MERGE)
        if write.row_filter is not None:
            raise error(
                ErrorCode.PERMISSION_DENIED,
                f"files cannot be loaded into {load.table}: a row filter binds you",
                hint="use INSERT, which checks each row, or ask the table's owner",
            )
        return write

    def _execute(self, job: LoadJob, write: GovernedWrite, layout: CsvLayout | None) -> int:
        load = job.load
        source = emit.reader(load.files, layout, skip_errors=load.skip_errors)
        if load.columns:
            source = emit.chosen(source, [(choice.name, choice.to) for choice in load.columns])
        columns: list[emit.Column] = []
        try:
            inferred = self._inferred(job, source, layout)
            if any(_is_mixed(kind) for _, kind in inferred):
                check_types(load.files)
            if load.mode is LoadMode.CREATE:
                columns = [(name, emit.storable_type(kind)) for name, kind in inferred]
                statement = emit.create(load.table, source, columns, only_castable=load.skip_errors)
            else:
                columns = _assigned(write, [name for name, _ in inferred], load.files[0])
                statement = emit.insert(load.table, source, columns, only_castable=load.skip_errors)
                if load.mode is LoadMode.REPLACE:
                    statement = emit.in_transaction(emit.delete_all(load.table), statement)
            job.stage = "writing"
            counted = self._stream(job, statement, write)
        except HeadwaterError as exc:
            job.stage = "looking for the fault"
            raise self._explained(exc, job, layout, source, columns) from exc
        if load.mode is LoadMode.REPLACE:
            # A transaction answers without a count; its last snapshot has it.
            return _added_rows(self._catalog.table(load.table).metadata)
        return int(counted.column(0)[0].as_py()) if counted.num_rows else 0

    def _inferred(
        self, job: LoadJob, source: exp.Expr, layout: CsvLayout | None
    ) -> list[emit.Column]:
        """The columns and their types: those that were chosen, the others from all rows."""
        given = {choice.to: data_type(choice.type) for choice in job.load.columns if choice.type}
        if layout is None:
            asked = emit.columns_of(source)
        else:
            names = [choice.to for choice in job.load.columns] or list(layout.columns)
            unknown = [name for name in names if name not in given]
            if not unknown:
                return [(name, given[name]) for name in names]
            asked = emit.text_columns_of(source, unknown)
        described = self._stream(job, asked).to_pydict()
        found = {
            name: exp.DataType.build(kind, dialect="duckdb")
            for name, kind in zip(*described.values(), strict=True)
        }
        order = [choice.to for choice in job.load.columns] or (
            list(found) if layout is None else list(layout.columns)
        )
        return [(name, given.get(name) or found[name]) for name in order]

    def _stream(self, job: LoadJob, statement: str, write: GovernedWrite | None = None) -> pa.Table:
        plan = GovernedPlan(
            job.id, job.identity, statement, writes=() if write is None else (write,)
        )
        stream = self._engine.execute(plan)
        try:
            return pa.Table.from_batches(list(stream), stream.schema)
        finally:
            stream.close()

    def _explained(
        self,
        failure: HeadwaterError,
        job: LoadJob,
        layout: CsvLayout | None,
        source: exp.Expr,
        columns: list[emit.Column],
    ) -> HeadwaterError:
        """The engine's refusal in terms of the file: which line, and what is wrong there."""
        load = job.load
        if failure.code not in _OF_THE_DATA:
            return failure
        for file in load.files:
            found = diagnose(file, layout)
            if found is not None:
                if found.code is ErrorCode.INVALID_FILE:
                    job.faults = tuple(faults(file, layout, most=_FAULTS, records=_FAULT_RECORDS))
                return found
        if layout is not None and columns:
            misfits = self._misfits(job, layout, source, columns)
            if misfits:
                job.faults = tuple(misfits)
                first = misfits[0]
                return error(
                    ErrorCode.INVALID_FILE,
                    f"{load.files[0].name} line {first.line}: {first.message}",
                    hint="choose another type, or leave such rows out with --on-error skip",
                )
        names = ", ".join(file.name for file in load.files)
        if failure.code is ErrorCode.STORAGE_UNAVAILABLE:
            return error(
                ErrorCode.INVALID_FILE,
                f"{names}: the file cannot be read as {load.files[0].format}; it may be damaged",
                hint="check how the file was written and sent",
            )
        return error(
            ErrorCode.INVALID_FILE,
            f"{names}: {failure.message}",
            hint="mend the values, or leave such rows out with --on-error skip",
        )

    def _misfits(
        self,
        job: LoadJob,
        layout: CsvLayout,
        source: exp.Expr,
        columns: Sequence[emit.Column],
    ) -> list[Fault]:
        """The first lines of a CSV file with values that are not of their column's type."""
        asked = emit.unfit_of(source, columns, each=_FAULTS)
        try:
            wrong = self._stream(job, asked).to_pylist()
        except HeadwaterError:
            return []
        kinds = {name: kind.sql("duckdb").lower() for name, kind in columns}
        names = {choice.to: choice.name for choice in job.load.columns}
        values: dict[str, set[str]] = {}
        wanted: dict[str, str] = {}
        for row in wrong:
            name = names.get(row["name"], row["name"])
            values.setdefault(name, set()).add(row["value"])
            wanted[name] = kinds.get(row["name"], "its type")
        found: list[Fault] = []
        for file in job.load.files:
            for line, name, value in lines_with(file, layout, values, most=_FAULTS):
                shown = value if len(value) <= _SHOWN else value[:_SHOWN] + "…"
                found.append(Fault(line, f"{name}: {shown!r} is not a {wanted[name]}"))
            if found:
                return found
        return found


def _layout(files: Sequence[LoadFile], options: CsvOptions) -> CsvLayout | None:
    """Checks the files' beginnings; the one layout that all share, for CSV."""
    first = files[0]
    if any(file.format is not first.format for file in files):
        raise error(
            ErrorCode.INVALID_FILE,
            "the files are of different formats",
            hint="load each format by itself",
        )
    layouts = [inspect(file, options) for file in files]
    if first.format is FileFormat.CSV:
        for file, layout in zip(files, layouts, strict=True):
            if layout is None or layout != layouts[0]:
                raise error(
                    ErrorCode.INVALID_FILE,
                    f"{file.name}: its header differs from that of {first.name}",
                    hint="load files with different columns one by one",
                )
    return layouts[0]


def _added_rows(metadata: Mapping[str, Any]) -> int:
    """The rows that the table's current snapshot added."""
    current = metadata.get("current-snapshot-id")
    for snapshot in metadata.get("snapshots") or ():
        if snapshot["snapshot-id"] == current:
            return int((snapshot.get("summary") or {}).get("added-records", 0))
    return 0


def _is_mixed(kind: exp.DataType) -> bool:
    """True when the engine found no one type for a JSON value, at any depth."""
    return any(part.is_type(exp.DType.JSON) for part in kind.find_all(exp.DataType))


def _assigned(write: GovernedWrite, names: Sequence[str], file: LoadFile) -> list[emit.Column]:
    """The table's columns that the files have, by name whatever the case, and their types."""
    held = {name.casefold() for name in names}
    known = {column.name.casefold() for column in write.columns}
    unknown = [name for name in names if name.casefold() not in known]
    if unknown:
        raise error(
            ErrorCode.INVALID_FILE,
            f"{file.name}: the table has no column {', '.join(unknown)}",
            hint="add the column with ALTER TABLE, or load into a new table with --mode create",
        )
    return [
        (column.name, data_type(column.type))
        for column in write.columns
        if column.name.casefold() in held
    ]
