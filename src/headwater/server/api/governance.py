"""Principals, grants, row filters, column masks and the audit log, over the same code as SQL."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from headwater.governance.access import AccessRequest
from headwater.governance.statements import GovernanceStatements
from headwater.model.identifiers import CATALOG_NAME
from headwater.model.principal import PrincipalKind
from headwater.model.privilege import Privilege
from headwater.model.scan import MaskAction
from headwater.model.statement import Dialect
from headwater.server.api.context import Caller, RequestId, Running
from headwater.sql import statements as s
from headwater.sql.trees import parse_expression

router = APIRouter(tags=["governance"])

ObjectKind = Literal["catalog", "schema", "table", "view", "user", "role", "service_account"]
"""What can be granted on; a principal for IMPERSONATE."""

Rows = list[dict[str, str | bool | None]]
"""The rows of the SHOW statement of the same name, keys in lower case with underscores."""


class PrincipalRef(BaseModel):
    """A user, role or service account; the kind may be left out when the name is clear."""

    name: str
    kind: PrincipalKind | None = None


class NewPrincipal(BaseModel):
    """A principal to make."""

    kind: PrincipalKind
    name: str
    if_not_exists: bool = False


class RoleChange(BaseModel):
    """Roles to give to principals, or to take from them."""

    roles: list[str] = Field(min_length=1)
    to: list[PrincipalRef] = Field(min_length=1)
    revoke: bool = False


class ObjectRef(BaseModel):
    """What is granted on: `lake`, `sales`, `sales.orders`; left-out kind: a table or view.

    For `location`, the name is its URI.
    """

    kind: (
        Literal["catalog", "schema", "table", "view", "user", "role", "service_account", "location"]
        | None
    ) = None
    name: str | None = None


class PrivilegeRef(BaseModel):
    """A privilege, on some columns when any are named."""

    privilege: Privilege
    columns: list[str] = Field(default_factory=list)


class GrantChange(BaseModel):
    """A grant or deny to make or to remove."""

    effect: Literal["grant", "deny", "revoke", "revoke_deny"]
    privileges: list[PrivilegeRef] = Field(min_length=1)
    on: ObjectRef
    to: list[PrincipalRef] = Field(min_length=1)
    grant_option: bool = False


class NewRowFilter(BaseModel):
    """A row filter; the predicate is SQL over the table's columns."""

    name: str
    table: str
    predicate: str
    dialect: Dialect = Dialect.TRINO
    to: list[PrincipalRef] = Field(min_length=1)
    except_to: list[PrincipalRef] = Field(default_factory=list)
    replace: bool = False


class NewColumnMask(BaseModel):
    """A column mask; `expression` is SQL, for the action `expression` only."""

    name: str
    table: str
    column: str
    action: MaskAction
    expression: str | None = None
    dialect: Dialect = Dialect.TRINO
    to: list[PrincipalRef] = Field(min_length=1)
    except_to: list[PrincipalRef] = Field(default_factory=list)
    replace: bool = False


@router.get("/principals")
def principals(
    caller: Caller, running: Running, request: RequestId, kind: PrincipalKind | None = None
) -> Rows:
    """Users and service accounts that the caller may see; with kind `role`, roles."""
    asked = running.access.begin(caller, request_id=request)
    if kind is PrincipalKind.ROLE:
        return _run(running, asked, s.ShowGovernance("roles"))
    rows = _run(running, asked, s.ShowGovernance("users"))
    return [row for row in rows if kind is None or row["type"] == kind.value]


@router.post("/principals", status_code=201)
def create_principal(
    body: NewPrincipal, caller: Caller, running: Running, request: RequestId
) -> None:
    """CREATE ROLE, USER or SERVICE ACCOUNT."""
    asked = running.access.begin(caller, request_id=request)
    _run(running, asked, s.CreatePrincipal(body.kind.value, body.name, body.if_not_exists))


@router.post("/principals/{kind}/{name}/{change}")
def alter_principal(
    kind: PrincipalKind,
    name: str,
    change: Literal["enable", "disable"],
    caller: Caller,
    running: Running,
    request: RequestId,
) -> None:
    """ALTER ROLE, USER or SERVICE ACCOUNT … ENABLE or DISABLE."""
    asked = running.access.begin(caller, request_id=request)
    _run(running, asked, s.AlterPrincipal(kind.value, name, change == "enable"))


@router.delete("/principals/{kind}/{name}", status_code=204)
def drop_principal(
    kind: PrincipalKind, name: str, caller: Caller, running: Running, request: RequestId
) -> None:
    """DROP ROLE, USER or SERVICE ACCOUNT."""
    asked = running.access.begin(caller, request_id=request)
    _run(running, asked, s.DropPrincipal(kind.value, name))


