"""Commits: changes of one table or of several at once."""

from __future__ import annotations

from headwater.catalog.catalog import Catalog
from headwater.catalog.entries import TableChange
from headwater.gateway.iceberg_rest.permits import Permits
from headwater.gateway.iceberg_rest.tables import TableOperations, seal
from headwater.gateway.iceberg_rest.wire import (
    NOTHING,
    Call,
    Reply,
    bad_request,
    identifier_in,
    objects,
)


class CommitOperations:
    """Carries changes out, once the caller may make each of them."""

    def __init__(self, catalog: Catalog, permits: Permits, tables: TableOperations) -> None:
        self._catalog = catalog
        self._permits = permits
        self._tables = tables

    def commit(self, call: Call) -> Reply:
        """POST changes to one table."""
        body = call.json()
        named = body.get("identifier")
        if named is not None and identifier_in(body, "identifier") != call.identifier:
            raise bad_request("the body names another table than the URL")
        change = TableChange(
            call.identifier, objects(body, "requirements"), objects(body, "updates")
        )
        if call.outcome is not None:
            return self._tables.replayed(call, call.identifier)
        actor = self._permits.commit(call, [change])
        change = self._permits.upon_groundwork(call, change)
        seal(call)
        loaded = self._catalog.commit(
            change.identifier,
            change.requirements,
            change.updates,
            actor,
            call.receipt,
            foreign=call.access is not None,
        )
        return self._tables.committed(call, loaded)

    def commit_all(self, call: Call) -> Reply:
        """POST a transaction: changes to several tables, all or none."""
        changes = [
            TableChange(
                identifier_in(item, "identifier"),
                objects(item, "requirements"),
                objects(item, "updates"),
            )
            for item in objects(call.json(), "table-changes")
        ]
        if call.outcome is not None:
            return NOTHING
        actor = self._permits.commit(call, changes)
        changes = [self._permits.upon_groundwork(call, change) for change in changes]
        seal(call)
        self._catalog.commit_all(changes, actor, call.receipt, foreign=call.access is not None)
        return NOTHING
