"""The protocol at the HTTP edge: addresses, tokens, owners, waiting, headers, refusals.

The service, its queue and its queries are the real ones; only the pipeline below is a few lines
that deliver numbers, so that a test decides when pages arrive.
"""

from __future__ import annotations

import asyncio
import base64
import json
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pyarrow as pa
import pytest
from starlette.applications import Starlette

from headwater.errors import ErrorCode, Position, error
from headwater.gateway.trino_http.routes import routes
from headwater.model.principal import Identity, Principal, PrincipalKind
from headwater.model.statement import QueryState
from headwater.query.history import History, query_history
from headwater.query.query import Query
from headwater.query.queue import Ticket
from headwater.query.service import QueryService
from headwater.query.session import SessionChanges
from headwater.settings import LimitSettings, Settings
from headwater.store.database import Database

ELLEN = Identity(Principal("u1", "ellen", PrincipalKind.USER))
OMAR = Identity(Principal("u2", "omar", PrincipalKind.USER))
TOKENS = {
    "ellen-token": ELLEN,
    "omar-token": OMAR,
    "narrow-token": Identity(ELLEN.principal, role="analyst"),
}


class Tokens:
    """Ellen may act for Omar; nobody else may act for anybody."""

    def verify(self, token: str) -> Identity:
        if token not in TOKENS:
            raise error(ErrorCode.UNAUTHENTICATED, "the token is not valid")
        return TOKENS[token]

    def impersonate(self, identity: Identity, user: str) -> Identity:
        if (identity.principal.name, user) == ("ellen", "omar"):
            return OMAR
        raise error(ErrorCode.PERMISSION_DENIED, f"{identity.principal.name} may not act as {user}")


class Pages:
    """A result whose pages the test adds."""

    def __init__(self, schema: pa.Schema) -> None:
        self.schema = schema
        self.batches: list[pa.RecordBatch] = []
        self.rows = 0
        self.bytes = 0

    @property
    def pages_ready(self) -> int:
        return len(self.batches)

    def page(self, index: int) -> pa.RecordBatch | None:
        return self.batches[index] if index < len(self.batches) else None

    def close(self) -> None:
        self.batches = []


