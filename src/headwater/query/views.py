"""CREATE, COMMENT ON, RENAME and DROP VIEW: Iceberg views, readable by every client of the catalog.

The creator is the view's definer (governance notes the owner of what is created); whoever reads the
view reads its tables with the definer's privileges and under both their policies.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

from headwater.catalog.entries import ObjectKind
from headwater.catalog.schema import schema_by_id
from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.model.identifiers import Namespace, parse_namespace
from headwater.model.privilege import Privilege, Securable
from headwater.query.creation import view_request, with_column_names
from headwater.query.definitions import alter_table, rename_target
from headwater.query.inputs import Inputs
from headwater.query.names import existing_schema, table_identifier
from headwater.query.outputs import output_columns
from headwater.query.reading import resolver
from headwater.query.retry import retrying
from headwater.query.work import Outcome, Task, Work
from headwater.sql.bind import bind
from headwater.sql.hints import did_you_mean
from headwater.sql.relations import Bound
from headwater.sql.statements import (
    AlterAction,
    AlterTable,
    CreateView,
    DropView,
    Name,
    RenameView,
    SetColumnComment,
    SetComment,
)


def create_view(work: Work, statement: CreateView) -> Task:
    """CREATE [OR REPLACE] VIEW; the query must bind for its creator."""
    done = Outcome(update_type="CREATE VIEW")
    catalog = work.parts.catalog
    identifier = table_identifier(catalog, statement.name, work.session)
    work.request.check(Privilege.CREATE_VIEW, Securable.schema(identifier.namespace))
    entry = catalog.entry(identifier)
    if entry is not None and entry.kind is ObjectKind.VIEW and statement.or_replace:
        work.request.check(Privilege.ALTER, Securable.view(identifier))
    elif entry is not None and statement.or_replace:
        raise error(
            ErrorCode.TABLE_ALREADY_EXISTS, f"{identifier} is a table, so no view can replace it"
        )
    columns = output_columns(bind_tree(work, statement), statement.columns, statement.name.position)
    sql = statement.text
    if statement.columns is not None:
        sql = with_column_names(sql, statement.columns, work.session.dialect)
    request = view_request(
        identifier.name,
        sql,
        work.session.dialect,
        columns,
        _default_namespace(work),
        statement.comment,
    )
    actor = work.request.actor()

    def create() -> Outcome:
        try:
            catalog.create_view(identifier, request, actor)
        except HeadwaterError as exc:
            if not (statement.if_not_exists and exc.code is ErrorCode.TABLE_ALREADY_EXISTS):
                raise
        return done

    def replace() -> Outcome:
        metadata = catalog.view(identifier).metadata
        updates = [
            {"action": "add-schema", "schema": request["schema"]},
            {
                "action": "add-view-version",
                "view-version": {**request["view-version"], "schema-id": -1},
            },
            {"action": "set-current-view-version", "view-version-id": -1},
            {"action": "set-properties", "updates": request["properties"]},
        ]
        if statement.comment is None and "comment" in (metadata.get("properties") or {}):
            updates.append({"action": "remove-properties", "removals": ["comment"]})
        required = [{"type": "assert-view-uuid", "uuid": metadata["view-uuid"]}]
        catalog.replace_view(identifier, required, updates, actor)
        return done

    if entry is not None and statement.or_replace:
        return lambda: retrying(replace)
    return create


def bind_tree(work: Work, statement: CreateView) -> Bound:
    """The view's query, bound for its creator."""
    bound = bind(statement.tree, resolver(work, Inputs()), session=work.session)
    if bound.inputs:
        raise error(
            ErrorCode.NOT_SUPPORTED,
            "a view cannot read system tables: they differ for every caller",
        )
    return bound


def _default_namespace(work: Work) -> Namespace:
    if work.session.schema is None:
        return ()
    return existing_schema(work.parts.catalog, parse_namespace(work.session.schema))


def drop_view(work: Work, statement: DropView) -> Task:
    """DROP VIEW."""
    done = Outcome(update_type="DROP VIEW")
    catalog = work.parts.catalog
    identifier = table_identifier(catalog, statement.name, work.session)
    try:
        _check_view(work, statement.name, Privilege.DROP)
    except HeadwaterError as exc:
        if statement.if_exists and exc.code is ErrorCode.TABLE_NOT_FOUND:
            return lambda: done
        raise
    actor = work.request.actor()

    def task() -> Outcome:
        catalog.drop_view(identifier, actor)
        return done

    return task


