"""When an operation moves from Sail to Spark: Sail says that it cannot do it, and nothing happened.

Sail's errors are of a few classes, measured on 0.7.2: UnsupportedOperationException is a gap;
IllegalArgumentException "invalid argument: found X at a:b" is its parser, which may be the user's
mistake or syntax that it lacks, and Spark's word counts; AnalysisException is mostly the user's
mistake. What user code raised is final.
"""

from __future__ import annotations

import re

from headwater.engines.userprocess.engine import SAIL
from headwater.gateway.spark_connect.failures import SparkFailure

_GAP = re.compile(
    r"not (?:yet )?(?:supported|implemented)|unsupported|unimplemented|no data source found"
    r"|feature is not|internal error|panicked|recursion limit|failed to decode"
    r"|could(?: not|n't) find config namespace|missing argument"
    # two unnamed columns that its engine names alike
    r"|duplicate (?:un)?qualified field name",
    re.IGNORECASE,
)
_PARSER = re.compile(r"^invalid argument|found .* expected|sql parser error", re.IGNORECASE)


def gap(failure: SparkFailure) -> str | None:
    """What Sail lacks, in a few words, when that is why it failed; None for any other error."""
    names = {name.rsplit(".", 1)[-1] for name in failure.classes}
    if failure.engine != SAIL:
        return None  # ours, or Spark's
    if "PythonException" in names or failure.error_class in ("OPERATION_CANCELED", "ENGINE_FAILED"):
        return None
    told = " ".join(failure.message.split())[:200]
    if "UnsupportedOperationException" in names:
        return told
    if "IllegalArgumentException" in names and _PARSER.search(failure.message):
        return told
    if _GAP.search(failure.message):
        return told
    return None


_ANALYSIS = ("org.apache.spark.sql.AnalysisException", "java.lang.Exception")
_ARITHMETIC = ("org.apache.spark.SparkArithmeticException", "java.lang.ArithmeticException")
_NUMBER = ("org.apache.spark.SparkNumberFormatException", "java.lang.NumberFormatException")
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
    (re.compile(r"cast error|cannot cast", re.I), _NUMBER, "CAST_INVALID_INPUT", "22018"),
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
