"""Looks at a table for people who browse: what its viewer may know of it, and nothing else.

Rows and figures come from statements that run as the viewer. What metadata and manifests say of all
rows is for viewers whom no filter, mask or hidden column restricts.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headwater.catalog.catalog import Catalog
from headwater.catalog.entries import LoadedTable, ObjectKind, TableEntry
from headwater.catalog.layout import total_bytes
from headwater.catalog.schema import snapshot_by_id
from headwater.client.values import json_value, python_values
from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.governance.access import Access, AccessRequest
from headwater.governance.browse import UNREADABLE, VisibleObject
from headwater.governance.decide import rights
from headwater.governance.lineage import INTERNAL_CLIENTS, Lineage
from headwater.model.identifiers import CURRENT, SnapshotRef, TableIdentifier, namespace_text
from headwater.model.principal import Identity
from headwater.model.privilege import Privilege, Securable, SecurableKind
from headwater.model.scan import GovernedScan, ScanColumn
from headwater.model.statement import Dialect, Limits, Session, Statement
from headwater.query.profile import Profile, profile_statement, read_profile
from headwater.query.service import QueryService
from headwater.sql.types import quote

CLIENT = f"{INTERNAL_CLIENTS}data"
"""The source of statements that are run for the table pages."""

_PROFILE_SECONDS = 60.0
_PROFILES_KEPT = 500
_LARGE_BYTES = 4 * 1024**3
_CELL = 300
_MANIFESTS = 50
_SIZES_KEPT = 5000

_SHOWN = (
    Privilege.SELECT,
    Privilege.INSERT,
    Privilege.UPDATE,
    Privilege.DELETE,
    Privilege.ALTER,
    Privilege.DROP,
    Privilege.MANAGE_GRANTS,
)
_READ_ONLY = (Privilege.SELECT, Privilege.MANAGE_GRANTS)


@dataclass(frozen=True, slots=True)
class Look:
    """A table or view that the viewer sees.

    `scan` is what they may read of a table now: None for a view, and for who may not read.
    `connection` is the one whose catalog the table belongs to, None for own tables.
    """

    entry: TableEntry
    request: AccessRequest
    columns: tuple[ScanColumn, ...]
    metadata: Mapping[str, Any]
    scan: GovernedScan | None
    connection: str | None = None

    @property
    def sees_all(self) -> bool:
        """True when nothing stands between the viewer and the table's files."""
        return self.scan is not None and not self.scan.is_restricted

    @property
    def securable(self) -> Securable:
        """The table or view as grants name it."""
        identifier = self.entry.identifier
        if self.entry.kind is ObjectKind.VIEW:
            return Securable.view(identifier)
        return Securable.table(identifier)

    @property
    def privileges(self) -> list[Privilege]:
        """What the viewer may do with it."""
        shown = _SHOWN if self.connection is None else _READ_ONLY
        return [each for each in shown if self.request.allows(each, self.securable)]


@dataclass(frozen=True, slots=True)
class Sample:
    """Some rows: column names and types (Arrow's), values as JSON; texts are cut after 300."""

    columns: list[tuple[str, str]]
    rows: list[list[Any]]
    cut: bool


