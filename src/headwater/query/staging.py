"""Puts what one caller may read where one user process can read it: as Parquet in its inbox.

    staging = Staging(parts)                            # one for the server
    stager = staging.stager(engine)                     # one for each plan
    table = stager.table(Name(("sales", "orders")), CURRENT, session)

Each table is decided by `governance.access` and audited before anything of it is staged, whether
its content is there already or not. The content has a key that every policy, snapshot and mask is
part of, so nothing is ever shown that another decision made. What a plan does not need is left out:
see `headwater.query.needs`.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import secrets
import shutil
import threading
import uuid
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from headwater.catalog.entries import ObjectKind
from headwater.engines.engine import GovernedPlan
from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.governance.access import AccessRequest
from headwater.model.identifiers import SnapshotRef, parse_namespace
from headwater.model.statement import Dialect, Session
from headwater.query.arrow_writes import WriteMode
from headwater.query.inputs import Inputs
from headwater.query.linking import linkable_files, quoted, spark_ddl
from headwater.query.location_files import LocationFiles
from headwater.query.names import split_name
from headwater.query.needs import EVERYTHING, Columns, Need, Only, visible, without_rows
from headwater.query.resolver import QueryResolver
from headwater.query.session import effective_limits
from headwater.query.shelf import Entry, Inbox, Shelf, StagedFiles, StagedTable
from headwater.query.spark_types import spark_schema
from headwater.query.viewer import Viewer
from headwater.query.work import Parts
from headwater.sql.bind import bind
from headwater.sql.relations import Bound, Relation, ScanRelation, ViewRelation
from headwater.sql.rewrite import govern
from headwater.sql.statements import Name
from headwater.sql.transpile import emit

__all__ = [
    "METADATA_TABLES",
    "Inbox",
    "ProcessStager",
    "StagedFiles",
    "StagedTable",
    "Staging",
]

log = logging.getLogger(__name__)

METADATA_TABLES = frozenset({"files", "history", "manifests", "partitions", "refs", "snapshots"})
"""Iceberg's metadata tables: Spark writes `db.t.files` for what the catalog calls `t$files`."""

_ROW_GROUP = 128 * 1024
_VOLATILE = re.compile(r"now|current_|localtime|random|uuid|getvariable|input_\d", re.IGNORECASE)


