"""What the catalog says of linked tables to those who read tables, or want to change one."""

from __future__ import annotations

from collections.abc import Iterable

from headwater.catalog.entries import LoadedTable, ObjectKind, TableEntry
from headwater.catalog.linked.links import Links, read_only
from headwater.catalog.objects import Objects, no_object
from headwater.errors import ErrorCode, error
from headwater.model.identifiers import Namespace, TableIdentifier, namespace_text
from headwater.storage.fileio import FileIO
from headwater.storage.warehouse import Warehouse


class LinkedTables:
    """Tells linked tables from own ones; a catalog without connections has own ones only."""

    def __init__(self, links: Links | None, objects: Objects, warehouse: Warehouse) -> None:
        self._links = links
        self._objects = objects
        self._warehouse = warehouse

    @property
    def links(self) -> Links:
        """The links themselves; NOT_SUPPORTED where there can be none."""
        if self._links is None:
            raise error(ErrorCode.NOT_SUPPORTED, "this catalog has no connections")
        return self._links

    def connection(self, namespace: Namespace) -> str | None:
        """The name of the connection that a schema shows a part of; None for own schemas."""
        schema = None if self._links is None else self._links.connections.schema(namespace)
        return None if schema is None else schema.connection.name

    def holds(self, namespace: Namespace) -> bool:
        """True for a schema that shows another catalog's tables."""
        return self._links is not None and self._links.connections.schema(namespace) is not None

    def require_own(self, namespace: Namespace, name: str | None = None) -> None:
        """Raises READ_ONLY_TABLE for a linked schema, or a table in one, that is to be changed."""
        schema = None if self._links is None else self._links.connections.schema(namespace)
        if schema is not None:
            text = namespace_text(namespace)
            raise read_only(schema, f"schema {text}" if name is None else f"table {text}.{name}")

    def files(self, identifier: TableIdentifier) -> FileIO:
        """The access to a table's files: the warehouse's, or for a linked table reading only."""
        if self._links is None or not self.holds(identifier.namespace):
            return self._warehouse.io
        return self._links.files(self._entry(identifier))

    def readable(self, loaded: LoadedTable, snapshot_id: int | None) -> str:
        """The metadata file that an engine reads a snapshot of a table from.

        For a linked table one of our own, once all files of the snapshot were found to lie where
        the connection's may; INVALID_LOCATION otherwise.
        """
        if self._links is None or not self.holds(loaded.identifier.namespace):
            return loaded.metadata_location
        entry = self._entry(loaded.identifier)
        if entry.uuid != loaded.uuid:
            raise no_object(loaded.identifier, ObjectKind.TABLE)
        return self._links.readable(entry, loaded.metadata, loaded.metadata_json, snapshot_id)

    def reach(self, identifiers: Iterable[TableIdentifier], *, writes: bool) -> str:
        """What an engine may reach to read these tables: JSON that holds secrets.

        Empty when none of them is linked: then it is the warehouse.
        """
        linked: list[TableEntry] = []
        own: list[TableIdentifier] = []
        for identifier in dict.fromkeys(identifiers):
            if self.holds(identifier.namespace):
                linked.append(self._entry(identifier))
            else:
                own.append(identifier)
        if self._links is None or not linked:
            return ""
        states = [self._objects.state(each, ObjectKind.TABLE) for each in own]
        locations = [str(state.metadata["location"]) for state in states]
        return self._links.reach(linked, locations, writes=writes)

    def _entry(self, identifier: TableIdentifier) -> TableEntry:
        entry = self._objects.find(identifier)
        if entry is None or entry.kind is not ObjectKind.TABLE:
            raise no_object(identifier, ObjectKind.TABLE)
        return entry
