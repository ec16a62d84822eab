"""Everything that decisions depend on, as one immutable value, and the store that keeps it."""

from __future__ import annotations

import functools
import threading
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from sqlalchemy import Connection, select

from headwater.errors import ErrorCode, error
from headwater.governance import tables
from headwater.model.identifiers import CATALOG_NAME
from headwater.model.principal import Identity, Principal, PrincipalKind
from headwater.model.privilege import Privilege
from headwater.model.scan import MaskAction
from headwater.store.database import Database
from headwater.store.prepared import Prepared

CATALOG_ID = f"catalog:{CATALOG_NAME}"
"""The id that grants on the catalog are bound to."""

ADMIN_ROLE = "admin"
"""The built-in role that may do everything; it always has an enabled member."""

PUBLIC_ROLE = "public"
"""The built-in role that every principal holds."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A grant or deny (`effect`) of one privilege on an object or, with a field id, a column."""

    id: str
    principal_id: str
    effect: str
    privilege: Privilege
    object_kind: str
    object_id: str
    field_id: int = 0
    column: str | None = None
    grant_option: bool = False
    granted_by: str = ""


@dataclass(frozen=True, slots=True)
class Policy:
    """A row filter (`kind` row_filter) or a column mask (`column_mask`) of one table.

    `expression` is SQL in DuckDB's dialect with columns named by field id. `to` and `excepted` are
    principal ids.
    """

    id: str
    kind: str
    table_uuid: str
    name: str
    version: int
    to: frozenset[str]
    excepted: frozenset[str] = frozenset()
    field_id: int | None = None
    column: str | None = None
    action: MaskAction | None = None
    expression: str | None = None
    created_by: str = ""

    @property
    def label(self) -> str:
        """How decisions and audit rows name it: `name@version`."""
        return f"{self.name}@{self.version}"


@dataclass(frozen=True, slots=True)
class Subject:
    """A caller with memberships resolved.

    `active` are the ids whose grants count: the principal, the roles acted in, and `public`. `held`
    are all ids that the principal is or holds: denies, filters and masks bind through these, so
    that acting in fewer roles never shows more.
    """

    principal: Principal
    role: str | None
    active: frozenset[str]
    held: frozenset[str]


@dataclass(frozen=True)
class State:
    """All principals, grants, denies, owners and policies at one epoch."""

    epoch: int = 0
    principals: dict[str, Principal] = field(default_factory=dict)
    disabled: frozenset[str] = frozenset()
    parents: dict[str, frozenset[str]] = field(default_factory=dict)
    grants: dict[str, tuple[Grant, ...]] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    policies: dict[str, tuple[Policy, ...]] = field(default_factory=dict)

    def find(self, name: str, kind: PrincipalKind | None = None) -> Principal | None:
        """The principal of that name, whatever its case; without a kind, logins before roles."""
        for is_role in (False, True):
            found = self._by_name.get((is_role, name.casefold()))
            if found is not None and kind in (None, found.kind):
                return found
        return None

    @functools.cached_property
    def _by_name(self) -> dict[tuple[bool, str], Principal]:
        return {
            (principal.kind is PrincipalKind.ROLE, principal.name.casefold()): principal
            for principal in self.principals.values()
        }

    def role(self, name: str) -> Principal | None:
        """The role of that name."""
        return self.find(name, PrincipalKind.ROLE)

    def closure(self, principal_id: str) -> frozenset[str]:
        """The principal's id and the ids of all roles it holds, directly or through roles."""
        found = {principal_id}
        queue = [principal_id]
        while queue:
            for role_id in self.parents.get(queue.pop(), frozenset()) - found:
                found.add(role_id)
                queue.append(role_id)
        return frozenset(found)

    def subject(self, identity: Identity) -> Subject:
        """The caller's active and held principals now.

        Raises UNAUTHENTICATED when the principal is gone or disabled, PERMISSION_DENIED when it
        does not hold the role that it acts in.
        """
        principal = self.principals.get(identity.principal.id)
        if principal is None or principal.id in self.disabled or identity.engine_worker is not None:
            raise error(ErrorCode.UNAUTHENTICATED, "the token's principal may not log in")
        public = self.role(PUBLIC_ROLE)
        everyone = frozenset({public.id}) if public else frozenset()
        held = self.closure(principal.id) | everyone
        active = held
        if identity.role is not None:
            role = self.role(identity.role)
            if role is None or role.id not in held:
                raise error(
                    ErrorCode.PERMISSION_DENIED,
                    f"{principal.name} does not hold the role {identity.role}",
                    hint="SHOW CURRENT ROLES lists the roles you hold",
                )
            active = self.closure(role.id) | {principal.id} | everyone
        return Subject(principal, identity.role, active - self.disabled, held)

    def name(self, principal_id: str) -> str:
        """The principal's name, or its id when it is gone."""
        found = self.principals.get(principal_id)
        return found.name if found else principal_id


