"""Backends with real processes: Python runs here, Spark runs on a standalone cluster."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from headwater.errors import ErrorCode, HeadwaterError
from headwater.runtimes.backends.backend import (
    BackendState,
    BackendStatus,
    ExitReason,
    Handle,
    Resources,
    RunKind,
    RunSpec,
)
from headwater.runtimes.backends.process import ProcessBackend
from headwater.runtimes.releases.installed import InstalledRelease
from headwater.settings import BackendSettings
from releases_fixture import installed_release, release_store

MIB = 1024**2


class Releases:
    """Of a machine where only this Python is installed."""

    def ensure(self, name: str) -> InstalledRelease:
        base = Path(os.path.realpath(sys.base_prefix))
        python = Path(os.path.realpath(sys.executable))
        return InstalledRelease(name, "x", base, python)

    def installed(self, name: str) -> InstalledRelease | None:
        return self.ensure(name)


@pytest.fixture
def local() -> ProcessBackend:
    return ProcessBackend("local", BackendSettings(), Releases())


def python_run(folder: Path, code: str, **more: Any) -> RunSpec:
    entry = folder / "main.py"
    entry.write_text(textwrap.dedent(code))
    work = folder / "attempt"
    return RunSpec("run1", 1, "python", RunKind.PYTHON, entry, work, **more)


def ended(backend: ProcessBackend, handle: Handle, seconds: float = 30) -> BackendStatus:
    deadline = time.monotonic() + seconds
    while not (status := backend.poll(handle)).state.terminal:
        assert time.monotonic() < deadline, log_of(backend, handle, "stderr")
        time.sleep(0.05)
    return status


def log_of(backend: ProcessBackend, handle: Handle, stream: str = "stdout") -> str:
    return backend.logs(handle, stream, limit=10**7).data.decode()


def until(condition: Any, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_a_run_from_start_to_end(local: ProcessBackend, tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("hush")
    secret.chmod(0o600)
    code = """
        import os, sys, time
        token = open(os.environ["HEADWATER_SECRETS"] + "/t").read()
        print(sys.argv[1:], os.environ["GREETING"], token)
        print("problem", file=sys.stderr)
        open("made", "w").write("x")
        end = time.process_time() + 0.3
        while time.process_time() < end: pass
        sys.exit(int(sys.argv[1]))
    """
    spec = python_run(
        tmp_path, code, argv=("3",), environment={"GREETING": "hi"}, secrets={"t": secret}
    )
    handle = local.submit(spec)
    assert local.submit(spec) == handle
    status = ended(local, handle)
    assert (status.state, status.exit_code) == (BackendState.FAILED, 3)
    assert status.reason is ExitReason.NONZERO_EXIT
    assert log_of(local, handle) == "['3'] hi hush\n"
    assert "problem" in log_of(local, handle, "stderr")
    chunk = local.logs(handle, "stdout", offset=6, limit=2)
    assert (chunk.data, chunk.complete) == (b"hi", False)
    assert (tmp_path / "attempt" / "work" / "made").read_text() == "x"
    used = local.usage(handle)
    assert used.cpu_seconds is not None
    assert 0.3 <= used.cpu_seconds < 5
    assert used.vcpu_seconds_allocated == pytest.approx(used.wall_seconds)
    assert used.memory_gb_seconds == pytest.approx(2 * used.wall_seconds)
    # once more does nothing
    assert local.submit(spec) == handle
    assert local.poll(handle) == status
    assert "hush" not in (tmp_path / "attempt/.run/plan.json").read_text()


def test_a_run_that_is_cancelled_ends_with_all_that_it_started(
    local: ProcessBackend, tmp_path: Path
) -> None:
    code = """
        import os, signal, sys, time
        if not os.fork():
            os.setsid()
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(60)
        def polite(*_):
            print("asked", flush=True)
        signal.signal(signal.SIGTERM, polite)
        print("up", flush=True)
        time.sleep(60)
        time.sleep(60)
    """
    handle = local.submit(python_run(tmp_path, code))
    until(lambda: "up" in log_of(local, handle))
    assert local.poll(handle).state is BackendState.RUNNING
    tree = tree_of(handle)
    local.cancel(handle, grace_seconds=0.5)
    status = ended(local, handle)
    assert (status.state, status.reason) == (BackendState.CANCELLED, ExitReason.CANCELLED)
    assert "asked" in log_of(local, handle)
    until(lambda: all(gone(pid) for pid in tree))
    local.cancel(handle)


def tree_of(handle: Handle) -> list[int]:
    import json

    import psutil

    state = Path(handle.work_dir) / ".run" / "state.json"
    pid = json.loads(state.read_text())["pid"]
    return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]


def test_time_and_memory_end_at_their_limits(local: ProcessBackend, tmp_path: Path) -> None:
    endless = python_run(tmp_path, "while True: pass", timeout_seconds=0.5)
    assert ended(local, local.submit(endless)).reason is ExitReason.TIMEOUT
    (tmp_path / "two").mkdir()
    code = """
        import time
        kept = []
        while True:
            kept.append(b"x" * (1 << 25))
            time.sleep(0.02)
    """
    hungry = python_run(tmp_path / "two", code, resources=Resources(memory_bytes=256 * MIB))
    status = ended(local, local.submit(hungry))
    assert status.state is BackendState.FAILED
    assert status.reason is ExitReason.OUT_OF_MEMORY


def test_another_server_finds_the_run_again(tmp_path: Path) -> None:
    spec = python_run(
        tmp_path, "import time\nprint('up', flush=True)\ntime.sleep(1)\nprint('done')"
    )
    first = ProcessBackend("local", BackendSettings(), Releases())
    assert first.reattach("run1", 1, spec.work_dir) is None
    handle = first.submit(spec)
    until(lambda: "up" in log_of(first, handle))
    second = ProcessBackend("local", BackendSettings(), Releases())
    assert second.reattach("run1", 1, spec.work_dir) == handle
    assert second.submit(spec) == handle
    assert ended(second, handle).state is BackendState.SUCCEEDED
    assert log_of(second, handle) == "up\ndone\n"


def test_a_run_whose_keeper_was_killed_is_lost_and_does_not_go_on(
    local: ProcessBackend, tmp_path: Path
) -> None:
    handle = local.submit(
        python_run(tmp_path, "import time\nprint('up', flush=True)\ntime.sleep(60)")
    )
    until(lambda: "up" in log_of(local, handle))
    tree = tree_of(handle)
    import psutil

    os.kill(psutil.Process(tree[0]).ppid(), signal.SIGKILL)
    until(lambda: all(gone(pid) for pid in tree))
    assert ended(local, handle).state is BackendState.LOST
    again = ProcessBackend("local", BackendSettings(), Releases())
    assert again.reattach("run1", 1, Path(handle.work_dir)) == handle
    assert ended(again, handle).state is BackendState.LOST


def test_a_missing_file_is_named(local: ProcessBackend, tmp_path: Path) -> None:
    spec = replace(python_run(tmp_path, ""), entry=tmp_path / "nothing.py")
    with pytest.raises(HeadwaterError) as raised:
        local.submit(spec)
    assert raised.value.code is ErrorCode.FILE_NOT_FOUND
    assert "nothing.py" in raised.value.message


# A standalone cluster of the release itself.


@pytest.fixture(scope="module")
def spark() -> InstalledRelease:
    return installed_release("spark-4.1")


@contextlib.contextmanager
def cluster(release: InstalledRelease, folder: Path) -> Iterator[tuple[str, list[Any]]]:
    """A master and two workers, as classes: the wheel has no scripts for them."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    master = f"spark://127.0.0.1:{port}"
    environment = {
        "PATH": os.environ["PATH"],
        "JAVA_HOME": str(release.java_home),
        "SPARK_HOME": str(release.spark_home),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_DAEMON_MEMORY": "256m",
        "SPARK_WORKER_DIR": str(folder / "workers"),
        "PYSPARK_PYTHON": str(release.python),
    }
    program = f"{release.spark_home}/bin/spark-class"
    deploy = "org.apache.spark.deploy"
    started = []
    try:
        with (folder / "cluster.log").open("wb") as log:

            def start(*argv: str) -> None:
                started.append(
                    subprocess.Popen(
                        (program, *argv),
                        env=environment,
                        stdout=log,
                        stderr=log,
                        start_new_session=True,
                    )
                )

            host = ("--host", "127.0.0.1", "--webui-port", "0")
            start(f"{deploy}.master.Master", *host, "--port", str(port))
            for _ in range(2):
                start(f"{deploy}.worker.Worker", *host, "--cores", "1", "--memory", "1g", master)
        said = (folder / "cluster.log").read_text
        until(lambda: said().count("Successfully registered with master") == 2, 120)
        yield master, started
    finally:
        for process in started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


