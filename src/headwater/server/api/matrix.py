"""Who may do what with what, and why: the grants matrix and one cell of it in full."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from headwater.catalog.schema import current_schema
from headwater.errors import ErrorCode, error
from headwater.governance.expressions import readable
from headwater.governance.matrix import CellView, Holding, Matrix
from headwater.governance.state import Policy, State, names
from headwater.model.identifiers import TableIdentifier, parse_namespace
from headwater.model.principal import PrincipalKind
from headwater.model.privilege import Privilege, Securable, SecurableKind
from headwater.model.scan import MaskAction
from headwater.server.api.context import Caller, RequestId, Running
from headwater.server.api.names import table_identifier
from headwater.server.parts import Parts
from headwater.sql.masks import fits
from headwater.sql.types import trino_type

router = APIRouter(tags=["governance"])

Kind = Literal["catalog", "schema", "table", "view"]


class SourceView(BaseModel):
    """What gives or takes a privilege: a `grant`, a `deny` or being the `owner`.

    `via` another principal than was asked about: through a role. `inherited`: made on something
    above, which `on` names.
    """

    effect: Literal["grant", "deny", "owner"]
    privilege: str
    via: str
    via_kind: PrincipalKind
    on: str
    inherited: bool
    column: str | None
    grant_option: bool
    granted_by: str | None


class HoldingView(BaseModel):
    """One privilege: `allowed`, `denied`, or on some `columns`; `direct`: made right here."""

    privilege: Privilege
    state: Literal["allowed", "denied", "columns"]
    direct: bool


class HoldingDetail(HoldingView):
    """One privilege with everything that gives or takes it."""

    sources: list[SourceView]


class MatrixPrincipal(BaseModel):
    """The head of a column."""

    name: str
    kind: PrincipalKind
    disabled: bool


class MatrixRowView(BaseModel):
    """A securable; `cells` as `principals`, null where the caller may not look."""

    kind: Kind
    name: str
    manages: bool = Field(description="The caller may change grants here.")
    policies: int = Field(description="Row filters and column masks, for who may change them.")
    cells: list[list[HoldingView] | None]


class MatrixView(BaseModel):
    """Some rows of the matrix, from `offset`, of `total`.

    The principals are a page, too: from `who_offset`, of `principals_total`.
    """

    principals: list[MatrixPrincipal]
    principals_total: int
    rows: list[MatrixRowView]
    total: int


class BoundPolicy(BaseModel):
    """A row filter or column mask that binds the principal."""

    kind: Literal["row_filter", "column_mask"]
    name: str
    version: int
    column: str | None
    action: MaskAction | None
    expression: str | None
    to: list[str]


class CellDetail(BaseModel):
    """One principal on one securable; policies are shown to who may change them."""

    holdings: list[HoldingDetail]
    policies: list[BoundPolicy]
    manages: bool


class MaskableColumn(BaseModel):
    """A column and the mask actions that fit its type."""

    name: str
    type: str
    actions: list[MaskAction]


@router.get("/access-matrix")
def matrix(
    caller: Caller,
    running: Running,
    request: RequestId,
    principals: Annotated[
        list[str],
        Query(alias="principal", description="These only.", max_length=60, default_factory=list),
    ],
    schema: Annotated[str | None, Query(description="Look into this schema.")] = None,
    search: Annotated[str, Query(max_length=200)] = "",
    who: Annotated[str, Query(description="Part of a principal's name.", max_length=200)] = "",
    who_offset: Annotated[int, Query(ge=0)] = 0,
    offset: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=200)] = 100,
) -> MatrixView:
    """The catalog and its schemas, or what is in a schema, against principals.

    Who manages grants on a securable sees everybody's rights there, others their own.
    """
    asked = running.access.begin(caller, request_id=request)
    found = Matrix(running.access).page(
        asked,
        schema=parse_namespace(schema) if schema else None,
        search=search.strip(),
        principals=principals,
        who=who.strip(),
        who_offset=who_offset,
        offset=offset,
        limit=limit,
    )
    return MatrixView(
        principals=[
            MatrixPrincipal(name=p.name, kind=p.kind, disabled=p.id in found.disabled)
            for p in found.principals
        ],
        principals_total=found.known,
        rows=[
            MatrixRowView.model_validate(
                {
                    "kind": row.kind,
                    "name": row.name,
                    "manages": row.manages,
                    "policies": row.policies,
                    "cells": [
                        None if cell is None else [_holding(each) for each in cell]
                        for cell in row.cells
                    ],
                }
            )
            for row in found.rows
        ],
        total=found.total,
    )


@router.get("/access-matrix/cell")
def cell(
    caller: Caller,
    running: Running,
    request: RequestId,
    kind: Kind,
    principal: str,
    name: str = "",
    principal_kind: PrincipalKind | None = None,
) -> CellDetail:
    """One principal's rights on one securable, with all that gives and takes them."""
    asked = running.access.begin(caller, request_id=request)
    securable = _securable(kind, name)
    found = Matrix(running.access).cell(asked, securable, principal, principal_kind)
    return CellDetail(
        holdings=[
            HoldingDetail.model_validate(
                {
                    **_holding(each),
                    "sources": [
                        {
                            "effect": source.effect,
                            "privilege": source.privilege,
                            "via": source.via,
                            "via_kind": source.via_kind,
                            "on": source.on,
                            "inherited": source.inherited,
                            "column": source.column,
                            "grant_option": source.grant_option,
                            "granted_by": source.granted_by,
                        }
                        for source in each.sources
                    ],
                }
            )
            for each in found.holdings
        ],
        policies=_policies(running, asked.state, securable, found),
        manages=found.manages,
    )


@router.get("/tables/{table}/mask-actions")
def mask_actions(table: str, caller: Caller, running: Running) -> list[MaskableColumn]:
    """The columns that the caller may see, with the mask actions that fit each."""
    return [
        MaskableColumn(
            name=column.name,
            type=trino_type(column.type),
            actions=[action for action in MaskAction if fits(action, column.type)],
        )
        for column in running.browser.columns(caller, table_identifier(table))
    ]


def _holding(found: Holding) -> dict[str, object]:
    return {"privilege": found.privilege, "state": found.state, "direct": found.direct}


def _policies(
    running: Parts, state: State, securable: Securable, found: CellView
) -> list[BoundPolicy]:
    if not found.policies:
        return []
    identifier = TableIdentifier(securable.namespace, securable.name or "")
    fields = current_schema(running.catalog.table(identifier).metadata)["fields"]
    by_id = {int(field["id"]): str(field["name"]) for field in fields}
    return [_policy(state, policy, by_id) for policy in found.policies]


def _policy(state: State, policy: Policy, by_id: dict[int, str]) -> BoundPolicy:
    return BoundPolicy.model_validate(
        {
            "kind": policy.kind,
            "name": policy.name,
            "version": policy.version,
            "column": by_id.get(policy.field_id or 0, policy.column),
            "action": policy.action,
            "expression": readable(policy.expression, by_id) if policy.expression else None,
            "to": names(state, policy.to),
        }
    )


def _securable(kind: Kind, name: str) -> Securable:
    if kind == "catalog":
        return Securable.catalog()
    if not name:
        raise error(ErrorCode.INVALID_ARGUMENT, f"which {kind}?", hint="give its name")
    if kind == "schema":
        return Securable.schema(parse_namespace(name))
    identifier = table_identifier(name)
    return Securable(SecurableKind(kind), identifier.namespace, identifier.name)
