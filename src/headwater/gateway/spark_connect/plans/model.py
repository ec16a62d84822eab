"""What goes into the rewriting of a plan and what comes out of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from headwater.model.identifiers import SnapshotRef
from headwater.model.statement import Session, Statement
from headwater.query.arrow_writes import WriteTarget
from headwater.query.needs import EVERYTHING, Columns, Need
from headwater.query.shelf import StagedFiles, StagedTable
from headwater.sql.statements import Name

Message = Any
"""A message of Spark Connect; see `headwater.gateway.spark_connect.protocol`."""


class Stager(Protocol):
    """Puts tables and files where one user process can read them; `headwater.query.staging`."""

    def columns(self, name: Name, at: SnapshotRef, session: Session) -> Columns:
        """The columns that `table` would stage if everything were needed; stages nothing."""
        ...

    def table(
        self, name: Name, at: SnapshotRef, session: Session, need: Need = EVERYTHING
    ) -> StagedTable:
        """The table, view, metadata table or system table of that name, as its caller may read it.

        At least what is needed of it. Decided, audited and sealed before it returns. Raises
        TABLE_NOT_FOUND, PERMISSION_DENIED, …
        """
        ...

    def exists(self, name: Name, session: Session) -> bool:
        """True when the caller may see a table or view of that name."""
        ...

    def files(
        self, paths: Sequence[str], file_format: str, options: Mapping[str, str], session: Session
    ) -> StagedFiles:
        """Files of the user's own; needs READ FILES on each path's location."""
        ...


@dataclass(frozen=True, slots=True)
class PlanLimits:
    """The largest plan: bytes once decompressed, messages, and messages inside each other."""

    bytes: int = 256 * 1024 * 1024
    nodes: int = 200_000
    depth: int = 1000


@dataclass(frozen=True, slots=True)
class SessionView:
    """A temporary view: the client's own relation, and the names that it was made with.

    `schema` and `views` are the session's at that moment: the relation's names are resolved
    with them for ever, as Spark does it.
    """

    name: str
    relation: Message
    schema: str | None
    views: Mapping[str, SessionView] = field(default_factory=dict, repr=False)
    is_global: bool = False


@dataclass(frozen=True, slots=True)
class PlanContext:
    """Everything of the session that a plan depends on.

    `views` are the session's temporary views by casefolded name, those of other sessions of the
    same user process under `global_temp.<name>`. `functions` and `table_functions` are casefolded
    names of functions that the session registered; `relations` the ids of its checkpoints.
    `sandbox` is the level of the user process: with `none`, the user's code never meets a
    restricted table. `settings` are the session's configuration, `version` what `version()` is.
    """

    session: Session
    stager: Stager
    views: Mapping[str, SessionView] = field(default_factory=dict)
    functions: frozenset[str] = frozenset()
    table_functions: frozenset[str] = frozenset()
    relations: frozenset[str] = frozenset()
    settings: Mapping[str, str] = field(default_factory=dict)
    sandbox: str = "bubblewrap"
    version: str = ""
    limits: PlanLimits = PlanLimits()


class Action(StrEnum):
    """What the gateway does with a plan; see the package."""

    RUN = "run"
    QUERY = "query"
    STATEMENT = "statement"
    WRITE = "write"
    CATALOG = "catalog"
    SESSION = "session"


@dataclass(frozen=True, slots=True)
class SetSchema:
    """USE, setCurrentDatabase: for later plans; the schema was checked to be visible."""

    schema: str


@dataclass(frozen=True, slots=True)
class SetSetting:
    """SET key = value and RESET (None), for an allowed key."""

    key: str
    value: str | None


@dataclass(frozen=True, slots=True)
class AddView:
    """A temporary view; TEMP_TABLE_OR_VIEW_ALREADY_EXISTS unless `replace`."""

    view: SessionView
    replace: bool


@dataclass(frozen=True, slots=True)
class DropView:
    """A temporary view that goes."""

    name: str
    is_global: bool = False


@dataclass(frozen=True, slots=True)
class AddFunction:
    """A registered UDF or UDTF; `command` is what a new user process must be sent again."""

    name: str
    command: Message
    is_table_function: bool = False


@dataclass(frozen=True, slots=True)
class DropFunction:
    """A registered function that goes; `name` is casefolded."""

    name: str


Effect = SetSchema | SetSetting | AddView | DropView | AddFunction | DropFunction
"""What a plan changes in its session, once it succeeded."""


@dataclass(frozen=True, slots=True)
class StagedPlan:
    """A plan that the user process may run, after `views` (in order), each a command plan.

    A view's name tells its content: one that was created before in the same process generation
    need not be created again. `python`: the plan runs the user's own code.
    """

    plan: Message
    views: tuple[tuple[str, Message], ...] = ()
    tables: tuple[StagedTable, ...] = ()
    files: tuple[StagedFiles, ...] = ()
    python: bool = False


@dataclass(frozen=True, slots=True)
class Write:
    """A write to do by the system: run each of `sources` in the user process, commit the rows.

    `target` says what and how; `headwater.query.arrow_writes` commits the sources' Arrow batches
    to it. For a path (`target.path`) there is one source, and the user process writes it itself,
    into its outbox: `headwater.query.staging` moves the files to the granted location.
    """

    target: WriteTarget
    sources: Mapping[str, RewrittenPlan]


@dataclass(frozen=True, slots=True)
class RewrittenPlan:
    """An allowed plan. Nothing is staged and no table is decided on before `staged`.

    `sql` is set when the whole plan is one statement over catalog tables alone; `echo` is the
    relation that answers `spark.sql` of a query, or the relation of a new temporary view: an
    analysis of it tells its errors early. `python` says that the plan holds the
    user's own code. `tables` are the names of catalog tables that it reads, as completed. `rows`
    are the column names and the rows (of text) that answer a statement which nothing runs.
    """

    action: Action
    sql: Statement | None = None
    echo: Message | None = None
    write: Write | None = None
    catalog: Message | None = None
    effects: tuple[Effect, ...] = ()
    python: bool = False
    tables: tuple[Name, ...] = ()
    rows: tuple[tuple[str, ...], tuple[tuple[str, ...], ...]] | None = None
    stage: Callable[[], StagedPlan] | None = field(default=None, repr=False)

    def staged(self) -> StagedPlan:
        """The plan for the user process; decides on, audits and stages all that it reads.

        Raises TABLE_NOT_FOUND, PERMISSION_DENIED and the like. Only for plans that run there.
        """
        assert self.stage is not None, "nothing of this plan runs in the user process"
        return self.stage()


@dataclass(frozen=True, slots=True)
class RewrittenAnalysis:
    """An AnalyzePlan request: `request` for the user process after `views`, or its `answer`.

    `answer` holds the fields of AnalyzePlanResponse that need no engine.
    """

    request: Message | None
    views: tuple[tuple[str, Message], ...] = ()
    tables: tuple[StagedTable, ...] = ()
    python: bool = False
    answer: Mapping[str, Any] = field(default_factory=dict)
