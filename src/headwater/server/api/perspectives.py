"""A table as another user sees it, and as a policy that is not made yet would show it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from headwater.errors import ErrorCode, error
from headwater.governance.access import AccessRequest
from headwater.governance.resolve import may_impersonate
from headwater.governance.statements import GovernanceStatements
from headwater.model.identifiers import TableIdentifier, namespace_text
from headwater.model.principal import Identity, PrincipalKind
from headwater.model.privilege import Privilege, Securable
from headwater.model.scan import MaskAction
from headwater.server.api.acting import acting
from headwater.server.api.context import Caller, RequestId, Running
from headwater.server.api.governance import (
    NewColumnMask,
    NewRowFilter,
    filter_statement,
    mask_statement,
)
from headwater.server.api.names import table_identifier
from headwater.server.api.problems import Problem, problem_of
from headwater.server.parts import Parts
from headwater.server.previews import Pane, SideBySide

router = APIRouter(tags=["governance"])

_MOST_OBJECTS = 2000


class Viewable(BaseModel):
    """A user or service account that the caller may see things as."""

    name: str
    kind: PrincipalKind
    roles: list[str]


class ViewRequest(BaseModel):
    """Whose view of which table; in one role of theirs, or in all."""

    user: str
    role: str | None = None
    table: str
    limit: int = Field(50, ge=1, le=500)


class PolicyDraft(BaseModel):
    """A policy that is not made yet: exactly one of the two; and whose view it is tried on."""

    row_filter: NewRowFilter | None = None
    column_mask: NewColumnMask | None = None
    user: str
    role: str | None = None
    limit: int = Field(50, ge=1, le=500)


class PaneColumnView(BaseModel):
    """A visible column, and the mask that stands in for its values."""

    name: str
    type: str
    mask: str | None
    action: MaskAction | None


class PaneView(BaseModel):
    """What one user sees of the table; `total` are all rows that exist for them."""

    user: str
    role: str | None
    columns: list[PaneColumnView]
    rows: list[list[Any]]
    total: int | None
    filtered: bool
    policies: list[str] = Field(description="Names, for who may change them.")
    error: Problem | None = Field(description="What they would get instead.")


class SideBySideView(BaseModel):
    """Two views of one table.

    `missing` are the first view's rows (places from 0) that the second does not have; null when
    that cannot be told.
    """

    table: str
    first: PaneView
    second: PaneView
    missing: list[int] | None


class SeenObject(BaseModel):
    """A schema's table or view, and for whom of the two it exists."""

    name: str
    kind: str
    mine: bool
    theirs: bool


class SeenObjects(BaseModel):
    """What exists for either of the two; `cut` when there is more."""

    objects: list[SeenObject]
    cut: bool


@router.get("/view-as/users")
def users(caller: Caller, running: Running, request: RequestId) -> list[Viewable]:
    """The users that the caller may see things as; none without IMPERSONATE."""
    asked = running.access.begin(caller, request_id=request)
    state = asked.state
    found = [
        principal
        for principal in state.principals.values()
        if principal.kind is not PrincipalKind.ROLE
        and principal.id not in state.disabled
        and principal.id != caller.principal.id
        and may_impersonate(state, asked.subject, principal)
    ]
    return [
        Viewable(
            name=principal.name,
            kind=principal.kind,
            roles=sorted(state.name(held) for held in state.closure(principal.id) - {principal.id}),
        )
        for principal in sorted(found, key=lambda each: each.name.casefold())
    ]


@router.get("/view-as/objects")
def objects(
    caller: Caller,
    running: Running,
    request: RequestId,
    user: str,
    role: str | None = None,
    search: Annotated[str, Query(max_length=200)] = "",
) -> SeenObjects:
    """The tables and views that exist for the caller, for the other user, or for both.

    Needs IMPERSONATE on the other user.
    """
    other = acting(running, caller, request, role=role, user=user)
    seen: dict[str, SeenObject] = {}
    for mine, identity in ((True, caller), (False, other)):
        for namespace in running.browser.schemas(identity):
            for found in running.browser.tables(identity, namespace):
                name = f"{namespace_text(namespace)}.{found.identifier.name}"
                if search.casefold() not in name.casefold():
                    continue
                known = seen.setdefault(
                    name, SeenObject(name=name, kind=found.kind, mine=False, theirs=False)
                )
                known.mine |= mine
                known.theirs |= not mine
    ordered = [seen[name] for name in sorted(seen)]
    return SeenObjects(objects=ordered[:_MOST_OBJECTS], cut=len(ordered) > _MOST_OBJECTS)


@router.post("/view-as")
def view_as(
    body: ViewRequest, caller: Caller, running: Running, request: RequestId
) -> SideBySideView:
    """A table as the caller sees it and as another user does, each by a governed query.

    Needs IMPERSONATE on the other user; the audit log names both.
    """
    other = acting(running, caller, request, role=body.role, user=body.user)
    identifier = table_identifier(body.table)
    found = running.previews.compare(caller, other, identifier, limit=body.limit)
    return _view(found, identifier, _manages(running, caller, identifier, request))


@router.post("/policies/preview")
def preview(
    body: PolicyDraft, caller: Caller, running: Running, request: RequestId
) -> SideBySideView:
    """A table as a user sees it now (`first`) and would with the policy (`second`); makes nothing.

    Needs the right to make the policy, and IMPERSONATE on the user; audited. Raises what making it
    would.
    """
    if (body.row_filter is None) == (body.column_mask is None):
        raise error(ErrorCode.INVALID_ARGUMENT, "give one policy: row_filter or column_mask")
    policy = body.row_filter or body.column_mask
    assert policy is not None, "one was given"
    identifier = table_identifier(policy.table)
    asked = running.access.begin(caller, request_id=request, statement="PREVIEW POLICY")
    statement = (
        filter_statement(policy) if isinstance(policy, NewRowFilter) else mask_statement(policy)
    )
    draft = GovernanceStatements(running.access).draft(statement, asked)
    asked.allow(
        "PREVIEW POLICY",
        Securable.table(identifier),
        reasons=["may make policies of the table"],
        draft=policy.name,
        as_user=body.user,
    )
    asked.seal()
    other = acting(running, caller, request, role=body.role, user=body.user)
    found = running.previews.compare(
        other,
        other,
        identifier,
        draft=draft,
        narrows=not policy.replace,
        limit=body.limit,
    )
    return _view(found, identifier, _manages(running, caller, identifier, request))


def _manages(running: Parts, caller: Identity, identifier: TableIdentifier, request: str) -> bool:
    asked: AccessRequest = running.access.begin(caller, request_id=request)
    return asked.allows(Privilege.MANAGE_GRANTS, Securable.table(identifier))


def _view(found: SideBySide, identifier: TableIdentifier, manages: bool) -> SideBySideView:
    return SideBySideView(
        table=f"{namespace_text(identifier.namespace)}.{identifier.name}",
        first=_pane(found.first, manages),
        second=_pane(found.second, manages),
        missing=found.missing,
    )


def _pane(pane: Pane, manages: bool) -> PaneView:
    return PaneView(
        user=pane.user,
        role=pane.role,
        columns=[
            PaneColumnView(
                name=column.name,
                type=column.type,
                mask=column.mask,
                action=MaskAction(column.action) if column.action else None,
            )
            for column in pane.columns
        ],
        rows=pane.rows,
        total=pane.total,
        filtered=pane.filtered and manages,
        policies=list(pane.policies) if manages else [],
        error=Problem(**problem_of(pane.error)) if pane.error else None,
    )
