"""Runs one of Spark's SQL test files against a Spark Connect endpoint; a release's Python runs it.

It imports nothing of Headwater. A file is Spark's own record of one: statements, the schemas and
the rows that Spark gave. What an endpoint gives becomes a line of JSON at once, in Spark's form
(that of Hive), so that comparing needs no endpoint.
"""

from __future__ import annotations

import argparse
import datetime
import decimal
import json
import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession, types

STATEMENT = "-- !query\n"
SCHEMA = "\n-- !query schema\n"
OUTPUT = "\n-- !query output\n"
_MAKES = re.compile(
    r"(?i)^\s*CREATE\s+(?:OR\s+REPLACE\s+)?(TABLE|VIEW)\s+(?:IF\s+NOT\s+EXISTS\s+)?([\w.]+)"
)
NUMBERS = 100
"""Rows of the table `testdata` that Spark's suite makes."""

_ARRAYS = (
    "VALUES (array(1, 2, 3), array(array(1, 2, 3))), (array(2, 3, 4), array(array(2, 3, 4)))"
    " AS t(arraycol, nestedarraycol)"
)
_MAPS = (
    "VALUES (map(1, 'a1', 2, 'b1', 3, 'c1', 4, 'd1', 5, 'e1')),"
    " (map(1, 'a2', 2, 'b2', 3, 'c2', 4, 'd2')), (map(1, 'a3', 2, 'b3', 3, 'c3')),"
    " (map(1, 'a4', 2, 'b4')), (map(1, 'a5')) AS t(mapcol)"
)


class OutOfTime(BaseException):
    """A statement took too long."""


def statements(record: str) -> list[tuple[str, str, str]]:
    """Text, schema and output of the statements of a record."""
    found = []
    for part in record.split(STATEMENT)[1:]:
        text, _, rest = part.partition(SCHEMA)
        schema, _, output = rest.partition(OUTPUT)
        found.append((text, schema.strip(), output.strip("\n")))
    return found


def shown(value: Any, kind: types.DataType, *, nested: bool = False) -> str:
    """A value as Spark's suite writes it."""
    if value is None:
        return "null" if nested else "NULL"
    match kind:
        case types.BooleanType():
            return "true" if value else "false"
        case types.ArrayType():
            return f"[{','.join(shown(each, kind.elementType, nested=True) for each in value)}]"
        case types.MapType():
            pairs = (
                f"{shown(key, kind.keyType, nested=True)}:"
                f"{shown(each, kind.valueType, nested=True)}"
                for key, each in value.items()
            )
            return f"{{{','.join(sorted(pairs))}}}"
        case types.StructType():
            fields = zip(kind.fields, value, strict=True)
            parts = (f'"{f.name}":{shown(each, f.dataType, nested=True)}' for f, each in fields)
            return f"{{{','.join(parts)}}}"
        case types.StringType() | types.VarcharType() | types.CharType():
            return f'"{value}"' if nested else str(value)
        case types.BinaryType():
            return bytes(value).decode(errors="replace")
        case types.FloatType() | types.DoubleType():
            return floating(value, single=isinstance(kind, types.FloatType))
        case types.DecimalType():
            return f"{value:f}"
        case types.TimestampType() | types.TimestampNTZType():
            return instant(value)
        case types.DayTimeIntervalType():
            return day_time(value)
        case _:
            return str(value)


def floating(value: float, *, single: bool) -> str:
    """A number as Java writes it."""
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    digits = _single(value) if single else repr(value)
    number = decimal.Decimal(digits)
    sign = "-" if str(number).startswith("-") else ""
    _, parts, exponent = number.as_tuple()
    text = "".join(map(str, parts)).lstrip("0")
    if not text:
        return f"{sign}0.0"
    power = len(text) + int(exponent) - 1
    text = text.rstrip("0") or "0"
    if -3 <= power < 7:
        if power < 0:
            return f"{sign}0.{'0' * (-power - 1)}{text}"
        text = text.ljust(power + 1, "0")
        return f"{sign}{text[: power + 1]}.{text[power + 1 :] or '0'}"
    return f"{sign}{text[0]}.{text[1:] or '0'}E{power}"


