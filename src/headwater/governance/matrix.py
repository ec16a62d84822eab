"""Who may do what with what, and why: the table that administrators look at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from headwater.catalog.entries import ObjectKind
from headwater.catalog.schema import current_schema
from headwater.errors import ErrorCode, error
from headwater.governance.access import Access, AccessRequest
from headwater.governance.decide import Column, Path, Rights, filters, masks, rights
from headwater.governance.state import PUBLIC_ROLE, Grant, Policy, State, Subject
from headwater.model.identifiers import Namespace, TableIdentifier, namespace_text
from headwater.model.principal import Principal, PrincipalKind
from headwater.model.privilege import Privilege, Securable, SecurableKind

MOST_PRINCIPALS = 60
"""Principals of one page."""


@dataclass(frozen=True, slots=True)
class Source:
    """One thing that gives or takes a privilege: a `grant`, a `deny`, or being its `owner`.

    `via` is the principal that it was made for, another one than was asked about when it comes
    through a role; `on` is what it was made on, something above when `inherited`.
    """

    effect: str
    privilege: str
    via: str
    via_kind: str
    on: str
    inherited: bool
    column: str | None = None
    grant_option: bool = False
    granted_by: str | None = None


@dataclass(frozen=True, slots=True)
class Holding:
    """One privilege in one cell: `allowed`, `denied`, or on some `columns` only.

    `direct` says that a grant or deny was made for this principal on this very object.
    """

    privilege: Privilege
    state: str
    direct: bool
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """One securable; a cell for each principal of the page, None where the caller may not look."""

    kind: str
    name: str
    manages: bool
    policies: int
    cells: tuple[tuple[Holding, ...] | None, ...]


@dataclass(frozen=True, slots=True)
class MatrixPage:
    """Some rows, of `total` that the caller may see; `principals` head the cells, of `known`."""

    principals: tuple[Principal, ...]
    known: int
    disabled: frozenset[str]
    rows: tuple[MatrixRow, ...]
    total: int


@dataclass(frozen=True, slots=True)
class CellView:
    """One cell in full, with the row filters and column masks that bind the principal there."""

    holdings: tuple[Holding, ...]
    policies: tuple[Policy, ...]
    manages: bool


class Matrix:
    """Reads the policy state as the caller of a request may know it."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def page(
        self,
        request: AccessRequest,
        *,
        schema: Namespace | None = None,
        search: str = "",
        principals: Sequence[str] = (),
        who: str = "",
        who_offset: int = 0,
        offset: int = 0,
        limit: int = 100,
    ) -> MatrixPage:
        """The catalog and its schemas, or a schema and what is in it, for the principals named.

        `who` is part of a principal's name; 60 of those that are left stand in a page.
        With `search`, everything whose name holds the text. Who manages grants on a securable sees
        everybody's rights there, others their own and those of their roles.
        """
        known = self._principals(request, principals, who.casefold())
        shown = known[who_offset : who_offset + MOST_PRINCIPALS]
        found = list(self._securables(request, schema, search.casefold()))
        subjects = [subject_of(request.state, principal) for principal in shown]
        rows = [self._row(request, each, subjects) for each in found[offset : offset + limit]]
        return MatrixPage(tuple(shown), len(known), request.state.disabled, tuple(rows), len(found))

    def cell(
        self, request: AccessRequest, securable: Securable, name: str, kind: PrincipalKind | None
    ) -> CellView:
        """One principal's rights on one securable; raises PRINCIPAL_NOT_FOUND, and not-found.

        Neither a securable nor a principal that the caller may not know of exists for it.
        """
        path = request.path(securable)
        if not request.sees(securable, rights(request.state, request.subject, path)):
            raise request.not_found(securable)
        manages = request.allows(Privilege.MANAGE_GRANTS, securable)
        principal = request.state.find(name, kind)
        if principal is None or not (manages or principal.id in request.subject.held):
            raise error(ErrorCode.PRINCIPAL_NOT_FOUND, f"principal {name} does not exist")
        return CellView(
            holdings(request.state, principal, path),
            self._bound(request.state, principal, securable, path) if manages else (),
            manages,
        )

    def _principals(
        self, request: AccessRequest, wanted: Sequence[str], part: str
    ) -> list[Principal]:
        everybody = request.allows(Privilege.MANAGE_GRANTS, Securable.catalog())
        names = {name.casefold() for name in wanted}
        known = [
            principal
            for principal in request.state.principals.values()
            if (everybody or principal.id in request.subject.held)
            and (not names or principal.name.casefold() in names)
            and part in principal.name.casefold()
        ]
        return sorted(known, key=lambda p: (p.kind is not PrincipalKind.ROLE, p.name.casefold()))

    def _securables(
        self, request: AccessRequest, schema: Namespace | None, search: str
    ) -> Iterator[Securable]:
        browser, identity = self._access.browser, request.identity
        if schema is None and not search:
            yield Securable.catalog()
            yield from (Securable.schema(found) for found in browser.schemas(identity))
            return
        for namespace in browser.schemas(identity) if schema is None else (schema,):
            within = search in namespace_text(namespace).casefold()
            if within or schema is not None:
                yield Securable.schema(namespace)
            for found in browser.tables(identity, namespace):
                if search in str(found.identifier).casefold():
                    yield Securable(SecurableKind(found.kind), namespace, found.identifier.name)

    def _row(
        self, request: AccessRequest, securable: Securable, shown: Sequence[Subject]
    ) -> MatrixRow:
        path = request.path(securable)
        manages = request.allows(Privilege.MANAGE_GRANTS, securable)
        cells = tuple(
            _holdings(request.state, subject, path)
            if manages or subject.principal.id in request.subject.held
            else None
            for subject in shown
        )
        bound = request.state.policies.get(path[0].id, ()) if manages else ()
        _, _, name = str(securable).partition(" ")
        return MatrixRow(securable.kind.value, name, manages, len(bound), cells)

    def _bound(
        self, state: State, principal: Principal, securable: Securable, path: Path
    ) -> tuple[Policy, ...]:
        if securable.kind is not SecurableKind.TABLE:
            return ()
        identifier = TableIdentifier(securable.namespace, securable.name or "")
        entry = self._access.catalog.entry(identifier)
        if entry is None or entry.kind is not ObjectKind.TABLE:
            return ()
        subject = subject_of(state, principal)
        fields = current_schema(self._access.catalog.table(identifier).metadata)["fields"]
        columns = [Column(field["id"], field["name"]) for field in fields]
        present = [column.field_id for column in columns]
        found = [*filters(state, subject, path[0].id)]
        for column in columns:
            found += masks(state, subject, path[0].id, column, present)
        return tuple(found)


