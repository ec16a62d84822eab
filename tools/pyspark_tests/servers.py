"""The endpoints that PySpark's tests run against: Headwater's, Sail alone, Spark alone."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from headwater.engines.userprocess.launch import JAVA_OPENS
from headwater.runtimes.releases.store import ReleaseStore
from headwater.settings import child_environment

START_SECONDS = 180
FILES = "files"
"""The folder below the working folder in which tests keep theirs."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A running endpoint: its address, and what its clients need in their environment."""

    url: str
    environment: dict[str, str] = field(default_factory=dict)


Start = Callable[[ReleaseStore, Path], "contextlib.AbstractContextManager[Endpoint]"]


@contextmanager
def headwater(releases: ReleaseStore, folder: Path) -> Iterator[Endpoint]:
    """A server of this checkout; its administrator may read and write what tests keep in files."""
    home = Path(tempfile.mkdtemp(prefix="home-", dir=folder))
    argv = [sys.executable, "-m", "headwater", "up", "--home", str(home)]
    argv += ["--port", "0", "--no-samples", "--quiet"]
    root = os.environ["HEADWATER_RELEASES"]
    with (folder / "headwater.log").open("ab") as log:
        process = subprocess.Popen(
            argv,
            env=child_environment(HEADWATER_RELEASES=root),
            stdout=subprocess.PIPE,
            stderr=log,
        )
    try:
        assert process.stdout is not None
        if not process.stdout.readline().startswith(b"READY"):
            raise SystemExit((folder / "headwater.log").read_text()[-2000:])
        ready = json.loads((home / "ready.json").read_text())
        for statement in (
            'CREATE SCHEMA IF NOT EXISTS lake."default"',
            f"GRANT READ FILES ON LOCATION '{folder / FILES}' TO USER admin",
            f"GRANT WRITE FILES ON LOCATION '{folder / FILES}' TO USER admin",
        ):
            subprocess.run(
                [sys.executable, "-m", "headwater", "sql", statement],
                env=child_environment(HEADWATER_HOME=str(home)),
                check=True,
                capture_output=True,
            )
        url = f"{ready['spark_connect'].split('/;')[0]}/;use_ssl=true;token={ready['token']}"
        yield Endpoint(url, {"GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": ready["ca_cert"]})
    finally:
        _end(process)


@contextmanager
def sail(releases: ReleaseStore, folder: Path) -> Iterator[Endpoint]:
    """Sail as it comes, but for the optimizer's setting that Headwater uses as well."""
    found = releases.ensure("sail")
    port = _free_port()
    where = Path(tempfile.mkdtemp(prefix="sail-", dir=folder))
    with (folder / "sail.log").open("ab") as log:
        process = subprocess.Popen(
            [
                *(str(found.python.parent / "sail"), "spark", "server"),
                *("--ip", "127.0.0.1", "--port", str(port)),
            ],
            env={**os.environ, "SAIL_OPTIMIZER__ENABLE_JOIN_REORDER": "true", "RUST_LOG": "error"},
            cwd=where,
            stdout=log,
            stderr=log,
        )
    try:
        _wait(port, process)
        yield Endpoint(f"sc://127.0.0.1:{port}")
    finally:
        _end(process)


@contextmanager
def spark(releases: ReleaseStore, folder: Path) -> Iterator[Endpoint]:
    """Spark's Connect server as it comes, with the resources of this machine."""
    found = releases.ensure("spark-4.1")
    assert found.java_home is not None, "the release has a Java"
    assert found.spark_home is not None, "the release has Spark"
    port = _free_port()
    where = Path(tempfile.mkdtemp(prefix="spark-", dir=folder))
    properties = where / "spark.conf"
    settings = {
        "spark.master": "local[*]",
        "spark.driver.memory": "3g",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": str(port),
        "spark.sql.warehouse.dir": str(where / "warehouse"),
        "spark.sql.catalogImplementation": "in-memory",
        "spark.sql.shuffle.partitions": "4",
        "spark.ui.enabled": "false",
        "spark.pyspark.python": str(found.python),
    }
    properties.write_text("".join(f"{key} {value}\n" for key, value in settings.items()))
    argv = [f"{found.java_home}/bin/java"]
    argv += [f"--add-opens=java.base/{each}=ALL-UNNAMED" for each in JAVA_OPENS]
    argv += ["-XX:+IgnoreUnrecognizedVMOptions", "-Djdk.reflect.useDirectMethodHandle=false"]
    argv += ["-Dio.netty.tryReflectionSetAccessible=true", "-Xmx3g"]
    argv += ["-cp", f"{found.spark_home}/conf:{found.spark_home}/jars/*"]
    argv += ["org.apache.spark.deploy.SparkSubmit", "--properties-file", str(properties)]
    argv += ["--class", "org.apache.spark.sql.connect.service.SparkConnectServer"]
    argv += ["--name", "spark", "spark-internal"]
    environment = {
        **os.environ,
        "JAVA_HOME": str(found.java_home),
        "SPARK_HOME": str(found.spark_home),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": str(found.python),
    }
    with (folder / "spark.log").open("ab") as log:
        process = subprocess.Popen(argv, env=environment, cwd=where, stdout=log, stderr=log)
    try:
        _wait(port, process)
        yield Endpoint(f"sc://127.0.0.1:{port}")
    finally:
        _end(process)


TARGETS: dict[str, Start] = {"headwater": headwater, "sail": sail, "spark": spark}


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.2)
    raise SystemExit("the server did not start; see its log")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
