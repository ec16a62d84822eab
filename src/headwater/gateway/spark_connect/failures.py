"""How errors reach a Spark client: gRPC status with an `ErrorInfo` that names Java classes.

PySpark picks its exception by the first class of `classes` that it knows, and takes the error
class and SQL state from the same place (`pyspark.errors.exceptions.connect.convert_exception`).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from headwater.engines.userprocess.engine import SAIL
from headwater.errors import ErrorCode, ErrorKind, HeadwaterError

_SQL = "org.apache.spark.sql."
_ANALYSIS = (_SQL + "AnalysisException", "java.lang.Exception")
_PARSE = (_SQL + "catalyst.parser.ParseException", *_ANALYSIS)
_RUNTIME = ("org.apache.spark.SparkRuntimeException", "java.lang.RuntimeException")
_ARITHMETIC = ("org.apache.spark.SparkArithmeticException", "java.lang.ArithmeticException")
_NUMBER = ("org.apache.spark.SparkNumberFormatException", "java.lang.NumberFormatException")
_ARGUMENT = (
    "org.apache.spark.SparkIllegalArgumentException",
    "java.lang.IllegalArgumentException",
)
_UNSUPPORTED = (
    "org.apache.spark.SparkUnsupportedOperationException",
    "java.lang.UnsupportedOperationException",
)
_SPARK = ("org.apache.spark.SparkException", "java.lang.Exception")

_LONGEST_MESSAGE = 2000
"""gRPC sends a status as HTTP/2 headers, of which clients take some 8 kB."""

INTERNAL, CANCELLED, UNAUTHENTICATED, PERMISSION_DENIED = 13, 1, 16, 7
NOT_FOUND, INVALID_ARGUMENT, RESOURCE_EXHAUSTED, UNIMPLEMENTED = 5, 3, 8, 12


@dataclass(frozen=True, slots=True)
class _Kind:
    classes: tuple[str, ...]
    error_class: str
    sql_state: str | None = None
    status: int = INTERNAL


_KINDS: dict[ErrorCode, _Kind] = {
    ErrorCode.SYNTAX_ERROR: _Kind(_PARSE, "PARSE_SYNTAX_ERROR", "42601"),
    ErrorCode.CATALOG_NOT_FOUND: _Kind(_ANALYSIS, "CATALOG_NOT_FOUND", "42P08"),
    ErrorCode.SCHEMA_NOT_FOUND: _Kind(_ANALYSIS, "SCHEMA_NOT_FOUND", "42704"),
    ErrorCode.TABLE_NOT_FOUND: _Kind(_ANALYSIS, "TABLE_OR_VIEW_NOT_FOUND", "42P01"),
    ErrorCode.COLUMN_NOT_FOUND: _Kind(_ANALYSIS, "UNRESOLVED_COLUMN.WITHOUT_SUGGESTION", "42703"),
    ErrorCode.FUNCTION_NOT_FOUND: _Kind(_ANALYSIS, "UNRESOLVED_ROUTINE", "42883"),
    ErrorCode.AMBIGUOUS_NAME: _Kind(_ANALYSIS, "AMBIGUOUS_REFERENCE", "42704"),
    ErrorCode.DUPLICATE_COLUMN_NAME: _Kind(_ANALYSIS, "COLUMN_ALREADY_EXISTS", "42711"),
    ErrorCode.TYPE_MISMATCH: _Kind(_ANALYSIS, "DATATYPE_MISMATCH", "42K09"),
    ErrorCode.INVALID_ARGUMENT: _Kind(_ANALYSIS, "INVALID_PARAMETER_VALUE", "22023"),
    ErrorCode.NOT_SUPPORTED: _Kind(_UNSUPPORTED, "UNSUPPORTED_FEATURE", "0A000"),
    ErrorCode.DIVISION_BY_ZERO: _Kind(_ARITHMETIC, "DIVIDE_BY_ZERO", "22012"),
    ErrorCode.NUMERIC_VALUE_OUT_OF_RANGE: _Kind(_ARITHMETIC, "ARITHMETIC_OVERFLOW", "22003"),
    ErrorCode.INVALID_CAST: _Kind(_NUMBER, "CAST_INVALID_INPUT", "22018"),
    ErrorCode.SUBQUERY_MULTIPLE_ROWS: _Kind(_SPARK, "SCALAR_SUBQUERY_TOO_MANY_ROWS", "21000"),
    ErrorCode.EVALUATION_FAILED: _Kind(_RUNTIME, "EVALUATION_FAILED", "22000"),
    ErrorCode.SCHEMA_ALREADY_EXISTS: _Kind(_ANALYSIS, "SCHEMA_ALREADY_EXISTS", "42P06"),
    ErrorCode.TABLE_ALREADY_EXISTS: _Kind(_ANALYSIS, "TABLE_OR_VIEW_ALREADY_EXISTS", "42P07"),
    ErrorCode.SCHEMA_NOT_EMPTY: _Kind(_ANALYSIS, "SCHEMA_NOT_EMPTY", "2BP01"),
    ErrorCode.UNAUTHENTICATED: _Kind((), "UNAUTHENTICATED", "28000", UNAUTHENTICATED),
    ErrorCode.PERMISSION_DENIED: _Kind(
        _ANALYSIS, "INSUFFICIENT_PERMISSIONS", "42501", PERMISSION_DENIED
    ),
    ErrorCode.USER_CANCELED: _Kind(_SPARK, "OPERATION_CANCELED", "HY008", CANCELLED),
}


@dataclass(eq=False)
class SparkFailure(Exception):
    """An error as a Spark client is told of it; `status` is a gRPC status code.

    `classes` are Java class names, the nearest first. `raw` is a user process's own
    `google.rpc.Status`, passed on as it is, `details` its `FetchErrorDetailsResponse`,
    `engine` its name.
    """

    message: str
    classes: tuple[str, ...] = _SPARK
    error_class: str | None = None
    sql_state: str | None = None
    status: int = INTERNAL
    parameters: Mapping[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    details: bytes | None = None
    engine: str | None = None
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def __str__(self) -> str:
        return self.message

    def alone(self) -> SparkFailure:
        """The failure without what raised it: frames hold calls, and calls their streams."""
        return replace(self)

    def status_details(self) -> bytes:
        """The serialised `google.rpc.Status` for the trailer `grpc-status-details-bin`."""
        from google.rpc import error_details_pb2, status_pb2

        # gRPC's client refuses a status whose message or code is not the call's own.
        status = status_pb2.Status.FromString(self.raw or b"")
        status.code, status.message = self.status, self.short_message
        if self.raw is not None:
            self._sign_details(status)
        elif self.classes:
            # The classes are optional: without them the client falls back to a plain gRPC error.
            metadata = {"errorId": self.id, "classes": json.dumps(list(self.classes))}
            if self.error_class:
                metadata["errorClass"] = self.error_class
                metadata["messageParameters"] = json.dumps(dict(self.parameters))
            if self.sql_state:
                metadata["sqlState"] = self.sql_state
            info = error_details_pb2.ErrorInfo(
                reason=self.classes[0], domain="org.apache.spark", metadata=metadata
            )
            status.details.add().Pack(info)
        encoded: bytes = status.SerializeToString()
        return encoded

    def _sign_details(self, status: Any) -> None:
        """Lets the client ask for the whole of an error of which the engine keeps nothing."""
        from google.rpc import error_details_pb2

        for detail in status.details:
            info = error_details_pb2.ErrorInfo()
            if detail.Is(info.DESCRIPTOR):
                detail.Unpack(info)
                info.metadata["errorId"] = self.id
                detail.Pack(info)

    @property
    def short_message(self) -> str:
        """The message as headers can carry it; `FetchErrorDetails` gives the whole."""
        if len(self.message) <= _LONGEST_MESSAGE:
            return self.message
        return self.message[:_LONGEST_MESSAGE] + "…"


def spark_failure(failure: HeadwaterError) -> SparkFailure:
    """What a Spark client is told of an error of ours.

    An internal error's message stays in the server's log: its text may name what the caller must
    not see.
    """
    kind = _KINDS.get(failure.code)
    if kind is None:
        runtime = failure.code.kind in (ErrorKind.RESOURCE, ErrorKind.EXTERNAL)
        kind = _Kind(_SPARK if runtime else _ANALYSIS, failure.code.value)
    if failure.code.kind is ErrorKind.INTERNAL:
        message = "the server failed to carry out the operation"
        kind = _Kind(_SPARK, "INTERNAL_ERROR", "XX000")
    else:
        message = failure.message
    if failure.hint:
        message = f"{message} ({failure.hint})"
    if failure.position:
        message = f"{message} (line {failure.position.line}, pos {failure.position.column})"
    state = f" SQLSTATE: {kind.sql_state}" if kind.sql_state else ""
    return SparkFailure(
        f"[{kind.error_class}] {message}{state}",
        kind.classes,
        kind.error_class,
        kind.sql_state,
        kind.status,
    )


def invalid_handle(reason: str, handle: str) -> SparkFailure:
    """An id that names nothing of the caller's: `OPERATION_NOT_FOUND`, `SESSION_CHANGED`, …"""
    name = f"INVALID_HANDLE.{reason}"
    return SparkFailure(
        f"[{name}] The handle {handle[:64]} is invalid. SQLSTATE: HY000",
        _SPARK,
        name,
        "HY000",
        NOT_FOUND if reason.endswith("NOT_FOUND") else INTERNAL,
        {"handle": handle[:64]},
    )


