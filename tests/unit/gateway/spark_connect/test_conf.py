"""Settings of a session."""

from __future__ import annotations

from headwater.gateway.spark_connect.conf import Conf

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
