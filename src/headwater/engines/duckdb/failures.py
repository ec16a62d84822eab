"""What a DuckDB error means to the caller: a code and a message that gives nothing away.

A governed statement gets the code's own sentence. An ungoverned one may read the first line of
DuckDB's message for errors about values and types; messages about files, requests and the engine
itself are never passed on, for they name locations. The full text goes to the server's log.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from headwater.errors import ErrorCode

MESSAGE_LENGTH = 500

SENTENCES: dict[ErrorCode, str] = {
    ErrorCode.INVALID_CAST: "A value cannot be converted to the type asked for",
    ErrorCode.NUMERIC_VALUE_OUT_OF_RANGE: "A number is out of the range of its type",
    ErrorCode.DIVISION_BY_ZERO: "Division by zero",
    ErrorCode.SUBQUERY_MULTIPLE_ROWS: "A scalar subquery returned more than one row",
    ErrorCode.MERGE_MATCHED_TWICE: "MERGE matched a row of the target twice",
    ErrorCode.EVALUATION_FAILED: "An expression could not be evaluated",
    ErrorCode.INVALID_ARGUMENT: "A function was called with an invalid argument",
    ErrorCode.TYPE_MISMATCH: "The types of an expression do not fit",
    ErrorCode.NOT_SUPPORTED: "The engine does not support this",
    ErrorCode.EXCEEDED_MEMORY_LIMIT: "The statement needs more memory than it may use",
    ErrorCode.EXCEEDED_SCAN_LIMIT: "The statement read more bytes than it may scan",
    ErrorCode.EXCEEDED_STATEMENT_SIZE: "An expression of the statement nests too deeply",
    ErrorCode.DISK_FULL: "There is no disk space left to spill intermediate results to",
    ErrorCode.STORAGE_UNAVAILABLE: "A file of the lake could not be read or written",
    ErrorCode.COMMIT_CONFLICT: "The table was changed by somebody else at the same time",
    ErrorCode.COMMIT_STATE_UNKNOWN: "It is not known whether the write was committed",
    ErrorCode.PERMISSION_DENIED: "The catalog refused the write",
    ErrorCode.TABLE_NOT_FOUND: "The table does not exist any more",
    ErrorCode.TABLE_ALREADY_EXISTS: "The table exists already",
    ErrorCode.UNAUTHENTICATED: "The catalog does not know this engine worker",
    ErrorCode.USER_CANCELED: "The statement was canceled",
    ErrorCode.INTERNAL_ERROR: "The engine could not run the statement that was made for it",
    ErrorCode.ENGINE_FAILED: "The engine failed; it is being restarted",
}
HINTS: dict[ErrorCode, str] = {
    ErrorCode.INVALID_CAST: "try_cast gives NULL instead",
    ErrorCode.EXCEEDED_MEMORY_LIMIT: "select fewer rows or columns, or raise limits.memory_bytes",
    ErrorCode.EXCEEDED_SCAN_LIMIT: "filter on a partition column, or raise limits.scan_bytes",
    ErrorCode.EXCEEDED_STATEMENT_SIZE: "a chain of operators has at most some 900; put brackets "
    "around parts of a longer one",
    ErrorCode.DISK_FULL: "select less, or give the home more disk",
    ErrorCode.NUMERIC_VALUE_OUT_OF_RANGE: "cast to a wider type, such as decimal(38, 2) or double",
    ErrorCode.DIVISION_BY_ZERO: "nullif(divisor, 0) gives NULL instead",
    ErrorCode.SUBQUERY_MULTIPLE_ROWS: "aggregate, or add LIMIT 1",
    ErrorCode.MERGE_MATCHED_TWICE: "make the rows of the source distinct by the columns of ON",
    ErrorCode.STORAGE_UNAVAILABLE: "check the disk, or S3 and the network, then try again; the "
    "server's log says more",
    ErrorCode.ENGINE_FAILED: "run the statement again; the server's log says why it failed",
    ErrorCode.INTERNAL_ERROR: "look for the statement's id in the server's log",
    ErrorCode.COMMIT_CONFLICT: "run the statement again",
    ErrorCode.COMMIT_STATE_UNKNOWN: "look at the table's snapshots before you run it again",
}
_TELLING = frozenset(
    (
        ErrorCode.INVALID_CAST,
        ErrorCode.NUMERIC_VALUE_OUT_OF_RANGE,
        ErrorCode.EVALUATION_FAILED,
        ErrorCode.INVALID_ARGUMENT,
        ErrorCode.TYPE_MISMATCH,
        ErrorCode.NOT_SUPPORTED,
    )
)
"""Codes whose DuckDB message speaks of the user's own values and types only."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An error for the caller; `detail` is for the log, `fatal` ends the worker."""

    code: ErrorCode
    message: str
    hint: str | None
    detail: str
    fatal: bool = False


def failure_of(raised: BaseException, *, governed: bool) -> Failure:
    """The failure that an exception of a statement's means."""
    text = str(raised)
    for marker, code in _MARKERS.items():
        if marker in text:
            return Failure(code, marker.removeprefix(_MARK), HINTS.get(code), marker)
    kind = _kind(raised, text)
    if kind == "constraint" and _NESTED_KEY.search(text):
        return Failure(
            ErrorCode.NOT_SUPPORTED, _MAPS, _MAPS_HINT, f"{type(raised).__name__}: {text}"
        )
    code = _code(kind, text)
    message = SENTENCES[code]
    if not governed and code in _TELLING:
        message = _first_line(text) or message
    detail = f"{type(raised).__name__}: {text}"
    fatal = kind in _FATAL_KINDS or isinstance(raised, MemoryError)
    return Failure(code, message, HINTS.get(code), detail, fatal)


