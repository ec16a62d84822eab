"""`pyspark` and `jar` runs whose Spark is a cluster: submitted by `spark-submit` from the sandbox.

The driver is the user's own code on this machine (standalone), or in the cluster (Kubernetes,
YARN); the executors are the cluster's. None of that is walled off by us, so such a run gets no more
than the run's token: its catalog `lake` is our Iceberg REST catalog, which gives out tables that
its user may read in full, with keys for that table alone, and refuses all others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from headwater.errors import ErrorCode, error
from headwater.jobs.execution import Look, Work
from headwater.jobs.folders import EVENT_LOGS
from headwater.jobs.kinds.confined import WORK, Doors, Runtime, Runtimes, Surroundings, confined
from headwater.jobs.kinds.jar import main_class_of
from headwater.jobs.logs import LogWriter
from headwater.jobs.mastery import masters_of
from headwater.jobs.processes import Processes
from headwater.model.identifiers import CATALOG_NAME
from headwater.model.run import JAR, RunSpec
from headwater.runtimes.backends.submission import (
    KUBERNETES,
    YARN,
    Places,
    Resources,
    SparkProgram,
    Submission,
    check_place,
    driver_is_here,
    submission,
)
from headwater.runtimes.sandbox.sandbox import Bind
from headwater.settings import BackendSettings

_CATALOG = f"spark.sql.catalog.{CATALOG_NAME}"
_OURS = ("spark.api.mode", "spark.remote")
"""What a run says for our own sessions; a cluster's Spark would take it amiss."""

_NOT_REACHED = (
    "headwater: this run has no tables: {why}\nheadwater: spark.sql knows no catalog {catalog}\n"
)


class ClusterKind:
    """Runs of one kind on one cluster."""

    def __init__(
        self,
        name: str,
        backend: str,
        processes: Processes,
        around: Surroundings,
        runtimes: Runtimes,
        place: BackendSettings,
        release: str,
        shared_storage: bool,
    ) -> None:
        """`shared_storage`: tables' files are where a cluster reaches them; `release`: if none."""
        self.name = name
        self._backend = backend
        self._processes = processes
        self._around = around
        self._runtimes = runtimes
        self._place = place
        self._release = release
        self._shared_storage = shared_storage

    def check(self, spec: RunSpec) -> None:
        """Refuses what the settings describe no cluster for."""
        check_place(self._backend, self._place)
        self._runtimes.check(spec.release)
        if spec.main_class and self.name != JAR:
            raise error(ErrorCode.INVALID_ARGUMENT, "a script has no main class")

    def begin(self, work: Work) -> Mapping[str, Any]:
        """Makes the release ready and submits the program below a runner."""
        if work.folder.read("plan") is not None:
            self._processes.resume(work)
            return {}
        main, compute = work.spec.main_class, work.spec.compute
        if self.name == JAR:
            main = main or main_class_of(work.entry)
        runtime = self._runtimes.ensure(work.spec.release or self._release)
        events = work.folder.work / EVENT_LOGS
        events.mkdir(exist_ok=True)
        events.chmod(0o777)
        made: list[Submission] = []

        def argv(doors: Doors) -> Sequence[str]:
            made.append(self._submission(work, runtime, doors, main))
            doors.keep("spark.properties", made[0].properties.encode())
            return made[0].argv

        # The environment is known once the command is.
        plan = confined(
            work,
            runtime,
            argv,
            self._around,
            lambda: {**made[0].environment, "PATH": "/usr/bin:/bin"},
            network=True,
            shown=self._shown(),
        )
        plan = replace(
            plan,
            masters=masters_of(self._place.master) if driver_is_here(self._backend) else (),
            unreachable_seconds=self._place.unreachable_seconds,
            on_cancel=made[0].kill,
            executor_gb_per_core=compute.executor_memory_bytes
            / 1e9
            / max(1, round(compute.executor_vcpu)),
        )
        self._processes.begin(work, plan)
        return plan.facts

    def look(self, work: Work) -> Look:
        """How the driver is, or the submission."""
        return self._processes.look(work)

    def cancel(self, work: Work) -> None:
        """Ends the driver, which ends its executors."""
        self._processes.cancel(work)

    def _submission(
        self, work: Work, runtime: Runtime, doors: Doors, main: str | None
    ) -> Submission:
        spec, compute = work.spec, work.spec.compute
        if runtime.release is None:
            raise error(
                ErrorCode.INVALID_ARGUMENT,
                f"a run on {self._backend} needs a release with Spark",
                hint="`headwater release list` shows them",
            )
        here = driver_is_here(self._backend)
        places = Places(
            doors.places.entry,
            f"{doors.places.secrets}/spark.properties",
            doors.places.work,
            # The event log of a driver elsewhere is the cluster's.
            f"file://{doors.places.work}/{EVENT_LOGS}" if here else None,
        )
        given = {name: value for name, value in spec.configuration.items() if name not in _OURS}
        program = SparkProgram(
            work.run.id,
            work.attempt.number,
            places,
            spec.name,
            main,
            spec.arguments,
            {**given, **self._catalog(work, doors)},
            resources=Resources(
                compute.vcpu,
                compute.memory_bytes,
                compute.executors,
                compute.executor_vcpu,
                compute.executor_memory_bytes,
            ),
        )
        return submission(self._backend, self._place, runtime.release, program)

    def _catalog(self, work: Work, doors: Doors) -> dict[str, str]:
        """What makes our Iceberg catalog the program's; nothing where it could not use it."""
        url = self._place.catalog
        if not url and driver_is_here(self._backend) and "http" in doors.urls:
            url = f"{doors.urls['http']}/iceberg"
        why = ""
        if not self._shared_storage:
            why = "their files are on the server's own disk (start it with --storage s3)"
        elif not url:
            why = "the setting HEADWATER_BACKEND__CATALOG does not say how it is reached"
        if why:
            notice = _NOT_REACHED.format(why=why, catalog=CATALOG_NAME)
            writer = LogWriter(work.folder.logs, "stderr", cap=1 << 20)
            writer.write(notice.encode())
            return {}
        return {
            _CATALOG: "org.apache.iceberg.spark.SparkCatalog",
            f"{_CATALOG}.type": "rest",
            f"{_CATALOG}.uri": url,
            f"{_CATALOG}.warehouse": CATALOG_NAME,
            f"{_CATALOG}.rest.auth.type": "oauth2",
            f"{_CATALOG}.oauth2-server-uri": f"{url}/v1/oauth/tokens",
            f"{_CATALOG}.rest-metrics-reporting-enabled": "false",
            f"{_CATALOG}.token": doors.token,
            # It lives as long as the attempt may; there is none to trade it for.
            f"{_CATALOG}.token-refresh-enabled": "false",
            f"{_CATALOG}.header.X-Iceberg-Access-Delegation": "vended-credentials",
            f"{_CATALOG}.io-impl": "org.apache.iceberg.aws.s3.S3FileIO",
            "spark.sql.defaultCatalog": CATALOG_NAME,
            **({f"{_CATALOG}.default-namespace": work.spec.schema} if work.spec.schema else {}),
        }

    def _shown(self) -> list[Bind | Path]:
        """What the submission reads beside the run's own: the cluster's client configuration."""
        if self._backend == YARN and self._place.hadoop_conf is not None:
            return [self._place.hadoop_conf]
        if self._backend == KUBERNETES and (Path.home() / ".kube").is_dir():
            return [Bind(Path.home() / ".kube", f"{WORK}/.kube")]
        return []
