"""How Sail and Spark are started: their environment, settings and limits, for `inside`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from headwater.engines.userprocess.engine import SAIL
from headwater.errors import ErrorCode, error
from headwater.runtimes.releases.installed import InstalledRelease

MIB = 1024**2

# What Spark's own launcher passes to every Java it supports (JavaModuleOptions).
JAVA_OPENS = (
    "java.lang",
    "java.lang.invoke",
    "java.lang.reflect",
    "java.io",
    "java.net",
    "java.nio",
    "java.util",
    "java.util.concurrent",
    "java.util.concurrent.atomic",
    "jdk.internal.ref",
    "sun.nio.ch",
    "sun.nio.cs",
    "sun.security.action",
    "sun.util.calendar",
)
REHEARSAL = """
from pyspark.sql.connect.session import SparkSession
from pyspark.sql.connect.functions import col, sum, udf
from pyspark.sql.types import LongType
spark = SparkSession.builder.remote("sc://127.0.0.1:15002").create()
spark.sql("select 1").collect()
frame = spark.range(100).withColumn("b", col("id") % 7)
frame.groupBy("b").agg(sum("id")).orderBy("b").toPandas()
frame.join(frame, "b").select(udf(lambda n: n, LongType())("b")).limit(3).collect()
frame.write.mode("overwrite").parquet("/scratch/rehearsal")
spark.read.parquet("/scratch/rehearsal").createOrReplaceTempView("t")
spark.sql("select b, count(*), max(id) from t where id > 3 group by b order by 1").collect()
spark.stop()
"""
"""What a rehearsal runs, with the release's own client: the paths that most sessions take."""

_STACK_BYTES = 64 * 1024**2
"""Of address space, for each of Sail's threads; memory is taken only as deep as one gets."""

_SERVER = "org.apache.spark.sql.connect.service.SparkConnectServer"


@dataclass(frozen=True, slots=True)
class Launch:
    """What one engine needs to start, as the process sees the paths."""

    environment: Mapping[str, str]
    java: tuple[str, ...] = ()
    properties: str = ""
    """Spark's settings, for a file."""


def sail(release: InstalledRelease, scratch: str, memory_bytes: int) -> Launch:
    """Sail, in the process of the release's Python."""
    return Launch(
        {
            **release.env,
            # without it one TPC-DS query takes 60 times as long; results are the same
            "SAIL_OPTIMIZER__ENABLE_JOIN_REORDER": "true",
            # Its planner recurses: 400 times withColumn are more than its usual stack holds.
            "SAIL_RUNTIME__STACK_SIZE": str(_STACK_BYTES),
            "SAIL_RUNTIME__MEMORY_POOL__TYPE": "fair",
            "SAIL_RUNTIME__MEMORY_POOL__FAIR__MAX_SIZE": str(memory_bytes * 6 // 10),
            "SAIL_RUNTIME__TEMPORARY_FILES__PATHS": f'["{scratch}"]',
            # sessions end when the gateway says so
            "SAIL_SPARK__SESSION_TIMEOUT_SECS": str(7 * 86400),
            "SAIL_TELEMETRY__EXPORT_METRICS": "false",
            "RUST_LOG": "error",
        }
    )


def spark(
    release: InstalledRelease,
    scratch: str,
    memory_bytes: int,
    port: int,
    properties: str,
    flags: tuple[str, ...] = (),
) -> Launch:
    """Spark's Connect server; `properties` is where the process finds its settings."""
    if release.java_home is None or release.spark_home is None:
        raise error(ErrorCode.ENGINE_UNAVAILABLE, f"the release {release.name} has no Spark")
    # Python workers and what Java keeps beside its heap need the rest.
    heap = max(512 * MIB, memory_bytes * 6 // 10)
    classes = ":".join([f"{release.spark_home}/jars/*", *map(str, release.jars)])
    settings = {
        **release.conf,
        # Its tables are staged Parquet, and Iceberg's parser loses the arguments of SQL text.
        "spark.sql.extensions": "",
        "spark.master": f"local[{os.cpu_count() or 1}]",
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": str(port),
        "spark.connect.grpc.maxInboundMessageSize": str(1024 * MIB),
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.memory": f"{heap // MIB}m",
        "spark.ui.enabled": "false",
        "spark.local.dir": scratch,
        "spark.sql.warehouse.dir": f"{scratch}/warehouse",
        "spark.sql.catalogImplementation": "in-memory",
        "spark.sql.shuffle.partitions": str(2 * (os.cpu_count() or 1)),
        "spark.sql.artifact.isolation.enabled": "true",
        "spark.pyspark.python": str(release.python),
    }
    java = (
        f"{release.java_home}/bin/java",
        *flags,
        *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in JAVA_OPENS),
        "-XX:+IgnoreUnrecognizedVMOptions",
        "-Djdk.reflect.useDirectMethodHandle=false",
        "-Dio.netty.tryReflectionSetAccessible=true",
        f"-Dderby.system.home={scratch}",
        f"-Djava.io.tmpdir={scratch}",
        f"-Duser.home={scratch}",
        f"-Xmx{heap}",
        "-XX:-UsePerfData",  # a file in /tmp that only tools of the same machine read
        "-cp",
        f"{release.spark_home}/conf:{classes}",
        "org.apache.spark.deploy.SparkSubmit",
        "--properties-file",
        properties,
        "--class",
        _SERVER,
        "--name",
        "headwater",
        "spark-internal",
    )
    environment = {
        **release.env,
        "JAVA_HOME": str(release.java_home),
        "SPARK_HOME": str(release.spark_home),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_USER": "headwater",
        "HADOOP_USER_NAME": "headwater",
        "PYSPARK_PYTHON": str(release.python),
        "PYSPARK_DRIVER_PYTHON": str(release.python),
    }
    text = "".join(f"{name} {value}\n" for name, value in sorted(settings.items()))
    return Launch(environment, java, text)


def launch(
    engine: str,
    release: InstalledRelease,
    *,
    scratch: str,
    memory_bytes: int,
    port: int,
    properties: str,
    java: tuple[str, ...] = (),
) -> Launch:
    """How to start the engine of that name; `java` are more flags of its Java."""
    if engine == SAIL:
        return sail(release, scratch, memory_bytes)
    return spark(release, scratch, memory_bytes, port, properties, java)
