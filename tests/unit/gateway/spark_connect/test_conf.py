"""Settings of a session."""

from __future__ import annotations

import pytest

from headwater.gateway.spark_connect.conf import Conf, modifiable
from headwater.gateway.spark_connect.failures import SparkFailure

ARROW = "spark.sql.execution.arrow"


def test_settings_of_old_names_stand_for_the_new() -> None:
    conf = Conf()
    assert conf.get(f"{ARROW}.pyspark.enabled") == "true"
    conf.set(f"{ARROW}.enabled", "false")
    assert conf.get(f"{ARROW}.pyspark.enabled") == "false"
    conf.set(f"{ARROW}.pyspark.enabled", "true")
    assert conf.get(f"{ARROW}.pyspark.enabled") == "true"
    conf.unset(f"{ARROW}.pyspark.enabled")
    conf.unset(f"{ARROW}.enabled")
    assert conf.get(f"{ARROW}.pyspark.enabled") == "true"


@pytest.mark.parametrize("key", ["spark.myapp.date", "spark.test.original", "myapp.x", "date"])
def test_parameters_of_programs_are_kept_and_passed_to_no_engine(key: str) -> None:
    conf = Conf()
    conf.set(key, "2026-01-01")
    assert conf.require(key) == "2026-01-01"
    assert conf.copy().get(key) == "2026-01-01"
    assert conf.for_engine() == {}
    conf.unset(key)
    assert conf.get(key) is None


@pytest.mark.parametrize(
    "key",
    [
        "spark.sql.catalog.x",
        "spark.sql.extensions",
        "spark.hadoop.fs.s3a.access.key",
        "spark.jars",
        "spark.jars.packages",
        "spark.driver.memory",
        "spark.executor.instances",
        "spark.executorEnv.X",
        "spark.connect.extensions.x",
        "spark.master",
        "spark.ui.port",
        "spark.plugins",
        "spark.kryo.registrator",
        "spark.",
        "spark..x",
        "headwater.x",
    ],
)
def test_settings_of_engines_that_are_not_on_the_list_are_refused(key: str) -> None:
    assert not modifiable(key)
    with pytest.raises(SparkFailure):
        Conf().set(key, "1")


def test_settings_stand_in_sql_text() -> None:
    conf = Conf()
    conf.set("spark.myapp.table", "t${myapp.number}")
    conf.set("myapp.number", "7")
    text = "SELECT ${spark.myapp.table}, ${hiveconf:myapp.number}, ${env:HOME}, ${x}"
    assert conf.substituted(text) == "SELECT t7, 7, ${env:HOME}, ${x}"
    conf.set("spark.sql.variable.substitute", "false")
    assert conf.substituted(text) == text


def test_settings_that_stand_for_each_other_or_grow_are_an_error() -> None:
    conf = Conf()
    conf.set("a", "${b}")
    conf.set("b", "${a}")
    with pytest.raises(SparkFailure):
        conf.substituted("SELECT ${a}")
    conf.set("c", "x" * 60_000)
    with pytest.raises(SparkFailure):
        conf.substituted("${c}" * 1000)


def test_settings_that_sail_takes_no_notice_of() -> None:
    usual = Conf({"spark.sql.orderByOrdinal": "true", "spark.sql.ansi.enabled": "false"})
    assert not usual.of_spark_alone()
    assert Conf({"spark.sql.orderByOrdinal": "FALSE"}).of_spark_alone()
    assert Conf({"spark.sql.legacy.timeParserPolicy": "LEGACY"}).of_spark_alone()
    # PySpark's own default, said aloud.
    by_name = "spark.sql.legacy.execution.pandas.groupedMap.assignColumnsByName"
    assert not Conf({by_name: "true"}).of_spark_alone()