PYSPARK = """
from pyspark.sql import SparkSession
from pyspark.sql.functions import udf
import os, sys, time
spark = SparkSession.builder.getOrCreate()
sc = spark.sparkContext
hosts = sc.parallelize(range(8), 8).map(lambda n: os.environ.get("SPARK_EXECUTOR_DIRS") or "here")
plus = udf(lambda n: n + 1, "long")
print("sum", spark.range(0, 1000, 1, 8).select(plus("id").alias("n")).groupBy().sum("n").first()[0])
print("master", sc.master.split(":")[0], "executors", len(set(hosts.collect())))
sys.stdout.flush()
if len(sys.argv) > 1:
    sc.parallelize(range(2), 2).map(lambda n: time.sleep(300)).collect()
"""

JAVA = """
import org.apache.spark.sql.SparkSession;
public class Count {
  public static void main(String[] words) {
    SparkSession spark = SparkSession.builder().getOrCreate();
    long rows = Long.parseLong(words[0]);
    System.out.println("count " + spark.range(rows).filter("id % 2 = 0").count());
    spark.stop();
  }
}
"""


@pytest.mark.spark
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_runs_on_a_standalone_cluster(spark: InstalledRelease, tmp_path: Path) -> None:
    small = Resources(1, 600 * MIB, executors=2, executor_memory_bytes=600 * MIB)
    entry = tmp_path / "job.py"
    entry.write_text(PYSPARK)
    with cluster(spark, tmp_path) as (master, processes):
        place = BackendSettings(master=master, driver_host="127.0.0.1", unreachable_seconds=1)
        backend = ProcessBackend("spark-standalone", place, release_store())
        job = RunSpec("py", 1, spark.name, RunKind.PYSPARK, entry, tmp_path / "py", resources=small)
        first = backend.submit(job)
        jar = tmp_path / "count.jar"
        build_jar(spark, jar)
        status = ended(backend, first, 300)
        assert status.state is BackendState.SUCCEEDED, log_of(backend, first, "stderr")[-3000:]
        assert log_of(backend, first) == "sum 500500\nmaster spark executors 2\n"
        assert status.external_id is not None
        assert status.external_id.startswith("app-")
        used = backend.usage(first)
        assert used.method == "process-tree+spark-events"
        assert used.cpu_seconds is not None
        assert used.cpu_seconds > 1
        assert used.vcpu_seconds_allocated > used.wall_seconds

        count = replace(
            job,
            run_id="jar",
            kind=RunKind.JAR,
            entry=jar,
            work_dir=tmp_path / "jar",
            main_class="Count",
            argv=("1000",),
        )
        second = backend.submit(count)
        status = ended(backend, second, 300)
        assert status.state is BackendState.SUCCEEDED, log_of(backend, second, "stderr")[-3000:]
        assert log_of(backend, second) == "count 500\n"

        # the cluster vanishes in mid-run
        endless = replace(job, run_id="end", work_dir=tmp_path / "end", argv=("wait",))
        third = backend.submit(endless)
        until(lambda: "sum" in log_of(backend, third), 300)
        for process in processes:
            os.killpg(process.pid, signal.SIGKILL)
        status = ended(backend, third, 90)
        assert status.state in (BackendState.LOST, BackendState.FAILED)
        assert status.message


