"""Commits rows that a user process computed: a governed write like any other, in one commit.

The rows are put into Parquet files of the server's own; then a statement of Spark SQL takes them
from there, through the whole pipeline: decided, audited, checked, retried, recorded.
"""

from __future__ import annotations

import errno
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from headwater.catalog.catalog import Catalog
from headwater.catalog.entries import ObjectKind, TableEntry
from headwater.catalog.schema import current_schema
from headwater.errors import ErrorCode, error
from headwater.model.identifiers import parse_namespace
from headwater.model.statement import Dialect, FileInput, Session, Statement
from headwater.query.linking import quoted
from headwater.query.names import split_name
from headwater.query.query import Query
from headwater.query.service import QueryService
from headwater.query.session import PARTITION_OVERWRITE_MODE
from headwater.sql.statements import Name, PartitionField, SortField
from headwater.sql.types import arrow_data_type

SOURCE = "hw_source"
"""What a statement calls the rows of its only source."""

_ROW_GROUP = 128 * 1024
_TRANSFORMS = {"year": "years", "month": "months", "day": "days", "hour": "hours"}


class WriteMode(StrEnum):
    """What happens to a target that exists, or does not (Spark's save modes and writeTo verbs)."""

    APPEND = "append"
    OVERWRITE = "overwrite"
    ERROR_IF_EXISTS = "error_if_exists"
    IGNORE = "ignore"
    CREATE = "create"
    REPLACE = "replace"
    CREATE_OR_REPLACE = "create_or_replace"
    OVERWRITE_PARTITIONS = "overwrite_partitions"
    OVERWRITE_WHERE = "overwrite_where"
    STATEMENT = "statement"


@dataclass(frozen=True, slots=True)
class WriteTarget:
    """Where rows go and how: a catalog table, or a folder of a granted location.

    `statement` is Spark SQL that names the sources like tables, for STATEMENT. `by_name` matches
    columns by name, else by position; `columns` are those that INSERT names. `must_exist`: the
    table is not made. `condition` (Spark SQL) is set for OVERWRITE_WHERE. `properties` and what
    else describes a table count when it is made. `widened` is the table that gets what new columns
    the rows have. For a path, `format` and `options` are the writer's own.
    """

    mode: WriteMode
    statement: str | None = None
    table: Name | None = None
    path: str | None = None
    by_name: bool = False
    must_exist: bool = False
    columns: tuple[str, ...] | None = None
    condition: str | None = None
    partitioning: tuple[PartitionField, ...] = ()
    sorting: tuple[SortField, ...] = ()
    properties: Mapping[str, str] = field(default_factory=dict)
    comment: str | None = None
    widened: Name | None = None
    format: str = "parquet"
    options: Mapping[str, str] = field(default_factory=dict)


