"""Row filters and column masks: making them, checking them, dropping them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace as changed
from typing import Any

from sqlalchemy import Connection, delete
from sqlglot import exp

from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.governance import tables
from headwater.governance.access import AccessRequest
from headwater.governance.authority import Authority, Target
from headwater.governance.decide import STRICTNESS, Column, masks, strictest
from headwater.governance.expressions import bind_expression, iceberg_kind
from headwater.governance.grants import columns_of
from headwater.governance.ids import now_ms, uuid7
from headwater.governance.state import Policy, State, load_state
from headwater.model.principal import Identity, Principal
from headwater.model.privilege import Privilege, SecurableKind
from headwater.model.scan import MaskAction
from headwater.sql.masks import fits


class Policies:
    """Makes and drops row filters and column masks for the caller of a request."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority

    def create_filter(
        self,
        request: AccessRequest,
        target: Target,
        name: str,
        predicate: exp.Expr,
        to: Sequence[Principal],
        spared: Sequence[Principal] = (),
        *,
        replace: bool = False,
    ) -> None:
        """Makes a row filter: rows for which the predicate is not true do not exist for `to`."""
        values = self.filter_values(request, target, name, predicate)
        self._save_policy(request, target, name, values, to, spared, replace)

    def filter_values(
        self, request: AccessRequest, target: Target, name: str, predicate: exp.Expr
    ) -> dict[str, Any]:
        """What a row filter is kept as; raises what `create_filter` does, and makes nothing."""
        self._must_write_policies(request, target)
        expression = bind_expression(predicate, target.fields, "boolean", f"row filter {name}")
        return {"kind": "row_filter", "expression": expression}

    def create_mask(
        self,
        request: AccessRequest,
        target: Target,
        name: str,
        column: str,
        action: MaskAction,
        expression: exp.Expr | None,
        to: Sequence[Principal],
        spared: Sequence[Principal] = (),
        *,
        replace: bool = False,
    ) -> None:
        """Makes a column mask: `to` see the action's or expression's result instead of the value.

        Raises TYPE_MISMATCH when the action does not fit the column's type, PERMISSION_DENIED when
        the new mask would conflict with another for somebody.
        """
        values = self.mask_values(request, target, name, column, action, expression)
        self._save_policy(request, target, name, values, to, spared, replace)

    def mask_values(
        self,
        request: AccessRequest,
        target: Target,
        name: str,
        column: str,
        action: MaskAction,
        expression: exp.Expr | None,
    ) -> dict[str, Any]:
        """What a column mask is kept as; raises what `create_mask` does, and makes nothing."""
        self._must_write_policies(request, target)
        (bound_column,) = columns_of(target, Privilege.SELECT, [column])
        field = next(f for f in target.fields if f["id"] == bound_column.field_id)
        check_action(action, field)
        values: dict[str, Any] = {
            "kind": "column_mask",
            "field_id": field["id"],
            "column_name": field["name"],
            "action": action.value,
            "expression": None,
        }
        if expression is not None:
            kind = iceberg_kind(field["type"])
            values["expression"] = bind_expression(
                expression, target.fields, kind, f"column mask {name}"
            )
        return values

    def drafted(
        self,
        request: AccessRequest,
        target: Target,
        name: str,
        values: dict[str, Any],
        to: Sequence[Principal],
        spared: Sequence[Principal] = (),
        *,
        replace: bool = False,
    ) -> State:
        """The state as it would be with a policy of these values; nothing is changed."""
        existing = self._replaced(request, target, name, values["kind"], replace)
        action = values.get("action")
        draft = Policy(
            id="draft",
            kind=values["kind"],
            table_uuid=target.id,
            name=existing.name if existing else name,
            version=existing.version + 1 if existing else 1,
            to=frozenset(principal.id for principal in to),
            excepted=frozenset(principal.id for principal in spared),
            field_id=values.get("field_id"),
            column=values.get("column_name"),
            action=MaskAction(action) if action else None,
            expression=values.get("expression"),
            created_by=request.subject.principal.id,
        )
        known = request.state.policies.get(target.id, ())
        policies = (*(policy for policy in known if policy is not existing), draft)
        state = changed(request.state, policies={**request.state.policies, target.id: policies})
        if draft.field_id is not None and draft.column is not None:
            _refuse_conflicts(state, target, draft.field_id, draft.column)
        return state

    def drop_policy(
        self, request: AccessRequest, target: Target, kind: str, name: str, *, if_exists: bool
    ) -> None:
        """Drops a row filter or column mask; raises POLICY_NOT_FOUND.

        Needs MANAGE GRANTS, or to have made it and still see the whole table.
        """
        existing = _policy(request.state, target, kind, name)
        if existing is None:
            if if_exists:
                return
            raise error(
                ErrorCode.POLICY_NOT_FOUND,
                f"{_words(kind)} {name} does not exist on {target.securable}",
                hint="SHOW POLICIES lists them",
            )
        self._may_change(request, target, existing)

        def work(connection: Connection) -> int:
            return connection.execute(
                delete(tables.policy).where(tables.policy.c.id == existing.id)
            ).rowcount

        self._authority.change(request, f"drop {_words(kind)} {existing.label}", target, work, {})

    def _save_policy(
        self,
        request: AccessRequest,
        target: Target,
        name: str,
        values: dict[str, Any],
        to: Sequence[Principal],
        spared: Sequence[Principal],
        replace: bool,
    ) -> None:
        existing = self._replaced(request, target, name, values["kind"], replace)
        row = {
            "field_id": None,
            "column_name": None,
            "action": None,
            **values,
            "id": uuid7(),
            "table_uuid": target.id,
            "name": existing.name if existing else name,
            "name_key": name.casefold(),
            "version": existing.version + 1 if existing else 1,
            "created_by": request.subject.principal.id,
            "created_ms": now_ms(),
        }
        members = {(principal.id, False) for principal in to}
        members |= {(principal.id, True) for principal in spared}

        def work(connection: Connection) -> int:
            if existing is not None:
                connection.execute(delete(tables.policy).where(tables.policy.c.id == existing.id))
            connection.execute(tables.policy.insert().values(**row))
            for principal_id, excepted in sorted(members):
                connection.execute(
                    tables.policy_principal.insert().values(
                        policy_id=row["id"], principal_id=principal_id, excepted=excepted
                    )
                )
            if row["kind"] == "column_mask":
                _refuse_conflicts(
                    load_state(connection), target, row["field_id"], row["column_name"]
                )
            return 1

        details = {
            "version": row["version"],
            "to": sorted(principal.name for principal in to),
            "except": sorted(principal.name for principal in spared),
            "column": row["column_name"],
            "action": row["action"],
        }
        self._authority.change(
            request, f"create {_words(row['kind'])} {name}", target, work, details
        )

    def _replaced(
        self, request: AccessRequest, target: Target, name: str, kind: str, replace: bool
    ) -> Policy | None:
        """The policy that a new one of that name takes the place of, if the caller may do that."""
        existing = _policy(request.state, target, kind, name)
        if existing is not None:
            if not replace:
                raise error(
                    ErrorCode.POLICY_ALREADY_EXISTS,
                    f"{_words(kind)} {name} exists already on {target.securable}",
                    hint="use CREATE OR REPLACE",
                )
            self._may_change(request, target, existing)
        return existing

    def _must_write_policies(self, request: AccessRequest, target: Target) -> None:
        if target.path[0].kind is not SecurableKind.TABLE:
            raise error(
                ErrorCode.NOT_SUPPORTED,
                f"row filters and column masks are made on tables, not on {target.securable}",
                hint="make it on the tables that the view reads: it holds through the view too",
            )
        seen = self._authority.rights(request, target)
        if seen.allows(Privilege.MANAGE_GRANTS):
            return
        if not seen.owns:
            self._authority.must_manage(request, target)
        self._authority.must_see_all(request, target)

    def _may_change(self, request: AccessRequest, target: Target, policy: Policy) -> None:
        if self._authority.manages(request, target):
            return
        if policy.created_by != request.subject.principal.id:
            self._authority.must_manage(request, target)
        self._authority.must_see_all(request, target)


