"""`analyst` asks everything that the API has, and finds nothing of what it may not see."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest

from e2e import planted
from e2e.api_walk import Call, calls

Clients = Callable[[str | None], httpx2.Client]
NOT_ASKED = {
    "DELETE /api/v1/session",
    "POST /api/v1/uploads",
    "POST /api/v1/job-files",
    "POST /api/v1/admin/releases/{name}/install",
}
"""Log-outs and bodies that are files; tested by themselves."""

QUERIES = [
    f"SELECT * FROM {planted.PEOPLE}",
    f"SELECT note, count(*), min(id), max(id) FROM {planted.PEOPLE} GROUP BY 1",
    f"SELECT phone, secret_place FROM {planted.PEOPLE}",
    f"SELECT id / 0, CAST(note AS INTEGER), CAST(phone AS DATE) FROM {planted.PEOPLE}",
    f"SELECT * FROM {planted.PEOPLE} WHERE CAST(note AS INTEGER) = 1",
    f"SELECT * FROM {planted.TOP_SECRET}",
    "SELECT * FROM inner_only.source",
    "SELECT * FROM vault.counted",
    'SELECT * FROM vault."people$snapshots"',
    'SELECT * FROM vault."people$files"',
    "SHOW STATS FOR vault.people",
    "SHOW CREATE TABLE vault.people",
    "SHOW CREATE VIEW vault.counted",
    f"EXPLAIN ANALYZE SELECT * FROM {planted.PEOPLE}",
    "SELECT * FROM information_schema.columns",
    "SELECT * FROM system.runtime.queries",
    "SELECT * FROM system.audit.events",
    "SHOW GRANTS",
]


@pytest.fixture(scope="module")
def document(api_as: Clients) -> dict[str, Any]:
    found: dict[str, Any] = api_as(None).get("/api/openapi.json").json()
    return found


@pytest.fixture(scope="module")
def values(api_as: Clients) -> dict[str, list[Any]]:
    """What stands for parameters and properties of these names: visible, hidden and missing."""
    admin, analyst = api_as("admin"), api_as("analyst")
    own = [planted.run(analyst, f"SELECT * FROM {planted.PEOPLE}"), _failed(analyst)]
    others = [planted.run(admin, f"SELECT * FROM {planted.PEOPLE}")]
    runs = [run["id"] for run in admin.get("/api/v1/job-runs", params={"all": True}).json()]
    saved = [query["id"] for query in admin.get("/api/v1/saved-queries").json()]
    tables = [planted.PEOPLE, planted.TOP_SECRET, "inner_only.source", "vault.counted"]
    return {
        "sql": [*QUERIES, "SELECT 1"],
        "table": tables,
        "schema": ["vault", "inner_only"],
        "schema_name": ["vault"],
        "statement_id": [*own, *others],
        "activity_id": [*own, *others, *runs],
        "run_id": runs,
        "query_id": saved,
        "user": ["admin", "analyst", "*"],
        "principal": ["admin", "analyst"],
        "role": [],
        "all": [True],
        "position": [len("SELECT ")],
        "q": ["SENTINEL", "people"],
        "search": ["SENTINEL", "people", "secret"],
        "text": ["SENTINEL"],
        "securable": [f"table {planted.PEOPLE}", f"table {planted.TOP_SECRET}"],
        "request_of": own + others,
        "on": [planted.PEOPLE, planted.TOP_SECRET],
        "on_kind": ["table"],
        "dialect": ["trino"],
        "format": ["json", "csv", "arrow", "parquet"],
        "kind": ["table", "query", "sql", "user"],
        "limit": [100],
        "offset": [0],
        "sort": ["0:desc"],
        "filter": ['[{"column": 2, "op": "contains", "value": "e"}]'],
        "column": [2, "phone", "secret_place", "note"],
        "row": [0],
        "analyze": [True],
        "name": ["people"],
        "expression": ["owner <> 'x'"],
        "using": ["owner <> 'x'"],
    }


def _failed(client: httpx2.Client) -> str:
    sql = f"SELECT CAST(note AS INTEGER), CAST(id AS TINYINT) FROM {planted.PEOPLE}"
    made = client.post("/api/v1/statements", json={"sql": sql}).json()
    client.get(f"/api/v1/statements/{made['id']}", params={"wait": 30})
    return str(made["id"])


def asked(
    document: dict[str, Any], values: dict[str, list[Any]], client: httpx2.Client
) -> Iterator[tuple[Call, httpx2.Response]]:
    """Every call with its answer; a statement's result, too."""
    for call in calls(document, values):
        if call.operation in NOT_ASKED:
            continue
        answer = call.send(client)
        yield call, answer
        if call.operation == "POST /api/v1/statements" and answer.status_code == 202:
            path = f"/api/v1/statements/{answer.json()['id']}"
            for part, query in (("", {"wait": 20}), ("/rows", {"format": "json"})):
                follow = Call(f"GET {part or 'status'} of {call.body}", "GET", path + part, query)
                yield follow, follow.send(client)


