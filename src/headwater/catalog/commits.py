"""How a change of a table or view becomes one database transaction.

The new metadata file is written first; then one transaction moves the catalog's row on (compare
and swap), writes the change event and tells the journal. A crash before the transaction leaves the
old state and a stray file, which the sweeper finds; a crash after it leaves the new state.
"""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from sqlalchemy import Connection

from headwater.catalog.entries import ObjectKind, TableEntry
from headwater.catalog.events import ChangeEvent, ChangeKind, Journal, write_event
from headwater.catalog.names import check_name
from headwater.catalog.namespaces import require_namespace
from headwater.catalog.objects import (
    Objects,
    State,
    insert_object,
    overlapping_locations,
    reclaim_location,
    require_free_name,
    swap_object,
)
from headwater.catalog.receipts import Receipt, write_receipt
from headwater.catalog.schema import Json
from headwater.catalog.shapes import well_formed
from headwater.catalog.transactions import catalog_write
from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.model.identifiers import TableIdentifier
from headwater.model.principal import Actor
from headwater.storage.warehouse import Warehouse
from headwater.store.database import Database

Decided = Callable[[Connection], None]
"""Writes the audit events of the decisions that allowed a change, in the change's transaction."""

_ATTEMPTS = 5
_LOCKS = 64
_NEW_SNAPSHOTS = 8
"""How many snapshots one commit adds at most, as far as it is counted."""


@dataclass(frozen=True, slots=True)
class Step:
    """One object's part of a change: the state it starts from (None: new) and its new metadata.

    `unchanged` steps take no part in the transaction. `adopted` is the content of a metadata file
    that exists already (register), else the change writes its own.
    """

    identifier: TableIdentifier
    kind: ObjectKind
    event: ChangeKind
    base: State | None
    metadata: Json
    details: Json = field(default_factory=dict)
    unchanged: bool = False
    adopted: tuple[str, bytes] | None = None


