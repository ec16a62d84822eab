"""What a statement can be, once parsed: one frozen dataclass a kind of statement.

`Name` holds the parts of a dotted name as the user wrote them, unquoted, outermost first;
`headwater.sql.bind` completes it with the session's catalog and schema.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sqlglot import exp

from headwater.errors import Position
from headwater.model.privilege import Privilege


@dataclass(frozen=True, slots=True)
class Name:
    """A dotted name: `Name(("sample", "flights"))`, and where it stands in the text."""

    parts: tuple[str, ...]
    position: Position | None = None

    def __str__(self) -> str:
        return ".".join(self.parts)


class ParsedStatement:
    """Base of every parsed statement."""

    __slots__ = ()


# --- reading ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Query(ParsedStatement):
    """SELECT, VALUES, TABLE, set operations: anything that yields rows from a tree."""

    tree: exp.Expr


@dataclass(frozen=True, slots=True)
class Explain(ParsedStatement):
    """EXPLAIN [ANALYZE] of another statement; shows our plan, never data of governed tables."""

    statement: ParsedStatement
    analyze: bool = False
    json: bool = False


# --- writing ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Insert(ParsedStatement):
    """INSERT INTO target [(columns)] query; `overwrite` for Spark's INSERT OVERWRITE.

    `partition` holds the columns of Spark's PARTITION (…) with their constants, None where the
    query gives the value; `where` says which rows REPLACE WHERE removes first.
    """

    target: Name
    columns: tuple[str, ...] | None
    query: exp.Expr
    overwrite: bool = False
    by_name: bool = False
    partition: tuple[tuple[str, exp.Expr | None], ...] = ()
    where: exp.Expr | None = None


@dataclass(frozen=True, slots=True)
class Update(ParsedStatement):
    """UPDATE target SET …; the tree is an `exp.Update`."""

    target: Name
    tree: exp.Update


@dataclass(frozen=True, slots=True)
class Delete(ParsedStatement):
    """DELETE FROM target; the tree is an `exp.Delete`."""

    target: Name
    tree: exp.Delete


@dataclass(frozen=True, slots=True)
class Merge(ParsedStatement):
    """MERGE INTO target USING …; the tree is an `exp.Merge`."""

    target: Name
    tree: exp.Merge


@dataclass(frozen=True, slots=True)
class Truncate(ParsedStatement):
    """TRUNCATE TABLE target."""

    target: Name


# --- definitions ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ColumnDefinition:
    """A column of CREATE TABLE or ADD COLUMN; `type` is Iceberg schema JSON without field ids.

    In nested types `element-id`, `key-id` and the like are absent; the catalog assigns them.
    """

    name: str
    type: Any
    required: bool = False
    comment: str | None = None
    default: Any = None


@dataclass(frozen=True, slots=True)
class PartitionField:
    """One partition field: Iceberg transform text (`month`, `bucket[16]`) of a column."""

    column: str
    transform: str


@dataclass(frozen=True, slots=True)
class SortField:
    """One sort field of a table's write order."""

    column: str
    transform: str = "identity"
    ascending: bool = True
    nulls_first: bool = True


@dataclass(frozen=True, slots=True)
class TableOptions:
    """Everything of CREATE TABLE beside its columns."""

    comment: str | None = None
    location: str | None = None
    format_version: int | None = None
    partitioning: tuple[PartitionField, ...] = ()
    sorting: tuple[SortField, ...] = ()
    properties: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CreateSchema(ParsedStatement):
    """CREATE SCHEMA [IF NOT EXISTS]."""

    name: Name
    if_not_exists: bool = False
    comment: str | None = None
    properties: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DropSchema(ParsedStatement):
    """DROP SCHEMA [IF EXISTS] … [CASCADE]."""

    name: Name
    if_exists: bool = False
    cascade: bool = False


