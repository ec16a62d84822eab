"""Grammar of ALTER TABLE in the three dialects."""

from __future__ import annotations

from typing import Any

from sqlglot.tokenizer_core import TokenType

from headwater.errors import ErrorCode, error
from headwater.sql.column_grammar import (
    column_definition,
    column_type,
    constant,
    literal_text,
    partition_field,
    properties,
    split_partitioning,
)
from headwater.sql.statements import (
    AddColumn,
    AlterAction,
    AlterColumnType,
    AlterTable,
    DropColumn,
    DropRef,
    ExecuteProcedure,
    PartitionField,
    RenameColumn,
    RenameTo,
    SetColumnComment,
    SetColumnNullable,
    SetPartitioning,
    SetProperties,
    SetRef,
)
from headwater.sql.tokens import Cursor

_ACTIONS = (
    "ADD COLUMN, DROP COLUMN, RENAME COLUMN, ALTER COLUMN, RENAME TO, SET PROPERTIES, "
    "EXECUTE, CREATE BRANCH, CREATE TAG, DROP BRANCH, DROP TAG"
)


def alter_table(cursor: Cursor) -> AlterTable:
    """ALTER TABLE [IF EXISTS] name action; the words ALTER TABLE are read already."""
    if_exists = cursor.match("IF", "EXISTS")
    name = cursor.name("the name of a table")
    actions = _actions(cursor)
    cursor.expect_end()
    return AlterTable(name, actions, if_exists)


def _actions(cursor: Cursor) -> tuple[AlterAction, ...]:
    if cursor.match("ADD"):
        return _add(cursor)
    if cursor.match("DROP"):
        return _drop(cursor)
    if cursor.match("RENAME"):
        if cursor.match("TO"):
            return (RenameTo(cursor.name("the new name")),)
        cursor.match("COLUMN")
        if cursor.match("IF", "EXISTS"):
            pass
        path = cursor.name("a column").parts
        cursor.expect("TO")
        return (RenameColumn(path, cursor.identifier("the new name")),)
    if cursor.match_any("ALTER", "CHANGE", "MODIFY"):
        cursor.match("COLUMN")
        return (_alter_column(cursor),)
    if cursor.match("SET"):
        return _set(cursor)
    if cursor.match("UNSET", "TBLPROPERTIES"):
        cursor.match("IF", "EXISTS")
        cursor.expect("(")
        removed: dict[str, str | None] = {cursor.string("the name of a property"): None}
        while cursor.match(","):
            removed[cursor.string("the name of a property")] = None
        cursor.expect(")")
        return (SetProperties(removed),)
    if cursor.match("EXECUTE"):
        return (_execute(cursor),)
    if cursor.looking_at("CREATE") or cursor.looking_at("REPLACE"):
        return (_create_ref(cursor),)
    token = cursor.peek()
    if token is None:
        raise cursor.fail("ALTER TABLE needs an action", hint=f"supported: {_ACTIONS}")
    raise error(
        ErrorCode.NOT_SUPPORTED,
        f"ALTER TABLE … {token.text.upper()[:40]} is not supported",
        hint=f"supported: {_ACTIONS}",
        position=cursor.position,
    )


def _add(cursor: Cursor) -> tuple[AlterAction, ...]:
    if cursor.match("PARTITION", "FIELD"):
        raise error(
            ErrorCode.NOT_SUPPORTED,
            "partition fields are not added one by one",
            hint="ALTER TABLE … SET PROPERTIES partitioning = ARRAY['month(d)']",
            position=cursor.position,
        )
    bracket = cursor.match("COLUMNS") and cursor.match("(")
    if not bracket:
        cursor.match("COLUMN")
    if_not_exists = cursor.match("IF", "NOT", "EXISTS")
    added: list[AlterAction] = [AddColumn(column_definition(cursor, nested=True), if_not_exists)]
    while bracket and cursor.match(","):
        added.append(AddColumn(column_definition(cursor, nested=True), if_not_exists))
    if bracket:
        cursor.expect(")")
    _no_place(cursor)
    return tuple(added)


def _no_place(cursor: Cursor) -> None:
    if cursor.match_any("FIRST", "AFTER"):
        raise error(
            ErrorCode.NOT_SUPPORTED,
            "the place of a column cannot be chosen",
            hint="new columns come last; SELECT them in the order that you need",
            position=cursor.position,
        )


