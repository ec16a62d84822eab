"""What a caller may see of the catalog: schemas, tables, views, columns, and names to suggest."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass

from headwater.catalog.catalog import Catalog
from headwater.catalog.entries import LoadedView, ObjectKind, TableEntry
from headwater.catalog.schema import current_schema, schema_by_id
from headwater.errors import ErrorCode
from headwater.governance.decide import EXISTS_BY, rights
from headwater.governance.resolve import Paths, schema_not_found, table_not_found
from headwater.governance.restrict import restrict, scan_column
from headwater.governance.state import PolicyStore, State, Subject
from headwater.model.identifiers import Namespace, TableIdentifier, namespace_text
from headwater.model.principal import Identity
from headwater.model.scan import ScanColumn

UNREADABLE = frozenset(
    {
        ErrorCode.TABLE_NOT_FOUND,
        ErrorCode.INVALID_METADATA,
        # of a linked table: its catalog is away, or names what may not be read
        ErrorCode.CONNECTION_FAILED,
        ErrorCode.INVALID_LOCATION,
        ErrorCode.PERMISSION_DENIED,
    }
)
"""What may befall one table of a listing and must not end the listing."""


@dataclass(frozen=True, slots=True)
class VisibleObject:
    """A table or view (`kind`) that the caller may see."""

    identifier: TableIdentifier
    uuid: str
    kind: str


class Browser:
    """Lists what a caller may see; what it may not see is not there."""

    def __init__(self, catalog: Catalog, store: PolicyStore, paths: Paths) -> None:
        self._catalog = catalog
        self._store = store
        self._paths = paths

    def schemas(self, identity: Identity, parent: Namespace | None = None) -> list[Namespace]:
        """The namespaces that the caller may see, sorted: all, or those right below `parent`.

        One is visible when the caller has any privilege on it or on anything in it.
        """
        state, subject = self._subject(identity)
        return sorted(
            namespace
            for namespace in self._visible(state, subject)
            if parent is None or namespace[:-1] == parent
        )

    def sees_schema(self, identity: Identity, namespace: Namespace) -> bool:
        """True when the namespace exists for the caller."""
        state, subject = self._subject(identity)
        return self._sees_namespace(state, subject, namespace)

    def tables(self, identity: Identity, namespace: Namespace) -> list[VisibleObject]:
        """The tables and views of a namespace that the caller may see, by name.

        Raises SCHEMA_NOT_FOUND when the namespace does not exist for the caller.
        """
        state, subject = self._subject(identity)
        if not self._sees_namespace(state, subject, namespace):
            raise schema_not_found(namespace, self.suggest_schema(identity, namespace))
        return self._tables(state, subject, namespace)

    def sees(self, identity: Identity, entry: TableEntry) -> bool:
        """True when the table or view exists for the caller."""
        state, subject = self._subject(identity)
        return self._sees(state, subject, entry)

    def columns(self, identity: Identity, identifier: TableIdentifier) -> tuple[ScanColumn, ...]:
        """The visible columns of a table (masks included) or view, in order.

        Raises TABLE_NOT_FOUND when it does not exist for the caller.
        """
        state, subject = self._subject(identity)
        entry = self._catalog.entry(identifier)
        if entry is None:
            raise table_not_found(identifier, self.suggest(identity, identifier))
        path = self._paths.object(entry, state.epoch)
        if not rights(state, subject, path).visible:
            raise table_not_found(identifier, self.suggest(identity, identifier))
        if entry.kind is ObjectKind.VIEW:
            return view_columns(self._catalog.view(identifier))
        loaded = self._catalog.table(identifier)
        fields = current_schema(loaded.metadata)["fields"]
        return restrict(state, [subject], loaded.uuid, path, fields, EXISTS_BY).columns

    def suggest(self, identity: Identity, identifier: TableIdentifier) -> str | None:
        """A visible table or view with a name like that one, for "did you mean"."""
        state, subject = self._subject(identity)
        candidates: list[str] = []
        if self._sees_namespace(state, subject, identifier.namespace):
            candidates = [
                str(found.identifier)
                for found in self._tables(state, subject, identifier.namespace)
            ]
        else:
            for namespace in self.schemas(identity):
                candidates += [
                    str(found.identifier)
                    for found in self._tables(state, subject, namespace)
                    if found.identifier.name.casefold() == identifier.name.casefold()
                ]
            if candidates:
                return candidates[0]
            closest = self.suggest_schema(identity, identifier.namespace)
            if closest is None:
                return None
            namespace = tuple(closest.split("."))
            wanted = f"{closest}.{identifier.name}"
            names = [str(found.identifier) for found in self._tables(state, subject, namespace)]
            return next(iter(difflib.get_close_matches(wanted, names, 1, 0.7)), None)
        return next(iter(difflib.get_close_matches(str(identifier), candidates, 1, 0.7)), None)

    def suggest_schema(self, identity: Identity, namespace: Namespace) -> str | None:
        """A visible namespace with a name like that one."""
        names = [namespace_text(visible) for visible in self.schemas(identity)]
        return next(iter(difflib.get_close_matches(namespace_text(namespace), names, 1, 0.6)), None)

    def _subject(self, identity: Identity) -> tuple[State, Subject]:
        state = self._store.current()
        return state, state.subject(identity)

    def _sees_namespace(self, state: State, subject: Subject, namespace: Namespace) -> bool:
        if self._privileged(state, subject, namespace):
            return True
        return namespace in self._visible(state, subject)

    def _privileged(self, state: State, subject: Subject, namespace: Namespace) -> bool:
        path = self._paths.namespace(namespace, state.epoch)
        if path is None:
            return False
        seen = rights(state, subject, path)
        return seen.visible or bool(seen.whole)

    def _visible(self, state: State, subject: Subject) -> frozenset[Namespace]:
        """All visible namespaces: those with a privilege on them, or holding something visible."""
        everything = {info.namespace for info in self._catalog.all_namespaces()}
        found = {n for n in everything if self._privileged(state, subject, n)}
        if found != everything:
            sees = self._sight(state, subject)
            for entry in self._catalog.all_entries():
                namespace = entry.identifier.namespace
                if namespace not in found and sees(entry):
                    found.add(namespace)
        outer = {namespace[:depth] for namespace in found for depth in range(1, len(namespace))}
        return frozenset(found | outer)

    def _sees(self, state: State, subject: Subject, entry: TableEntry) -> bool:
        return rights(state, subject, self._paths.object(entry, state.epoch)).visible

    def _sight(self, state: State, subject: Subject) -> Callable[[TableEntry], bool]:
        """`_sees` for many entries.

        Those without grants or denies of their own differ by namespace, kind and owner alone, so
        that one of each is decided for all.
        """
        known: dict[tuple[Namespace, ObjectKind, bool], bool] = {}

        def sees(entry: TableEntry) -> bool:
            if state.grants.get(entry.uuid):
                return self._sees(state, subject, entry)
            owned = state.owners.get(entry.uuid) in subject.active
            key = (entry.identifier.namespace, entry.kind, owned)
            if key not in known:
                known[key] = self._sees(state, subject, entry)
            return known[key]

        return sees

    def _tables(self, state: State, subject: Subject, namespace: Namespace) -> list[VisibleObject]:
        if self._paths.namespace(namespace, state.epoch) is None:
            return []
        sees = self._sight(state, subject)
        found = [
            (entry.identifier.name, VisibleObject(entry.identifier, entry.uuid, entry.kind.value))
            for entries in (self._catalog.tables(namespace), self._catalog.views(namespace))
            for entry in entries
            if sees(entry)
        ]
        found.sort(key=lambda pair: pair[0])
        return [visible for _, visible in found]


def view_columns(loaded: LoadedView) -> tuple[ScanColumn, ...]:
    """A view's columns as it declares them."""
    schema = schema_by_id(loaded.metadata, loaded.current["schema-id"])
    return tuple(scan_column(field) for field in schema["fields"]) if schema else ()
