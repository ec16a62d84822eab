"""Runs Spark's own SQL tests against Headwater, Sail alone and Spark alone.

They are the folders `inputs` and `results` of `sql/core/src/test/resources/sql-tests` in Spark's
sources, given by `--sources`; they are not part of this repository. A file in `results` records
what Spark gives to each statement. Files that need Spark's test classes (functions of the JVM) or
its test data are left out.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from counts import markdown, table

from headwater.runtimes.releases.installed import InstalledRelease
from headwater.runtimes.releases.store import ReleaseStore

sys.path.insert(0, str(Path(__file__).parent.parent / "pyspark_tests"))
from servers import FILES, TARGETS, Endpoint

CLIENT = Path(__file__).parent / "answers.py"
LEFT_OUT = re.compile(
    r"^(?:udf|udaf|udtf|scripting)/|explain|show-create|describe|transform|charvarchar|"
    r"(?:^|/)(?:show|thrift|sql-session-variables|sql-udf|identifier-clause|collations)"
)
"""Files of functions in Spark's test classes, and of what catalogs say in words of their own."""

NO_DATA = re.compile(r"\b(?:onek2?|tenk[12]|aggtest|int[48]_tbl_data)\b", re.IGNORECASE)
ZONE = "America/Los_Angeles"
_SET = re.compile(r"(?m)^--\s*SET\s+(spark\..+)$")
_IMPORT = re.compile(r"(?m)^--\s*IMPORT\s+(\S+)")


def settings(sources: Path, name: str) -> dict[str, str]:
    """What Spark's suite sets for a file: by its folder, and by lines in the file."""
    found = {"spark.sql.session.timeZone": ZONE}
    if name.startswith("nonansi/"):
        found["spark.sql.ansi.enabled"] = "false"
    if name.startswith("timestampNTZ/"):
        found["spark.sql.timestampType"] = "TIMESTAMP_NTZ"
    if name.startswith("postgreSQL/"):
        found["spark.sql.legacy.interval.enabled"] = "true"
    return found | _told(sources / "inputs", name)


def _told(inputs: Path, name: str) -> dict[str, str]:
    file = inputs / name
    if not file.exists():
        return {}
    text = file.read_text()
    found: dict[str, str] = {}
    for other in _IMPORT.findall(text):
        found |= _told(inputs, other)
    for line in _SET.findall(text):
        for pair in re.split(r",(?=\s*spark\.)", line):
            key, _, value = pair.partition("=")
            found[key.strip()] = value.strip()
    return found


def names(sources: Path, wanted: str) -> list[str]:
    """The files that are run, by their paths below `inputs`."""
    results = sources / "results"
    found = []
    for file in sorted(results.rglob("*.sql.out")):
        name = str(file.relative_to(results)).removesuffix(".out")
        if LEFT_OUT.search(name) or NO_DATA.search(file.read_text()):
            continue
        if re.search(wanted, name):
            found.append(name)
    return found


def run_client(
    endpoint: Endpoint, release: InstalledRelease, seconds: int, log: Path, *arguments: str
) -> None:
    """One process of the client, ended after so many seconds."""
    environment = {
        **os.environ,
        **endpoint.environment,
        "ENDPOINT": endpoint.url,
        "TZ": ZONE,
        "PYTHONWARNINGS": "ignore",
    }
    with log.open("ab") as into:
        process = subprocess.Popen(
            [str(release.python), str(CLIENT), *arguments],
            env=environment,
            stdout=into,
            stderr=into,
        )
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            print(f"ended after {seconds} s: {' '.join(arguments)}", flush=True)
        finally:
            process.kill()
            process.wait()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--sources", type=Path, required=True, help="Spark's folder sql-tests")
    options.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options.add_argument("--work", type=Path, help="keeps what was run; goes on where it ended")
    options.add_argument("--targets", default="headwater,spark")
    options.add_argument("--files", default="", help="a regular expression on the files' names")
    options.add_argument("--statement-seconds", type=int, default=60)
    options.add_argument("--file-seconds", type=int, default=600)
    given = options.parse_args()
    # The servers end with this process, however it is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    os.environ.setdefault("HEADWATER_RELEASES", str(Path(".test-cache/releases").resolve()))
    releases = ReleaseStore(Path(os.environ["HEADWATER_RELEASES"]))
    release = releases.ensure("spark-4.1")
    work = given.work or Path(tempfile.mkdtemp(prefix="spark-sql-tests-"))
    for folder in (work, work / FILES):
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
    for target in given.targets.split(","):
        results = work / target
        results.mkdir(exist_ok=True)
        log = work / f"{target}-client.log"
        with TARGETS[target](releases, work) as endpoint:
            seconds = str(given.statement_seconds)
            nothing = ("--record", os.devnull, "--results", os.devnull)
            run_client(endpoint, release, 300, log, *nothing, "--prepare")
            for name in names(given.sources, given.files):
                into = results / f"{name.replace('/', '.')}.jsonl"
                if into.exists():
                    continue
                record = given.sources / "results" / f"{name}.out"
                arguments = ["--record", str(record), "--results", str(into), "--seconds", seconds]
                arguments += ["--settings", json.dumps(settings(given.sources, name))]
                run_client(endpoint, release, given.file_seconds, log, *arguments)
                into.touch()
                print(f"{target} {name}: {into.read_text().count(chr(10))}", flush=True)
    found = table(work, [each for each in TARGETS if (work / each).is_dir()])
    about: dict[str, Any] = {
        "spark": release.packages["pyspark"],
        "machine": f"{os.cpu_count()} CPUs, {platform.machine()}, Linux",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }
    given.out.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"about": about, **found}, indent=1, sort_keys=True)
    (given.out / "spark-sql-tests.json").write_text(text + "\n")
    (given.out / "spark-sql-tests.md").write_text(markdown(found, about))
    for target, counts in found["totals"].items():
        print(target, counts)


if __name__ == "__main__":
    main()