def _single(value: float) -> str:
    import numpy

    return str(numpy.format_float_scientific(numpy.float32(value), unique=True))


def instant(value: datetime.datetime) -> str:
    text = f"{value:%Y-%m-%d %H:%M:%S}".rjust(19, "0")
    return f"{text}.{value.microsecond:06d}".rstrip("0") if value.microsecond else text


def day_time(value: datetime.timedelta) -> str:
    micros = value // datetime.timedelta(microseconds=1)
    sign, micros = "-" if micros < 0 else "", abs(micros)
    seconds, micros = divmod(micros, 1_000_000)
    days, seconds = divmod(seconds, 86_400)
    clock = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return f"{sign}{days} {clock}.{micros:06d}000"


def answer(spark: SparkSession, text: str) -> dict[str, Any]:
    """What an endpoint says to a statement."""
    try:
        frame = spark.sql(text)
        schema = frame.schema
        # Typed in the session's time zone, which this process has as well.
        rows = frame.collect() if schema.fields else []
    except PySparkException as failure:
        condition = failure.getCondition() or type(failure).__name__
        return {"error": condition, "message": str(failure)[:1500]}
    except OutOfTime:
        return {"error": "OUT_OF_TIME", "message": "it took too long"}
    except Exception as failure:
        # A client that cannot hold what came (years beyond 9999): nothing is known of the endpoint.
        return {"error": "CLIENT", "message": f"{type(failure).__name__}: {failure}"[:1500]}
    lines = [
        "\t".join(shown(value, field.dataType) for value, field in zip(row, schema, strict=True))
        for row in rows
    ]
    return {"schema": schema.simpleString(), "output": "\n".join(lines)}


def prepare(spark: SparkSession) -> None:
    """The tables that Spark's suite makes."""
    numbers = (
        f"SELECT CAST(id AS INT) AS key, CAST(id AS STRING) AS value FROM range(1, {NUMBERS + 1})"
    )
    for name, query in (
        ("testdata", numbers),
        ("arraydata", f"SELECT * FROM {_ARRAYS}"),
        ("mapdata", f"SELECT * FROM {_MAPS}"),
    ):
        spark.sql(f"DROP TABLE IF EXISTS {name}")
        spark.sql(query).write.saveAsTable(name)


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--record", type=Path, required=True)
    options.add_argument("--settings", default="{}", help="the session's, as JSON")
    options.add_argument("--results", type=Path, required=True)
    options.add_argument("--seconds", type=int, default=60)
    options.add_argument("--prepare", action="store_true")
    given = options.parse_args()
    spark = SparkSession.builder.remote(os.environ["ENDPOINT"]).getOrCreate()
    if given.prepare:
        prepare(spark)
        return
    for key, value in json.loads(given.settings).items():
        spark.conf.set(key, value)

    def out_of_time(*_: object) -> None:
        raise OutOfTime

    signal.signal(signal.SIGALRM, out_of_time)
    made: set[tuple[str, str]] = set()
    with given.results.open("a") as lines:
        for number, (text, schema, output) in enumerate(statements(given.record.read_text())):
            signal.alarm(given.seconds)
            found = answer(spark, text)
            signal.alarm(0)
            made |= {(kind.upper(), name) for kind, name in _MAKES.findall(text)}
            line = {"number": number, "statement": text, "expected": [schema, output], **found}
            lines.write(json.dumps(line) + "\n")
            lines.flush()
    for kind, name in made:
        answer(spark, f"DROP {kind} IF EXISTS {name}")
    sys.stdout.flush()
    os._exit(0)  # the client may have threads that nobody waits for


if __name__ == "__main__":
    main()
