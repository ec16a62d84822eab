"""The protocol between the query pipeline and an engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa

from headwater.model.identifiers import TableIdentifier
from headwater.model.principal import Identity
from headwater.model.scan import GovernedScan, GovernedWrite
from headwater.model.statement import Limits, QueryStats


@dataclass(frozen=True, slots=True)
class GovernedPlan:
    """Emitted SQL and the governed leaves it may touch.

    `sql` is in the engine's dialect and comes from `headwater.sql.transpile` only. `inputs` are
    Arrow tables that the SQL names (information_schema, parameters' tables). `writes` are leased to
    the worker while the plan runs: its catalog requests are allowed for these tables and nothing
    else, in the name of `identity`. `governed` is True when any scan is restricted or a
    view lies between the caller and it: then error messages carry no data and the barrier's
    settings apply. `time_zone` is the session's (IANA). `before` and `after` are emitted statements
    around `sql`: all run in one transaction, which is committed as one or not at all.
    """

    statement_id: str
    identity: Identity
    sql: str
    scans: tuple[GovernedScan, ...] = ()
    writes: tuple[GovernedWrite, ...] = ()
    inputs: Mapping[str, pa.Table] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    time_zone: str = "UTC"
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()

    @property
    def governed(self) -> bool:
        """True when any scan or write is filtered, masked or narrowed, by a policy or a view."""
        return any(scan.is_restricted or scan.through_view for scan in self.scans) or any(
            write.row_filter is not None or bool(write.masked_columns) for write in self.writes
        )


class ResultStream(Protocol):
    """The result of a plan while it arrives; iterate once, then read `stats`."""

    @property
    def schema(self) -> pa.Schema:
        """The result's columns."""
        ...

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Record batches as the engine produces them; raises HeadwaterError when it fails."""
        ...

    def stats(self) -> QueryStats:
        """What the plan used so far."""
        ...

    def close(self) -> None:
        """Stops the plan if it still runs, and frees the worker."""
        ...


class Engine(Protocol):
    """Runs governed plans."""

    name: str

    def execute(
        self, plan: GovernedPlan, meanwhile: Callable[[], None] | None = None
    ) -> ResultStream:
        """Starts a plan; returns when its schema is known, or raises HeadwaterError.

        `meanwhile` is called once the plan is under way, and nothing of its result is handed out
        before it has returned; what it raises ends the plan.
        """
        ...

    def cancel(self, statement_id: str) -> None:
        """Interrupts a running plan; its stream raises USER_CANCELED. Unknown ids are ignored."""
        ...


class WriteLeases(Protocol):
    """Which governed writes the engine worker that holds a token may commit just now."""

    def allowed(self, worker: str, table: TableIdentifier) -> tuple[Identity, GovernedWrite] | None:
        """The identity to act for and the write that covers the table; None refuses."""
        ...
