"""Operations on views."""

from __future__ import annotations

import orjson

from headwater.catalog.catalog import Catalog
from headwater.catalog.entries import LoadedView, ObjectKind
from headwater.catalog.objects import no_object
from headwater.gateway.iceberg_rest.permits import Permits
from headwater.gateway.iceberg_rest.tables import list_objects
from headwater.gateway.iceberg_rest.wire import (
    NOTHING,
    Call,
    Reply,
    identifier_in,
    loaded_reply,
    need,
    objects,
)
from headwater.model.identifiers import TableIdentifier
from headwater.model.privilege import Privilege, Securable


class ViewOperations:
    """Lists, makes, loads, replaces, drops and renames views."""

    def __init__(self, catalog: Catalog, permits: Permits) -> None:
        self._catalog = catalog
        self._permits = permits

    def list(self, call: Call) -> Reply:
        """GET the views of a namespace that the caller may see."""
        return list_objects(call, self._permits, ObjectKind.VIEW)

    def create(self, call: Call) -> Reply:
        """POST a view."""
        body = call.json()
        identifier = TableIdentifier(call.namespace, need(body, "name", str))
        call.user.check(Privilege.CREATE_VIEW, Securable.schema(call.namespace))
        call.user.seal()
        if call.outcome is not None:
            return self._replayed(call, identifier)
        made = self._catalog.create_view(identifier, body, call.user.actor(), call.receipt)
        return loaded_reply(made, config={})

    def load(self, call: Call) -> Reply:
        """GET a view that the caller may read."""
        call.user.view(call.identifier)
        loaded = self._catalog.view(call.identifier)
        call.user.seal()
        return loaded_reply(loaded, config={})

    def exists(self, call: Call) -> Reply:
        """HEAD a view."""
        self._permits.see(call, call.identifier, ObjectKind.VIEW)
        entry = self._catalog.entry(call.identifier)
        if entry is None or entry.kind is not ObjectKind.VIEW:
            raise no_object(call.identifier, ObjectKind.VIEW)
        return NOTHING

    def replace(self, call: Call) -> Reply:
        """POST changes to a view."""
        body = call.json()
        call.user.check(Privilege.ALTER, Securable.view(call.identifier))
        call.user.seal()
        if call.outcome is not None:
            return self._replayed(call, call.identifier)
        changed = self._catalog.replace_view(
            call.identifier,
            objects(body, "requirements"),
            objects(body, "updates"),
            call.user.actor(),
            call.receipt,
        )
        return loaded_reply(changed, config={})

    def drop(self, call: Call) -> Reply:
        """DELETE a view."""
        if call.outcome is None:
            call.user.check(Privilege.DROP, Securable.view(call.identifier))
            call.user.seal()
            self._catalog.drop_view(call.identifier, call.user.actor(), call.receipt)
        return NOTHING

    def rename(self, call: Call) -> Reply:
        """POST a view's new name."""
        body = call.json()
        source, target = identifier_in(body, "source"), identifier_in(body, "destination")
        if call.outcome is None:
            call.user.check(Privilege.ALTER, Securable.view(source))
            call.user.check(Privilege.CREATE_VIEW, Securable.schema(target.namespace))
            call.user.seal()
            self._catalog.rename_view(source, target, call.user.actor(), call.receipt)
        return NOTHING

    def _replayed(self, call: Call, identifier: TableIdentifier) -> Reply:
        assert call.outcome is not None
        now = self._catalog.view(identifier)
        location = call.outcome.metadata_location or now.metadata_location
        content = self._catalog.warehouse.io.read_bytes(location)
        then = LoadedView(identifier, now.uuid, orjson.loads(content), content, location, 0)
        return loaded_reply(then, config={})
