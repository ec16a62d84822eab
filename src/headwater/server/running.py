"""Job runs put together: their records, folders, kinds and driver, for one home."""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import psutil

from headwater.engines.userprocess.engine import SPARK
from headwater.errors import ErrorCode, error
from headwater.governance.access import Access
from headwater.governance.audit import AuditLog
from headwater.governance.state import PolicyStore
from headwater.governance.tokens import Tokens
from headwater.jobs.driver import Driver
from headwater.jobs.execution import JobKind
from headwater.jobs.folders import RunFolders
from headwater.jobs.kinds.cluster import ClusterKind
from headwater.jobs.kinds.confined import Runtime, Surroundings
from headwater.jobs.kinds.jar import JarKind
from headwater.jobs.kinds.placed import PlacedKind
from headwater.jobs.kinds.python import PythonKind
from headwater.jobs.kinds.sql import SqlKind
from headwater.jobs.processes import Processes
from headwater.jobs.queue import Capacity
from headwater.jobs.records import SESSION_PREFIX, RunRecords
from headwater.jobs.service import JobService
from headwater.jobs.spent import Books
from headwater.model.principal import Identity
from headwater.model.run import JAR, PYSPARK, PYTHON
from headwater.model.statement import Session
from headwater.query.location_files import LocationFiles
from headwater.query.service import QueryService
from headwater.runtimes.backends.submission import CLUSTERS, CONNECT, LOCAL
from headwater.runtimes.releases.store import ReleaseStore
from headwater.server.home import Home
from headwater.server.tls import Certificates
from headwater.settings import JobSettings, Settings
from headwater.store.database import Database


def compose_jobs(
    settings: Settings,
    home: Home,
    database: Database,
    audit: AuditLog,
    policies: PolicyStore,
    access: Access,
    locations: LocationFiles,
    tokens: Tokens,
    queries: QueryService,
    certificates: Certificates,
    releases: ReleaseStore,
    stack: ExitStack,
) -> tuple[JobService, Driver]:
    """The service, and its driver that is to be started once the server answers."""
    folders = RunFolders(home.path)
    records = RunRecords(database, audit, folders.driver)
    tokens.bind_sessions(SESSION_PREFIX, records.session_lives)
    sql = SqlKind(queries, audit, settings.jobs.log_bytes)
    stack.callback(sql.stop)
    processes = Processes(settings.jobs, home.ready_file)
    around = Surroundings(settings.jobs, home.ready_file, certificates.authority)
    runtimes = Runtimes(releases)
    place = settings.backend

    def clusters(kind: str) -> dict[str, JobKind]:
        release = settings.user_engines.release(SPARK)
        shared = settings.storage != "local"
        return {
            backend: ClusterKind(kind, backend, processes, around, runtimes, place, release, shared)
            for backend in CLUSTERS
        }

    python = PlacedKind(PYTHON, {LOCAL: PythonKind(PYTHON, processes, around, runtimes)})
    pyspark = PlacedKind(
        PYSPARK,
        {
            LOCAL: PythonKind(PYSPARK, processes, around, runtimes),
            CONNECT: PythonKind(PYSPARK, processes, around, runtimes, place),
            **clusters(PYSPARK),
        },
    )
    jar = PlacedKind(JAR, {LOCAL: JarKind(processes, around, runtimes), **clusters(JAR)})
    kinds: dict[str, JobKind] = {kind.name: kind for kind in (sql, python, pyspark, jar)}
    driver = Driver(
        records,
        folders,
        kinds,
        policies,
        tokens,
        Books(database, queries.history, audit, access.catalog),
        capacity_of(settings.jobs),
    )
    stack.callback(driver.stop)
    files = ProgramFiles(locations, settings.jobs.entry_bytes)
    service = JobService(
        records, folders, kinds, policies, settings.jobs, driver, files, place.name
    )
    return service, driver


class ProgramFiles:
    """Fetches programs from locations, for who may read them there."""

    def __init__(self, files: LocationFiles, most: int) -> None:
        self._files = files
        self._most = most

    def __call__(self, identity: Identity, uri: str, target: Path) -> None:
        """Copies the file to `target`; raises PERMISSION_DENIED without READ FILES."""
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            session = Session(identity, source="job")
            names, _ = self._files.fetch(session, [uri], Path(folder), most=self._most)
            found = Path(folder) / names[0]
            if not found.is_file():
                raise error(
                    ErrorCode.INVALID_ARGUMENT,
                    f"{uri[:200]} is not one file",
                    hint="name the program's file",
                )
            found.rename(target)


HOST = "host"
"""The name of the runtime that the server itself runs under."""


class Runtimes:
    """What programs run with: the server's own interpreter, or a release."""

    def __init__(self, releases: ReleaseStore) -> None:
        self._releases = releases

    def check(self, name: str | None) -> None:
        """Raises RELEASE_NOT_FOUND for a name that is none."""
        if name is not None and name != HOST:
            self._releases.show(name)

    def ensure(self, name: str | None) -> Runtime:
        """The runtime, installed if it is not yet."""
        if name is None or name == HOST:
            return host_runtime()
        release = self._releases.ensure(name)
        return Runtime(release.name, release.python, release.folders, release.env, release)


def host_runtime() -> Runtime:
    """The interpreter that the server itself runs under, with its packages."""
    base = Path(sys.base_prefix).resolve()
    folders = [Path(sys.prefix).resolve()]
    if not base.is_relative_to("/usr") and base not in folders:
        folders.append(base)
    return Runtime(HOST, Path(sys.executable), folders)


def capacity_of(settings: JobSettings) -> Capacity:
    """What runs may hold together: the settings, else this machine's CPUs and half its memory."""
    return Capacity(
        vcpu=settings.vcpu or float(os.cpu_count() or 1),
        memory_bytes=settings.memory_bytes or psutil.virtual_memory().total // 2,
        runs_per_principal=settings.runs_per_principal,
    )