class Inspection:
    """Looks at tables; keeps profiles by snapshot and by what the viewer may see of it."""

    def __init__(
        self, catalog: Catalog, access: Access, queries: QueryService, lineage: Lineage
    ) -> None:
        self.lineage = lineage
        self._catalog = catalog
        self._access = access
        self._queries = queries
        self._lock = threading.Lock()
        self._profiles: OrderedDict[Any, Profile] = OrderedDict()
        self._sizes: OrderedDict[Any, int | None] = OrderedDict()

    def look(self, identity: Identity, identifier: TableIdentifier, request_id: str) -> Look:
        """The table or view; raises TABLE_NOT_FOUND when it does not exist for the viewer."""
        columns = self._access.browser.columns(identity, identifier)
        entry = self._catalog.entry(identifier)
        if entry is None:
            raise error(ErrorCode.TABLE_NOT_FOUND, f"table {identifier} does not exist")
        request = self._access.begin(
            identity, request_id=request_id, client=CLIENT, statement=f"INSPECT {identifier}"
        )
        if entry.kind is ObjectKind.VIEW:
            metadata = self._catalog.view(identifier).metadata
            return Look(entry, request, columns, metadata, None)
        loaded: LoadedTable = self._catalog.table(identifier)
        path = request.path(Securable.table(identifier))
        readable = rights(request.state, request.subject, path).some(Privilege.SELECT)
        scan = request.scan(identifier) if readable else None
        connection = self._catalog.linked.connection(identifier.namespace)
        return Look(entry, request, columns, loaded.metadata, scan, connection)

    def whole(
        self, identity: Identity, identifier: TableIdentifier, request_id: str, what: str
    ) -> Look:
        """The table, for who sees all of it; PERMISSION_DENIED for others. Audited."""
        found = self.look(identity, identifier, request_id)
        if found.entry.kind is ObjectKind.VIEW:
            raise error(ErrorCode.NOT_SUPPORTED, f"{identifier} is a view: it has no {what}")
        found.request.seal()
        if not found.sees_all:
            raise error(
                ErrorCode.PERMISSION_DENIED,
                f"the {what} of {identifier} tell about rows or values that you may not see",
                hint="ask somebody who sees the whole table",
            )
        return found

    def sample(
        self,
        identity: Identity,
        identifier: TableIdentifier,
        request_id: str,
        *,
        limit: int,
        snapshot_id: int | None = None,
    ) -> Sample:
        """The first rows as the viewer sees them, now or as of a snapshot."""
        name, version = _sql_name(identifier), ""
        columns: Sequence[ScanColumn] = self._access.browser.columns(identity, identifier)
        entry = self._catalog.entry(identifier)
        if entry is not None and entry.kind is ObjectKind.TABLE:
            at = CURRENT if snapshot_id is None else SnapshotRef(snapshot_id=snapshot_id)
            request = self._access.begin(identity, request_id=request_id, client=CLIENT)
            columns = request.scan(identifier, at).columns
            version = "" if snapshot_id is None else f" FOR VERSION AS OF {snapshot_id}"
        listed = ", ".join(_cut(column) for column in columns)
        text = f"SELECT {listed} FROM {name}{version} LIMIT {limit}"
        query = self._queries.run(Session(identity, Dialect.TRINO, source=CLIENT), text)
        table = query.table()
        query.discard()
        values = [python_values(column) for column in table.columns]
        rows = [[json_value(value) for value in row] for row in zip(*values, strict=True)]
        return Sample(
            columns=[(field.name, str(field.type)) for field in table.schema],
            rows=[[_shorter(value) for value in row] for row in rows],
            cut=any(isinstance(v, str) and len(v) > _CELL for row in rows for v in row),
        )

    def profile(
        self,
        identity: Identity,
        identifier: TableIdentifier,
        request_id: str,
        *,
        force: bool = False,
    ) -> Profile | int:
        """What the columns look like to the viewer; the table's bytes when there are too many.

        Then `force` makes the profile nevertheless. Kept until the table, or what the viewer may
        see of it, changes; every look at it is decided and audited all the same.
        """
        request = self._access.begin(identity, request_id=request_id, client=CLIENT)
        scan = request.scan(identifier)
        request.seal()
        key = (identity.principal.id, identity.role, request.state.epoch, *_facts(scan))
        with self._lock:
            known = self._profiles.get(key)
            if known is not None:
                self._profiles.move_to_end(key)
                return known
        if not force and not scan.is_restricted:
            metadata = self._catalog.table(identifier).metadata
            size = self.size(identifier, metadata, scan.snapshot_id)
            if size is None:
                size = _LARGE_BYTES + 1
            if size > _LARGE_BYTES:
                return size
        session = Session(
            identity, Dialect.DUCKDB, limits=Limits(seconds=_PROFILE_SECONDS), source=CLIENT
        )
        query = self._queries.run(session, profile_statement(identifier, scan.columns))
        found = read_profile(query.table().to_pylist()[0], scan.columns)
        query.discard()
        with self._lock:
            self._profiles[key] = found
            while len(self._profiles) > _PROFILES_KEPT:
                self._profiles.popitem(last=False)
        return found

    def create_text(self, identity: Identity, identifier: TableIdentifier, dialect: Dialect) -> str:
        """SHOW CREATE TABLE (or VIEW), as the viewer may see it."""
        entry = self._catalog.entry(identifier)
        kind = "VIEW" if entry is not None and entry.kind is ObjectKind.VIEW else "TABLE"
        name = _sql_name(identifier)
        if dialect is Dialect.SPARK:
            name = ".".join(
                "`" + part.replace("`", "``") + "`"
                for part in (namespace_text(identifier.namespace), identifier.name)
            )
            kind = "TABLE"
        table = self.run(identity, f"SHOW CREATE {kind} {name}", dialect)
        return str(table[0][0])

    def run(
        self, identity: Identity, text: str, dialect: Dialect = Dialect.TRINO
    ) -> list[tuple[Any, ...]]:
        """Runs a statement as the viewer; its rows. Raises its error."""
        session = Session(identity, dialect, source=CLIENT)
        query = self._queries.submit(session, Statement(text))
        query.finish()
        if query.error is not None:
            raise query.error
        table = query.table()
        query.discard()
        return list(zip(*(column.to_pylist() for column in table.columns), strict=True))

    def comments(self, found: Iterable[VisibleObject]) -> dict[str, str]:
        """The comments of tables and views by name; none of those that cannot be read now."""
        said: dict[str, str] = {}
        for each in found:
            load = self._catalog.view if each.kind == "view" else self._catalog.table
            try:
                metadata = load(each.identifier).metadata
            except HeadwaterError as exc:
                if exc.code in UNREADABLE:
                    continue
                raise
            comment = (metadata.get("properties") or {}).get("comment")
            if comment:
                said[each.identifier.name] = str(comment)
        return said

    def size(
        self, identifier: TableIdentifier, metadata: Mapping[str, Any], snapshot_id: int | None
    ) -> int | None:
        """Bytes of a snapshot's files: as its summary says, or else from its manifests.

        None where both would take long. For viewers who see the whole table.
        """
        if snapshot_id is None:
            return 0
        snapshot = snapshot_by_id(metadata, snapshot_id)
        told = summary_number(snapshot or {}, "total-files-size")
        if told is not None:
            return told
        key = (identifier, snapshot_id)
        with self._lock:
            if key in self._sizes:
                return self._sizes[key]
        io = self._catalog.linked.files(identifier)
        found = total_bytes(io, snapshot, most_manifests=_MANIFESTS)
        with self._lock:
            self._sizes[key] = found
            while len(self._sizes) > _SIZES_KEPT:
                self._sizes.popitem(last=False)
        return found


