"""No text keeps the server busy: looking through it takes a time that grows with its length."""

from __future__ import annotations

import time

import pytest

from headwater.gateway.spark_connect.failures import SparkFailure
from headwater.gateway.spark_connect.fallback import needs_spark
from headwater.gateway.spark_connect.protocol import messages
from headwater.gateway.spark_connect.times import check_times
from headwater.gateway.spark_connect.wording import LONGEST

PIECES = """
with |cube |cube(|rollup(|decimal(|in (select |in (select count(a) |in (select where |interval |
split(|date_format |date_format ,'zz|lateral |grouping sets (|grouping sets ((a)|count(a,|
natural a b |a|a.|`a`.|to_timestamp(a.|date |date'x'|cast(a as |- |a - | |a |a:|"name":"a" |
csv.`|variant |z',|except
"""


@pytest.mark.parametrize("piece", PIECES.replace("\n", "").split("|"))
def test_a_hostile_text_is_looked_through_at_once(piece: str) -> None:
    pb = messages()
    text = piece * (LONGEST // len(piece))
    query, schema = pb.Plan(), pb.Plan()
    query.root.sql.query = text
    schema.root.local_relation.schema = text
    started = time.process_time()
    for plan in (query, schema):
        needs_spark([plan], ())
        check_times([plan], "UTC")
    # Patterns of the square's kind took from 3 to 50 seconds.
    assert time.process_time() - started < 2


def test_longer_texts_are_sparks() -> None:
    plan = messages().Plan()
    plan.root.sql.query = "SELECT 1" + " " * LONGEST
    assert needs_spark([plan], ())
    with pytest.raises(SparkFailure):
        check_times([plan], "UTC")
