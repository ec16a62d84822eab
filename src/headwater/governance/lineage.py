"""Who reads and writes a table, and which tables come from which: read from the audit log.

Every statement's decisions and commits stand there under its request id, whatever client sent it.
A statement that wrote one table and read others made an edge from each of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, select

from headwater.catalog.catalog import Catalog
from headwater.catalog.entries import ObjectKind, TableEntry
from headwater.governance.audit import AuditLog
from headwater.governance.browse import Browser
from headwater.governance.tables import audit_event
from headwater.model.identifiers import TableIdentifier
from headwater.model.principal import Identity
from headwater.model.privilege import Securable
from headwater.store.database import Database

INTERNAL_CLIENTS = "studio:"
"""What the client of a statement that the studio asks for itself begins with."""

_WORKERS = "engine worker "
_LOOKED_AT = 1000
_AT_ONCE = 200
_SOON = 2000
_NODES = 60
_WRITES = frozenset({"INSERT", "UPDATE", "DELETE", "MERGE", "TRUNCATE"})
_CREATES = frozenset({"create-table", "create-view", "update-view"})


@dataclass(frozen=True, slots=True)
class Use:
    """How often a principal read or wrote a table, and when last (Unix milliseconds)."""

    principal: str
    action: str
    statements: int
    last_ms: int


@dataclass(frozen=True, slots=True)
class Edge:
    """Statements that wrote `target` from `source`: how many, and when last."""

    source: TableIdentifier
    target: TableIdentifier
    statements: int
    last_ms: int


@dataclass(frozen=True, slots=True)
class Node:
    """A table or view in the picture; `kind` is `table` or `view`."""

    identifier: TableIdentifier
    kind: str


@dataclass(frozen=True, slots=True)
class Picture:
    """The lineage around a table: nodes, edges, and who uses the table itself."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    uses: tuple[Use, ...]


@dataclass(slots=True)
class _Request:
    """What the events of one request tell: uuids that it read and wrote.

    `creating` holds the places of decisions that allow tables which the request does not name:
    an engine's worker makes them in requests of its own, which refer to the decision.
    """

    reads: set[str] = field(default_factory=set)
    writes: set[str] = field(default_factory=set)
    principal: str = ""
    at_ms: int = 0
    failed: bool = False
    internal: bool = False
    creating: dict[str, int] = field(default_factory=dict)