class Committer:
    """Carries changes out; every table and view goes through here."""

    def __init__(
        self, database: Database, warehouse: Warehouse, journal: Journal, objects: Objects
    ) -> None:
        self._database = database
        self._warehouse = warehouse
        self._journal = journal
        self._objects = objects
        self._locks = [threading.Lock() for _ in range(_LOCKS)]

    def run(
        self,
        identifiers: Sequence[TableIdentifier],
        plan: Callable[[], Sequence[Step]],
        actor: Actor,
        receipt: Receipt | None = None,
        decided: Decided | None = None,
    ) -> list[State]:
        """Plans and carries out a change; all of its steps or none.

        When another change comes first, it is planned anew (which checks its requirements again),
        a few times. Threads of this process that change the same names wait for each other.
        """
        with self._turn(identifiers):
            for attempt in range(_ATTEMPTS):
                steps = plan()
                try:
                    return self._attempt(steps, actor, receipt, decided)
                except _OvertakenError:
                    time.sleep(0.01 * 2**attempt)
        raise error(
            ErrorCode.COMMIT_CONFLICT,
            "other changes kept coming first",
            hint="load the table again and retry the change",
        )

    def _attempt(
        self,
        steps: Sequence[Step],
        actor: Actor,
        receipt: Receipt | None,
        decided: Decided | None,
    ) -> list[State]:
        written: list[str] = []
        try:
            states = [self._prepared(step, written) for step in steps]
            with self._transaction() as connection:
                if decided is not None:
                    decided(connection)
                for step, state in zip(steps, states, strict=True):
                    if not step.unchanged:
                        self._apply(connection, step, state, actor)
                only = states[0].metadata_location if len(states) == 1 else None
                write_receipt(connection, receipt, only)
        except HeadwaterError as exc:
            # Nobody knows whether an interrupted commit took place: then its files must stay.
            if exc.code is not ErrorCode.COMMIT_STATE_UNKNOWN:
                self._discard(written)
            raise
        except BaseException:
            self._discard(written)
            raise
        for state in states:
            self._objects.remember(state)
        return states

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[Connection]:
        try:
            with catalog_write(self._database) as connection:
                yield connection
        except HeadwaterError as exc:
            if exc.code is ErrorCode.COMMIT_CONFLICT and not isinstance(exc, _OvertakenError):
                raise _OvertakenError(exc.code, exc.message) from exc
            raise

    @contextlib.contextmanager
    def _turn(self, identifiers: Sequence[TableIdentifier]) -> Iterator[None]:
        slots = sorted({hash(identifier) % _LOCKS for identifier in identifiers})
        with contextlib.ExitStack() as stack:
            for slot in slots:
                stack.enter_context(self._locks[slot])
            yield

    def _prepared(self, step: Step, written: list[str]) -> State:
        """The step's new state, whose metadata file is written."""
        if step.base is not None and step.unchanged:
            return step.base
        version = 0 if step.base is None else step.base.version + 1
        location: str = step.metadata["location"]
        with well_formed("the metadata"):
            base = None if step.base is None else step.base.metadata
            self._warehouse.check_table(step.metadata, base=base)
            content = orjson.dumps(step.metadata)
        if step.adopted is not None:
            uri, content = step.adopted
        else:
            if step.base is None:
                self._warehouse.io.prepare_table(location)
            uri = f"{location}/metadata/{version:05d}-{uuid.uuid4()}.metadata.json"
            self._warehouse.io.write_bytes(uri, content)
            written.append(uri)
        if step.base is not None:
            entry = step.base.entry
        else:
            entry = TableEntry(str(uuid.uuid4()), step.identifier, step.kind, "")
        return State(entry, version, uri, content, step.metadata)

    def _apply(self, connection: Connection, step: Step, state: State, actor: Actor) -> None:
        location: str = state.metadata["location"]
        moved = step.base is None or step.base.metadata["location"] != location
        if moved:
            if step.adopted is not None:
                # Registering a dropped table again takes its files back from the sweeper.
                reclaim_location(connection, location)
            others = overlapping_locations(
                connection,
                location,
                self._warehouse.ancestors(location),
                ignoring=state.entry.uuid,
            )
            self._warehouse.check_table(state.metadata, others)
        if step.base is None:
            check_name(step.identifier.name, step.kind.value)
            entry = state.entry
            namespace_id = require_free_name(connection, step.identifier)
            state.entry = TableEntry(entry.uuid, entry.identifier, entry.kind, namespace_id)
            insert_object(connection, state, location)
        elif not swap_object(connection, step.base, state, location):
            raise _OvertakenError(ErrorCode.COMMIT_CONFLICT, "a concurrent change came first")
        event = ChangeEvent(
            step.event,
            state.entry.uuid,
            step.identifier.namespace,
            step.identifier.name,
            {
                "namespace-id": state.entry.namespace_id,
                "metadata-location": state.metadata_location,
                **step.details,
            },
        )
        write_event(connection, self._journal, actor, event)

    def _discard(self, written: Sequence[str]) -> None:
        # The change failed already; a file that cannot be removed now is left to the sweeper.
        with contextlib.suppress(HeadwaterError):
            self._warehouse.io.delete(written)

    def check_location(self, metadata: Json) -> None:
        """Refuses metadata whose location is not free, as the commit itself will."""
        location: str = metadata["location"]
        with self._database.read() as connection:
            others = overlapping_locations(
                connection, location, self._warehouse.ancestors(location)
            )
        self._warehouse.check_table(metadata, others)

    def check_target(self, identifier: TableIdentifier, kind: ObjectKind) -> None:
        """Refuses a name that cannot be created, before anything is written."""
        check_name(identifier.name, kind.value)
        with self._database.read() as connection:
            require_namespace(connection, identifier.namespace)
            require_free_name(connection, identifier)


class _OvertakenError(HeadwaterError):
    """Another change came first; the plan is made again."""


def snapshot_details(base: Any, metadata: Json) -> Json:
    """The part of a change event that says how `main` moved; empty when it did not."""
    before = None if base is None else base.get("current-snapshot-id")
    after = metadata.get("current-snapshot-id")
    before, after = (None if i == -1 else i for i in (before, after))
    if before == after:
        return {}
    moved: Json = {"snapshot-before": before, "snapshot-after": after}
    added = _added_bytes(metadata, base)
    return {**moved, "added-bytes": added} if added else moved


def _added_bytes(metadata: Json, base: Any) -> int:
    """Bytes of the files that the new snapshots say they added."""
    last, total = (base or {}).get("last-sequence-number", -1), 0
    for snapshot in (metadata.get("snapshots") or [])[-_NEW_SNAPSHOTS:]:
        size = str((snapshot.get("summary") or {}).get("added-files-size", ""))
        if snapshot.get("sequence-number", 0) > last and size.isascii() and size.isdigit():
            total += int(size[:18])
    return total
