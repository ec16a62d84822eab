"""Grants, denies and their removal."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, delete, select

from headwater.errors import ErrorCode, error
from headwater.governance import tables
from headwater.governance.access import AccessRequest
from headwater.governance.authority import Authority, Target
from headwater.governance.decide import COLUMN_PRIVILEGES, Column
from headwater.governance.ids import now_ms, uuid7
from headwater.governance.state import ADMIN_ROLE
from headwater.model.principal import Principal, PrincipalKind
from headwater.model.privilege import Privilege, SecurableKind

_OF_FILES = frozenset({Privilege.READ_FILES, Privilege.WRITE_FILES})
_APPLICABLE: dict[SecurableKind, frozenset[Privilege]] = {
    SecurableKind.CATALOG: frozenset(Privilege) - _OF_FILES,
    SecurableKind.SCHEMA: frozenset(Privilege) - _OF_FILES - {Privilege.IMPERSONATE},
    SecurableKind.LOCATION: _OF_FILES,
    SecurableKind.PRINCIPAL: frozenset({Privilege.IMPERSONATE}),
    SecurableKind.VIEW: frozenset(
        {
            Privilege.ALL,
            Privilege.DESCRIBE,
            Privilege.SELECT,
            Privilege.ALTER,
            Privilege.DROP,
            Privilege.MANAGE_GRANTS,
        }
    ),
    SecurableKind.TABLE: frozenset(Privilege)
    - _OF_FILES
    - {
        Privilege.IMPERSONATE,
        Privilege.CREATE_SCHEMA,
        Privilege.CREATE_TABLE,
        Privilege.CREATE_VIEW,
    },
}


class Grants:
    """Makes and removes grants and denies for the caller of a request."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority

    def check(
        self,
        request: AccessRequest,
        target: Target,
        effect: str,
        privilege: Privilege,
        columns: Sequence[str],
    ) -> None:
        """Raises what `grant` or `deny` (`effect`) would, and changes nothing."""
        fields = columns_of(target, privilege, columns)
        if effect == "grant":
            self._may_grant(request, target, privilege, fields)
        elif effect == "deny":
            self._authority.must_manage(request, target)

    def grant(
        self,
        request: AccessRequest,
        target: Target,
        privilege: Privilege,
        columns: Sequence[str],
        to: Principal,
        *,
        option: bool = False,
    ) -> None:
        """Grants a privilege, or on some columns; again with the option adds the option.

        Raises PERMISSION_DENIED when the caller may not pass on as much as that.
        """
        fields = columns_of(target, privilege, columns)
        self._may_grant(request, target, privilege, fields)
        self._set(request, target, "grant", privilege, fields, to, option)

    def deny(
        self,
        request: AccessRequest,
        target: Target,
        privilege: Privilege,
        columns: Sequence[str],
        to: Principal,
    ) -> None:
        """Denies a privilege, or on some columns; needs MANAGE GRANTS."""
        fields = columns_of(target, privilege, columns)
        self._authority.must_manage(request, target)
        if to.kind is PrincipalKind.ROLE and to.name == ADMIN_ROLE:
            raise error(
                ErrorCode.PERMISSION_DENIED,
                "nothing can be denied to the role admin",
                hint="revoke the role from those who should not have it",
            )
        self._set(request, target, "deny", privilege, fields, to, False)

    def revoke(
        self,
        request: AccessRequest,
        target: Target,
        privilege: Privilege,
        columns: Sequence[str],
        of: Principal,
        *,
        effect: str = "grant",
        option_only: bool = False,
    ) -> None:
        """Removes a grant, a deny (`effect`), or only the option to pass a grant on.

        Needs MANAGE GRANTS; a grant may also be removed by who made it. Removing what is not there
        does nothing.
        """
        ids = [column.field_id for column in columns_of(target, privilege, columns)]
        table = tables.privilege_grant
        matches = (
            (table.c.principal_id == of.id)
            & (table.c.object_id == target.id)
            & (table.c.effect == effect)
        )
        if ids or effect == "deny":
            # Taking a whole privilege away takes it from single columns too, but lifting a whole
            # deny does not lift those on columns.
            matches &= table.c.field_id.in_(ids or [0])
        if privilege is not Privilege.ALL:
            matches &= table.c.privilege == privilege.value
        if not self._authority.manages(request, target):
            if effect == "deny":
                self._authority.must_manage(request, target)
            matches &= table.c.granted_by == request.subject.principal.id
        self._guard_admin_role(of, effect, target)

        def work(connection: Connection) -> int:
            if option_only:
                return connection.execute(
                    table.update().where(matches).values(grant_option=False)
                ).rowcount
            return connection.execute(delete(table).where(matches)).rowcount

        verb = "revoke deny" if effect == "deny" else "revoke"
        removed = self._authority.change(
            request, f"{verb} {privilege}", target, work, {"from": of.name, "field_ids": ids}
        )
        if not removed and not self._authority.manages(request, target):
            raise error(
                ErrorCode.PERMISSION_DENIED,
                f"{request.subject.principal.name}: no such grant was made by you",
                hint="a grant is revoked by who made it, or with MANAGE GRANTS",
            )

    def _set(
        self,
        request: AccessRequest,
        target: Target,
        effect: str,
        privilege: Privilege,
        columns: Sequence[Column],
        to: Principal,
        option: bool,
    ) -> None:
        table = tables.privilege_grant
        rows: list[tuple[int, str | None]] = [(c.field_id, c.name) for c in columns]
        rows = rows or [(0, None)]

        def work(connection: Connection) -> int:
            for field_id, column_name in rows:
                same = (
                    (table.c.principal_id == to.id)
                    & (table.c.effect == effect)
                    & (table.c.privilege == privilege.value)
                    & (table.c.object_id == target.id)
                    & (table.c.field_id == field_id)
                )
                if connection.execute(select(table.c.id).where(same)).first() is not None:
                    if option:
                        connection.execute(table.update().where(same).values(grant_option=True))
                    continue
                connection.execute(
                    table.insert().values(
                        id=uuid7(),
                        principal_id=to.id,
                        effect=effect,
                        privilege=privilege.value,
                        object_kind=target.path[0].kind.value,
                        object_id=target.id,
                        field_id=field_id,
                        column_name=column_name,
                        grant_option=option,
                        granted_by=request.subject.principal.id,
                        created_ms=now_ms(),
                    )
                )
            return len(rows)

        details = {"to": to.name, "columns": [column.name for column in columns], "option": option}
        self._authority.change(request, f"{effect} {privilege}", target, work, details)

    def _may_grant(
        self,
        request: AccessRequest,
        target: Target,
        privilege: Privilege,
        columns: Sequence[Column],
    ) -> None:
        seen = self._authority.rights(request, target)
        if seen.allows(Privilege.MANAGE_GRANTS):
            return
        passed = columns and all(
            column.field_id in seen.grantable_columns.get(privilege, frozenset())
            for column in columns
        )
        if not passed and privilege is not Privilege.ALL and privilege not in seen.grantable:
            raise request.refusal(
                "GRANT",
                target.securable,
                f"needs {privilege} WITH GRANT OPTION, or MANAGE GRANTS, on {target.path[0].label}",
            )
        if privilege is Privilege.ALL and not seen.owns:
            raise request.refusal(
                "GRANT", target.securable, "needs to be the owner, or MANAGE GRANTS, to grant ALL"
            )
        self._authority.must_see_all(request, target, columns)

    def _guard_admin_role(self, of: Principal, effect: str, target: Target) -> None:
        if (
            effect == "grant"
            and of.kind is PrincipalKind.ROLE
            and of.name == ADMIN_ROLE
            and target.path[0].kind is SecurableKind.CATALOG
        ):
            raise error(ErrorCode.PERMISSION_DENIED, "the role admin keeps its privileges")


