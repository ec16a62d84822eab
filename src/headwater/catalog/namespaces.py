"""Namespaces in the metastore: nested, with properties, named by people and identified by UUIDs."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

import orjson
import sqlalchemy
from sqlalchemy import Connection

from headwater.catalog import records
from headwater.catalog.entries import NamespaceInfo
from headwater.catalog.events import ChangeEvent, ChangeKind, Journal, write_event
from headwater.catalog.names import SEPARATOR, check_namespace, fold, namespace_key, namespace_of
from headwater.catalog.receipts import Receipt, write_receipt
from headwater.catalog.transactions import catalog_write
from headwater.catalog.updates import property_texts
from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.model.identifiers import Namespace, namespace_text
from headwater.model.principal import Actor
from headwater.store.database import Database

_TABLE = records.namespaces


class Namespaces:
    """Creates, lists, changes and drops namespaces."""

    def __init__(self, database: Database, journal: Journal) -> None:
        self._database = database
        self._journal = journal

    def create(
        self,
        namespace: Namespace,
        properties: Mapping[str, Any],
        actor: Actor,
        receipt: Receipt | None = None,
    ) -> NamespaceInfo:
        """Makes a namespace; the one it lies in must exist."""
        check_namespace(namespace)
        texts = property_texts(properties)
        created = NamespaceInfo(str(uuid.uuid4()), namespace, texts)
        with catalog_write(self._database) as connection:
            if _row(connection, namespace) is not None:
                raise error(
                    ErrorCode.SCHEMA_ALREADY_EXISTS,
                    f"Namespace already exists: {namespace_text(namespace)}",
                )
            parent = None
            if len(namespace) > 1:
                parent = require_namespace(connection, namespace[:-1]).id
            connection.execute(
                _TABLE.insert().values(
                    id=created.id,
                    parent_id=parent,
                    path=namespace_key(namespace),
                    folded=folded_key(namespace),
                    properties=orjson.dumps(texts).decode(),
                )
            )
            self._record(connection, actor, ChangeKind.CREATE_NAMESPACE, created, {})
            write_receipt(connection, receipt)
        return created

    def drop(self, namespace: Namespace, actor: Actor, receipt: Receipt | None = None) -> None:
        """Drops a namespace that holds nothing; SCHEMA_NOT_EMPTY otherwise."""
        with catalog_write(self._database) as connection:
            found = require_namespace(connection, namespace)
            for column in (records.objects.c.namespace_id, _TABLE.c.parent_id):
                held = sqlalchemy.select(column).where(column == found.id).limit(1)
                if connection.execute(held).first() is not None:
                    raise error(
                        ErrorCode.SCHEMA_NOT_EMPTY,
                        f"Namespace {namespace_text(namespace)} is not empty",
                        hint="drop its tables, views and inner namespaces first",
                    )
            connection.execute(_TABLE.delete().where(_TABLE.c.id == found.id))
            self._record(connection, actor, ChangeKind.DROP_NAMESPACE, found, {})
            write_receipt(connection, receipt)

    def update(
        self,
        namespace: Namespace,
        removals: Iterable[str],
        updates: Mapping[str, Any],
        actor: Actor,
        receipt: Receipt | None = None,
    ) -> NamespaceInfo:
        """Removes and sets properties; removing one that is not set is fine."""
        texts, removed = property_texts(updates), set(removals)
        with catalog_write(self._database) as connection:
            found = require_namespace(connection, namespace)
            kept = {k: v for k, v in found.properties.items() if k not in removed}
            changed = NamespaceInfo(found.id, found.namespace, {**kept, **texts})
            connection.execute(
                _TABLE.update()
                .where(_TABLE.c.id == found.id)
                .values(properties=orjson.dumps(changed.properties).decode())
            )
            details = {"updated": sorted(texts), "removed": sorted(removed)}
            self._record(connection, actor, ChangeKind.UPDATE_NAMESPACE, changed, details)
            write_receipt(connection, receipt)
        return changed

    def get(self, namespace: Namespace) -> NamespaceInfo:
        """The namespace of exactly that name; SCHEMA_NOT_FOUND when there is none."""
        with self._database.read() as connection:
            return require_namespace(connection, namespace)

    def resolve(self, namespace: Namespace) -> NamespaceInfo | None:
        """The namespace of that name whatever its case, as SQL looks names up."""
        with self._database.read() as connection:
            return _row(connection, namespace)

    def children(self, parent: Namespace) -> list[NamespaceInfo]:
        """The namespaces directly in another (`()`: the outermost ones), by name."""
        query = sqlalchemy.select(_TABLE).order_by(_TABLE.c.path)
        with self._database.read() as connection:
            inside = require_namespace(connection, parent).id if parent else None
            rows = connection.execute(
                query.where(
                    _TABLE.c.parent_id.is_(None) if inside is None else _TABLE.c.parent_id == inside
                )
            )
            return sorted((_info(row) for row in rows), key=lambda info: info.namespace)

    def all(self) -> list[NamespaceInfo]:
        """Every namespace at every depth, by name."""
        with self._database.read() as connection:
            rows = connection.execute(sqlalchemy.select(_TABLE))
            return sorted((_info(row) for row in rows), key=lambda info: info.namespace)

    def _record(
        self,
        connection: Connection,
        actor: Actor,
        kind: ChangeKind,
        info: NamespaceInfo,
        details: Mapping[str, Any],
    ) -> None:
        event = ChangeEvent(kind, info.id, info.namespace, details=details)
        write_event(connection, self._journal, actor, event)


def folded_key(namespace: Namespace) -> str:
    """The namespace under which SQL finds it, levels joined by the unit separator."""
    return SEPARATOR.join(fold(level) for level in namespace)


def require_namespace(connection: Connection, namespace: Namespace) -> NamespaceInfo:
    """The namespace of exactly that name; SCHEMA_NOT_FOUND when there is none."""
    found = _row(connection, namespace)
    if found is None or found.namespace != namespace:
        raise no_namespace(namespace)
    return found


def no_namespace(namespace: Namespace) -> HeadwaterError:
    """The error for a namespace that does not exist."""
    return error(
        ErrorCode.SCHEMA_NOT_FOUND, f"Namespace does not exist: {namespace_text(namespace)[:300]}"
    )


def _row(connection: Connection, namespace: Namespace) -> NamespaceInfo | None:
    row = connection.execute(
        sqlalchemy.select(_TABLE).where(_TABLE.c.folded == folded_key(namespace))
    ).first()
    return None if row is None else _info(row)


def _info(row: Any) -> NamespaceInfo:
    return NamespaceInfo(row.id, namespace_of(row.path), orjson.loads(row.properties))
