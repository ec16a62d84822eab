"""Our error codes as Iceberg REST knows them: HTTP status and exception type."""

from __future__ import annotations

import orjson

from headwater.errors import ErrorCode, ErrorKind, HeadwaterError

_ANSWERS: dict[ErrorCode, tuple[int, str]] = {
    ErrorCode.SCHEMA_NOT_FOUND: (404, "NoSuchNamespaceException"),
    ErrorCode.TABLE_NOT_FOUND: (404, "NoSuchTableException"),
    ErrorCode.CATALOG_NOT_FOUND: (404, "NoSuchWarehouseException"),
    ErrorCode.SCHEMA_ALREADY_EXISTS: (409, "AlreadyExistsException"),
    ErrorCode.TABLE_ALREADY_EXISTS: (409, "AlreadyExistsException"),
    ErrorCode.SCHEMA_NOT_EMPTY: (409, "NamespaceNotEmptyException"),
    ErrorCode.COMMIT_CONFLICT: (409, "CommitFailedException"),
    ErrorCode.COMMIT_STATE_UNKNOWN: (500, "CommitStateUnknownException"),
    ErrorCode.UNAUTHENTICATED: (401, "NotAuthorizedException"),
    ErrorCode.PERMISSION_DENIED: (403, "ForbiddenException"),
    ErrorCode.READ_ONLY_TABLE: (403, "ForbiddenException"),
    ErrorCode.NOT_SUPPORTED: (406, "UnsupportedOperationException"),
    ErrorCode.EXCEEDED_STATEMENT_SIZE: (413, "BadRequestException"),
    ErrorCode.FILE_NOT_FOUND: (400, "BadRequestException"),
}
_BY_KIND: dict[ErrorKind, tuple[int, str]] = {
    ErrorKind.USER: (400, "BadRequestException"),
    # 503 tells a client that nothing was changed and that it may try again; 500 would not.
    ErrorKind.RESOURCE: (503, "ServiceUnavailableException"),
    ErrorKind.EXTERNAL: (503, "ServiceUnavailableException"),
    ErrorKind.INTERNAL: (500, "InternalServerError"),
}


class WireError(Exception):
    """An answer that only this protocol has: a status, an exception type, a message."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message


def answer(exc: HeadwaterError | WireError, *, view: bool = False) -> tuple[int, bytes]:
    """The status and body for an error; `view` when the request was about a view."""
    if isinstance(exc, WireError):
        return exc.status, error_body(exc.status, exc.kind, exc.message)
    status, kind = _ANSWERS.get(exc.code, _BY_KIND[exc.code.kind])
    if view and exc.code is ErrorCode.TABLE_NOT_FOUND:
        kind = "NoSuchViewException"
    message = f"{exc.message} ({exc.hint})" if exc.hint else exc.message
    return status, error_body(status, kind, message)


def error_body(status: int, kind: str, message: str) -> bytes:
    """An error as Iceberg REST writes it."""
    return orjson.dumps({"error": {"message": message, "type": kind, "code": status}})