class Pipeline:
    """Understands `numbers N`, `wait`, `fail`, `drop` and `set`."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.seen: list[Query] = []

    def __call__(self, query: Query, ticket: Ticket) -> None:
        self.seen.append(query)
        failure = None
        query.advance(QueryState.PLANNING)
        query.advance(QueryState.RUNNING)
        verb, _, rest = query.statement.text.partition(" ")
        pages = Pages(pa.schema({"n": pa.int64(), "text": pa.string()}))
        if verb == "numbers":
            query.deliver(pages)
            for start in range(0, int(rest), 10_000):
                numbers = range(start, min(start + 10_000, int(rest)))
                columns = {"n": list(numbers), "text": [f"row {n}" for n in numbers]}
                pages.batches.append(pa.RecordBatch.from_pydict(columns, pages.schema))
                query.advance()
        elif verb == "wait":
            stopped = threading.Event()
            query.on_stop(stopped.set)
            while not self.go_on.is_set() and not stopped.wait(0.02):
                pass
            if stopped.is_set():
                failure = error(ErrorCode.USER_CANCELED, "stopped")
        elif verb == "fail":
            failure = error(ErrorCode.TABLE_NOT_FOUND, "no x", position=Position(1, 6))
        elif verb == "drop":
            query.update_type = "DROP TABLE"
        elif verb == "insert":
            query.update_type, query.update_count = "INSERT", 3
        elif verb == "set":
            query.update_type = "SET SESSION"
            query.session_changes = SessionChanges(
                catalog="lake",
                schema="sales",
                set_properties={"dialect": "a,b=c d"},
                reset_properties=("x",),
                role="analyst",
                added_prepared={"p 1": "SELECT ?, 'ü'"},
                removed_prepared=("q",),
                started_transaction="t1",
                cleared_transaction=True,
            )
        ticket.leave()
        query.end(failure)


@dataclass
class Stack:
    client: httpx2.AsyncClient
    pipeline: Pipeline

    async def post(self, text: str, user: str = "ellen", **headers: str) -> httpx2.Response:
        given = {"authorization": f"Bearer {user}-token"}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.post("/v1/statement", content=text.encode(), headers=given)

    async def get(self, uri: str, user: str = "ellen") -> httpx2.Response:
        return await self.client.get(uri, headers={"authorization": f"Bearer {user}-token"})

    async def all(self, response: httpx2.Response) -> tuple[list[list[Any]], list[dict[str, Any]]]:
        """All rows and all documents from a first response on."""
        documents = [response.json()]
        while "nextUri" in documents[-1]:
            documents.append((await self.get(documents[-1]["nextUri"])).json())
        return [row for document in documents for row in document.get("data", [])], documents


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[[Callable[[Stack], Awaitable[None]]], None]]:
    database = Database(f"sqlite:///{tmp_path / 'metastore.db'}")
    with database.write() as connection:
        query_history.create(connection)
    pipeline = Pipeline()
    settings = Settings(limits=LimitSettings(queue_length=1000, queue_length_per_principal=1000))
    service = QueryService(settings, History(database), pipeline)
    service.start()
    app = Starlette(routes=routes(service, Tokens(), version="1.2.3", uptime=lambda: 5.0))

    def inside(test: Callable[[Stack], Awaitable[None]], host: str = "127.0.0.1") -> None:
        async def main() -> None:
            transport = httpx2.ASGITransport(app=app, client=(host, 5))
            async with httpx2.AsyncClient(
                transport=transport, base_url="http://127.0.0.1:8420"
            ) as client:
                await test(Stack(client, pipeline))

        asyncio.run(main())

    yield inside
    pipeline.go_on.set()
    service.stop()
    database.close()


def test_a_small_result_comes_with_the_first_answer(run):
    async def test(stack: Stack) -> None:
        await stack.all(await stack.post("numbers 1"))  # the first one loads libraries
        document = (await stack.post("numbers 3")).json()
        assert document["data"] == [[0, "row 0"], [1, "row 1"], [2, "row 2"]]
        assert [column["type"] for column in document["columns"]] == ["bigint", "varchar"]
        assert document["stats"]["state"] == "FINISHED"
        assert document["stats"]["progressPercentage"] == 100.0
        assert "nextUri" not in document
        assert "partialCancelUri" not in document

    run(test)


def test_a_large_result_comes_in_pages_by_bytes(run):
    async def test(stack: Stack) -> None:
        first = await stack.post("numbers 200000", x_trino_target_result_size="64kB")
        rows, documents = await stack.all(first)
        assert [row[0] for row in rows] == list(range(200_000))
        assert len(documents) > 3
        sizes = [len(json.dumps(document.get("data", []))) for document in documents]
        assert sizes[0] < 2 * 65_536
        assert max(sizes) < 2 * 2**20
        assert all("/v1/statement/executing/" in d["nextUri"] for d in documents[:-1])

    run(test)


def test_the_last_reply_can_be_asked_for_again_and_no_other(run):
    async def test(stack: Stack) -> None:
        first = (await stack.post("numbers 200000")).json()
        again = first["nextUri"]
        second, repeated = await stack.get(again), await stack.get(again)
        assert second.content == repeated.content
        third = (await stack.get(second.json()["nextUri"])).json()
        assert third["data"][0][0] == second.json()["data"][-1][0] + 1
        assert (await stack.get(again)).status_code == 410
        ahead = third["nextUri"].rsplit("/", 1)[0] + "/99"
        assert (await stack.get(ahead)).status_code == 410
        before = again.rsplit("/", 1)[0] + "/0"
        assert (await stack.get(before)).status_code == 410

    run(test)


def test_a_statement_belongs_to_its_principal_and_its_slug(run):
    async def test(stack: Stack) -> None:
        document = (await stack.post("wait")).json()
        uri = document["nextUri"]
        assert (await stack.get(uri, "omar")).status_code == 404
        assert (await stack.get(document["infoUri"], "omar")).status_code == 404
        stranger = {"authorization": "Bearer omar-token"}
        assert (await stack.client.delete(uri, headers=stranger)).status_code == 404
        assert (await stack.client.get(uri)).status_code == 401
        *head, slug, token = uri.split("/")
        wrong = "/".join([*head, slug[:-1] + ("a" if slug[-1] != "a" else "b"), token])
        assert (await stack.get(wrong)).status_code == 404
        assert (await stack.get(document["infoUri"])).json()["state"] == "RUNNING"
        assert (await stack.get(uri)).status_code == 200

    run(test)


def test_cancel(run):
    async def test(stack: Stack) -> None:
        uri = (await stack.post("wait")).json()["nextUri"]
        own = {"authorization": "Bearer ellen-token"}
        assert (await stack.client.delete(uri, headers=own)).status_code == 204
        document = (await stack.get(uri)).json()
        assert document["error"]["errorName"] == "USER_CANCELED"
        assert document["stats"]["state"] == "FAILED"
        assert "nextUri" not in document
        assert (await stack.client.delete(uri, headers=own)).status_code == 204

    run(test)


def test_a_failure_names_code_and_place(run):
    async def test(stack: Stack) -> None:
        failure = (await stack.post("fail")).json()["error"]
        assert (failure["errorName"], failure["errorCode"]) == ("TABLE_NOT_FOUND", 46)
        assert failure["errorLocation"] == {"lineNumber": 1, "columnNumber": 6}

    run(test)


def test_statements_without_a_result_show_their_outcome(run):
    async def test(stack: Stack) -> None:
        dropped = (await stack.post("drop")).json()
        assert (dropped["updateType"], dropped["data"]) == ("DROP TABLE", [[True]])
        assert "updateCount" not in dropped
        inserted = (await stack.post("insert")).json()
        assert (inserted["updateCount"], inserted["data"]) == (3, [[3]])
        assert inserted["columns"][0]["type"] == "bigint"

    run(test)


def test_three_hundred_waiting_clients_leave_the_server_free(run):
    async def test(stack: Stack) -> None:
        waiting = [asyncio.create_task(stack.post("wait")) for _ in range(300)]
        await asyncio.sleep(0.2)
        started = time.monotonic()
        assert (await stack.client.get("/v1/info")).json()["nodeVersion"] == {"version": "1.2.3"}
        rows, _ = await stack.all(await stack.post("numbers 1"))
        assert rows == [[0, "row 0"]]
        assert time.monotonic() - started < 2
        stack.pipeline.go_on.set()
        uris = [(await task).json().get("nextUri") for task in waiting]
        documents = await asyncio.gather(*(stack.get(uri) for uri in uris if uri))
        assert all("nextUri" not in document.json() for document in documents)

    run(test)


def test_session_headers_reach_the_statement(run):
    async def test(stack: Stack) -> None:
        await stack.post(
            "numbers 1",
            x_trino_user="ellen",
            x_trino_schema="sample",
            x_trino_source="a tool",
            x_trino_time_zone="Europe/Vienna",
            x_trino_session="query_max_run_time=5s,other=a%2Cb%3Dc",
            x_trino_prepared_statement="p%201=SELECT+%3F",
            x_trino_role="system=ROLE%7Banalyst%7D",
            x_trino_client_info="quarterly report",
            x_trino_client_tags="a,b",
            x_trino_transaction_id="NONE",
            x_trino_extra_credential="secret=hidden",
        )
        session = stack.pipeline.seen[-1].session
        assert (session.catalog, session.schema) == ("lake", "sample")
        assert (session.source, session.time_zone) == ("a tool", "Europe/Vienna")
        assert session.identity.role == "analyst"
        assert session.identity.purpose == "quarterly report"
        assert session.properties == {
            "query_max_run_time": "5s",
            "other": "a,b=c",
            "prepared:p 1": "SELECT ?",
        }
        assert "hidden" not in repr(session)

    run(test)


def test_changes_of_the_session_come_back_as_headers(run):
    async def test(stack: Stack) -> None:
        headers = (await stack.post("set")).headers
        assert headers["x-trino-set-catalog"] == "lake"
        assert headers["x-trino-set-schema"] == "sales"
        assert headers["x-trino-set-session"] == "dialect=a%2Cb%3Dc%20d"
        assert headers["x-trino-clear-session"] == "x"
        assert headers["x-trino-set-role"] == "system=ROLE%7Banalyst%7D"
        assert headers["x-trino-added-prepare"] == "p%201=SELECT%20%3F%2C%20%27%C3%BC%27"
        assert headers["x-trino-deallocated-prepare"] == "q"
        assert headers["x-trino-started-transaction-id"] == "t1"
        assert headers["x-trino-clear-transaction-id"] == "true"

    run(test)


def test_who_may_ask(run):
    async def test(stack: Stack) -> None:
        post = stack.client.post
        assert (await post("/v1/statement", content=b"numbers 1")).status_code == 401
        for name, password, status in [
            ("ellen", "ellen-token", 200),
            ("omar", "ellen-token", 401),
            ("ellen", "wrong", 401),
        ]:
            basic = base64.b64encode(f"{name}:{password}".encode()).decode()
            headers = {"authorization": f"Basic {basic}"}
            answer = await post("/v1/statement", content=b"numbers 1", headers=headers)
            assert answer.status_code == status
        refused = await post("/v1/statement", headers={"authorization": "Basic %%%"})
        assert refused.status_code == 401
        assert refused.headers.get_list("www-authenticate") == [
            'Bearer realm="Headwater"',
            'Basic realm="Headwater"',
        ]
        assert (await stack.post("numbers 1", "omar", x_trino_user="ellen")).status_code == 403
        answer = await stack.post("wait", x_trino_user="omar")
        assert stack.pipeline.seen[-1].session.identity.principal == OMAR.principal
        assert (await stack.get(answer.json()["nextUri"], "omar")).status_code == 404
        assert (await stack.get(answer.json()["nextUri"])).status_code == 200

    run(test)


def test_a_role_header_cannot_widen_a_token(run):
    async def test(stack: Stack) -> None:
        wider = await stack.post("numbers 1", "narrow", x_trino_role="system=ROLE{admin}")
        assert wider.status_code == 403
        await stack.post("numbers 1", "narrow", x_trino_role="system=ALL")
        assert stack.pipeline.seen[-1].session.identity.role == "analyst"

    run(test)


def test_tokens_are_refused_in_the_clear_from_elsewhere(run):
    async def test(stack: Stack) -> None:
        answer = await stack.post("numbers 1")
        assert answer.status_code == 403
        assert "TLS" in answer.text

    run(test, host="192.0.2.7")


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"  ", {}),
        (b"SELECT '\xff'", {}),
        (b"numbers 1", {"x-trino-time-zone": "Mars/Olympus"}),
        (b"numbers 1", {"x-trino-session": "novalue"}),
        (b"numbers 1", {"x-trino-role": "system=NONE"}),
        (b"numbers 1", {"x-trino-target-result-size": "lots"}),
    ],
)
def test_what_cannot_be_read_is_refused(run, body, headers):
    async def test(stack: Stack) -> None:
        headers["authorization"] = "Bearer ellen-token"
        answer = await stack.client.post("/v1/statement", content=body, headers=headers)
        assert answer.status_code == 400
        assert answer.text

    run(test)