class PolicyStore:
    """Keeps the current `State`; reads the epoch at every call, the rest only when it has grown."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._lock = threading.Lock()
        self._state = State(epoch=-1)

    def current(self) -> State:
        """The state as committed now; one small read when nothing has changed."""
        found = self.database.rows(_EPOCH)
        known = self._state
        if (found[0][0] if found else 0) == known.epoch:
            return known
        with self._lock, self.database.read() as connection:
            # Another thread may have read it meanwhile, or more has changed.
            if read_epoch(connection) != self._state.epoch:
                self._state = load_state(connection)
            return self._state


class FixedPolicies(PolicyStore):
    """A store that keeps one state whatever is committed: for looking at what a draft would do."""

    def __init__(self, database: Database, state: State) -> None:
        super().__init__(database)
        self._fixed = state

    def current(self) -> State:
        """The state that it was made with."""
        return self._fixed


_EPOCH = Prepared(select(tables.policy_epoch.c.epoch))


def read_epoch(connection: Connection) -> int:
    """The number of the last change; 0 before the first."""
    return connection.execute(select(tables.policy_epoch.c.epoch)).scalar() or 0


def bump_epoch(connection: Connection) -> None:
    """Tells every server that decisions taken before are stale; part of each change."""
    epoch = tables.policy_epoch
    if not connection.execute(epoch.update().values(epoch=epoch.c.epoch + 1)).rowcount:
        connection.execute(epoch.insert().values(id=1, epoch=1))


def load_state(connection: Connection) -> State:
    """Reads the whole state in the connection's transaction."""
    principals: dict[str, Principal] = {}
    disabled: set[str] = set()
    for row in connection.execute(select(tables.principal)):
        principals[row.id] = Principal(row.id, row.name, PrincipalKind(row.kind))
        if row.disabled:
            disabled.add(row.id)
    parents: dict[str, set[str]] = defaultdict(set)
    for row in connection.execute(select(tables.principal_member)):
        parents[row.member_id].add(row.role_id)
    grants: dict[str, list[Grant]] = defaultdict(list)
    for row in connection.execute(select(tables.privilege_grant)):
        grants[row.object_id].append(
            Grant(
                id=row.id,
                principal_id=row.principal_id,
                effect=row.effect,
                privilege=Privilege(row.privilege),
                object_kind=row.object_kind,
                object_id=row.object_id,
                field_id=row.field_id,
                column=row.column_name,
                grant_option=row.grant_option,
                granted_by=row.granted_by,
            )
        )
    return State(
        epoch=read_epoch(connection),
        principals=principals,
        disabled=frozenset(disabled),
        parents={member: frozenset(roles) for member, roles in parents.items()},
        grants={object_id: tuple(rows) for object_id, rows in grants.items()},
        owners={
            row.object_id: row.owner_id for row in connection.execute(select(tables.object_owner))
        },
        policies=_load_policies(connection),
    )


def _load_policies(connection: Connection) -> dict[str, tuple[Policy, ...]]:
    bound: dict[tuple[str, bool], set[str]] = defaultdict(set)
    for row in connection.execute(select(tables.policy_principal)):
        bound[row.policy_id, row.excepted].add(row.principal_id)
    found: dict[str, list[Policy]] = defaultdict(list)
    for row in connection.execute(select(tables.policy).order_by(tables.policy.c.name_key)):
        found[row.table_uuid].append(
            Policy(
                id=row.id,
                kind=row.kind,
                table_uuid=row.table_uuid,
                name=row.name,
                version=row.version,
                to=frozenset(bound[row.id, False]),
                excepted=frozenset(bound[row.id, True]),
                field_id=row.field_id,
                column=row.column_name,
                action=MaskAction(row.action) if row.action else None,
                expression=row.expression,
                created_by=row.created_by,
            )
        )
    return {table_uuid: tuple(policies) for table_uuid, policies in found.items()}


def names(state: State, principal_ids: Iterable[str]) -> list[str]:
    """The sorted names of principals."""
    return sorted(state.name(principal_id) for principal_id in principal_ids)