@dataclass(frozen=True, slots=True)
class AlterSchema(ParsedStatement):
    """ALTER SCHEMA … SET PROPERTIES / DBPROPERTIES; a value of None removes the property."""

    name: Name
    properties: dict[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CreateTable(ParsedStatement):
    """CREATE TABLE with columns; with `query` it is CREATE TABLE AS."""

    name: Name
    columns: tuple[ColumnDefinition, ...]
    options: TableOptions
    if_not_exists: bool = False
    or_replace: bool = False
    query: exp.Expr | None = None
    with_data: bool = True
    like: Name | None = None


@dataclass(frozen=True, slots=True)
class DropTable(ParsedStatement):
    """DROP TABLE [IF EXISTS]."""

    name: Name
    if_exists: bool = False
    purge: bool = False


@dataclass(frozen=True, slots=True)
class AddColumn:
    """ALTER TABLE … ADD COLUMN; `path` is empty, or leads to a struct field."""

    column: ColumnDefinition
    if_not_exists: bool = False


@dataclass(frozen=True, slots=True)
class DropColumn:
    """ALTER TABLE … DROP COLUMN; the path of a nested field is dotted."""

    path: tuple[str, ...]
    if_exists: bool = False


@dataclass(frozen=True, slots=True)
class RenameColumn:
    """ALTER TABLE … RENAME COLUMN path TO name."""

    path: tuple[str, ...]
    to: str


@dataclass(frozen=True, slots=True)
class AlterColumnType:
    """ALTER TABLE … ALTER COLUMN … SET DATA TYPE; Iceberg allows widening only."""

    path: tuple[str, ...]
    type: Any


@dataclass(frozen=True, slots=True)
class SetColumnNullable:
    """ALTER TABLE … ALTER COLUMN … DROP NOT NULL (required → optional; the reverse is refused)."""

    path: tuple[str, ...]
    nullable: bool = True


@dataclass(frozen=True, slots=True)
class SetColumnComment:
    """COMMENT ON COLUMN, or ALTER COLUMN … COMMENT."""

    path: tuple[str, ...]
    comment: str | None


@dataclass(frozen=True, slots=True)
class SetComment:
    """COMMENT ON TABLE."""

    comment: str | None


@dataclass(frozen=True, slots=True)
class SetProperties:
    """ALTER TABLE … SET PROPERTIES / SET TBLPROPERTIES; None removes."""

    properties: dict[str, str | None]


@dataclass(frozen=True, slots=True)
class SetPartitioning:
    """Replaces the table's partitioning for new data."""

    fields: tuple[PartitionField, ...]


@dataclass(frozen=True, slots=True)
class RenameTo:
    """ALTER TABLE … RENAME TO name."""

    name: Name


@dataclass(frozen=True, slots=True)
class SetRef:
    """ALTER TABLE … CREATE|REPLACE BRANCH|TAG; `snapshot_id` None takes the current snapshot."""

    ref: str
    kind: str
    snapshot_id: int | None = None
    replace: bool = False
    if_not_exists: bool = False


@dataclass(frozen=True, slots=True)
class DropRef:
    """ALTER TABLE … DROP BRANCH|TAG."""

    ref: str
    kind: str
    if_exists: bool = False


@dataclass(frozen=True, slots=True)
class ExecuteProcedure:
    """ALTER TABLE … EXECUTE name(argument => value, …): optimize, expire_snapshots, rollback …"""

    procedure: str
    arguments: dict[str, Any] = field(default_factory=dict)


AlterAction = (
    AddColumn
    | DropColumn
    | RenameColumn
    | AlterColumnType
    | SetColumnNullable
    | SetColumnComment
    | SetComment
    | SetProperties
    | SetPartitioning
    | RenameTo
    | SetRef
    | DropRef
    | ExecuteProcedure
)


@dataclass(frozen=True, slots=True)
class AlterTable(ParsedStatement):
    """ALTER TABLE, and COMMENT ON TABLE or COLUMN: one or more actions on one table."""

    name: Name
    actions: tuple[AlterAction, ...]
    if_exists: bool = False


@dataclass(frozen=True, slots=True)
class CreateView(ParsedStatement):
    """CREATE [OR REPLACE] VIEW; `text` is the query as the user wrote it, `tree` its parse."""

    name: Name
    tree: exp.Expr
    text: str
    columns: tuple[str, ...] | None = None
    or_replace: bool = False
    if_not_exists: bool = False
    comment: str | None = None


@dataclass(frozen=True, slots=True)
class DropView(ParsedStatement):
    """DROP VIEW [IF EXISTS]."""

    name: Name
    if_exists: bool = False


@dataclass(frozen=True, slots=True)
class RenameView(ParsedStatement):
    """ALTER VIEW … RENAME TO."""

    name: Name
    to: Name


# --- looking ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Show(ParsedStatement):
    """SHOW …: `what` is catalogs, schemas, tables, views, columns, functions, session, stats,
    create_table, create_view, create_schema, partitions or properties.

    `name` is the object asked about; `like` an SQL LIKE pattern. DESCRIBE is `columns`.
    """

    what: str
    name: Name | None = None
    like: str | None = None
    escape: str | None = None


@dataclass(frozen=True, slots=True)
class Nothing(ParsedStatement):
    """CACHE TABLE and the like: advice to another engine; `name` must be visible, else an error."""

    what: str
    name: Name | None


# --- the session ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Use(ParsedStatement):
    """USE [catalog.]schema."""

    name: Name


@dataclass(frozen=True, slots=True)
class SetSession(ParsedStatement):
    """SET SESSION name = value; RESET SESSION when `value` is None."""

    name: str
    value: str | None


@dataclass(frozen=True, slots=True)
class SetRole(ParsedStatement):
    """SET ROLE name; None for ALL (every role held)."""

    role: str | None


@dataclass(frozen=True, slots=True)
class Prepare(ParsedStatement):
    """PREPARE name FROM text."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Execute(ParsedStatement):
    """EXECUTE name USING …, or EXECUTE IMMEDIATE 'text' USING … (`text` set, `name` empty)."""

    name: str
    parameters: tuple[exp.Expr, ...] = ()
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Deallocate(ParsedStatement):
    """DEALLOCATE PREPARE name."""

    name: str


@dataclass(frozen=True, slots=True)
class DescribePrepared(ParsedStatement):
    """DESCRIBE INPUT name | DESCRIBE OUTPUT name."""

    name: str
    output: bool


@dataclass(frozen=True, slots=True)
class TransactionControl(ParsedStatement):
    """START TRANSACTION, COMMIT, ROLLBACK (`action` is start, commit or rollback)."""

    action: str


# --- governance -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CreatePrincipal(ParsedStatement):
    """CREATE ROLE | USER | SERVICE ACCOUNT name."""

    kind: str
    name: str
    if_not_exists: bool = False


@dataclass(frozen=True, slots=True)
class DropPrincipal(ParsedStatement):
    """DROP ROLE | USER | SERVICE ACCOUNT name."""

    kind: str
    name: str
    if_exists: bool = False


@dataclass(frozen=True, slots=True)
class AlterPrincipal(ParsedStatement):
    """ALTER ROLE | USER | SERVICE ACCOUNT name DISABLE | ENABLE."""

    kind: str
    name: str
    enabled: bool


@dataclass(frozen=True, slots=True)
class PrincipalName:
    """The grantee of a statement: `USER ellen`, `ROLE analyst`, or a bare name (kind None)."""

    name: str
    kind: str | None = None


@dataclass(frozen=True, slots=True)
class SecurableName:
    """What is granted on: catalog, schema, table, view, or a principal's kind (IMPERSONATE).

    Kind None means a table, or a view where such a view exists. For `location` the name is one
    part, its URI as it was written.
    """

    kind: str | None
    name: Name | None


@dataclass(frozen=True, slots=True)
class GrantRoles(ParsedStatement):
    """GRANT role, … TO principal, …; REVOKE when `revoke`."""

    roles: tuple[str, ...]
    to: tuple[PrincipalName, ...]
    revoke: bool = False


@dataclass(frozen=True, slots=True)
class PrivilegeColumns:
    """A privilege, limited to columns when some are named: `SELECT (a, b)`."""

    privilege: Privilege
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GrantPrivileges(ParsedStatement):
    """GRANT | DENY | REVOKE [DENY] privileges ON securable TO principals.

    `effect` is grant, deny, revoke or revoke_deny.
    """

    effect: str
    privileges: tuple[PrivilegeColumns, ...]
    on: SecurableName
    to: tuple[PrincipalName, ...]
    grant_option: bool = False


@dataclass(frozen=True, slots=True)
class CreateRowFilter(ParsedStatement):
    """CREATE [OR REPLACE] ROW FILTER name ON table USING (predicate) TO principals.

    `except_to` lists principals that the filter never applies to.
    """

    name: str
    table: Name
    predicate: exp.Expr
    to: tuple[PrincipalName, ...]
    except_to: tuple[PrincipalName, ...] = ()
    or_replace: bool = False


@dataclass(frozen=True, slots=True)
class CreateColumnMask(ParsedStatement):
    """CREATE [OR REPLACE] COLUMN MASK name ON table (column) USING action | (expression) TO …"""

    name: str
    table: Name
    column: str
    action: str
    expression: exp.Expr | None
    to: tuple[PrincipalName, ...]
    except_to: tuple[PrincipalName, ...] = ()
    or_replace: bool = False


@dataclass(frozen=True, slots=True)
class DropPolicy(ParsedStatement):
    """DROP ROW FILTER | COLUMN MASK [IF EXISTS] name ON table (`kind`: row_filter, column_mask)."""

    kind: str
    name: str
    table: Name
    if_exists: bool = False


@dataclass(frozen=True, slots=True)
class ShowGovernance(ParsedStatement):
    """SHOW GRANTS [ON securable] [TO|FOR principal], SHOW ROLES, SHOW USERS, SHOW POLICIES …

    `what` is grants, roles, role_grants, current_roles, users or policies.
    """

    what: str
    on: SecurableName | None = None
    principal: PrincipalName | None = None
