"""Iceberg and Parquet writes: PySpark on Headwater against open-source Spark."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from headwater.cli.bench.lake import Server, load_tpch
from headwater.cli.bench.spark import Sides, difference, row, summary
from headwater.cli.bench.spark_sides import SparkSide
from headwater.errors import ErrorCode, error
from headwater.governance.bootstrap import ADMIN_USER

_CTAS = "CREATE TABLE {table} USING iceberg AS SELECT * FROM tpch.lineitem"
_PARTITIONED = """
CREATE TABLE {table} USING iceberg PARTITIONED BY (years(l_shipdate))
AS SELECT * FROM tpch.lineitem LIMIT 0
"""
_INSERT = "INSERT INTO {table} SELECT * FROM tpch.lineitem"
_COPY = "CREATE TABLE {table} USING iceberg AS SELECT * FROM tpch.orders"
_MERGE = """
MERGE INTO {table} t USING (
  SELECT o_orderkey + CAST(o_orderkey % 2 AS INT) * 100000000 AS k, o_custkey, o_orderstatus,
    o_totalprice, o_orderdate, o_orderpriority, o_clerk, o_shippriority, o_comment
  FROM tpch.orders WHERE o_orderkey % 100 < 2) s
ON t.o_orderkey = s.k
WHEN MATCHED THEN UPDATE SET o_totalprice = t.o_totalprice + 1
WHEN NOT MATCHED THEN INSERT (o_orderkey, o_custkey, o_orderstatus, o_totalprice, o_orderdate,
  o_orderpriority, o_clerk, o_shippriority, o_comment)
VALUES (s.k, s.o_custkey, s.o_orderstatus, s.o_totalprice, s.o_orderdate, s.o_orderpriority,
  s.o_clerk, s.o_shippriority, s.o_comment)
"""
WRITES = {
    "CTAS": (_CTAS,),
    "partitioned INSERT": (_PARTITIONED, _INSERT),
    "MERGE": (_COPY, _MERGE),
    "Parquet files": ("SELECT * FROM tpch.lineitem",),
}
"""What is written, by name; the last statement is timed, those before it prepare."""

_FILES = "Parquet files"
"""Written by `df.write.parquet` into a folder that the user was granted."""

_LINEITEM = "SELECT count(*), sum(l_extendedprice), count(DISTINCT l_orderkey) FROM {table}"
_CHECKS = {
    "CTAS": _LINEITEM,
    "partitioned INSERT": "SELECT year(l_shipdate), count(*), sum(l_tax) FROM {table} GROUP BY 1",
    "MERGE": "SELECT count(*), sum(o_totalprice), max(o_orderkey) FROM {table}",
    _FILES: _LINEITEM,
}


def writes(
    server: Server, scale: float, runs: int, progress: Callable[[str], None]
) -> dict[str, Any]:
    """Each write on both sides in turn, into tables of their own that must end up equal."""
    progress("loading")
    load_tpch(server, scale)
    server.command("sql", "CREATE SCHEMA bench")
    folder = server.home.parent / "files"
    folder.mkdir()
    server.command(
        "sql", f"GRANT READ FILES, WRITE FILES ON LOCATION '{folder}' TO USER {ADMIN_USER}"
    )
    rows: dict[str, Any] = {}
    with Sides(server) as sides:
        for name, statements in WRITES.items():
            progress(name)
            rows[name] = _write(sides, name, statements, runs, folder)
        memory = sides.peak_memory()
    return summary(rows) | {"peak_memory_mib": memory}


def _write(
    sides: Sides, name: str, statements: tuple[str, ...], runs: int, folder: Path
) -> dict[str, Any]:
    walls: dict[str, list[float]] = {"ours": [], "spark": []}
    cpus: dict[str, list[float]] = {"ours": [], "spark": []}
    differs: str | None = None
    for run in range(runs + 1):
        answers = {}
        order = [("ours", sides.ours, sides.spark), ("spark", sides.spark, sides.ours)]
        for key, side, reader in order if run % 2 else order[::-1]:
            # No name twice: Spark remembers tables for half a minute.
            table, files = f"bench.{'_'.join(name.lower().split())}_{key}_{run}", None
            if name == _FILES:
                files = folder / f"{key}_{run}"
                table = f"parquet.`{files}`"
            for preparing in statements[:-1]:
                _must(side, preparing.format(table=table))
            answer, cpu = side.run(statements[-1].format(table=table), parquet=files)
            if "error" not in answer:
                # read by the other engine: what one writes, the other must understand
                check, _ = reader.run(_CHECKS[name].format(table=table), rows=True)
                if run > 0:
                    walls[key].append(answer["seconds"])
                    cpus[key].append(cpu)
                answer = check
                if files is None:
                    _must(side, f"DROP TABLE {table}")
                else:
                    shutil.rmtree(files)
            answers[key] = answer
        differs = differs or difference(answers["ours"], answers["spark"], types=False)
    return row(walls, cpus, differs)


def _must(side: SparkSide, sql: str) -> None:
    answer, _ = side.run(sql)
    if "error" in answer:
        raise error(ErrorCode.INTERNAL_ERROR, f"{sql[:80]}: {answer['error']}")
