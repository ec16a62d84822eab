"""Linked tables as the catalog meets them: listed and loaded from the other catalog, live.

Rows of `catalog_object` stand for them, so that grants and policies bind to ids of ours; the rows
follow the other catalog's listing. What is bound to a row never comes to hold for another table:
one that takes the place of another is refused until an administrator has accepted it.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import sqlalchemy

from headwater.catalog import records
from headwater.catalog.entries import ObjectKind, TableEntry
from headwater.catalog.linked.connections import Connections, LinkedSchema
from headwater.catalog.linked.files import (
    Checked,
    Keys,
    LinkedFiles,
    Pins,
    check_named_files,
    expires_soon,
    keys_of,
)
from headwater.catalog.linked.remote import failure
from headwater.catalog.names import check_name, fold
from headwater.catalog.objects import ABSENT, State, insert_object, no_object
from headwater.catalog.registration import check_metadata
from headwater.catalog.transactions import catalog_write
from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.model.identifiers import Namespace, TableIdentifier, namespace_text
from headwater.storage.credentials import EngineStorage
from headwater.storage.fileio import FILE_SCHEME
from headwater.store.database import Database
from headwater.telemetry.logs import log

FRESH_SECONDS = 3.0
"""How long an answer of another catalog is taken for current."""

_LIST_SECONDS = 5.0
_MISS_SECONDS = 1.0
_PATIENCE_SECONDS = 2.0
_HELD = 2000
_HELD_BYTES = 256 * 1024 * 1024
_PRESENT = 1
_KIND = ObjectKind.TABLE  # views of other catalogs are not shown

_log = log("connections")

Bound = Callable[[sqlalchemy.Connection, str], bool]
"""Whether grants, denies or policies are bound to an object, by its uuid."""


@dataclass(slots=True)
class _Held:
    """A linked table's state as it was last answered."""

    state: State
    etag: str | None
    keys: list[Keys] = field(repr=False)
    files: LinkedFiles
    at: float


