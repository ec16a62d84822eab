"""How a name in a query becomes a governed scan, a view to expand, or a table that we make up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from headwater.catalog.entries import ObjectKind
from headwater.catalog.schema import resolve_snapshot
from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.governance.access import AccessRequest
from headwater.model.identifiers import (
    CURRENT,
    SnapshotRef,
    TableIdentifier,
    namespace_text,
    parse_namespace,
)
from headwater.model.statement import Dialect, FileInput, Session
from headwater.query.inputs import Inputs
from headwater.query.metadata_tables import metadata_table, split_metadata_name
from headwater.query.names import existing, names_files, split_name
from headwater.query.system_tables import find_system_table
from headwater.query.viewer import SystemTable, Viewer
from headwater.query.work import Parts
from headwater.sql.relations import InputRelation, Relation, ScanRelation, ViewRelation
from headwater.sql.statements import Name

_DEEPEST_VIEW = 32


@dataclass(frozen=True, slots=True)
class QueryResolver:
    """Resolves names for one caller; inside a view, for the view's definer on the caller's behalf.

    `via` is the view being expanded, `depth` how many views lie around it; `given` are the rows
    that came with the statement.
    """

    parts: Parts
    request: AccessRequest
    session: Session
    viewer: Viewer
    inputs: Inputs
    via: TableIdentifier | None = None
    depth: int = 0
    given: Mapping[str, FileInput] = field(default_factory=dict)

    def relation(self, name: Name, at: SnapshotRef) -> Relation:
        """What a name stands for; see `headwater.sql.relations.Resolver`."""
        try:
            return self._relation(name, at)
        except HeadwaterError as exc:
            if exc.position is None and self.via is None:
                exc.position = name.position
            raise

    def _relation(self, name: Name, at: SnapshotRef) -> Relation:
        catalog, schema, table = split_name(name, self.session)
        if self.via is None and table in self.given and schema == self.session.schema:
            # A plain name: the binder has completed it.
            own = self.given[table]
            return InputRelation(table, own.schema, own.files)
        if self.session.dialect is Dialect.SPARK and names_files((schema, table)):
            raise error(
                ErrorCode.NOT_SUPPORTED,
                f"the system engine reads no files: {schema}.`{table[:200]}`",
                hint="choose the engine automatic, sail or spark",
            )
        made_up = find_system_table(catalog, schema, table, name)
        if made_up is not None:
            return self._system(made_up, at)
        identifier = TableIdentifier(parse_namespace(schema), table)
        base, suffix = split_metadata_name(identifier)
        if suffix is not None:
            return self._metadata_table(base, suffix, at)
        entry = self.parts.catalog.resolve(identifier.namespace, identifier.name)
        if entry is not None and entry.kind is ObjectKind.VIEW:
            return self._view(entry.identifier, at)
        found = identifier if entry is None else entry.identifier
        return ScanRelation(self.request.scan(found, at, via=self.via))

    def _system(self, made_up: SystemTable, at: SnapshotRef) -> Relation:
        if not at.is_current:
            raise error(ErrorCode.NOT_SUPPORTED, "a system table has no history")
        return self.inputs.add(made_up.schema, lambda fixed: made_up.build(self.viewer, fixed))

    def _metadata_table(self, base: TableIdentifier, suffix: str, at: SnapshotRef) -> Relation:
        scan = self.request.scan(existing(self.parts.catalog, base), CURRENT, via=self.via)
        loaded = self.parts.catalog.table(scan.identifier)
        snapshot_id = resolve_snapshot(loaded.metadata, at)
        made = metadata_table(self.parts, scan, suffix, loaded.metadata, snapshot_id)
        return self.inputs.add(made.schema, lambda _fixed: made.build())

    def _view(self, identifier: TableIdentifier, at: SnapshotRef) -> Relation:
        if not at.is_current:
            raise error(
                ErrorCode.NOT_SUPPORTED,
                f"the view {identifier} has no history",
                hint="query its tables FOR VERSION or TIMESTAMP AS OF",
            )
        if self.depth >= _DEEPEST_VIEW:
            raise error(
                ErrorCode.NOT_SUPPORTED,
                f"views are nested deeper than {_DEEPEST_VIEW} levels, or in a circle",
            )
        view = self.request.view(identifier, via=self.via)
        schema = namespace_text(view.default_namespace) if view.default_namespace else None
        dialect = Dialect(view.dialect)
        session = replace(self.session, schema=schema, dialect=dialect)
        inside = replace(self, session=session, via=identifier, depth=self.depth + 1)
        return ViewRelation(
            identifier, view.sql, dialect, inside, schema, tuple(c.name for c in view.columns)
        )
