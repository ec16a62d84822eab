"""Rows in Spark's order: Sail sends those of several partitions as each of them is done."""

from __future__ import annotations

from typing import Any

from headwater.gateway.spark_connect.plans.functions import words
from headwater.gateway.spark_connect.plans.inside import inside_of

_SMALL = 8192
"""Rows that Sail works on at once: more than one partition gains nothing below it."""

_NUMBERED = words("monotonically_increasing_id spark_partition_id")


def in_one_partition(plan: Any) -> None:
    """Gives small ranges one partition, unless the plan asks which partitions there are."""
    ranges, waiting = [], [plan]
    while waiting:
        found = waiting.pop()
        name = found.DESCRIPTOR.name
        if name == "Range":
            ranges.append(found)
        elif name == "UnresolvedFunction" and found.function_name.lower() in _NUMBERED:
            return
        elif name in ("SQL", "ExpressionString"):
            text = found.query if name == "SQL" else found.expression
            if any(each in text.lower() for each in _NUMBERED):
                return
        waiting += inside_of(found)
    for found in ranges:
        if found.step and (found.end - found.start) // found.step <= _SMALL:
            found.num_partitions = 1
