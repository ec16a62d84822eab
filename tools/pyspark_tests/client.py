"""Runs one file of PySpark's tests against a Spark Connect endpoint; a release's Python runs it.

It imports nothing of Headwater. Every test's start and end becomes a line of JSON at once, so that
a process that has to be killed has told how far it was; what `--done` names is not run again.

Some files compare a Connect session with a classic one in the same JVM. Here the endpoint is
elsewhere, so the classic session is one of this process, and tables that a file prepares in it are
copied to the endpoint.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import signal
import sys
import tempfile
import time
import traceback
import types
import unittest
from collections.abc import Iterator
from pathlib import Path
from typing import Any

REMOTE = "SPARK_CONNECT_TESTING_REMOTE"
_MARK = "\0"


class OutOfTime(BaseException):
    """A test took too long; no test catches this by accident."""


class Record(unittest.TestResult):
    """Writes down what becomes of each test."""

    def __init__(self, lines: Any, seconds: int) -> None:
        super().__init__()
        self._lines = lines
        self._seconds = seconds
        self._began = 0.0
        self.told: set[str] = set()
        self.classes: dict[str, str] = {}

    def tell(self, test: str, state: str, why: str = "") -> None:
        if state != "started":
            if test in self.told:
                return
            self.told.add(test)
        seconds = round(time.monotonic() - self._began, 2) if state != "started" else 0.0
        trace, _, error = why.rpartition(_MARK)
        line = {"test": test, "state": state, "seconds": seconds}
        line |= {"error": error[:1500], "why": trace[:4000]}
        self._lines.write(json.dumps(line) + "\n")
        self._lines.flush()

    def startTest(self, test: unittest.TestCase) -> None:  # noqa: N802
        super().startTest(test)
        self._began = time.monotonic()
        self.tell(test.id(), "started")
        signal.alarm(self._seconds)

    def stopTest(self, test: unittest.TestCase) -> None:  # noqa: N802
        signal.alarm(0)
        super().stopTest(test)

    def addSuccess(self, test: unittest.TestCase) -> None:  # noqa: N802
        self.tell(test.id(), "passed")

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:  # noqa: N802
        self._not_run(test, "skipped", reason)

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:  # noqa: N802
        self.tell(test.id(), "failed", _text(err))

    def addError(self, test: unittest.TestCase, err: Any) -> None:  # noqa: N802
        state = "timeout" if err[0] is OutOfTime else "failed"
        self._not_run(test, state, _text(err))

    def addSubTest(self, test: unittest.TestCase, subtest: Any, err: Any) -> None:  # noqa: N802
        if err is not None:
            self.tell(test.id(), "failed", _text(err))

    def addExpectedFailure(self, test: unittest.TestCase, err: Any) -> None:  # noqa: N802
        self.tell(test.id(), "passed")

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:  # noqa: N802
        self.tell(test.id(), "failed", "unexpected success")

    def _not_run(self, test: Any, state: str, why: str) -> None:
        if isinstance(test, unittest.TestCase):
            self.tell(test.id(), state, why)
            return
        # What stands for a whole class: "setUpClass (module.Class)".
        self.classes[str(test.id()).partition("(")[2].rstrip(")")] = f"{state}\n{why}"


def _text(err: Any) -> str:
    """The trace and, behind a mark, the error alone: traces of a JVM may follow its first line."""
    error = "".join(traceback.format_exception_only(err[0], err[1]))
    return "".join(traceback.format_exception(*err)) + _MARK + error


def flat(suite: Any) -> Iterator[unittest.TestCase]:
    for each in suite:
        if isinstance(each, unittest.TestCase):
            yield each
        else:
            yield from flat(each)


def add_sources(sources: Path) -> None:
    """Puts the tests into the installed package, and has functions in them sent by value."""
    for name in ("pyspark", "pyspark.sql"):
        package = importlib.import_module(name)
        package.__path__.append(str(sources.joinpath(*name.split("."))))
    pickle = importlib.import_module("pyspark.cloudpickle.cloudpickle")
    for name in ("pyspark.sql.tests", "pyspark.testing"):
        pickle.register_pickle_by_value(importlib.import_module(name))


def classic_session() -> None:
    """The classic session that a file compares with."""
    context = importlib.import_module("pyspark.core.context").SparkContext
    session = importlib.import_module("pyspark.sql.session").SparkSession
    conf = importlib.import_module("pyspark").SparkConf(loadDefaults=False)
    warehouse = tempfile.mkdtemp(prefix="classic-")
    for key, value in {
        "spark.ui.enabled": "false",
        "spark.driver.memory": "1g",
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.warehouse.dir": warehouse,
        "spark.log.level": "ERROR",
    }.items():
        conf.set(key, value)
    remote = os.environ.pop("SPARK_REMOTE", None)
    session(context("local[2]", "classic", conf=conf))
    if remote:
        os.environ["SPARK_REMOTE"] = remote


def use_remote() -> None:
    """Connects test classes to the endpoint, whatever else this process holds."""
    utils = importlib.import_module("pyspark.testing.connectutils")
    remote = importlib.import_module("pyspark.sql.connect.session").SparkSession

    def set_up(cls: Any) -> None:
        options = {key: value for key, value in cls.conf().getAll() if "connect" not in key}
        options |= {"spark.app.name": cls.__name__, "spark.remote": os.environ[REMOTE]}
        cls.spark = remote.builder.config(map=options).getOrCreate()
        os.environ["SPARK_CONNECT_MODE_ENABLED"] = "1"
        cls._client = cls.spark.client
        cls._legacy_sc = None
        name = tempfile.mkdtemp()
        os.rmdir(name)
        cls.tempdir = types.SimpleNamespace(name=name)
        row = importlib.import_module("pyspark").Row
        cls.testData = [row(key=i, value=str(i)) for i in range(100)]
        cls.df = cls.spark.createDataFrame(cls.testData)

    utils.ReusedConnectTestCase.setUpClass = classmethod(set_up)


def copy_tables() -> None:
    """Tables that a class prepares in the classic session, for the endpoint as well."""
    basic = sys.modules.get("pyspark.sql.tests.connect.test_connect_basic")
    if basic is None:
        return
    cls = basic.SparkConnectSQLTestCase
    load = cls.spark_connect_load_test_data.__func__
    clean = cls.spark_connect_clean_up_test_data.__func__
    names = [f"tbl_name{end}" for end in ("", "2", "3", "4", "_empty")]

    def load_both(one: Any) -> None:
        load(one)
        for name in (getattr(one, each) for each in names):
            table = one.spark.table(name)
            rows = table.toArrow()
            frame = one.connect.createDataFrame(rows if rows.num_rows else [], table.schema)
            frame.write.saveAsTable(name)

    def clean_both(one: Any) -> None:
        clean(one)
        for name in (getattr(one, each) for each in names):
            one.connect.sql(f"DROP TABLE IF EXISTS {name}")

    cls.spark_connect_load_test_data = classmethod(load_both)
    cls.spark_connect_clean_up_test_data = classmethod(clean_both)


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--sources", type=Path, required=True)
    options.add_argument("--module", required=True)
    options.add_argument("--results", type=Path, required=True)
    options.add_argument("--seconds", type=int, default=60)
    options.add_argument("--only", default="")
    given = options.parse_args()
    add_sources(given.sources)
    source = given.sources.joinpath(*given.module.split(".")).with_suffix(".py").read_text()
    mixed = "ReusedMixedTestCase" in source or "SparkConnectSQLTestCase" in source
    if mixed:
        classic_session()
    else:
        os.environ["SPARK_SKIP_CONNECT_COMPAT_TESTS"] = "1"
    use_remote()

    def out_of_time(*_: object) -> None:
        raise OutOfTime(f"more than {given.seconds} s")

    signal.signal(signal.SIGALRM, out_of_time)
    done = set()
    if given.results.exists():
        done = {json.loads(line)["test"] for line in given.results.open()}
    with given.results.open("a") as lines:
        record = Record(lines, given.seconds)
        module = importlib.import_module(given.module)
        copy_tables()
        found = list(flat(unittest.defaultTestLoader.loadTestsFromModule(module)))
        found = [test for test in found if test.id() not in done and given.only in test.id()]
        # Mixins and tests of other modules that a file imports are run by theirs.
        found = [test for test in found if type(test).__module__ == given.module]
        unittest.TestSuite(_by_class(found)).run(record)
        for test in found:
            name = f"{type(test).__module__}.{type(test).__qualname__}"
            state, _, why = record.classes.get(name, "failed\nnot run").partition("\n")
            record.tell(test.id(), state, why)
    sys.stdout.flush()
    os._exit(0)  # clients and a JVM may have threads that nobody waits for


def _by_class(tests: list[unittest.TestCase]) -> list[unittest.TestSuite]:
    classes: dict[type, list[unittest.TestCase]] = {}
    for test in tests:
        classes.setdefault(type(test), []).append(test)
    return [unittest.TestSuite(each) for each in classes.values()]


if __name__ == "__main__":
    main()
