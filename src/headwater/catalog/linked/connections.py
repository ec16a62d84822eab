"""Connections as they are kept: rows, secrets in files of the home, the schemas that they show."""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import sqlalchemy

from headwater.catalog import records
from headwater.catalog.events import ChangeEvent, ChangeKind, Journal, write_event
from headwater.catalog.linked.definition import Connection, checked, schema_name
from headwater.catalog.linked.remote import RemoteCatalog
from headwater.catalog.names import check_namespace, namespace_key, namespace_of
from headwater.catalog.namespaces import Namespaces, folded_key
from headwater.catalog.transactions import catalog_write
from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.model.identifiers import Namespace, TableIdentifier, namespace_text
from headwater.model.principal import Actor
from headwater.store.database import Database

_LOOKED_AT = 3
_MOST_SCHEMAS = 1000
_SKIPPED = frozenset(
    {ErrorCode.CONNECTION_FAILED, ErrorCode.SCHEMA_NOT_FOUND, ErrorCode.TABLE_NOT_FOUND}
)


@dataclass(frozen=True, slots=True)
class LinkedSchema:
    """A schema here that shows a namespace of a connection's catalog."""

    namespace_id: str
    namespace: Namespace
    connection: Connection
    remote: Namespace


@dataclass(frozen=True, slots=True)
class Shown:
    """A namespace of the other catalog and the schema it is to be shown as (None: the usual)."""

    remote: Namespace
    schema: str | None = None


@dataclass(frozen=True, slots=True)
class Probe:
    """What a catalog answered to a test: its namespaces, and folders that some tables lie in."""

    namespaces: tuple[Namespace, ...]
    locations: tuple[str, ...]
    seconds: float


