"""A PySpark program that runs the statements it is told on standard input, and times them.

The first line says what to start: `{"remote": "sc://…"}` is a Spark Connect client, `{"conf": {…}}`
open-source Spark in this process. It is answered by how long the first result took. Then each
`{"sql": "…", "rows": true}` is answered by `{"seconds": …, "rows": […], "schema": […]}` or
`{"error": "…"}`. It runs under a release's Python, so it imports nothing of Headwater.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from typing import Any, TextIO


def session(start: dict[str, Any]) -> Any:
    """The Spark session that the first line asks for."""
    from pyspark.sql import SparkSession

    if "remote" in start:
        return SparkSession.builder.remote(start["remote"]).getOrCreate()
    builder = SparkSession.builder
    for key, value in start["conf"].items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


def plain(value: Any) -> Any:
    """A value as JSON that compares: decimals and dates as text, floats as numbers."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return str(value)


def run(spark: Any, request: dict[str, Any]) -> dict[str, Any]:
    """Runs one statement to its last row; the time is from the text to the Arrow table.

    With `frame`, a data frame of that many rows takes the statement's place: no SQL text describes
    it. Many rows have eight columns of 8 bytes. With `parquet`, the rows go to that folder instead.
    """
    started = time.perf_counter()
    count = request.get("frame", 0)
    if not count:
        frame = spark.sql(request["sql"])
    elif count == 1:
        frame = spark.range(1)
    else:
        frame = spark.range(count).selectExpr(*(f"id + {n} AS c{n}" for n in range(8)))
    if "parquet" in request:
        frame.write.mode("overwrite").parquet(request["parquet"])
        return {"seconds": time.perf_counter() - started}
    table = frame.toArrow()
    answer: dict[str, Any] = {"seconds": time.perf_counter() - started, "count": table.num_rows}
    if request.get("rows"):
        columns = [column.to_pylist() for column in table.columns]
        answer["rows"] = [[plain(value) for value in row] for row in zip(*columns, strict=True)]
        answer["schema"] = [
            [field.name, field.dataType.simpleString()] for field in frame.schema.fields
        ]
    return answer


def main(output: TextIO) -> None:
    """Serves requests until the input ends."""
    start = json.loads(sys.stdin.readline())
    before = time.perf_counter()
    import pyspark.sql  # noqa: F401  its import is not the server's time

    imported = time.perf_counter()
    spark = session(start)
    spark.sql("SELECT 1").collect()
    first = time.perf_counter()
    greeting = {"import": imported - before, "first": first - imported, "version": spark.version}
    print(json.dumps(greeting), file=output, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = run(spark, request)
        except Exception as exc:
            answer = {"error": f"{type(exc).__name__}: {str(exc)[:500]}"}
        print(json.dumps(answer), file=output, flush=True)
    spark.stop()


if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what Spark prints must not mix with the answers
    main(answers)