def columns_of(target: Target, privilege: Privilege, columns: Sequence[str]) -> list[Column]:
    """The named columns of a table; raises when the privilege cannot be granted like that.

    INVALID_ARGUMENT for a privilege that does not fit the target, COLUMN_NOT_FOUND.
    """
    kind = target.path[0].kind
    if privilege not in _APPLICABLE[kind]:
        raise error(
            ErrorCode.INVALID_ARGUMENT,
            f"{privilege} cannot be granted on a {kind}",
            hint="it can: " + ", ".join(sorted(str(p) for p in _APPLICABLE[kind])),
        )
    if not columns:
        return []
    if kind is not SecurableKind.TABLE or privilege not in COLUMN_PRIVILEGES:
        raise error(
            ErrorCode.INVALID_ARGUMENT,
            f"{privilege} cannot be limited to columns of a {kind}",
            hint="SELECT, INSERT and UPDATE can, on tables",
        )
    by_name = {field["name"].casefold(): field for field in target.fields}
    found = []
    for name in columns:
        field = by_name.get(name.casefold())
        if field is None or field["id"] not in target.visible:
            raise error(
                ErrorCode.COLUMN_NOT_FOUND,
                f"column {name} does not exist in {target.securable}",
                hint="top-level columns only",
            )
        found.append(Column(field["id"], field["name"]))
    return found
