"""`jar` runs: a Java or Scala program's main class, under a release of Spark, in the sandbox.

By default its `SparkSession.builder().getOrCreate()` is a session of Headwater's Spark Connect
endpoint, where every table that it may read is governed. With `spark.api.mode=classic` it gets a
Spark of its own instead (for RDDs and SparkContext), which has the run's folder and no tables.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption
from cryptography.hazmat.primitives.serialization.pkcs12 import (
    PKCS12Certificate,
    serialize_java_truststore,
)

from headwater.errors import ErrorCode, error
from headwater.jobs.execution import Look, Work
from headwater.jobs.folders import EVENT_LOGS
from headwater.jobs.kinds.confined import (
    Doors,
    Runtimes,
    Surroundings,
    confined,
    session_release,
)
from headwater.jobs.processes import Processes
from headwater.model.run import JAR, RunSpec
from headwater.runtimes.releases.installed import InstalledRelease

_MODE = "spark.api.mode"
_DEFAULT_RELEASE = "spark-4.1"
# The classic implementation of the session must not be found beside the connecting one.
_CLASSIC = ("spark-sql_", "spark-connect_", "spark-hive", "spark-mllib", "spark-repl", "hive-")
_OPENS = ("java.nio", "sun.nio.ch", "java.lang", "java.lang.invoke", "java.util", "java.net")
_STORE_PASSWORD = "headwater"  # noqa: S105 - of a file with a public certificate in it
_SHARE_OF_HEAP = 0.6


class JarKind:
    """Runs main classes."""

    name = JAR

    def __init__(self, processes: Processes, around: Surroundings, runtimes: Runtimes) -> None:
        self._processes = processes
        self._around = around
        self._runtimes = runtimes

    def check(self, spec: RunSpec) -> None:
        """Refuses what a JAR cannot have."""
        self._runtimes.check(spec.release)
        if spec.configuration.get(_MODE, "connect") not in ("connect", "classic"):
            raise error(ErrorCode.INVALID_ARGUMENT, f"{_MODE} is connect or classic")

    def begin(self, work: Work) -> Mapping[str, Any]:
        """Makes the release ready and starts the main class below a runner."""
        if work.folder.read("plan") is not None:
            self._processes.resume(work)
            return {}
        main = work.spec.main_class or main_class_of(work.entry)
        runtime = self._runtimes.ensure(work.spec.release or _DEFAULT_RELEASE)
        release = runtime.release
        if release is None or release.spark_home is None:
            raise error(
                ErrorCode.INVALID_ARGUMENT,
                f"the release {runtime.name} has no Spark",
                hint="`headwater release list` shows which have",
            )
        (work.folder.work / EVENT_LOGS).mkdir(exist_ok=True)
        (work.folder.work / EVENT_LOGS).chmod(0o777)
        program = _Program(work, release, release.spark_home, main)
        mode = work.spec.configuration.get(_MODE) or program.best_mode()
        argv = program.connecting if mode == "connect" else program.classic
        plan = confined(
            work,
            runtime,
            argv,
            self._around,
            lambda: {
                "SPARK_HOME": str(release.spark_home),
                "SPARK_LOCAL_IP": "127.0.0.1",
                "SPARK_LOCAL_HOSTNAME": "localhost",
                **({"JAVA_HOME": str(release.java_home)} if release.java_home else {}),
            },
        )
        self._processes.begin(work, plan)
        return plan.facts

    def look(self, work: Work) -> Look:
        """How the program is."""
        return self._processes.look(work)

    def cancel(self, work: Work) -> None:
        """Ends the program and all that it started."""
        self._processes.cancel(work)


class _Program:
    """The command lines of one main class."""

    def __init__(self, work: Work, release: InstalledRelease, spark_home: Path, main: str) -> None:
        self._work = work
        self._release = release
        self._jars = spark_home / "jars"
        self._main = main

    def best_mode(self) -> str:
        """Connecting where the release has a client for it."""
        return "connect" if self._clients() else "classic"

    def connecting(self, doors: Doors) -> Sequence[str]:
        """Java with the Spark Connect client; where it connects to is in a file, with the token."""
        clients = self._clients()
        if not clients or "spark" not in doors.urls:
            raise error(
                ErrorCode.NOT_SUPPORTED,
                f"with {self._release.name} a JAR cannot use Spark Connect here",
                hint=f"use spark-4.1, or set {_MODE} to classic, which has no tables",
            )
        others = sorted(
            jar for jar in self._jars.glob("*.jar") if not jar.name.startswith(_CLASSIC)
        )
        store = doors.keep("trust.p12", _trust_store(doors.certificate))
        remote = f"{doors.urls['spark']}/;use_ssl=true;token={doors.token}"
        if chosen := session_release(self._work.spec):
            remote += f";headwater-release={chosen}"
        options = [
            f"-Djavax.net.ssl.trustStore={store}",
            f"-Djavax.net.ssl.trustStorePassword={_STORE_PASSWORD}",
            f"-Dspark.remote={remote}",
            *(
                f"-D{name}={value}"
                for name, value in self._work.spec.configuration.items()
                if name != _MODE
            ),
            *self._common(),
            "-cp",
            ":".join([*map(str, (*clients, *others)), doors.places.entry]),
        ]
        found = doors.keep("java.args", "\n".join(map(_quoted, options)).encode())
        return (self._java(), f"@{found}", self._main, *self._work.spec.arguments)

    def classic(self, doors: Doors) -> Sequence[str]:
        """`spark-submit` with a Spark inside the sandbox, on the CPUs that the run was given."""
        cores = max(1, int(self._work.spec.compute.vcpu))
        settings = {
            **self._release.conf,
            "spark.master": f"local[{cores}]",
            "spark.ui.enabled": "false",
            "spark.eventLog.enabled": "true",
            "spark.eventLog.dir": f"file://{doors.places.work}/{EVENT_LOGS}",
            "spark.eventLog.compress": "false",
            "spark.eventLog.rolling.enabled": "false",
            "spark.local.dir": doors.places.work,
            **{k: v for k, v in self._work.spec.configuration.items() if k != _MODE},
            "spark.app.name": self._work.spec.name,
        }
        text = "".join(f"{name} {value}\n" for name, value in settings.items())
        jars = [str(self._jars / "*"), *map(str, self._release.jars)]
        return (
            self._java(),
            *self._common(),
            "-cp",
            ":".join(jars),
            "org.apache.spark.deploy.SparkSubmit",
            "--properties-file",
            doors.keep("spark.conf", text.encode()),
            "--class",
            self._main,
            doors.places.entry,
            *self._work.spec.arguments,
        )

    def _clients(self) -> list[Path]:
        return sorted((self._jars / "connect-repl").glob("spark-connect-client-jvm*.jar"))

    def _java(self) -> str:
        if self._release.java_home is not None:
            return str(self._release.java_home / "bin" / "java")
        return "/usr/bin/java"

    def _common(self) -> list[str]:
        heap = int(self._work.spec.compute.memory_bytes * _SHARE_OF_HEAP) >> 20
        return [
            f"-Xmx{heap}m",
            "-XX:+ExitOnOutOfMemoryError",
            "-Dio.netty.tryReflectionSetAccessible=true",
            *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _OPENS),
        ]


def main_class_of(jar: Path) -> str:
    """The main class that the JAR's manifest names; raises INVALID_ARGUMENT, INVALID_FILE."""
    try:
        with zipfile.ZipFile(jar) as archive:
            text = archive.read("META-INF/MANIFEST.MF").decode("utf-8", "replace")
    except KeyError:
        text = ""
    except (zipfile.BadZipFile, OSError) as exc:
        raise error(ErrorCode.INVALID_FILE, "the program is not a JAR file") from exc
    for line in text.replace("\r\n ", "").replace("\n ", "").splitlines():
        name, _, value = line.partition(":")
        if name.strip().lower() == "main-class":
            return value.strip()
    raise error(
        ErrorCode.INVALID_ARGUMENT,
        "the JAR's manifest names no main class",
        hint="name it: --class com.example.Main",
    )


def _trust_store(certificate: Path) -> bytes:
    """A PKCS #12 store, as Java reads it, with the server's authority."""
    authority = x509.load_pem_x509_certificate(certificate.read_bytes())
    return serialize_java_truststore(
        [PKCS12Certificate(authority, b"headwater")],
        BestAvailableEncryption(_STORE_PASSWORD.encode()),
    )


def _quoted(option: str) -> str:
    """An option as java's argument files want it."""
    return '"' + option.replace("\\", "\\\\").replace('"', '\\"') + '"'
