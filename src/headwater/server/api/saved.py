"""Saved queries over HTTP, with the versions that keep two tabs from overwriting each other."""

from __future__ import annotations

import re
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Header, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, field_validator

from headwater.errors import ErrorCode, error
from headwater.model.statement import Dialect
from headwater.query.saved import QueryContent, SavedQuery
from headwater.server.api.context import Caller, Running
from headwater.server.api.problems import Problem, problem_of

router = APIRouter(tags=["saved queries"])

_CHART_BYTES = 64 * 1024
_ETAG = re.compile(r'(?:W/)?"?(\d{1,9})"?')

IfMatch = Annotated[str | None, Header(description="The ETag of the version that was read.")]


class SavedQueryBody(BaseModel):
    """What the owner of a saved query writes."""

    name: str = Field(min_length=1, max_length=200)
    sql: str = Field(max_length=1024 * 1024)
    dialect: Dialect = Dialect.TRINO
    schema_name: str | None = Field(
        None, alias="schema", serialization_alias="schema", max_length=500
    )
    description: str = Field("", max_length=10_000)
    chart: Any = Field(None, description="How the page draws the result; any JSON value.")
    share: str | None = Field(
        None, max_length=200, description="A role of yours whose members may read it."
    )

    @field_validator("chart")
    @classmethod
    def _small(cls, value: Any) -> Any:
        if len(orjson.dumps(value)) > _CHART_BYTES:
            raise ValueError("the chart is larger than 64 KiB")
        return value

    @field_validator("name", "sql", "description")
    @classmethod
    def _text(cls, value: str) -> str:
        if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
            raise ValueError("it holds characters that are no text")
        return value


class SavedQueryView(SavedQueryBody):
    """A saved query; `mine` says whether the caller may change it."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    id: str
    owner: str
    mine: bool
    version: int
    created_ms: int
    updated_ms: int


class SavedQueryConflict(Problem):
    """Somebody saved another version meanwhile: both texts, so that a person can choose."""

    current: SavedQueryView
    yours: SavedQueryBody | None


_CONFLICT: dict[int | str, dict[str, Any]] = {
    409: {"model": SavedQueryConflict, "description": "It was changed since that version."}
}


@router.get("/saved-queries")
def listed(caller: Caller, running: Running) -> list[SavedQueryView]:
    """The caller's own and those shared with its roles, the latest changed first."""
    return [_view(found) for found in running.saved.all(caller)]


@router.post("/saved-queries", status_code=201)
def create(
    body: SavedQueryBody, caller: Caller, running: Running, response: Response
) -> SavedQueryView:
    """Saves a new query; its ETag is what a later change must name."""
    return _tagged(running.saved.create(caller, _content(body)), response)


@router.get("/saved-queries/{query_id}")
def read(query_id: str, caller: Caller, running: Running, response: Response) -> SavedQueryView:
    """One saved query with its ETag."""
    return _tagged(running.saved.get(caller, query_id), response)


@router.put("/saved-queries/{query_id}", responses=_CONFLICT, response_model=SavedQueryView)
def change(
    query_id: str,
    body: SavedQueryBody,
    caller: Caller,
    running: Running,
    response: Response,
    if_match: IfMatch = None,
) -> Any:
    """Saves a change of the version that If-Match names; 409 with both texts when it is older."""
    version = _version(if_match)
    if version is None:
        raise error(
            ErrorCode.INVALID_ARGUMENT,
            "a change must name the version that it builds on",
            hint="send the ETag that you read as If-Match",
        )
    stored, made = running.saved.change(caller, query_id, version, _content(body))
    return _tagged(stored, response) if made else _conflict(stored, body)


@router.delete("/saved-queries/{query_id}", status_code=204, responses=_CONFLICT)
def drop(query_id: str, caller: Caller, running: Running, if_match: IfMatch = None) -> Response:
    """Deletes a saved query; with If-Match only that version of it."""
    stored = running.saved.drop(caller, query_id, _version(if_match))
    return Response(status_code=204) if stored is None else _conflict(stored, None)


def _version(if_match: str | None) -> int | None:
    if if_match is None or if_match.strip() == "*":
        return None
    found = _ETAG.fullmatch(if_match.strip())
    return int(found[1]) if found else 0


def _content(body: SavedQueryBody) -> QueryContent:
    return QueryContent(
        name=body.name,
        sql=body.sql,
        dialect=body.dialect,
        schema=body.schema_name,
        description=body.description,
        chart=body.chart,
        share=body.share,
    )


def _view(found: SavedQuery) -> SavedQueryView:
    content = found.content
    return SavedQueryView(
        id=found.id,
        name=content.name,
        sql=content.sql,
        dialect=content.dialect,
        schema=content.schema,
        description=content.description,
        chart=content.chart,
        share=content.share,
        owner=found.owner,
        mine=found.mine,
        version=found.version,
        created_ms=found.created_ms,
        updated_ms=found.updated_ms,
    )


def _tagged(found: SavedQuery, response: Response) -> SavedQueryView:
    response.headers["etag"] = f'"{found.version}"'
    return _view(found)


def _conflict(stored: SavedQuery, yours: SavedQueryBody | None) -> JSONResponse:
    problem = error(
        ErrorCode.COMMIT_CONFLICT,
        "this saved query was changed elsewhere since you opened it",
        hint="keep one of the two texts, or save yours under another name",
    )
    body = SavedQueryConflict(**problem_of(problem), current=_view(stored), yours=yours)
    headers = {"etag": f'"{stored.version}"'}
    return JSONResponse(body.model_dump(mode="json", by_alias=True), 409, headers)
