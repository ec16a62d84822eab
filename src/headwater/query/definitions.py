"""CREATE, ALTER and DROP of schemas and tables: decisions first, then one catalog change.

Each function takes the decisions of its statement and returns the task that changes the catalog.
"""

from __future__ import annotations

from headwater.catalog.entries import ObjectKind
from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.model.identifiers import Namespace, TableIdentifier, namespace_text
from headwater.model.privilege import Privilege, Securable
from headwater.model.scan import WriteOperation
from headwater.query.alterations import requirements, updates
from headwater.query.creation import like_request, table_request
from headwater.query.names import namespace, table_identifier
from headwater.query.overwrite import replace_task
from headwater.query.procedures import procedure_task
from headwater.query.retry import retrying
from headwater.query.work import Outcome, Task, Work
from headwater.sql.statements import (
    AlterSchema,
    AlterTable,
    CreateSchema,
    CreateTable,
    DropSchema,
    DropTable,
    ExecuteProcedure,
    Name,
    RenameTo,
)


def create_schema(work: Work, statement: CreateSchema) -> Task:
    """CREATE SCHEMA."""
    name = namespace(work.parts.catalog, statement.name, work.session)
    work.request.check(Privilege.CREATE_SCHEMA, _parent(name))
    properties = dict(statement.properties)
    if statement.comment is not None:
        properties["comment"] = statement.comment
    actor = work.request.actor()

    def task() -> Outcome:
        try:
            work.parts.catalog.create_namespace(name, properties, actor)
        except HeadwaterError as exc:
            if not (statement.if_not_exists and exc.code is ErrorCode.SCHEMA_ALREADY_EXISTS):
                raise
        return Outcome(update_type="CREATE SCHEMA")

    return task


def _parent(name: Namespace) -> Securable:
    return Securable.schema(name[:-1]) if len(name) > 1 else Securable.catalog()


def drop_schema(work: Work, statement: DropSchema) -> Task:
    """DROP SCHEMA; CASCADE needs DROP on everything in it."""
    done = Outcome(update_type="DROP SCHEMA")
    name = namespace(work.parts.catalog, statement.name, work.session)
    catalog = work.parts.catalog
    try:
        work.request.check(Privilege.DROP, Securable.schema(name))
    except HeadwaterError as exc:
        if statement.if_exists and exc.code is ErrorCode.SCHEMA_NOT_FOUND:
            return lambda: done
        raise
    name = catalog.namespace(name).namespace
    inside = _inside(work, name)
    if inside and not statement.cascade:
        raise error(
            ErrorCode.SCHEMA_NOT_EMPTY,
            f"the schema {namespace_text(name)} is not empty",
            hint="DROP SCHEMA … CASCADE drops what is in it",
        )
    for identifier, is_view in inside:
        if is_view:
            work.request.check(Privilege.DROP, Securable.view(identifier))
        else:
            work.request.write(identifier, WriteOperation.DROP)
    actor = work.request.actor()

    def task() -> Outcome:
        for identifier, is_view in inside:
            if is_view:
                catalog.drop_view(identifier, actor)
            else:
                catalog.drop_table(identifier, False, actor)
        catalog.drop_namespace(name, actor)
        return done

    return task


def _inside(work: Work, name: Namespace) -> list[tuple[TableIdentifier, bool]]:
    catalog = work.parts.catalog
    found = [(entry.identifier, False) for entry in catalog.tables(name)]
    return found + [(entry.identifier, True) for entry in catalog.views(name)]


def alter_schema(work: Work, statement: AlterSchema) -> Task:
    """ALTER SCHEMA … SET PROPERTIES."""
    name = namespace(work.parts.catalog, statement.name, work.session)
    work.request.check(Privilege.ALTER, Securable.schema(name))
    changed = {key: value for key, value in statement.properties.items() if value is not None}
    removed = [key for key, value in statement.properties.items() if value is None]
    actor = work.request.actor()

    def task() -> Outcome:
        work.parts.catalog.update_namespace(name, removed, changed, actor)
        return Outcome(update_type="ALTER SCHEMA")

    return task


