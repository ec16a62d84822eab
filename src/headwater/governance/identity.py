"""The directory of principals: users, roles, service accounts, and who holds which role."""

from __future__ import annotations

import re
from collections.abc import Iterable

import sqlalchemy
from sqlalchemy import Connection, delete, select

from headwater.errors import ErrorCode, error
from headwater.governance import tables
from headwater.governance.audit import AuditLog
from headwater.governance.decide import Node, rights
from headwater.governance.ids import now_ms, uuid7
from headwater.governance.state import (
    ADMIN_ROLE,
    CATALOG_ID,
    PUBLIC_ROLE,
    PolicyStore,
    State,
    bump_epoch,
    load_state,
)
from headwater.model.principal import Actor, Identity, Principal, PrincipalKind
from headwater.model.privilege import Privilege, SecurableKind
from headwater.store.database import Database

_NAME = re.compile(r"[^\W\d][\w.@+-]{0,127}")


class Directory:
    """Creates, finds, disables and drops principals, and moves roles between them.

    Names are unique whatever their case: users and service accounts share one set of names, roles
    have another. Every change is audited and takes
    effect at the next decision. The last enabled user or service account with the role `admin`
    cannot be dropped, disabled or stripped of it.
    """

    def __init__(self, database: Database, store: PolicyStore, audit: AuditLog) -> None:
        self._database = database
        self._store = store
        self._audit = audit

    def find(self, name: str, kind: PrincipalKind | None = None) -> Principal:
        """The principal of a name; raises PRINCIPAL_NOT_FOUND, or AMBIGUOUS_NAME without a kind."""
        return found(self._store.current(), name, kind)

    def find_login(self, name: str) -> Principal:
        """The user or service account of a name; raises PRINCIPAL_NOT_FOUND."""
        principal = self._store.current().find(name)
        if principal is None or principal.kind is PrincipalKind.ROLE:
            raise error(ErrorCode.PRINCIPAL_NOT_FOUND, f"user {name} does not exist")
        return principal

    def get(self, principal_id: str) -> Principal | None:
        """The principal of an id, unless it was dropped."""
        return self._store.current().principals.get(principal_id)

    def all(self) -> list[Principal]:
        """All principals, by name."""
        return sorted(self._store.current().principals.values(), key=lambda p: p.name.casefold())

    def is_enabled(self, principal_id: str) -> bool:
        """True for a principal that exists and may log in."""
        state = self._store.current()
        return principal_id in state.principals and principal_id not in state.disabled

    def create(
        self, kind: PrincipalKind, name: str, actor: Actor, *, if_not_exists: bool = False
    ) -> Principal:
        """A new principal; raises PRINCIPAL_ALREADY_EXISTS, INVALID_ARGUMENT for an odd name."""
        if not _NAME.fullmatch(name):
            raise error(
                ErrorCode.INVALID_ARGUMENT,
                f"{name!r} is not a good name for a {kind.value.replace('_', ' ')}",
                hint="begin with a letter; then letters, digits and . _ @ + - (128 at most)",
            )
        principal = Principal(uuid7(), name, kind)
        try:
            with self._database.write() as connection:
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
                self._changed(connection, actor, "create principal", principal)
        except sqlalchemy.exc.IntegrityError as exc:
            existing = next(
                p for p in self.all() if name_key(p.kind, p.name) == name_key(kind, name)
            )
            if if_not_exists and existing.kind is kind:
                return existing
            raise error(
                ErrorCode.PRINCIPAL_ALREADY_EXISTS,
                f"{_article(existing.kind)} {existing.name} exists already",
                hint="users and service accounts share one set of names",
            ) from exc
        return principal

    def drop(
        self, kind: PrincipalKind, name: str, actor: Actor, *, if_exists: bool = False
    ) -> None:
        """Drops a principal with its grants and memberships.

        Refused while a filter or mask names it, and for the built-in roles.
        """
        state = self._store.current()
        if if_exists and state.find(name, kind) is None:
            return
        principal = found(state, name, kind)
        if principal.kind is PrincipalKind.ROLE and principal.name in (ADMIN_ROLE, PUBLIC_ROLE):
            raise error(ErrorCode.PERMISSION_DENIED, f"the role {principal.name} is built in")
        with self._database.write() as connection:
            bound: Iterable[str] = connection.execute(
                select(tables.policy.c.name)
                .join(tables.policy_principal)
                .where(tables.policy_principal.c.principal_id == principal.id)
            ).scalars()
            policies = sorted(set(bound))
            if policies:
                raise error(
                    ErrorCode.PERMISSION_DENIED,
                    f"{principal.name} is named by policies: {', '.join(policies)}",
                    hint="drop or replace these policies first",
                )
            connection.execute(
                delete(tables.principal).where(tables.principal.c.id == principal.id)
            )
            self._changed(connection, actor, "drop principal", principal)

    def set_disabled(self, principal: Principal, disabled: bool, actor: Actor) -> None:
        """Locks a principal out, or lets it in again; its tokens stop working at once."""
        table = tables.principal
        with self._database.write() as connection:
            connection.execute(
                table.update().where(table.c.id == principal.id).values(disabled=disabled)
            )
            action = "disable principal" if disabled else "enable principal"
            self._changed(connection, actor, action, principal)

    def grant_role(self, role: Principal, member: Principal, actor: Actor) -> None:
        """Gives a role to a principal; raises INVALID_ARGUMENT when roles would form a circle."""
        if role.name == PUBLIC_ROLE:
            raise error(ErrorCode.INVALID_ARGUMENT, "every principal holds the role public already")
        with self._database.write() as connection:
            state = load_state(connection)
            if member.id in state.closure(role.id):
                raise error(
                    ErrorCode.INVALID_ARGUMENT,
                    f"role {role.name} already holds {member.name}: roles cannot form a circle",
                )
            if role.id in state.parents.get(member.id, frozenset()):
                return
            connection.execute(
                tables.principal_member.insert().values(role_id=role.id, member_id=member.id)
            )
            self._changed(connection, actor, f"grant role {role.name}", member)

    def revoke_role(self, role: Principal, member: Principal, actor: Actor) -> None:
        """Takes a role from a principal that holds it directly; else does nothing."""
        table = tables.principal_member
        with self._database.write() as connection:
            removed = connection.execute(
                delete(table).where(table.c.role_id == role.id, table.c.member_id == member.id)
            ).rowcount
            if removed:
                self._changed(connection, actor, f"revoke role {role.name}", member)

    def _changed(
        self, connection: Connection, actor: Actor, action: str, principal: Principal
    ) -> None:
        bump_epoch(connection)
        keep_an_admin(load_state(connection))
        self._audit.change(
            connection,
            actor,
            action,
            securable=f"principal {principal.name}",
            details={"principal_id": principal.id, "principal_kind": principal.kind.value},
        )


