"""Every error that Headwater raises on purpose, and the codes that each wire protocol maps.

* HeadwaterError
  - UserError        the caller can mend it: wrong SQL, unknown name, no grant
  - ResourceError    a limit was reached: time, memory, result size, queue, disk
  - ExternalError    something that Headwater stands on does not answer: storage, metastore, engine
  - InternalError    a defect of ours

The class follows from the code (`ErrorCode.kind`), so code raises `error(ErrorCode.X, "…")`.
Messages never carry a credential; messages about governed tables never carry data.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ErrorKind(StrEnum):
    """Who can mend the error; decides the exit status (user 1, else 3) and the HTTP family."""

    USER = "USER"
    RESOURCE = "RESOURCE"
    EXTERNAL = "EXTERNAL"
    INTERNAL = "INTERNAL"


class ErrorCode(StrEnum):
    """A stable name for what went wrong; gateways map it, clients may switch on it."""

    # the statement
    SYNTAX_ERROR = "SYNTAX_ERROR"
    CATALOG_NOT_FOUND = "CATALOG_NOT_FOUND"
    SCHEMA_NOT_FOUND = "SCHEMA_NOT_FOUND"
    TABLE_NOT_FOUND = "TABLE_NOT_FOUND"
    COLUMN_NOT_FOUND = "COLUMN_NOT_FOUND"
    FUNCTION_NOT_FOUND = "FUNCTION_NOT_FOUND"
    SNAPSHOT_NOT_FOUND = "SNAPSHOT_NOT_FOUND"
    RUN_NOT_FOUND = "RUN_NOT_FOUND"
    PREPARED_STATEMENT_NOT_FOUND = "PREPARED_STATEMENT_NOT_FOUND"
    STATEMENT_NOT_FOUND = "STATEMENT_NOT_FOUND"
    RESULT_EXPIRED = "RESULT_EXPIRED"
    SAVED_QUERY_NOT_FOUND = "SAVED_QUERY_NOT_FOUND"
    AMBIGUOUS_NAME = "AMBIGUOUS_NAME"
    DUPLICATE_COLUMN_NAME = "DUPLICATE_COLUMN_NAME"
    TYPE_MISMATCH = "TYPE_MISMATCH"
    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    NOT_SUPPORTED = "NOT_SUPPORTED"
    # evaluation
    DIVISION_BY_ZERO = "DIVISION_BY_ZERO"
    NUMERIC_VALUE_OUT_OF_RANGE = "NUMERIC_VALUE_OUT_OF_RANGE"
    INVALID_CAST = "INVALID_CAST"
    SUBQUERY_MULTIPLE_ROWS = "SUBQUERY_MULTIPLE_ROWS"
    MERGE_MATCHED_TWICE = "MERGE_MATCHED_TWICE"
    EVALUATION_FAILED = "EVALUATION_FAILED"
    # objects
    SCHEMA_ALREADY_EXISTS = "SCHEMA_ALREADY_EXISTS"
    TABLE_ALREADY_EXISTS = "TABLE_ALREADY_EXISTS"
    PRINCIPAL_ALREADY_EXISTS = "PRINCIPAL_ALREADY_EXISTS"
    POLICY_ALREADY_EXISTS = "POLICY_ALREADY_EXISTS"
    PRINCIPAL_NOT_FOUND = "PRINCIPAL_NOT_FOUND"
    POLICY_NOT_FOUND = "POLICY_NOT_FOUND"
    SCHEMA_NOT_EMPTY = "SCHEMA_NOT_EMPTY"
    COMMIT_CONFLICT = "COMMIT_CONFLICT"
    COMMIT_STATE_UNKNOWN = "COMMIT_STATE_UNKNOWN"
    INVALID_LOCATION = "INVALID_LOCATION"
    FILE_NOT_FOUND = "FILE_NOT_FOUND"
    INVALID_METADATA = "INVALID_METADATA"
    # other catalogs
    CONNECTION_NOT_FOUND = "CONNECTION_NOT_FOUND"
    CONNECTION_ALREADY_EXISTS = "CONNECTION_ALREADY_EXISTS"
    READ_ONLY_TABLE = "READ_ONLY_TABLE"
    CONNECTION_FAILED = "CONNECTION_FAILED"
    # identity
    UNAUTHENTICATED = "UNAUTHENTICATED"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    # files that a user brings
    INVALID_FILE = "INVALID_FILE"
    # limits
    EXCEEDED_TIME_LIMIT = "EXCEEDED_TIME_LIMIT"
    EXCEEDED_MEMORY_LIMIT = "EXCEEDED_MEMORY_LIMIT"
    EXCEEDED_RESULT_SIZE = "EXCEEDED_RESULT_SIZE"
    EXCEEDED_SCAN_LIMIT = "EXCEEDED_SCAN_LIMIT"
    EXCEEDED_STATEMENT_SIZE = "EXCEEDED_STATEMENT_SIZE"
    QUERY_QUEUE_FULL = "QUERY_QUEUE_FULL"
    USER_CANCELED = "USER_CANCELED"
    DISK_FULL = "DISK_FULL"
    # what Headwater stands on
    STORAGE_UNAVAILABLE = "STORAGE_UNAVAILABLE"
    METASTORE_UNAVAILABLE = "METASTORE_UNAVAILABLE"
    METASTORE_CORRUPT = "METASTORE_CORRUPT"
    METASTORE_TOO_NEW = "METASTORE_TOO_NEW"
    ENGINE_FAILED = "ENGINE_FAILED"
    ENGINE_UNAVAILABLE = "ENGINE_UNAVAILABLE"
    ENGINE_UNTRUSTED = "ENGINE_UNTRUSTED"
    BACKEND_UNAVAILABLE = "BACKEND_UNAVAILABLE"
    RELEASE_NOT_FOUND = "RELEASE_NOT_FOUND"
    RELEASE_INVALID = "RELEASE_INVALID"
    RELEASE_UNAVAILABLE = "RELEASE_UNAVAILABLE"
    SERVER_UNREACHABLE = "SERVER_UNREACHABLE"
    # starting
    HOME_IN_USE = "HOME_IN_USE"
    HOME_NOT_WRITABLE = "HOME_NOT_WRITABLE"
    PORT_IN_USE = "PORT_IN_USE"
    # ours
    INTERNAL_ERROR = "INTERNAL_ERROR"

    @property
    def kind(self) -> ErrorKind:
        """Who can mend an error of this code."""
        return _KINDS.get(self, ErrorKind.USER)


_KINDS: dict[ErrorCode, ErrorKind] = {
    ErrorCode.EXCEEDED_TIME_LIMIT: ErrorKind.RESOURCE,
    ErrorCode.EXCEEDED_MEMORY_LIMIT: ErrorKind.RESOURCE,
    ErrorCode.EXCEEDED_RESULT_SIZE: ErrorKind.RESOURCE,
    ErrorCode.EXCEEDED_SCAN_LIMIT: ErrorKind.RESOURCE,
    ErrorCode.QUERY_QUEUE_FULL: ErrorKind.RESOURCE,
    ErrorCode.DISK_FULL: ErrorKind.RESOURCE,
    ErrorCode.COMMIT_STATE_UNKNOWN: ErrorKind.EXTERNAL,
    ErrorCode.FILE_NOT_FOUND: ErrorKind.EXTERNAL,
    ErrorCode.CONNECTION_FAILED: ErrorKind.EXTERNAL,
    ErrorCode.STORAGE_UNAVAILABLE: ErrorKind.EXTERNAL,
    ErrorCode.METASTORE_UNAVAILABLE: ErrorKind.EXTERNAL,
    ErrorCode.METASTORE_CORRUPT: ErrorKind.EXTERNAL,
    ErrorCode.METASTORE_TOO_NEW: ErrorKind.EXTERNAL,
    ErrorCode.ENGINE_FAILED: ErrorKind.EXTERNAL,
    ErrorCode.ENGINE_UNAVAILABLE: ErrorKind.EXTERNAL,
    ErrorCode.ENGINE_UNTRUSTED: ErrorKind.EXTERNAL,
    ErrorCode.BACKEND_UNAVAILABLE: ErrorKind.EXTERNAL,
    ErrorCode.RELEASE_INVALID: ErrorKind.EXTERNAL,
    ErrorCode.RELEASE_UNAVAILABLE: ErrorKind.EXTERNAL,
    ErrorCode.SERVER_UNREACHABLE: ErrorKind.EXTERNAL,
    ErrorCode.INTERNAL_ERROR: ErrorKind.INTERNAL,
}


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a statement's text: 1-based line and column, as editors and Trino count."""

    line: int
    column: int


