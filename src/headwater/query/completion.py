"""What may be typed next in a statement, of what its writer may see."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from headwater.errors import ErrorCode, HeadwaterError
from headwater.governance.browse import UNREADABLE, Browser
from headwater.governance.state import PolicyStore
from headwater.model.identifiers import CATALOG_NAME, Namespace, TableIdentifier, namespace_text
from headwater.model.principal import Identity
from headwater.model.scan import ScanColumn
from headwater.model.statement import Dialect
from headwater.sql.complete import STARTS, WORDS, Place, Source, Typing, as_written, look
from headwater.sql.functions import function_names
from headwater.sql.types import trino_type

_REMEMBERED_SECONDS = 3.0
_REMEMBERED = 64
_SOURCES = 20


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to type: what is shown, what is written, its kind, type and comment."""

    label: str
    apply: str
    kind: str
    detail: str | None = None
    info: str | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """Items for the text between two offsets; `incomplete` when there are more than these."""

    start: int
    end: int
    items: list[Item]
    incomplete: bool


@dataclass(frozen=True, slots=True)
class _Names:
    """The visible tables and views of a schema, sorted by their names in lower case."""

    folded: list[str]
    names: list[str]
    kinds: list[str]
    read_at: float

    def beginning(self, prefix: str, most: int) -> Iterator[tuple[str, str]]:
        """Name and kind of those that begin with a prefix, `most` at most."""
        prefix = prefix.casefold()
        start = bisect_left(self.folded, prefix)
        for index in range(start, min(start + most, len(self.folded))):
            if not self.folded[index].startswith(prefix):
                return
            yield self.names[index], self.kinds[index]

    def holding(self, part: str, most: int) -> Iterator[tuple[str, str]]:
        """Name and kind of those that have a part in them, not at their beginning."""
        part = part.casefold()
        if not part:
            return
        for index, folded in enumerate(self.folded):
            if most and folded.find(part) > 0:
                most -= 1
                yield self.names[index], self.kinds[index]


