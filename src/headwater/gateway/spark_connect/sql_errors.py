"""Errors of Sail and Spark as Headwater's own, for statements that come without a Spark client."""

from __future__ import annotations

import re

from headwater.errors import ErrorCode, HeadwaterError, Position, error
from headwater.gateway.spark_connect.failures import SparkFailure

_CODES: dict[str, ErrorCode] = {
    "AMBIGUOUS_REFERENCE": ErrorCode.AMBIGUOUS_NAME,
    "ARITHMETIC_OVERFLOW": ErrorCode.NUMERIC_VALUE_OUT_OF_RANGE,
    "CANNOT_MODIFY_CONFIG": ErrorCode.PERMISSION_DENIED,
    "CAST_INVALID_INPUT": ErrorCode.INVALID_CAST,
    "CAST_OVERFLOW": ErrorCode.NUMERIC_VALUE_OUT_OF_RANGE,
    "CONNECT_INVALID_PLAN": ErrorCode.INVALID_ARGUMENT,
    "DATATYPE_MISMATCH": ErrorCode.TYPE_MISMATCH,
    "DIVIDE_BY_ZERO": ErrorCode.DIVISION_BY_ZERO,
    "ENGINE_FAILED": ErrorCode.ENGINE_FAILED,
    "INSUFFICIENT_PERMISSIONS": ErrorCode.PERMISSION_DENIED,
    "INVALID_CONF_VALUE": ErrorCode.INVALID_ARGUMENT,
    "INVALID_PARAMETER_VALUE": ErrorCode.INVALID_ARGUMENT,
    "NUMERIC_VALUE_OUT_OF_RANGE": ErrorCode.NUMERIC_VALUE_OUT_OF_RANGE,
    "OPERATION_CANCELED": ErrorCode.USER_CANCELED,
    "PARSE_EMPTY_STATEMENT": ErrorCode.SYNTAX_ERROR,
    "PARSE_SYNTAX_ERROR": ErrorCode.SYNTAX_ERROR,
    "SCALAR_SUBQUERY_TOO_MANY_ROWS": ErrorCode.SUBQUERY_MULTIPLE_ROWS,
    "SCHEMA_NOT_FOUND": ErrorCode.SCHEMA_NOT_FOUND,
    "TABLE_OR_VIEW_NOT_FOUND": ErrorCode.TABLE_NOT_FOUND,
    "UNRESOLVED_COLUMN": ErrorCode.COLUMN_NOT_FOUND,
    "UNRESOLVED_FIELD": ErrorCode.COLUMN_NOT_FOUND,
    "UNRESOLVED_ROUTINE": ErrorCode.FUNCTION_NOT_FOUND,
    "UNSUPPORTED_FEATURE": ErrorCode.NOT_SUPPORTED,
    "WRONG_NUM_ARGS": ErrorCode.TYPE_MISMATCH,
}
"""By the first part of Spark's error class."""

_BY_JAVA_CLASS = {
    "ParseException": ErrorCode.SYNTAX_ERROR,
    "UnsupportedOperationException": ErrorCode.NOT_SUPPORTED,
    "SparkUnsupportedOperationException": ErrorCode.NOT_SUPPORTED,
}

_SAILS_PARSER = re.compile(r"\s*invalid argument: found .{1,200} at \d+:\d+ expected ", re.DOTALL)
"""Sail's parser has no error class of its own."""

_HEAD = re.compile(r"^\s*\[[A-Z0-9_.]+\]\s*")
_TAIL = re.compile(
    # What follows is the plan or the text that the engine got: names that are not the user's.
    r"\s*(?:SQLSTATE: \w{5})?\s*(?:;\s*line \d+,? pos\b.*|\n\s*== SQL\b.*|\n\s*JVM stacktrace.*"
    r"|;\s*\n.*)?\Z",
    re.DOTALL,
)
_NAMED = (
    # The last part of the first dotted name, Spark's; the last name, Sail's.
    re.compile(r"\A[^`]*(?:`(?:[^`]|``)+`\.)*`((?:[^`]|``)+)`"),
    re.compile(r"at or near '((?:[^'\\]|\\.)+)'"),
    re.compile(r'.*Identifier\("((?:[^"\\]|\\.)+)"\)', re.DOTALL),
)
_OF_NAMES = frozenset(
    {
        ErrorCode.AMBIGUOUS_NAME,
        ErrorCode.COLUMN_NOT_FOUND,
        ErrorCode.FUNCTION_NOT_FOUND,
        ErrorCode.SYNTAX_ERROR,
        ErrorCode.TABLE_NOT_FOUND,
    }
)
"""Errors that complain of a name; in others a name is advice."""
_LONGEST = 2000


def told(failure: SparkFailure, text: str) -> HeadwaterError:
    """The error of a statement, with its place in the text where that can be told for certain.

    The engine got another text, in which every table has another name, so its own line and column
    mean nothing to the user; the name that it complains of does, if it stands there only once.
    """
    message = _TAIL.sub("", _HEAD.sub("", failure.message.strip()))[:_LONGEST].strip()
    code = code_of(failure)
    where = place(message, text) if code in _OF_NAMES else None
    return error(code, message or "the engine failed", position=where)


def code_of(failure: SparkFailure) -> ErrorCode:
    """The code of an error of Sail's or Spark's."""
    found = _CODES.get((failure.error_class or "").partition(".")[0])
    if found is not None:
        return found
    for name in failure.classes:
        known = _BY_JAVA_CLASS.get(name.rsplit(".", 1)[-1])
        if known is not None:
            return known
    if _SAILS_PARSER.match(failure.message):
        return ErrorCode.SYNTAX_ERROR
    return ErrorCode.EVALUATION_FAILED


def kept(failure: SparkFailure, engine: str) -> str:
    """What the history keeps of an error: its message may hold values, and others read there."""
    kind = failure.error_class or (failure.classes[0] if failure.classes else "an error")
    return f"{kind} of {engine}"


def place(message: str, text: str) -> Position | None:
    """Where the name that a message complains of stands in a text; None unless it is certain."""
    for pattern in _NAMED:
        if (match := pattern.search(message)) is None:
            continue
        name = match[1].replace("``", "`")
        found = list(re.finditer(rf"(?<!\w){re.escape(name)}(?!\w)", text, re.IGNORECASE))
        if len(found) == 1:
            before = text[: found[0].start()]
            return Position(before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)
    return None
