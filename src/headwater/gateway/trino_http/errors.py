"""Headwater's error codes as Trino's: name, number and type, by one table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from headwater.errors import ErrorCode, ErrorKind, HeadwaterError

_USER = "USER_ERROR"
_INTERNAL = "INTERNAL_ERROR"
_RESOURCES = "INSUFFICIENT_RESOURCES"
_EXTERNAL = "EXTERNAL"

_INTERNAL_BASE = 0x0001_0000
_RESOURCES_BASE = 0x0002_0000
_ICEBERG_BASE = 0x0504_0000


@dataclass(frozen=True, slots=True)
class TrinoError:
    """One of Trino's error codes, as `io.trino.spi.StandardErrorCode` and the Iceberg connector's
    `IcebergErrorCode` number them; clients switch on the name and on the type.
    """

    name: str
    number: int
    type: str


_SYNTAX = TrinoError("SYNTAX_ERROR", 1, _USER)
_GENERIC_USER = TrinoError("GENERIC_USER_ERROR", 0, _USER)
_NOT_FOUND = TrinoError("NOT_FOUND", 5, _USER)
_ALREADY_EXISTS = TrinoError("ALREADY_EXISTS", 12, _USER)
_GENERIC_INTERNAL = TrinoError("GENERIC_INTERNAL_ERROR", _INTERNAL_BASE, _INTERNAL)
_GENERIC_RESOURCES = TrinoError("GENERIC_INSUFFICIENT_RESOURCES", _RESOURCES_BASE, _RESOURCES)
_FILES_UNAVAILABLE = TrinoError("ICEBERG_FILESYSTEM_ERROR", _ICEBERG_BASE + 8, _EXTERNAL)
_CATALOG_UNAVAILABLE = TrinoError("ICEBERG_CATALOG_ERROR", _ICEBERG_BASE + 13, _EXTERNAL)

TRINO_ERRORS: dict[ErrorCode, TrinoError] = {
    ErrorCode.SYNTAX_ERROR: _SYNTAX,
    ErrorCode.CATALOG_NOT_FOUND: TrinoError("CATALOG_NOT_FOUND", 44, _USER),
    ErrorCode.SCHEMA_NOT_FOUND: TrinoError("SCHEMA_NOT_FOUND", 45, _USER),
    ErrorCode.TABLE_NOT_FOUND: TrinoError("TABLE_NOT_FOUND", 46, _USER),
    ErrorCode.COLUMN_NOT_FOUND: TrinoError("COLUMN_NOT_FOUND", 47, _USER),
    ErrorCode.FUNCTION_NOT_FOUND: TrinoError("FUNCTION_NOT_FOUND", 6, _USER),
    ErrorCode.SNAPSHOT_NOT_FOUND: TrinoError(
        "ICEBERG_INVALID_SNAPSHOT_ID", _ICEBERG_BASE + 11, _USER
    ),
    ErrorCode.PREPARED_STATEMENT_NOT_FOUND: _NOT_FOUND,
    ErrorCode.STATEMENT_NOT_FOUND: _NOT_FOUND,
    ErrorCode.RESULT_EXPIRED: _NOT_FOUND,
    ErrorCode.SAVED_QUERY_NOT_FOUND: _NOT_FOUND,
    ErrorCode.RUN_NOT_FOUND: _NOT_FOUND,
    ErrorCode.AMBIGUOUS_NAME: TrinoError("AMBIGUOUS_NAME", 62, _USER),
    ErrorCode.DUPLICATE_COLUMN_NAME: TrinoError("DUPLICATE_COLUMN_NAME", 54, _USER),
    ErrorCode.TYPE_MISMATCH: TrinoError("TYPE_MISMATCH", 58, _USER),
    ErrorCode.INVALID_ARGUMENT: TrinoError("INVALID_ARGUMENTS", 76, _USER),
    ErrorCode.NOT_SUPPORTED: TrinoError("NOT_SUPPORTED", 13, _USER),
    ErrorCode.DIVISION_BY_ZERO: TrinoError("DIVISION_BY_ZERO", 8, _USER),
    ErrorCode.NUMERIC_VALUE_OUT_OF_RANGE: TrinoError("NUMERIC_VALUE_OUT_OF_RANGE", 19, _USER),
    ErrorCode.INVALID_CAST: TrinoError("INVALID_CAST_ARGUMENT", 9, _USER),
    ErrorCode.SUBQUERY_MULTIPLE_ROWS: TrinoError("SUBQUERY_MULTIPLE_ROWS", 28, _USER),
    ErrorCode.MERGE_MATCHED_TWICE: TrinoError("MERGE_TARGET_ROW_MULTIPLE_MATCHES", 101, _USER),
    ErrorCode.EVALUATION_FAILED: TrinoError("INVALID_FUNCTION_ARGUMENT", 7, _USER),
    ErrorCode.SCHEMA_ALREADY_EXISTS: TrinoError("SCHEMA_ALREADY_EXISTS", 49, _USER),
    ErrorCode.TABLE_ALREADY_EXISTS: TrinoError("TABLE_ALREADY_EXISTS", 50, _USER),
    ErrorCode.PRINCIPAL_ALREADY_EXISTS: TrinoError("ROLE_ALREADY_EXISTS", 52, _USER),
    ErrorCode.POLICY_ALREADY_EXISTS: _ALREADY_EXISTS,
    ErrorCode.PRINCIPAL_NOT_FOUND: TrinoError("ROLE_NOT_FOUND", 48, _USER),
    ErrorCode.POLICY_NOT_FOUND: _NOT_FOUND,
    ErrorCode.SCHEMA_NOT_EMPTY: TrinoError("SCHEMA_NOT_EMPTY", 34, _USER),
    ErrorCode.COMMIT_CONFLICT: TrinoError("TRANSACTION_CONFLICT", 17, _USER),
    ErrorCode.COMMIT_STATE_UNKNOWN: TrinoError(
        "ICEBERG_COMMIT_ERROR", _ICEBERG_BASE + 12, _EXTERNAL
    ),
    ErrorCode.INVALID_LOCATION: TrinoError("INVALID_TABLE_PROPERTY", 18, _USER),
    ErrorCode.INVALID_METADATA: _GENERIC_USER,
    ErrorCode.CONNECTION_NOT_FOUND: _NOT_FOUND,
    ErrorCode.CONNECTION_ALREADY_EXISTS: _ALREADY_EXISTS,
    ErrorCode.READ_ONLY_TABLE: TrinoError("NOT_SUPPORTED", 13, _USER),
    ErrorCode.CONNECTION_FAILED: _CATALOG_UNAVAILABLE,
    ErrorCode.UNAUTHENTICATED: TrinoError("PERMISSION_DENIED", 4, _USER),
    ErrorCode.PERMISSION_DENIED: TrinoError("PERMISSION_DENIED", 4, _USER),
    ErrorCode.INVALID_FILE: _GENERIC_USER,
    ErrorCode.FILE_NOT_FOUND: _FILES_UNAVAILABLE,
    ErrorCode.EXCEEDED_TIME_LIMIT: TrinoError(
        "EXCEEDED_TIME_LIMIT", _RESOURCES_BASE + 3, _RESOURCES
    ),
    ErrorCode.EXCEEDED_MEMORY_LIMIT: TrinoError(
        "EXCEEDED_LOCAL_MEMORY_LIMIT", _RESOURCES_BASE + 7, _RESOURCES
    ),
    ErrorCode.EXCEEDED_RESULT_SIZE: _GENERIC_RESOURCES,
    ErrorCode.EXCEEDED_SCAN_LIMIT: TrinoError(
        "EXCEEDED_SCAN_LIMIT", _RESOURCES_BASE + 9, _RESOURCES
    ),
    ErrorCode.EXCEEDED_STATEMENT_SIZE: TrinoError("QUERY_TEXT_TOO_LARGE", 35, _USER),
    ErrorCode.QUERY_QUEUE_FULL: TrinoError("QUERY_QUEUE_FULL", _RESOURCES_BASE + 2, _RESOURCES),
    ErrorCode.USER_CANCELED: TrinoError("USER_CANCELED", 3, _USER),
    ErrorCode.DISK_FULL: TrinoError("EXCEEDED_SPILL_LIMIT", _RESOURCES_BASE + 6, _RESOURCES),
    ErrorCode.STORAGE_UNAVAILABLE: _FILES_UNAVAILABLE,
    ErrorCode.METASTORE_UNAVAILABLE: _CATALOG_UNAVAILABLE,
    ErrorCode.METASTORE_CORRUPT: _CATALOG_UNAVAILABLE,
    ErrorCode.METASTORE_TOO_NEW: _CATALOG_UNAVAILABLE,
    ErrorCode.ENGINE_FAILED: TrinoError("REMOTE_TASK_ERROR", _INTERNAL_BASE + 6, _INTERNAL),
    ErrorCode.ENGINE_UNTRUSTED: TrinoError("REMOTE_TASK_ERROR", _INTERNAL_BASE + 6, _INTERNAL),
    ErrorCode.ENGINE_UNAVAILABLE: TrinoError("REMOTE_TASK_ERROR", _INTERNAL_BASE + 6, _INTERNAL),
    ErrorCode.BACKEND_UNAVAILABLE: TrinoError("REMOTE_HOST_GONE", _INTERNAL_BASE + 22, _INTERNAL),
    ErrorCode.RELEASE_NOT_FOUND: _NOT_FOUND,
    ErrorCode.RELEASE_INVALID: _GENERIC_INTERNAL,
    ErrorCode.RELEASE_UNAVAILABLE: _GENERIC_INTERNAL,
    ErrorCode.SERVER_UNREACHABLE: TrinoError("REMOTE_HOST_GONE", _INTERNAL_BASE + 22, _INTERNAL),
    ErrorCode.HOME_IN_USE: _GENERIC_INTERNAL,
    ErrorCode.HOME_NOT_WRITABLE: _GENERIC_INTERNAL,
    ErrorCode.PORT_IN_USE: _GENERIC_INTERNAL,
    ErrorCode.INTERNAL_ERROR: _GENERIC_INTERNAL,
}
"""Every ErrorCode's counterpart; where Trino has no name of its own, the nearest one that clients
treat alike (a retry, a user's mistake, a limit)."""


def query_error(failure: HeadwaterError) -> dict[str, Any]:
    """The `error` object of a `QueryResults` document (`io.trino.client.QueryError`).

    An internal error's message stays in the server's log: its text may name what the caller must
    not see.
    """
    code = TRINO_ERRORS[failure.code]
    message = failure.message
    if failure.code.kind is ErrorKind.INTERNAL:
        message = "the server failed to carry out the statement"
    if failure.hint:
        message = f"{message} ({failure.hint})"
    if failure.position:
        message = f"line {failure.position.line}:{failure.position.column}: {message}"
    body: dict[str, Any] = {
        "message": message,
        "errorCode": code.number,
        "errorName": code.name,
        "errorType": code.type,
        "failureInfo": {
            "type": f"io.headwater.{failure.code}",
            "message": message,
            "suppressed": [],
            "stack": [],
            "errorInfo": {"code": code.number, "name": code.name, "type": code.type},
        },
    }
    if failure.position:
        location = {
            "lineNumber": failure.position.line,
            "columnNumber": failure.position.column,
        }
        body["errorLocation"] = location
        body["failureInfo"]["errorLocation"] = location
    return body
