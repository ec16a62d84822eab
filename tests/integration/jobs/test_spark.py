"""PySpark and JAR runs of two users on a real server, with the real release of Spark."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

import releases_fixture
from integration.jobs.conftest import Jobs

Of = Callable[..., Jobs]

PYSPARK = """
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
for row in spark.sql("SELECT id, region FROM s.t ORDER BY id").collect():
    print(row.id, row.region)
"""

JOB = """
import org.apache.spark.sql.SparkSession;
public class Job {
  public static void main(String[] args) {
    SparkSession spark = SparkSession.builder().getOrCreate();
    System.out.println(args[0] + " " + spark.sql(args[1]).count());
    spark.stop();
  }
}
"""


def test_an_unchanged_pyspark_program_sees_what_its_user_may_see(of: Of) -> None:
    ana, bob = of("ana"), of("bob")
    good = ana.run("pyspark", PYSPARK)
    assert good["state"] == "SUCCESS", ana.log(good["id"], "stderr")
    assert ana.log(good["id"]) == "1 EU\n2 US\n"
    assert good["attempts"][0]["usage"]["queries"] >= 1
    refused = bob.run("pyspark", PYSPARK)
    assert refused["state"] == "FAILED"
    assert bob.log(refused["id"]) == ""
    assert "NOT_FOUND" in bob.log(refused["id"], "stderr")


@pytest.fixture(scope="module")
def jar(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A Java program, compiled against the release's jars."""
    folder = tmp_path_factory.mktemp("jar")
    (folder / "Job.java").write_text(JOB)
    spark_home = releases_fixture.installed_release("spark-4.1").spark_home
    assert spark_home is not None
    jars = spark_home / "jars"
    subprocess.run(["javac", "-cp", f"{jars}/*", "Job.java"], cwd=folder, check=True)
    subprocess.run(["jar", "cfe", "job.jar", "Job", "Job.class"], cwd=folder, check=True)
    return (folder / "job.jar").read_bytes()


def _submit(jobs: Jobs, jar: bytes, query: str, **request: object) -> dict:
    upload = jobs.connection.upload("job.jar", iter([jar]), "/api/v1/job-files")
    body = {
        "kind": "jar",
        "program": {"upload": upload, "name": "job.jar"},
        "arguments": ["rows", query],
        **request,
    }
    run = jobs.connection.post("/api/v1/job-runs", body)
    return jobs.until(run["id"], seconds=150)


@pytest.mark.spark
def test_an_unchanged_jar_sees_what_its_user_may_see(of: Of, jar: bytes) -> None:
    ana, bob = of("ana"), of("bob")
    good = _submit(ana, jar, "SELECT id FROM s.t")
    assert good["state"] == "SUCCESS", ana.log(good["id"], "stderr")
    assert ana.log(good["id"]) == "rows 2\n"
    assert good["attempts"][0]["release"] == "spark-4.1"
    refused = _submit(bob, jar, "SELECT id FROM s.t")
    assert (refused["state"], bob.log(refused["id"])) == ("FAILED", "")
    assert "NOT_FOUND" in bob.log(refused["id"], "stderr")


@pytest.mark.spark
def test_a_jar_with_a_spark_of_its_own_has_event_logs_and_no_tables(of: Of, jar: bytes) -> None:
    ana = of("ana")
    classic = {"spark.api.mode": "classic"}
    run = _submit(ana, jar, "SELECT explode(sequence(1, 100))", configuration=classic)
    assert (run["state"], ana.log(run["id"])) == ("SUCCESS", "rows 100\n")
    found = ana.connection.get(f"/api/v1/job-runs/{run['id']}/spark")
    assert [stage["state"] for stage in found[0]["stages"]] != []
    refused = _submit(ana, jar, "SELECT * FROM s.t", configuration=classic)
    assert refused["state"] == "FAILED"


def test_what_is_no_jar_or_names_no_class_fails_in_words(of: Of) -> None:
    run = of("ana").run("jar", "this is text", main_class=None)
    assert run["state"] == "FAILED"
    assert "not a JAR" in run["reason"]
