"""Statements that are wrong, too large or no text: the same answer at every door."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from integration.badinput.conftest import by_api, by_trino, rows, run
from integration.server.conftest import Server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with two tables, of which guests may see one."""
    running = Server(
        tmp_path_factory.mktemp("statements") / "home",
        *("--port", "0", "--no-samples"),
        HEADWATER_LIMITS__RESULT_BYTES=str(20 * 1024**2),
    )
    try:
        run(
            running,
            "CREATE SCHEMA shop",
            "CREATE TABLE shop.people (id bigint, name varchar, born date)",
            "INSERT INTO shop.people VALUES (1, 'Ann', DATE '2000-01-01')",
            "CREATE TABLE shop.payments (id bigint)",
            "CREATE USER guest",
            "GRANT SELECT (id, name) ON shop.people TO guest",
        )
        yield running
        assert rows(running, "SELECT count(*) FROM shop.people") == [(1,)]
        assert running.process.poll() is None
    finally:
        assert running.stop() == 0


@pytest.mark.parametrize(
    ("sql", "code", "told"),
    [
        ("SELECT 1 FRM x y", "SYNTAX_ERROR", "line 1:"),
        ("SELECT (", "SYNTAX_ERROR", "line 1:"),
        ("SELECT 'never ends", "SYNTAX_ERROR", "line 1:"),
        ("SELECT 1; SELECT 2", "SYNTAX_ERROR", "one"),
        ("-- nothing", "SYNTAX_ERROR", ""),
        ("SELECT 1\0", "SYNTAX_ERROR", ""),
        ("SELECT\n  1\nFROM shop.poeple", "TABLE_NOT_FOUND", "people"),
        ("SELECT 1 FROM shpo.people", "TABLE_NOT_FOUND", "shop.people"),
        ("SELECT nmae FROM shop.people", "COLUMN_NOT_FOUND", "name"),
        ("SELECT lenght(name) FROM shop.people", "FUNCTION_NOT_FOUND", "length"),
        ("SELECT id + name FROM shop.people", "TYPE_MISMATCH", ""),
        ("SELECT id FROM shop.people WHERE born > 7", "TYPE_MISMATCH", ""),
        ("INSERT INTO shop.people VALUES ('x', 1, 2)", "TYPE_MISMATCH", ""),
        ("INSERT INTO shop.people (id) VALUES (1, 2)", "TYPE_MISMATCH", ""),
        ("SELECT CAST('x' AS integer)", "INVALID_CAST", "try_cast"),
        ("CREATE TABLE shop.twice (a integer, A integer)", "DUPLICATE_COLUMN_NAME", "a"),
        ("CREATE TABLE shop.twice AS SELECT 1 AS a, 2 AS a", "DUPLICATE_COLUMN_NAME", "a"),
        ("ALTER TABLE shop.people ADD COLUMN NAME varchar", "DUPLICATE_COLUMN_NAME", "NAME"),
        (
            "SELECT x, y FROM UNNEST(sequence(1, 3000)) a(x), UNNEST(sequence(1, 3000)) b(y)",
            "EXCEEDED_RESULT_SIZE",
            "LIMIT",
        ),
    ],
)
def test_a_wrong_statement(server: Server, sql: str, code: str, told: str) -> None:
    for found in (by_api(server, sql), by_trino(server, sql)):
        assert found.code == code, found
        assert told in found.text


@pytest.mark.parametrize(
    "sql",
    ["SELECT * FROM shop.payment", "SELECT brn FROM shop.people", "SELECT born FROM shop.people"],
)
def test_only_what_is_visible_is_suggested(server: Server, sql: str) -> None:
    for found in (by_api(server, sql, "guest"), by_trino(server, sql, "guest")):
        assert found.code in ("TABLE_NOT_FOUND", "COLUMN_NOT_FOUND")
        assert "payments" not in found.text
        assert "did you mean born" not in found.text.lower()


def test_a_statement_of_100_megabytes(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "huge.sql"
    with file.open("wb") as out:
        out.write(b"SELECT '")
        for _ in range(100):
            out.write(b"x" * 1024**2)
        out.write(b"'")
    done = server.run("sql", "--file", str(file))
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("EXCEEDED_STATEMENT_SIZE: ")
    assert len(done.stderr) < 5000
    with doors(server) as http:
        for path in ("/api/v1/statements", "/v1/statement", "/iceberg/v1/lake/namespaces"):
            with file.open("rb") as body:
                try:
                    response = http.post(path, content=body, headers=JSON)
                except httpx2.WriteError:
                    continue  # refused while we were still sending
                assert response.status_code == 413, (path, response.text[:200])


@pytest.mark.parametrize("bad", [b"\xff\xfe", b"\xc3("])
def test_bytes_that_are_no_text(server: Server, bad: bytes) -> None:
    with doors(server) as http:
        body = b'{"sql": "SELECT \'' + bad + b"'\"}"
        response = http.post("/api/v1/statements", content=body, headers=JSON)
        assert (response.status_code, response.json()["code"]) == (400, "INVALID_ARGUMENT")
        response = http.post("/v1/statement", content=b"SELECT '" + bad + b"'", headers=USER)
        assert response.status_code in (200, 400), response.text
        if response.status_code == 200:
            assert "error" in response.json() or "nextUri" in response.json()
        else:
            assert "UTF-8" in response.text
        body = b'{"namespace": ["' + bad + b'"]}'
        response = http.post("/iceberg/v1/lake/namespaces", content=body, headers=JSON)
        assert response.status_code == 400
        assert response.json()["error"]["message"]


def test_half_a_character(server: Server) -> None:
    """JSON can spell a lone surrogate, which no UTF-8 text holds."""
    with doors(server) as http:
        for body in (
            b'{"sql": "SELECT \'\\ud800\'"}',
            b'{"sql": "SELECT 1 AS \\"\\udfff\\""}',
            b'{"sql": "SELECT \'\xed\xa0\x80\'"}',
        ):
            response = http.post("/api/v1/statements", content=body, headers=JSON)
            path = f"/api/v1/statements/{response.json()['id']}"
            found = http.get(path, params={"wait": 20}).json()
            assert found["error"]["code"] == "SYNTAX_ERROR", found
        body = json.dumps({"namespace": ["\ud800"]}).encode()
        response = http.post("/iceberg/v1/lake/namespaces", content=body, headers=JSON)
        assert response.status_code == 400


def doors(server: Server) -> httpx2.Client:
    """Plain HTTP as admin."""
    ready = server.ready
    headers = {"authorization": f"Bearer {ready['token']}"}
    return httpx2.Client(base_url=ready["url"], headers=headers, timeout=120, trust_env=False)


JSON = {"content-type": "application/json"}
USER = {"x-trino-user": "admin", "content-type": "text/plain"}
