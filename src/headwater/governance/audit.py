"""The audit log: what was decided and changed, for whom and why, in a chain that shows tampering.

Each event's `body` is canonical JSON (sorted keys, no spaces, UTF-8), so a name with a line break
or a quote in it cannot forge another event. `hash` is SHA-256 over the previous event's hash and
the body. Deleting, editing or reordering events breaks the chain; cutting off its end shows when a
head that was noted elsewhere (`head`) is no longer in it.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, func, select

from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.governance.ids import now_ms, uuid7
from headwater.governance.tables import audit_event, audit_head
from headwater.model.principal import Actor
from headwater.store.database import Database
from headwater.store.prepared import Prepared
from headwater.telemetry.logs import log

GENESIS = "0" * 64
"""What stands for the hash before the first event."""

_BATCH = 5_000
_IDS = 500
_LATER_SECONDS = 0.5
_LATER_MOST = 10_000
"""Events that may wait while the metastore refuses them; the oldest go to the server's log."""

_LOCK_HEAD = Prepared(select(audit_head.c.sequence, audit_head.c.hash).with_for_update())
_MOVE_HEAD = Prepared(
    audit_head.update().values(sequence=bindparam("new_sequence"), hash=bindparam("new_hash"))
)
_ADD_EVENT = Prepared(audit_event.insert(), [column.name for column in audit_event.c])

_SEARCHED = ("id", "time_ms", "kind", "outcome", "principal", "securable", "request_id")
"""The facts that are columns, too."""