class Links:
    """The linked tables of one home; thread-safe."""

    def __init__(
        self, database: Database, connections: Connections, own: EngineStorage, folder: Path,
        bound: Bound,
    ) -> None:  # fmt: skip
        self.connections = connections
        self._database = database
        self._own = own
        self._bound = bound
        self._pins = Pins(folder)
        self._checked = Checked()
        self._locks: dict[str, threading.Lock] = {}
        self._held: dict[str, _Held] = {}
        self._known: dict[str, str] = {}
        self._turn = threading.Lock()
        self._synced: dict[str, float] = {}
        self._following: dict[str, threading.Event] = {}

    def forget(self, object_uuids: Iterable[str]) -> None:
        """Drops what is remembered of tables that are linked no more."""
        for each in object_uuids:
            self._held.pop(each, None)
            self._known.pop(each, None)
            self._locks.pop(each, None)
            self._pins.forget(each)

    def _lock(self, key: str) -> threading.Lock:
        """One for each table and schema: who waits for a slow catalog keeps nobody else."""
        return self._locks.setdefault(key, threading.Lock())

    def is_linked(self, namespace_id: str) -> bool:
        """True for the id of a linked schema."""
        return self.connections.by_namespace_id(namespace_id) is not None

    # --- listing --------------------------------------------------------------------------------

    def follow(self, namespace: Namespace, *, missing: bool = False) -> bool:
        """Brings the rows of a linked schema up to date, unless that was done a moment ago.

        A shorter moment when a name is missing. True when it is a linked one and something may
        have changed. While the other catalog does not answer, the rows stay as they are, and
        nobody waits long for it.
        """
        schema = self.connections.schema(namespace)
        if schema is None:
            return False
        key = schema.namespace_id
        seconds = _MISS_SECONDS if missing else _LIST_SECONDS
        with self._turn:
            last = self._synced.get(key)
            if last is not None and time.monotonic() - last < seconds:
                return False
            done = self._following.get(key)
            if done is None:
                done = self._following[key] = threading.Event()
                thread = threading.Thread(
                    target=self._follow, args=(schema, done), name="linked schema", daemon=True
                )
                thread.start()
        done.wait(_PATIENCE_SECONDS)
        return True

    def _follow(self, schema: LinkedSchema, done: threading.Event) -> None:
        key = schema.namespace_id
        try:
            self._settle(schema, self._names(schema))
        except HeadwaterError as exc:
            _log.warning("a linked schema is not followed", code=exc.code, why=exc.message)
        finally:
            with self._turn:
                self._synced[key] = time.monotonic()
                self._following.pop(key, None)
            done.set()

    def _names(self, schema: LinkedSchema) -> list[str]:
        try:
            return self.connections.remote(schema.connection).tables(schema.remote)
        except HeadwaterError as exc:
            if exc.code is ErrorCode.SCHEMA_NOT_FOUND:
                return []
            raise

    def _settle(self, schema: LinkedSchema, names: Iterable[str]) -> None:
        wanted: dict[str, str] = {}
        for name in names:
            try:
                wanted.setdefault(fold(check_name(name, "table")), name)
            except HeadwaterError:
                _log.info("a linked table's name is none of ours", schema=schema.namespace)
        table = records.objects
        inside = table.select().where(table.c.namespace_id == schema.namespace_id)
        with self._database.read() as connection:
            rows = {row.folded: row for row in connection.execute(inside)}
        if {k: (r.name, r.version) for k, r in rows.items()} == {
            k: (name, _PRESENT) for k, name in wanted.items()
        }:
            return
        with catalog_write(self._database) as connection:
            if self.connections.by_namespace_id(schema.namespace_id) is None:
                return
            rows = {row.folded: row for row in connection.execute(inside)}
            for folded, row in rows.items():
                if folded in wanted:
                    if (row.name, row.version) != (wanted[folded], _PRESENT):
                        values = {"name": wanted[folded], "version": _PRESENT}
                        self._update(connection, row.uuid, values)
                elif self._bound(connection, row.uuid):
                    # Were it forgotten, a new table of that name would come without the filters.
                    self._update(connection, row.uuid, {"version": ABSENT})
                else:
                    self._delete(connection, row.uuid)
            for folded, name in wanted.items():
                if folded not in rows:
                    self._insert(connection, schema, name)

    def _insert(self, connection: sqlalchemy.Connection, schema: LinkedSchema, name: str) -> None:
        object_uuid = str(uuid.uuid4())
        entry = TableEntry(
            object_uuid, TableIdentifier(schema.namespace, name), _KIND, schema.namespace_id
        )
        # No path: it overlaps with no table's location, and the sweeper finds nothing there.
        insert_object(connection, State(entry, _PRESENT, "", b"{}", {}), f"linked:{object_uuid}")
        connection.execute(
            records.linked_tables.insert().values(
                object_uuid=object_uuid, namespace_id=schema.namespace_id, table_uuid=None
            )
        )

    def _update(
        self, connection: sqlalchemy.Connection, object_uuid: str, values: dict[str, Any]
    ) -> None:
        table = records.objects
        connection.execute(table.update().where(table.c.uuid == object_uuid).values(values))

    def _delete(self, connection: sqlalchemy.Connection, object_uuid: str) -> None:
        table, links = records.objects, records.linked_tables
        connection.execute(links.delete().where(links.c.object_uuid == object_uuid))
        connection.execute(table.delete().where(table.c.uuid == object_uuid))

    # --- loading --------------------------------------------------------------------------------

    def state(self, entry: TableEntry) -> State:
        """A linked table's current state, as the other catalog says or said a moment ago.

        Raises CONNECTION_FAILED, TABLE_NOT_FOUND, INVALID_LOCATION, or PERMISSION_DENIED when
        another table has taken its place.
        """
        return self._hold(entry).state

    def _hold(self, entry: TableEntry) -> _Held:
        held = self._held.get(entry.uuid)
        if held is not None and self._is_fresh(held, entry):
            return held
        with self._lock(entry.uuid):
            held = self._held.get(entry.uuid)
            if held is not None and self._is_fresh(held, entry):
                return held
            fresh = self._load(entry, held)
            self._held[entry.uuid] = fresh
            self._make_room()
            return fresh

    def _make_room(self) -> None:
        """Lets the states go that were loaded longest ago, beyond a number and a size."""
        sizes = [(uuid_, len(held.state.metadata_json)) for uuid_, held in [*self._held.items()]]
        count, size = len(sizes), sum(each for _, each in sizes)
        for uuid_, each in sizes[:-1]:
            if count <= _HELD and size <= _HELD_BYTES:
                return
            self._held.pop(uuid_, None)
            count, size = count - 1, size - each

    def _is_fresh(self, held: _Held, entry: TableEntry) -> bool:
        return (
            time.monotonic() - held.at < FRESH_SECONDS
            and held.state.entry.identifier == entry.identifier
        )

    def _load(self, entry: TableEntry, held: _Held | None) -> _Held:
        schema = self.connections.by_namespace_id(entry.namespace_id)
        if schema is None:
            raise no_object(entry.identifier, _KIND)
        connection = schema.connection
        asked = time.monotonic()
        same_name = held is not None and held.state.entry.identifier == entry.identifier
        etag = held.etag if held and same_name and not expires_soon(held.keys) else None
        there = TableIdentifier(schema.remote, entry.identifier.name)
        remote = self.connections.remote(connection)
        try:
            found = remote.load(there, etag)
        except HeadwaterError as exc:
            if exc.code is ErrorCode.TABLE_NOT_FOUND:
                raise no_object(entry.identifier, _KIND) from None
            raise
        if found is None:
            assert held is not None, "only a known state has a tag"
            return _Held(held.state, held.etag, held.keys, held.files, asked)
        metadata = found.metadata
        try:
            check_metadata(metadata)
            table_uuid: str = metadata["table-uuid"]
            keys = keys_of(connection, found, self._own)
            files = LinkedFiles(connection, keys)
            check_named_files(files, metadata)
        except HeadwaterError as exc:
            if exc.code is not ErrorCode.INVALID_METADATA:
                raise
            raise failure(connection.name, f"{entry.identifier}: {exc.message}") from None
        except (KeyError, TypeError, AttributeError, ValueError, RecursionError):
            raise failure(
                connection.name, f"what it answered for {entry.identifier} is no table metadata"
            ) from None
        self._identify(schema, entry, table_uuid)
        if held is not None and held.state.metadata_json == found.metadata_json:
            state = held.state
            if not same_name:
                state = State(
                    entry, state.version, found.metadata_location, state.metadata_json,
                    state.metadata,
                )  # fmt: skip
        else:
            version = 1 if held is None else held.state.version + 1
            state = State(entry, version, found.metadata_location, found.metadata_json, metadata)
        return _Held(state, found.etag, keys, files, asked)

    def _identify(self, schema: LinkedSchema, entry: TableEntry, table_uuid: str) -> None:
        """Sees to it that what is bound to the row was meant for this very table."""
        if self._known.get(entry.uuid) == table_uuid:
            return
        links = records.linked_tables
        with catalog_write(self._database) as connection:
            row = connection.execute(
                links.select().where(links.c.object_uuid == entry.uuid)
            ).first()
            if row is None:
                raise no_object(entry.identifier, _KIND)
            if row.table_uuid is not None and row.table_uuid != table_uuid:
                if self._bound(connection, entry.uuid):
                    raise _replaced(schema, entry)
            elif row.table_uuid is None:
                former = self._former(connection, schema, entry, table_uuid)
                if former is not None:
                    raise _renamed(schema, entry, former)
            connection.execute(
                links.update()
                .where(links.c.object_uuid == entry.uuid)
                .values(table_uuid=table_uuid)
            )
        self._known[entry.uuid] = table_uuid

    def _former(
        self,
        connection: sqlalchemy.Connection,
        schema: LinkedSchema,
        entry: TableEntry,
        table_uuid: str,
    ) -> str | None:
        """Another name under which the table was linked, with something bound to it."""
        links, table = records.linked_tables, records.objects
        twins = connection.execute(
            sqlalchemy.select(links.c.object_uuid, table.c.name, table.c.namespace_id)
            .join_from(links, table, links.c.object_uuid == table.c.uuid)
            .where(links.c.table_uuid == table_uuid, links.c.object_uuid != entry.uuid)
        ).all()
        for twin in twins:
            its = self.connections.by_namespace_id(twin.namespace_id)
            if its is None or its.connection.id != schema.connection.id:
                continue
            # One namespace may be shown as two schemas: that is no other name.
            shown_twice = (its.remote, twin.name) == (schema.remote, entry.identifier.name)
            if not shown_twice and self._bound(connection, twin.object_uuid):
                return f"{namespace_text(its.namespace)}.{twin.name}"
        return None

    def accept(self, entry: TableEntry) -> None:
        """Lets the table that now has this name take over what is bound to the row."""
        schema = self.connections.by_namespace_id(entry.namespace_id)
        if schema is None:
            raise error(ErrorCode.INVALID_ARGUMENT, f"{entry.identifier} is no linked table")
        there = TableIdentifier(schema.remote, entry.identifier.name)
        found = self.connections.remote(schema.connection).load(there, None)
        table_uuid = None if found is None else found.metadata.get("table-uuid")
        links = records.linked_tables
        with catalog_write(self._database) as connection:
            connection.execute(
                links.update()
                .where(links.c.object_uuid == entry.uuid)
                .values(table_uuid=str(table_uuid))
            )
        self._known.pop(entry.uuid, None)
        self._held.pop(entry.uuid, None)

    # --- reading --------------------------------------------------------------------------------

    def files(self, entry: TableEntry) -> LinkedFiles:
        """The file access to a linked table."""
        return self._hold(entry).files

    def readable(
        self, entry: TableEntry, metadata: dict[str, Any], metadata_json: bytes,
        snapshot_id: int | None,
    ) -> str:  # fmt: skip
        """The metadata file that an engine reads a snapshot of a linked table from.

        Every file that the snapshot names was then found to lie where it may.
        """
        schema = self.connections.by_namespace_id(entry.namespace_id)
        if schema is None:
            raise no_object(entry.identifier, _KIND)
        if snapshot_id is not None:
            files = self._hold(entry).files
            self._checked.snapshot(schema.connection.id, files, metadata, snapshot_id)
        return self._pins.pin(entry.uuid, metadata_json)

    def reach(
        self, entries: Sequence[TableEntry], own_locations: Iterable[str], *, writes: bool
    ) -> str:
        """What an engine may reach for a statement over linked tables: JSON, with keys.

        Of our own tables only the folders of those in the statement, and the warehouse when it
        writes: what a linked table's files say is not ours.
        """
        directories: dict[str, None] = {}
        secrets: dict[str, dict[str, Any]] = {}
        for entry in entries:
            directories[str(self._pins.folder(entry.uuid))] = None
            held = self._hold(entry)
            schema = self.connections.by_namespace_id(entry.namespace_id)
            for location in () if schema is None else schema.connection.locations:
                if location.startswith(FILE_SCHEME):
                    directories[location.removeprefix(FILE_SCHEME)] = None
            for each in held.keys:
                secrets[each.prefix] = {
                    "scope": each.prefix,
                    "endpoint": each.endpoint.url,
                    "region": each.endpoint.region,
                    "key_id": each.endpoint.access_key_id,
                    "secret": each.endpoint.secret_access_key,
                    "session_token": each.endpoint.session_token,
                    "path_style": each.endpoint.path_style,
                }
        if not writes:
            for location in own_locations:
                if self._own.kind == "local":
                    directories[location.removeprefix(FILE_SCHEME)] = None
                else:
                    secrets[location] = {
                        "scope": location,
                        "endpoint": self._own.endpoint,
                        "region": self._own.region,
                        "key_id": self._own.access_key_id,
                        "secret": self._own.secret_access_key,
                        "session_token": None,
                        "path_style": self._own.path_style,
                    }
        return orjson.dumps(
            {
                "own": writes,
                "directories": sorted(directories),
                "s3": [secrets[scope] for scope in sorted(secrets)],
            }
        ).decode()


def read_only(schema: LinkedSchema, what: str) -> HeadwaterError:
    """The error for a change of something linked."""
    name = schema.connection.name
    return error(
        ErrorCode.READ_ONLY_TABLE,
        f"{what} belongs to the catalog of connection {name} and is read-only here",
        hint="change it over there, or copy it with CREATE TABLE … AS SELECT; "
        f"`headwater connection remove {name}` ends the link",
    )


def _replaced(schema: LinkedSchema, entry: TableEntry) -> HeadwaterError:
    return error(
        ErrorCode.PERMISSION_DENIED,
        f"another table has taken the place of {entry.identifier} in the catalog of connection "
        f"{schema.connection.name}: the grants, filters and masks here were made for the former",
        hint="an administrator looks at them and runs "
        f"`headwater connection accept {schema.connection.name} {entry.identifier}`",
    )


def _renamed(schema: LinkedSchema, entry: TableEntry, former: str) -> HeadwaterError:
    return error(
        ErrorCode.PERMISSION_DENIED,
        f"{entry.identifier} is the table that was linked as {former}, whose grants, filters and "
        "masks do not hold for the new name yet",
        hint="an administrator makes them anew and runs "
        f"`headwater connection accept {schema.connection.name} {entry.identifier}`",
    )
