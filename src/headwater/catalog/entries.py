"""What the catalog hands out: namespaces, entries of a listing, loaded tables and views."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from headwater.model.identifiers import Namespace, TableIdentifier


class ObjectKind(StrEnum):
    """What a name in a namespace stands for; tables and views share one set of names."""

    TABLE = "table"
    VIEW = "view"


@dataclass(frozen=True, slots=True)
class NamespaceInfo:
    """A namespace; `id` is a UUID that is never reused."""

    id: str
    namespace: Namespace
    properties: dict[str, str]


@dataclass(frozen=True, slots=True)
class TableEntry:
    """A table or view as a listing knows it.

    `uuid` is the catalog's own id: it survives renames, is never reused, and no client chooses it;
    so it need not be the `table-uuid` of the metadata.
    """

    uuid: str
    identifier: TableIdentifier
    kind: ObjectKind
    namespace_id: str


@dataclass(frozen=True, slots=True)
class LoadedTable:
    """One state of a table. `metadata` is shared by all readers: never change it.

    `metadata_json` is the metadata to the byte, as it stands in `metadata_location`. `version`
    counts the commits. A staged table has no `metadata_location` (empty) and no `uuid` yet.
    """

    identifier: TableIdentifier
    uuid: str
    metadata: dict[str, Any]
    metadata_json: bytes
    metadata_location: str
    version: int

    @property
    def location(self) -> str:
        """The folder that holds all of the table's files."""
        location: str = self.metadata["location"]
        return location


@dataclass(frozen=True, slots=True)
class LoadedView:
    """One state of a view; see `LoadedTable`."""

    identifier: TableIdentifier
    uuid: str
    metadata: dict[str, Any]
    metadata_json: bytes
    metadata_location: str
    version: int

    @property
    def current(self) -> dict[str, Any]:
        """The current view version: `representations`, `default-namespace`, `schema-id`."""
        wanted = self.metadata["current-version-id"]
        found: dict[str, Any] = next(
            version for version in self.metadata["versions"] if version["version-id"] == wanted
        )
        return found


@dataclass(frozen=True, slots=True)
class TableChange:
    """What one commit does to one table: raw JSON requirements and updates."""

    identifier: TableIdentifier
    requirements: list[dict[str, Any]]
    updates: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class RetiredLocation:
    """A dropped table's or view's folder; `purge` says its files may be deleted."""

    location: str
    uuid: str
    name: str
    purge: bool
    retired_ms: int
