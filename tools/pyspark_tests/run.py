"""Runs PySpark's own Spark Connect tests against Headwater, Sail alone and Spark alone.

The tests are those of the release spark-4.1, whose package brings them along, or of a folder given
by `--sources`; they are not part of this repository. Each file runs in a process of its own.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from report import markdown, read, table
from servers import FILES, TARGETS, Endpoint

from headwater.runtimes.releases.installed import InstalledRelease
from headwater.runtimes.releases.store import ReleaseStore

CLIENT = Path(__file__).parent / "client.py"
PACKAGE = "pyspark.sql.tests.connect"
MODULES = (
    *("test_connect_basic", "test_connect_column", "test_connect_function"),
    *("test_connect_collection", "test_connect_creation", "test_connect_dataframe_property"),
    *("test_connect_error", "test_connect_readwriter", "test_connect_session"),
    *("test_connect_stat", "test_connect_clone_session"),
    *("test_parity_catalog", "test_parity_collection", "test_parity_column", "test_parity_conf"),
    *("test_parity_creation", "test_parity_dataframe", "test_parity_errors"),
    *("test_parity_functions", "test_parity_group", "test_parity_observation"),
    *("test_parity_readwriter", "test_parity_repartition", "test_parity_serde"),
    *("test_parity_sql", "test_parity_stat", "test_parity_subquery", "test_parity_tvf"),
    *("test_parity_types", "test_parity_udf", "test_parity_udtf", "test_parity_datasources"),
    *("arrow.test_parity_arrow", "arrow.test_parity_arrow_map"),
    *("pandas.test_parity_pandas_map", "pandas.test_parity_pandas_grouped_map"),
    *("pandas.test_parity_pandas_cogrouped_map", "pandas.test_parity_pandas_udf"),
    "pandas.test_parity_pandas_udf_scalar",
)
RESTARTS = 5


def sources_of(release: InstalledRelease, folder: Path) -> Path:
    """The tests that lie in a release's own package."""
    assert release.spark_home is not None, "the release has Spark"
    target = folder / "sources"
    with zipfile.ZipFile(release.spark_home / "python/lib/pyspark.zip") as archive:
        for name in archive.namelist():
            if name.startswith(("pyspark/sql/tests/", "pyspark/testing/")):
                archive.extract(name, target)
    return target


def run_file(
    endpoint: Endpoint,
    release: InstalledRelease,
    module: str,
    results: Path,
    given: argparse.Namespace,
    sources: Path,
) -> None:
    """Runs a file's tests, in another process again after one that hung."""
    scratch = Path(tempfile.mkdtemp(prefix="tmp-", dir=results.parent.parent / FILES))
    scratch.chmod(0o755)
    environment = {
        **os.environ,
        **endpoint.environment,
        "SPARK_CONNECT_TESTING_REMOTE": endpoint.url,
        "TMPDIR": str(scratch),
        "JAVA_HOME": str(release.java_home),
        "SPARK_HOME": str(release.spark_home),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": str(release.python),
        "NO_PROXY": "localhost,127.0.0.1",
        "PYTHONWARNINGS": "ignore",
    }
    argv = [str(release.python), str(CLIENT), "--sources", str(sources)]
    argv += ["--module", f"{PACKAGE}.{module}", "--results", str(results)]
    argv += ["--seconds", str(given.test_seconds), "--only", given.only]
    for _ in range(RESTARTS):
        with results.with_suffix(".log").open("ab") as log:
            process = subprocess.Popen(argv, env=environment, cwd=scratch, stdout=log, stderr=log)
            try:
                ended = process.wait(timeout=given.file_seconds) == 0
            except subprocess.TimeoutExpired:
                ended = False
            finally:
                process.kill()
                process.wait()
        if ended or not _hanging(results):
            break
    shutil.rmtree(scratch, ignore_errors=True)


def _hanging(results: Path) -> bool:
    """Writes down the test that a killed process was at; False when it was at none."""
    states: dict[str, str] = {}
    for line in results.read_text().splitlines() if results.exists() else ():
        told = json.loads(line)
        states[told["test"]] = told["state"]
    hung = [test for test, state in states.items() if state == "started"]
    with results.open("a") as lines:
        for test in hung:
            told = {"test": test, "state": "timeout", "seconds": 0, "error": "its process hung"}
            lines.write(json.dumps(told) + "\n")
    return bool(hung)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--sources", type=Path, help="a folder with pyspark/sql/tests")
    options.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options.add_argument("--work", type=Path, help="keeps what was run; goes on where it ended")
    options.add_argument("--targets", default=",".join(TARGETS))
    options.add_argument("--files", default=",".join(MODULES))
    options.add_argument("--only", default="", help="a part of the tests' names")
    options.add_argument("--test-seconds", type=int, default=60)
    options.add_argument("--file-seconds", type=int, default=1200)
    given = options.parse_args()
    # The servers end with this process, however it is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    os.environ.setdefault("HEADWATER_RELEASES", str(Path(".test-cache/releases").resolve()))
    releases = ReleaseStore(Path(os.environ["HEADWATER_RELEASES"]))
    release = releases.ensure("spark-4.1")
    work = given.work or Path(tempfile.mkdtemp(prefix="pyspark-tests-"))
    for folder in (work, work / FILES):
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
    sources = given.sources or sources_of(release, work)
    targets = [each for each in TARGETS if each in given.targets.split(",")]
    for target in targets:
        (work / target).mkdir(exist_ok=True)
        with TARGETS[target](releases, work) as endpoint:
            for module in given.files.split(","):
                results = work / target / f"{module}.jsonl"
                run_file(endpoint, release, module, results, given, sources)
                told = read(work, [target])[target].values()
                here = [line for line in told if f".{module}." in line["test"]]
                passed = sum(line["state"] == "passed" for line in here)
                print(f"{target} {module}: {passed} of {len(here)}", flush=True)
    everywhere = [each for each in TARGETS if (work / each).is_dir()]
    found = table(read(work, everywhere))
    about = {
        "pyspark": release.packages["pyspark"],
        "machine": f"{os.cpu_count()} CPUs, {platform.machine()}, Linux",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }
    given.out.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"about": about, **found}, indent=1, sort_keys=True)
    (given.out / "pyspark-connect.json").write_text(text + "\n")
    (given.out / "pyspark-connect.md").write_text(markdown(found, about))
    for target, counts in found["totals"].items():
        print(f"{target}: {counts['passed']} of {counts['tests']}")
    if given.work is None:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