class ArrowWrites:
    """Writes rows of user processes to tables of the catalog, as their caller."""

    def __init__(
        self, queries: QueryService, catalog: Catalog, uploads: Path, most_bytes: int
    ) -> None:
        self._queries = queries
        self._catalog = catalog
        self._uploads = uploads
        self._most_bytes = most_bytes

    def write(
        self,
        session: Session,
        target: WriteTarget,
        sources: Mapping[str, tuple[pa.Schema, Iterable[pa.RecordBatch]]],
    ) -> Query | None:
        """Commits the rows; the statement that did it, or None when there was nothing to do.

        Nothing is committed when reading a source fails. Raises the statement's error.
        """
        session = _prepared(session, target)
        if self._is_done(target, session):
            return None
        inputs: dict[str, FileInput] = {}
        try:
            for name, (schema, batches) in sources.items():
                inputs[name] = self._spool(schema, batches)
            only = next(iter(inputs.values())).schema if len(inputs) == 1 else None
            if target.widened is not None and only is not None:
                self._widen(target.widened, only, session)
            text = self._statement(
                target, session, None if only is None else only.names, quoted(SOURCE)
            )
            query = self._queries.submit(session, Statement(text, (), inputs))
            query.finish()
        finally:
            for spooled in inputs.values():
                for file in spooled.files:
                    Path(file).unlink(missing_ok=True)
        if query.error is not None:
            raise query.error
        return query

    def write_query(
        self,
        session: Session,
        target: WriteTarget,
        sql: str,
        parameters: tuple[object, ...],
        names: Sequence[str],
        began: Callable[[Query], None],
    ) -> Query | None:
        """Commits the rows of a query of Spark SQL with these columns, which nothing else computes.

        `began` gets the statement that does it, once it runs. Raises its error.
        """
        session = _prepared(session, target)
        if self._is_done(target, session):
            return None
        text = self._statement(target, session, names, f"(\n{sql}\n) AS {quoted(SOURCE)}")
        query = self._queries.submit(session, Statement(text, parameters))
        began(query)
        query.finish()
        if query.error is not None:
            raise query.error
        return query

    def _is_done(self, target: WriteTarget, session: Session) -> bool:
        """Looks before any row is computed whether the target lets the write begin."""
        if target.table is None:
            return False
        exists = self._exists(target.table, session)
        if target.must_exist and not exists:
            raise error(
                ErrorCode.TABLE_NOT_FOUND,
                f"table {target.table} does not exist",
                hint="make it with CREATE TABLE, writeTo(…).create() or saveAsTable",
            )
        if exists and target.mode in (WriteMode.ERROR_IF_EXISTS, WriteMode.CREATE):
            raise error(ErrorCode.TABLE_ALREADY_EXISTS, f"table {target.table} already exists")
        return exists and target.mode is WriteMode.IGNORE

    def _entry(self, name: Name, session: Session) -> TableEntry | None:
        """Only for choosing a statement, which is decided on its own: no answer is told."""
        _, schema, table = split_name(name, session)
        return self._catalog.resolve(parse_namespace(schema), table)

    def _exists(self, name: Name, session: Session) -> bool:
        return self._entry(name, session) is not None

    def _widen(self, name: Name, rows: pa.Schema, session: Session) -> None:
        """Gives a table the columns that only the rows have, as Spark does: before the write.

        Should the write fail then, the columns stay, with NULL in every row.
        """
        entry = self._entry(name, session)
        if entry is None or entry.kind is not ObjectKind.TABLE:
            return
        fields = current_schema(self._catalog.table(entry.identifier).metadata)["fields"]
        known = {field["name"].casefold() for field in fields}
        missing = [field for field in rows if field.name.casefold() not in known]
        if not missing:
            return
        columns = ", ".join(
            f"{quoted(field.name)} {arrow_data_type(field.type).sql('spark')}" for field in missing
        )
        table = ".".join(quoted(part) for part in name.parts)
        query = self._queries.submit(
            session, Statement(f"ALTER TABLE {table} ADD COLUMNS ({columns})")
        )
        query.finish()
        if query.error is not None:
            raise query.error

    def _statement(
        self, target: WriteTarget, session: Session, names: Sequence[str] | None, source: str
    ) -> str:
        """The statement that writes the rows of `source`, whose columns are called `names`."""
        if target.statement is not None:
            return target.statement
        assert target.table is not None, "a path is written by the user process"
        table = ".".join(quoted(part) for part in target.table.parts)
        rows = f"SELECT * FROM {source}"
        exists = self._exists(target.table, session)
        creates = not target.must_exist and (
            not exists or target.mode in (WriteMode.OVERWRITE, WriteMode.CREATE_OR_REPLACE)
        )
        if creates or target.mode is WriteMode.REPLACE:
            verb = "CREATE OR REPLACE TABLE" if exists else "CREATE TABLE"
            if target.mode is WriteMode.IGNORE:
                verb = "CREATE TABLE IF NOT EXISTS"
            return f"{verb} {table} USING iceberg{_clauses(target)} AS {rows}"
        columns = target.columns
        if target.by_name and names is not None:
            columns = tuple(names)
            rows = f"SELECT {', '.join(quoted(c) for c in columns)} FROM {source}"
        named = "" if columns is None else f" ({', '.join(quoted(c) for c in columns)})"
        match target.mode:
            case WriteMode.OVERWRITE | WriteMode.OVERWRITE_PARTITIONS:
                return f"INSERT OVERWRITE {table}{named} {rows}"
            case WriteMode.OVERWRITE_WHERE:
                return f"INSERT INTO {table}{named} REPLACE WHERE {target.condition} {rows}"
        return f"INSERT INTO {table}{named} {rows}"

    def _spool(self, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> FileInput:
        path = self._uploads / f"{secrets.token_hex(16)}.parquet"
        try:
            with pq.ParquetWriter(path, schema, compression="zstd", compression_level=1) as writer:
                waiting: list[pa.RecordBatch] = []
                rows = 0
                for batch in batches:
                    waiting.append(batch)
                    rows += batch.num_rows
                    if rows >= _ROW_GROUP:
                        writer.write_table(pa.Table.from_batches(waiting, schema))
                        waiting, rows = [], 0
                        if path.stat().st_size > self._most_bytes:
                            raise error(
                                ErrorCode.EXCEEDED_RESULT_SIZE,
                                f"the rows take more than {self._most_bytes >> 20} MiB",
                                hint="write them in parts, or raise user_engines.disk_bytes",
                            )
                writer.write_table(pa.Table.from_batches(waiting, schema))
        except OSError as failure:
            path.unlink(missing_ok=True)
            if failure.errno in (errno.ENOSPC, errno.EDQUOT):
                raise error(
                    ErrorCode.DISK_FULL, "no space is left for the rows to write"
                ) from failure
            raise
        except pa.ArrowException as failure:
            path.unlink(missing_ok=True)
            raise error(
                ErrorCode.NOT_SUPPORTED,
                "the rows have a type that tables cannot hold",
                hint="cast intervals and the like to strings first",
            ) from failure
        except BaseException:
            # Whatever ends the rows, an engine's own errors included.
            path.unlink(missing_ok=True)
            raise
        return FileInput(schema, (str(path),))


def _prepared(session: Session, target: WriteTarget) -> Session:
    """The session of the statement that writes."""
    session = replace(session, dialect=Dialect.SPARK, schema=session.schema or "default")
    if target.mode is WriteMode.OVERWRITE_PARTITIONS:
        properties = {**session.properties, PARTITION_OVERWRITE_MODE: "dynamic"}
        session = replace(session, properties=properties)
    return session


def _clauses(target: WriteTarget) -> str:
    """PARTITIONED BY, COMMENT and TBLPROPERTIES of a new table."""
    found = ""
    if target.partitioning:
        found += f" PARTITIONED BY ({', '.join(_partition(p) for p in target.partitioning)})"
    if target.comment is not None:
        found += f" COMMENT {_text(target.comment)}"
    if target.properties:
        pairs = (f"{_text(key)} = {_text(value)}" for key, value in target.properties.items())
        found += f" TBLPROPERTIES ({', '.join(pairs)})"
    return found


def _partition(field_: PartitionField) -> str:
    column = ".".join(quoted(part) for part in field_.column.split("."))
    name, _, size = field_.transform.partition("[")
    if name == "identity":
        return column
    if size:
        return f"{name}({int(size.removesuffix(']'))}, {column})"
    return f"{_TRANSFORMS[name]}({column})"


def _text(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