class HeadwaterError(Exception):
    """An error with a stable code, a message for people, and where possible what to do next."""

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        *,
        hint: str | None = None,
        position: Position | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.position = position

    def __str__(self) -> str:
        """The line that the command line prints: `CODE: message (hint)`."""
        where = f"line {self.position.line}:{self.position.column}: " if self.position else ""
        return f"{self.code}: {where}{self.message}" + (f" ({self.hint})" if self.hint else "")

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (self.code, self.message, self.hint, self.position))


class UserError(HeadwaterError):
    """The caller can mend it."""


class ResourceError(HeadwaterError):
    """A limit was reached."""


class ExternalError(HeadwaterError):
    """Something that Headwater stands on does not answer."""


class InternalError(HeadwaterError):
    """A defect of Headwater's own."""


_CLASSES: dict[ErrorKind, type[HeadwaterError]] = {
    ErrorKind.USER: UserError,
    ErrorKind.RESOURCE: ResourceError,
    ErrorKind.EXTERNAL: ExternalError,
    ErrorKind.INTERNAL: InternalError,
}


def error(
    code: ErrorCode,
    message: str,
    *,
    hint: str | None = None,
    position: Position | None = None,
) -> HeadwaterError:
    """The error for a code, of the class that its kind names: `raise error(ErrorCode.X, "…")`."""
    return _CLASSES[code.kind](code, message, hint=hint, position=position)


def _rebuild(
    code: ErrorCode, message: str, hint: str | None, position: Position | None
) -> HeadwaterError:
    return error(code, message, hint=hint, position=position)
