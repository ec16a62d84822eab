"""Tables and views in the metastore: rows, and a cache of their parsed metadata."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol

import orjson
import sqlalchemy
from sqlalchemy import Connection

from headwater.catalog import records
from headwater.catalog.entries import ObjectKind, TableEntry
from headwater.catalog.names import fold, namespace_of
from headwater.catalog.namespaces import folded_key, require_namespace
from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.model.identifiers import Namespace, TableIdentifier
from headwater.store.database import Database
from headwater.store.prepared import Prepared

_TABLE = records.objects
_NAMESPACES = records.namespaces
_RETIRED = records.retired_locations
_ENTRY = (
    _TABLE.c.uuid,
    _TABLE.c.name,
    _TABLE.c.kind,
    _TABLE.c.namespace_id,
    _TABLE.c.version,
    _TABLE.c.metadata_location,
    _NAMESPACES.c.path,
)
_JOINED = sqlalchemy.select(*_ENTRY).join_from(
    _TABLE, _NAMESPACES, _TABLE.c.namespace_id == _NAMESPACES.c.id
)
_BY_NAME = Prepared(
    _JOINED.where(
        _NAMESPACES.c.folded == sqlalchemy.bindparam("namespace"),
        _TABLE.c.folded == sqlalchemy.bindparam("name"),
    )
)
_METADATA = Prepared(
    sqlalchemy.select(_TABLE.c.metadata).where(
        _TABLE.c.uuid == sqlalchemy.bindparam("uuid"),
        _TABLE.c.version == sqlalchemy.bindparam("version"),
    )
)
_SWAP = Prepared(
    _TABLE.update()
    .where(
        _TABLE.c.uuid == sqlalchemy.bindparam("base_uuid"),
        _TABLE.c.version == sqlalchemy.bindparam("base_version"),
    )
    .values(
        {
            name: sqlalchemy.bindparam(f"new_{name}")
            for name in ("version", "location", "metadata_location", "metadata")
        }
    )
)
_CACHE_BYTES = 64 * 1024 * 1024

ABSENT = -1
"""The version of a linked table's row whose table is gone for now: to everybody it is not there."""


class State:
    """One version of a table or view: its row, and its metadata as bytes and as a shared dict."""

    __slots__ = ("entry", "metadata", "metadata_json", "metadata_location", "version")

    def __init__(
        self,
        entry: TableEntry,
        version: int,
        metadata_location: str,
        metadata_json: bytes,
        metadata: dict[str, Any],
    ) -> None:
        self.entry = entry
        self.version = version
        self.metadata_location = metadata_location
        self.metadata_json = metadata_json
        self.metadata = metadata


class Linked(Protocol):
    """Knows the schemas whose tables another catalog has (`headwater.catalog.linked`)."""

    def follow(self, namespace: Namespace, *, missing: bool = False) -> bool:
        """Brings a linked schema's rows up to date; False when nothing can have changed."""
        ...

    def state(self, entry: TableEntry) -> State:
        """A linked table's current state."""
        ...

    def is_linked(self, namespace_id: str) -> bool:
        """True for the id of a linked schema."""
        ...


