"""What a caller may do with tables: privileges for people, leases for engine workers.

A foreign client reads and writes files by itself, so it gets a table only when the whole table is
its principal's to see. An engine worker runs SQL of ours for one statement, so it may do what that
statement was leased, in the name of whoever sent it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from headwater.catalog.entries import ObjectKind, TableChange
from headwater.catalog.requirements import is_create
from headwater.engines.engine import WriteLeases
from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.gateway.iceberg_rest.wire import Call
from headwater.governance.access import Access, AccessRequest
from headwater.model.identifiers import TableIdentifier
from headwater.model.principal import Actor
from headwater.model.privilege import Privilege, Securable
from headwater.model.scan import GovernedWrite, Groundwork, WriteOperation

_DATA_ACTIONS = frozenset({"add-snapshot", "set-snapshot-ref"})
_BY_SNAPSHOT = {"append": WriteOperation.INSERT, "delete": WriteOperation.DELETE}


def operations(change: TableChange) -> frozenset[WriteOperation]:
    """What a commit does, as privileges know it.

    A snapshot counts by the operation that it says it is; anything but an append or a delete may
    change any row, so it counts as MERGE. Moving a ref to a snapshot of this commit belongs to it;
    everything else is ALTER.
    """
    if is_create(change.requirements):
        return frozenset({WriteOperation.CREATE})
    found: set[WriteOperation] = set()
    added: set[Any] = set()
    for update in change.updates:
        action = update.get("action")
        if action == "add-snapshot":
            snapshot = update.get("snapshot")
            snapshot = snapshot if isinstance(snapshot, Mapping) else {}
            summary = snapshot.get("summary")
            kind = summary.get("operation") if isinstance(summary, Mapping) else None
            found.add(_BY_SNAPSHOT.get(str(kind), WriteOperation.MERGE))
            added.add(snapshot.get("snapshot-id"))
        elif action == "set-snapshot-ref" and update.get("snapshot-id") in added:
            continue
        elif action != "assign-uuid":
            found.add(WriteOperation.ALTER)
    return frozenset(found)


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to use a table: who to record changes for, whether it may be written."""

    actor: Actor
    writable: bool


class Permits:
    """Decides for both kinds of caller; refusals raise, allowed requests are audited by `seal`."""

    def __init__(self, access: Access, leases: WriteLeases) -> None:
        self.access = access
        self._leases = leases

    def load(self, call: Call, identifier: TableIdentifier) -> Permit:
        """Leave to load a table with all that it holds.

        TABLE_NOT_FOUND when it does not exist for the caller; PERMISSION_DENIED when it does and
        a filter, a mask or a hidden column stands between the caller and the files.
        """
        if call.access is None:
            actor, _ = self._lease(call, identifier)
            return Permit(actor, True)
        self.read(call.access, identifier)
        securable = Securable.table(identifier)
        writable = all(
            call.access.allows(privilege, securable)
            for privilege in (Privilege.INSERT, Privilege.UPDATE, Privilege.DELETE)
        )
        return Permit(call.access.actor(), writable)

    def read(self, access: AccessRequest, identifier: TableIdentifier) -> None:
        """Returns when the caller may have all that the table holds; raises as `load` does."""
        if access.scan(identifier).is_restricted:
            raise restricted(identifier)

    def commit(self, call: Call, changes: Iterable[TableChange]) -> Actor:
        """Leave to carry out all of the changes."""
        actor: Actor | None = None
        for change in changes:
            if call.access is None:
                actor, write = self._lease(call, change.identifier)
                _check_lease(change, write)
                continue
            if not _write(call.access, change):
                self.read(call.access, change.identifier)
        if call.access is not None:
            return call.access.actor()
        if actor is None:
            raise error(ErrorCode.INVALID_ARGUMENT, "a transaction must change a table")
        return actor

    def groundwork(self, call: Call, identifier: TableIdentifier) -> Groundwork | None:
        """What an engine worker's changes of the table are made on top of; None for nothing."""
        if call.access is not None:
            return None
        _, write = self._lease(call, identifier)
        return write.groundwork

    def upon_groundwork(self, call: Call, change: TableChange) -> TableChange:
        """The change with its groundwork: both become one commit.

        The engine's own requirements speak of the table that only it saw, so those of the
        groundwork stand for them.
        """
        laid = self.groundwork(call, change.identifier)
        if laid is None:
            return change
        return TableChange(
            change.identifier, [*laid.requirements], [*laid.updates, *change.updates]
        )

    def create(self, call: Call, identifier: TableIdentifier) -> Actor:
        """Leave to make a table."""
        if call.access is None:
            actor, write = self._lease(call, identifier)
            if write.operation is not WriteOperation.CREATE:
                raise not_leased(identifier)
            return actor
        call.access.write(identifier, WriteOperation.CREATE)
        return call.access.actor()

    def see(self, call: Call, identifier: TableIdentifier, kind: ObjectKind) -> None:
        """Returns when the table or view exists for the caller; TABLE_NOT_FOUND otherwise."""
        if call.access is None:
            self._lease(call, identifier)
            return
        table = kind is ObjectKind.TABLE
        securable = Securable.table(identifier) if table else Securable.view(identifier)
        call.access.check(Privilege.DESCRIBE, securable)

    def _lease(self, call: Call, identifier: TableIdentifier) -> tuple[Actor, GovernedWrite]:
        worker = call.identity.engine_worker
        found = None if worker is None else self._leases.allowed(worker, identifier)
        if found is None:
            raise not_leased(identifier)
        identity, write = found
        principal, behind = identity.principal, identity.impersonator
        actor = Actor(
            principal.id,
            principal.name,
            call.request_id,
            write.decision.id,
            client=f"engine worker {worker}",
            impersonator=behind.name if behind else None,
        )
        return actor, write


def _write(access: AccessRequest, change: TableChange) -> bool:
    """Leave for a change's operations; False when they do not tell whether the table is restricted.

    Decisions on a whole table (ALTER) refuse a restricted one by themselves, and those that read
    (DELETE, MERGE) come with a scan; looking a second time would cost a commit two more reads.
    """
    told = False
    for operation in sorted(operations(change)):
        write = access.write(change.identifier, operation)
        if write.scan is not None and write.scan.is_restricted:
            raise restricted(change.identifier)
        whole = operation in (WriteOperation.ALTER, WriteOperation.CREATE)
        told = told or whole or write.scan is not None
    return told


def _check_lease(change: TableChange, write: GovernedWrite) -> None:
    """An engine's statement changes data, or makes its table; definitions never come this way."""
    if is_create(change.requirements):
        allowed = write.operation is WriteOperation.CREATE
    else:
        only_appends = write.operation in (WriteOperation.CREATE, WriteOperation.INSERT)
        allowed = {update.get("action") for update in change.updates} <= _DATA_ACTIONS and (
            not only_appends or operations(change) <= {WriteOperation.INSERT}
        )
    if not allowed:
        raise not_leased(change.identifier)


def restricted(identifier: TableIdentifier) -> HeadwaterError:
    """The refusal for a client that would get the files of a table it may see a part of."""
    return error(
        ErrorCode.PERMISSION_DENIED,
        f"table {identifier} is filtered or masked for you, so its files are not handed out",
        hint="read it through SQL: a Trino client, JDBC, or `headwater sql`",
    )


def not_leased(identifier: TableIdentifier) -> HeadwaterError:
    """The refusal for an engine worker."""
    return error(
        ErrorCode.PERMISSION_DENIED, f"table {identifier} is not leased to this worker for that"
    )
