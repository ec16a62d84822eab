"""`${key}` in the SQL text of a plan: the values of the session's settings, put in first of all.

What comes of it is the user's text like any other: it is parsed, checked and bound after this.
"""

from __future__ import annotations

from typing import Any

from headwater.gateway.spark_connect.conf import Conf
from headwater.gateway.spark_connect.plans.inside import inside_of

_MARK = b"${"
_TEXTS = {"SQL": "query", "ExpressionString": "expression", "SqlCommand": "sql"}
"""The messages that hold SQL text, and where."""


def substituted(plan: Any, conf: Conf) -> Any:
    """The plan with settings in the place of references to them: itself, or a changed copy."""
    if _MARK not in plan.SerializeToString():
        return plan
    made = type(plan)()
    made.CopyFrom(plan)
    waiting = [made]
    while waiting:
        found = waiting.pop()
        where = _TEXTS.get(found.DESCRIPTOR.name)
        if where is not None:
            text = getattr(found, where)
            told = conf.substituted(text)
            if told != text:
                setattr(found, where, told)
        waiting += inside_of(found)
    return made