@router.get("/role-grants")
def role_grants(
    caller: Caller, running: Running, request: RequestId, principal: str | None = None
) -> Rows:
    """SHOW ROLE GRANTS."""
    asked = running.access.begin(caller, request_id=request)
    of = s.PrincipalName(principal) if principal else None
    return _run(running, asked, s.ShowGovernance("role_grants", principal=of))


@router.post("/role-grants")
def change_roles(body: RoleChange, caller: Caller, running: Running, request: RequestId) -> None:
    """GRANT or REVOKE of roles."""
    asked = running.access.begin(caller, request_id=request)
    _run(running, asked, s.GrantRoles(tuple(body.roles), _names(body.to), body.revoke))


@router.get("/grants")
def grants(
    caller: Caller,
    running: Running,
    request: RequestId,
    on: str | None = None,
    on_kind: ObjectKind | None = None,
    principal: str | None = None,
    principal_kind: PrincipalKind | None = None,
) -> Rows:
    """SHOW GRANTS; `on` alone is a table or view."""
    asked = running.access.begin(caller, request_id=request)
    of = s.PrincipalName(principal, principal_kind) if principal else None
    target = _object(ObjectRef(kind=on_kind, name=on)) if on or on_kind else None
    return _run(running, asked, s.ShowGovernance("grants", target, of))


@router.post("/grants")
def change_grants(body: GrantChange, caller: Caller, running: Running, request: RequestId) -> None:
    """GRANT, DENY, REVOKE or REVOKE DENY of privileges."""
    asked = running.access.begin(caller, request_id=request)
    privileges = tuple(s.PrivilegeColumns(p.privilege, tuple(p.columns)) for p in body.privileges)
    statement = s.GrantPrivileges(
        body.effect, privileges, _object(body.on), _names(body.to), body.grant_option
    )
    _run(running, asked, statement)


@router.get("/policies")
def policies(
    caller: Caller, running: Running, request: RequestId, table: str | None = None
) -> Rows:
    """SHOW POLICIES: row filters and column masks of tables whose grants the caller manages."""
    asked = running.access.begin(caller, request_id=request)
    target = _object(ObjectRef(name=table)) if table else None
    return _run(running, asked, s.ShowGovernance("policies", target))


@router.post("/row-filters", status_code=201)
def create_filter(body: NewRowFilter, caller: Caller, running: Running, request: RequestId) -> None:
    """CREATE [OR REPLACE] ROW FILTER."""
    asked = running.access.begin(caller, request_id=request)
    _run(running, asked, filter_statement(body))


@router.post("/column-masks", status_code=201)
def create_mask(body: NewColumnMask, caller: Caller, running: Running, request: RequestId) -> None:
    """CREATE [OR REPLACE] COLUMN MASK."""
    asked = running.access.begin(caller, request_id=request)
    _run(running, asked, mask_statement(body))


@router.delete("/policies/{kind}/{table}/{name}", status_code=204)
def drop_policy(
    kind: Literal["row_filter", "column_mask"],
    table: str,
    name: str,
    caller: Caller,
    running: Running,
    request: RequestId,
) -> None:
    """DROP ROW FILTER or COLUMN MASK."""
    asked = running.access.begin(caller, request_id=request)
    _run(running, asked, s.DropPolicy(kind, name, table_name(table)))


def filter_statement(body: NewRowFilter) -> s.CreateRowFilter:
    """The statement that a request for a row filter stands for."""
    return s.CreateRowFilter(
        body.name,
        table_name(body.table),
        parse_expression(body.predicate, body.dialect),
        _names(body.to),
        _names(body.except_to),
        body.replace,
    )


def mask_statement(body: NewColumnMask) -> s.CreateColumnMask:
    """The statement that a request for a column mask stands for."""
    return s.CreateColumnMask(
        body.name,
        table_name(body.table),
        body.column,
        body.action.value,
        parse_expression(body.expression, body.dialect) if body.expression else None,
        _names(body.to),
        _names(body.except_to),
        body.replace,
    )


def _run(running: Running, asked: AccessRequest, statement: s.ParsedStatement) -> Rows:
    table = GovernanceStatements(running.access).run(statement, asked)
    if table is None:
        return []
    return [
        {key.lower().replace(" ", "_"): value for key, value in row.items()}
        for row in table.to_pylist()
    ]


def _names(of: list[PrincipalRef]) -> tuple[s.PrincipalName, ...]:
    return tuple(s.PrincipalName(p.name, p.kind.value if p.kind else None) for p in of)


def _object(of: ObjectRef) -> s.SecurableName:
    if of.name is None:
        return s.SecurableName(of.kind or "catalog", None)
    if of.kind in (None, "table", "view"):
        return s.SecurableName(of.kind, table_name(of.name))
    return s.SecurableName(of.kind, s.Name((of.name,)))


def table_name(name: str) -> s.Name:
    """`schema.table`: everything before the last dot is the schema."""
    schema, _, table = name.removeprefix(f"{CATALOG_NAME}.").rpartition(".")
    return s.Name((schema, table) if schema else (table,))