class Objects:
    """Looks tables and views up; thread-safe."""

    def __init__(self, database: Database, linked: Linked | None = None) -> None:
        self._database = database
        self._linked = linked
        self._cache = _MetadataCache(_CACHE_BYTES)

    def find(self, identifier: TableIdentifier, *, fold_case: bool = False) -> TableEntry | None:
        """The table or view of exactly that name; with `fold_case`, whatever its case."""
        row = self._find(identifier, fold_case)
        return None if row is None else row.entry

    def _find(self, identifier: TableIdentifier, fold_case: bool) -> _Found | None:
        key = _key(identifier)
        row = _matching(self._database.rows(_BY_NAME, **key), identifier, fold_case)
        linked = self._linked
        if row is None and linked and linked.follow(identifier.namespace, missing=True):
            row = _matching(self._database.rows(_BY_NAME, **key), identifier, fold_case)
        return row

    def by_uuid(self, object_uuid: str) -> TableEntry | None:
        """The table or view with that uuid."""
        query = _JOINED.where(_TABLE.c.uuid == object_uuid)
        with self._database.read() as connection:
            row = connection.execute(query).first()
        return None if row is None else _entry(row)

    def listing(self, namespace: Namespace, kind: ObjectKind) -> list[TableEntry]:
        """The tables or views in a namespace, by name; SCHEMA_NOT_FOUND without the namespace."""
        if self._linked is not None and kind is ObjectKind.TABLE:
            self._linked.follow(namespace)
        with self._database.read() as connection:
            inside = require_namespace(connection, namespace).id
            query = _JOINED.where(
                _TABLE.c.namespace_id == inside,
                _TABLE.c.kind == kind.value,
                _TABLE.c.version != ABSENT,
            )
            rows = connection.execute(query).all()
        return _by_name(rows)

    def all(self) -> list[TableEntry]:
        """Every table and view, by name."""
        with self._database.read() as connection:
            rows = connection.execute(_JOINED.where(_TABLE.c.version != ABSENT)).all()
        return _by_name(rows)

    def state(self, identifier: TableIdentifier, kind: ObjectKind) -> State:
        """The current state; TABLE_NOT_FOUND when there is no such table (or view)."""
        row = self._find(identifier, fold_case=False)
        if row is None or row.entry.kind is not kind:
            raise no_object(identifier, kind)
        if self._linked is not None and self._linked.is_linked(row.entry.namespace_id):
            return self._linked.state(row.entry)
        object_uuid = row.entry.uuid
        cached = self._cache.get(object_uuid, row.version)
        if cached is None:
            text = self._database.rows(_METADATA, uuid=object_uuid, version=row.version)
            if not text:
                # A commit came between the two reads.
                return self.state(identifier, kind)
            metadata_json: bytes = text[0][0].encode()
            cached = (metadata_json, orjson.loads(metadata_json))
            self._cache.put(object_uuid, row.version, *cached)
        return State(row.entry, row.version, row.metadata_location, *cached)

    def remember(self, state: State) -> None:
        """Keeps the state that a commit just made, which someone is likely to load next."""
        self._cache.put(state.entry.uuid, state.version, state.metadata_json, state.metadata)


class _MetadataCache:
    """Parsed metadata by (uuid, version), least recently used out first, bounded by JSON bytes."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._size = 0
        self._items: OrderedDict[str, tuple[int, bytes, dict[str, Any]]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, object_uuid: str, version: int) -> tuple[bytes, dict[str, Any]] | None:
        with self._lock:
            found = self._items.get(object_uuid)
            if found is None or found[0] != version:
                return None
            self._items.move_to_end(object_uuid)
            return found[1], found[2]

    def put(
        self, object_uuid: str, version: int, metadata_json: bytes, metadata: dict[str, Any]
    ) -> None:
        with self._lock:
            old = self._items.pop(object_uuid, None)
            if old is not None:
                self._size -= len(old[1])
                if old[0] > version:
                    version, metadata_json, metadata = old
            self._items[object_uuid] = (version, metadata_json, metadata)
            self._size += len(metadata_json)
            while self._size > self._capacity and len(self._items) > 1:
                _, (_, dropped, _) = self._items.popitem(last=False)
                self._size -= len(dropped)


# --- inside a write transaction -----------------------------------------------------------------


def require_free_name(connection: Connection, identifier: TableIdentifier) -> str:
    """The namespace's id when it exists and the name is free in it, whatever its case."""
    namespace_id = require_namespace(connection, identifier.namespace).id
    taken = connection.execute(
        sqlalchemy.select(_TABLE.c.name, _TABLE.c.kind).where(
            _TABLE.c.namespace_id == namespace_id, _TABLE.c.folded == fold(identifier.name)
        )
    ).first()
    if taken is not None:
        what = "View" if taken.kind == ObjectKind.VIEW else "Table"
        same = taken.name == identifier.name
        raise error(
            ErrorCode.TABLE_ALREADY_EXISTS,
            f"{what} already exists: {TableIdentifier(identifier.namespace, taken.name)}",
            hint=None if same else "names must differ by more than case",
        )
    return namespace_id


def overlapping_locations(
    connection: Connection, location: str, ancestors: Iterable[str], *, ignoring: str | None = None
) -> list[str]:
    """Locations of live and dropped objects that contain this one or lie in it."""
    found: list[str] = []
    for table in (_TABLE, _RETIRED):
        overlaps = table.c.location.in_([*ancestors]) | table.c.location.startswith(
            location + "/", autoescape=True
        )
        found += [
            row.location
            for row in connection.execute(
                sqlalchemy.select(table.c.location, table.c.uuid).where(overlaps)
            )
            if row.uuid != ignoring
        ]
    return found


def reclaim_location(connection: Connection, location: str) -> None:
    """Ends the retirement of a dropped table's location, unless its files are to be deleted."""
    connection.execute(
        _RETIRED.delete().where(_RETIRED.c.location == location, _RETIRED.c.purge.is_(False))
    )


