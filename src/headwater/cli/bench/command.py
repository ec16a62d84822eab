"""The command line of `headwater bench`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from headwater.cli.bench import catalog, report, tpch
from headwater.cli.bench.lake import DuckDBSide, TrinoSide, load_tpch, running_server

app = typer.Typer(add_completion=False)


class BenchName(StrEnum):
    """The benchmarks there are."""

    TPCH = "tpch"
    CATALOG = "catalog"


@app.command()
def bench(
    name: Annotated[BenchName, typer.Argument(help="What to measure.")],
    scale: Annotated[float, typer.Option(help="Scale factor of TPC-H; 1 is 1 GB.")] = 1.0,
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
    result = _tpch(scale, runs) if name is BenchName.TPCH else _catalog()
    result["environment"] = machine
    report.write(result, json_file, out)
    typer.echo(report.markdown(result))


def _tpch(scale: float, runs: int) -> dict[str, Any]:
    def progress(text: str) -> None:
        typer.echo(f"\r{text}        ", err=True, nl=False)

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
