"""Runs of two users on a real standalone cluster, with tables on S3."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import releases_fixture
from headwater.errors import HeadwaterError
from integration.jobs.cluster import Cluster, running_cluster
from integration.jobs.conftest import SETTINGS, Jobs, jobs_of, make_lake
from integration.server.conftest import Server, eventually

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.s3, pytest.mark.timeout(600)]

# What each user's program says of each query; the same text runs here and on the cluster.
PYSPARK = """
import sys, time
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
for query in sys.argv[2:]:
    try:
        print(query, "->", sorted(tuple(row) for row in spark.sql(query).collect()), flush=True)
    except Exception as failure:
        print(query, "-> refused", flush=True)
        print("because", " ".join(str(failure).split()), flush=True)
if sys.argv[1] == "wait":
    print("waits", flush=True)
    spark.sparkContext.parallelize([1], 1).foreach(lambda _: time.sleep(300))
"""

JAVA = """
import org.apache.spark.sql.SparkSession;
public class Job {
  public static void main(String[] queries) {
    SparkSession spark = SparkSession.builder().getOrCreate();
    for (String query : queries) {
      try {
        System.out.println(query + " -> " + spark.sql(query).collectAsList());
      } catch (Exception failure) {
        System.out.println(query + " -> refused");
        System.err.println(failure);
      }
    }
    spark.stop();
  }
}
"""

READ = "SELECT id, region FROM s.t ORDER BY id"
SECRET = "SELECT id FROM s.filtered"
FORGED = "SELECT count(*) FROM range(1000)"
SMALL = {
    "vcpu": 1,
    "memory_bytes": 1 << 30,
    "executors": 1,
    "executor_memory_bytes": 512 << 20,
}


JAVA_FLAGS = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xshare:auto"
QUICK = {
    "spark.sql.shuffle.partitions": "2",
    "spark.driver.extraJavaOptions": JAVA_FLAGS,
    "spark.executor.extraJavaOptions": JAVA_FLAGS,
}


class Place:
    """A server whose default backend is the cluster; it may be killed and started again."""

    def __init__(self, home: Path, cluster: Cluster) -> None:
        self.home = home
        self.cluster = cluster
        self.settings = {
            **SETTINGS,
            "HEADWATER_JOBS__VCPU": "8",
            "HEADWATER_BACKEND__MASTER": cluster.master,
            "HEADWATER_BACKEND__DRIVER_HOST": "127.0.0.1",
            "HEADWATER_BACKEND__UNREACHABLE_SECONDS": "2",
            "HEADWATER_BACKEND__CONF": json.dumps(QUICK),
        }
        self.flags = ("--port", "0", "--no-samples", "--storage", "s3")
        self.server = Server(home, *self.flags, **self.settings)
        self._users: dict[str | None, Jobs] = {}

    def restart(self) -> None:
        self.close()
        self.server.process.kill()
        self.server.process.wait()
        assert self.server.process.stdout is not None
        self.server.process.stdout.close()
        self.server = Server(self.home, *self.flags, **self.settings)

    def of(self, user: str | None = None) -> Jobs:
        if user not in self._users:
            self._users[user] = jobs_of(self.server, user)
        return self._users[user]

    def close(self) -> None:
        for jobs in self._users.values():
            jobs.connection.close()
        self._users.clear()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    release = releases_fixture.installed_release("spark-4.1")
    folder = tmp_path_factory.mktemp("cluster")
    with running_cluster(release, folder) as cluster:
        made = Place(folder / "home", cluster)
        try:
            make_lake(made.server)
            for sql in (
                "CREATE TABLE s.filtered AS SELECT * FROM s.t",
                "GRANT SELECT ON TABLE s.filtered TO ROLE reader",
                "CREATE ROW FILTER eu ON s.filtered USING (region = 'EU') TO reader",
            ):
                done = made.server.run("sql", sql)
                assert done.returncode == 0, (sql, done.stderr)
            cluster.wait()
            yield made
        finally:
            made.close()
            made.server.stop()


@pytest.fixture(scope="module")
def jar(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("jar")
    (folder / "Job.java").write_text(JAVA)
    home = releases_fixture.installed_release("spark-4.1").spark_home
    jars = f"{home}/jars/*"
    subprocess.run(["javac", "-cp", jars, "Job.java"], cwd=folder, check=True)
    subprocess.run(["jar", "cfe", "job.jar", "Job", "Job.class"], cwd=folder, check=True)
    return (folder / "job.jar").read_bytes()


def submit_jar(jobs: Jobs, jar: bytes, *queries: str) -> str:
    upload = jobs.connection.upload("job.jar", iter([jar]), "/api/v1/job-files")
    body = {
        "kind": "jar",
        "program": {"upload": upload, "name": "job.jar"},
        "arguments": list(queries),
        "backend": "spark-standalone",
        "compute": SMALL,
    }
    found: str = jobs.connection.post("/api/v1/job-runs", body)["id"]
    return found


def submit(jobs: Jobs, *arguments: str, backend: str = "spark-standalone") -> str:
    run = jobs.submit("pyspark", PYSPARK, arguments=list(arguments), backend=backend, compute=SMALL)
    found: str = run["id"]
    return found


def answers(jobs: Jobs, run_id: str) -> str:
    """What the program said of its queries; spark-submit puts more into its output."""
    lines = jobs.log(run_id).splitlines(keepends=True)
    return "".join(line for line in lines if " -> " in line)


def test_the_cluster_shows_each_user_the_tables_that_are_theirs(place: Place, jar: bytes) -> None:
    ana, bob = place.of("ana"), place.of("bob")
    runs = {
        "jar": (ana, submit_jar(ana, jar, READ, SECRET)),
        "jar of bob": (bob, submit_jar(bob, jar, READ, SECRET)),
        "script": (ana, submit(ana, "go", READ, SECRET, "CREATE TABLE s.made AS " + READ)),
        "script of bob": (bob, submit(bob, "go", READ, SECRET, FORGED)),
    }
    said = {}
    for name, (jobs, run_id) in runs.items():
        run = jobs.until(run_id, seconds=300)
        assert run["state"] == "SUCCESS", (name, jobs.log(run_id, "stderr")[-3000:])
        assert run["attempts"][0]["release"] == "spark-4.1"
        said[name] = answers(jobs, run_id)
    assert said == {
        "jar": f"{READ} -> [[1,EU], [2,US]]\n{SECRET} -> refused\n",
        "jar of bob": f"{READ} -> refused\n{SECRET} -> refused\n",
        "script": f"{READ} -> [(1, 'EU'), (2, 'US')]\n{SECRET} -> refused\n"
        f"CREATE TABLE s.made AS {READ} -> []\n",
        "script of bob": f"{READ} -> refused\n{SECRET} -> refused\n{FORGED} -> [(1000,)]\n",
    }
    # Why, in the words of the catalog; and never with the token of the run.
    assert "read it through SQL" in ana.log(runs["script"][1])
    for jobs, run_id in runs.values():
        assert "eyJ" not in jobs.log(run_id) + jobs.log(run_id, "stderr")

    # What the executors used counts, and what was committed; the sums are those of the runs.
    script = ana.get(runs["script"][1])["attempts"][0]["usage"]
    assert script["method"].endswith("+events")
    assert script["vcpu_seconds"] > script["wall_seconds"]
    assert script["cpu_seconds"] > 1
    assert script["bytes_written"] > 300
    assert ana.get(runs["jar"][1])["attempts"][0]["usage"]["bytes_written"] == 0
    everyone = place.of().connection.get("/api/v1/job-runs/usage", by="user", all=True)
    by_user = {row["key"]: row for row in everyone}
    for user, names in (("ana", ("jar", "script")), ("bob", ("jar of bob", "script of bob"))):
        parts = [place.of(user).get(runs[n][1])["attempts"][0]["usage"] for n in names]
        for figure in ("vcpu_seconds", "cpu_seconds", "memory_gb_seconds", "bytes_written"):
            assert by_user[user][figure] == pytest.approx(sum(part[figure] for part in parts))
    found = ana.connection.get(f"/api/v1/job-runs/{runs['script'][1]}/spark")
    assert any(stage["tasks"] for stage in found[0]["stages"])


def test_one_setting_moves_the_same_program(place: Place) -> None:
    ana = place.of("ana")
    here = submit(ana, "go", READ, backend="local")
    assert ana.until(here, seconds=120)["state"] == "SUCCESS", ana.log(here, "stderr")
    assert ana.log(here) == f"{READ} -> [(1, 'EU'), (2, 'US')]\n"
    for kind, backend in (("python", "spark-standalone"), ("pyspark", "mesos"), ("jar", "yarn")):
        with pytest.raises(HeadwaterError, match=r"backend|HADOOP_CONF"):
            ana.submit(kind, "print(1)", backend=backend)


def test_a_run_outlives_the_server_and_ends_when_its_cluster_vanishes(place: Place) -> None:
    ana = place.of("ana")
    run_id = submit(ana, "wait", READ)
    eventually(lambda: "waits" in ana.log(run_id), 240)
    place.restart()
    ana = place.of("ana")
    assert ana.get(run_id)["state"] == "RUNNING"
    began = time.monotonic()
    place.cluster.kill()
    ended = ana.until(run_id, seconds=60)
    assert time.monotonic() - began < 40
    assert (ended["state"], ended["failure"]) == ("FAILED", "lost_engine")
    assert "cluster does not answer" in ended["reason"]
    assert answers(ana, run_id) == f"{READ} -> [(1, 'EU'), (2, 'US')]\n"
    everything_else = place.of().connection.query("SELECT count(*) AS n FROM s.t").to_pylist()
    assert everything_else == [{"n": 2}]