def summary_number(snapshot: Mapping[str, Any], name: str) -> int | None:
    """A number of a snapshot's summary, where it has one."""
    text = str((snapshot.get("summary") or {}).get(name, ""))
    return int(text) if text.isdigit() else None


def live_rows(snapshot: Mapping[str, Any]) -> int | None:
    """A snapshot's rows, as its summary knows them.

    None where it does not, or where equality deletes take away who knows how many.
    """
    total = summary_number(snapshot, "total-records")
    if total is None or summary_number(snapshot, "total-equality-deletes"):
        return None
    return max(0, total - (summary_number(snapshot, "total-position-deletes") or 0))


def may_know_owner(found: Look) -> bool:
    """True for who manages a table's grants: they may know whose it is."""
    return found.request.allows(Privilege.MANAGE_GRANTS, found.securable)


def securables_above(identifier: TableIdentifier) -> list[Securable]:
    """The schemas that a table lies in, innermost first, and the catalog."""
    levels = identifier.namespace
    inner = [Securable(SecurableKind.SCHEMA, levels[:n]) for n in range(len(levels), 0, -1)]
    return [*inner, Securable.catalog()]


def _facts(scan: GovernedScan) -> tuple[Any, ...]:
    """All of a scan that decides what its statistics are."""
    columns = tuple(
        (c.name, c.field_id, str(c.type), c.mask and (c.mask.action, c.mask.expression))
        for c in scan.columns
    )
    return scan.table_uuid, scan.snapshot_id, columns, scan.row_filter, scan.policies


def _sql_name(identifier: TableIdentifier) -> str:
    return f"{quote(namespace_text(identifier.namespace))}.{quote(identifier.name)}"


def _cut(column: ScanColumn) -> str:
    name = quote(column.name)
    if column.type == "string":
        return f"substr({name}, 1, {_CELL + 1}) AS {name}"
    return name


def _shorter(value: Any) -> Any:
    if isinstance(value, str) and len(value) > _CELL:
        return value[:_CELL] + "…"
    return value