def invalid_plan(why: str) -> SparkFailure:
    """A plan that cannot be read or is too large."""
    return SparkFailure(
        f"[CONNECT_INVALID_PLAN] {why}",
        _ARGUMENT,
        "CONNECT_INVALID_PLAN",
        "56K00",
        INVALID_ARGUMENT,
    )


def illegal_argument(why: str, error_class: str = "INVALID_PARAMETER_VALUE") -> SparkFailure:
    """A value that cannot be taken."""
    return SparkFailure(f"[{error_class}] {why}", _ARGUMENT, error_class, "22023")


def analysis_failure(error_class: str, why: str, sql_state: str | None = None) -> SparkFailure:
    """What PySpark raises as AnalysisException."""
    return SparkFailure(f"[{error_class}] {why}", _ANALYSIS, error_class, sql_state)


def unsupported(why: str) -> SparkFailure:
    """Something that no engine here can do."""
    return SparkFailure(
        f"[UNSUPPORTED_FEATURE] {why}", _UNSUPPORTED, "UNSUPPORTED_FEATURE", "0A000"
    )


def of_spark_alone(why: str) -> SparkFailure:
    """As if Sail had said that it lacks something: in `auto` the operation moves to Spark."""
    failure = unsupported(why)
    failure.engine = SAIL
    return failure


def engine_failure(why: str) -> SparkFailure:
    """The caller's process ended, or does not answer."""
    return SparkFailure(f"[ENGINE_FAILED] {why}", _SPARK, "ENGINE_FAILED")


def details(failure: SparkFailure, pb: Any) -> Any:
    """The `FetchErrorDetailsResponse` of a failure, its ids not filled in."""
    if failure.details is not None:
        return pb.FetchErrorDetailsResponse.FromString(failure.details)
    described = pb.FetchErrorDetailsResponse(root_error_idx=0)
    found = described.errors.add(message=failure.message)
    found.error_type_hierarchy.extend(failure.classes or ("java.lang.Exception",))
    if failure.error_class:
        found.spark_throwable.error_class = failure.error_class
        found.spark_throwable.message_parameters.update(failure.parameters)
        if failure.sql_state:
            found.spark_throwable.sql_state = failure.sql_state
    return described
