"""The first principals: the roles `admin` and `public` and the user `admin`."""

from __future__ import annotations

from sqlalchemy import Connection

from headwater.governance import tables
from headwater.governance.audit import AuditLog
from headwater.governance.identity import name_key
from headwater.governance.ids import now_ms, uuid7
from headwater.governance.state import (
    ADMIN_ROLE,
    CATALOG_ID,
    PUBLIC_ROLE,
    State,
    bump_epoch,
    load_state,
)
from headwater.model.principal import SYSTEM, Principal, PrincipalKind
from headwater.model.privilege import Privilege
from headwater.store.database import Database

ADMIN_USER = "admin"
"""The user that a new metastore begins with; it holds the role `admin`."""


def ensure_admin(database: Database, audit: AuditLog) -> Principal:
    """An administrator; on a new metastore makes the user `admin` and the built-in roles."""
    with database.write() as connection:
        state = load_state(connection)
        existing = first_admin(state)
        if existing is not None:
            return existing
        user = _add(connection, PrincipalKind.USER, ADMIN_USER)
        role = _add(connection, PrincipalKind.ROLE, ADMIN_ROLE)
        _add(connection, PrincipalKind.ROLE, PUBLIC_ROLE)
        connection.execute(
            tables.principal_member.insert().values(role_id=role.id, member_id=user.id)
        )
        for privilege in (Privilege.ALL, Privilege.MANAGE_GRANTS, Privilege.IMPERSONATE):
            connection.execute(
                tables.privilege_grant.insert().values(
                    id=uuid7(),
                    principal_id=role.id,
                    effect="grant",
                    privilege=privilege.value,
                    object_kind="catalog",
                    object_id=CATALOG_ID,
                    field_id=0,
                    grant_option=True,
                    granted_by=SYSTEM.principal_id,
                    created_ms=now_ms(),
                )
            )
        bump_epoch(connection)
        audit.change(
            connection, SYSTEM, "create principal", securable=f"principal {user.name}", details={}
        )
        return user


def first_admin(state: State) -> Principal | None:
    """The user `admin` when it is an administrator, else the first by name; None on a new store."""
    role = state.role(ADMIN_ROLE)
    if role is None:
        return None
    admins = [
        principal
        for principal in state.principals.values()
        if principal.kind is not PrincipalKind.ROLE
        and principal.id not in state.disabled
        and role.id in state.closure(principal.id)
    ]
    return min(admins, key=lambda principal: (principal.name != ADMIN_USER, principal.name))


def _add(connection: Connection, kind: PrincipalKind, name: str) -> Principal:
    principal = Principal(uuid7(), name, kind)
    connection.execute(
        tables.principal.insert().values(
            id=principal.id,
            kind=kind.value,
            name=name,
            name_key=name_key(kind, name),
            disabled=False,
            created_ms=now_ms(),
        )
    )
    return principal
