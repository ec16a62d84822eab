"""What the driver needs of a kind of run: to begin an attempt, to look at it, to end it.

Kinds keep nothing in memory that matters: what they need to find an attempt again is in its folder,
so that a server that was killed goes on where it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from headwater.jobs.folder import AttemptFolder
from headwater.jobs.records import Ending
from headwater.model.principal import Identity
from headwater.model.run import Attempt, Run, RunSpec, RunUsage

NOTHING = RunUsage()


@dataclass(frozen=True, slots=True)
class Work:
    """One attempt to carry out: whose it is, and where its files are.

    `entry` is the program in the run's folder; None for an entry on a location until it is fetched.
    """

    run: Run
    attempt: Attempt
    identity: Identity
    entry: Path
    folder: AttemptFolder

    @property
    def spec(self) -> RunSpec:
        """What was asked for."""
        return self.run.spec


@dataclass(frozen=True, slots=True)
class Look:
    """How an attempt is: not begun, begun, or ended (`ending` is set, `usage` final)."""

    begun: bool
    ending: Ending | None = None
    usage: RunUsage = NOTHING
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Columns of the attempt that are known now: `sandbox`, `release`, `progress`."""


class JobKind(Protocol):
    """A way to carry runs out; its methods may be called from several threads."""

    name: str

    def check(self, spec: RunSpec) -> None:
        """Raises INVALID_ARGUMENT or NOT_SUPPORTED for what can never run here."""
        ...

    def begin(self, work: Work) -> Mapping[str, Any]:
        """Starts the attempt and returns what is known of it (see `Look.facts`).

        May take long (a release is installed); called again for an attempt of which it is not
        known whether it began, and then must not begin it twice.
        """
        ...

    def look(self, work: Work) -> Look:
        """How the attempt is; cheap."""
        ...

    def cancel(self, work: Work) -> None:
        """Asks the attempt to end; returns at once, harmless when repeated or too late."""
        ...