_log = log("audit")


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One event as kept: its place in the chain, its facts, its hash (hex SHA-256)."""

    sequence: int
    hash: str
    facts: Mapping[str, Any]

    def for_its_principal(self) -> AuditEvent:
        """The event as the caller that it is about may read it.

        Why something was refused would tell what exists, the bytes read how much is hidden; and
        the hash would tell either, to who guesses.
        """
        withheld = {"scanned_bytes"} | ({"reasons"} if self.facts["outcome"] == "deny" else set())
        if self.facts.get("impersonator"):
            # An administrator may have tried a policy that shows more.
            withheld |= {"rows", "policies", "columns"}
        facts = {key: value for key, value in self.facts.items() if key not in withheld}
        return AuditEvent(self.sequence, "", facts)


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


class _Entry(NamedTuple):
    """An event on its way into the chain: its search columns, and its canonical JSON."""

    columns: dict[str, Any]
    body: str


class _Ticket:
    """What one caller has written, and what became of it."""

    __slots__ = ("done", "entries", "failure")

    def __init__(self, entries: list[_Entry]) -> None:
        self.entries = entries
        self.done = False
        self.failure: Exception | None = None


class AuditLog:
    """Appends events to the chain and reads them.

    Writers queue on the chain's head row (on SQLite: on the one write lock), so in a transaction
    that also changes other tables, append last. Callers that `write` at the same time share a
    transaction: whoever comes first writes for all that wait.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queue_lock = threading.Lock()
        self._waiting: list[_Ticket] = []
        self._later: list[_Entry] = []
        self._timer: threading.Timer | None = None
        self._turn = threading.Lock()
        database.before_close(self.close)

    def append(self, connection: Connection, events: Sequence[Mapping[str, Any]]) -> None:
        """Adds events in the connection's transaction.

        Each needs `id`, `kind`, `outcome`, `principal`, `securable` and `request_id`; anything else
        that JSON can hold may be there.
        """
        self._append(connection, [_entry(event) for event in events])

    def _append(self, connection: Connection, entries: Sequence[_Entry]) -> None:
        if not entries:
            return
        locked = _LOCK_HEAD.rows(connection, {})
        if not locked:
            connection.execute(audit_head.insert().values(id=1, sequence=0, hash=GENESIS))
        sequence, previous = locked[0] if locked else (0, GENESIS)
        rows = []
        for columns, body in entries:
            sequence += 1
            previous = link(previous, body)
            rows.append({**columns, "sequence": sequence, "body": body, "hash": previous})
        _ADD_EVENT.change_all(connection, rows)
        _MOVE_HEAD.change(connection, {"new_sequence": sequence, "new_hash": previous})

    def write(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Adds events; returns once they are committed, raises when they could not be."""
        ticket = _Ticket([_entry(event) for event in events])
        with self._queue_lock:
            self._waiting.append(ticket)
        with self._turn:
            if not ticket.done:
                self._write_waiting()
        if isinstance(ticket.failure, HeadwaterError):
            cause = ticket.failure
            raise error(cause.code, cause.message, hint=cause.hint) from cause
        if ticket.failure is not None:
            raise ticket.failure

    def write_missing(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Adds those of the events that are not in the log yet."""
        entries = [_entry(event) for event in events]
        with self._database.write() as connection:
            ids = [entry.columns["id"] for entry in entries]
            found = select(audit_event.c.id).where(audit_event.c.id.in_(ids))
            there: set[str] = {row.id for row in connection.execute(found)}
            missing = [entry for entry in entries if entry.columns["id"] not in there]
            self._append(connection, missing)

    def write_later(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Adds events with the next transaction, within a second; never waits, never fails.

        For what happened already: these events, and no others, are lost when the process is killed.
        """
        entries = [_entry(event) for event in events]
        with self._queue_lock:
            self._later += entries
            if self._timer is None:
                self._timer = threading.Timer(_LATER_SECONDS, self._write_late)
                self._timer.daemon = True
                self._timer.start()

    def flush(self) -> None:
        """Writes what `write_later` was given; returns once it is committed."""
        with self._turn:
            # What somebody else was writing is committed now.
            waits = bool(self._later)
        if waits:
            self.write([])

    def close(self) -> None:
        """Writes what waits, for the last time; what cannot be written goes to the log."""
        with self._queue_lock:
            timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        try:
            self.flush()
        except Exception as exc:
            _log.error("audit events were lost", count=len(self._later), why=str(exc))

    def _write_late(self) -> None:
        with self._queue_lock:
            self._timer = None
        try:
            self.flush()
        except Exception as exc:
            # They stay in the queue, and go with the next batch that can be written.
            _log.error("audit events wait", count=len(self._later), why=str(exc))

    def _write_waiting(self) -> None:
        """Writes all that waits in one transaction; the turn is the caller's."""
        with self._queue_lock:
            tickets, self._waiting = self._waiting, []
            later, self._later = self._later, []
        entries = [*later, *(entry for ticket in tickets for entry in ticket.entries)]
        try:
            with self._database.write() as connection:
                self._append(connection, entries)
        except Exception as exc:
            with self._queue_lock:
                self._later = [*later, *self._later][-_LATER_MOST:]
            for ticket in tickets:
                ticket.failure = exc
        finally:
            for ticket in tickets:
                ticket.done = True

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
                    **({"impersonator": actor.impersonator} if actor.impersonator else {}),
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
        contains: str = "",
        since_ms: int | None = None,
        until_ms: int | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> list[AuditEvent]:
        """Events that match every given filter, newest first; `before` pages by sequence.

        `contains` is text anywhere in their facts, whatever its case; that reads every event.
        """
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
        if contains:
            # As it stands in the body: with what JSON escapes escaped.
            text = json.dumps(contains)[1:-1]
            wanted = wanted.where(audit_event.c.body.icontains(text, autoescape=True))
        if since_ms is not None:
            wanted = wanted.where(audit_event.c.time_ms >= since_ms)
        if until_ms is not None:
            wanted = wanted.where(audit_event.c.time_ms < until_ms)
        if before is not None:
            wanted = wanted.where(audit_event.c.sequence < before)
        self.flush()
        with self._database.read() as connection:
            return [
                AuditEvent(row.sequence, row.hash, json.loads(row.body))
                for row in connection.execute(wanted)
            ]

    def commits(self, principal: str, session_id: str, *, since_ms: int) -> list[Mapping[str, Any]]:
        """The changes of tables' content that a session of a principal's made since a time.

        Their details, as `catalog.events.ChangeEvent` has them, with the `object_id`.
        """
        made: list[tuple[str, Mapping[str, Any]]] = []
        before: int | None = None
        while True:
            found = self.query(
                principal=principal, kind="change", since_ms=since_ms, before=before, limit=_BATCH
            )
            for event in found:
                details, decision = event.facts["details"], event.facts.get("decision_id")
                if decision and details.get("snapshot-after") is not None:
                    made.append((decision, details))
            if len(found) < _BATCH:
                break
            before = found[-1].sequence
        decisions = sorted({decision for decision, _ in made})
        mine: set[str] = set()
        for start in range(0, len(decisions), _IDS):
            some = decisions[start : start + _IDS]
            wanted = select(audit_event.c.body).where(audit_event.c.id.in_(some))
            with self._database.read() as connection:
                for row in connection.execute(wanted):
                    facts = json.loads(row.body)
                    if facts.get("session_id") == session_id:
                        mine.add(facts["id"])
        return [details for decision, details in made if decision in mine]

    def head(self) -> ChainHead:
        """The chain's end now."""
        self.flush()
        with self._database.read() as connection:
            row = connection.execute(select(audit_head)).one_or_none()
        return ChainHead(row.sequence, row.hash) if row else ChainHead(0, GENESIS)

    def verify(self, noted: ChainHead | None = None) -> Verification:
        """Recomputes the whole chain; `noted` is a head seen earlier that must still be in it.

        Events that are added meanwhile are left for the next time.
        """
        if noted is not None and noted.sequence == 0:
            noted = None
        self.flush()
        head, last = self._end()
        previous, count = GENESIS, 0
        for row in self._rows(head.sequence):
            count += 1
            problem = None
            if row["sequence"] != count:
                problem = f"event {count} is missing"
            elif link(previous, row["body"]) != row["hash"]:
                problem = f"event {count} was changed, or one before it was removed"
            elif any(row[name] != value for name, value in _columns(row["body"]).items()):
                problem = f"the search columns of event {count} were changed"
            elif noted is not None and noted.sequence == count and noted.hash != row["hash"]:
                problem = f"event {count} is not the one whose hash was noted"
            if problem is not None:
                return Verification(count, head, problem)
            previous = row["hash"]
        problem = None
        if (head.sequence, head.hash, head.sequence) != (count, previous, last):
            problem = f"the chain ends at event {last}, its head says {head.sequence}"
        elif noted is not None and noted.sequence > count:
            problem = f"events after {count} were cut off: event {noted.sequence} was noted"
        return Verification(count, head, problem)

    def _end(self) -> tuple[ChainHead, int]:
        """The head and the last event's place at one moment."""
        last = select(func.max(audit_event.c.sequence)).scalar_subquery()
        with self._database.read() as connection:
            row = connection.execute(select(audit_head, last.label("last"))).one_or_none()
            if row is None:
                alone: int | None = connection.execute(select(last)).scalar_one()
                return ChainHead(0, GENESIS), alone or 0
        return ChainHead(row.sequence, row.hash), row.last or 0

    def _rows(self, until: int) -> Iterator[dict[str, Any]]:
        last = 0
        while True:
            page = (
                select(audit_event)
                .where(audit_event.c.sequence > last, audit_event.c.sequence <= until)
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


def _entry(event: Mapping[str, Any]) -> _Entry:
    facts = {**event, "time_ms": event.get("time_ms", now_ms())}
    return _Entry({name: facts[name] for name in _SEARCHED}, canonical(facts))


def _columns(body: str) -> dict[str, Any]:
    facts = json.loads(body)
    return {name: facts[name] for name in _SEARCHED}
