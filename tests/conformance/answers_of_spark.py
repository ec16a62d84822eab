"""Writes `spark_answers.json.gz`: what real Spark answers to the grid.

Needs `pyspark==4.1.*` and Java 17; run it from this folder: `python answers_of_spark.py`.
"""

from __future__ import annotations

import gzip
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from canonical import canonical
from grid import Case, Rows, cases
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession


def relation(case: Case, rows: Rows) -> str:
    """The table `g` as a query, its rows numbered."""
    names = "abc"[: len(case.types)]
    items = ", ".join(
        f"CAST({n} AS {kind}) AS {n}" for n, kind in zip(names, case.types, strict=False)
    )
    if not rows:
        listed = ", ".join(
            f"CAST(NULL AS {kind}) AS {n}" for n, kind in zip(names, case.types, strict=False)
        )
        return f"SELECT 0 AS nr, {listed} WHERE false"
    values = ", ".join(
        f"({nr}, {', '.join(_literal(value) for value in row)})" for nr, row in enumerate(rows)
    )
    return f"SELECT nr, {items} FROM VALUES {values} AS v (nr, {', '.join(names)})"


def _literal(value: str | None) -> str:
    return "CAST(NULL AS STRING)" if value is None else "'" + value + "'"


def answers(spark: SparkSession, group: list[Case]) -> dict[str, Any]:
    """The answers of cases over the same rows, asked together until one of them fails."""
    first = group[0]
    names = [case.sql.removeprefix("SELECT ").removesuffix(" AS r FROM g") for case in group]
    found: dict[str, Any] = {case.key: {"types": [], "rows": []} for case in group}
    whole = (list(range(len(group))), first.rows, 0)
    waiting = [whole]
    while waiting:
        places, rows, start = waiting.pop(0)
        items = ", ".join(f"{names[place]} AS r{place}" for place in places)
        sql = f"SELECT {items}{', nr' if first.each else ''} FROM g"
        got = run(spark, sql, relation(first, rows))
        if "error" not in got:
            ordered = (
                sorted(got["rows"], key=lambda row: int(row[-1])) if first.each else got["rows"]
            )
            for at, place in enumerate(places):
                into = found[group[place].key]
                into["types"] = got["types"][at : at + 1]
                into["rows"] += [(start + nr, [row[at]]) for nr, row in enumerate(ordered)]
        elif len(places) > 1:
            half = len(places) // 2
            waiting += [(places[:half], rows, start), (places[half:], rows, start)]
        elif first.each and len(rows) > 1:
            half = len(rows) // 2
            waiting += [(places, rows[:half], start), (places, rows[half:], start + half)]
        elif first.each:
            found[group[places[0]].key]["rows"].append((start, got))
        else:
            found[group[places[0]].key] = got
    for each in found.values():
        if "error" not in each:
            each["rows"] = [row for _, row in sorted(each["rows"], key=lambda pair: pair[0])]
    return found


def groups(listed: list[Case]) -> list[list[Case]]:
    """Cases that can be asked in one query; any other is a group of its own."""
    found: dict[object, list[Case]] = {}
    for case in listed:
        alone = not case.sql.endswith(" AS r FROM g") or "(SELECT" in case.sql
        mark = case.key if alone else (case.types, case.rows, case.each)
        found.setdefault(mark, []).append(case)
    return list(found.values())


def run(spark: SparkSession, sql: str, relation: str) -> dict[str, Any]:
    try:
        frame = spark.sql(
            f"WITH g AS ({relation}) {sql}"
            if not sql.startswith("WITH")
            else f"WITH g AS ({relation}), {sql.removeprefix('WITH ')}"
        )
        types = [field.dataType.simpleString() for field in frame.schema.fields]
        rows = [[canonical(value) for value in row] for row in frame.collect()]
        return {"types": types, "rows": rows}
    except PySparkException as failure:
        return {"error": failure.getCondition() or type(failure).__name__}
    except Exception as failure:  # a Java exception that PySpark does not know
        return {"error": type(failure).__name__}


def main() -> None:
    spark = (
        SparkSession.builder.master("local[1]")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.ansi.enabled", "true")
        .config("spark.sql.shuffle.partitions", "1")
        .config("spark.sql.adaptive.enabled", "false")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.codegen.wholeStage", "false")
        .config("spark.sql.codegen.factoryMode", "NO_CODEGEN")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("OFF")
    path = Path("spark_answers.json.gz")
    known = json.loads(gzip.decompress(path.read_bytes())) if path.exists() else {}
    listed = cases()
    found = {case.key: known[case.key] for case in listed if case.key in known}
    missing = groups([case for case in listed if case.key not in known])

    def ask(group: list[Case]) -> dict[str, Any]:
        plain = group[0].sql.endswith(" AS r FROM g") and "(SELECT" not in group[0].sql
        if plain:
            return answers(spark, group)
        return {group[0].key: run(spark, group[0].sql, relation(group[0], group[0].rows))}

    with ThreadPoolExecutor(3) as pool:
        for number, got in enumerate(pool.map(ask, missing)):
            found |= got
            if number % 100 == 0:
                sys.stderr.write(f"{number} of {len(missing)}\n")
                save(path, found)
    save(path, found)
    spark.stop()


def save(path: Path, found: dict[str, Any]) -> None:
    """Writes the file; the same answers make the same bytes."""
    text = json.dumps(found, ensure_ascii=False, sort_keys=True, indent=0)
    path.write_bytes(gzip.compress(text.encode(), mtime=0))


if __name__ == "__main__":
    main()
