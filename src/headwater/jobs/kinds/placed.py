"""A kind whose runs go to one of several places: this machine, or a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headwater.errors import ErrorCode, error
from headwater.jobs.execution import JobKind, Look, Work
from headwater.model.run import RunSpec
from headwater.runtimes.backends.submission import LOCAL


class PlacedKind:
    """Has each run carried out by the place that its specification names; see `JobKind`."""

    def __init__(self, name: str, places: Mapping[str, JobKind]) -> None:
        self.name = name
        self._places = places

    def check(self, spec: RunSpec) -> None:
        """Refuses a place that is none, or that does not take such a run."""
        self._place(spec).check(spec)

    def begin(self, work: Work) -> Mapping[str, Any]:
        """Starts the attempt there."""
        return self._place(work.spec).begin(work)

    def look(self, work: Work) -> Look:
        """How the attempt is there."""
        return self._place(work.spec).look(work)

    def cancel(self, work: Work) -> None:
        """Ends the attempt there."""
        self._place(work.spec).cancel(work)

    def _place(self, spec: RunSpec) -> JobKind:
        found = self._places.get(spec.backend or LOCAL)
        if found is None:
            raise error(
                ErrorCode.INVALID_ARGUMENT,
                f"{self.name} runs do not go to the backend {spec.backend[:40]}",
                hint=f"they go to {', '.join(self._places)}",
            )
        return found