def _drop(cursor: Cursor) -> tuple[AlterAction, ...]:
    if kind := cursor.match_any("BRANCH", "TAG"):
        if_exists = cursor.match("IF", "EXISTS")
        return (DropRef(_ref(cursor), kind.lower(), if_exists),)
    bracket = cursor.match("COLUMNS") and cursor.match("(")
    if not bracket:
        cursor.match("COLUMN")
    if_exists = cursor.match("IF", "EXISTS")
    dropped = [DropColumn(cursor.name("a column").parts, if_exists)]
    while bracket and cursor.match(","):
        dropped.append(DropColumn(cursor.name("a column").parts, if_exists))
    if bracket:
        cursor.expect(")")
    return tuple(dropped)


def _alter_column(cursor: Cursor) -> AlterAction:
    path = cursor.name("a column").parts
    if cursor.match("SET", "DATA", "TYPE") or cursor.match("TYPE"):
        return AlterColumnType(path, column_type(cursor))
    if cursor.match("DROP", "NOT", "NULL"):
        return SetColumnNullable(path, nullable=True)
    if cursor.match("SET", "NOT", "NULL"):
        return SetColumnNullable(path, nullable=False)
    if cursor.match("COMMENT"):
        return SetColumnComment(path, cursor.string("a comment"))
    _no_place(cursor)
    raise cursor.fail("expected SET DATA TYPE, DROP NOT NULL or COMMENT")


def _set(cursor: Cursor) -> tuple[AlterAction, ...]:
    if cursor.match("PARTITIONED", "BY"):
        cursor.expect("(")
        fields = [partition_field(cursor)]
        while cursor.match(","):
            fields.append(partition_field(cursor))
        cursor.expect(")")
        return (SetPartitioning(tuple(fields)),)
    if cursor.match_any("PROPERTIES", "TBLPROPERTIES") is None:
        raise cursor.fail("expected PROPERTIES")
    actions: list[AlterAction] = []
    plain: dict[str, str | None] = {}
    for key, value in properties(cursor).items():
        match key.lower():
            case "partitioning":
                fields_: tuple[PartitionField, ...] = (
                    () if value is None else split_partitioning(value, cursor)
                )
                actions.append(SetPartitioning(fields_))
            case "format_version":
                plain["format-version"] = literal_text(value, cursor)
            case "format":
                plain["write.format.default"] = literal_text(value, cursor).lower()
            case "sorted_by" | "location":
                raise error(
                    ErrorCode.NOT_SUPPORTED,
                    f"{key} cannot be changed",
                    hint="create a new table with CREATE TABLE … AS SELECT",
                    position=cursor.position,
                )
            case _:
                plain[key] = None if value is None else literal_text(value, cursor)
    if plain:
        actions.append(SetProperties(plain))
    return tuple(actions)


def _execute(cursor: Cursor) -> ExecuteProcedure:
    procedure = cursor.identifier("the name of a procedure").lower()
    arguments: dict[str, Any] = {}
    if cursor.match("("):
        while not cursor.match(")"):
            following = cursor.peek(1)
            if following is None or following.text not in ("=>", "="):
                arguments[str(len(arguments))] = constant(cursor)
            else:
                name = cursor.identifier("the name of an argument").lower()
                cursor.index += 1
                arguments[name] = constant(cursor)
            if not cursor.match(","):
                cursor.expect(")")
                break
    if cursor.looking_at("WHERE"):
        raise error(
            ErrorCode.NOT_SUPPORTED,
            f"EXECUTE {procedure} takes no WHERE",
            hint="it works on the whole table",
            position=cursor.position,
        )
    return ExecuteProcedure(procedure, arguments)


def _ref(cursor: Cursor) -> str:
    token = cursor.peek()
    if token is not None and token.token_type is TokenType.STRING:
        return cursor.string()
    return cursor.identifier("the name of a branch or tag")


def _create_ref(cursor: Cursor) -> SetRef:
    replace = cursor.match("REPLACE") or cursor.match("CREATE", "OR", "REPLACE")
    if not replace:
        cursor.expect("CREATE")
    kind = cursor.match_any("BRANCH", "TAG")
    if kind is None:
        raise cursor.fail("expected BRANCH or TAG")
    if_not_exists = cursor.match("IF", "NOT", "EXISTS")
    ref = _ref(cursor)
    snapshot = None
    if cursor.match("AS", "OF", "VERSION") or cursor.match("FOR", "VERSION", "AS", "OF"):
        snapshot = cursor.integer("a snapshot id")
    if cursor.match_any("RETAIN", "WITH"):
        raise error(
            ErrorCode.NOT_SUPPORTED,
            "retention of branches and tags is not supported",
            hint="drop them with ALTER TABLE … DROP BRANCH|TAG",
            position=cursor.position,
        )
    return SetRef(ref, kind.lower(), snapshot, replace, if_not_exists)
