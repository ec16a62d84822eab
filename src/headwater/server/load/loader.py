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
    CsvLayout,
    FileFormat,
    LoadFile,
    check_types,
    count_records,
    diagnose,
    inspect,
)
from headwater.server.load.uploads import Uploads
from headwater.sql.types import data_type
from headwater.telemetry.logs import log

_JOBS_KEPT = 200
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
class Load:
    """What to load: files of one format into one table."""

    table: TableIdentifier
    files: tuple[LoadFile, ...]
    mode: LoadMode
    skip_errors: bool


@dataclass(slots=True)
class LoadJob:
    """A load and how it goes: rows loaded and skipped are known at its end."""

    id: str
    identity: Identity
    load: Load
    done: threading.Event
    rows: int = 0
    skipped: int = 0
    error: HeadwaterError | None = None


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
            layout = _layout(load.files)
            job.rows = self._execute(job, write, layout)
            if load.skip_errors and layout is not None:
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
        try:
            asked = (
                emit.columns_of(source)
                if layout is None
                else emit.text_columns_of(source, layout.columns)
            )
            described = self._stream(job, asked).to_pydict()
            inferred = [
                (name, exp.DataType.build(kind, dialect="duckdb"))
                for name, kind in zip(*described.values(), strict=True)
            ]
            if any(_is_mixed(kind) for _, kind in inferred):
                check_types(load.files)
            if load.mode is LoadMode.CREATE:
                columns = [(name, emit.storable_type(kind)) for name, kind in inferred]
                statement = emit.create(load.table, source, columns)
            else:
                columns = _assigned(write, [name for name, _ in inferred], load.files[0])
                statement = emit.insert(load.table, source, columns, only_castable=load.skip_errors)
                if load.mode is LoadMode.REPLACE:
                    statement = emit.in_transaction(emit.delete_all(load.table), statement)
            counted = self._stream(job, statement, write)
        except HeadwaterError as exc:
            raise self._explained(exc, load, layout) from exc
        if load.mode is LoadMode.REPLACE:
            # A transaction answers without a count; its last snapshot has it.
            return _added_rows(self._catalog.table(load.table).metadata)
        return int(counted.column(0)[0].as_py()) if counted.num_rows else 0

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
        self, failure: HeadwaterError, load: Load, layout: CsvLayout | None
    ) -> HeadwaterError:
        """The engine's refusal in terms of the file: which line, and what is wrong there."""
        if failure.code not in _OF_THE_DATA:
            return failure
        for file in load.files:
            found = diagnose(file, layout)
            if found is not None:
                return found
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


def _layout(files: Sequence[LoadFile]) -> CsvLayout | None:
    """Checks the files' beginnings; the one layout that all share, for CSV."""
    first = files[0]
    if any(file.format is not first.format for file in files):
        raise error(
            ErrorCode.INVALID_FILE,
            "the files are of different formats",
            hint="load each format by itself",
        )
    layouts = [inspect(file) for file in files]
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
