"""Which plans with times are Spark's, by the zone of their session."""

from __future__ import annotations

import datetime
from typing import Any

import pyarrow as pa
import pytest

from headwater.gateway.spark_connect.failures import SparkFailure
from headwater.gateway.spark_connect.fallback import gap
from headwater.gateway.spark_connect.protocol import messages
from headwater.gateway.spark_connect.times import check_times


def sql(text: str) -> Any:
    plan = messages().Plan()
    plan.root.sql.query = text
    return plan


def table(schema: str, expression: str = "a") -> Any:
    """A staged table and one expression over it."""
    plan = messages().Plan()
    plan.root.project.input.read.data_source.schema = schema
    plan.root.project.expressions.add().expression_string.expression = expression
    return plan


def rows(**columns: pa.Array) -> Any:
    found = pa.table(columns)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, found.schema) as writer:
        writer.write_table(found)
    plan = messages().Plan()
    plan.root.local_relation.data = sink.getvalue().to_pybytes()
    return plan


NOON = datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC)
BOTH = rows(at=pa.array([NOON]), on=pa.array([NOON.date()]))

SPARKS = {
    "an instant and a date": table("at TIMESTAMP, on DATE", "at > on"),
    "a date in an expression": table("at TIMESTAMP", "at >= DATE '2026-01-31'"),
    "a local time": table("at TIMESTAMP", "cast(at AS timestamp_ntz)"),
    "made in UTC": table("n BIGINT", "hour(timestamp_seconds(n))"),
    "in SQL": sql("SELECT now() > current_date()"),
    "rows of the client": BOTH,
}

SAILS = {
    "instants alone": table("at TIMESTAMP, n INT", "hour(at) + n"),
    "dates alone": table("on DATE", "year(on)"),
    "neither": sql("SELECT 1 AS updated"),
    "rows with instants": rows(at=pa.array([NOON])),
    "rows with dates": rows(on=pa.array([NOON.date()])),
}


@pytest.mark.parametrize("name", SPARKS)
def test_mixed(name: str) -> None:
    with pytest.raises(SparkFailure) as told:
        check_times([SPARKS[name]], "America/New_York")
    # It reads as what Sail lacks, so the operation moves.
    assert gap(told.value) is not None
    check_times([SPARKS[name]], "Etc/UTC")


@pytest.mark.parametrize("name", SAILS)
def test_one_kind(name: str) -> None:
    check_times([SAILS[name]], "America/New_York")


def call(schema: str, name: str, *columns: str) -> Any:
    """A staged table and a function of its columns."""
    plan = messages().Plan()
    plan.root.project.input.read.data_source.schema = schema
    function = plan.root.project.expressions.add().unresolved_function
    function.function_name = name
    for column in columns:
        function.arguments.add().unresolved_attribute.unparsed_identifier = column
    return plan


ANYWHERE = {
    "hours after a date": table("on DATE", "on + INTERVAL 3 HOURS"),
    "hours after a date of SQL": sql("SELECT DATE '2026-01-31' - INTERVAL '3' HOUR"),
    "between dates": sql("SELECT date '2026-01-31' - date '2026-01-01'"),
    "between dates in a call": sql("SELECT to_date(a) - current_date() FROM t"),
    "between columns": table("a DATE, b DATE", "t.a - b"),
    "between columns of a frame": call("a DATE, b DATE", "-", "a", "t.b"),
    "in JSON": call('{"fields":[{"name":"n","nullable":true,"type":"long"}]}', "to_timestamp", "n"),
    "seconds": table("n BIGINT", "to_timestamp(n)"),
}

NOWHERE = {
    "days": table("on DATE", "on + INTERVAL 3 DAYS"),
    "days as a number": sql("SELECT current_date() - 3"),
    "numbers": table("a INT, on DATE", "a - a"),
    "hours after an instant": table("at TIMESTAMP", "at + INTERVAL 3 HOURS"),
    "text": table("t STRING, n INT", "to_timestamp(t)"),
    "a format": table("n INT", "to_timestamp(n, 'yyyy')"),
}


@pytest.mark.parametrize("name", ANYWHERE)
def test_in_every_zone(name: str) -> None:
    with pytest.raises(SparkFailure):
        check_times([ANYWHERE[name]], "UTC")


@pytest.mark.parametrize("name", NOWHERE)
def test_in_no_zone(name: str) -> None:
    check_times([NOWHERE[name]], "UTC")


def test_json_has_other_digits_in_every_zone() -> None:
    with pytest.raises(SparkFailure):
        check_times([table("at TIMESTAMP", "to_json(struct(at))")], "UTC")
    check_times([table("n INT", "to_json(struct(n))")], "Europe/Vienna")
