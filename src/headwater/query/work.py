"""One statement's way through the pipeline: what it stands on, and what each stage has found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
from sqlglot import exp

from headwater.catalog.catalog import Catalog
from headwater.engines.engine import Engine, GovernedPlan
from headwater.errors import ErrorCode, error
from headwater.governance.access import Access, AccessRequest
from headwater.governance.browse import Browser
from headwater.model.scan import GovernedWrite, Groundwork
from headwater.model.statement import Session, Statement
from headwater.query.history import History
from headwater.query.inputs import Inputs
from headwater.query.other_engines import Others
from headwater.query.plans import PlanCache, PlanKey, Recorder
from headwater.query.query import Query
from headwater.query.queue import Ticket
from headwater.query.session import SessionChanges
from headwater.settings import Settings
from headwater.sql.relations import Bound
from headwater.sql.script import Script
from headwater.sql.statements import (
    ColumnDefinition,
    ParsedStatement,
    PartitionField,
    SortField,
)
from headwater.storage.s3_objects import S3Objects


@dataclass(frozen=True, slots=True)
class Parts:
    """What the stages stand on; made once, by `headwater.server.compose`."""

    settings: Settings
    catalog: Catalog
    access: Access
    engine: Engine
    history: History
    spool: Path
    plans: PlanCache = field(default_factory=PlanCache)
    objects: S3Objects | None = None
    others: Others = field(default_factory=Others)

    @property
    def browser(self) -> Browser:
        """What callers may see."""
        return self.access.browser


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a statement that the server itself carries out leaves: rows or a count, and changes."""

    table: pa.Table | None = None
    update_type: str | None = None
    update_count: int | None = None
    changes: SessionChanges = field(default_factory=SessionChanges)


Task = Callable[[], Outcome]
"""The part of a statement that runs in the server, after its decisions are sealed."""


@dataclass(frozen=True, slots=True)
class Writing:
    """What makes a bound statement a write: its governed write, and what clients call it.

    `script` is there when the engine needs several statements for it. The rest is for CREATE TABLE
    AS alone: the new table's columns and options. `prepare` makes what the write builds on, just
    before it runs; with `replaces`, that is a new definition of a table that exists.
    """

    write: GovernedWrite
    update_type: str
    columns: tuple[ColumnDefinition, ...] = ()
    partitioning: tuple[PartitionField, ...] = ()
    properties: Mapping[str, str] = field(default_factory=dict)
    sorting: tuple[SortField, ...] = ()
    script: Script | None = None
    prepare: Callable[[], Groundwork | None] | None = None
    replaces: bool = False


@dataclass(frozen=True, slots=True)
class Work:
    """One statement between two stages; a stage returns a copy with its part filled in.

    A statement that the engine runs gets `bound`, then `tree`, then `plan`; any other gets a
    `task`. `session` carries the statement's limits. `text` is what `parsed` was parsed from. A
    query that ran before brings its `tree` and `sql` along; another one is recorded.
    """

    parts: Parts
    query: Query
    ticket: Ticket
    session: Session
    statement: Statement
    text: str = ""
    parsed: ParsedStatement | None = None
    parameters: tuple[exp.Expr, ...] = ()
    opened: AccessRequest | None = None
    bound: Bound | None = None
    inputs: Inputs | None = None
    writing: Writing | None = None
    tree: exp.Expr | None = None
    sql: str | None = None
    recorded: tuple[PlanKey, Recorder] | None = None
    plan: GovernedPlan | None = None
    task: Task | None = None

    @property
    def request(self) -> AccessRequest:
        """The decisions of this statement; opened by the stage `bind`."""
        if self.opened is None:
            raise error(ErrorCode.INTERNAL_ERROR, "a stage decided before `bind`")
        return self.opened
