"""What a walked plan reads: its places for tables and for SQL text, and what is put there.

A place holds a mark until it is filled, so that `needs` finds it in the plan.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlglot import exp

from headwater.gateway.spark_connect.plans.model import Message, PlanContext
from headwater.gateway.spark_connect.plans.sql_names import NamedTable
from headwater.gateway.spark_connect.protocol import messages
from headwater.model.identifiers import SnapshotRef
from headwater.model.statement import Session
from headwater.query.needs import EVERYTHING, Need
from headwater.query.shelf import StagedFiles, StagedTable
from headwater.sql.statements import Name

Key = tuple[Name, SnapshotRef, str | None]
"""A table as a plan names it: the name, the state, and the schema that completes the name."""

_TEXT = "hw_text "


@dataclass(frozen=True, slots=True)
class TableRead:
    """One place of a plan where a table is read."""

    name: Name
    at: SnapshotRef
    session: Session

    @property
    def key(self) -> Key:
        """What tells the table from any other of the plan."""
        return self.name, self.at, self.session.schema


@dataclass(frozen=True, slots=True)
class TextRead:
    """SQL text of a plan: its tree, and the relation that stands for each table that it names."""

    tree: exp.Expr
    places: tuple[tuple[NamedTable, Message], ...]


@dataclass(slots=True)
class Reads:
    """Everything that one plan reads, by the number in its mark."""

    tables: list[TableRead] = field(default_factory=list)
    texts: list[TextRead] = field(default_factory=list)

    def table(self, relation: Message, read: TableRead) -> None:
        """Marks an empty relation as the place of a table."""
        relation.read.named_table.unparsed_identifier = str(len(self.tables))
        self.tables.append(read)

    def text(self, read: TextRead) -> str:
        """What stands for a text in its message."""
        self.texts.append(read)
        return f"{_TEXT}{len(self.texts) - 1}"

    def table_at(self, relation: Message) -> TableRead | None:
        """The table whose mark a relation is."""
        if relation.read.WhichOneof("read_type") != "named_table":
            return None
        return self.tables[int(relation.read.named_table.unparsed_identifier)]

    def text_at(self, query: str) -> TextRead | None:
        """The text whose mark a query is; None for a text that names no table."""
        return self.texts[int(query[len(_TEXT) :])] if query.startswith(_TEXT) else None


@dataclass(slots=True)
class Filling:
    """What staging has come to so far: the views to create, and what was staged.

    `needs` tell what is needed of a table; of one that is not there, `default`.
    """

    context: PlanContext
    needs: Mapping[Key, Need] = field(default_factory=dict)
    default: Need = EVERYTHING
    views: dict[str, Message] = field(default_factory=dict)
    tables: dict[Key, StagedTable] = field(default_factory=dict)
    files: list[StagedFiles] = field(default_factory=list)

    def table(self, read: TableRead) -> StagedTable:
        """The table, staged once for the whole plan."""
        key = read.key
        if key not in self.tables:
            need = self.needs.get(key, self.default)
            self.tables[key] = self.context.stager.table(read.name, read.at, read.session, need)
        return self.tables[key]

    def view(self, relation: Message) -> str:
        """The name of a view of the relation in the user process; one name for one relation."""
        digest = hashlib.sha256(relation.SerializeToString(deterministic=True)).hexdigest()
        name = f"hw_{digest[:40]}"
        if name not in self.views:
            plan = messages().Plan()
            command = plan.command.create_dataframe_view
            command.input.CopyFrom(relation)
            command.name = name
            command.replace = True
            self.views[name] = plan
        return name
