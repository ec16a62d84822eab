"""The exact `spark-submit` of a run, for every place where a run can go; pure, nothing is started.

Settings go through a properties file, because arguments can be read by everybody on the machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from headwater.errors import ErrorCode, error
from headwater.runtimes.releases.installed import InstalledRelease
from headwater.settings import BackendSettings

LOCAL, STANDALONE, CONNECT = "local", "spark-standalone", "spark-connect"
KUBERNETES, YARN = "kubernetes", "yarn"
NAMES = (LOCAL, STANDALONE, CONNECT, KUBERNETES, YARN)
CLUSTERS = (STANDALONE, KUBERNETES, YARN)
"""Where `spark-submit` sends a run."""

_GIB = 1024**3
_MIB = 1024**2
_SHARE_OF_HEAP = 0.6
"""Of the run's memory, for a driver on this machine: its whole tree is held to that."""


@dataclass(frozen=True, slots=True)
class Resources:
    """What the driver is given, and what it asks for as executors; `conf` may ask for others."""

    vcpu: float = 1.0
    memory_bytes: int = 2 * _GIB
    executors: int = 0
    """0 leaves their number to the cluster."""
    executor_vcpu: float = 1.0
    executor_memory_bytes: int = 2 * _GIB


@dataclass(frozen=True, slots=True)
class Places:
    """Where the driver finds things, as it sees them; `libraries` are jars, `.py`, `.zip`."""

    entry: str
    properties: str
    work: str
    events: str | None = None
    """The folder of Spark's event log."""
    libraries: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SparkProgram:
    """One attempt of a Spark run. `conf` comes after the release's and the cluster's settings."""

    run_id: str
    attempt: int
    places: Places
    name: str = ""
    main_class: str | None = None
    """Of a jar; None for a Python program."""
    arguments: tuple[str, ...] = ()
    conf: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    resources: Resources = Resources()


@dataclass(frozen=True, slots=True)
class Submission:
    """A command and what it reads; `properties` is to lie where `Places.properties` says, 0600."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    properties: str
    conf: Mapping[str, str] = field(default_factory=dict)
    """The properties, for those who look."""
    kill: tuple[str, ...] = ()
    """What ends the run in the cluster, where ending the command does not."""


def driver_is_here(backend: str) -> bool:
    """True where the driver runs on this machine; elsewhere it runs in the cluster."""
    return backend == STANDALONE


def check_place(backend: str, place: BackendSettings) -> None:
    """Raises INVALID_ARGUMENT for a cluster that is none, or that the settings do not describe."""
    if backend not in NAMES:
        raise error(
            ErrorCode.INVALID_ARGUMENT,
            f"there is no backend {backend[:40]}",
            hint=f"there are: {', '.join(NAMES)}",
        )
    if backend in CLUSTERS:
        _place(backend, place, None, Resources(), "run", 1)


def submission(
    backend: str, place: BackendSettings, release: InstalledRelease, program: SparkProgram
) -> Submission:
    """The command that runs a program on a cluster; INVALID_ARGUMENT when a setting is missing."""
    if release.spark_home is None or release.java_home is None:
        raise error(
            ErrorCode.INVALID_ARGUMENT,
            f"release {release.name} has no Spark to submit to {backend}",
            hint="choose a release such as spark-4.1",
        )
    where = program.places
    conf = _conf(backend, place, release, program)
    argv = [f"{release.spark_home}/bin/spark-submit", "--properties-file", where.properties]
    if program.main_class is not None:
        argv += ["--class", program.main_class]
    argv += [where.entry, *program.arguments]
    environment = {
        **release.env,
        **program.environment,
        "JAVA_HOME": str(release.java_home),
        "SPARK_HOME": str(release.spark_home),
        "HADOOP_USER_NAME": place.user or "headwater",
        "SPARK_USER": place.user or "headwater",
    }
    if driver_is_here(backend):
        environment["PYSPARK_DRIVER_PYTHON"] = str(release.python)
        environment["PYSPARK_PYTHON"] = conf["spark.pyspark.python"]
        # The Java that starts Spark to find out how to start Spark needs little.
        environment["SPARK_LAUNCHER_OPTS"] = "-XX:TieredStopAtLevel=1"
    if place.driver_host:
        environment["SPARK_LOCAL_IP"] = place.driver_host
    if backend == YARN and place.hadoop_conf is not None:
        environment["HADOOP_CONF_DIR"] = str(place.hadoop_conf)
    text = "".join(f"{name} {_escaped(value)}\n" for name, value in sorted(conf.items()))
    kill: tuple[str, ...] = ()
    if backend == KUBERNETES:
        pod = f"{conf['spark.kubernetes.namespace']}:{conf['spark.kubernetes.driver.pod.name']}"
        kill = (argv[0], "--master", conf["spark.master"], "--kill", pod)
    return Submission(tuple(argv), environment, text, conf, kill)


def _conf(
    backend: str, place: BackendSettings, release: InstalledRelease, program: SparkProgram
) -> dict[str, str]:
    """The release's defaults, the cluster's, the run's own, and what nobody may change."""
    given = program.resources
    heap = given.memory_bytes
    if driver_is_here(backend):
        heap = int(heap * _SHARE_OF_HEAP)
    return {
        **release.conf,
        **_shared(release, program.places),
        **_sized(given),
        **place.conf,
        **program.conf,
        **_place(backend, place, release, given, program.run_id, program.attempt),
        "spark.app.name": program.conf.get(
            "spark.app.name", program.name or f"headwater-{program.run_id}"
        ),
        "spark.driver.memory": _mib(heap),
        "spark.ui.enabled": "false",
    }


