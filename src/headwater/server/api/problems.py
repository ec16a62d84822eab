"""Errors as the API answers them: an HTTP status and `{code, message, hint, position}`."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from headwater.errors import ErrorCode, ErrorKind, HeadwaterError, error
from headwater.telemetry.logs import log

_STATUS: dict[ErrorCode, int] = {
    ErrorCode.UNAUTHENTICATED: 401,
    ErrorCode.PERMISSION_DENIED: 403,
    ErrorCode.READ_ONLY_TABLE: 403,
    ErrorCode.CONNECTION_FAILED: 502,
    ErrorCode.COMMIT_CONFLICT: 409,
    ErrorCode.RESULT_EXPIRED: 410,
    ErrorCode.SCHEMA_NOT_EMPTY: 409,
    ErrorCode.EXCEEDED_STATEMENT_SIZE: 413,
    ErrorCode.NOT_SUPPORTED: 501,
    ErrorCode.QUERY_QUEUE_FULL: 429,
    ErrorCode.DISK_FULL: 507,
}
_BY_KIND = {
    ErrorKind.USER: 400,
    ErrorKind.RESOURCE: 422,
    ErrorKind.EXTERNAL: 503,
    ErrorKind.INTERNAL: 500,
}

_log = log("api")


class Place(BaseModel):
    """Where in a statement: 1-based line and column."""

    line: int
    column: int


class Problem(BaseModel):
    """Any error of this API."""

    code: ErrorCode
    message: str
    hint: str | None = None
    position: Place | None = Field(None, description="Set for errors in a statement's text.")


PROBLEMS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": Problem, "description": "The caller can mend it."},
    "5XX": {"model": Problem, "description": "The server, or what it stands on, failed."},
}


def status_of(code: ErrorCode) -> int:
    """The HTTP status of an error code."""
    if code in _STATUS:
        return _STATUS[code]
    if code.endswith("_NOT_FOUND"):
        return 404
    if code.endswith("_ALREADY_EXISTS"):
        return 409
    return _BY_KIND[code.kind]


def problem_of(exc: HeadwaterError) -> dict[str, Any]:
    """The body that tells of an error."""
    place = exc.position
    return {
        "code": exc.code,
        "message": exc.message,
        "hint": exc.hint,
        "position": {"line": place.line, "column": place.column} if place else None,
    }


def install(app: FastAPI) -> None:
    """Makes the application answer every error in this one form."""
    app.add_exception_handler(HeadwaterError, _headwater)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)


async def _headwater(_request: Request, exc: Exception) -> JSONResponse:
    assert isinstance(exc, HeadwaterError)
    status = status_of(exc.code)
    if status >= 500:
        _log.warning("answered with an error", code=exc.code, message=exc.message)
    headers = {"www-authenticate": 'Bearer realm="headwater"'} if status == 401 else None
    return JSONResponse(problem_of(exc), status, headers)


async def _invalid(_request: Request, exc: Exception) -> JSONResponse:
    assert isinstance(exc, RequestValidationError)
    first = exc.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    problem = error(
        ErrorCode.INVALID_ARGUMENT,
        f"the request is not valid: {where}: {first['msg']}",
        hint="the API is described at /api/openapi.json",
    )
    return JSONResponse(problem_of(problem), 400)


async def _http(_request: Request, exc: Exception) -> JSONResponse:
    assert isinstance(exc, HTTPException)
    problem = error(
        ErrorCode.INVALID_ARGUMENT,
        {404: "there is nothing here", 405: "this path does not take that method"}.get(
            exc.status_code, str(exc.detail)
        ),
        hint="the API is described at /api/openapi.json",
    )
    return JSONResponse(problem_of(problem), exc.status_code, exc.headers)
