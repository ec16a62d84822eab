"""From names to the ids that grants are bound to, and the errors for names that are not there."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from headwater.catalog.catalog import Catalog
from headwater.catalog.entries import TableEntry
from headwater.catalog.schema import current_schema, schema_by_id
from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.governance.decide import Node, Path, impersonation_id, rights
from headwater.governance.state import CATALOG_ID, State, Subject
from headwater.model.identifiers import (
    CATALOG_NAME,
    Namespace,
    TableIdentifier,
    namespace_text,
)
from headwater.model.principal import Principal, PrincipalKind
from headwater.model.privilege import Privilege, SecurableKind

CATALOG_NODE = Node(CATALOG_ID, SecurableKind.CATALOG, f"catalog {CATALOG_NAME}")
"""The end of every path."""


class Paths:
    """Finds the path of a securable: its id and the ids of everything above it.

    Namespace ids are remembered for one policy epoch; creating or dropping a namespace begins a new
    one (`governance.journal`).
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._lock = threading.Lock()
        self._epoch = -1
        self._known: dict[Namespace, Path] = {}

    def namespace(self, namespace: Namespace, epoch: int) -> Path | None:
        """The path of a namespace; None when there is no such namespace."""
        with self._lock:
            if epoch != self._epoch:
                self._epoch, self._known = epoch, {}
            known = self._known.get(namespace)
        if known is not None:
            return known
        try:
            path: Path = (
                *(
                    Node(
                        self._catalog.namespace(namespace[:depth]).id,
                        SecurableKind.SCHEMA,
                        f"schema {namespace_text(namespace[:depth])}",
                    )
                    for depth in range(len(namespace), 0, -1)
                ),
                CATALOG_NODE,
            )
        except HeadwaterError as exc:
            if exc.code is ErrorCode.SCHEMA_NOT_FOUND:
                return None
            raise
        with self._lock:
            if epoch == self._epoch:
                self._known[namespace] = path
        return path

    def object(self, entry: TableEntry, epoch: int) -> Path:
        """The path of a table or view."""
        above = self.namespace(entry.identifier.namespace, epoch)
        kind = SecurableKind(entry.kind.value)
        node = Node(entry.uuid, kind, f"{kind} {entry.identifier}")
        return (node, *(above or (CATALOG_NODE,)))


def table_not_found(identifier: TableIdentifier, suggestion: str | None = None) -> HeadwaterError:
    """The one error for a table or view that does not exist, or not for the caller."""
    return error(
        ErrorCode.TABLE_NOT_FOUND,
        f"table {identifier} does not exist",
        hint=f"did you mean {suggestion}?" if suggestion else None,
    )


def schema_not_found(namespace: Namespace, suggestion: str | None = None) -> HeadwaterError:
    """The error for a schema that does not exist, or not for the caller."""
    name, hint = namespace_text(namespace), None
    if suggestion:
        hint = f"did you mean {suggestion}?"
    elif name == "default":
        # Where Spark puts a table whose name has no schema.
        hint = "write schema.table, USE a schema first, or CREATE SCHEMA default"
    return error(ErrorCode.SCHEMA_NOT_FOUND, f"schema {name} does not exist", hint=hint)


def schema_read(metadata: Mapping[str, Any], snapshot_id: int | None) -> Mapping[str, Any]:
    """The schema that an engine reads with: the snapshot's own, the current one for None.

    An engine that is given a snapshot, also one that a branch points to, takes the names of that
    snapshot's schema; so the field ids that policies are bound to must be looked up there.
    """
    if snapshot_id is not None:
        for snapshot in metadata.get("snapshots") or ():
            if snapshot["snapshot-id"] == snapshot_id and snapshot.get("schema-id") is not None:
                found = schema_by_id(metadata, snapshot["schema-id"])
                if found is not None:
                    return found
    return current_schema(metadata)


def may_impersonate(state: State, subject: Subject, user: Principal) -> bool:
    """True when the subject holds IMPERSONATE on the user or service account, or on the catalog."""
    node = Node(impersonation_id(user.id), SecurableKind.PRINCIPAL, f"user {user.name}")
    held = rights(state, subject, (node, CATALOG_NODE)).allows(Privilege.IMPERSONATE)
    return held and user.kind is not PrincipalKind.ROLE