def _shared(release: InstalledRelease, where: Places) -> dict[str, str]:
    jars = [*map(str, release.jars), *(name for name in where.libraries if name.endswith(".jar"))]
    python = [name for name in where.libraries if name.endswith((".py", ".zip", ".egg"))]
    found = {
        "spark.jars": ",".join(jars),
        "spark.submit.pyFiles": ",".join(python),
        "spark.sql.warehouse.dir": f"{where.work}/spark-warehouse",
        "spark.eventLog.enabled": "true" if where.events else "false",
        "spark.eventLog.dir": where.events or "",
        # a run's log is written once and read by us; Spark's own form of compression is not ours
        "spark.eventLog.compress": "false",
        "spark.eventLog.rolling.enabled": "false",
    }
    return {name: value for name, value in found.items() if value}


def _sized(given: Resources) -> dict[str, str]:
    """Executors."""
    cores = max(1, round(given.executor_vcpu))
    found = {
        "spark.executor.memory": _mib(given.executor_memory_bytes),
        "spark.executor.cores": str(cores),
    }
    if given.executors:
        found["spark.executor.instances"] = str(given.executors)
        found["spark.cores.max"] = str(cores * given.executors)
    return found


def _place(
    backend: str,
    place: BackendSettings,
    release: InstalledRelease | None,
    given: Resources,
    run_id: str,
    attempt: int,
) -> dict[str, str]:
    """Where the driver runs and what it needs there."""
    if backend == STANDALONE:
        found = {
            "spark.master": _needed(place.master, "MASTER", "spark://"),
            "spark.submit.deployMode": "client",
            "spark.pyspark.python": place.python or str(release.python if release else ""),
        }
        if place.driver_host:
            found["spark.driver.host"] = place.driver_host
        return found
    if backend == KUBERNETES:
        found = {
            "spark.master": _needed(place.master, "MASTER", "k8s://"),
            "spark.submit.deployMode": "cluster",
            "spark.kubernetes.namespace": place.namespace or "default",
            "spark.kubernetes.container.image": _needed(place.image, "IMAGE"),
            "spark.kubernetes.submission.waitAppCompletion": "true",
            "spark.kubernetes.driver.pod.name": f"headwater-{run_id}-{attempt}".lower(),
            "spark.kubernetes.driver.label.headwater-run": run_id,
            "spark.kubernetes.executor.label.headwater-run": run_id,
            "spark.kubernetes.driver.request.cores": f"{given.vcpu:g}",
            "spark.kubernetes.executor.request.cores": f"{given.executor_vcpu:g}",
            # the image brings Python and the release's jars
            "spark.pyspark.python": place.python or "python3",
        }
        if place.service_account:
            account = "spark.kubernetes.authenticate.driver.serviceAccountName"
            found[account] = place.service_account
        if place.upload_path:
            found["spark.kubernetes.file.upload.path"] = place.upload_path
        return found
    if backend == YARN:
        found = {
            "spark.master": "yarn",
            "spark.submit.deployMode": "cluster",
            "spark.yarn.submit.waitAppCompletion": "true",
            "spark.yarn.tags": f"headwater,{run_id}",
            "spark.driver.cores": str(max(1, round(given.vcpu))),
            "spark.pyspark.python": place.python or "python3",
        }
        if place.hadoop_conf is None:
            _needed("", "HADOOP_CONF")
        if place.queue:
            found["spark.yarn.queue"] = place.queue
        return found
    raise error(
        ErrorCode.NOT_SUPPORTED,
        f"runs cannot be submitted to {backend}",
        hint=f"they can to {', '.join(CLUSTERS)}",
    )


def _needed(value: str, setting: str, scheme: str = "") -> str:
    if not value.startswith(scheme) or not value:
        raise error(
            ErrorCode.INVALID_ARGUMENT,
            f"the setting HEADWATER_BACKEND__{setting} is missing or is not {scheme or 'set'}…",
            hint="docs/guide/scale-out.md names what each backend needs",
        )
    return value


def _mib(size: int) -> str:
    return f"{max(size // _MIB, 512)}m"


def _escaped(value: str) -> str:
    """As Java's properties files take it."""
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
