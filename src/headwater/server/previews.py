"""A table as two callers see it: "view as user X", and what a policy would do before it is made.

Nothing here is computed from a policy: each pane is what the engine answers to a governed query of
that very caller, with the policies as they are or as a draft would make them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
import pyarrow as pa

from headwater.catalog.entries import ObjectKind
from headwater.client.values import json_value, python_values
from headwater.errors import HeadwaterError
from headwater.governance.access import Access
from headwater.governance.decide import filters
from headwater.governance.resolve import Paths
from headwater.governance.state import FixedPolicies, State
from headwater.model.identifiers import TableIdentifier, namespace_text
from headwater.model.principal import Identity
from headwater.model.scan import ScanColumn
from headwater.model.statement import Dialect, Limits, Session, Statement
from headwater.query.history import History
from headwater.query.pipeline import Pipeline
from headwater.query.plans import PlanCache
from headwater.query.query import Query
from headwater.query.service import QueryService, Run
from headwater.query.work import Parts as QueryParts
from headwater.sql.types import quote, trino_type

Start = Sequence[tuple[str, Any]]
"""Where to begin in the order of the keys: columns, each with a value that is not NULL."""

SOURCE = "preview"
"""What the history calls these statements."""

_SECONDS = 30.0
_LONGEST_TEXT = 400
_MOST_KEYS = 12
_START_KEYS = 3
_BEFORE = 6
"""Of so many rows of the first pane, one lies before the second pane's first."""
_SORTED_ROWS = 20_000_000
_SORTABLE = ("int", "long", "string", "date", "timestamp", "timestamptz", "boolean", "decimal")


@dataclass(frozen=True, slots=True)
class PaneColumn:
    """A visible column: its Trino type, and the mask that stands in for its values."""

    name: str
    type: str
    mask: str | None
    action: str | None


@dataclass(frozen=True, slots=True)
class Pane:
    """What one caller sees: `rows` of `total`; or the error that they would get.

    Values are as the HTTP API writes them, long ones cut. `filtered` says that a row filter binds.
    """

    user: str
    role: str | None
    columns: tuple[PaneColumn, ...] = ()
    rows: list[list[Any]] = field(default_factory=list)
    total: int | None = None
    filtered: bool = False
    policies: tuple[str, ...] = ()
    error: HeadwaterError | None = None
    head: tuple[Any, ...] = ()
    """The first row as Python values."""


@dataclass(frozen=True, slots=True)
class SideBySide:
    """Two panes of one table.

    `missing` are the rows of the first pane that the second one's caller does not see; None when
    that cannot be told, because the first one sees only a part either.
    """

    first: Pane
    second: Pane
    missing: list[int] | None


class _Unrecorded(History):
    """A history that keeps nothing: how many rows a draft would show is not for its user to read.

    The audit log has the statements all the same.
    """

    def __init__(self, real: History) -> None:
        self.afterwards = real.afterwards

    def started(self, query: Query, text: str) -> None:
        """Notes nothing."""

    def ended(self, query: Query) -> None:
        """Notes nothing."""