class Completer:
    """Completes statements; remembers for three seconds what a caller sees of a schema.

    A change of grants ends that at once, for what is remembered belongs to a policy epoch.
    """

    def __init__(self, browser: Browser, policies: PolicyStore) -> None:
        self._browser = browser
        self._policies = policies
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str | None, int, Namespace], _Names] = {}

    def complete(
        self,
        identity: Identity,
        text: str,
        cursor: int,
        *,
        dialect: Dialect,
        schema: str | None,
        limit: int,
    ) -> Completion:
        """At most `limit` items for the cursor, the likeliest first."""
        typing = look(text, cursor, dialect)
        found: dict[tuple[str, str], Item] = {}
        for item in self._items(identity, typing, dialect, schema, limit + 1):
            found.setdefault((item.kind, item.label), item)
            if len(found) > limit:
                break
        items = list(found.values())[:limit]
        return Completion(typing.start, cursor, items, len(found) > limit)

    def _items(
        self, identity: Identity, typing: Typing, dialect: Dialect, schema: str | None, most: int
    ) -> Iterator[Item]:
        if typing.place is Place.NOTHING:
            return
        if typing.place is Place.START and not typing.qualifier and not typing.quote:
            yield from _matching(typing.prefix, (Item(w, w, "keyword") for w in STARTS))
            return
        if typing.qualifier:
            if typing.place is not Place.TABLE:
                yield from self._columns_of(identity, typing, dialect, schema)
            yield from self._tables_in(identity, typing, dialect, most)
            return
        if typing.place is Place.TABLE:
            yield from self._tables(identity, typing, dialect, schema, most)
            return
        yield from self._columns(identity, typing, dialect, schema)
        if typing.quote:
            return
        aliases = [source.alias or source.parts[-1] for source in typing.sources]
        yield from _matching(
            typing.prefix, (Item(a, as_written(a, dialect), "table", "in use") for a in aliases)
        )
        words = (Item(word, word, "keyword") for word in WORDS)
        functions = (Item(name, name, "function") for name in function_names(dialect))
        yield from _beginning(typing.prefix, words)
        yield from _beginning(typing.prefix, functions)
        if typing.prefix:
            yield from self._tables(identity, typing, dialect, schema, most)

    def _tables(
        self, identity: Identity, typing: Typing, dialect: Dialect, schema: str | None, most: int
    ) -> Iterator[Item]:
        """Tables of the current schema, then schemas, then tables of all others."""
        prefix = typing.prefix
        yield from _matching(prefix, (Item(n, n, "table", "WITH") for n in typing.local))
        here = _namespace(schema)
        if here is not None:
            yield from self._named(identity, here, prefix, dialect, most, "")
        namespaces = self._browser.schemas(identity)
        yield from _matching(prefix, (_schema_item(namespace_text(n), dialect) for n in namespaces))
        for namespace in namespaces:
            if namespace != here and prefix:
                before = _schema_item(namespace_text(namespace), dialect).apply + "."
                yield from self._named(identity, namespace, prefix, dialect, most, before)

    def _tables_in(
        self, identity: Identity, typing: Typing, dialect: Dialect, most: int
    ) -> Iterator[Item]:
        """Tables and nested schemas of the schema before the dot."""
        qualifier = typing.qualifier
        if qualifier[0].casefold() == CATALOG_NAME and len(qualifier) == 1:
            schemas = (namespace_text(n) for n in self._browser.schemas(identity))
            yield from _matching(typing.prefix, (_schema_item(name, dialect) for name in schemas))
            return
        if qualifier[0].casefold() == CATALOG_NAME:
            qualifier = qualifier[1:]
        namespace = tuple(level for part in qualifier for level in part.split("."))
        wanted = tuple(level.casefold() for level in namespace)
        for visible in self._browser.schemas(identity):
            folded = tuple(level.casefold() for level in visible)
            if folded == wanted:
                yield from self._named(identity, visible, typing.prefix, dialect, most, "")
            elif folded[:-1] == wanted:
                name = visible[-1]
                yield from _matching(
                    typing.prefix, [Item(name, as_written(name, dialect), "schema")]
                )

    def _named(
        self,
        identity: Identity,
        namespace: Namespace,
        prefix: str,
        dialect: Dialect,
        most: int,
        before: str,
    ) -> Iterator[Item]:
        names = self._names(identity, namespace)
        detail = namespace_text(namespace)
        for found in (names.beginning(prefix, most), names.holding(prefix, most)):
            for name, kind in found:
                yield Item(name, before + as_written(name, dialect), kind, detail)

    def _columns(
        self, identity: Identity, typing: Typing, dialect: Dialect, schema: str | None
    ) -> Iterator[Item]:
        """The columns of all tables in use."""
        for source in typing.sources[:_SOURCES]:
            yield from self._of(identity, source, typing.prefix, dialect, schema)

    def _columns_of(
        self, identity: Identity, typing: Typing, dialect: Dialect, schema: str | None
    ) -> Iterator[Item]:
        """The columns of the table or alias before the dot."""
        wanted = tuple(part.casefold() for part in typing.qualifier)
        for source in typing.sources[:_SOURCES]:
            parts = tuple(part.casefold() for part in source.parts)
            alias = (source.alias.casefold(),) if source.alias else None
            if wanted == alias or (alias is None and parts[-len(wanted) :] == wanted):
                yield from self._of(identity, source, typing.prefix, dialect, schema)

    def _of(
        self,
        identity: Identity,
        source: Source,
        prefix: str,
        dialect: Dialect,
        schema: str | None,
    ) -> Iterator[Item]:
        name = source.parts[-1]
        levels = tuple(level for part in source.parts[:-1] for level in part.split("."))
        if len(levels) > 1 and levels[0].casefold() == CATALOG_NAME:
            levels = levels[1:]
        namespace = levels or _namespace(schema)
        if namespace is None:
            return
        columns = (
            Item(
                column.name,
                as_written(column.name, dialect),
                "column",
                trino_type(column.type) + (", masked" if column.mask else ""),
                column.comment,
            )
            for column in self._visible_columns(identity, namespace, name)
        )
        yield from _matching(prefix, columns)

    def _visible_columns(
        self, identity: Identity, namespace: Namespace, name: str
    ) -> tuple[ScanColumn, ...]:
        try:
            return self._browser.columns(identity, TableIdentifier(namespace, name))
        except HeadwaterError as exc:
            if exc.code in UNREADABLE:
                return ()
            raise

    def _names(self, identity: Identity, namespace: Namespace) -> _Names:
        epoch = self._policies.current().epoch
        key = (identity.principal.id, identity.role, epoch, namespace)
        now = time.monotonic()
        with self._lock:
            known = self._known.get(key)
        if known is not None and now - known.read_at < _REMEMBERED_SECONDS:
            return known
        try:
            visible = self._browser.tables(identity, namespace)
        except HeadwaterError as exc:
            if exc.code is not ErrorCode.SCHEMA_NOT_FOUND:
                raise
            visible = []
        ordered = sorted((v.identifier.name.casefold(), v.identifier.name, v.kind) for v in visible)
        names = _Names(
            [o[0] for o in ordered], [o[1] for o in ordered], [o[2] for o in ordered], now
        )
        with self._lock:
            self._known.pop(key, None)
            self._known[key] = names
            while len(self._known) > _REMEMBERED:
                del self._known[next(iter(self._known))]
        return names


def _namespace(schema: str | None) -> Namespace | None:
    return tuple(schema.split(".")) if schema else None


def _schema_item(name: str, dialect: Dialect) -> Item:
    return Item(name, as_written(name, dialect), "schema")


def _beginning(prefix: str, items: Iterable[Item]) -> Iterator[Item]:
    folded = prefix.casefold()
    return (item for item in items if item.label.casefold().startswith(folded))


def _matching(prefix: str, items: Iterable[Item]) -> Iterator[Item]:
    """Those that begin with the prefix, then those that have it inside."""
    folded = prefix.casefold()
    inside = []
    for item in items:
        place = item.label.casefold().find(folded)
        if place == 0:
            yield item
        elif place > 0:
            inside.append(item)
    yield from inside