def subject_of(state: State, principal: Principal) -> Subject:
    """The principal with all of its roles, for looking at; also of one that may not log in."""
    public = state.role(PUBLIC_ROLE)
    held = state.closure(principal.id) | ({public.id} if public else set())
    return Subject(principal, None, held - (state.disabled - {principal.id}), held)


def holdings(state: State, principal: Principal, path: Path) -> tuple[Holding, ...]:
    """What the principal may do with the object that the path begins with, and what denies say."""
    return _holdings(state, subject_of(state, principal), path)


def _holdings(state: State, subject: Subject, path: Path) -> tuple[Holding, ...]:
    seen = rights(state, subject, path)
    sources = list(_sources(state, subject, path))
    principal, found = subject.principal, []
    for privilege in Privilege:
        if privilege is Privilege.ALL:
            continue
        mine = tuple(source for source in sources if _concerns(source, privilege))
        if not mine:
            continue
        found.append(
            Holding(
                privilege, _state(seen, privilege), any(_direct(s, principal) for s in mine), mine
            )
        )
    return tuple(found)


def _state(seen: Rights, privilege: Privilege) -> str:
    if privilege in seen.denied or Privilege.DESCRIBE in seen.denied:
        return "denied"
    if seen.allows(privilege):
        partly = any(deny.privilege is privilege for deny in seen.column_denies)
        return "columns" if partly else "allowed"
    return "columns" if seen.some(privilege) else "denied"


def _direct(source: Source, principal: Principal) -> bool:
    return (
        not source.inherited
        and source.effect != "owner"
        and (source.via, source.via_kind) == (principal.name, principal.kind.value)
    )


def _concerns(source: Source, privilege: Privilege) -> bool:
    if source.privilege == privilege:
        return True
    if source.privilege != Privilege.ALL:
        return False
    apart = (Privilege.MANAGE_GRANTS, Privilege.IMPERSONATE)
    files = (Privilege.READ_FILES, Privilege.WRITE_FILES)
    # A deny of ALL takes everything, a grant or ownership gives the ordinary privileges.
    return source.effect == "deny" or privilege not in (*apart, *files)


def _sources(state: State, subject: Subject, path: Path) -> Iterator[Source]:
    for place, node in enumerate(path):
        owner = state.owners.get(node.id)
        if owner in subject.active:
            named = state.principals[owner or ""]
            yield Source(
                "owner",
                Privilege.ALL,
                named.name,
                named.kind.value,
                node.label,
                place > 0,
            )
        for grant in state.grants.get(node.id, ()):
            counts = subject.held if grant.effect == "deny" else subject.active
            if grant.principal_id in counts:
                yield _source(state, grant, node.label, place > 0)


def _source(state: State, grant: Grant, label: str, inherited: bool) -> Source:
    via = state.principals[grant.principal_id]
    return Source(
        grant.effect,
        str(grant.privilege),
        via.name,
        via.kind.value,
        label,
        inherited,
        grant.column,
        grant.grant_option,
        state.name(grant.granted_by) if grant.granted_by else None,
    )