def build_jar(release: InstalledRelease, target: Path) -> None:
    if shutil.which("javac") is None or shutil.which("jar") is None:
        pytest.skip("a JDK is not installed")
    folder = target.parent / "java"
    folder.mkdir()
    (folder / "Count.java").write_text(JAVA)
    classes = f"{release.spark_home}/jars/*"
    subprocess.run(
        ("javac", "--release", "17", "-cp", classes, "-d", str(folder), "Count.java"),
        cwd=folder,
        check=True,
    )
    subprocess.run(("jar", "cf", str(target), "-C", str(folder), "Count.class"), check=True)


@pytest.mark.spark
@pytest.mark.timeout(400)
def test_the_same_run_on_this_machine(spark: InstalledRelease, tmp_path: Path) -> None:
    entry = tmp_path / "job.py"
    entry.write_text(PYSPARK)
    backend = ProcessBackend("local", BackendSettings(), release_store())
    job = RunSpec(
        *("py", 1, spark.name, RunKind.PYSPARK, entry, tmp_path / "py"),
        resources=Resources(2, 1024 * MIB),
    )
    handle = backend.submit(job)
    status = ended(backend, handle, 300)
    assert status.state is BackendState.SUCCEEDED, log_of(backend, handle, "stderr")[-3000:]
    assert log_of(backend, handle) == "sum 500500\nmaster local[2] executors 1\n"
    assert status.external_id is not None
