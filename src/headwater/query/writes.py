"""INSERT, UPDATE, DELETE, MERGE, CREATE TABLE AS and TRUNCATE, bound to governed writes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from sqlglot import exp

from headwater.catalog.catalog import Catalog
from headwater.catalog.entries import ObjectKind
from headwater.catalog.maintenance import truncate as plan_truncate
from headwater.catalog.schema import current_schema
from headwater.errors import ErrorCode, error
from headwater.model.identifiers import TableIdentifier
from headwater.model.principal import Actor
from headwater.model.scan import WriteOperation
from headwater.query.alterations import sort_order
from headwater.query.creation import table_properties, table_request
from headwater.query.inputs import Inputs
from headwater.query.names import table_identifier
from headwater.query.outputs import output_columns
from headwater.query.overwrite import bind_overwrite, bind_replace
from headwater.query.procedures import commit_planned
from headwater.query.reading import bind_query, resolver
from headwater.query.retry import retrying
from headwater.query.work import Outcome, Parts, Task, Work, Writing
from headwater.sql.statements import (
    CreateTable,
    Delete,
    Insert,
    Merge,
    Name,
    Truncate,
    Update,
)
from headwater.sql.write import Change, bind_write

_OPERATIONS: dict[type, tuple[WriteOperation, str]] = {
    Insert: (WriteOperation.INSERT, "INSERT"),
    Update: (WriteOperation.UPDATE, "UPDATE"),
    Delete: (WriteOperation.DELETE, "DELETE"),
    Merge: (WriteOperation.MERGE, "MERGE"),
}


def bind_change(work: Work, statement: Change) -> Work:
    """INSERT, UPDATE, DELETE or MERGE, bound to the governed write of its target."""
    if isinstance(statement, Insert) and (statement.overwrite or statement.where is not None):
        return bind_overwrite(work, statement)
    operation, update_type = _OPERATIONS[type(statement)]
    identifier = table_identifier(work.parts.catalog, _target(statement), work.session)
    write = work.request.write(identifier, operation, columns=_assigned(statement))
    inputs = Inputs()
    bound, script = bind_write(
        statement,
        write,
        resolver(work, inputs),
        session=work.session,
        parameters=work.parameters,
    )
    return replace(
        work, bound=bound, inputs=inputs, writing=Writing(write, update_type, script=script)
    )


def _is_table(catalog: Catalog, identifier: TableIdentifier) -> bool:
    entry = catalog.entry(identifier)
    return entry is not None and entry.kind is ObjectKind.TABLE


def _target(statement: Change) -> Name:
    return statement.target


def _assigned(statement: Change) -> Iterable[str] | None:
    if isinstance(statement, Insert):
        return statement.columns
    if isinstance(statement, Update):
        return [
            item.this.name
            for item in statement.tree.expressions
            if isinstance(item, exp.EQ) and isinstance(item.this, exp.Column)
        ]
    return None


def bind_create_table_as(work: Work, statement: CreateTable) -> Work:
    """CREATE TABLE AS: the table appears with its rows, in one commit, or not at all."""
    assert statement.query is not None, "the caller has checked"
    catalog = work.parts.catalog
    identifier = table_identifier(catalog, statement.name, work.session)
    if statement.or_replace and _is_table(catalog, identifier):
        return bind_replace(work, statement, identifier)
    write = work.request.write(identifier, WriteOperation.CREATE)
    if catalog.entry(identifier) is not None:
        if statement.if_not_exists:
            return replace(work, task=lambda: Outcome(update_type="CREATE TABLE", update_count=0))
        raise error(
            ErrorCode.TABLE_ALREADY_EXISTS,
            f"table {identifier} already exists",
            position=statement.name.position,
        )
    bound = bind_query(work, statement.query)
    assert bound.bound is not None, "a query was bound"
    names = tuple(column.name for column in statement.columns) or None
    columns = output_columns(bound.bound, names, statement.name.position)
    options = statement.options
    request = table_request(identifier.name, columns, options)  # checks every option
    if not statement.with_data:
        actor = work.request.actor()

        def create() -> Outcome:
            catalog.create_table(identifier, request, actor)
            return Outcome(update_type="CREATE TABLE", update_count=0)

        return replace(work, task=create)
    properties = table_properties(options)
    if options.location is not None:
        # Refused here, where the error has a code and a hint, and not by way of the engine.
        properties["location"] = catalog.warehouse.check(options.location)
    writing = Writing(
        write, "CREATE TABLE", tuple(columns), options.partitioning, properties, options.sorting
    )
    return replace(bound, writing=writing)


def set_sort_order(parts: Parts, writing: Writing, actor: Actor) -> None:
    """Sets the sort order of a table that CREATE TABLE AS just made; the engine cannot say it."""
    identifier = writing.write.identifier

    def change() -> None:
        order = sort_order(
            writing.sorting, current_schema(parts.catalog.table(identifier).metadata)
        )
        updates: list[dict[str, Any]] = [
            {"action": "add-sort-order", "sort-order": order},
            {"action": "set-default-sort-order", "sort-order-id": -1},
        ]
        parts.catalog.commit(identifier, [], updates, actor)

    retrying(change)


def truncate(work: Work, statement: Truncate) -> Task:
    """TRUNCATE: a snapshot without rows, which reads no file."""
    catalog = work.parts.catalog
    identifier = table_identifier(catalog, statement.target, work.session)
    write = work.request.write(identifier, WriteOperation.TRUNCATE)
    io, actor = catalog.warehouse.io, work.request.actor()

    def change() -> Outcome:
        commit = plan_truncate(io, catalog.table(write.identifier).metadata)
        if commit is not None:
            commit_planned(work.parts, write.identifier, commit, actor)
        return Outcome(update_type="TRUNCATE TABLE")

    return lambda: retrying(change)
