"""INSERT OVERWRITE and CREATE OR REPLACE TABLE: what was there goes in the commit of what comes.

Where the whole table goes, the new rows are written on a groundwork: a snapshot without rows, or a
new definition, that is committed together with them. Where some rows stay (other partitions, rows
that a filter hides), a DELETE and the INSERT run in one transaction.
"""

from __future__ import annotations

from dataclasses import replace

from headwater.catalog.maintenance import truncate as plan_truncate
from headwater.catalog.schema import current_schema, default_spec
from headwater.errors import ErrorCode, error
from headwater.model.identifiers import TableIdentifier
from headwater.model.scan import GovernedWrite, Groundwork, WriteOperation
from headwater.model.statement import Session
from headwater.query.creation import replacement, unchanged
from headwater.query.inputs import Inputs
from headwater.query.names import table_identifier
from headwater.query.outputs import output_columns
from headwater.query.reading import bind_query, resolver
from headwater.query.retry import retrying
from headwater.query.session import PARTITION_OVERWRITE_MODE
from headwater.query.work import Outcome, Parts, Task, Work, Writing
from headwater.sql.statements import ColumnDefinition, CreateTable, Insert
from headwater.sql.write import bind_write


def bind_overwrite(work: Work, statement: Insert) -> Work:
    """INSERT OVERWRITE, or INSERT … REPLACE WHERE: takes the rights to delete and to insert."""
    identifier = table_identifier(work.parts.catalog, statement.target, work.session)
    insert = work.request.write(identifier, WriteOperation.INSERT, columns=statement.columns)
    some = statement.where is not None or any(value is not None for _, value in statement.partition)
    dynamic = not some and _is_dynamic(work.session)
    prepare = None
    if some or dynamic or insert.row_filter is not None or insert.masked_columns:
        delete: GovernedWrite | None = work.request.write(identifier, WriteOperation.DELETE)
        leased = delete
    else:
        delete = None
        work.request.write(identifier, WriteOperation.TRUNCATE)
        leased = insert

        def prepare() -> Groundwork | None:
            return _emptied(work.parts, identifier)

    inputs = Inputs()
    bound, script = bind_write(
        statement,
        insert,
        resolver(work, inputs),
        session=work.session,
        parameters=work.parameters,
        delete=delete,
        partitioning=_partitioning(work.parts, identifier) if dynamic else None,
    )
    assert leased is not None, "one of both"
    writing = Writing(leased, "INSERT", script=script, prepare=prepare)
    return replace(work, bound=bound, inputs=inputs, writing=writing)


def _is_dynamic(session: Session) -> bool:
    return session.properties.get(PARTITION_OVERWRITE_MODE, "").lower() == "dynamic"


def _emptied(parts: Parts, identifier: TableIdentifier) -> Groundwork | None:
    commit = plan_truncate(parts.catalog.warehouse.io, parts.catalog.table(identifier).metadata)
    if commit is None:
        return None
    return Groundwork(tuple(commit.requirements), tuple(commit.updates))


def _partitioning(parts: Parts, identifier: TableIdentifier) -> tuple[tuple[str, str], ...]:
    """Column and transform of each partition field."""
    metadata = parts.catalog.table(identifier).metadata
    names = {field["id"]: field["name"] for field in current_schema(metadata)["fields"]}
    found: list[tuple[str, str]] = []
    for field in default_spec(metadata)["fields"]:
        name = names.get(field["source-id"])
        if name is None:
            raise error(
                ErrorCode.NOT_SUPPORTED,
                f"{identifier} is partitioned by a field of a row",
                hint="name the partition: INSERT OVERWRITE … PARTITION (column = value)",
            )
        found.append((name, field["transform"]))
    return tuple(found)


def bind_replace(work: Work, statement: CreateTable, identifier: TableIdentifier) -> Work:
    """CREATE OR REPLACE TABLE … AS for a table that exists."""
    assert statement.query is not None, "the caller has checked"
    write = _may_replace(work, identifier)
    bound = bind_query(work, statement.query)
    assert bound.bound is not None, "a query was bound"
    names = tuple(column.name for column in statement.columns) or None
    columns = tuple(output_columns(bound.bound, names, statement.name.position))
    if not statement.with_data:
        return replace(work, task=replace_task(work, statement, identifier, columns))
    _replacement(work.parts, identifier, columns, statement)  # checks every option
    writing = Writing(
        write,
        "CREATE TABLE",
        columns,
        prepare=lambda: _replacement(work.parts, identifier, columns, statement),
        replaces=True,
    )
    return replace(bound, writing=writing)


def replace_task(
    work: Work,
    statement: CreateTable,
    identifier: TableIdentifier,
    columns: tuple[ColumnDefinition, ...],
) -> Task:
    """CREATE OR REPLACE TABLE without rows, for a table that exists."""
    _may_replace(work, identifier)
    _replacement(work.parts, identifier, columns, statement)  # checks every option
    actor = work.request.actor()

    def change() -> Outcome:
        laid = _replacement(work.parts, identifier, columns, statement)
        work.parts.catalog.commit(identifier, list(laid.requirements), list(laid.updates), actor)
        return Outcome(update_type="CREATE TABLE", update_count=0)

    return lambda: retrying(change)


def _may_replace(work: Work, identifier: TableIdentifier) -> GovernedWrite:
    """A table is replaced by those who may change its definition and all of its rows."""
    work.request.write(identifier, WriteOperation.ALTER)
    work.request.write(identifier, WriteOperation.TRUNCATE)
    return work.request.write(identifier, WriteOperation.INSERT)


def _replacement(
    parts: Parts,
    identifier: TableIdentifier,
    columns: tuple[ColumnDefinition, ...],
    statement: CreateTable,
) -> Groundwork:
    metadata = parts.catalog.table(identifier).metadata
    updates = replacement(metadata, columns, statement.options)
    return Groundwork(tuple(unchanged(metadata)), tuple(updates))