def rename_view(work: Work, statement: RenameView) -> Task:
    """ALTER VIEW … RENAME TO."""
    catalog = work.parts.catalog
    identifier = table_identifier(catalog, statement.name, work.session)
    _check_view(work, statement.name, Privilege.ALTER)
    to = rename_target(work, identifier, statement.to)
    work.request.check(Privilege.CREATE_VIEW, Securable.schema(to.namespace))
    actor = work.request.actor()

    def task() -> Outcome:
        catalog.rename_view(identifier, to, actor)
        return Outcome(update_type="RENAME VIEW")

    return task


def alter(work: Work, statement: AlterTable) -> Task:
    """ALTER TABLE, COMMENT ON TABLE, VIEW or COLUMN; a view takes comments only."""
    catalog = work.parts.catalog
    identifier = table_identifier(catalog, statement.name, work.session)
    entry = catalog.entry(identifier)
    if entry is None or entry.kind is not ObjectKind.VIEW:
        return alter_table(work, statement)
    work.request.check(Privilege.ALTER, Securable.view(identifier))
    if not all(isinstance(action, SetComment | SetColumnComment) for action in statement.actions):
        raise error(
            ErrorCode.NOT_SUPPORTED,
            f"{identifier} is a view; only its comments can be altered",
            hint="CREATE OR REPLACE VIEW gives it another query",
        )
    actor = work.request.actor()

    def change() -> Outcome:
        metadata = catalog.view(identifier).metadata
        updates = _comment_updates(metadata, statement.actions)
        if updates:
            required = [{"type": "assert-view-uuid", "uuid": metadata["view-uuid"]}]
            catalog.replace_view(identifier, required, updates, actor)
        return Outcome(update_type="COMMENT")

    return lambda: retrying(change)


def _comment_updates(
    metadata: Mapping[str, Any], actions: Iterable[AlterAction]
) -> list[dict[str, Any]]:
    """The updates that set a view's comments; those of its columns make a new version of it."""
    updates: list[dict[str, Any]] = []
    current = metadata["current-version-id"]
    version = next(v for v in metadata["versions"] if v["version-id"] == current)
    schema = deepcopy(schema_by_id(metadata, version["schema-id"]) or {"fields": []})
    before = deepcopy(schema)
    for action in actions:
        if isinstance(action, SetComment) and action.comment is not None:
            updates.append({"action": "set-properties", "updates": {"comment": action.comment}})
        elif isinstance(action, SetComment):
            updates.append({"action": "remove-properties", "removals": ["comment"]})
        elif isinstance(action, SetColumnComment):
            name = ".".join(action.path)
            found = [f for f in schema["fields"] if f["name"].casefold() == name.casefold()]
            if not found:
                names = [field["name"] for field in schema["fields"]]
                hint = did_you_mean(name, names)
                raise error(
                    ErrorCode.COLUMN_NOT_FOUND, f"the view has no column '{name}'", hint=hint
                )
            if action.comment is None:
                found[0].pop("doc", None)
            else:
                found[0]["doc"] = action.comment
    if schema != before:
        kept = {k: v for k, v in version.items() if k not in ("version-id", "timestamp-ms")}
        updates += [
            {"action": "add-schema", "schema": schema},
            {"action": "add-view-version", "view-version": {**kept, "schema-id": -1}},
            {"action": "set-current-view-version", "view-version-id": -1},
        ]
    return updates


def _check_view(work: Work, name: Name, privilege: Privilege) -> None:
    identifier = table_identifier(work.parts.catalog, name, work.session)
    entry = work.parts.catalog.entry(identifier)
    if entry is not None and entry.kind is ObjectKind.TABLE:
        work.request.check(Privilege.DESCRIBE, Securable.table(identifier))
        raise error(
            ErrorCode.TABLE_NOT_FOUND,
            f"{identifier} is a table, not a view",
            position=name.position,
        )
    work.request.check(privilege, Securable.view(identifier))