class Lineage:
    """Draws the lineage of tables from the last thousand events of each."""

    def __init__(
        self, database: Database, audit: AuditLog, catalog: Catalog, browser: Browser
    ) -> None:
        self._database = database
        self._audit = audit
        self._catalog = catalog
        self._browser = browser

    def around(self, identity: Identity, entry: TableEntry, *, depth: int, people: bool) -> Picture:
        """The tables up to `depth` edges away, as far as the caller sees them.

        With `people`, who used the table; else the caller's own uses alone.
        """
        self._audit.flush()
        seen: dict[str, TableEntry] = {entry.uuid: entry}
        edges: dict[tuple[str, str], list[int]] = {}
        counted: set[tuple[str, tuple[str, str]]] = set()
        uses: dict[tuple[str, str], list[int]] = {}
        frontier = [entry]
        for _ in range(depth):
            found: list[TableEntry] = []
            for node in frontier:
                for request_id, request in self._requests(node).items():
                    if node is entry:
                        _count_uses(uses, request, entry.uuid)
                    for pair in _edges(request, node.uuid):
                        # A statement is met at both ends of its edge.
                        if (request_id, pair) in counted:
                            continue
                        counted.add((request_id, pair))
                        if self._visible(identity, pair, seen, found):
                            _count(edges, pair, request.at_ms)
            frontier = found
        mine = identity.principal.name
        return Picture(
            nodes=tuple(Node(node.identifier, node.kind.value) for node in seen.values()),
            edges=tuple(
                Edge(seen[source].identifier, seen[target].identifier, count, last)
                for (source, target), (count, last) in edges.items()
            ),
            uses=tuple(
                Use(principal, action, count, last)
                for (principal, action), (count, last) in sorted(
                    uses.items(), key=lambda item: -item[1][1]
                )
                if people or principal == mine
            ),
        )

    def _visible(
        self,
        identity: Identity,
        pair: tuple[str, str],
        seen: dict[str, TableEntry],
        found: list[TableEntry],
    ) -> bool:
        """True when the caller sees both ends; the one that is new joins the picture."""
        for uuid in pair:
            if uuid in seen:
                continue
            entry = self._catalog.entry_by_uuid(uuid)
            if entry is None or len(seen) >= _NODES:
                return False
            if not self._browser.sees(identity, entry):
                return False
            seen[uuid] = entry
            found.append(entry)
        return True

    def _requests(self, entry: TableEntry) -> dict[str, _Request]:
        """The latest requests that had to do with a table, by id."""
        securable = (
            Securable.view(entry.identifier)
            if entry.kind is ObjectKind.VIEW
            else Securable.table(entry.identifier)
        )
        latest = (
            select(audit_event.c.request_id)
            .where(audit_event.c.securable == str(securable), audit_event.c.request_id != "")
            .order_by(audit_event.c.sequence.desc())
            .limit(_LOOKED_AT)
        )
        with self._database.read() as connection:
            ids = dict.fromkeys(row.request_id for row in connection.execute(latest))
            found: dict[str, _Request] = {}
            decided = self._fetch(connection, audit_event.c.request_id, ids, found)
            # A worker's commit names the decision of the statement that it makes the table for.
            self._fetch(connection, audit_event.c.id, decided, found)
            behind = dict.fromkeys(key for key in found if key not in ids)
            self._fetch(connection, audit_event.c.request_id, behind, found)
            self._follow(connection, found)
        return {
            key: request
            for key, request in found.items()
            if not request.failed
            and not request.internal
            # A table of that name may have been dropped, and another one made.
            and entry.uuid in request.reads | request.writes
        }

    def _fetch(
        self,
        connection: Connection,
        column: ColumnElement[str],
        values: Iterable[str],
        found: dict[str, _Request],
    ) -> list[str]:
        """Notes the events with these values; the decisions that commits among them name."""
        listed, named = list(values), []
        for start in range(0, len(listed), _AT_ONCE):
            rows = connection.execute(
                select(audit_event.c.request_id, audit_event.c.sequence, audit_event.c.body).where(
                    column.in_(listed[start : start + _AT_ONCE])
                )
            )
            for row in rows:
                facts = json.loads(row.body)
                _note(found.setdefault(row.request_id, _Request()), facts, row.sequence)
                if facts["kind"] == "change" and facts.get("decision_id"):
                    named.append(str(facts["decision_id"]))
        return named

    def _follow(self, connection: Connection, found: Mapping[str, _Request]) -> None:
        """Adds the tables that workers made for these requests, soon after they were allowed."""
        pending = [request for request in found.values() if request.creating]
        for request in pending[:_AT_ONCE]:
            first = min(request.creating.values())
            rows = connection.execute(
                select(audit_event.c.body).where(
                    audit_event.c.sequence > first,
                    audit_event.c.sequence <= first + _SOON,
                    audit_event.c.kind == "change",
                )
            )
            for row in rows:
                facts = json.loads(row.body)
                if facts.get("decision_id") in request.creating:
                    request.writes |= _made(facts)


def _note(request: _Request, facts: Mapping[str, Any], sequence: int) -> None:
    kind, action = facts["kind"], str(facts.get("action", ""))
    request.principal = request.principal or str(facts.get("principal", ""))
    request.at_ms = max(request.at_ms, int(facts.get("time_ms", 0)))
    if str(facts.get("client", "")).startswith((INTERNAL_CLIENTS, _WORKERS)):
        # A worker's commits are told by the statements that they are made for.
        request.internal = True
    if kind == "completion":
        request.failed = request.failed or facts["outcome"] != "done"
    elif kind == "decision" and facts["outcome"] == "allow":
        uuid = facts.get("object_id")
        if uuid and action == "SELECT":
            request.reads.add(str(uuid))
        elif uuid and action in _WRITES:
            request.writes.add(str(uuid))
        elif action == "CREATE TABLE":
            request.creating[str(facts["id"])] = sequence
    elif kind == "change":
        request.writes |= _made(facts)


def _made(facts: Mapping[str, Any]) -> set[str]:
    """The uuid of the table or view that a change made."""
    uuid = (facts.get("details") or {}).get("object_id")
    return {str(uuid)} if uuid and facts.get("action") in _CREATES else set()


def _edges(request: _Request, uuid: str) -> Iterable[tuple[str, str]]:
    """The edges of a request that begin or end at a table."""
    for target in request.writes:
        for source in request.reads - request.writes:
            if uuid in (source, target):
                yield source, target


def _count_uses(uses: dict[tuple[str, str], list[int]], request: _Request, uuid: str) -> None:
    action = "write" if uuid in request.writes else "read"
    _count(uses, (request.principal, action), request.at_ms)


def _count(counts: dict[tuple[str, str], list[int]], key: tuple[str, str], at_ms: int) -> None:
    held = counts.setdefault(key, [0, 0])
    held[0] += 1
    held[1] = max(held[1], at_ms)