def plain_failure(code: ErrorCode, detail: str = "", *, fatal: bool = False) -> Failure:
    """The failure with a code's own sentence and hint."""
    return Failure(code, SENTENCES[code], HINTS.get(code), detail, fatal)


def _kind(raised: BaseException, text: str) -> str:
    """The DuckDB exception's type, which starts its text; Arrow's reader hands on only the text."""
    named = _PREFIX.match(text)
    if named is not None:
        return named.group(1).lower()
    return "out of memory" if isinstance(raised, MemoryError) else ""


def _code(kind: str, text: str) -> ErrorCode:
    if _TOO_DEEP.match(text):
        return ErrorCode.EXCEEDED_STATEMENT_SIZE
    if kind not in _VALUE_KINDS:  # whose text may quote any value
        for pattern, code in _BY_TEXT:
            if pattern.search(text):
                return code
    return _BY_KIND.get(kind, ErrorCode.ENGINE_FAILED)


def _first_line(text: str) -> str:
    """DuckDB's own sentence, without its type, its quotation of our SQL and its hints."""
    return _PREFIX.sub("", text.partition("\n")[0])[:MESSAGE_LENGTH]


_MARK = "headwater: "
_MARKERS: dict[str, ErrorCode] = {
    f"{_MARK}a new row violates the row filter": ErrorCode.PERMISSION_DENIED,
    f"{_MARK}division by zero": ErrorCode.DIVISION_BY_ZERO,
    f"{_MARK}MERGE matched a row of the target twice": ErrorCode.MERGE_MATCHED_TWICE,
}
"""What our own SQL raises (`headwater.sql.targets`, `headwater.sql.translate`): no data in it.

Repeated here, so that a worker process need not import the parser.
"""
_NESTED_KEY = re.compile(r"NOT NULL constraint failed: [^.]+(?:\.[^.]+){2,}\.key\b")
_MAPS = "a map inside an array, row or map cannot be written where it is null or empty"
_MAPS_HINT = "DuckDB 1.5 takes its keys for missing ones; store the map as a column, or as text"
_PREFIX = re.compile(r"([A-Z][A-Za-z]*(?: [A-Za-z]+){0,3}) Error: ")
_TOO_DEEP = re.compile(r"(?:Parser|Binder) Error: Max expression depth limit")
_FATAL_KINDS = frozenset(("fatal", "internal"))
_VALUE_KINDS = frozenset(("conversion", "binder", "mismatch type"))
_EXISTS, _MISSING = ErrorCode.TABLE_ALREADY_EXISTS, ErrorCode.TABLE_NOT_FOUND
_BY_TEXT: tuple[tuple[re.Pattern[str], ErrorCode], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), code)
    for pattern, code in (
        (r"no space left on device|max_temp_directory_size|disk quota", ErrorCode.DISK_FULL),
        (r"failed to offload data block", ErrorCode.DISK_FULL),
        (r"AlreadyExistsException|table with name .* already exists", _EXISTS),
        (r"conflict_409|CommitFailedException", ErrorCode.COMMIT_CONFLICT),
        (r"CommitStateUnknownException", ErrorCode.COMMIT_STATE_UNKNOWN),
        (r"failed to commit.*(\(\w+_5\d\d\)|HTTP POST)", ErrorCode.COMMIT_STATE_UNKNOWN),
        (r"forbidden_403|NotAuthorizedException|ForbiddenException", ErrorCode.PERMISSION_DENIED),
        (r"unauthorized_401", ErrorCode.UNAUTHENTICATED),
        (r"notfound_404|NoSuchTableException|table with name .* does not exist", _MISSING),
        (r"division by zero", ErrorCode.DIVISION_BY_ZERO),
        (r"more than one row returned by a subquery", ErrorCode.SUBQUERY_MULTIPLE_ROWS),
        (r"same row was updated multiple times", ErrorCode.MERGE_MATCHED_TWICE),
        (r"std::bad_alloc|could not allocate", ErrorCode.EXCEEDED_MEMORY_LIMIT),
    )
)
_BY_KIND: dict[str, ErrorCode] = {
    "interrupt": ErrorCode.USER_CANCELED,
    "conversion": ErrorCode.INVALID_CAST,
    "out of range": ErrorCode.NUMERIC_VALUE_OUT_OF_RANGE,
    "out of memory": ErrorCode.EXCEEDED_MEMORY_LIMIT,
    "constraint": ErrorCode.EVALUATION_FAILED,
    "invalid input": ErrorCode.EVALUATION_FAILED,
    "sequence": ErrorCode.EVALUATION_FAILED,
    "mismatch type": ErrorCode.TYPE_MISMATCH,
    "invalid type": ErrorCode.TYPE_MISMATCH,
    "binder": ErrorCode.TYPE_MISMATCH,
    "not implemented": ErrorCode.NOT_SUPPORTED,
    "http": ErrorCode.STORAGE_UNAVAILABLE,
    "io": ErrorCode.STORAGE_UNAVAILABLE,
    "serialization": ErrorCode.STORAGE_UNAVAILABLE,
    "transactioncontext": ErrorCode.STORAGE_UNAVAILABLE,
    "parser": ErrorCode.INTERNAL_ERROR,
    "syntax": ErrorCode.INTERNAL_ERROR,
    "catalog": ErrorCode.INTERNAL_ERROR,
    "permission": ErrorCode.INTERNAL_ERROR,
    "dependency": ErrorCode.INTERNAL_ERROR,
}
