"""PySpark against Headwater's Spark Connect endpoint, and against open-source Spark.

The same program sends the same Spark SQL texts to both and reads whole results as Arrow; both read
the same Iceberg tables of one catalog. They run in turn, the order swapped from run to run, and
every answer is compared: rows, column names and types.
"""

from __future__ import annotations

import json
import math
import statistics
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from headwater.cli.bench.lake import Server, load_tpcds, load_tpch, tpcds_engine
from headwater.cli.bench.spark_sides import SparkSide, open_source_spark

CLIENT_RELEASE, SPARK_RELEASE = "sail", "spark-4.1"
_RELATIVE = 1e-9


def texts(suite: str) -> dict[str, str]:
    """The queries of a suite by number, in Spark SQL.

    TPC-DS texts are those of DuckDB's tpcds extension, with aliases in Spark's quotes.
    """
    if suite == "tpch":
        from headwater.cli.bench.tpch import queries

        return queries()
    found = tpcds_engine().execute("SELECT query_nr, query FROM tpcds_queries()").fetchall()
    return {f"{number:02}": text.replace('"', "`").rstrip().rstrip(";") for number, text in found}


def reads(
    server: Server, suite: str, scale: float, runs: int, progress: Callable[[str], None]
) -> dict[str, Any]:
    """Every query of the suite on both sides; medians, ratios Spark/Headwater, differences."""
    progress("loading")
    (load_tpch if suite == "tpch" else load_tpcds)(server, scale)
    with Sides(server) as sides:
        for side in (sides.ours, sides.spark):
            side.run(f"USE {suite}")
        result = compare(sides, texts(suite), runs, progress)
        result["engines"] = engines_used(server)
        result["peak_memory_mib"] = sides.peak_memory()
        result["first_result_seconds"] = sides.first_results()
    return result