class Staging:
    """What is staged, for all user processes."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.files = LocationFiles(parts.access, (parts.settings.home_path,), parts.objects)
        self.most_bytes = parts.settings.user_engines.disk_bytes
        self._lock = threading.Lock()
        self._shelves: dict[str, Shelf] = {}

    def stager(self, process: Inbox) -> ProcessStager:
        """What stages for one plan in a process; what it staged stays while it lives."""
        with self._lock:
            for generation in [g for g, s in self._shelves.items() if not s.process.alive]:
                # Its folder went with the process.
                del self._shelves[generation]
            shelf = self._shelves.setdefault(process.generation, Shelf(process))
        return ProcessStager(self, shelf)


class ProcessStager:
    """Stages for one plan in one process."""

    def __init__(self, staging: Staging, shelf: Shelf) -> None:
        self._staging = staging
        self._parts = staging.parts
        self._shelf = shelf
        self._pinned: list[Entry] = []
        self._statement: str | None = None
        self._stopped = False
        weakref.finalize(self, shelf.unpin, self._pinned)

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

    def columns(self, name: Name, at: SnapshotRef, session: Session) -> Columns:
        """The columns that `table` would stage if everything were needed; stages nothing.

        Raises TABLE_NOT_FOUND, PERMISSION_DENIED.
        """
        request = self._begin(session, name)
        try:
            relation = self._relation(request, self._metadata_name(name, session), at, session)
            found = visible(relation, session)
        except HeadwaterError as exc:
            request.finish(outcome="failed", error_code=exc.code, engine="staging")
            raise
        # Whoever goes on stages, which is decided and audited.
        request.forget()
        return found

    def table(
        self, name: Name, at: SnapshotRef, session: Session, need: Need = EVERYTHING
    ) -> StagedTable:
        """The table, view, metadata table or system table of that name, as its caller may read it.

        At least what is needed of it. Decided, audited and sealed before it returns. Raises
        TABLE_NOT_FOUND, PERMISSION_DENIED, EXCEEDED_RESULT_SIZE when there is no room for it,
        DISK_FULL.
        """
        request = self._begin(session, name, need)
        outcome, code = "failed", None
        try:
            staged = self._stage(request, self._metadata_name(name, session), at, session, need)
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
        with self._shelf.folder(token) as folder:
            room = self._staging.most_bytes - self._shelf.bytes
            names, size = self._staging.files.fetch(session, paths, folder, most=room)
        entry = Entry(token, StagedTable("", token, "", "", ()), size)
        self._shelf.keep(token, entry)
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

    def _begin(self, session: Session, name: Name, need: Need = EVERYTHING) -> AccessRequest:
        text = ".".join(quoted(part) for part in name.parts)
        return self._parts.access.begin(
            session.identity,
            request_id=f"stage-{uuid.uuid4().hex}",
            client=session.source,
            statement=need.text(text),
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
        self, request: AccessRequest, name: Name, at: SnapshotRef, session: Session, need: Need
    ) -> StagedTable:
        inputs = Inputs()
        relation = self._resolver(request, session, inputs).relation(name, at)
        if isinstance(relation, ScanRelation):
            linked = self._linked(request, relation, str(name))
            if linked is not None:
                return linked
        if not need.rows:
            relation = without_rows(relation)
        if need.narrows and visible(relation, session) != need.seen:
            need = EVERYTHING  # the table changed since the plan was looked at
        if need.narrows and isinstance(relation, ViewRelation):
            # What is in the view was decided for looking at its columns.
            request.forget()
            inputs = Inputs()
            relation = self._resolver(request, session, inputs).relation(name, at)
        plain = replace(session, dialect=Dialect.DUCKDB) if need.narrows else session
        bound = bind(need.query(), Only(relation), session=plain)
        key, sql = self._key(bound)
        base = "" if isinstance(relation, ViewRelation) else key
        if need.narrows and base:
            base = self._key(bind(EVERYTHING.query(), Only(relation), session=session))[0]
        request.seal()
        columns = tuple(column for column, _ in bound.output)
        if need.narrows and base:
            held = self._shelf.wider(base, columns, need.where, self._pinned)
            if held is not None:
                return held
        with self._shelf.made_once(key, self._pinned) as known:
            if known is not None:
                return known
            made = self._copied(str(name), key, bound, sql, inputs, session)
            made.base, made.where = base, need.where
            return self._shelf.pin(self._shelf.keep(key, made), self._pinned)

    def _key(self, bound: Bound) -> tuple[str, str]:
        """What tells the content of a query from any other's, and the query for the engine."""
        sql = emit(govern(bound))
        if _VOLATILE.search(sql):
            return secrets.token_hex(32), sql
        return hashlib.sha256(sql.encode()).hexdigest(), sql

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
                return self._shelf.pin(entry, self._pinned)
        files = linkable_files(scan, metadata, catalog.warehouse.io, catalog.warehouse.root)
        if files is None:
            return None
        request.seal()
        with self._shelf.made_once(key, self._pinned) as known:
            if known is not None:
                return known
            token = secrets.token_hex(16)
            try:
                with self._shelf.folder(token) as folder:
                    for number, file in enumerate(files):
                        os.link(file, folder / f"part-{number:05d}.parquet", follow_symlinks=False)
                    if not files:
                        return None
            except OSError as failure:
                log.info("a table is copied, not linked: %s", failure.strerror)
                return None
            path = f"{self._shelf.process.inbox_inside}/{token}"
            staged = StagedTable(name, token, path, spark_ddl(scan), columns, linked=True)
            return self._shelf.pin(self._shelf.keep(key, Entry(token, staged, 0)), self._pinned)

    def _copied(
        self, name: str, key: str, bound: Bound, sql: str, inputs: Inputs, session: Session
    ) -> Entry:
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
            with self._shelf.folder(token) as folder:
                schema, size = self._write(plan, folder / "part-00000.parquet", names)
        finally:
            self._statement = None
        path = f"{self._shelf.process.inbox_inside}/{token}"
        staged = StagedTable(name, token, path, schema, names, restricted=plan.governed)
        return Entry(token, staged, size)

    def _write(self, plan: GovernedPlan, path: Path, names: tuple[str, ...]) -> tuple[str, int]:
        stream = self._parts.engine.execute(plan)
        try:
            schema, ddl = spark_schema(stream.schema, names)
            room = self._shelf.make_room(self._staging.most_bytes)
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


def _too_large(most: int) -> HeadwaterError:
    return error(
        ErrorCode.EXCEEDED_RESULT_SIZE,
        f"what the plan reads does not fit into the {most >> 20} MiB of a user process",
        hint="filter it in SQL first (CREATE TABLE AS), or raise user_engines.disk_bytes",
    )
