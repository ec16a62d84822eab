"""`describe` and `summary`: one row for each statistic, in Spark's order."""

from __future__ import annotations

from headwater.gateway.spark_connect.plans.model import Message
from headwater.gateway.spark_connect.protocol import messages

_STATISTICS = {
    "describe": ("count", "mean", "stddev", "min", "max"),
    "summary": ("count", "mean", "stddev", "min", "25%", "50%", "75%", "max"),
}


def in_order(relation: Message, kind: str) -> Message:
    """Sorts the rows of `describe` and `summary` as Spark has them; the statistics' own message.

    Sail puts them together from one query each, and they come as they are done.
    """
    statistics = messages().Relation()
    getattr(statistics, kind).CopyFrom(getattr(relation, kind))
    given = list(relation.summary.statistics)
    relation.sort.input.CopyFrom(statistics)
    relation.sort.is_global = True
    order = relation.sort.order.add()
    order.direction = order.SORT_DIRECTION_ASCENDING
    order.null_ordering = order.SORT_NULLS_LAST
    position = order.child.unresolved_function
    position.function_name = "array_position"
    names = position.arguments.add().unresolved_function
    names.function_name = "array"
    for statistic in given or _STATISTICS[kind]:
        names.arguments.add().literal.string = statistic
    position.arguments.add().unresolved_attribute.unparsed_identifier = "summary"
    found: Message = getattr(relation.sort.input, kind)
    return found
