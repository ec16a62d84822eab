"""The command line of `headwater bench`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from headwater.cli.bench import catalog, report, spark, spark_latency, spark_writes, tpch
from headwater.cli.bench.lake import DuckDBSide, TrinoSide, load_tpch, running_server

app = typer.Typer(add_completion=False)


class BenchName(StrEnum):
    """The benchmarks there are."""

    TPCH = "tpch"
    CATALOG = "catalog"
    SPARK = "spark"


class SparkSuite(StrEnum):
    """What `headwater bench spark` runs."""

    TPCH = "tpch"
    TPCDS = "tpcds"
    WRITES = "writes"
    LATENCY = "latency"


@app.command()
def bench(
    name: Annotated[BenchName, typer.Argument(help="What to measure.")],
    scale: Annotated[float, typer.Option(help="Scale factor of TPC-H; 1 is 1 GB.")] = 1.0,
    suite: Annotated[
        SparkSuite, typer.Option(help="Which part of the Spark benchmark.")
    ] = SparkSuite.TPCH,
    runs: Annotated[int, typer.Option(min=1, help="Counted runs of each query and side.")] = 5,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the figures to this JSON file.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write NAME.json and NAME.md to this folder.")
    ] = None,
) -> None:
    """Measures Headwater on a server of its own and prints the figures as Markdown.

    Both sides of every comparison run in turn in the same run; load on the machine is reported.
    """
    machine = report.environment()
    if name is BenchName.SPARK:
        result = _spark(suite, scale, runs)
    else:
        result = _tpch(scale, runs) if name is BenchName.TPCH else _catalog()
    result["environment"] = machine
    report.write(result, json_file, out)
    typer.echo(report.markdown(result))


def _tpch(scale: float, runs: int) -> dict[str, Any]:
    progress = _progress
    with running_server() as server:
        progress("loading")
        files = load_tpch(server, scale)
        admin = TrinoSide(server, "admin", server.ready["token"])
        plain = DuckDBSide(files)
        against = tpch.compare(
            admin, plain, runs, tpch.queries(), lambda query: progress(f"query {query}")
        )
        point = tpch.point_query(admin, plain, runs * 20)
        analyst = tpch.govern_lineitem(server, admin)
        governed = tpch.compare(
            analyst,
            admin,
            runs,
            tpch.lineitem_queries(),
            lambda query: progress(f"governed query {query}"),
            check_rows=False,
        )
        memory = server.memory_bytes()
    progress("")
    return {
        "name": f"tpch-{scale:g}",
        "title": f"TPC-H, scale {scale:g}",
        "command": f"headwater bench tpch --scale {scale:g} --runs {runs}",
        "runs": runs,
        "bars": [
            report.bar(
                "TPC-H through the Trino protocol, total against plain DuckDB on the same files",
                1.25,
                against["total_ratio"],
            ),
            report.bar(
                "governed (row filter and mask on lineitem), total against ungoverned",
                1.5,
                governed["total_ratio"],
            ),
            report.bar(
                "point query, median overhead over plain DuckDB",
                10,
                point["overhead_milliseconds"],
                unit=" ms",
            ),
            report.bar(
                "queries with another answer than plain DuckDB's",
                0,
                sum(row["rows_equal"] is False for row in against["queries"].values()),
            ),
        ],
        "point_query": point,
        "memory_bytes_after": memory,
        "tables": {
            "Headwater against plain DuckDB": {"sides": ["Headwater", "DuckDB"], **against},
            "Governed against ungoverned, queries over lineitem": {
                "sides": ["governed", "ungoverned"],
                **governed,
            },
        },
    }


def _spark(suite: SparkSuite, scale: float, runs: int) -> dict[str, Any]:
    title = {"tpch": "TPC-H", "tpcds": "TPC-DS", "writes": "writes"}.get(suite, "latency")
    result: dict[str, Any] = {
        "name": f"spark-{suite}" + ("" if suite is SparkSuite.LATENCY else f"-{scale:g}"),
        "title": f"PySpark on Headwater against open-source Spark: {title}, scale {scale:g}",
        "command": f"headwater bench spark --suite {suite} --scale {scale:g} --runs {runs}",
        "runs": runs,
        "tables": {},
    }
    with running_server() as server:
        if suite is SparkSuite.LATENCY:
            seen = spark_latency.latency(server, 20 * runs)
            cold, warm = seen["first_result_seconds_cold"], seen["first_result_seconds_warm"]
            return result | {
                "title": "PySpark on Headwater: latency",
                "bars": [
                    report.bar("first result of a fresh client, cold", 6, cold, unit=" s"),
                    report.bar("first result of a fresh client, warm", 3, warm, unit=" s"),
                    report.bar(
                        "gateway's share of a small query, median",
                        8,
                        seen["gateway_milliseconds"],
                        unit=" ms",
                    ),
                    report.bar(
                        "1 GiB of Arrow, time against a bare Sail's",
                        1.1,
                        seen["large_result_ratio"],
                    ),
                ],
                "measured": seen,
            }
        if suite is SparkSuite.WRITES:
            measured = spark_writes.writes(server, scale, runs, _progress)
        else:
            measured = spark.reads(server, suite, scale, runs, _progress)
    bar = 3 if suite is SparkSuite.WRITES else 6
    return result | {
        "bars": [
            report.bar(
                "open-source Spark's total time over ours",
                bar,
                measured["total_ratio"],
                at_least=True,
                unit="x",
            ),
            report.bar("other answers than open-source Spark's", 0, len(measured["differences"])),
        ],
        "tables": {title: {"sides": ["Headwater", "Spark"], **measured}},
    }


def _progress(text: str) -> None:
    typer.echo(f"\r{text}        ", err=True, nl=False)


def _catalog() -> dict[str, Any]:
    with running_server() as server:
        measured = catalog.measure(server, tables=8, seconds=10)
    return {
        "name": "catalog",
        "title": "Iceberg REST catalog",
        "command": "headwater bench catalog",
        "runs": 300,
        "bars": [
            report.bar(
                "loadTable, median",
                5,
                measured["load_table_milliseconds"]["median"],
                unit=" ms",
            ),
            report.bar(
                "commits over 8 tables, SQLite",
                100,
                measured["commits"]["per_second"],
                at_least=True,
                unit=" a second",
            ),
        ],
        "measured": measured,
        "tables": {},
    }
