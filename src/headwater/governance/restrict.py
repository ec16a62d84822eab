"""From policies to the columns, row filter and masks of one governed scan."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from headwater.errors import ErrorCode, error
from headwater.governance.decide import Column, Path, filters, masks, rights, strictest
from headwater.governance.expressions import Caller, compile_expression, field_ids
from headwater.governance.state import Policy, State, Subject
from headwater.model.privilege import Privilege
from headwater.model.scan import ColumnMask, EnforcementLevel, MaskAction, ScanColumn

Field = Mapping[str, Any]
"""One field of an Iceberg schema, as its JSON."""


@dataclass(frozen=True, slots=True)
class Restriction:
    """What is left of one table's schema for one caller."""

    columns: tuple[ScanColumn, ...]
    hidden: tuple[ScanColumn, ...]
    row_filter: str | None
    policies: tuple[str, ...]
    narrowed: bool

    @property
    def level(self) -> EnforcementLevel:
        """How the scan must be carried out."""
        masked = any(column.mask for column in self.columns)
        return (
            EnforcementLevel.SQL
            if self.narrowed or masked or self.row_filter is not None
            else EnforcementLevel.COARSE
        )


def restrict(
    state: State,
    subjects: Sequence[Subject],
    table_uuid: str,
    path: Path,
    fields: Sequence[Field],
    by: Collection[Privilege] = (Privilege.SELECT,),
) -> Restriction:
    """What all the subjects may see in common of a schema; fails closed.

    One subject for a direct read; through views, the caller (`subjects[0]`) and each definer. `by`
    are the privileges of which a column needs one. Raises PERMISSION_DENIED when a filter or mask
    needs a column that the schema lacks, or when masks conflict.
    """
    everything = [Column(field["id"], field["name"]) for field in fields]
    present = [column.field_id for column in everything]
    visible = set(present)
    for position, subject in enumerate(subjects):
        seen = rights(state, subject, path)
        if position < len(subjects) - 1:
            # Who reads through a view needs no grant on what it reads, but his denies there count.
            visible &= {column.field_id for column in seen.undenied_columns(everything)}
        else:
            visible &= {column.field_id for column in seen.visible_columns(everything, by)}
    names = {field["id"]: field["name"] for field in fields}
    used: set[int] = set()
    applied: list[str] = []
    conditions: list[str] = []
    for subject in subjects:
        caller = caller_of(state, subject)
        for policy in filters(state, subject, table_uuid):
            assert policy.expression is not None, "a row filter has a predicate"
            conditions.append(_compiled(policy, names, caller))
            used |= field_ids(policy.expression)
            applied.append(policy.label)
    columns = []
    for field in fields:
        if field["id"] not in visible:
            continue
        column = scan_column(field)
        bound = {
            policy.id: (policy, subject)
            for subject in reversed(subjects)
            for policy in masks(
                state, subject, table_uuid, Column(field["id"], field["name"]), present
            )
        }
        if bound:
            action, policy = strictest([policy for policy, _ in bound.values()])
            mask, needs = _mask(action, policy, names, caller_of(state, bound[policy.id][1]))
            used |= needs
            applied.extend(policy.label for policy, _ in bound.values())
            column = replace(
                column,
                mask=mask,
                required=column.required and action is not MaskAction.REPLACE_WITH_NULL,
            )
        columns.append(column)
    conditions = list(dict.fromkeys(conditions))
    return Restriction(
        columns=tuple(columns),
        hidden=tuple(
            scan_column(field)
            for field in fields
            if field["id"] in used and field["id"] not in visible
        ),
        row_filter=" AND ".join(f"({condition})" for condition in conditions) or None,
        policies=tuple(dict.fromkeys(applied)),
        narrowed=len(columns) < len(fields),
    )


def scan_column(field: Field) -> ScanColumn:
    """A schema field as a visible column without a mask."""
    return ScanColumn(
        name=field["name"],
        field_id=field["id"],
        type=field["type"],
        required=bool(field.get("required")),
        comment=field.get("doc"),
    )


def caller_of(state: State, subject: Subject) -> Caller:
    """What a policy's functions about the caller say of a subject."""
    roles = frozenset(state.name(held).casefold() for held in subject.active)
    return Caller(subject.principal.name, subject.role, roles)


def _compiled(policy: Policy, names: Mapping[int, str], caller: Caller) -> str:
    assert policy.expression is not None
    compiled = compile_expression(policy.expression, names, caller)
    if compiled is None:
        raise error(
            ErrorCode.PERMISSION_DENIED,
            f"the policy {policy.name} cannot be applied: a column that it needs is not in the "
            "table's schema",
            hint="ask an administrator to replace the policy, or read another snapshot",
        )
    return compiled


def _mask(
    action: MaskAction, policy: Policy, names: Mapping[int, str], caller: Caller
) -> tuple[ColumnMask, frozenset[int]]:
    if action is not MaskAction.EXPRESSION:
        return ColumnMask(action, policy.label), frozenset()
    assert policy.expression is not None, "an expression mask has an expression"
    sql = _compiled(policy, names, caller)
    return ColumnMask(action, policy.label, sql), field_ids(policy.expression)
