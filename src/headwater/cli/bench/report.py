"""Benchmark results as JSON for machines and a Markdown page for people."""

from __future__ import annotations

import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from headwater import __version__


def environment() -> dict[str, Any]:
    """What the figures were taken on; load averages tell whether the machine was quiet."""
    return {
        "headwater": __version__,
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 1024**3, 1),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load_average_at_start": [round(value, 2) for value in os.getloadavg()],
    }


def write(result: dict[str, Any], json_file: Path | None, folder: Path | None) -> None:
    """Writes the JSON file, and with a folder `<name>.json` and `<name>.md` in it."""
    text = json.dumps(result, indent=2) + "\n"
    if json_file is not None:
        json_file.write_text(text)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{result['name']}.json").write_text(text)
        (folder / f"{result['name']}.md").write_text(markdown(result))


def markdown(result: dict[str, Any]) -> str:
    """The page: bars first with what was seen, then the tables behind them."""
    machine = result["environment"]
    lines = [
        f"# {result['title']}",
        (
            f"Headwater {machine['headwater']}, {machine['date']}, {machine['cores']} cores "
            f"({machine['processor']}), {machine['memory_gib']} GiB; load average at the start "
            f"{machine['load_average_at_start'][0]}. Medians of {result['runs']} runs after one "
            f"warm-up{'' if result.get('alone') else '; both sides in turn in one run'}. "
            f"Made by `{result['command']}`."
        ),
        "",
        "| bar | limit | seen | |",
        "|---|---|---|---|",
    ]
    for bar in result["bars"]:
        met = "met" if bar["met"] else "**missed**"
        lines.append(f"| {bar['what']} | {bar['limit']} | {bar['seen']} | {met} |")
    for title, table in result["tables"].items():
        lines += ["", f"## {title}", ""]
        sides = table["sides"]
        engines = any(row.get("engine") for row in table["queries"].values())
        lines.append(
            f"| query | {sides[0]} s | {sides[1]} s | ratio | {sides[0]} CPU s | {sides[1]} CPU s |"
            + (" engine |" if engines else "")
        )
        lines.append("|---|---|---|---|---|---|" + ("---|" if engines else ""))
        for name, row in table["queries"].items():
            different = "" if row["rows_equal"] is not False else " (answers differ)"
            wall, cpu = row["seconds"], row["cpu_seconds"]
            lines.append(
                f"| {name}{different} | {wall[0]:.3f} | {wall[1]:.3f} | {row['ratio']:.2f} "
                f"| {cpu[0]:.2f} | {cpu[1]:.2f} |" + (f" {row['engine']} |" if engines else "")
            )
        total, cpu = table["total_seconds"], table["total_cpu_seconds"]
        lines.append(
            f"| **total** | {total[0]:.3f} | {total[1]:.3f} | **{table['total_ratio']:.2f}** "
            f"| {cpu[0]:.2f} | {cpu[1]:.2f} |" + (" |" if engines else "")
        )
        lines.append(f"\nGeometric mean of the ratios: {table['geometric_mean_ratio']:.2f}.")
        lines += _extras(table)
    return "\n".join(lines) + "\n"


def _extras(table: dict[str, Any]) -> list[str]:
    """What some benchmarks add: the worst query, memory, engines used, differing answers."""
    lines = []
    if table.get("worst"):
        ratio, name = table["worst"]
        lines.append(f"\nWorst ratio: {ratio:.2f} (query {name}).")
    if "peak_memory_mib" in table:
        ours, other = table["peak_memory_mib"]
        lines.append(f"\nPeak memory of all processes: {ours} MiB against {other} MiB.")
    if "first_result_seconds" in table:
        ours, other = table["first_result_seconds"]
        lines.append(f"\nFirst result of the session: {ours} s against {other} s.")
    if "engines" in table:
        used = ", ".join(f"{name} {count}" for name, count in sorted(table["engines"].items()))
        lines.append(f"\nStatements by engine: {used}.")
    for name, why in table.get("differences", {}).items():
        lines.append(f"\nQuery {name} differs: {why}")
    return lines


def bar(what: str, limit: float, seen: float, *, at_least: bool = False, unit: str = "") -> Any:
    """One row of the page's first table; the bar is an upper limit unless `at_least`."""
    met = seen >= limit if at_least else seen <= limit
    sign = "at least" if at_least else "at most"
    return {"what": what, "limit": f"{sign} {limit:g}{unit}", "seen": f"{seen:g}{unit}", "met": met}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "unknown"