class Previews:
    """Asks the query service on behalf of callers that were decided on before."""

    def __init__(self, queries: QueryService, parts: QueryParts) -> None:
        self._queries = queries
        self._parts = parts

    def compare(
        self,
        first: Identity,
        second: Identity,
        identifier: TableIdentifier,
        *,
        draft: State | None = None,
        narrows: bool = False,
        limit: int = 50,
    ) -> SideBySide:
        """The table as both see it; with a draft, the second as under those policies.

        When there is more than fits, the first begins just before the first row that the second
        sees.
        `narrows` says that the second cannot see a row that the first does not.
        """
        access = self._parts.access
        drafted = access if draft is None else self._drafted(draft)
        run = None
        if draft is not None:
            history = _Unrecorded(self._parts.history)
            parts = replace(self._parts, access=drafted, plans=PlanCache(), history=history)
            run = Pipeline(parts).run
        columns_a, columns_b = (
            self._columns(each, who, identifier)
            for each, who in ((access, first), (drafted, second))
        )
        keys = self._keys(identifier, columns_a, columns_b)
        pane_b = self._pane(drafted, second, identifier, columns_b, keys, limit, run)
        pane_a = self._pane(
            access, first, identifier, columns_a, keys, limit, None, _start(pane_b, keys)
        )
        return SideBySide(pane_a, pane_b, _missing(pane_a, pane_b, keys, narrows))

    def _drafted(self, draft: State) -> Access:
        access = self._parts.access
        fixed = FixedPolicies(access.store.database, draft)
        return Access(access.catalog, fixed, access.audit, Paths(access.catalog))

    def _columns(
        self, access: Access, identity: Identity, identifier: TableIdentifier
    ) -> tuple[ScanColumn, ...]:
        try:
            return access.browser.columns(identity, identifier)
        except HeadwaterError:
            return ()  # its pane tells why

    def _keys(
        self,
        identifier: TableIdentifier,
        columns_a: Sequence[ScanColumn],
        columns_b: Sequence[ScanColumn],
    ) -> list[str]:
        """What both are sorted by: columns that both see as they are, so that rows can be matched.

        None at all for a view, and for a table too large to be sorted for a look.
        """
        entry = self._parts.catalog.entry(identifier)
        if entry is None or entry.kind is not ObjectKind.TABLE or self._is_large(identifier):
            return []
        plain = {column.name for column in columns_b if column.mask is None}
        return [
            column.name
            for column in columns_a
            if column.mask is None
            and column.name in plain
            and isinstance(column.type, str)
            and column.type.startswith(_SORTABLE)
        ][:_MOST_KEYS]

    def _is_large(self, identifier: TableIdentifier) -> bool:
        metadata = self._parts.catalog.table(identifier).metadata
        for snapshot in metadata.get("snapshots") or ():
            if snapshot["snapshot-id"] == metadata.get("current-snapshot-id"):
                count = (snapshot.get("summary") or {}).get("total-records")
                return count is not None and int(count) > _SORTED_ROWS
        return False

    def _pane(
        self,
        access: Access,
        identity: Identity,
        identifier: TableIdentifier,
        columns: Sequence[ScanColumn],
        keys: Sequence[str],
        limit: int,
        run: Run | None,
        start: Start = (),
    ) -> Pane:
        who = Pane(identity.principal.name, identity.role)
        name = f"{quote(namespace_text(identifier.namespace))}.{quote(identifier.name)}"
        order = f" ORDER BY {', '.join(map(quote, keys))}" if keys else ""
        counted = self._ask(identity, f"SELECT count(*) FROM {name}", run)
        try:
            total = counted.table().column(0)[0].as_py()
            condition, values = _from(start) if total > limit else ("", [])
            # Some of what comes right before: it shows that there is more than the second sees.
            before = limit // _BEFORE if condition else 0
            where = f" WHERE {condition}" if condition else ""
            asked = f"SELECT * FROM {name}{where}{order} LIMIT {limit - before}"
            table = self._ask(identity, asked, run, values).table()
            if before:
                back = ", ".join(f"{quote(key)} DESC NULLS FIRST" for key in keys)
                asked = f"SELECT * FROM {name} WHERE NOT {condition} ORDER BY {back} LIMIT {before}"
                found = self._ask(identity, asked, run, values).table()
                places = list(range(found.num_rows - 1, -1, -1))
                table = pa.concat_tables([found.take(places), table])
        except HeadwaterError as exc:
            return replace(who, error=exc)
        masks = {column.name: column for column in columns}
        raw = [python_values(column) for column in table.columns]
        state = access.store.current()
        entry = access.catalog.entry(identifier)
        bound = filters(state, state.subject(identity), entry.uuid) if entry else ()
        return replace(
            who,
            columns=tuple(_column(field.name, masks.get(field.name)) for field in table.schema),
            rows=[[_short(value) for value in row] for row in zip(*raw, strict=True)],
            head=tuple(column[0] for column in raw) if table.num_rows else (),
            total=total,
            filtered=bool(bound),
            policies=tuple(policy.label for policy in bound),
        )

    def _ask(
        self, identity: Identity, sql: str, run: Run | None, values: Sequence[Any] = ()
    ) -> Query:
        limits = Limits(seconds=_SECONDS)
        session = Session(identity, Dialect.TRINO, source=SOURCE, limits=limits)
        return self._queries.submit(session, Statement(sql, tuple(values)), run)


def _column(name: str, scanned: ScanColumn | None) -> PaneColumn:
    if scanned is None:
        return PaneColumn(name, "", None, None)
    mask = scanned.mask
    return PaneColumn(
        name,
        trino_type(scanned.type),
        mask.name if mask else None,
        mask.action.value if mask else None,
    )


def _start(pane: Pane, keys: Sequence[str]) -> Start:
    """The pane's first row, by the first of the keys; none when a NULL is among them."""
    row = dict(zip((column.name for column in pane.columns), pane.head, strict=False))
    found = [(key, row[key]) for key in keys[:_START_KEYS] if key in row]
    return found if all(value is not None for _, value in found) else ()


def _from(start: Start) -> tuple[str, list[Any]]:
    """A condition for the rows from `start` on, NULLs last as they are sorted, and its values."""
    condition, values = "", list[Any]()
    for place, (key, value) in enumerate(reversed(start)):
        name = quote(key)
        sign = ">" if place else ">="
        condition = f"({name} {sign} ? OR {name} IS NULL" + (
            f" OR ({name} = ? AND {condition}))" if place else ")"
        )
        values = [value, *([value] if place else []), *values]
    return condition, values


def _short(value: Any) -> Any:
    written = json_value(value)
    if isinstance(written, str) and len(written) > _LONGEST_TEXT:
        return written[:_LONGEST_TEXT] + "…"
    return written


def _missing(first: Pane, second: Pane, keys: Sequence[str], narrows: bool) -> list[int] | None:
    """Places of the first pane's rows that are not in the second, both sorted by `keys`.

    What the second sees is among what the first does, if no filter binds the first (or the second
    is narrower anyway); so among its first rows is every one that it sees of the first's.
    """
    if first.error or second.error or not keys or (first.filtered and not narrows):
        return None
    wanted = Counter(_marks(second, keys))
    missing = []
    for place, mark in enumerate(_marks(first, keys)):
        if wanted[mark] > 0:
            wanted[mark] -= 1
        else:
            missing.append(place)
    return missing


def _marks(pane: Pane, keys: Sequence[str]) -> list[bytes]:
    names = [column.name for column in pane.columns]
    places = [names.index(key) for key in keys if key in names]
    return [orjson.dumps([row[place] for place in places]) for row in pane.rows]
