"""What governance does inside each catalog change: owners, grants of what is gone, audit."""

from __future__ import annotations

from sqlalchemy import Connection, delete, select

from headwater.catalog.events import ChangeEvent, ChangeKind
from headwater.governance import tables
from headwater.governance.audit import AuditLog
from headwater.governance.state import bump_epoch
from headwater.model.identifiers import namespace_text
from headwater.model.principal import SYSTEM, Actor

_CREATES = frozenset(
    {
        ChangeKind.CREATE_NAMESPACE,
        ChangeKind.CREATE_TABLE,
        ChangeKind.REGISTER_TABLE,
        ChangeKind.CREATE_VIEW,
    }
)
_TEXT_UPDATES = frozenset({"add-view-version", "set-current-view-version"})
_DROPS = frozenset({ChangeKind.DROP_NAMESPACE, ChangeKind.DROP_TABLE, ChangeKind.DROP_VIEW})


class GovernanceJournal:
    """Records every change of the catalog in its own transaction (`catalog.events.Journal`).

    Who creates an object owns it. Dropping it drops its grants and policies, so that a new object
    of the same name begins without. Who chooses a view's text becomes its owner, since the text is
    read with the owner's rights.
    """

    def __init__(self, audit: AuditLog) -> None:
        self._audit = audit

    def record(self, connection: Connection, actor: Actor, event: ChangeEvent) -> None:
        """Adds the audit event, and keeps owners, grants and policies in step."""
        if event.kind in _CREATES:
            self._own(connection, actor, event.object_id, replace=False)
        elif event.kind is ChangeKind.UPDATE_VIEW and _chooses_text(event):
            self._own(connection, actor, event.object_id, replace=True)
        elif event.kind in _DROPS:
            for table in (tables.privilege_grant, tables.object_owner):
                connection.execute(delete(table).where(table.c.object_id == event.object_id))
            connection.execute(
                delete(tables.policy).where(tables.policy.c.table_uuid == event.object_id)
            )
            bump_epoch(connection)
        name = namespace_text(event.namespace) + (f".{event.name}" if event.name else "")
        self._audit.change(
            connection,
            actor,
            event.kind.value,
            securable=f"{_noun(event.kind)} {name}",
            details={"object_id": event.object_id, **event.details},
        )

    def binds(self, connection: Connection, object_id: str) -> bool:
        """True when a grant, a deny, a row filter or a mask is bound to the object itself."""
        held = (
            select(tables.privilege_grant.c.id).where(
                tables.privilege_grant.c.object_id == object_id
            ),
            select(tables.policy.c.id).where(tables.policy.c.table_uuid == object_id),
        )
        return any(connection.execute(query.limit(1)).first() is not None for query in held)

    def _own(self, connection: Connection, actor: Actor, object_id: str, *, replace: bool) -> None:
        table = tables.object_owner
        owned = connection.execute(
            table.select().where(table.c.object_id == object_id)
        ).one_or_none()
        if owned is not None and not replace:
            return
        connection.execute(delete(table).where(table.c.object_id == object_id))
        if actor.principal_id != SYSTEM.principal_id:
            connection.execute(
                table.insert().values(object_id=object_id, owner_id=actor.principal_id)
            )
        bump_epoch(connection)


def _chooses_text(event: ChangeEvent) -> bool:
    updates = event.details.get("updates")
    # Going back to an older version counts too: its text would run with the present owner's rights.
    return updates is None or bool(_TEXT_UPDATES.intersection(updates))


def _noun(kind: ChangeKind) -> str:
    noun = kind.value.rpartition("-")[2]
    return "schema" if noun == "namespace" else noun
