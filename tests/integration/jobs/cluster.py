"""A standalone cluster of a release: a master and two workers, each a process of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from headwater.runtimes.releases.installed import InstalledRelease

_OPENS = ("java.nio", "sun.nio.ch", "java.lang", "java.lang.invoke", "java.util", "java.net")
_DEPLOY = "org.apache.spark.deploy"
WORKERS = 2


class Cluster:
    """A running one; `kill` has it vanish."""

    def __init__(self, release: InstalledRelease, folder: Path) -> None:
        self._log = folder / "cluster.log"
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        self.master = f"spark://127.0.0.1:{port}"
        java = "java" if release.java_home is None else f"{release.java_home}/bin/java"
        # Straight to Java, and to its quick compiler alone: it is to be there soon.
        self._command = (
            *(java, "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"),
            *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _OPENS),
            *("-cp", f"{release.spark_home}/jars/*"),
        )
        self._environment = {
            "PATH": os.environ["PATH"],
            "JAVA_HOME": str(release.java_home),
            "SPARK_HOME": str(release.spark_home),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_SCALA_VERSION": "2.13",
            "SPARK_WORKER_DIR": str(folder / "workers"),
            "PYSPARK_PYTHON": str(release.python),
        }
        self._processes: list[subprocess.Popen[bytes]] = []
        host = ("--host", "127.0.0.1", "--webui-port", "0")
        with self._log.open("wb") as log:
            self._start(log.fileno(), f"{_DEPLOY}.master.Master", *host, "--port", str(port))
            for _ in range(WORKERS):
                size = ("--cores", "1", "--memory", "1g")
                self._start(log.fileno(), f"{_DEPLOY}.worker.Worker", *host, *size, self.master)

    def _start(self, log: int, *argv: str) -> None:
        self._processes.append(
            subprocess.Popen(
                (*self._command, *argv),
                env=self._environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        )

    def wait(self, seconds: float = 120) -> None:
        """Returns when the workers have joined."""
        deadline = time.monotonic() + seconds
        while self._log.read_text().count("Successfully registered with master") < WORKERS:
            assert time.monotonic() < deadline, self._log.read_text()[-2000:]
            time.sleep(0.1)

    def kill(self) -> None:
        """Ends everything at once."""
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextlib.contextmanager
def running_cluster(release: InstalledRelease, folder: Path) -> Iterator[Cluster]:
    """A cluster for the block; it may not be ready yet."""
    cluster = Cluster(release, folder)
    try:
        yield cluster
    finally:
        cluster.kill()