def test_nothing_hidden_is_in_any_answer(
    document: dict[str, Any], values: dict[str, list[Any]], api_as: Clients
) -> None:
    leaks: list[str] = []
    answered: dict[str, int] = {}
    broken: list[str] = []
    for call, answer in asked(document, values, api_as("analyst")):
        text = answer.text + json.dumps(dict(answer.headers))
        sent = call.path + json.dumps([call.query, call.body])
        good = answer.status_code < 400
        answered[call.operation] = answered.get(call.operation, 0) + good
        if answer.status_code == 500:
            broken.append(f"{call.method} {sent}: {answer.text[:300]}")
        leaks += [
            f"{found} in {call.method} {sent}: {_around(text, found)}" for found in _found(text)
        ]
    assert not leaks, "\n".join(leaks[:20])
    assert not broken, "\n".join(broken[:20])
    # A walk that is refused everywhere would find nothing, either.
    assert sum(1 for count in answered.values() if count) > 25, answered


def _found(text: str) -> Iterator[str]:
    """The secrets, hidden names and hidden numbers in a text."""
    yield from (secret for secret in (*planted.SECRETS, *planted.NAMES) if secret in text)
    for number in planted.NUMBERS:
        if re.search(rf"(?<![\w.-]){number}(?![\w.])", text):
            yield str(number)


def _around(text: str, found: str) -> str:
    place = text.index(found)
    return text[max(0, place - 200) : place + 200]


def test_the_walk_would_find_them(
    document: dict[str, Any], values: dict[str, list[Any]], api_as: Clients
) -> None:
    """The same reads as the administrator: every secret turns up somewhere."""
    found: set[str] = set()
    admin = api_as("admin")
    for call in calls(document, values, only=("get",)):
        text = call.send(admin).text
        found |= {secret for secret in planted.SECRETS if secret in text}
    for table in (planted.PEOPLE, planted.TOP_SECRET, "inner_only.source"):
        statement = planted.run(admin, f"SELECT DISTINCT * FROM {table} LIMIT 20000")
        path = f"/api/v1/statements/{statement}/rows"
        text = admin.get(path, params={"format": "json", "limit": 10000}).text
        found |= {secret for secret in planted.SECRETS if secret in text}
    assert found >= set(planted.CELLS)
    assert len(found) >= len(planted.SECRETS) - 1, set(planted.SECRETS) - found


def test_what_is_hidden_answers_as_what_does_not_exist(
    document: dict[str, Any], values: dict[str, list[Any]], api_as: Clients
) -> None:
    """Same status, same text but for the name that was asked for."""
    analyst = api_as("analyst")
    pairs = ((planted.TOP_SECRET, "vault.not_there"), ("inner_only.source", "outer_only.source"))
    for hidden, missing in pairs:
        here = calls(document, {**values, "table": [hidden], "sql": [f"SELECT * FROM {hidden}"]})
        there = calls(document, {**values, "table": [missing], "sql": [f"SELECT * FROM {missing}"]})
        compared = 0
        for one, other in zip(here, there, strict=True):
            named = json.dumps([one.path, one.body])
            if hidden not in named or one.operation in NOT_ASKED:
                continue
            if one.operation.startswith(("POST /api/v1/statements", "POST /api/v1/saved")):
                continue
            first, second = one.send(analyst), other.send(analyst)
            compared += 1
            assert first.status_code == second.status_code, (one, first.text, second.text)
            assert _neutral(first.text, hidden) == _neutral(second.text, missing), one
        assert compared > 5


def _neutral(text: str, name: str) -> str:
    for part in (name, *name.split(".")):
        text = text.replace(part, "NAME")
    return re.sub(r"did you mean [^\"?]*\??", "", text)
