"""What one caller sees of the lake: the source of SHOW and of information_schema."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa

from headwater.errors import ErrorCode, HeadwaterError
from headwater.governance.access import AccessRequest
from headwater.governance.browse import UNREADABLE, VisibleObject
from headwater.governance.statements import GovernanceStatements
from headwater.model.identifiers import TableIdentifier, namespace_text
from headwater.model.privilege import Privilege, Securable
from headwater.model.scan import ScanColumn
from headwater.query.work import Parts
from headwater.sql.fixed import Fixed
from headwater.sql.statements import ShowGovernance

_TYPES = {
    "varchar": pa.string(),
    "bigint": pa.int64(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "varchars": pa.list_(pa.string()),
    "map": pa.map_(pa.string(), pa.string()),
}

Row = tuple[Any, ...]


_SCHEMA_COLUMNS = ("table_schema", "table_schem", "schema_name")


@dataclass(frozen=True, slots=True)
class Only:
    """The schemas and the tables that a query asks for by name; None for all."""

    schemas: frozenset[str] | None = None
    names: frozenset[str] | None = None

    @classmethod
    def of(cls, fixed: Fixed) -> Only:
        """What the columns of information_schema, or of JDBC's lists, are fixed to."""
        schemas = next((fixed[name] for name in _SCHEMA_COLUMNS if name in fixed), None)
        return cls(schemas, fixed.get("table_name"))


EVERYTHING = Only()


class Viewer:
    """Lists the lake as one caller may see it; lives for one statement."""

    def __init__(self, parts: Parts, request: AccessRequest, only: Only = EVERYTHING) -> None:
        self.parts = parts
        self.only = only
        self.identity = request.identity
        self.request = request

    @cached_property
    def is_admin(self) -> bool:
        """True for callers who manage grants on the whole catalog: they see everybody's history."""
        return self.request.allows(Privilege.MANAGE_GRANTS, Securable.catalog())

    def definition(self, identifier: TableIdentifier) -> str | None:
        """A view's text, for callers who may change the view; it names what others may not see."""
        if not self.request.allows(Privilege.ALTER, Securable.view(identifier)):
            return None
        version = self.parts.catalog.view(identifier).current
        text = next((r["sql"] for r in version["representations"] if r["type"] == "sql"), None)
        return None if text is None else str(text)

    @cached_property
    def schemas(self) -> list[str]:
        """The visible schemas, nested ones with dots, sorted; information_schema is not among."""
        return [namespace_text(name) for name in self.parts.browser.schemas(self.identity)]

    @cached_property
    def objects(self) -> list[VisibleObject]:
        """The visible tables and views by name: those of `only`, in all schemas that it names."""
        schemas, names = self.only.schemas, self.only.names
        return [
            found
            for namespace in self.parts.browser.schemas(self.identity)
            if schemas is None or namespace_text(namespace) in schemas
            for found in self.tables(namespace)
            if names is None or found.identifier.name in names
        ]

    def tables(self, namespace: tuple[str, ...]) -> list[VisibleObject]:
        """The visible tables and views of one schema; none when it was dropped meanwhile."""
        try:
            return self.parts.browser.tables(self.identity, namespace)
        except HeadwaterError as exc:
            if exc.code is ErrorCode.SCHEMA_NOT_FOUND:
                return []
            raise

    def columns(self, identifier: TableIdentifier) -> tuple[ScanColumn, ...]:
        """The visible columns; none when the table was dropped meanwhile."""
        try:
            return self.parts.browser.columns(self.identity, identifier)
        except HeadwaterError as exc:
            if exc.code in UNREADABLE:
                return ()
            raise

    def governance(self, what: str) -> list[dict[str, Any]]:
        """The rows of SHOW GRANTS, SHOW ROLE GRANTS and the like, as the caller may see them."""
        statement = ShowGovernance(what)
        shown = GovernanceStatements(self.parts.access).run(statement, self.request)
        return [] if shown is None else shown.to_pylist()

    def comment(self, found: VisibleObject) -> str | None:
        """The comment of a visible table or view."""
        load = self.parts.catalog.view if found.kind == "view" else self.parts.catalog.table
        try:
            metadata = load(found.identifier).metadata
        except HeadwaterError as exc:
            if exc.code in UNREADABLE:
                return None
            raise
        comment = (metadata.get("properties") or {}).get("comment")
        return None if comment is None else str(comment)


@dataclass(frozen=True, slots=True)
class SystemTable:
    """A table that the server makes up: its columns, and its rows as a caller may see them."""

    schema: pa.Schema
    rows: Callable[[Viewer], Iterable[Row]]

    def build(self, viewer: Viewer, fixed: Fixed) -> pa.Table:
        """The table for a caller, at least the rows with the values that columns are fixed to."""
        only = Only.of(fixed)
        seen = viewer if only == viewer.only else Viewer(viewer.parts, viewer.request, only)
        return table(self.schema, self.rows(seen))


def columns(text: str) -> pa.Schema:
    """A schema from words: `name` is a varchar, `name:bigint` has that type."""
    fields: list[pa.Field[Any]] = []
    for word in text.split():
        name, _, kind = word.partition(":")
        fields.append(pa.field(name, _TYPES[kind or "varchar"]))
    return pa.schema(fields)


def table(schema: pa.Schema, rows: Iterable[Row]) -> pa.Table:
    """An Arrow table from rows."""
    listed = list(rows)
    arrays: Iterator[pa.Array[Any]] = (
        pa.array([row[place] for row in listed], field.type) for place, field in enumerate(schema)
    )
    return pa.Table.from_arrays(list(arrays), schema=schema)
