"""What the names of a statement stand for: governed scans, views, Arrow tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa
from sqlglot import exp

from headwater.model.identifiers import SnapshotRef, TableIdentifier
from headwater.model.scan import GovernedScan
from headwater.model.statement import Dialect
from headwater.sql.statements import Name


@dataclass(frozen=True, slots=True)
class ScanRelation:
    """A governed scan of a table."""

    scan: GovernedScan


@dataclass(frozen=True, slots=True)
class InputRelation:
    """An Arrow table that the plan carries under `name`, such as information_schema.columns.

    With `files`, its rows lie in these Parquet files of the server's own instead.
    """

    name: str
    schema: pa.Schema
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ViewRelation:
    """A view: its text, the dialect and the schema that the text is read with.

    `resolver` resolves the names inside the view (for the view's definer and on its behalf);
    `columns` rename the query's columns.
    """

    identifier: TableIdentifier
    sql: str
    dialect: Dialect
    resolver: Resolver
    schema: str | None = None
    columns: tuple[str, ...] | None = None


Relation = ScanRelation | InputRelation | ViewRelation


class Resolver(Protocol):
    """Knows what a principal's names stand for."""

    def relation(self, name: Name, at: SnapshotRef) -> Relation:
        """The relation of a full name (catalog, schema, table; as the user wrote them).

        Raises TABLE_NOT_FOUND or SCHEMA_NOT_FOUND, hints only among what the caller may see;
        SNAPSHOT_NOT_FOUND when `at` does not exist.
        """
        ...


@dataclass(slots=True)
class Leaf:
    """A relation in a bound tree: the placeholder table that stands for it, the columns in use.

    The tree names the placeholder once for every time that the statement reads the relation.
    """

    key: str
    relation: ScanRelation | InputRelation
    used: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Bound:
    """A query in the engine's terms: every name resolved, every function allowed.

    `output` holds each result column's name and type; names may repeat, a type may be unknown.
    `constructs` names what a query in Spark's dialect is made of: see `headwater.sql.spark`.
    """

    tree: exp.Expr
    leaves: tuple[Leaf, ...]
    output: tuple[tuple[str, exp.DataType], ...]
    constructs: frozenset[str] = frozenset()

    @property
    def scans(self) -> tuple[GovernedScan, ...]:
        """The governed scans that the query reads."""
        return tuple(
            leaf.relation.scan for leaf in self.leaves if isinstance(leaf.relation, ScanRelation)
        )

    @property
    def inputs(self) -> tuple[InputRelation, ...]:
        """The Arrow tables that the query reads."""
        return tuple(
            leaf.relation for leaf in self.leaves if isinstance(leaf.relation, InputRelation)
        )
