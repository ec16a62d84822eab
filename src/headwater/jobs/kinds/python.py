"""`python` and `pyspark` runs: a script in the sandbox, under a release's interpreter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from headwater.errors import ErrorCode, error
from headwater.jobs.execution import Look, Work
from headwater.jobs.kinds.confined import (
    Doors,
    Runtimes,
    Surroundings,
    confined,
    session_release,
)
from headwater.jobs.processes import Processes
from headwater.model.run import PYSPARK, RunSpec
from headwater.runtimes.backends.connect import remote_endpoint
from headwater.settings import BackendSettings


class PythonKind:
    """Runs scripts; as `pyspark` their Spark session is Headwater's Spark Connect endpoint."""

    def __init__(
        self,
        name: str,
        processes: Processes,
        around: Surroundings,
        runtimes: Runtimes,
        remote: BackendSettings | None = None,
    ) -> None:
        """`remote`: the Spark session is the Spark Connect server's that these settings name."""
        self.name = name
        self._remote = remote
        self._processes = processes
        self._around = around
        self._runtimes = runtimes

    def check(self, spec: RunSpec) -> None:
        """Refuses what a script cannot have."""
        if spec.main_class:
            raise error(ErrorCode.INVALID_ARGUMENT, "a script has no main class")
        if spec.configuration and self.name != PYSPARK:
            raise error(
                ErrorCode.INVALID_ARGUMENT,
                "Spark's configuration needs a run of kind pyspark",
                hint="add --kind pyspark",
            )
        self._runtimes.check(spec.release)
        if self._remote is not None:
            remote_endpoint(self._remote)

    def begin(self, work: Work) -> Mapping[str, Any]:
        """Makes the release ready and starts the script below a runner."""
        if work.folder.read("plan") is not None:
            self._processes.resume(work)
            return {}
        runtime = self._runtimes.ensure(work.spec.release)

        def argv(doors: Doors) -> Sequence[str]:
            places = doors.places
            if self._remote is not None and (token := self._remote.connect_token_file) is not None:
                doors.keep("remote-token", token.read_bytes().strip())
            return (str(runtime.python), places.start, places.entry, *work.spec.arguments)

        plan = confined(
            *(work, runtime, argv, self._around),
            lambda: self._more(work.spec),
            network=self._remote is not None,
        )
        self._processes.begin(work, plan)
        return plan.facts

    def _more(self, spec: RunSpec) -> Mapping[str, str]:
        if self._remote is None:
            chosen = session_release(spec) if self.name == PYSPARK else None
            return {"HEADWATER_SPARK_RELEASE": chosen} if chosen else {}
        return {"HEADWATER_SPARK_REMOTE": remote_endpoint(self._remote).url}

    def look(self, work: Work) -> Look:
        """How the script is."""
        return self._processes.look(work)

    def cancel(self, work: Work) -> None:
        """Ends the script and all that it started."""
        self._processes.cancel(work)