def insert_object(connection: Connection, state: State, location: str) -> None:
    """Adds a table's or view's row."""
    identifier = state.entry.identifier
    connection.execute(
        _TABLE.insert().values(
            uuid=state.entry.uuid,
            namespace_id=state.entry.namespace_id,
            name=identifier.name,
            folded=fold(identifier.name),
            kind=state.entry.kind.value,
            location=location,
            version=state.version,
            metadata_location=state.metadata_location,
            metadata=state.metadata_json.decode(),
        )
    )


def swap_object(connection: Connection, base: State, new: State, location: str) -> bool:
    """Replaces a row by its next version; False when it is no longer at the base's version."""
    changed = _SWAP.change(
        connection,
        {
            "base_uuid": base.entry.uuid,
            "base_version": base.version,
            "new_version": new.version,
            "new_location": location,
            "new_metadata_location": new.metadata_location,
            "new_metadata": new.metadata_json.decode(),
        },
    )
    return changed == 1


def remove_object(
    connection: Connection, identifier: TableIdentifier, kind: ObjectKind, *, purge: bool
) -> tuple[TableEntry, str]:
    """Deletes a row and retires its location; returns what was removed and its metadata file."""
    row = _find(connection, identifier, kind)
    object_uuid = row.entry.uuid
    location: str = connection.execute(
        sqlalchemy.select(_TABLE.c.location).where(_TABLE.c.uuid == object_uuid)
    ).scalar_one()
    connection.execute(_TABLE.delete().where(_TABLE.c.uuid == object_uuid))
    connection.execute(
        _RETIRED.insert().values(
            location=location,
            uuid=object_uuid,
            name=str(identifier),
            purge=purge,
            retired_ms=int(time.time() * 1000),
        )
    )
    return row.entry, row.metadata_location


def rename_object(
    connection: Connection, source: TableIdentifier, target: TableIdentifier, kind: ObjectKind
) -> TableEntry:
    """Gives a table or view another name, in another namespace perhaps; returns it as it was."""
    entry = _find(connection, source, kind).entry
    same_but_case = source.namespace == target.namespace and fold(source.name) == fold(target.name)
    if source == target or not same_but_case:
        namespace_id = require_free_name(connection, target)
    else:
        namespace_id = entry.namespace_id
    connection.execute(
        _TABLE.update()
        .where(_TABLE.c.uuid == entry.uuid)
        .values(namespace_id=namespace_id, name=target.name, folded=fold(target.name))
    )
    return entry


def no_object(identifier: TableIdentifier, kind: ObjectKind) -> HeadwaterError:
    """The error for a table or view that does not exist."""
    what = "View" if kind is ObjectKind.VIEW else "Table"
    return error(ErrorCode.TABLE_NOT_FOUND, f"{what} does not exist: {str(identifier)[:600]}")


class _Found(NamedTuple):
    entry: TableEntry
    version: int
    metadata_location: str


def _find(connection: Connection, identifier: TableIdentifier, kind: ObjectKind) -> _Found:
    found = _matching(_BY_NAME.rows(connection, _key(identifier)), identifier, fold_case=False)
    if found is None or found.entry.kind is not kind:
        raise no_object(identifier, kind)
    return found


def _key(identifier: TableIdentifier) -> dict[str, str]:
    return {"namespace": folded_key(identifier.namespace), "name": fold(identifier.name)}


def _matching(
    rows: Sequence[Sequence[Any]], identifier: TableIdentifier, fold_case: bool
) -> _Found | None:
    """The one row that `_BY_NAME` found, if its name is the one that was asked for."""
    if not rows:
        return None
    row = rows[0]
    entry = _entry(row)
    if row[4] == ABSENT or (not fold_case and entry.identifier != identifier):
        return None
    return _Found(entry, row[4], row[5])


def _entry(row: Sequence[Any]) -> TableEntry:
    object_uuid, name, kind, namespace_id, _version, _location, path = row
    identifier = TableIdentifier(namespace_of(path), name)
    return TableEntry(object_uuid, identifier, ObjectKind(kind), namespace_id)


def _by_name(rows: Sequence[Sequence[Any]]) -> list[TableEntry]:
    """The entries in the order of their identifiers; ten thousand of them in a listing."""
    # By plain tuples: identifiers compare themselves by a method of Python's, many times over.
    keyed = [((e.identifier.namespace, e.identifier.name, e.uuid), e) for e in map(_entry, rows)]
    keyed.sort(key=lambda pair: pair[0])
    return [entry for _, entry in keyed]
