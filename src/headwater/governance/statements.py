"""Runs governance statements: the same for SQL, the HTTP API and the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import pyarrow as pa

from headwater.catalog.schema import current_schema
from headwater.errors import ErrorCode, error
from headwater.governance.access import Access, AccessRequest
from headwater.governance.authority import Authority, Target
from headwater.governance.decide import impersonation_id
from headwater.governance.expressions import readable
from headwater.governance.grants import Grants
from headwater.governance.identity import Directory, found
from headwater.governance.locations import check_free, location_uri
from headwater.governance.policies import Policies
from headwater.governance.state import Grant, Policy, State, names
from headwater.model.identifiers import CATALOG_NAME, Namespace, TableIdentifier
from headwater.model.principal import Identity, Principal, PrincipalKind
from headwater.model.privilege import Privilege, Securable, SecurableKind
from headwater.model.scan import MaskAction
from headwater.sql.statements import (
    AlterPrincipal,
    CreateColumnMask,
    CreatePrincipal,
    CreateRowFilter,
    DropPolicy,
    DropPrincipal,
    GrantPrivileges,
    GrantRoles,
    Name,
    ParsedStatement,
    PrincipalName,
    SecurableName,
    ShowGovernance,
)

Row = Sequence[str | bool | None]

_COLUMNS: dict[str, tuple[str, ...]] = {
    "grants": (
        "Grantor", "Grantee", "Grantee Type", "Effect", "Privilege", "Object Type", "Object",
        "Column", "Grantable",
    ),
    "roles": ("Role",),
    "role_grants": ("Role", "Grantee", "Grantee Type"),
    "current_roles": ("Role",),
    "users": ("User", "Type", "Disabled"),
    "policies": (
        "Policy", "Type", "Table", "Column", "Action", "Expression", "To", "Except", "Version",
    ),
}  # fmt: skip

_BOOLEANS = frozenset({"Grantable", "Disabled"})


class GovernanceStatements:
    """Runs the governance kinds of `sql.statements` for the caller of a request."""

    def __init__(self, access: Access) -> None:
        database = access.store.database
        self._catalog = access.catalog
        self._directory = Directory(database, access.store, access.audit)
        self._authority = Authority(database, access.catalog, access.paths, access.audit)
        self._grants = Grants(self._authority)
        self._policies = Policies(self._authority)
        self._run: dict[type, Callable[..., pa.Table | None]] = {
            CreatePrincipal: self._create_principal,
            DropPrincipal: self._drop_principal,
            AlterPrincipal: self._alter_principal,
            GrantRoles: self._grant_roles,
            GrantPrivileges: self._grant_privileges,
            CreateRowFilter: self._create_filter,
            CreateColumnMask: self._create_mask,
            DropPolicy: self._drop_policy,
            ShowGovernance: self._show,
        }

    def handles(self, statement: ParsedStatement) -> bool:
        """True for the statements that `run` takes."""
        return type(statement) in self._run

    def run(
        self, statement: ParsedStatement, request: AccessRequest, *, schema: Namespace | None = None
    ) -> pa.Table | None:
        """Carries the statement out; rows of SHOW, None for changes.

        `schema` completes names without one. Checks, changes and audits in one go: the caller need
        not seal the request first. SHOW has string columns, and boolean ones where they say so.
        """
        return self._run[type(statement)](statement, request, schema)

    def draft(
        self,
        statement: CreateRowFilter | CreateColumnMask,
        request: AccessRequest,
        *,
        schema: Namespace | None = None,
    ) -> State:
        """The state as it would be after the statement; raises what `run` would."""
        target = self._target(request, SecurableName(None, statement.table), schema)
        if isinstance(statement, CreateRowFilter):
            values = self._policies.filter_values(
                request, target, statement.name, statement.predicate
            )
        else:
            values = self._policies.mask_values(
                request,
                target,
                statement.name,
                statement.column,
                MaskAction(statement.action),
                statement.expression,
            )
        return self._policies.drafted(
            request,
            target,
            statement.name,
            values,
            [_principal(request.state, to) for to in statement.to],
            [_principal(request.state, to) for to in statement.except_to],
            replace=statement.or_replace,
        )

    def check_role(self, request: AccessRequest, role: str | None) -> str | None:
        """The role for SET ROLE in its own spelling; PERMISSION_DENIED when it is not held."""
        if role is None:
            return None
        state = request.state
        held = state.role(role)
        subject = state.subject(Identity(request.subject.principal, role=role))
        return held.name if held else subject.role

    def _create_principal(
        self, statement: CreatePrincipal, request: AccessRequest, _schema: Namespace | None
    ) -> None:
        self._must_manage_principals(request)
        self._directory.create(
            PrincipalKind(statement.kind),
            statement.name,
            request.actor(),
            if_not_exists=statement.if_not_exists,
        )

    def _drop_principal(
        self, statement: DropPrincipal, request: AccessRequest, _schema: Namespace | None
    ) -> None:
        self._must_manage_principals(request)
        self._directory.drop(
            PrincipalKind(statement.kind),
            statement.name,
            request.actor(),
            if_exists=statement.if_exists,
        )

    def _alter_principal(
        self, statement: AlterPrincipal, request: AccessRequest, _schema: Namespace | None
    ) -> None:
        self._must_manage_principals(request)
        principal = self._directory.find(statement.name, PrincipalKind(statement.kind))
        self._directory.set_disabled(principal, not statement.enabled, request.actor())

    def _grant_roles(
        self, statement: GrantRoles, request: AccessRequest, _schema: Namespace | None
    ) -> None:
        self._must_manage_principals(request)
        members = [_principal(request.state, to) for to in statement.to]
        for name in statement.roles:
            role = found(request.state, name, PrincipalKind.ROLE)
            for member in members:
                if statement.revoke:
                    self._directory.revoke_role(role, member, request.actor())
                else:
                    self._directory.grant_role(role, member, request.actor())

    def _grant_privileges(
        self, statement: GrantPrivileges, request: AccessRequest, schema: Namespace | None
    ) -> None:
        target = self._target(request, statement.on, schema)
        if statement.effect == "grant" and target.securable.kind is SecurableKind.LOCATION:
            check_free(str(target.securable.name), (self._catalog.warehouse.root,))
        principals = [_principal(request.state, to) for to in statement.to]
        for item in statement.privileges:
            self._grants.check(request, target, statement.effect, item.privilege, item.columns)
        for principal in principals:
            for item in statement.privileges:
                if statement.effect == "grant":
                    self._grants.grant(
                        request,
                        target,
                        item.privilege,
                        item.columns,
                        principal,
                        option=statement.grant_option,
                    )
                elif statement.effect == "deny":
                    self._grants.deny(request, target, item.privilege, item.columns, principal)
                else:
                    self._grants.revoke(
                        request,
                        target,
                        item.privilege,
                        item.columns,
                        principal,
                        effect="deny" if statement.effect == "revoke_deny" else "grant",
                        option_only=statement.grant_option,
                    )

    def _create_filter(
        self, statement: CreateRowFilter, request: AccessRequest, schema: Namespace | None
    ) -> None:
        target = self._target(request, SecurableName(None, statement.table), schema)
        self._policies.create_filter(
            request,
            target,
            statement.name,
            statement.predicate,
            [_principal(request.state, to) for to in statement.to],
            [_principal(request.state, to) for to in statement.except_to],
            replace=statement.or_replace,
        )

    def _create_mask(
        self, statement: CreateColumnMask, request: AccessRequest, schema: Namespace | None
    ) -> None:
        target = self._target(request, SecurableName(None, statement.table), schema)
        self._policies.create_mask(
            request,
            target,
            statement.name,
            statement.column,
            MaskAction(statement.action),
            statement.expression,
            [_principal(request.state, to) for to in statement.to],
            [_principal(request.state, to) for to in statement.except_to],
            replace=statement.or_replace,
        )

    def _drop_policy(
        self, statement: DropPolicy, request: AccessRequest, schema: Namespace | None
    ) -> None:
        target = self._target(request, SecurableName(None, statement.table), schema)
        self._policies.drop_policy(
            request, target, statement.kind, statement.name, if_exists=statement.if_exists
        )

    def _show(
        self, statement: ShowGovernance, request: AccessRequest, schema: Namespace | None
    ) -> pa.Table:
        rows = {
            "grants": self._show_grants,
            "roles": self._show_roles,
            "role_grants": self._show_role_grants,
            "current_roles": self._show_current_roles,
            "users": self._show_users,
            "policies": self._show_policies,
        }[statement.what](statement, request, schema)
        return _table(statement.what, rows)

    def _show_grants(
        self, statement: ShowGovernance, request: AccessRequest, schema: Namespace | None
    ) -> Iterable[Row]:
        """Those of the caller and its roles; all that there are on what the caller manages."""
        state = request.state
        target = self._target(request, statement.on, schema) if statement.on else None
        of = self._shown(request, statement.principal)
        for object_id, grants in state.grants.items():
            if target is not None and object_id != target.id:
                continue
            label, manages = self._describe(request, grants[0])
            for grant in grants:
                if of is not None and grant.principal_id != of.id:
                    continue
                if not (manages or grant.principal_id in request.subject.held):
                    continue
                grantee = state.principals[grant.principal_id]
                yield (
                    state.name(grant.granted_by),
                    grantee.name,
                    grantee.kind.value,
                    grant.effect,
                    str(grant.privilege),
                    grant.object_kind,
                    label,
                    grant.column,
                    grant.grant_option,
                )

    def _show_roles(
        self, _statement: ShowGovernance, request: AccessRequest, _schema: Namespace | None
    ) -> Iterable[Row]:
        everybody = self._manages_principals(request)
        for principal in request.state.principals.values():
            if principal.kind is PrincipalKind.ROLE and (
                everybody or principal.id in request.subject.held
            ):
                yield (principal.name,)

    def _show_role_grants(
        self, statement: ShowGovernance, request: AccessRequest, _schema: Namespace | None
    ) -> Iterable[Row]:
        state = request.state
        everybody = self._manages_principals(request)
        of = self._shown(request, statement.principal)
        for member_id, roles in state.parents.items():
            if of is not None and member_id != of.id:
                continue
            if everybody or member_id in request.subject.held:
                member = state.principals[member_id]
                for role_id in roles:
                    yield (state.name(role_id), member.name, member.kind.value)

    def _show_current_roles(
        self, _statement: ShowGovernance, request: AccessRequest, _schema: Namespace | None
    ) -> Iterable[Row]:
        for principal_id in request.subject.active:
            principal = request.state.principals[principal_id]
            if principal.kind is PrincipalKind.ROLE:
                yield (principal.name,)

    def _show_users(
        self, _statement: ShowGovernance, request: AccessRequest, _schema: Namespace | None
    ) -> Iterable[Row]:
        everybody = self._manages_principals(request)
        for principal in request.state.principals.values():
            if principal.kind is not PrincipalKind.ROLE and (
                everybody or principal.id == request.subject.principal.id
            ):
                disabled = principal.id in request.state.disabled
                yield (principal.name, principal.kind.value, disabled)

    def _show_policies(
        self, statement: ShowGovernance, request: AccessRequest, schema: Namespace | None
    ) -> Iterable[Row]:
        """The policies of tables that the caller manages; a predicate can tell what it hides."""
        target = self._target(request, statement.on, schema) if statement.on else None
        if target is not None:
            self._authority.must_manage(request, target)
        for table_uuid, policies in request.state.policies.items():
            if target is not None and table_uuid != target.id:
                continue
            entry = self._catalog.entry_by_uuid(table_uuid)
            if entry is None:
                continue
            securable = Securable.table(entry.identifier)
            if not request.allows(Privilege.MANAGE_GRANTS, securable):
                continue
            fields = current_schema(self._catalog.table(entry.identifier).metadata)["fields"]
            for policy in policies:
                yield _policy_row(request.state, policy, str(entry.identifier), fields)

    def _describe(self, request: AccessRequest, grant: Grant) -> tuple[str, bool]:
        """An object's name, and whether the caller manages its grants."""
        kind = SecurableKind(grant.object_kind)
        if kind is SecurableKind.CATALOG:
            securable, label = Securable.catalog(), CATALOG_NAME
        elif kind is SecurableKind.SCHEMA:
            info = next(
                (i for i in self._catalog.all_namespaces() if i.id == grant.object_id), None
            )
            if info is None:
                return "(dropped)", False
            securable = Securable.schema(info.namespace)
            label = ".".join(info.namespace)
        elif kind is SecurableKind.PRINCIPAL:
            of = grant.object_id.removeprefix(impersonation_id(""))
            return request.state.name(of), self._manages_principals(request)
        elif kind is SecurableKind.LOCATION:
            return grant.object_id.removeprefix("location:"), self._manages_principals(request)
        else:
            entry = self._catalog.entry_by_uuid(grant.object_id)
            if entry is None:
                return "(dropped)", False
            securable = Securable(kind, entry.identifier.namespace, entry.identifier.name)
            label = str(entry.identifier)
        return label, request.allows(Privilege.MANAGE_GRANTS, securable)

    def _shown(self, request: AccessRequest, name: PrincipalName | None) -> Principal | None:
        if name is None:
            return None
        principal = request.state.find(name.name, PrincipalKind(name.kind) if name.kind else None)
        known = principal is not None and principal.id in request.subject.held
        if not known and not self._manages_principals(request):
            raise error(ErrorCode.PRINCIPAL_NOT_FOUND, f"principal {name.name} does not exist")
        return _principal(request.state, name)

    def _target(
        self, request: AccessRequest, name: SecurableName, schema: Namespace | None
    ) -> Target:
        if name.kind in ("user", "role", "service_account"):
            assert name.name is not None, "the grammar reads a name"
            principal = found(request.state, str(name.name), PrincipalKind(name.kind))
            return self._authority.principal_target(principal)
        if name.kind == "location":
            uri = location_uri(str(name.name))
            return self._authority.target(request, Securable.location(uri))
        return self._authority.target(request, self._securable(name, schema))

    def _securable(self, on: SecurableName, schema: Namespace | None) -> Securable:
        if on.kind == "catalog" or on.name is None:
            if on.name is not None and str(on.name).casefold() != CATALOG_NAME:
                raise error(ErrorCode.CATALOG_NOT_FOUND, f"catalog {on.name} does not exist")
            return Securable.catalog()
        if on.kind == "schema":
            namespace = _levels(on.name.parts)
            known = self._catalog.resolve_namespace(namespace)
            return Securable.schema(known.namespace if known else namespace)
        identifier = _identifier(on.name, schema)
        entry = self._catalog.resolve(identifier.namespace, identifier.name)
        if entry is None:
            return Securable.table(identifier)
        if on.kind is not None and on.kind != entry.kind.value:
            raise error(
                ErrorCode.INVALID_ARGUMENT,
                f"{entry.identifier} is a {entry.kind.value}",
                hint=f"write ON {entry.kind.value.upper()} {entry.identifier}",
            )
        return Securable(
            SecurableKind(entry.kind.value), entry.identifier.namespace, entry.identifier.name
        )

    def _must_manage_principals(self, request: AccessRequest) -> None:
        request.check(Privilege.MANAGE_GRANTS, Securable.catalog())
        request.seal()

    def _manages_principals(self, request: AccessRequest) -> bool:
        return request.allows(Privilege.MANAGE_GRANTS, Securable.catalog())


