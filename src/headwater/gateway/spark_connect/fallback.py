"""When an operation moves from Sail to Spark: Sail failed, nothing happened, and it may be a gap.

Sail's errors are of a few classes, measured on 0.7.2: UnsupportedOperationException is a gap;
IllegalArgumentException "invalid argument: found X at a:b" is its parser, which may be the user's
mistake or syntax that it lacks; AnalysisException is often the user's mistake, and as often what
Sail does not know. So whatever is not known to be the user's mistake is asked of Spark, whose word
counts. What user code raised is final, but not that what it returned has another type: Spark casts
where Sail does not.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from headwater.engines.userprocess.engine import SAIL
from headwater.gateway.spark_connect.differences import differs
from headwater.gateway.spark_connect.failures import SparkFailure
from headwater.gateway.spark_connect.plans import SessionView

_MISTAKES = frozenset({"DIVIDE_BY_ZERO", "UNRESOLVED_COLUMN.WITHOUT_SUGGESTION"})
"""Errors of users that Sail tells as Spark would; `name_of_sail` recognises them.

An unknown table is none: the gateway knows them all, and has put something in the place of each.
Nor is an ambiguous name: Spark tells the sides of a join apart where Sail does not. Nor are casts
and overflows: Spark reads more forms of numbers and dates, its decimals are rounded where Sail's
overflow, and its years before 1678 and after 2262 are not counted in nanoseconds.
"""

_OF_THE_PLAN = frozenset(
    {"UnsupportedOperationException", "IllegalArgumentException", "ParseException"}
)
"""Classes of errors that tell of the plan or the text, never of rows."""

_FINAL = frozenset({"OPERATION_CANCELED", "ENGINE_FAILED"})
_GAP = re.compile(
    r"not (?:yet )?(?:supported|implemented)|unsupported|unimplemented|feature is not|panicked",
    re.IGNORECASE,
)
_RETURNED = re.compile(r'/conversion\.py", line \d+, in convert_column\b')
"""In the trace of a Python error: what a function returned was being turned into Arrow."""
_CONDITIONAL = re.compile(
    rb"\b(?:if|iff|when|case|coalesce|ifnull|nvl2?|nanvl|nullif|and|or|filter)\b", re.IGNORECASE
)
_UNKNOWN_NAME = re.compile(r'Identifier\("((?:[^"\\]|\\.)+)"\)')


def views_in(plan: bytes, views: Mapping[str, SessionView]) -> list[Any]:
    """The relations of temporary views whose names a plan holds, and of those in them."""
    found: dict[int, Any] = {}
    waiting = [(plan.lower(), views)]
    while waiting:
        text, known = waiting.pop()
        for name, view in known.items():
            if id(view) not in found and name.rpartition(".")[2].encode() in text:
                found[id(view)] = view.relation
                waiting.append((view.relation.SerializeToString().lower(), view.views))
    return list(found.values())


def functions_in(plans: Sequence[Any], registered: Mapping[str, bytes], pb: Any) -> list[Any]:
    """The commands that registered those functions, by name, whose names plans hold."""
    if not registered:
        return []
    text = b"".join(each.SerializeToString() for each in plans).lower()
    return [
        pb.Command.FromString(command)
        for name, command in registered.items()
        if name.lower().encode() in text
    ]


def needs_spark(
    plans: Iterable[Any], checkpoints: Collection[str], table_functions: Collection[str] = ()
) -> bool:
    """True for an operation that is not even tried on Sail: the plan, and all that it uses.

    `checkpoints` are the session's: they lie in its Spark process, which made them. So do its
    registered table functions, of which Sail does not hear.
    """
    calls = [re.compile(rf"\b{re.escape(each)}`?\s*\(", re.I) for each in table_functions]
    for plan in plans:
        if differs(plan):
            return True
        if not checkpoints and not calls:
            continue
        encoded = plan.SerializeToString()
        if any(each.encode() in encoded for each in checkpoints):
            return True
        text = encoded.decode("utf-8", "replace")
        if any(call.search(text) for call in calls):
            return True
    return False


def gap(failure: SparkFailure, plan: bytes = b"") -> str | None:
    """What Sail lacks, in a few words, when that may be why it failed; None for other errors.

    A column that is not found is a mistake, unless `plan` says its name more than once: it may be
    the name of something that the plan itself makes, such as an alias used beside it. A division
    by zero is one, unless the plan has conditions.
    """
    names = {name.rsplit(".", 1)[-1] for name in failure.classes}
    if failure.engine != SAIL:
        return None  # ours, or Spark's
    if failure.error_class in _FINAL:
        return None
    if "PythonException" in names:
        return "a function's result" if _RETURNED.search(failure.message) else None
    if _GAP.search(failure.message) or names & _OF_THE_PLAN:
        return " ".join(failure.message.split())[:200]
    unknown = _UNKNOWN_NAME.findall(failure.message)
    name = unknown[-1] if unknown else ""
    excused = name.upper() == "ALL" or (name and plan.count(name.encode()) > 1)
    # Sail works out constants that no row may come to, such as `if(n = 0, 0, 1 / 0)`.
    excused = excused or (
        failure.error_class == "DIVIDE_BY_ZERO" and _CONDITIONAL.search(plan) is not None
    )
    if failure.error_class in _MISTAKES and not excused:
        return None
    # The message may hold values of rows, and what is returned goes into the history.
    return ", ".join(sorted(names)) or "an error"


_ANALYSIS = ("org.apache.spark.sql.AnalysisException", "java.lang.Exception")
_ARITHMETIC = ("org.apache.spark.SparkArithmeticException", "java.lang.ArithmeticException")
_NUMBER = ("org.apache.spark.SparkNumberFormatException", "java.lang.NumberFormatException")
_RUNTIME = ("org.apache.spark.SparkRuntimeException", "java.lang.RuntimeException")
_TIME = ("org.apache.spark.SparkDateTimeException", "java.time.DateTimeException")
_CAST = r"(?:cast error|cannot cast)"
_NAMED: tuple[tuple[re.Pattern[str], tuple[str, ...], str, str], ...] = (
    (
        re.compile(r"cannot resolve attribute|missing from the schema|field not found", re.I),
        _ANALYSIS,
        "UNRESOLVED_COLUMN.WITHOUT_SUGGESTION",
        "42703",
    ),
    (
        re.compile(r"table (?:or view )?not found|TABLE_OR_VIEW_NOT_FOUND", re.I),
        _ANALYSIS,
        "TABLE_OR_VIEW_NOT_FOUND",
        "42P01",
    ),
    (re.compile(r"ambiguous", re.I), _ANALYSIS, "AMBIGUOUS_REFERENCE", "42704"),
    (re.compile(r"divide by zero|division by zero", re.I), _ARITHMETIC, "DIVIDE_BY_ZERO", "22012"),
    (re.compile(r"overflow", re.I), _ARITHMETIC, "ARITHMETIC_OVERFLOW", "22003"),
    (re.compile(_CAST + r".* of boolean", re.I), _RUNTIME, "CAST_INVALID_INPUT", "22018"),
    (re.compile(_CAST + r".* of (?:date|time)", re.I), _TIME, "CAST_INVALID_INPUT", "22018"),
    (re.compile(_CAST, re.I), _NUMBER, "CAST_INVALID_INPUT", "22018"),
)


def name_of_sail(failure: SparkFailure) -> None:
    """Gives an error of Sail's the class and the state that Spark has for it, where known."""
    names = {name.rsplit(".", 1)[-1] for name in failure.classes}
    if failure.error_class or "PythonException" in names:
        return
    for pattern, classes, error_class, state in _NAMED:
        if pattern.search(failure.message):
            failure.classes, failure.error_class = classes, error_class
            failure.sql_state = state
            failure.message = f"[{error_class}] {failure.message} SQLSTATE: {state}"
            failure.raw = None
            return
