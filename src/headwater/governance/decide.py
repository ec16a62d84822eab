"""The rules of access as pure functions of a `State`: who has which right, and which policies bind.

* A right comes from a grant to an active principal on the object or anything above it, or from
  owning it or anything above it.
* A deny to a principal that the caller is or holds, on the object or anything above it, always
  wins.
* A filter or mask binds when one of its `to` is held and none of its `excepted` is active. All
  filters that bind must hold. Of several masks of one column the most restrictive is taken.

So adding a deny, a filter or a mask, removing a grant, or acting in fewer roles never shows more.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from headwater.errors import ErrorCode, error
from headwater.governance.state import Grant, Policy, State, Subject
from headwater.model.privilege import Privilege, SecurableKind
from headwater.model.scan import MaskAction

ORDINARY = frozenset(Privilege) - {
    Privilege.ALL,
    Privilege.MANAGE_GRANTS,
    Privilege.IMPERSONATE,
    Privilege.READ_FILES,
    Privilege.WRITE_FILES,
}
"""What ALL PRIVILEGES stands for in a grant.

Passing rights on, acting as others and files outside the catalog are apart.
"""

COLUMN_PRIVILEGES = frozenset({Privilege.SELECT, Privilege.INSERT, Privilege.UPDATE})
"""What can be granted and denied on single columns."""

EXISTS_BY = (Privilege.SELECT, Privilege.INSERT, Privilege.UPDATE, Privilege.DESCRIBE)
"""The privileges that let a column exist for its holder: who may write it knows its name."""

_CONTAINER_ONLY = frozenset(
    {Privilege.CREATE_SCHEMA, Privilege.CREATE_TABLE, Privilege.CREATE_VIEW}
)


@dataclass(frozen=True, slots=True)
class Node:
    """One securable on the way from an object up to the catalog: its id, kind and readable name."""

    id: str
    kind: SecurableKind
    label: str


Path = tuple[Node, ...]
"""An object and everything above it, innermost first."""


@dataclass(frozen=True, slots=True)
class Column:
    """What the rules need to know of a column: Iceberg field id and current name."""

    field_id: int
    name: str


@dataclass(frozen=True)
class Rights:
    """What one caller may do with one object, all grants and denies on its path considered.

    `whole` are privileges on the whole object; `columns` adds privileges on single field ids;
    `grantable` are those that may be passed on. Denied ones are already taken out of `whole`.
    """

    whole: frozenset[Privilege]
    denied: frozenset[Privilege]
    columns: dict[Privilege, frozenset[int]]
    column_denies: tuple[Grant, ...]
    grantable: frozenset[Privilege]
    grantable_columns: dict[Privilege, frozenset[int]]
    owns: bool
    reasons: dict[Privilege, str] = field(default_factory=dict)

    @property
    def visible(self) -> bool:
        """True when the object exists for the caller at all."""
        if Privilege.DESCRIBE in self.denied:
            return False
        return bool(self.whole - _CONTAINER_ONLY) or any(self.columns.values())

    def allows(self, privilege: Privilege, column: Column | None = None) -> bool:
        """True when the privilege holds for the whole object, or for the given column."""
        if privilege in self.denied or Privilege.DESCRIBE in self.denied:
            return False
        if column is None:
            return privilege in self.whole or (privilege is Privilege.DESCRIBE and self.visible)
        return privilege in self.whole or column.field_id in self.columns.get(
            privilege, frozenset()
        )

    def some(self, privilege: Privilege) -> bool:
        """True when the privilege holds for the whole object or for at least one column."""
        return self.allows(privilege) or (
            privilege not in self.denied
            and Privilege.DESCRIBE not in self.denied
            and bool(self.columns.get(privilege))
        )

    def visible_columns(
        self, columns: Sequence[Column], by: Collection[Privilege] = (Privilege.SELECT,)
    ) -> tuple[Column, ...]:
        """The columns that one of the privileges covers, in order; `columns` are all there are.

        A deny of SELECT that was bound to a column since dropped also hides a new column of its
        name.
        """
        return tuple(
            column
            for column in self._not_hidden(columns)
            if any(self.allows(privilege, column) for privilege in by)
        )

    def undenied_columns(self, columns: Sequence[Column]) -> tuple[Column, ...]:
        """The columns that no deny of SELECT hides; none when SELECT on the whole is denied."""
        if Privilege.SELECT in self.denied or Privilege.DESCRIBE in self.denied:
            return ()
        return self._not_hidden(columns)

    def _not_hidden(self, columns: Sequence[Column]) -> tuple[Column, ...]:
        present = {column.field_id for column in columns}
        hidden = [deny for deny in self.column_denies if deny.privilege is Privilege.SELECT]
        return tuple(
            column
            for column in columns
            if not any(binds_column(d.field_id, d.column, column, present) for d in hidden)
        )

    def may_write(self, privilege: Privilege, column: Column, present: Iterable[int]) -> bool:
        """True when INSERT or UPDATE holds for the column and no deny of it binds."""
        known = frozenset(present)
        return self.allows(privilege, column) and not any(
            deny.privilege is privilege and binds_column(deny.field_id, deny.column, column, known)
            for deny in self.column_denies
        )


def binds_column(
    field_id: int | None, name: str | None, column: Column, present: Collection[int | None]
) -> bool:
    """True when a rule made for (field id, name) binds the column.

    By id; by name only when the id is gone, so that dropping a column and adding it again under
    the same name does not shake off its mask.
    """
    return field_id == column.field_id or (field_id not in present and name == column.name)


def _expand(privilege: Privilege) -> frozenset[Privilege]:
    return ORDINARY if privilege is Privilege.ALL else frozenset({privilege})


def rights(state: State, subject: Subject, path: Path) -> Rights:
    """What the subject may do with the object that the path begins with."""
    whole: dict[Privilege, str] = {}
    grantable: set[Privilege] = set()
    denied: set[Privilege] = set()
    columns: dict[Privilege, set[int]] = {}
    grantable_columns: dict[Privilege, set[int]] = {}
    column_denies: list[Grant] = []
    owns = False
    for node in path:
        if state.owners.get(node.id) in subject.active:
            owns = True
            grantable |= ORDINARY
            for privilege in ORDINARY:
                whole.setdefault(privilege, f"owner of {node.label}")
        for grant in state.grants.get(node.id, ()):
            if grant.effect == "deny" and grant.principal_id in subject.held:
                if grant.field_id:
                    column_denies.append(grant)
                elif grant.privilege is Privilege.ALL:
                    denied |= set(Privilege)
                else:
                    denied.add(grant.privilege)
            elif grant.effect == "grant" and grant.principal_id in subject.active:
                for privilege in _expand(grant.privilege):
                    if grant.field_id:
                        columns.setdefault(privilege, set()).add(grant.field_id)
                        if grant.grant_option:
                            grantable_columns.setdefault(privilege, set()).add(grant.field_id)
                        continue
                    reason = f"{privilege} on {node.label} to {state.name(grant.principal_id)}"
                    whole.setdefault(privilege, reason)
                    if grant.grant_option:
                        grantable.add(privilege)
    return Rights(
        whole=frozenset(whole) - denied,
        denied=frozenset(denied),
        columns={p: frozenset(ids) for p, ids in columns.items() if p not in denied},
        column_denies=tuple(column_denies),
        grantable=frozenset(grantable) - denied,
        grantable_columns={
            p: frozenset(ids) for p, ids in grantable_columns.items() if p not in denied
        },
        owns=owns,
        reasons=whole,
    )


def applies(policy: Policy, subject: Subject) -> bool:
    """True when the filter or mask binds the subject."""
    return bool(policy.to & subject.held) and not policy.excepted & subject.active


def filters(state: State, subject: Subject, table_uuid: str) -> tuple[Policy, ...]:
    """The row filters that bind the subject; every one of them must hold for a row."""
    return tuple(
        policy
        for policy in state.policies.get(table_uuid, ())
        if policy.kind == "row_filter" and applies(policy, subject)
    )


def masks(
    state: State, subject: Subject, table_uuid: str, column: Column, present: Iterable[int]
) -> tuple[Policy, ...]:
    """The masks of one column that bind the subject."""
    known = frozenset(present)
    return tuple(
        policy
        for policy in state.policies.get(table_uuid, ())
        if policy.kind == "column_mask"
        and binds_column(policy.field_id, policy.column, column, known)
        and applies(policy, subject)
    )


STRICTNESS = (
    MaskAction.REPLACE_WITH_NULL,
    MaskAction.MASK_TO_FIXED_VALUE,
    MaskAction.EXPRESSION,
    MaskAction.SHA_256_QUERY_LOCAL,
    MaskAction.SHA_256_GLOBAL,
    MaskAction.MASK_ALPHANUM,
    MaskAction.TRUNCATE_TO_YEAR,
    MaskAction.TRUNCATE_TO_MONTH,
    MaskAction.SHOW_FIRST_4,
    MaskAction.SHOW_LAST_4,
)
"""The mask actions, most restrictive first."""


def strictest(candidates: Sequence[Policy]) -> tuple[MaskAction, Policy]:
    """The mask that holds when several bind one column: an action, and the policy it comes from.

    The first four and the last four characters together would show more than either, so that pair
    becomes `mask-alphanum`. An expression cannot be compared with anything but the two actions
    that show nothing; any other pair with it raises PERMISSION_DENIED.
    """
    ordered = sorted(
        candidates, key=lambda policy: (STRICTNESS.index(_action(policy)), policy.name)
    )
    first = ordered[0]
    actions = {_action(policy) for policy in ordered}
    if _action(first) is MaskAction.EXPRESSION and (
        actions != {MaskAction.EXPRESSION} or len({p.expression for p in ordered}) > 1
    ):
        raise error(
            ErrorCode.PERMISSION_DENIED,
            "column masks conflict: an expression and another mask bind the same column",
            hint="ask an administrator to drop one or to add EXCEPT to it",
        )
    if actions >= {MaskAction.SHOW_FIRST_4, MaskAction.SHOW_LAST_4} and _action(first) in (
        MaskAction.SHOW_FIRST_4,
        MaskAction.SHOW_LAST_4,
    ):
        return MaskAction.MASK_ALPHANUM, first
    return _action(first), first


def _action(policy: Policy) -> MaskAction:
    assert policy.action is not None, "a column mask has an action"
    return policy.action


def impersonation_id(principal_id: str) -> str:
    """The object id that grants of IMPERSONATE on one principal are bound to."""
    return f"principal:{principal_id}"
