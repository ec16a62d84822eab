"""Who reads and writes a table, and which tables come from which: read from the audit log.

Every statement's decisions and commits stand there under its request id, whatever client sent it.
A statement that wrote one table and read others made an edge from each of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select

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

_LOOKED_AT = 1000
_AT_ONCE = 200
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
    """What the events of one request tell: uuids that it read and wrote."""

    reads: set[str] = field(default_factory=set)
    writes: set[str] = field(default_factory=set)
    principal: str = ""
    at_ms: int = 0
    failed: bool = False
    internal: bool = False


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
        uses: dict[tuple[str, str], list[int]] = {}
        frontier = [entry]
        for _ in range(depth):
            found: list[TableEntry] = []
            for node in frontier:
                for request in self._requests(node).values():
                    if node is entry:
                        _count_uses(uses, request, entry.uuid)
                    for pair in _edges(request, node.uuid):
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
            ids = list(dict.fromkeys(row.request_id for row in connection.execute(latest)))
            found: dict[str, _Request] = {}
            for start in range(0, len(ids), _AT_ONCE):
                wanted = audit_event.c.request_id.in_(ids[start : start + _AT_ONCE])
                rows = connection.execute(
                    select(audit_event.c.request_id, audit_event.c.body).where(wanted)
                )
                for row in rows:
                    _note(found.setdefault(row.request_id, _Request()), json.loads(row.body))
        return {
            key: request
            for key, request in found.items()
            if not request.failed
            and not request.internal
            # A table of that name may have been dropped, and another one made.
            and entry.uuid in request.reads | request.writes
        }


def _note(request: _Request, facts: Mapping[str, Any]) -> None:
    kind, action = facts["kind"], str(facts.get("action", ""))
    request.principal = request.principal or str(facts.get("principal", ""))
    request.at_ms = max(request.at_ms, int(facts.get("time_ms", 0)))
    if str(facts.get("client", "")).startswith(INTERNAL_CLIENTS):
        request.internal = True
    if kind == "completion":
        request.failed = request.failed or facts["outcome"] != "done"
    elif kind == "decision" and facts["outcome"] == "allow":
        uuid = facts.get("object_id")
        if uuid and action == "SELECT":
            request.reads.add(str(uuid))
        elif uuid and action in _WRITES:
            request.writes.add(str(uuid))
    elif kind == "change" and action in _CREATES:
        uuid = (facts.get("details") or {}).get("object_id")
        if uuid:
            request.writes.add(str(uuid))


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
