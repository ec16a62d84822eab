"""The catalog's facade: everything that other packages ask of it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
import sqlalchemy

from headwater.catalog import records
from headwater.catalog.commits import Committer, Decided, Step, snapshot_details
from headwater.catalog.creation import new_table, staged_table
from headwater.catalog.entries import (
    LoadedTable,
    LoadedView,
    NamespaceInfo,
    ObjectKind,
    RetiredLocation,
    TableChange,
    TableEntry,
)
from headwater.catalog.events import (
    ChangeEvent,
    ChangeKind,
    Journal,
    read_events,
    write_event,
)
from headwater.catalog.linked.links import Links
from headwater.catalog.linked.tables import LinkedTables
from headwater.catalog.manifests import CheckedLists, check_snapshot_files
from headwater.catalog.names import check_name
from headwater.catalog.namespaces import Namespaces
from headwater.catalog.objects import Objects, State, remove_object, rename_object
from headwater.catalog.receipts import Outcome, Receipt, find_outcome, write_receipt
from headwater.catalog.registration import read_registered
from headwater.catalog.requirements import check_requirements, is_create
from headwater.catalog.schema import Json
from headwater.catalog.shapes import well_formed
from headwater.catalog.transactions import catalog_write
from headwater.catalog.updates import apply_updates
from headwater.catalog.view_updates import apply_view_updates, new_view
from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.model.identifiers import Namespace, TableIdentifier
from headwater.model.principal import Actor
from headwater.storage.warehouse import Warehouse
from headwater.store.database import Database

_REPORTS_KEPT = 1000


class Catalog:
    """Namespaces, tables and views of one warehouse; synchronous and thread-safe.

    Metadata is raw JSON (dicts), shared and never changed. Every change is recorded for its
    `actor`, in one database transaction with its event and the journal's row; with a `receipt`,
    that is written there, too. It decides nothing about permissions: governance does, above.
    """

    def __init__(
        self,
        database: Database,
        warehouse: Warehouse,
        journal: Journal,
        links: Links | None = None,
    ) -> None:
        self.warehouse = warehouse
        self._database = database
        self._journal = journal
        self._namespaces = Namespaces(database, journal)
        self._objects = Objects(database, links)
        self.linked = LinkedTables(links, self._objects, warehouse)
        self._committer = Committer(database, warehouse, journal, self._objects)
        self._checked = CheckedLists()

    # --- namespaces -----------------------------------------------------------------------------

    def create_namespace(
        self,
        namespace: Namespace,
        properties: Mapping[str, Any],
        actor: Actor,
        receipt: Receipt | None = None,
    ) -> NamespaceInfo:
        """Makes a namespace; the one it lies in must exist."""
        for depth in range(1, len(namespace)):
            self.linked.require_own(namespace[:depth])
        return self._namespaces.create(namespace, properties, actor, receipt)

    def drop_namespace(
        self, namespace: Namespace, actor: Actor, receipt: Receipt | None = None
    ) -> None:
        """Drops an empty namespace; SCHEMA_NOT_EMPTY otherwise."""
        self.linked.require_own(namespace)
        self._namespaces.drop(namespace, actor, receipt)

    def update_namespace(
        self,
        namespace: Namespace,
        removals: Iterable[str],
        updates: Mapping[str, Any],
        actor: Actor,
        receipt: Receipt | None = None,
    ) -> NamespaceInfo:
        """Removes and sets properties of a namespace."""
        return self._namespaces.update(namespace, removals, updates, actor, receipt)

    def namespace(self, namespace: Namespace) -> NamespaceInfo:
        """The namespace of exactly that name; SCHEMA_NOT_FOUND when there is none."""
        return self._namespaces.get(namespace)

    def resolve_namespace(self, namespace: Namespace) -> NamespaceInfo | None:
        """The namespace of that name whatever its case, as SQL looks names up."""
        return self._namespaces.resolve(namespace)

    def namespaces(self, parent: Namespace = ()) -> list[NamespaceInfo]:
        """The namespaces directly in another; the outermost ones for `()`."""
        return self._namespaces.children(parent)

    def all_namespaces(self) -> list[NamespaceInfo]:
        """Every namespace at every depth."""
        return self._namespaces.all()

    # --- looking tables and views up ------------------------------------------------------------

    def tables(self, namespace: Namespace) -> list[TableEntry]:
        """The tables in a namespace, by name."""
        return self._objects.listing(namespace, ObjectKind.TABLE)

    def views(self, namespace: Namespace) -> list[TableEntry]:
        """The views in a namespace, by name."""
        return self._objects.listing(namespace, ObjectKind.VIEW)

    def all_entries(self) -> list[TableEntry]:
        """Every table and view of the catalog, by name."""
        return self._objects.all()

    def entry(self, identifier: TableIdentifier) -> TableEntry | None:
        """The table or view of exactly that name."""
        return self._objects.find(identifier)

    def resolve(self, namespace: Namespace, name: str) -> TableEntry | None:
        """The table or view of that name whatever its case, as SQL looks names up."""
        return self._objects.find(TableIdentifier(namespace, name), fold_case=True)

    def entry_by_uuid(self, object_uuid: str) -> TableEntry | None:
        """The table or view with that uuid."""
        return self._objects.by_uuid(object_uuid)

    def table(self, identifier: TableIdentifier) -> LoadedTable:
        """The table's current state, from memory when it is there; TABLE_NOT_FOUND."""
        return _table(self._objects.state(identifier, ObjectKind.TABLE))

    def view(self, identifier: TableIdentifier) -> LoadedView:
        """The view's current state; TABLE_NOT_FOUND when there is no such view."""
        return _view(self._objects.state(identifier, ObjectKind.VIEW))

    # --- tables ---------------------------------------------------------------------------------

    def create_table(
        self,
        identifier: TableIdentifier,
        request: Mapping[str, Any],
        actor: Actor,
        receipt: Receipt | None = None,
    ) -> LoadedTable:
        """Makes a table from an Iceberg CreateTableRequest."""
        metadata = self._new_metadata(identifier, request)
        step = Step(identifier, ObjectKind.TABLE, ChangeKind.CREATE_TABLE, None, metadata)
        return _table(self._committer.run([identifier], lambda: [step], actor, receipt)[0])

    def stage_table(self, identifier: TableIdentifier, request: Mapping[str, Any]) -> LoadedTable:
        """What `create_table` would make, for a client that writes files before it commits.

        Nothing is recorded; the folder is made, and its location is checked like a real one.
        """
        metadata = self._new_metadata(identifier, request)
        self._committer.check_location(metadata)
        self.warehouse.io.prepare_table(metadata["location"])
        return LoadedTable(identifier, "", metadata, orjson.dumps(metadata), "", 0)

    def commit(
        self,
        identifier: TableIdentifier,
        requirements: list[Json],
        updates: list[Json],
        actor: Actor,
        receipt: Receipt | None = None,
        *,
        foreign: bool = False,
        decided: Decided | None = None,
    ) -> LoadedTable:
        """Applies updates to a table; with `assert-create`, makes the table that was staged.

        `foreign` and `decided`: see `commit_all`.
        """
        change = TableChange(identifier, requirements, updates)
        return self.commit_all([change], actor, receipt, foreign=foreign, decided=decided)[0]

    def commit_all(
        self,
        changes: Sequence[TableChange],
        actor: Actor,
        receipt: Receipt | None = None,
        *,
        foreign: bool = False,
        decided: Decided | None = None,
    ) -> list[LoadedTable]:
        """Applies changes to several tables, all or none; each table at most once.

        `foreign` says that files were written by a client that is not ours: then every file that a
        new snapshot names must lie in its own table, or our engine would read others' for it.
        `decided` writes the audit events of what allowed the changes; not for changes that make
        tables, whose events must be there before.
        """
        identifiers = [change.identifier for change in changes]
        if len(set(identifiers)) < len(identifiers):
            raise error(ErrorCode.INVALID_ARGUMENT, "a transaction may change each table once")
        if not changes:
            raise error(ErrorCode.INVALID_ARGUMENT, "a transaction must change a table")
        for identifier in identifiers:
            self.linked.require_own(identifier.namespace, identifier.name)
        states = self._committer.run(
            identifiers,
            lambda: [self._plan(change, foreign) for change in changes],
            actor,
            receipt,
            decided,
        )
        return [_table(state) for state in states]

    def drop_table(
        self,
        identifier: TableIdentifier,
        purge: bool,
        actor: Actor,
        receipt: Receipt | None = None,
    ) -> None:
        """Drops a table; with `purge`, the sweeper deletes its files."""
        self._drop(identifier, ObjectKind.TABLE, ChangeKind.DROP_TABLE, purge, actor, receipt)

    def rename_table(
        self,
        source: TableIdentifier,
        target: TableIdentifier,
        actor: Actor,
        receipt: Receipt | None = None,
    ) -> None:
        """Renames or moves a table; its uuid and files stay."""
        self._rename(source, target, ObjectKind.TABLE, ChangeKind.RENAME_TABLE, actor, receipt)

    def register_table(
        self,
        identifier: TableIdentifier,
        metadata_location: str,
        overwrite: bool,
        actor: Actor,
        receipt: Receipt | None = None,
    ) -> LoadedTable:
        """Makes a table of an existing metadata file in the warehouse.

        With `overwrite`, an existing table of that name and the same table-uuid takes that state.
        """
        self.linked.require_own(identifier.namespace, identifier.name)
        content, metadata = read_registered(self.warehouse, metadata_location)

        def plan() -> list[Step]:
            base = None
            entry = self._objects.find(identifier)
            if entry is not None and overwrite and entry.kind is ObjectKind.TABLE:
                base = self._objects.state(identifier, ObjectKind.TABLE)
                if base.metadata["table-uuid"] != metadata["table-uuid"]:
                    raise error(
                        ErrorCode.INVALID_METADATA,
                        "the metadata file belongs to another table (its table-uuid differs)",
                        hint="drop the table first, or register under another name",
                    )
            else:
                self._committer.check_target(identifier, ObjectKind.TABLE)
            step = Step(
                identifier,
                ObjectKind.TABLE,
                ChangeKind.REGISTER_TABLE,
                base,
                metadata,
                snapshot_details(base and base.metadata, metadata),
                adopted=(metadata_location, content),
            )
            self._check_files(step, None)
            return [step]

        return _table(self._committer.run([identifier], plan, actor, receipt)[0])

    # --- views ----------------------------------------------------------------------------------

    def create_view(
        self,
        identifier: TableIdentifier,
        request: Mapping[str, Any],
        actor: Actor,
        receipt: Receipt | None = None,
    ) -> LoadedView:
        """Makes a view from an Iceberg CreateViewRequest."""
        self.linked.require_own(identifier.namespace, identifier.name)
        self._committer.check_target(identifier, ObjectKind.VIEW)
        view_uuid = str(uuid.uuid4())
        metadata = new_view(request, view_uuid, self._location(request, view_uuid))
        step = Step(identifier, ObjectKind.VIEW, ChangeKind.CREATE_VIEW, None, metadata)
        return _view(self._committer.run([identifier], lambda: [step], actor, receipt)[0])

    def replace_view(
        self,
        identifier: TableIdentifier,
        requirements: list[Json],
        updates: list[Json],
        actor: Actor,
        receipt: Receipt | None = None,
    ) -> LoadedView:
        """Applies updates to a view."""

        def plan() -> list[Step]:
            base = self._objects.state(identifier, ObjectKind.VIEW)
            check_requirements(base.metadata, requirements)
            metadata = apply_view_updates(base.metadata, updates)
            if metadata["location"] != base.metadata["location"]:
                raise _cannot_move()
            details = {"updates": [update["action"] for update in updates]}
            same = metadata == base.metadata
            return [
                Step(
                    identifier,
                    ObjectKind.VIEW,
                    ChangeKind.UPDATE_VIEW,
                    base,
                    metadata,
                    details,
                    unchanged=same,
                )
            ]

        return _view(self._committer.run([identifier], plan, actor, receipt)[0])

    def drop_view(
        self, identifier: TableIdentifier, actor: Actor, receipt: Receipt | None = None
    ) -> None:
        """Drops a view."""
        self._drop(identifier, ObjectKind.VIEW, ChangeKind.DROP_VIEW, True, actor, receipt)

    def rename_view(
        self,
        source: TableIdentifier,
        target: TableIdentifier,
        actor: Actor,
        receipt: Receipt | None = None,
    ) -> None:
        """Renames or moves a view."""
        self._rename(source, target, ObjectKind.VIEW, ChangeKind.RENAME_VIEW, actor, receipt)

    # --- what happened --------------------------------------------------------------------------

    def events(self, after_sequence: int = 0, limit: int = 1000) -> list[ChangeEvent]:
        """Change events after a sequence number, oldest first."""
        with self._database.read() as connection:
            return read_events(connection, after_sequence, limit)

    def outcome(self, principal_id: str, key: str) -> Outcome | None:
        """What the principal's earlier request with that Idempotency-Key led to."""
        with self._database.read() as connection:
            return find_outcome(connection, principal_id, key)

    def add_metrics(self, entry: TableEntry, report: Mapping[str, Any], actor: Actor) -> None:
        """Keeps a client's metrics report; only the newest thousand are kept."""
        table = records.metrics
        with self._database.write() as connection:
            result = connection.execute(
                table.insert().values(
                    at_ms=int(time.time() * 1000),
                    object_id=entry.uuid,
                    principal_id=actor.principal_id,
                    report=dict(report),
                )
            )
            key = result.inserted_primary_key
            assert key is not None
            connection.execute(table.delete().where(table.c.id <= key[0] - _REPORTS_KEPT))

    def retired(self) -> list[RetiredLocation]:
        """Locations of dropped tables and views, whose files the sweeper may look after."""
        with self._database.read() as connection:
            rows = connection.execute(sqlalchemy.select(records.retired_locations)).all()
        return [RetiredLocation(r.location, r.uuid, r.name, r.purge, r.retired_ms) for r in rows]

    def forget_retired(self, location: str) -> None:
        """Says that nothing is left at a retired location."""
        table = records.retired_locations
        with self._database.write() as connection:
            connection.execute(table.delete().where(table.c.location == location))

    # --- plans ----------------------------------------------------------------------------------

    def _plan(self, change: TableChange, foreign: bool) -> Step:
        step = self._planned(change)
        if foreign:
            self._check_files(step, None if step.base is None else step.base.metadata)
        return step

    def _check_files(self, step: Step, base: Json | None) -> None:
        """Refuses new snapshots with files outside the table's location."""
        known = {s["snapshot-id"] for s in (base or {}).get("snapshots") or ()}
        found = [s["snapshot-id"] for s in step.metadata.get("snapshots") or ()]
        new = [snapshot_id for snapshot_id in found if snapshot_id not in known]
        if new:
            with well_formed("a snapshot"):
                self.warehouse.check_table(step.metadata, base=base)
            check_snapshot_files(self.warehouse, step.metadata, new, self._checked)

    def _planned(self, change: TableChange) -> Step:
        try:
            base = self._objects.state(change.identifier, ObjectKind.TABLE)
        except HeadwaterError as exc:
            if exc.code is ErrorCode.TABLE_NOT_FOUND and is_create(change.requirements):
                return self._plan_create(change)
            raise
        check_requirements(base.metadata, change.requirements)
        metadata = apply_updates(
            base.metadata, change.updates, metadata_location=base.metadata_location
        )
        if metadata["location"] != base.metadata["location"]:
            raise _cannot_move()
        return Step(
            change.identifier,
            ObjectKind.TABLE,
            ChangeKind.UPDATE_TABLE,
            base,
            metadata,
            {
                "updates": [update["action"] for update in change.updates],
                **snapshot_details(base.metadata, metadata),
            },
            unchanged=metadata == base.metadata,
        )

    def _plan_create(self, change: TableChange) -> Step:
        self._committer.check_target(change.identifier, ObjectKind.TABLE)
        check_requirements(None, change.requirements)
        fallback = str(uuid.uuid4())
        metadata = staged_table(change.updates, fallback, self.warehouse.new_location(fallback))
        metadata["location"] = self.warehouse.check(metadata["location"])
        _check_uuid(metadata["table-uuid"])
        return Step(
            change.identifier,
            ObjectKind.TABLE,
            ChangeKind.CREATE_TABLE,
            None,
            metadata,
            snapshot_details(None, metadata),
        )

    def _new_metadata(self, identifier: TableIdentifier, request: Mapping[str, Any]) -> Json:
        self.linked.require_own(identifier.namespace, identifier.name)
        self._committer.check_target(identifier, ObjectKind.TABLE)
        table_uuid = str(uuid.uuid4())
        return new_table(request, table_uuid, self._location(request, table_uuid))

    def _location(self, request: Mapping[str, Any], object_uuid: str) -> str:
        """Where the new object goes; a relative location means nothing here and is ignored."""
        asked = request.get("location")
        if isinstance(asked, str) and ("://" in asked or asked.startswith("/")):
            return self.warehouse.check(asked)
        return self.warehouse.new_location(object_uuid)

    def _drop(
        self,
        identifier: TableIdentifier,
        kind: ObjectKind,
        event: ChangeKind,
        purge: bool,
        actor: Actor,
        receipt: Receipt | None,
    ) -> None:
        self.linked.require_own(identifier.namespace, identifier.name)
        with catalog_write(self._database) as connection:
            entry, location = remove_object(connection, identifier, kind, purge=purge)
            details = {
                "namespace-id": entry.namespace_id,
                "metadata-location": location,
                "purge": purge,
            }
            self._write_event(connection, actor, event, entry, details)
            write_receipt(connection, receipt)

    def _rename(
        self,
        source: TableIdentifier,
        target: TableIdentifier,
        kind: ObjectKind,
        event: ChangeKind,
        actor: Actor,
        receipt: Receipt | None,
    ) -> None:
        check_name(target.name, kind.value)
        for each in (source, target):
            self.linked.require_own(each.namespace, each.name)
        with catalog_write(self._database) as connection:
            entry = rename_object(connection, source, target, kind)
            details = {
                "namespace-id": entry.namespace_id,
                "to": {"namespace": list(target.namespace), "name": target.name},
            }
            self._write_event(connection, actor, event, entry, details)
            write_receipt(connection, receipt)

    def _write_event(
        self,
        connection: sqlalchemy.Connection,
        actor: Actor,
        kind: ChangeKind,
        entry: TableEntry,
        details: Json,
    ) -> None:
        identifier = entry.identifier
        event = ChangeEvent(kind, entry.uuid, identifier.namespace, identifier.name, details)
        write_event(connection, self._journal, actor, event)


def _table(state: State) -> LoadedTable:
    return LoadedTable(
        state.entry.identifier,
        state.entry.uuid,
        state.metadata,
        state.metadata_json,
        state.metadata_location,
        state.version,
    )


def _view(state: State) -> LoadedView:
    return LoadedView(
        state.entry.identifier,
        state.entry.uuid,
        state.metadata,
        state.metadata_json,
        state.metadata_location,
        state.version,
    )


def _check_uuid(text: str) -> None:
    try:
        uuid.UUID(text)
    except ValueError:
        raise error(ErrorCode.INVALID_METADATA, "table-uuid is not a UUID") from None


def _cannot_move() -> HeadwaterError:
    return error(
        ErrorCode.INVALID_LOCATION,
        "the location of an existing table or view cannot be changed",
        hint="its files stay where they are; CREATE TABLE … AS SELECT makes a copy elsewhere",
    )