def _table(what: str, rows: Iterable[Row]) -> pa.Table:
    columns = _COLUMNS[what]
    listed = sorted(rows, key=lambda row: tuple(str(value or "") for value in row))
    return pa.table(
        {
            column: pa.array(
                [row[place] for row in listed],
                pa.bool_() if column in _BOOLEANS else pa.string(),
            )
            for place, column in enumerate(columns)
        }
    )


def _policy_row(
    state: State, policy: Policy, table: str, fields: Sequence[dict[str, object]]
) -> Row:
    by_id = {int(str(field["id"])): str(field["name"]) for field in fields}
    column = by_id.get(policy.field_id or 0, f"{policy.column} (dropped)")
    return (
        policy.name,
        policy.kind.replace("_", " "),
        table,
        column if policy.field_id else None,
        str(policy.action) if policy.action else None,
        readable(policy.expression, by_id) if policy.expression else None,
        ", ".join(names(state, policy.to)),
        ", ".join(names(state, policy.excepted)),
        str(policy.version),
    )


def _principal(state: State, name: PrincipalName) -> Principal:
    return found(state, name.name, PrincipalKind(name.kind) if name.kind else None)


def _identifier(name: Name, schema: Namespace | None) -> TableIdentifier:
    """`table`, `schema.table` or `lake.schema.table`; a schema may be `"outer.inner"`."""
    parts = name.parts
    if len(parts) > 2 and parts[0].casefold() == CATALOG_NAME:
        parts = parts[1:]
    if len(parts) == 1:
        if schema is None:
            raise error(
                ErrorCode.SCHEMA_NOT_FOUND,
                f"no schema is set to look {name} up in",
                hint=f"write schema.{name}, or USE a schema first",
                position=name.position,
            )
        return TableIdentifier(schema, parts[0])
    return TableIdentifier(_levels(parts[:-1]), parts[-1])


def _levels(parts: Sequence[str]) -> Namespace:
    if len(parts) > 1 and parts[0].casefold() == CATALOG_NAME:
        parts = parts[1:]
    return tuple(level for part in parts for level in part.split("."))
