"""TPC-H through the Trino protocol against plain DuckDB, and the price of governance.

Both sides read the same Parquet files and return the rows to a Python client; they run in turn,
the order swapped from run to run, so that a noisy machine hits both. Every answer is compared.
"""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Callable, Sequence
from decimal import Decimal
from importlib import resources
from typing import Any, Protocol

from headwater.cli.bench.lake import DuckDBSide, Server, TrinoSide

ROW_FILTER = "l_shipmode <> 'AIR'"
MASKED_COLUMN = "l_returnflag"  # read by queries 01 and 10: a mask that is pruned costs nothing
GOVERNED_USER = "bench_analyst"


class Side(Protocol):
    """One of two things compared."""

    def run(self, sql: str) -> tuple[list[Sequence[Any]], float, float]:
        """The rows, wall seconds and CPU seconds of one query."""
        ...


def queries() -> dict[str, str]:
    """The 22 queries by number, `"01"` to `"22"`."""
    text = resources.files("headwater.cli.bench").joinpath("queries/tpch.sql").read_text()
    return dict(re.findall(r"^-- (\d\d)\n(.*?)(?=^-- \d\d\n|\Z)", text, re.DOTALL | re.MULTILINE))


def same_rows(left: list[Sequence[Any]], right: list[Sequence[Any]]) -> bool:
    """True when both sides gave the same rows; numbers to nine significant digits, any order."""
    return sorted(map(_comparable, left)) == sorted(map(_comparable, right))


def compare(
    first: Side,
    second: Side,
    runs: int,
    texts: dict[str, str],
    progress: Callable[[str], None],
    *,
    check_rows: bool = True,
) -> dict[str, Any]:
    """Runs each text on both sides in turn; medians of wall and CPU seconds, ratios first/second.

    One warm-up of each side is not counted.
    """
    rows: dict[str, dict[str, Any]] = {}
    for name, sql in texts.items():
        progress(name)
        walls: dict[int, list[float]] = {0: [], 1: []}
        cpus: dict[int, list[float]] = {0: [], 1: []}
        equal = True
        for run in range(runs + 1):
            order = list(enumerate((first, second)))
            if run % 2:
                order.reverse()
            answers: dict[int, list[Sequence[Any]]] = {}
            for index, side in order:
                answers[index], wall, cpu = side.run(sql)
                if run > 0:
                    walls[index].append(wall)
                    cpus[index].append(cpu)
            equal = equal and (not check_rows or same_rows(answers[0], answers[1]))
        wall_first, wall_second = statistics.median(walls[0]), statistics.median(walls[1])
        rows[name] = {
            "seconds": [round(wall_first, 5), round(wall_second, 5)],
            "cpu_seconds": [round(statistics.median(cpus[i]), 4) for i in (0, 1)],
            "ratio": round(wall_first / wall_second, 3),
            "rows_equal": equal if check_rows else None,
        }
    totals = [sum(row["seconds"][i] for row in rows.values()) for i in (0, 1)]
    return {
        "queries": rows,
        "total_seconds": [round(total, 4) for total in totals],
        "total_cpu_seconds": [
            round(sum(row["cpu_seconds"][i] for row in rows.values()), 3) for i in (0, 1)
        ],
        "total_ratio": round(totals[0] / totals[1], 3),
        "geometric_mean_ratio": round(
            math.exp(statistics.fmean(math.log(row["ratio"]) for row in rows.values())), 3
        ),
        "all_rows_equal": all(row["rows_equal"] is not False for row in rows.values()),
    }


def point_query(ours: TrinoSide, plain: DuckDBSide, runs: int) -> dict[str, Any]:
    """Latency of one order by its key on both sides, in milliseconds; the difference of medians."""
    sql = "SELECT * FROM orders WHERE o_orderkey = {}"
    samples: tuple[list[float], list[float]] = ([], [])
    for run in range(runs + 5):
        key = sql.format(1 + 32 * run)
        sides: tuple[Side, Side] = (ours, plain)
        for index, side in enumerate(sides):
            _, wall, _ = side.run(key)
            if run >= 5:
                samples[index].append(wall * 1000)
    medians = [statistics.median(sample) for sample in samples]
    return {
        "milliseconds": [round(value, 2) for value in medians],
        "overhead_milliseconds": round(medians[0] - medians[1], 2),
        "runs": runs,
    }


def govern_lineitem(server: Server, admin: TrinoSide) -> TrinoSide:
    """Makes a user who may read all of TPC-H, but lineitem only through a filter and a mask."""
    user = f"USER {GOVERNED_USER}"
    table = "lake.tpch.lineitem"
    mask = f"COLUMN MASK bench_mask ON {table} ({MASKED_COLUMN}) USING 'mask-alphanum'"
    for statement in (
        f"CREATE {user}",
        f"GRANT SELECT ON SCHEMA lake.tpch TO {user}",
        f"CREATE ROW FILTER bench_filter ON {table} USING ({ROW_FILTER}) TO {user}",
        f"CREATE {mask} TO {user}",
    ):
        admin.run(statement)
    return TrinoSide(server, GOVERNED_USER, server.token(GOVERNED_USER))


def lineitem_queries() -> dict[str, str]:
    """The queries that read lineitem: those on which the filter acts."""
    return {name: sql for name, sql in queries().items() if "lineitem" in sql}


def _comparable(row: Sequence[Any]) -> tuple[str, ...]:
    return tuple(_text(value) for value in row)


def _text(value: Any) -> str:
    if isinstance(value, Decimal | float):
        return f"{float(value):.9g}"
    return str(value)