def create_table(work: Work, statement: CreateTable) -> Task:
    """CREATE TABLE with columns, or LIKE another table; CREATE TABLE AS is in `writes`."""
    done = Outcome(update_type="CREATE TABLE")
    catalog = work.parts.catalog
    identifier = table_identifier(catalog, statement.name, work.session)
    entry = catalog.entry(identifier)
    if statement.or_replace and entry is not None and entry.kind is ObjectKind.TABLE:
        if statement.like is not None:
            raise error(
                ErrorCode.NOT_SUPPORTED,
                "CREATE OR REPLACE TABLE … LIKE is not supported",
                hint="name the columns",
            )
        return replace_task(work, statement, identifier, statement.columns)
    work.request.write(identifier, WriteOperation.CREATE)
    if statement.like is not None:
        like = work.request.scan(table_identifier(catalog, statement.like, work.session))
        if like.is_restricted:
            raise error(
                ErrorCode.PERMISSION_DENIED,
                f"{like.identifier} cannot be copied: you do not see all of it",
                hint="name the columns of the new table",
            )
        source = catalog.table(like.identifier).metadata
        request = like_request(identifier.name, source, statement.options)
    else:
        request = table_request(identifier.name, statement.columns, statement.options)
    actor = work.request.actor()

    def task() -> Outcome:
        try:
            catalog.create_table(identifier, request, actor)
        except HeadwaterError as exc:
            if not (statement.if_not_exists and exc.code is ErrorCode.TABLE_ALREADY_EXISTS):
                raise
        return done

    return task


def drop_table(work: Work, statement: DropTable) -> Task:
    """DROP TABLE."""
    done = Outcome(update_type="DROP TABLE")
    catalog = work.parts.catalog
    identifier = table_identifier(catalog, statement.name, work.session)
    try:
        write = work.request.write(identifier, WriteOperation.DROP)
    except HeadwaterError as exc:
        if statement.if_exists and exc.code is ErrorCode.TABLE_NOT_FOUND:
            return lambda: done
        raise
    actor = work.request.actor()

    def task() -> Outcome:
        catalog.drop_table(write.identifier, statement.purge, actor)
        return done

    return task


def alter_table(work: Work, statement: AlterTable) -> Task:
    """ALTER TABLE, COMMENT ON TABLE or COLUMN."""
    done = Outcome(update_type="ALTER TABLE")
    catalog = work.parts.catalog
    identifier = table_identifier(catalog, statement.name, work.session)
    first = statement.actions[0]
    try:
        if isinstance(first, ExecuteProcedure):
            return procedure_task(work, identifier, first)
        write = work.request.write(identifier, WriteOperation.ALTER)
    except HeadwaterError as exc:
        if statement.if_exists and exc.code is ErrorCode.TABLE_NOT_FOUND:
            return lambda: done
        raise
    identifier = write.identifier
    if isinstance(first, RenameTo):
        return _rename(work, identifier, first)
    actor = work.request.actor()

    def change() -> Outcome:
        metadata = catalog.table(identifier).metadata
        found = updates(metadata, statement.actions)
        if found:
            catalog.commit(identifier, requirements(metadata), found, actor)
        return done

    return lambda: retrying(change)


def _rename(work: Work, identifier: TableIdentifier, action: RenameTo) -> Task:
    to = rename_target(work, identifier, action.name)
    work.request.write(to, WriteOperation.CREATE)
    actor = work.request.actor()

    def task() -> Outcome:
        work.parts.catalog.rename_table(identifier, to, actor)
        return Outcome(update_type="RENAME TABLE")

    return task


def rename_target(work: Work, identifier: TableIdentifier, name: Name) -> TableIdentifier:
    """What a new name means: a bare one stays in its schema."""
    if len(name.parts) == 1:
        return TableIdentifier(identifier.namespace, name.parts[0])
    return table_identifier(work.parts.catalog, name, work.session)
