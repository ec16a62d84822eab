"""The exact `spark-submit` of a run, for every place where a run can go; pure, nothing is started.

Settings go through a properties file, because arguments can be read by everybody on the machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from headwater.errors import ErrorCode, error
from headwater.runtimes.backends.backend import Resources, RunKind, RunSpec
from headwater.runtimes.releases.installed import InstalledRelease
from headwater.settings import BackendSettings

LOCAL, STANDALONE, CONNECT = "local", "spark-standalone", "spark-connect"
KUBERNETES, YARN = "kubernetes", "yarn"
NAMES = (LOCAL, STANDALONE, CONNECT, KUBERNETES, YARN)

_MIB = 1024**2
_FROM_HERE = (LOCAL, STANDALONE)
"""Where the driver runs on this machine; elsewhere it runs in the cluster."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where the driver finds things, as it sees them."""

    entry: str
    properties: str
    work: str
    libraries: tuple[str, ...] = ()
    events: str | None = None
    """The folder of Spark's event log."""


@dataclass(frozen=True, slots=True)
class Submission:
    """A command and what it reads; `properties` is to lie where `Places.properties` says, 0600."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    properties: str
    network: bool
    """True when the command must reach the cluster."""
    conf: Mapping[str, str] = field(default_factory=dict)
    """The properties, for those who look."""
    kill: tuple[str, ...] = ()
    """What ends the run in the cluster, where ending the command does not."""


def submission(
    backend: str,
    place: BackendSettings,
    release: InstalledRelease,
    spec: RunSpec,
    places: Places | None = None,
) -> Submission:
    """The command that runs `spec` on a backend; INVALID_ARGUMENT when a setting is missing."""
    if release.spark_home is None or release.java_home is None:
        raise error(
            ErrorCode.INVALID_ARGUMENT,
            f"release {release.name} has no Spark to submit to {backend}",
            hint="choose a release such as spark-4.1",
        )
    where = places or Places(
        str(spec.entry),
        str(spec.work_dir / ".run" / "spark.properties"),
        str(spec.work_dir / "work"),
        tuple(map(str, spec.libraries)),
    )
    conf = _conf(backend, place, release, spec, where)
    argv = [f"{release.spark_home}/bin/spark-submit", "--properties-file", where.properties]
    if spec.kind is RunKind.JAR:
        if not spec.main_class:
            raise error(ErrorCode.INVALID_ARGUMENT, "a jar needs the class to run")
        argv += ["--class", spec.main_class]
    elif spec.kind is RunKind.PYTHON:
        raise error(
            ErrorCode.NOT_SUPPORTED,
            "a Python script without Spark runs on this machine only",
            hint="make it a pyspark run",
        )
    argv += [where.entry, *spec.argv]
    environment = {
        **release.env,
        **spec.environment,
        "JAVA_HOME": str(release.java_home),
        "SPARK_HOME": str(release.spark_home),
        "HADOOP_USER_NAME": place.user or "headwater",
        "SPARK_USER": place.user or "headwater",
    }
    if backend in _FROM_HERE:
        environment["PYSPARK_DRIVER_PYTHON"] = str(release.python)
        environment["PYSPARK_PYTHON"] = conf["spark.pyspark.python"]
        # The Java that starts Spark to find out how to start Spark needs little.
        environment["SPARK_LAUNCHER_OPTS"] = "-XX:TieredStopAtLevel=1"
    if backend == LOCAL or place.driver_host:
        environment["SPARK_LOCAL_IP"] = "127.0.0.1" if backend == LOCAL else place.driver_host
    if backend == YARN and place.hadoop_conf is not None:
        environment["HADOOP_CONF_DIR"] = str(place.hadoop_conf)
    text = "".join(f"{name} {_escaped(value)}\n" for name, value in sorted(conf.items()))
    kill: tuple[str, ...] = ()
    if backend == KUBERNETES:
        pod = f"{conf['spark.kubernetes.namespace']}:{conf['spark.kubernetes.driver.pod.name']}"
        kill = (argv[0], "--master", conf["spark.master"], "--kill", pod)
    return Submission(tuple(argv), environment, text, backend != LOCAL, conf, kill)


def _conf(
    backend: str,
    place: BackendSettings,
    release: InstalledRelease,
    spec: RunSpec,
    where: Places,
) -> dict[str, str]:
    """The release's defaults, the cluster's, the run's own, and what nobody may change."""
    given = spec.resources
    return {
        **release.conf,
        **_shared(release, where),
        **_sized(backend, given),
        **place.conf,
        **spec.conf,
        **_place(backend, place, release, spec),
        "spark.app.name": spec.conf.get("spark.app.name", f"headwater-{spec.run_id}"),
        "spark.driver.memory": _mib(given.memory_bytes),
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


def _sized(backend: str, given: Resources) -> dict[str, str]:
    """Executors, where there are any."""
    if backend == LOCAL:
        return {}
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
    backend: str, place: BackendSettings, release: InstalledRelease, spec: RunSpec
) -> dict[str, str]:
    """Where the driver runs and what it needs there."""
    if backend == LOCAL:
        return {
            "spark.master": f"local[{max(1, round(spec.resources.vcpu))}]",
            "spark.submit.deployMode": "client",
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.pyspark.python": str(release.python),
        }
    if backend == STANDALONE:
        found = {
            "spark.master": _needed(place.master, "MASTER", "spark://"),
            "spark.submit.deployMode": "client",
            "spark.pyspark.python": place.python or str(release.python),
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
            "spark.kubernetes.driver.pod.name": f"headwater-{spec.run_id}-{spec.attempt}".lower(),
            "spark.kubernetes.driver.label.headwater-run": spec.run_id,
            "spark.kubernetes.executor.label.headwater-run": spec.run_id,
            "spark.kubernetes.driver.request.cores": f"{spec.resources.vcpu:g}",
            "spark.kubernetes.executor.request.cores": f"{spec.resources.executor_vcpu:g}",
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
            "spark.yarn.tags": f"headwater,{spec.run_id}",
            "spark.driver.cores": str(max(1, round(spec.resources.vcpu))),
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
        hint=f"it takes sessions; runs go to {', '.join((LOCAL, STANDALONE, KUBERNETES, YARN))}"
        if backend == CONNECT
        else f"there are: {', '.join(NAMES)}",
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
