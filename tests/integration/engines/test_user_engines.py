"""User engines as gateways use them: real Sail and Spark in the sandbox, and what goes wrong."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headwater.engines.userprocess.pool import UserProcesses
from headwater.errors import ErrorCode, HeadwaterError
from headwater.model.principal import Identity, Principal, PrincipalKind
from headwater.runtimes.releases.installed import InstalledRelease
from headwater.runtimes.sandbox.sandbox import SandboxKind, SandboxLevel, level
from headwater.settings import UserEngineSettings
from releases_fixture import installed_release, release_store

MIB = 1024**2


class Releases:
    """The installed releases, and one that cannot start."""

    def ensure(self, name: str) -> InstalledRelease:
        if name == "broken":
            found = installed_release("sail")
            return InstalledRelease(
                "broken", "x", found.path, Path("/usr/bin/false"), packages=found.packages
            )
        return installed_release(name)

    def installed(self, name: str) -> InstalledRelease | None:
        return release_store().installed(name)


@pytest.fixture
def pool_of(tmp_path: Path) -> Iterator[Any]:
    with contextlib.ExitStack() as stack:

        def make(at: SandboxLevel | None = None, **settings: Any) -> UserProcesses:
            installed_release("sail")
            settings = {"spare_sail": 0, "watch_seconds": 0.05} | settings
            pool = UserProcesses(UserEngineSettings(**settings), Releases(), tmp_path / "e", at)
            pool.start()
            stack.callback(pool.stop)
            return pool

        yield make
    assert not any((tmp_path / "e").iterdir())


def who(name: str, role: str | None = None) -> Identity:
    return Identity(Principal(f"id-{name}", name, PrincipalKind.USER), role)


@contextlib.contextmanager
def session(engine: Any) -> Iterator[Any]:
    import grpc
    from pyspark.sql.connect.client import DefaultChannelBuilder
    from pyspark.sql.connect.session import SparkSession

    class Builder(DefaultChannelBuilder):  # type: ignore[misc]
        def toChannel(self) -> Any:
            options = [("grpc.default_authority", "localhost")]
            return grpc.insecure_channel(engine.target, options=options)

    spark = SparkSession(Builder("sc://localhost"))
    spark.client.set_retry_policies([])  # a process that has ended will not answer later
    try:
        yield spark
    finally:
        if engine.alive:
            spark.stop()
        else:
            spark.client._channel.close()


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


def run_python(spark: Any, body: str) -> str:
    """What a function of the user returns when it runs inside the engine."""
    from pyspark.sql.connect.functions import udf
    from pyspark.sql.types import StringType

    namespace: dict[str, Any] = {}
    exec(f"def f(x):\n    {body}", namespace)
    return str(spark.range(1).select(udf(namespace["f"], StringType())("id")).collect()[0][0])


def stage(engine: Any, name: str) -> None:
    file = engine.inbox / name
    pq.write_table(pa.table({"n": [1, 2, 3]}), file)
    file.chmod(0o644)


def check_walls(engine: Any, spark: Any, home: Path) -> None:
    """What user code inside an engine finds of the machine."""
    code = (
        f"import os\n    try: return str(os.listdir({str(home)!r}))\n"
        "    except OSError as exc: return type(exc).__name__"
    )
    assert run_python(spark, code) in ("FileNotFoundError", "PermissionError")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code = (
            "import socket\n    try: socket.create_connection(('127.0.0.1', %d), 2)\n"
            "    except OSError as exc: return type(exc).__name__\n    return 'connected'"
        )
        assert run_python(spark, code % port) != "connected"
    code = (
        f"import os\n    try: open('{engine.inbox_inside}/table.parquet', 'ab')\n"
        "    except OSError as exc: return type(exc).__name__\n    return 'written'"
    )
    assert run_python(spark, code) in ("OSError", "PermissionError")
    code = "import os\n    return ' '.join(sorted(os.environ))"
    assert not [name for name in run_python(spark, code).split() if "HEADWATER" in name]


def test_a_session_on_sail(pool_of: Any, tmp_path: Path) -> None:
    pool = pool_of()
    engine = pool.lease(who("alice"), "sail")
    assert engine.confines
    assert engine.alive
    stage(engine, "table.parquet")
    with session(engine) as spark:
        assert spark.sql("select 1 as one").collect()[0].one == 1
        read = spark.read.parquet(f"{engine.inbox_inside}/table.parquet")
        assert sorted(row.n for row in read.collect()) == [1, 2, 3]
        read.write.parquet(f"{engine.outbox_inside}/copy")
        assert pq.read_table(engine.outbox / "copy").num_rows == 3
        check_walls(engine, spark, tmp_path)
    # the same principal and role share the process, others do not
    again = pool.lease(who("alice"), "sail")
    analyst = pool.lease(who("alice", "analyst"), "sail")
    bob = pool.lease(who("bob"), "sail")
    assert again.generation == engine.generation
    assert len({engine.generation, analyst.generation, bob.generation}) == 3
    with session(bob) as spark:
        listed = f"import os\n    return str(os.listdir('{bob.inbox_inside}'))"
        assert run_python(spark, listed) == "[]"
    engine.release()
    engine.release()
    assert [status.leases for status in pool.status()] == [1, 1, 1]


def test_a_session_on_sail_with_landlock(pool_of: Any, tmp_path: Path) -> None:
    found = level(SandboxKind.LANDLOCK)
    if found.kind is not SandboxKind.LANDLOCK:
        pytest.skip(found.detail)
    pool = pool_of(found)
    engine = pool.lease(who("alice"), "sail")
    assert engine.sandbox == "landlock"
    stage(engine, "table.parquet")
    with session(engine) as spark:
        read = spark.read.parquet(f"{engine.inbox_inside}/table.parquet")
        assert read.count() == 3
        check_walls(engine, spark, Path("/var/lib/dpkg"))
    with pytest.raises(HeadwaterError) as raised:
        pool.lease(who("alice"), "spark")
    assert raised.value.code is ErrorCode.ENGINE_UNAVAILABLE


def test_a_process_that_was_killed_is_replaced(pool_of: Any) -> None:
    pool = pool_of()
    engine = pool.lease(who("alice"), "sail")
    other = pool.lease(who("bob"), "sail")
    os.kill(engine.pid, signal.SIGKILL)
    until(lambda: not engine.alive)
    until(lambda: engine.ended == "it ended with signal SIGKILL")
    after = pool.lease(who("alice"), "sail")
    assert after.generation != engine.generation
    assert not engine.inbox.exists()
    engine.release()
    assert after.alive
    assert other.alive
    pool.discard(who("alice"), "sail")
    assert not after.alive


def test_an_idle_process_ends(pool_of: Any) -> None:
    pool = pool_of(idle_seconds=0.3)
    engine = pool.lease(who("alice"), "sail")
    time.sleep(0.6)
    assert engine.alive
    engine.release()
    until(lambda: not engine.alive)
    assert engine.ended == "it was idle"
    until(lambda: gone(engine.pid))


def test_a_spare_is_given_away_once(pool_of: Any) -> None:
    pool = pool_of(spare_sail=1)
    until(lambda: len(pool.status()) == 1)
    [spare] = pool.status()
    assert spare.principal_id is None
    began = time.monotonic()
    engine = pool.lease(who("alice"), "sail")
    assert engine.pid == spare.pid
    with session(engine) as spark:
        assert spark.sql("select 1 as one").collect()[0].one == 1
    assert time.monotonic() - began < 5
    until(lambda: len(pool.status()) == 2)
    engine.release()
    assert pool.lease(who("bob"), "sail").pid != spare.pid


def test_a_function_that_eats_memory_ends_its_process_only(pool_of: Any) -> None:
    pool = pool_of(memory_bytes=512 * MIB)
    engine, other = pool.lease(who("alice"), "sail"), pool.lease(who("bob"), "sail")
    with session(engine) as spark, pytest.raises(Exception, match=r".+"):
        run_python(
            spark,
            "kept = []\n    import time\n    while True: kept.append(bytearray(1 << 24))",
        )
    until(lambda: not engine.alive or pool.lease(who("alice"), "sail").alive)
    if not engine.alive:  # else the interpreter itself was refused more
        assert engine.ended == "it used more than 512 MiB of memory"
    assert other.alive
    with session(pool.lease(who("alice"), "sail")) as spark:
        assert spark.sql("select 1 as one").collect()[0].one == 1


def test_a_process_that_fills_the_disk_ends(pool_of: Any) -> None:
    pool = pool_of(disk_bytes=64 * MIB)
    engine = pool.lease(who("alice"), "sail")
    with session(engine) as spark, contextlib.suppress(Exception):
        run_python(
            spark,
            "import time\n    for i in range(9):\n"
            f"        open('{engine.outbox_inside}/' + str(i), 'wb').write(bytes(1 << 24))\n"
            "    time.sleep(60)",
        )
    until(lambda: not engine.alive)
    assert engine.ended == "it used more than 64 MiB of disk"


def test_there_are_only_so_many(pool_of: Any) -> None:
    pool = pool_of(max_processes=2)
    first, second = pool.lease(who("a"), "sail"), pool.lease(who("b"), "sail")
    with pytest.raises(HeadwaterError) as raised:
        pool.lease(who("c"), "sail")
    assert raised.value.code is ErrorCode.ENGINE_UNAVAILABLE
    second.release()
    assert pool.lease(who("c"), "sail").alive
    assert not second.alive
    assert first.alive


def test_a_process_that_does_not_start_says_why(pool_of: Any) -> None:
    pool = pool_of()
    with pytest.raises(HeadwaterError) as raised:
        pool.lease(who("alice"), "sail", "broken")
    assert raised.value.code is ErrorCode.ENGINE_UNAVAILABLE
    assert pool.status() == []
    with pytest.raises(HeadwaterError) as raised:
        pool.lease(who("alice"), "presto")
    assert raised.value.code is ErrorCode.INVALID_ARGUMENT


def test_processes_end_with_a_server_that_is_killed(tmp_path: Path) -> None:
    installed_release("sail")
    code = (
        "import sys, time; from pathlib import Path\n"
        "from headwater.engines.userprocess.pool import UserProcesses\n"
        "from headwater.model.principal import Identity, Principal, PrincipalKind\n"
        "from headwater.settings import UserEngineSettings\n"
        "from releases_fixture import release_store\n"
        "pool = UserProcesses(UserEngineSettings(), release_store(), Path(sys.argv[1]))\n"
        "pool.start()\n"
        "alice = Identity(Principal('a', 'alice', PrincipalKind.USER))\n"
        "print(pool.lease(alice, 'sail').pid, flush=True); time.sleep(60)\n"
    )
    environment = os.environ | {"PYTHONPATH": "src:tests"}
    argv = [sys.executable, "-c", code, str(tmp_path / "e")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, env=environment) as server:
        assert server.stdout is not None
        pid = int(server.stdout.readline())
        import psutil

        tree = [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
        assert len(tree) >= 3
        server.kill()
    until(lambda: all(gone(member) for member in tree))


@pytest.mark.spark
@pytest.mark.timeout(400)
def test_a_session_on_spark(pool_of: Any, tmp_path: Path) -> None:
    installed_release("spark-4.1")
    if not level().own_network:
        pytest.skip("Spark needs bubblewrap")
    pool = pool_of(start_seconds=240)
    engine = pool.lease(who("alice"), "spark")
    stage(engine, "table.parquet")
    with session(engine) as spark:
        assert spark.version.startswith("4.1.")
        read = spark.read.parquet(f"{engine.inbox_inside}/table.parquet")
        assert read.groupBy().sum("n").collect()[0][0] == 6
        read.write.parquet(f"{engine.outbox_inside}/copy")
        assert pq.read_table(engine.outbox / "copy").num_rows == 3
        check_walls(engine, spark, tmp_path)
    engine.release()
