"""From names to the ids that grants are bound to, and the errors for names that are not there."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.governance.decide import Node, Path
from headwater.governance.state import CATALOG_ID
from headwater.model.identifiers import (
    CATALOG_NAME,
    Namespace,
    SnapshotRef,
    TableIdentifier,
    namespace_text,
)
from headwater.model.privilege import SecurableKind
from headwater.model.scan import ScanColumn

CATALOG_NODE = Node(CATALOG_ID, SecurableKind.CATALOG, f"catalog {CATALOG_NAME}")
"""The end of every path."""


class Entry(Protocol):
    """A table or view in the catalog."""

    @property
    def uuid(self) -> str:
        """Survives renames; a new one after drop and create."""
        ...

    @property
    def identifier(self) -> TableIdentifier:
        """Its name now."""
        ...

    @property
    def kind(self) -> str:
        """`table` or `view`."""
        ...


class Loaded(Protocol):
    """A table or view with its metadata."""

    @property
    def identifier(self) -> TableIdentifier:
        """Its name now."""
        ...

    @property
    def uuid(self) -> str:
        """As `Entry.uuid`."""
        ...

    @property
    def metadata(self) -> Mapping[str, Any]:
        """Iceberg table or view metadata, as its JSON."""
        ...

    @property
    def metadata_location(self) -> str:
        """Where that JSON is kept."""
        ...


class CatalogNamespace(Protocol):
    """A namespace of the catalog."""

    @property
    def id(self) -> str:
        """A new one after drop and create."""
        ...

    @property
    def namespace(self) -> Namespace:
        """Its name."""
        ...


class CatalogReader(Protocol):
    """What governance asks of the catalog; `headwater.catalog.catalog.Catalog` answers it."""

    def namespace(self, namespace: Namespace) -> CatalogNamespace:
        """The namespace; raises SCHEMA_NOT_FOUND."""
        ...

    def namespaces(self, parent: Namespace = ()) -> Sequence[CatalogNamespace]:
        """The namespaces directly below a parent."""
        ...

    def tables(self, namespace: Namespace) -> Sequence[Entry]:
        """The tables of a namespace."""
        ...

    def views(self, namespace: Namespace) -> Sequence[Entry]:
        """The views of a namespace."""
        ...

    def entry(self, identifier: TableIdentifier) -> Entry | None:
        """The table or view of that name."""
        ...

    def table(self, identifier: TableIdentifier) -> Loaded:
        """The table; raises TABLE_NOT_FOUND."""
        ...

    def view(self, identifier: TableIdentifier) -> Loaded:
        """The view; raises TABLE_NOT_FOUND."""
        ...


class Paths:
    """Finds the path of a securable: its id and the ids of everything above it.

    Namespace ids are remembered for one policy epoch; creating or dropping a namespace begins a new
    one.
    """

    def __init__(self, catalog: CatalogReader) -> None:
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

    def object(self, entry: Entry, epoch: int) -> Path:
        """The path of a table or view."""
        above = self.namespace(entry.identifier.namespace, epoch)
        kind = SecurableKind(entry.kind)
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
    return error(
        ErrorCode.SCHEMA_NOT_FOUND,
        f"schema {namespace_text(namespace)} does not exist",
        hint=f"did you mean {suggestion}?" if suggestion else None,
    )


def schema_of(metadata: Mapping[str, Any], snapshot_id: int | None) -> Mapping[str, Any]:
    """The schema that an engine reads with: the snapshot's own, or the current one for None."""
    schema_id = metadata["current-schema-id"]
    if snapshot_id is not None:
        for snapshot in metadata.get("snapshots") or ():
            if snapshot["snapshot-id"] == snapshot_id:
                schema_id = snapshot.get("schema-id", schema_id)
    found: Mapping[str, Any] = next(s for s in metadata["schemas"] if s["schema-id"] == schema_id)
    return found


def current_fields(metadata: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The top-level fields of a table's or view's current schema."""
    fields: list[dict[str, Any]] = schema_of(metadata, None)["fields"]
    return fields


def current_version(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    """A view's current version: representations, default namespace, schema id."""
    wanted = metadata["current-version-id"]
    found: Mapping[str, Any] = next(v for v in metadata["versions"] if v["version-id"] == wanted)
    return found


def view_columns(metadata: Mapping[str, Any]) -> tuple[ScanColumn, ...]:
    """A view's columns as it declares them."""
    schema_id = current_version(metadata)["schema-id"]
    schema = next(s for s in metadata["schemas"] if s.get("schema-id") == schema_id)
    return tuple(
        ScanColumn(f["name"], f["id"], f["type"], bool(f.get("required")), f.get("doc"))
        for f in schema["fields"]
    )


def resolve_snapshot(metadata: Mapping[str, Any], at: SnapshotRef) -> int | None:
    """The snapshot that a reference means; None for the current state of a table without data."""
    refs = metadata.get("refs") or {}
    if at.is_current or at.ref == "main":
        current = metadata.get("current-snapshot-id")
        return None if current in (None, -1) else current
    if at.ref is not None and at.ref in refs:
        return int(refs[at.ref]["snapshot-id"])
    found = None
    if at.snapshot_id is not None:
        known = {snapshot["snapshot-id"] for snapshot in metadata.get("snapshots") or ()}
        found = at.snapshot_id if at.snapshot_id in known else None
    if at.timestamp_ms is not None:
        for logged in metadata.get("snapshot-log") or ():
            if logged["timestamp-ms"] <= at.timestamp_ms:
                found = int(logged["snapshot-id"])
    if found is None:
        raise error(ErrorCode.SNAPSHOT_NOT_FOUND, "the table has no such snapshot")
    return found
