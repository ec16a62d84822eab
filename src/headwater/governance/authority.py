"""Who may change grants and policies of what, and the transaction that each change is made in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from headwater.catalog.catalog import Catalog
from headwater.catalog.entries import ObjectKind, TableEntry
from headwater.catalog.schema import current_schema
from headwater.governance.access import AccessRequest
from headwater.governance.audit import AuditLog
from headwater.governance.decide import (
    EXISTS_BY,
    Column,
    Node,
    Path,
    Rights,
    applies,
    impersonation_id,
    rights,
)
from headwater.governance.identity import keep_an_admin
from headwater.governance.resolve import CATALOG_NODE, Paths
from headwater.governance.state import bump_epoch, load_state
from headwater.model.identifiers import TableIdentifier
from headwater.model.principal import Principal
from headwater.model.privilege import Privilege, Securable, SecurableKind
from headwater.store.database import Database


@dataclass(frozen=True, slots=True)
class Target:
    """What a grant is made on: its path, and for a table the fields of its current schema.

    `visible` are the field ids that exist for the caller.
    """

    securable: Securable
    path: Path
    fields: Sequence[dict[str, Any]] = ()
    visible: frozenset[int] = frozenset()

    @property
    def id(self) -> str:
        """The id that grants are bound to."""
        return self.path[0].id


class Authority:
    """Answers who may change what, and makes changes: one transaction with epoch and audit."""

    def __init__(self, database: Database, catalog: Catalog, paths: Paths, audit: AuditLog) -> None:
        self._database = database
        self._catalog = catalog
        self._paths = paths
        self._audit = audit

    def target(self, request: AccessRequest, securable: Securable) -> Target:
        """The target of a statement; raises not-found when it does not exist for the caller."""
        path = request.path(securable)
        seen = rights(request.state, request.subject, path)
        if not request.sees(securable, seen):
            raise request.not_found(securable)
        if path[0].kind is not SecurableKind.TABLE:
            return Target(securable, path)
        loaded = self._catalog.table(TableIdentifier(securable.namespace, securable.name or ""))
        fields = current_schema(loaded.metadata)["fields"]
        columns = [Column(field["id"], field["name"]) for field in fields]
        visible = (
            columns
            if seen.allows(Privilege.MANAGE_GRANTS)
            else seen.visible_columns(columns, EXISTS_BY)
        )
        return Target(securable, path, fields, frozenset(column.field_id for column in visible))

    def principal_target(self, principal: Principal) -> Target:
        """A principal as the target of a grant of IMPERSONATE."""
        securable = Securable(SecurableKind.PRINCIPAL, name=principal.name)
        node = Node(impersonation_id(principal.id), SecurableKind.PRINCIPAL, str(securable))
        return Target(securable, (node, CATALOG_NODE))

    def rights(self, request: AccessRequest, target: Target) -> Rights:
        """What the caller may do with the target."""
        return rights(request.state, request.subject, target.path)

    def manages(self, request: AccessRequest, target: Target) -> bool:
        """True when the caller holds MANAGE GRANTS on the target."""
        return self.rights(request, target).allows(Privilege.MANAGE_GRANTS)

    def must_manage(self, request: AccessRequest, target: Target) -> None:
        """Raises PERMISSION_DENIED unless the caller holds MANAGE GRANTS on the target."""
        if not self.manages(request, target):
            raise request.refusal(
                str(Privilege.MANAGE_GRANTS),
                target.securable,
                f"needs MANAGE GRANTS on {target.path[0].label}",
            )

    def must_see_all(
        self, request: AccessRequest, target: Target, columns: Sequence[Column] = ()
    ) -> None:
        """Raises PERMISSION_DENIED when the caller sees less than what it would pass on.

        That is the table, some columns of it, or every table below a schema or the catalog.
        """
        wanted = {column.field_id for column in columns}
        narrowed = target.path[0].kind is SecurableKind.TABLE and not (
            wanted or {field["id"] for field in target.fields}
        ) <= self._seen(request, target)
        if narrowed or any(
            self._narrows(request, node, path, wanted)
            for node, path in self._below(request, target)
        ):
            raise request.refusal(
                "GRANT",
                target.securable,
                "a deny, a row filter, a column mask or a hidden column limits what you see of "
                f"{target.securable}, so you cannot pass it on",
            )

    def change(
        self,
        request: AccessRequest,
        action: str,
        target: Target,
        work: Callable[[Connection], int],
        details: dict[str, Any],
    ) -> int:
        """Does the work, begins a new epoch and audits, in one transaction; what `work` returned.

        Nothing is recorded when the work returns 0.
        """
        with self._database.write() as connection:
            changed = work(connection)
            if changed:
                bump_epoch(connection)
                keep_an_admin(load_state(connection))
                self._audit.change(
                    connection,
                    request.actor(),
                    action,
                    securable=str(target.securable),
                    details={"object_id": target.id, **details},
                )
        return changed

    def _seen(self, request: AccessRequest, target: Target) -> set[int]:
        columns = [Column(field["id"], field["name"]) for field in target.fields]
        visible = self.rights(request, target).visible_columns(columns)
        return {column.field_id for column in visible}

    def _below(self, request: AccessRequest, target: Target) -> list[tuple[Node, Path]]:
        kind = target.path[0].kind
        if kind is SecurableKind.TABLE:
            return [(target.path[0], target.path)]
        if kind not in (SecurableKind.SCHEMA, SecurableKind.CATALOG):
            return []
        inside = target.securable.namespace
        found: list[TableEntry] = [
            entry
            for entry in self._catalog.all_entries()
            if entry.kind is ObjectKind.TABLE
            and entry.identifier.namespace[: len(inside)] == inside
        ]
        paths = [self._paths.object(entry, request.state.epoch) for entry in found]
        return [(path[0], path) for path in paths]

    def _narrows(self, request: AccessRequest, node: Node, path: Path, wanted: set[int]) -> bool:
        seen = rights(request.state, request.subject, path)
        if seen.denied or any(not wanted or d.field_id in wanted for d in seen.column_denies):
            return True
        return any(
            applies(policy, request.subject)
            and (policy.kind == "row_filter" or not wanted or policy.field_id in wanted)
            for policy in request.state.policies.get(node.id, ())
        )