def found(state: State, name: str, kind: PrincipalKind | None = None) -> Principal:
    """The principal of a name, and kind when given.

    Raises PRINCIPAL_NOT_FOUND; AMBIGUOUS_NAME without a kind when a role and a login share it.
    """
    principal = state.find(name, kind)
    if principal is None:
        what = _article(kind) if kind else "principal"
        raise error(ErrorCode.PRINCIPAL_NOT_FOUND, f"{what} {name} does not exist")
    if kind is None and principal.kind is not PrincipalKind.ROLE and state.role(name) is not None:
        raise error(
            ErrorCode.AMBIGUOUS_NAME,
            f"{name} is a {_article(principal.kind)} and a role",
            hint=f"write {_article(principal.kind).upper()} {name} or ROLE {name}",
        )
    return principal


def name_key(kind: PrincipalKind, name: str) -> str:
    """What is unique among principals: the name in lower case, apart for roles and logins."""
    return ("role:" if kind is PrincipalKind.ROLE else "login:") + name.casefold()


def keep_an_admin(state: State) -> None:
    """Raises PERMISSION_DENIED unless somebody enabled holds the role admin and its rights."""
    admin = state.role(ADMIN_ROLE)
    if admin is None:
        return
    catalog = (Node(CATALOG_ID, SecurableKind.CATALOG, "the catalog"),)
    able = (
        principal
        for principal in state.principals.values()
        if principal.kind is not PrincipalKind.ROLE
        and principal.id not in state.disabled
        and admin.id in state.closure(principal.id)
        and rights(state, state.subject(Identity(principal)), catalog).allows(
            Privilege.MANAGE_GRANTS
        )
    )
    if admin.id in state.disabled or next(able, None) is None:
        raise error(
            ErrorCode.PERMISSION_DENIED,
            "that would leave nobody with the role admin",
            hint="give the role to another enabled user first",
        )


def _article(kind: PrincipalKind) -> str:
    return kind.value.replace("_", " ")
