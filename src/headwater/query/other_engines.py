"""Engines for Spark SQL beside the system's own: what the query layer asks of them.

They belong to a gateway, which comes later than the query layer and is absent where the extra
`spark` is not installed; `Others` is the place where it puts them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from headwater.model.statement import EngineChoice, Session, Statement
from headwater.query.query import Query


@dataclass(frozen=True, slots=True)
class OtherEngine:
    """An engine of the callers' own: its name, the release that it runs, and whether that is here.

    One that is not installed yet is when somebody first asks for it by name.
    """

    name: str
    release: str
    installed: bool


class Receiver(Protocol):
    """The statement that runs elsewhere: takes what is told of the run, and the rows."""

    @property
    def query(self) -> Query:
        """The statement."""
        ...

    def starting(self, engine: str) -> None:
        """A process of that engine is wanted; it may have to be started."""
        ...

    def running(self, engine: str, release: str) -> None:
        """The process is there."""
        ...

    def because(self, why: str) -> None:
        """Why the engine is not the one that comes first."""
        ...

    def moved(self, engine: str, why: str) -> None:
        """That engine could not do it, nothing was answered, and the next one tries."""
        ...

    def begin(self, schema: pa.Schema) -> None:
        """The result's columns are known; rows of that schema follow."""
        ...

    def append(self, batch: pa.RecordBatch) -> None:
        """Some rows; raises EXCEEDED_RESULT_SIZE, DISK_FULL."""
        ...

    def changed(self, update_type: str | None, update_count: int | None) -> None:
        """What a write did."""
        ...


class Ready(Protocol):
    """A statement that was checked and may run; nothing of it has been decided or run yet."""

    @property
    def reads(self) -> bool:
        """True when it changes nothing."""
        ...

    def run(self, receiver: Receiver) -> None:
        """Runs it to its end, once; raises its error. The query's `on_stop` stops it."""
        ...


class OtherEngines(Protocol):
    """Runs Spark SQL of one caller on that caller's own Sail or Spark."""

    def engines(self) -> Sequence[OtherEngine]:
        """Those that there are."""
        ...

    def prepare(self, session: Session, statement: Statement, engine: EngineChoice) -> Ready | None:
        """The statement, checked for an engine (AUTO: Sail, or Spark where Sail cannot).

        None for a statement that is the system's to carry out: definitions, changes of tables from
        tables of the catalog, SHOW. Raises SYNTAX_ERROR, NOT_SUPPORTED, PERMISSION_DENIED, and
        whatever else says that it may not run there.
        """
        ...


class Others:
    """Where the other engines are, once there are any."""

    def __init__(self) -> None:
        self._attached: OtherEngines | None = None

    def attach(self, engines: OtherEngines | None) -> None:
        """Makes them known; None: they are gone."""
        self._attached = engines

    @property
    def attached(self) -> OtherEngines | None:
        """The engines; None while there are none."""
        return self._attached
