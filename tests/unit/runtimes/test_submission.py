"""The exact commands that go to each backend."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from headwater.errors import ErrorCode, HeadwaterError
from headwater.runtimes.backends.connect import remote_endpoint
from headwater.runtimes.backends.submission import (
    Places,
    Resources,
    SparkProgram,
    check_place,
    submission,
)
from headwater.runtimes.releases.installed import InstalledRelease
from headwater.settings import BackendSettings

RELEASE = InstalledRelease(
    "spark-4.1",
    "x",
    Path("/r"),
    Path("/r/venv/bin/python"),
    Path("/java"),
    Path("/r/spark"),
    (Path("/r/jars/iceberg.jar"),),
    {"spark.sql.adaptive.enabled": "true"},
)
GIB = 1024**3
PLACES = Places(
    "/in/app.jar", "/secrets/spark.properties", "/w", "file:///w/events",
    ("/in/more.jar", "/in/more.py"),
)  # fmt: skip
SPEC = SparkProgram(
    "Run7",
    1,
    PLACES,
    main_class="org.example.Main",
    arguments=("a", "b c"),
    conf={"spark.x.secret": "hush\nnow\\", "spark.driver.memory": "1t", "spark.master": "local"},
    resources=Resources(2, 3 * GIB, executors=4, executor_vcpu=2, executor_memory_bytes=GIB),
)
SUBMIT = ("/r/spark/bin/spark-submit", "--properties-file", "/secrets/spark.properties")


def conf_of(text: str) -> dict[str, str]:
    return dict(line.split(" ", 1) for line in text.splitlines())


def test_standalone() -> None:
    place = BackendSettings(master="spark://one:7077", driver_host="10.0.0.9", python="/py")
    how = submission("spark-standalone", place, RELEASE, SPEC)
    assert how.argv == (*SUBMIT, "--class", "org.example.Main", "/in/app.jar", "a", "b c")
    conf = conf_of(how.properties)
    assert conf["spark.master"] == "spark://one:7077"  # a run does not choose where it runs
    assert conf["spark.driver.memory"] == "1843m"  # nor how much it gets: its heap is a part of it
    assert conf["spark.x.secret"] == "hush\\nnow\\\\"
    assert conf["spark.jars"] == "/r/jars/iceberg.jar,/in/more.jar"
    assert conf["spark.submit.pyFiles"] == "/in/more.py"
    assert conf["spark.sql.adaptive.enabled"] == "true"
    assert conf["spark.eventLog.dir"] == "file:///w/events"
    assert conf["spark.submit.deployMode"] == "client"
    assert conf["spark.driver.host"] == "10.0.0.9"
    assert conf["spark.cores.max"] == "8"
    assert conf["spark.executor.cores"] == "2"
    assert conf["spark.executor.memory"] == "1024m"
    assert conf["spark.pyspark.python"] == "/py"
    assert how.environment["SPARK_LOCAL_IP"] == "10.0.0.9"
    assert "hush" not in " ".join([*how.argv, *how.environment.values()])


def test_kubernetes() -> None:
    place = BackendSettings(
        master="k8s://https://api:6443",
        image="headwater/spark:4.1",
        namespace="jobs",
        service_account="spark",
        upload_path="s3a://stage/up",
        conf={"spark.kubernetes.driver.node.selector.pool": "big"},
    )
    spec = replace(SPEC, places=replace(PLACES, entry="/in/job.py"), main_class=None)
    how = submission("kubernetes", place, RELEASE, spec)
    assert how.argv == (*SUBMIT, "/in/job.py", "a", "b c")
    assert (
        conf_of(how.properties).items()
        >= {
            "spark.master": "k8s://https://api:6443",
            "spark.submit.deployMode": "cluster",
            "spark.app.name": "headwater-Run7",
            "spark.kubernetes.namespace": "jobs",
            "spark.kubernetes.container.image": "headwater/spark:4.1",
            "spark.kubernetes.authenticate.driver.serviceAccountName": "spark",
            "spark.kubernetes.file.upload.path": "s3a://stage/up",
            "spark.kubernetes.driver.pod.name": "headwater-run7-1",
            "spark.kubernetes.driver.request.cores": "2",
            "spark.kubernetes.driver.node.selector.pool": "big",
            "spark.executor.instances": "4",
            "spark.pyspark.python": "python3",
        }.items()
    )
    assert how.kill == (
        *("/r/spark/bin/spark-submit", "--master", "k8s://https://api:6443"),
        *("--kill", "jobs:headwater-run7-1"),
    )


def test_yarn() -> None:
    place = BackendSettings(hadoop_conf=Path("/etc/hadoop"), queue="etl", user="alice")
    how = submission("yarn", place, RELEASE, SPEC)
    assert (
        conf_of(how.properties).items()
        >= {
            "spark.master": "yarn",
            "spark.submit.deployMode": "cluster",
            "spark.yarn.queue": "etl",
            "spark.yarn.tags": "headwater,Run7",
            "spark.driver.cores": "2",
        }.items()
    )
    assert how.environment["HADOOP_CONF_DIR"] == "/etc/hadoop"
    assert how.environment["HADOOP_USER_NAME"] == "alice"


@pytest.mark.parametrize(
    ("backend", "place", "setting"),
    [
        ("spark-standalone", BackendSettings(), "MASTER"),
        ("kubernetes", BackendSettings(master="spark://one", image="i"), "MASTER"),
        ("kubernetes", BackendSettings(master="k8s://one"), "IMAGE"),
        ("yarn", BackendSettings(), "HADOOP_CONF"),
    ],
)
def test_what_a_backend_needs(backend: str, place: BackendSettings, setting: str) -> None:
    with pytest.raises(HeadwaterError) as raised:
        check_place(backend, place)
    assert raised.value.code is ErrorCode.INVALID_ARGUMENT
    assert f"HEADWATER_BACKEND__{setting}" in raised.value.message


def test_what_cannot_be_submitted() -> None:
    standalone = BackendSettings(master="spark://one:7077")
    check_place("spark-standalone", standalone)
    with pytest.raises(HeadwaterError, match="has no Spark"):
        submission("spark-standalone", standalone, replace(RELEASE, spark_home=None), SPEC)
    with pytest.raises(HeadwaterError, match="cannot be submitted"):
        submission("spark-connect", BackendSettings(), RELEASE, SPEC)
    with pytest.raises(HeadwaterError, match="there is no backend"):
        check_place("mesos", BackendSettings())


def test_a_remote_connect_endpoint() -> None:
    found = remote_endpoint(BackendSettings(connect="sc://there:15009/;use_ssl=true"))
    assert (found.host, found.port, found.secure) == ("there", 15009, True)
    assert found.url == "sc://there:15009/;use_ssl=true"
    plain = remote_endpoint(BackendSettings(connect="sc://[::1]"))
    assert plain.url == "sc://[::1]:15002/;use_ssl=false"
    for wrong in ("", "http://there", "sc://there:x", "sc://there/;token=hush"):
        with pytest.raises(HeadwaterError) as raised:
            remote_endpoint(BackendSettings(connect=wrong))
        assert raised.value.code is ErrorCode.INVALID_ARGUMENT
        assert "hush" not in str(raised.value)
