"""Puts what one caller may read where one user process can read it: as Parquet in its inbox.

    staging = Staging(parts)                            # one for the server
    stager = staging.stager(engine)                     # one for each plan
    table = stager.table(Name(("sales", "orders")), CURRENT, session)

Each table is decided by `governance.access` and audited before anything of it is staged, whether
its content is there already or not. The content has a key that every policy, snapshot and mask is
part of, so nothing is ever shown that another decision made.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import os
import re
import secrets
import shutil
import threading
import time
import uuid
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq
from sqlglot import exp

from headwater.catalog.entries import ObjectKind
from headwater.engines.engine import GovernedPlan
from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.governance.access import AccessRequest
from headwater.model.identifiers import SnapshotRef, parse_namespace
from headwater.model.statement import Session
from headwater.query.arrow_writes import WriteMode
from headwater.query.inputs import Inputs
from headwater.query.linking import linkable_files, quoted, spark_ddl
from headwater.query.location_files import LocationFiles
from headwater.query.names import split_name
from headwater.query.resolver import QueryResolver
from headwater.query.session import effective_limits
from headwater.query.spark_types import spark_schema
from headwater.query.viewer import Viewer
from headwater.query.work import Parts
from headwater.sql.bind import bind
from headwater.sql.relations import Bound, Relation, ScanRelation
from headwater.sql.rewrite import govern
from headwater.sql.statements import Name
from headwater.sql.transpile import emit

log = logging.getLogger(__name__)

METADATA_TABLES = frozenset({"files", "history", "manifests", "partitions", "refs", "snapshots"})
"""Iceberg's metadata tables: Spark writes `db.t.files` for what the catalog calls `t$files`."""

_ROW_GROUP = 128 * 1024
_VOLATILE = re.compile(r"now|current_|localtime|random|uuid|getvariable|input_\d", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class StagedTable:
    """A table as a user process reads it: a folder of Parquet files in its inbox.

    `path` is the folder as the process names it (empty for a table without rows, of which only the
    types are wanted), `schema` its columns as Spark DDL, `key` what tells its content from any
    other's. `restricted` when a policy narrows what the caller sees: then the user's own code
    needs a sandbox.
    """

    name: str
    key: str
    path: str
    schema: str
    columns: tuple[str, ...]
    restricted: bool = False
    linked: bool = False


@dataclass(frozen=True, slots=True)
class StagedFiles:
    """Files of a granted location in the inbox: their paths there, format and reading options."""

    key: str
    paths: tuple[str, ...]
    format: str
    options: Mapping[str, str] = field(default_factory=dict)


class Inbox(Protocol):
    """What staging uses of a user process; see `headwater.engines.userprocess.engine`."""

    @property
    def generation(self) -> str:
        """Another value means another process."""
        ...

    @property
    def inbox(self) -> Path:
        """The folder, outside."""
        ...

    @property
    def inbox_inside(self) -> str:
        """The folder, as the process names it."""
        ...

    @property
    def outbox(self) -> Path:
        """Where it leaves files; what lies there was made by user code."""
        ...

    @property
    def outbox_inside(self) -> str:
        """The outbox, as the process names it."""
        ...

    @property
    def alive(self) -> bool:
        """False once the process has ended."""
        ...

    @property
    def confines(self) -> bool:
        """True when the process cannot write what it is shown."""
        ...


@dataclass(slots=True)
class _Entry:
    """Something staged: its folder, its bytes, and how many plans read it just now."""

    folder: str
    table: StagedTable
    bytes: int
    used: float = 0.0
    pins: int = 0


@dataclass(slots=True)
class _Shelf:
    """What is staged for one process."""

    process: Inbox
    entries: dict[str, _Entry] = field(default_factory=dict)
    making: dict[str, threading.Lock] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)
    bytes: int = 0


