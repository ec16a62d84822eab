"""Commits: changes of one table or of several at once."""

from __future__ import annotations

from collections.abc import Sequence

from headwater.catalog.catalog import Catalog
from headwater.catalog.entries import LoadedTable, TableChange
from headwater.catalog.requirements import is_create
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
        return self._tables.committed(call, self._carry_out(call, [change])[0])

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
        self._carry_out(call, changes)
        return NOTHING

    def _carry_out(self, call: Call, changes: Sequence[TableChange]) -> list[LoadedTable]:
        """Commits what the caller may commit; the audit rows that say so go with it."""
        actor = self._permits.commit(call, changes)
        if call.access is None:
            laid = [self._permits.upon_groundwork(call, change) for change in changes]
            return self._catalog.commit_all(laid, actor, call.receipt)
        if any(is_create(change.requirements) for change in changes):
            seal(call)
            return self._catalog.commit_all(changes, actor, call.receipt, foreign=True)
        with call.access.sealed_by() as decided:
            return self._catalog.commit_all(
                changes, actor, call.receipt, foreign=True, decided=decided
            )
