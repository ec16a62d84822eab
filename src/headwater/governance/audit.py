"""The audit log: what was decided and changed, for whom and why, in a chain that shows tampering.

Each event's `body` is canonical JSON (sorted keys, no spaces, UTF-8), so a name with a line break
or a quote in it cannot forge another event. `hash` is SHA-256 over the previous event's hash and
the body. Deleting, editing or reordering events breaks the chain; cutting off its end shows when a
head that was noted elsewhere (`head`) is no longer in it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from headwater.errors import ErrorCode, error
from headwater.governance.ids import now_ms, uuid7
from headwater.governance.tables import audit_event, audit_head
from headwater.model.principal import Actor
from headwater.store.database import Database

GENESIS = "0" * 64
"""What stands for the hash before the first event."""

_BATCH = 5_000


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One event as kept: its place in the chain, its facts, its hash (hex SHA-256)."""

    sequence: int
    hash: str
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ChainHead:
    """The last event's place (0: none) and hash; note it elsewhere to detect a cut-off end."""

    sequence: int
    hash: str


@dataclass(frozen=True, slots=True)
class Verification:
    """What `AuditLog.verify` found: how many events were read, and the first thing wrong."""

    events: int
    head: ChainHead
    problem: str | None = None


class AuditLog:
    """Appends events to the chain and reads them.

    Writers queue on the chain's head row (on SQLite: on the one write lock), so in a transaction
    that also changes other tables, append last.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, connection: Connection, events: Sequence[Mapping[str, Any]]) -> None:
        """Adds events in the connection's transaction.

        Each needs `id`, `kind`, `outcome`, `principal`, `securable` and `request_id`; anything else
        that JSON can hold may be there.
        """
        if not events:
            return
        locked = connection.execute(select(audit_head).with_for_update()).one_or_none()
        if locked is None:
            connection.execute(audit_head.insert().values(id=1, sequence=0, hash=GENESIS))
        sequence, previous = (locked.sequence, locked.hash) if locked else (0, GENESIS)
        rows = []
        for event in events:
            sequence += 1
            body = canonical({**event, "time_ms": event.get("time_ms", now_ms())})
            previous = link(previous, body)
            rows.append(_row(sequence, previous, body))
        connection.execute(audit_event.insert(), rows)
        connection.execute(audit_head.update().values(sequence=sequence, hash=previous))

    def write(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Adds events in a transaction of their own."""
        with self._database.write() as connection:
            self.append(connection, events)

    def change(
        self,
        connection: Connection,
        actor: Actor,
        action: str,
        *,
        securable: str,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """Records a change of principals, grants, policies or the catalog, in its transaction."""
        self.append(
            connection,
            [
                {
                    "id": uuid7(),
                    "kind": "change",
                    "outcome": "done",
                    "action": action,
                    "principal": actor.principal_name,
                    "principal_id": actor.principal_id,
                    "securable": securable,
                    "request_id": actor.request_id,
                    "decision_id": actor.decision_id,
                    "client": actor.client,
                    "details": dict(details or {}),
                }
            ],
        )

    def query(
        self,
        *,
        principal: str | None = None,
        securable: str | None = None,
        kind: str | None = None,
        outcome: str | None = None,
        request_id: str | None = None,
        since_ms: int | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> list[AuditEvent]:
        """Events that match every given filter, newest first; `before` pages by sequence."""
        wanted = select(audit_event).order_by(audit_event.c.sequence.desc()).limit(limit)
        for column, value in (
            (audit_event.c.principal, principal),
            (audit_event.c.securable, securable),
            (audit_event.c.kind, kind),
            (audit_event.c.outcome, outcome),
            (audit_event.c.request_id, request_id),
        ):
            if value is not None:
                wanted = wanted.where(column == value)
        if since_ms is not None:
            wanted = wanted.where(audit_event.c.time_ms >= since_ms)
        if before is not None:
            wanted = wanted.where(audit_event.c.sequence < before)
        with self._database.read() as connection:
            return [
                AuditEvent(row.sequence, row.hash, json.loads(row.body))
                for row in connection.execute(wanted)
            ]

    def head(self) -> ChainHead:
        """The chain's end now."""
        with self._database.read() as connection:
            row = connection.execute(select(audit_head)).one_or_none()
        return ChainHead(row.sequence, row.hash) if row else ChainHead(0, GENESIS)

    def verify(self, noted: ChainHead | None = None) -> Verification:
        """Recomputes the whole chain; `noted` is a head seen earlier that must still be in it."""
        if noted is not None and noted.sequence == 0:
            noted = None
        previous, count = GENESIS, 0
        for row in self._rows():
            count += 1
            problem = None
            if row["sequence"] != count:
                problem = f"event {count} is missing"
            elif link(previous, row["body"]) != row["hash"]:
                problem = f"event {count} was changed, or one before it was removed"
            elif _row(count, row["hash"], row["body"]) != row:
                problem = f"the search columns of event {count} were changed"
            elif noted is not None and noted.sequence == count and noted.hash != row["hash"]:
                problem = f"event {count} is not the one whose hash was noted"
            if problem is not None:
                return Verification(count, self.head(), problem)
            previous = row["hash"]
        head = self.head()
        problem = None
        if (head.sequence, head.hash) != (count, previous):
            problem = f"the chain ends at event {count}, its head says {head.sequence}"
        elif noted is not None and noted.sequence > count:
            problem = f"events after {count} were cut off: event {noted.sequence} was noted"
        return Verification(count, head, problem)

    def _rows(self) -> Iterator[dict[str, Any]]:
        last = 0
        while True:
            page = (
                select(audit_event)
                .where(audit_event.c.sequence > last)
                .order_by(audit_event.c.sequence)
                .limit(_BATCH)
            )
            with self._database.read() as connection:
                rows = [dict(row) for row in connection.execute(page).mappings()]
            yield from rows
            if len(rows) < _BATCH:
                return
            last = rows[-1]["sequence"]


def canonical(facts: Mapping[str, Any]) -> str:
    """JSON with sorted keys and no spaces; equal facts give equal text."""
    try:
        return json.dumps(
            facts, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
        )
    except (TypeError, ValueError) as exc:
        raise error(ErrorCode.INTERNAL_ERROR, f"an audit event is not JSON: {exc}") from exc


def link(previous: str, body: str) -> str:
    """The hash of an event: SHA-256, hex, over the hash before it and its body."""
    return hashlib.sha256(f"{previous}\n{body}".encode()).hexdigest()


def _row(sequence: int, digest: str, body: str) -> dict[str, Any]:
    facts = json.loads(body)
    return {
        "sequence": sequence,
        "id": facts["id"],
        "time_ms": facts["time_ms"],
        "kind": facts["kind"],
        "outcome": facts["outcome"],
        "principal": facts["principal"],
        "securable": facts["securable"],
        "request_id": facts["request_id"],
        "body": body,
        "hash": digest,
    }