def check_action(action: MaskAction, field: dict[str, Any]) -> None:
    """Raises TYPE_MISMATCH unless the action fits the column (Iceberg REST, "Read Restrictions").

    Text actions mask strings, truncation dates and timestamps, SHA-256 strings and binaries; NULL
    needs an optional column.
    """
    iceberg_type, name = field["type"], field["name"]
    if action is MaskAction.REPLACE_WITH_NULL and field.get("required"):
        raise error(
            ErrorCode.TYPE_MISMATCH,
            f"column {name} cannot be NULL: it is required",
            hint="use mask-to-fixed-value",
        )
    if action is MaskAction.EXPRESSION and iceberg_kind(iceberg_type) == "other":
        raise error(
            ErrorCode.TYPE_MISMATCH,
            f"column {name} is not of a simple type",
            hint="use replace-with-null, or deny SELECT on it",
        )
    if not fits(action, iceberg_type):
        kind = iceberg_type if isinstance(iceberg_type, str) else iceberg_type["type"]
        others = [str(other) for other in STRICTNESS if fits(other, iceberg_type)]
        raise error(
            ErrorCode.TYPE_MISMATCH,
            f"the mask {action} does not fit column {name} of type {kind}",
            hint="these do: " + ", ".join(others),
        )


def _refuse_conflicts(state: State, target: Target, field_id: int, column_name: str) -> None:
    """Raises when two masks that cannot be ordered bind one principal."""
    column = Column(field_id, column_name)
    present = [field["id"] for field in target.fields]
    for principal in state.principals.values():
        if principal.id in state.disabled:
            continue
        bound = masks(state, state.subject(Identity(principal)), target.id, column, present)
        try:
            if bound:
                strictest(bound)
        except HeadwaterError as exc:
            raise error(
                exc.code,
                f"for {principal.name}, {exc.message}",
                hint="bind them to different principals, or name some after EXCEPT",
            ) from exc


def _policy(state: State, target: Target, kind: str, name: str) -> Policy | None:
    return next(
        (
            policy
            for policy in state.policies.get(target.id, ())
            if policy.kind == kind and policy.name.casefold() == name.casefold()
        ),
        None,
    )


def _words(kind: str) -> str:
    return kind.replace("_", " ")