class Sides:
    """One PySpark program on each side of the comparison, over one server."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._folder = tempfile.TemporaryDirectory(prefix="headwater-spark-")
        client, spark = release(server, CLIENT_RELEASE), release(server, SPARK_RELEASE)
        remote = connect_url(server)
        authority = {"GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": server.ready["ca_cert"]}
        self.ours = SparkSide(
            interpreter(client),
            {"remote": remote},
            environment=authority,
            watched=server.process.pid,
        )
        self.spark = SparkSide(
            interpreter(spark),
            {
                "conf": open_source_spark(
                    spark,
                    server.ready["iceberg_uri"],
                    server.ready["token"],
                    Path(self._folder.name),
                )
            },
            environment={
                "JAVA_HOME": spark["java_home"],
                "PYSPARK_PYTHON": str(interpreter(spark)),
            },
        )

    def __enter__(self) -> Sides:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.ours.close()
        self.spark.close()
        self._folder.cleanup()

    def peak_memory(self) -> list[int]:
        """Highest resident MiB of each side's processes together, ours and Spark's."""
        return [side.peak_bytes // 1024**2 for side in (self.ours, self.spark)]

    def first_results(self) -> list[float]:
        """Seconds from the session's begin to the first row of `SELECT 1`, ours and Spark's."""
        return [round(side.greeting["first"], 2) for side in (self.ours, self.spark)]


def compare(
    sides: Sides, queries: Mapping[str, str], runs: int, progress: Callable[[str], None]
) -> dict[str, Any]:
    """Runs each text on both sides in turn, one warm-up of each first."""
    rows: dict[str, dict[str, Any]] = {}
    used = engines_used(sides.server)
    for name, sql in queries.items():
        progress(f"query {name}")
        walls: dict[str, list[float]] = {"ours": [], "spark": []}
        cpus: dict[str, list[float]] = {"ours": [], "spark": []}
        answers: dict[str, dict[str, Any]] = {}
        for run in range(runs + 1):
            order = [("ours", sides.ours), ("spark", sides.spark)]
            for key, side in order if run % 2 else order[::-1]:
                answer, cpu = side.run(sql, rows=run == 0)
                if run == 0 or "error" in answer:
                    answers[key] = answer
                else:
                    walls[key].append(answer["seconds"])
                    cpus[key].append(cpu)
        rows[name] = row(walls, cpus, difference(answers["ours"], answers["spark"]))
        rows[name]["engine"], used = _more(used, engines_used(sides.server))
    return summary(rows)


def _more(before: Mapping[str, int], after: dict[str, int]) -> tuple[str, dict[str, int]]:
    """The engines that ran statements between two counts, and the later count."""
    ran = (name for name in sorted(after) if name != "none" and after[name] > before.get(name, 0))
    return ", ".join(ran), after


def difference(
    ours: Mapping[str, Any], spark: Mapping[str, Any], *, types: bool = True
) -> str | None:
    """What tells two answers apart, in words; None when they are equal.

    Rows in any order (ORDER BY leaves ties open); floating-point numbers to nine digits. `types`
    also compares the columns' names and types.
    """
    for side, answer in (("Headwater", ours), ("Spark", spark)):
        if "error" in answer:
            return f"{side} fails: {answer['error']}"
    if types and ours["schema"] != spark["schema"]:
        pairs = zip(ours["schema"], spark["schema"], strict=False)
        return f"types: {next((pair for pair in pairs if pair[0] != pair[1]), 'column count')}"
    left, right = (sorted(answer["rows"], key=_key) for answer in (ours, spark))
    if len(left) != len(right):
        return f"{len(left)} rows, Spark has {len(right)}"
    for one, other in zip(left, right, strict=True):
        if not all(map(_same, one, other)):
            return f"{one} is {other} on Spark"
    return None


def release(server: Server, name: str) -> dict[str, Any]:
    """Installs a release where it is missing; what `release show` says of it."""
    server.command("release", "install", name)
    shown: dict[str, Any] = json.loads(server.command("release", "show", name, "--json"))
    return shown


def interpreter(installed: Mapping[str, Any]) -> Path:
    """The Python of an installed release."""
    return Path(installed["path"]) / "venv" / "bin" / "python"


def connect_url(server: Server) -> str:
    """The connect string of the administrator, token included: never print it."""
    return str(server.ready["spark_connect"])


def engines_used(server: Server) -> dict[str, int]:
    """How many statements each engine ran, by the server's own history."""
    text = server.command(
        "sql",
        "--format",
        "json",
        "SELECT engine, count(*) AS statements FROM system.runtime.queries GROUP BY 1",
    )
    return {row["engine"] or "none": row["statements"] for row in json.loads(text)}


def row(
    walls: Mapping[str, list[float]], cpus: Mapping[str, list[float]], differs: str | None
) -> dict[str, Any]:
    """One line of the result: medians of both sides, and Spark's time over ours."""
    seconds, used = (
        [statistics.median(samples[key]) if samples[key] else 0.0 for key in ("ours", "spark")]
        for samples in (walls, cpus)
    )
    return {
        "seconds": [round(value, 4) for value in seconds],
        "cpu_seconds": [round(value, 3) for value in used],
        "ratio": round(seconds[1] / seconds[0], 2) if all(seconds) else 0.0,
        "difference": differs,
        "rows_equal": differs is None,
    }


def summary(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Totals over the lines that both sides ran, ratios Spark/Headwater, and what differs."""
    timed = {name: row for name, row in rows.items() if row["ratio"]}
    totals, used = (
        [sum(row[what][i] for row in timed.values()) for i in (0, 1)]
        for what in ("seconds", "cpu_seconds")
    )
    return {
        "queries": rows,
        "total_seconds": [round(total, 3) for total in totals],
        "total_cpu_seconds": [round(total, 2) for total in used],
        "total_ratio": round(totals[1] / totals[0], 2) if timed else 0.0,
        "geometric_mean_ratio": round(
            statistics.geometric_mean([row["ratio"] for row in timed.values()]), 2
        )
        if timed
        else 0.0,
        "worst": min(((row["ratio"], name) for name, row in timed.items()), default=None),
        "differences": {name: row["difference"] for name, row in rows.items() if row["difference"]},
    }


def _key(row: list[Any]) -> list[str]:
    return [f"{value:.6g}" if isinstance(value, float) else str(value) for value in row]


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=_RELATIVE, abs_tol=1e-12)
    return bool(one == other)