class Connections:
    """All connections, in memory as in the metastore; thread-safe."""

    def __init__(self, database: Database, journal: Journal, folder: Path) -> None:
        self._database = database
        self._journal = journal
        self._namespaces = Namespaces(database, journal)
        self._folder = folder
        self._changing = threading.Lock()
        self._remotes: dict[str, RemoteCatalog] = {}
        self._schemas: dict[str, LinkedSchema] = {}
        self._by_id: dict[str, LinkedSchema] = {}
        self._reload()

    # --- looking up -----------------------------------------------------------------------------

    def all(self) -> list[tuple[Connection, list[LinkedSchema]]]:
        """Every connection and what it shows, by name."""
        table = records.connections
        with self._database.read() as connection:
            rows = connection.execute(sqlalchemy.select(table).order_by(table.c.name)).all()
        shown = list(self._schemas.values())
        return [
            (
                Connection.from_json(row.id, row.name, row.definition),
                sorted(
                    (each for each in shown if each.connection.id == row.id),
                    key=lambda each: each.namespace,
                ),
            )
            for row in rows
        ]

    def get(self, name: str) -> Connection:
        """The connection of that name; CONNECTION_NOT_FOUND."""
        table = records.connections
        with self._database.read() as connection:
            row = connection.execute(table.select().where(table.c.name == name)).first()
        if row is None:
            raise error(ErrorCode.CONNECTION_NOT_FOUND, f"there is no connection {name[:80]!r}")
        return Connection.from_json(row.id, row.name, row.definition)

    def schema(self, namespace: Namespace) -> LinkedSchema | None:
        """The linked schema of that name, whatever its case; None for schemas of our own."""
        if not self._schemas:
            return None
        return self._schemas.get(folded_key(namespace))

    def by_namespace_id(self, namespace_id: str) -> LinkedSchema | None:
        """The linked schema with that id."""
        return self._by_id.get(namespace_id)

    def remote(self, connection: Connection) -> RemoteCatalog:
        """The client of a connection's catalog, shared by all who ask it."""
        found = self._remotes.get(connection.id)
        if found is None:
            made = RemoteCatalog(connection, self._secret(connection.id))
            found = self._remotes.setdefault(connection.id, made)
        return found

    def probe(self, connection: Connection, secret: str | None, *, known: bool = False) -> Probe:
        """Asks a catalog what it has; `known` takes the secret that is kept."""
        if known:
            secret = self._secret(connection.id)
        started = time.monotonic()
        remote = RemoteCatalog(checked(connection, secret), secret)
        namespaces = remote.namespaces()
        return Probe(tuple(namespaces), _locations(remote, namespaces), time.monotonic() - started)

    # --- changing -------------------------------------------------------------------------------

    def add(
        self, connection: Connection, secret: str | None, shown: Sequence[Shown], actor: Actor
    ) -> Connection:
        """Keeps a connection and shows namespaces of it, all or nothing; asks the catalog first.

        Raises CONNECTION_ALREADY_EXISTS, SCHEMA_ALREADY_EXISTS, SCHEMA_NOT_FOUND (there is no
        such namespace over there), CONNECTION_FAILED or INVALID_ARGUMENT.
        """
        made = checked(replace(connection, id=str(uuid.uuid4())), secret)
        if not made.locations:
            raise error(
                ErrorCode.INVALID_ARGUMENT,
                "a connection needs the locations that its tables may be read from",
                hint="`headwater connection test` names the folders of some tables",
            )
        remote = RemoteCatalog(made, secret)
        targets = _targets(made, shown)
        for each in shown:
            _check_there(remote, each.remote)
        with self._changing:
            self._insert(made, secret, actor)
            try:
                for namespace, there in targets:
                    self._show(made, namespace, there, actor)
            except BaseException:
                self._remove(made, actor)
                raise
        return made

    def show(self, name: str, shown: Sequence[Shown], actor: Actor) -> None:
        """Shows more namespaces of a connection."""
        found = self.get(name)
        targets = _targets(found, shown)
        for each in shown:
            _check_there(self.remote(found), each.remote)
        with self._changing:
            for namespace, there in targets:
                self._show(found, namespace, there, actor)

    def remove(self, name: str, actor: Actor) -> list[str]:
        """Forgets a connection, its schemas, their grants and policies; the linked tables' uuids.

        Nothing changes in the other catalog.
        """
        with self._changing:
            return self._remove(self.get(name), actor)

    def _insert(self, made: Connection, secret: str | None, actor: Actor) -> None:
        table = records.connections
        if secret:
            self._keep_secret(made.id, secret)
        try:
            with catalog_write(self._database) as connection:
                if connection.execute(table.select().where(table.c.name == made.name)).first():
                    raise error(
                        ErrorCode.CONNECTION_ALREADY_EXISTS,
                        f"there is a connection {made.name} already",
                    )
                connection.execute(
                    table.insert().values(
                        id=made.id,
                        name=made.name,
                        definition=made.to_json(),
                        created_by=actor.principal_id,
                        created_ms=int(time.time() * 1000),
                    )
                )
                self._record(connection, ChangeKind.ADD_CONNECTION, made, actor)
        except BaseException:
            (self._folder / made.id).unlink(missing_ok=True)
            raise

    def _show(self, made: Connection, namespace: Namespace, there: Namespace, actor: Actor) -> None:
        comment = f"{namespace_text(there)} of connection {made.name}, read-only"
        created = self._namespaces.create(namespace, {"comment": comment}, actor)
        with catalog_write(self._database) as connection:
            connection.execute(
                records.linked_schemas.insert().values(
                    namespace_id=created.id,
                    connection_id=made.id,
                    remote=namespace_key(there),
                )
            )
        self._reload()

    def _remove(self, found: Connection, actor: Actor) -> list[str]:
        schemas, objects = records.linked_schemas, records.objects
        removed: list[str] = []
        with catalog_write(self._database) as connection:
            inside = [each for each in self._schemas.values() if each.connection.id == found.id]
            for each in inside:
                for row in connection.execute(
                    objects.select().where(objects.c.namespace_id == each.namespace_id)
                ).all():
                    removed.append(row.uuid)
                    event = ChangeEvent(
                        ChangeKind.DROP_TABLE, row.uuid, each.namespace, row.name, {"linked": True}
                    )
                    write_event(connection, self._journal, actor, event)
                links = records.linked_tables
                connection.execute(links.delete().where(links.c.namespace_id == each.namespace_id))
                connection.execute(
                    objects.delete().where(objects.c.namespace_id == each.namespace_id)
                )
                connection.execute(
                    schemas.delete().where(schemas.c.namespace_id == each.namespace_id)
                )
                spaces = records.namespaces
                connection.execute(spaces.delete().where(spaces.c.id == each.namespace_id))
                event = ChangeEvent(ChangeKind.DROP_NAMESPACE, each.namespace_id, each.namespace)
                write_event(connection, self._journal, actor, event)
            table = records.connections
            connection.execute(table.delete().where(table.c.id == found.id))
            self._record(connection, ChangeKind.REMOVE_CONNECTION, found, actor)
        self._remotes.pop(found.id, None)
        (self._folder / found.id).unlink(missing_ok=True)
        self._reload()
        return removed

    def _record(
        self,
        connection: sqlalchemy.Connection,
        kind: ChangeKind,
        found: Connection,
        actor: Actor,
    ) -> None:
        details = {"uri": found.uri, "locations": list(found.locations)}
        event = ChangeEvent(kind, found.id, (found.name,), details=details)
        write_event(connection, self._journal, actor, event)

    def _reload(self) -> None:
        schemas, spaces, table = records.linked_schemas, records.namespaces, records.connections
        query = (
            sqlalchemy.select(schemas, spaces.c.path, table.c.name, table.c.definition)
            .join_from(schemas, spaces, schemas.c.namespace_id == spaces.c.id)
            .join(table, schemas.c.connection_id == table.c.id)
        )
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        found = [
            LinkedSchema(
                row.namespace_id,
                namespace_of(row.path),
                Connection.from_json(row.connection_id, row.name, row.definition),
                namespace_of(row.remote),
            )
            for row in rows
        ]
        self._by_id = {each.namespace_id: each for each in found}
        self._schemas = {folded_key(each.namespace): each for each in found}

    # --- secrets --------------------------------------------------------------------------------

    def _keep_secret(self, connection_id: str, secret: str) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = os.open(self._folder / connection_id, flags, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secret.encode())
            file.flush()
            os.fsync(file.fileno())

    def _secret(self, connection_id: str) -> str | None:
        try:
            return (self._folder / connection_id).read_text()
        except FileNotFoundError:
            return None


