"""Change events: the outbox that commits write to, and the journal that hears of each change."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Protocol

import sqlalchemy
from sqlalchemy import Connection

from headwater.catalog import records
from headwater.catalog.names import namespace_key, namespace_of
from headwater.model.identifiers import Namespace
from headwater.model.principal import Actor
from headwater.store.prepared import Prepared

_ADD = Prepared(
    records.events.insert().returning(records.events.c.sequence),
    [column.name for column in records.events.c if column.name != "sequence"],
    json=["details"],
)


class ChangeKind(StrEnum):
    """What happened."""

    CREATE_NAMESPACE = "create-namespace"
    UPDATE_NAMESPACE = "update-namespace"
    DROP_NAMESPACE = "drop-namespace"
    CREATE_TABLE = "create-table"
    REGISTER_TABLE = "register-table"
    UPDATE_TABLE = "update-table"
    RENAME_TABLE = "rename-table"
    DROP_TABLE = "drop-table"
    CREATE_VIEW = "create-view"
    UPDATE_VIEW = "update-view"
    RENAME_VIEW = "rename-view"
    DROP_VIEW = "drop-view"
    ADD_CONNECTION = "add-connection"
    REMOVE_CONNECTION = "remove-connection"


@dataclass(frozen=True, slots=True)
class ChangeEvent:
    """One change of the catalog.

    `object_id` is the uuid of the table or view, or the id of the namespace (then `name` is None).
    `details` depends on the kind: `namespace-id`, `metadata-location`, `snapshot-before` and
    `snapshot-after`, `updates` (their actions), `to` (new name). `at_ms` is Unix milliseconds;
    `sequence` counts up by commit order and may have gaps.
    """

    kind: ChangeKind
    object_id: str
    namespace: Namespace
    name: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    at_ms: int = 0
    sequence: int = 0
    principal_id: str = ""
    request_id: str = ""


class Journal(Protocol):
    """Hears of every change inside its database transaction; raising undoes the change."""

    def record(self, connection: Connection, actor: Actor, event: ChangeEvent) -> None:
        """Records the change in the same transaction. No file or network I/O."""
        ...


def write_event(
    connection: Connection, journal: Journal, actor: Actor, event: ChangeEvent
) -> ChangeEvent:
    """Puts the event into the outbox and tells the journal, in the change's own transaction."""
    at_ms = int(time.time() * 1000)
    rows = _ADD.rows(
        connection,
        {
            "at_ms": at_ms,
            "kind": event.kind.value,
            "object_id": event.object_id,
            "namespace": namespace_key(event.namespace),
            "name": event.name,
            "principal_id": actor.principal_id,
            "request_id": actor.request_id,
            "details": dict(event.details),
        },
    )
    written = replace(
        event,
        at_ms=at_ms,
        sequence=rows[0][0],
        principal_id=actor.principal_id,
        request_id=actor.request_id,
    )
    journal.record(connection, actor, written)
    return written


def read_events(connection: Connection, after_sequence: int, limit: int) -> list[ChangeEvent]:
    """The events after a sequence number, oldest first."""
    table = records.events
    rows = connection.execute(
        sqlalchemy.select(table)
        .where(table.c.sequence > after_sequence)
        .order_by(table.c.sequence)
        .limit(limit)
    )
    return [
        ChangeEvent(
            kind=ChangeKind(row.kind),
            object_id=row.object_id,
            namespace=namespace_of(row.namespace),
            name=row.name,
            details=row.details,
            at_ms=row.at_ms,
            sequence=row.sequence,
            principal_id=row.principal_id,
            request_id=row.request_id,
        )
        for row in rows
    ]
