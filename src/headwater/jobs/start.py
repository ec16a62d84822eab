"""Starts a run's Python program inside its sandbox: `python start.py PROGRAM ARGUMENTS…`.

It reads the run's token from its file and puts it where clients look for it, in this process
alone: never in an argument, nor in the environment that the process was started with. One file for
Python 3.8 and newer, standard library only.
"""

from __future__ import annotations

import json
import os
import runpy
import sys

_environ = os.environ  # noqa: TID251 - no settings of the server's: the run's own environment


def main() -> None:
    """Runs the program as `__main__`, with its own folder first on the path, as Python does."""
    program = sys.argv[1]
    secrets = _environ.get("HEADWATER_HOME", "")
    token = _read(os.path.join(secrets, "token"))
    spark = _environ.get("HEADWATER_SPARK_URL")
    remote = _environ.get("HEADWATER_SPARK_REMOTE")
    if remote:
        theirs = _read(os.path.join(secrets, "remote-token"))
        _environ["SPARK_REMOTE"] = remote + (";token=" + theirs if theirs else "")
    elif token and spark:
        # What an unchanged PySpark script's SparkSession.builder.getOrCreate() connects to.
        _environ["SPARK_REMOTE"] = spark + "/;use_ssl=true;token=" + token
        release = _environ.pop("HEADWATER_SPARK_RELEASE", "")
        if release:
            _environ["SPARK_REMOTE"] += ";headwater-release=" + release
    sys.argv = sys.argv[1:]
    sys.path[0] = os.path.dirname(program)
    settings = json.loads(_environ.pop("HEADWATER_SPARK_CONFIGURATION", "{}"))
    if settings:
        _session(settings)
    runpy.run_path(program, run_name="__main__")


def _session(settings: dict[str, str]) -> None:
    """Opens the session with the run's configuration; the program's getOrCreate() finds it."""
    from pyspark.sql import SparkSession

    builder = SparkSession.builder
    for name, value in settings.items():
        builder = builder.config(name, value)
    builder.getOrCreate()


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return ""


if __name__ == "__main__":
    main()