def _targets(connection: Connection, shown: Sequence[Shown]) -> list[tuple[Namespace, Namespace]]:
    if not shown or len(shown) > _MOST_SCHEMAS:
        raise error(
            ErrorCode.INVALID_ARGUMENT,
            "name the namespaces to show, at least one",
            hint="`headwater connection test` lists them",
        )
    found: list[tuple[Namespace, Namespace]] = []
    for each in shown:
        name = each.schema or schema_name(connection.name, each.remote)
        if not each.remote or not all(each.remote):
            raise error(ErrorCode.INVALID_ARGUMENT, "a namespace must have at least one level")
        found.append((check_namespace((name,)), each.remote))
    if len({folded_key(namespace) for namespace, _ in found}) < len(found):
        raise error(
            ErrorCode.INVALID_ARGUMENT,
            "two namespaces would become the same schema",
            hint="choose a schema for one of them: NAMESPACE=SCHEMA",
        )
    return found


def _check_there(remote: RemoteCatalog, namespace: Namespace) -> None:
    try:
        remote.tables(namespace)
    except HeadwaterError as exc:
        if exc.code is ErrorCode.SCHEMA_NOT_FOUND:
            raise error(
                ErrorCode.SCHEMA_NOT_FOUND,
                f"the other catalog has no namespace {namespace_text(namespace)}",
                hint="`headwater connection test` lists those that it has",
            ) from None
        raise


def _locations(remote: RemoteCatalog, namespaces: Sequence[Namespace]) -> tuple[str, ...]:
    """The folders above a few tables; a namespace or table that cannot be read is left out."""
    found: dict[str, None] = {}
    looked_at = 0
    for namespace in namespaces:
        if looked_at >= _LOOKED_AT:
            break
        try:
            names = remote.tables(namespace)
            table = remote.load(TableIdentifier(namespace, names[0]), None) if names else None
        except HeadwaterError as exc:
            if exc.code in _SKIPPED:
                continue
            raise
        location = None if table is None else table.metadata.get("location")
        if isinstance(location, str) and location.isprintable() and "/" in location:
            looked_at += 1
            found[location.rstrip("/").rpartition("/")[0]] = None
    return tuple(found)