class Staging:
    """What is staged, for all user processes."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.files = LocationFiles(parts.access, (parts.settings.home_path,), parts.objects)
        self.most_bytes = parts.settings.user_engines.disk_bytes
        self._lock = threading.Lock()
        self._shelves: dict[str, _Shelf] = {}

    def stager(self, process: Inbox) -> ProcessStager:
        """What stages for one plan in a process; what it staged stays while it lives."""
        with self._lock:
            for generation in [g for g, s in self._shelves.items() if not s.process.alive]:
                # Its folder went with the process.
                del self._shelves[generation]
            shelf = self._shelves.setdefault(process.generation, _Shelf(process))
        return ProcessStager(self, shelf)


class ProcessStager:
    """Stages for one plan in one process."""

    def __init__(self, staging: Staging, shelf: _Shelf) -> None:
        self._staging = staging
        self._parts = staging.parts
        self._shelf = shelf
        self._pinned: list[_Entry] = []
        self._statement: str | None = None
        self._stopped = False
        weakref.finalize(self, _unpin, shelf, self._pinned)

    def cancel(self) -> None:
        """Stops what is being staged; the call that waits for it raises USER_CANCELED."""
        self._stopped = True
        if self._statement is not None:
            self._parts.engine.cancel(self._statement)

    def exists(self, name: Name, session: Session) -> bool:
        """True when the caller may see a table or view of that name."""
        try:
            request = self._begin(session, name)
            self._relation(request, self._metadata_name(name, session), SnapshotRef(), session)
        except HeadwaterError:
            return False
        request.forget()
        return True

    def table(
        self,
        name: Name,
        at: SnapshotRef,
        session: Session,
        columns: Sequence[str] | None = None,
    ) -> StagedTable:
        """The table, view, metadata table or system table of that name, as its caller may read it.

        Decided, audited and sealed before it returns. Raises TABLE_NOT_FOUND, PERMISSION_DENIED,
        EXCEEDED_RESULT_SIZE when there is no room for it, DISK_FULL.
        """
        request = self._begin(session, name)
        outcome, code = "failed", None
        try:
            staged = self._stage(request, self._metadata_name(name, session), at, session)
            outcome = "done"
        except HeadwaterError as exc:
            code = exc.code
            raise
        finally:
            request.finish(outcome=outcome, error_code=code, engine="staging")
        return staged

    def files(
        self, paths: Sequence[str], file_format: str, options: Mapping[str, str], session: Session
    ) -> StagedFiles:
        """Files of granted locations; raises PERMISSION_DENIED, FILE_NOT_FOUND."""
        token = secrets.token_hex(16)
        with self._folder(token) as folder:
            room = self._staging.most_bytes - self._shelf.bytes
            names, size = self._staging.files.fetch(session, paths, folder, most=room)
        entry = _Entry(token, StagedTable("", token, "", "", ()), size)
        self._keep(token, entry)
        inside = f"{self._shelf.process.inbox_inside}/{token}"
        return StagedFiles(token, tuple(f"{inside}/{name}" for name in names), file_format, options)

    def export(
        self, session: Session, path: str, mode: WriteMode, run: Callable[[str], None]
    ) -> None:
        """Has `run` make files in the folder that it is told, and moves them to a granted one.

        Nothing is run when there is nothing to do. Raises PERMISSION_DENIED without WRITE FILES,
        TABLE_ALREADY_EXISTS for a folder that is there, whatever `run` raises.
        """
        files, process = self._staging.files, self._shelf.process
        if not files.check_target(session, path, mode):
            return
        token = secrets.token_hex(16)
        try:
            run(f"{process.outbox_inside}/{token}")
            files.publish(session, process.outbox / token, path, mode)
        finally:
            shutil.rmtree(process.outbox / token, ignore_errors=True)

    # --- deciding -------------------------------------------------------------------------------

    def _begin(self, session: Session, name: Name) -> AccessRequest:
        text = ".".join(quoted(part) for part in name.parts)
        return self._parts.access.begin(
            session.identity,
            request_id=f"stage-{uuid.uuid4().hex}",
            client=session.source,
            statement=f"SELECT * FROM {text}",
        )

    def _relation(
        self, request: AccessRequest, name: Name, at: SnapshotRef, session: Session
    ) -> Relation:
        return self._resolver(request, session, Inputs()).relation(name, at)

    def _resolver(self, request: AccessRequest, session: Session, inputs: Inputs) -> QueryResolver:
        viewer = Viewer(self._parts, request)
        return QueryResolver(self._parts, request, session, viewer, inputs)

    def _metadata_name(self, name: Name, session: Session) -> Name:
        """`t$files` for Spark's `t.files`, unless there is a table of that very name."""
        if len(name.parts) < 2 or name.parts[-1].lower() not in METADATA_TABLES:
            return name
        if self._entry_kind(name, session) is not None:
            return name
        base = Name(name.parts[:-1])
        if self._entry_kind(base, session) is not ObjectKind.TABLE:
            return name
        return Name((*base.parts[:-1], f"{base.parts[-1]}${name.parts[-1].lower()}"))

    def _entry_kind(self, name: Name, session: Session) -> ObjectKind | None:
        try:
            _, schema, table = split_name(name, session)
        except HeadwaterError:
            return None
        entry = self._parts.catalog.resolve(parse_namespace(schema), table)
        return None if entry is None else entry.kind

    # --- staging --------------------------------------------------------------------------------

    def _stage(
        self, request: AccessRequest, name: Name, at: SnapshotRef, session: Session
    ) -> StagedTable:
        inputs = Inputs()
        resolver = self._resolver(request, session, inputs)
        relation = resolver.relation(name, at)
        if isinstance(relation, ScanRelation):
            linked = self._linked(request, relation, str(name))
            if linked is not None:
                return linked
        bound = bind(_everything(), _Only(relation), session=session)
        sql = emit(govern(bound))
        request.seal()
        key = hashlib.sha256(sql.encode()).hexdigest()
        if _VOLATILE.search(sql):
            key = secrets.token_hex(32)
        with self._made_once(key) as known:
            if known is not None:
                return known
            return self._copied(key, str(name), bound, sql, inputs, session)

    def _linked(
        self, request: AccessRequest, relation: ScanRelation, name: str
    ) -> StagedTable | None:
        scan, catalog = relation.scan, self._parts.catalog
        if not self._shelf.process.confines or scan.is_restricted:
            return None
        metadata = catalog.table(scan.identifier).metadata
        columns = tuple(column.name for column in scan.columns)
        facts = (scan.table_uuid, scan.snapshot_id, repr(scan.columns))
        key = "link-" + hashlib.sha256(repr(facts).encode()).hexdigest()
        with self._shelf.lock:
            if (entry := self._shelf.entries.get(key)) is not None:
                request.seal()
                return self._pin(entry)
        files = linkable_files(scan, metadata, catalog.warehouse.io, catalog.warehouse.root)
        if files is None:
            return None
        request.seal()
        with self._made_once(key) as known:
            if known is not None:
                return known
            token = secrets.token_hex(16)
            try:
                with self._folder(token) as folder:
                    for number, file in enumerate(files):
                        os.link(file, folder / f"part-{number:05d}.parquet", follow_symlinks=False)
                    if not files:
                        return None
            except OSError as failure:
                log.info("a table is copied, not linked: %s", failure.strerror)
                return None
            path = f"{self._shelf.process.inbox_inside}/{token}"
            staged = StagedTable(name, token, path, spark_ddl(scan), columns, linked=True)
            return self._pin(self._keep(key, _Entry(token, staged, 0)))

    def _copied(
        self,
        key: str,
        name: str,
        bound: Bound,
        sql: str,
        inputs: Inputs,
        session: Session,
    ) -> StagedTable:
        token = secrets.token_hex(16)
        settings = self._parts.settings
        plan = GovernedPlan(
            statement_id=f"stage-{token}",
            identity=session.identity,
            sql=sql,
            scans=bound.scans,
            inputs=inputs.tables(bound),
            limits=effective_limits(session, settings.limits),
            time_zone=session.time_zone,
        )
        self._statement = plan.statement_id
        if self._stopped:
            raise error(ErrorCode.USER_CANCELED, "the operation was canceled")
        names = tuple(column for column, _ in bound.output)
        try:
            with self._folder(token) as folder:
                schema, size = self._write(plan, folder / "part-00000.parquet", names)
        finally:
            self._statement = None
        path = f"{self._shelf.process.inbox_inside}/{token}"
        staged = StagedTable(name, token, path, schema, names, restricted=plan.governed)
        return self._pin(self._keep(key, _Entry(token, staged, size)))

    def _write(self, plan: GovernedPlan, path: Path, names: tuple[str, ...]) -> tuple[str, int]:
        stream = self._parts.engine.execute(plan)
        try:
            schema, ddl = spark_schema(stream.schema, names)
            room = self._make_room()
            with pq.ParquetWriter(path, schema, compression="zstd", compression_level=1) as writer:
                waiting: list[pa.RecordBatch] = []
                rows = 0
                for batch in stream:
                    arrays = [
                        array.cast(kind.type)
                        for array, kind in zip(batch.columns, schema, strict=True)
                    ]
                    waiting.append(pa.RecordBatch.from_arrays(arrays, schema=schema))
                    rows += batch.num_rows
                    if rows >= _ROW_GROUP:
                        writer.write_table(pa.Table.from_batches(waiting, schema))
                        waiting, rows = [], 0
                        if path.stat().st_size > room:
                            raise _too_large(self._staging.most_bytes)
                if waiting:
                    writer.write_table(pa.Table.from_batches(waiting, schema))
        finally:
            stream.close()
        path.chmod(0o644)
        return ddl, path.stat().st_size

    @contextlib.contextmanager
    def _folder(self, token: str) -> Iterator[Path]:
        """A new folder of the inbox, which appears with all that is put into it or not at all."""
        inbox = self._shelf.process.inbox
        hidden = inbox / f".{token}"
        try:
            hidden.mkdir(mode=0o755)
            hidden.chmod(0o755)
            yield hidden
            hidden.rename(inbox / token)
        except OSError as failure:
            if failure.errno in (errno.ENOSPC, errno.EDQUOT):
                raise error(
                    ErrorCode.DISK_FULL,
                    "no space is left to stage what the plan reads",
                    hint="free some space, or read less",
                ) from failure
            if not self._shelf.process.alive:
                raise error(
                    ErrorCode.ENGINE_FAILED, "the process ended while its input was staged"
                ) from failure
            raise
        finally:
            shutil.rmtree(hidden, ignore_errors=True)

    # --- what is there --------------------------------------------------------------------------

    @contextlib.contextmanager
    def _made_once(self, key: str) -> Iterator[StagedTable | None]:
        """What is there under a key, or None for the one caller that makes it."""
        shelf = self._shelf
        with shelf.lock:
            making = shelf.making.setdefault(key, threading.Lock())
        with making:
            with shelf.lock:
                entry = shelf.entries.get(key)
                known = None if entry is None else self._pin(entry)
            try:
                yield known
            finally:
                with shelf.lock:
                    shelf.making.pop(key, None)

    def _keep(self, key: str, entry: _Entry) -> _Entry:
        with self._shelf.lock:
            self._shelf.entries[key] = entry
            self._shelf.bytes += entry.bytes
        return entry

    def _pin(self, entry: _Entry) -> StagedTable:
        with self._shelf.lock:
            entry.pins += 1
            entry.used = time.monotonic()
            self._pinned.append(entry)
        return entry.table

    def _make_room(self) -> int:
        """Removes what no plan reads, oldest first, once half the room is taken; the bytes left."""
        shelf, most = self._shelf, self._staging.most_bytes
        with shelf.lock:
            idle = sorted(
                ((k, e) for k, e in shelf.entries.items() if not e.pins and e.bytes),
                key=lambda item: item[1].used,
            )
            for key, entry in idle:
                if shelf.bytes <= most // 2:
                    break
                del shelf.entries[key]
                shelf.bytes -= entry.bytes
                shutil.rmtree(shelf.process.inbox / entry.folder, ignore_errors=True)
            return most - shelf.bytes


def _unpin(shelf: _Shelf, entries: list[_Entry]) -> None:
    with shelf.lock:
        for entry in entries:
            entry.pins -= 1


def _too_large(most: int) -> HeadwaterError:
    return error(
        ErrorCode.EXCEEDED_RESULT_SIZE,
        f"what the plan reads does not fit into the {most >> 20} MiB of a user process",
        hint="filter it in SQL first (CREATE TABLE AS), or raise user_engines.disk_bytes",
    )


def _everything() -> exp.Expr:
    return exp.Select(expressions=[exp.Star()]).from_(exp.to_table('"staged"', dialect="duckdb"))


@dataclass(frozen=True, slots=True)
class _Only:
    """A resolver that knows one relation, whatever its name."""

    found: Relation

    def relation(self, _name: Name, _at: SnapshotRef) -> Relation:
        """That relation."""
        return self.found
