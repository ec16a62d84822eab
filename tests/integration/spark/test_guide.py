"""The snippets of docs/guide/spark.md and the README run against a real server."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from headwater.settings import child_environment

ROOT = Path(__file__).parents[3]
GUIDE = (ROOT / "docs" / "guide" / "spark.md").read_text()


@pytest.mark.usefixtures("sail")
def test_the_python_snippets_run(spark_lake, tmp_path):
    for statement in (
        "CREATE SCHEMA sample",
        "CREATE TABLE sample.flights (origin varchar, dep_delay double)",
        "INSERT INTO sample.flights VALUES ('JFK', 90), ('JFK', 10), ('LGA', 120)",
    ):
        spark_lake.rows(statement)
    program = tmp_path / "guide.py"
    program.write_text("\n".join(re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)))
    environment = child_environment(HEADWATER_HOME=str(spark_lake.home), HOME=os.environ["HOME"])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(program)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "|   JFK|      2|" in done.stdout
    assert "|  JFK!|    1|" in done.stdout


@pytest.mark.usefixtures("sail")
def test_the_program_of_the_readme_runs(door, tmp_path):
    text = re.search(r"cat > trips\.py <<'END'\n(.*?)END\n", (ROOT / "README.md").read_text(), re.S)
    assert text is not None
    program = tmp_path / "trips.py"
    program.write_text(
        text[1].replace("sample.nyc_taxi_trips", "shop.orders").replace("pickup_borough", "region")
    )
    environment = child_environment(
        SPARK_REMOTE=door.url("ellen"), GRPC_DEFAULT_SSL_ROOTS_FILE_PATH=str(door.lake.ca)
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(program)],
        env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert "|    EU|    2|" in done.stdout, done.stderr
    assert "US" not in done.stdout


def test_the_command_prints_a_string_that_works(door):
    command = [sys.executable, "-m", "headwater", "token", "--user", "ellen", "--spark"]
    environment = child_environment(HEADWATER_HOME=str(door.lake.home))
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    spark = door.open(done.stdout.strip())
    assert spark.sql("SELECT current_user() AS me").collect()[0].me == "ellen"
