"""Two real servers, one of which is the other's remote catalog; and a catalog that lies."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from headwater.client.connection import Connection
from headwater.client.endpoint import Endpoint
from headwater.errors import HeadwaterError
from integration.server.conftest import Server

FRESH = 3.2
"""A little more than an answer of the other catalog is taken for current."""


class Lake:
    """A running server and its administrator's connection."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.admin = Connection(Endpoint(server.ready["url"], server.ready["token"]))
        self._users: dict[str, Connection] = {}

    @property
    def warehouse(self) -> str:
        return str(self.server.home / "warehouse")

    def as_user(self, user: str) -> Connection:
        if user not in self._users:
            self._users[user] = self.admin.as_user(user)
        return self._users[user]

    def sql(self, text: str, user: str | None = None, **options: Any) -> list[dict[str, Any]]:
        connection = self.admin if user is None else self.as_user(user)
        return connection.query(text, **options).to_pylist()

    def refused(self, text: str, user: str | None = None, **options: Any) -> HeadwaterError:
        with pytest.raises(HeadwaterError) as caught:
            self.sql(text, user, **options)
        return caught.value

    def connect(self, name: str, uri: str, **more: Any) -> dict[str, Any]:
        return self.admin.post("/api/v1/connections", {"name": name, "uri": uri, **more})

    def close(self) -> None:
        for each in (self.admin, *self._users.values()):
            each.close()
        assert self.server.stop() == 0


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    """The other catalog: a Headwater of its own."""
    home = tmp_path_factory.mktemp("there") / "home"
    lake = Lake(Server(home, "--port", "0", "--no-samples"))
    yield lake
    lake.close()


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    """The lake that connects."""
    home = tmp_path_factory.mktemp("here") / "home"
    lake = Lake(Server(home, "--port", "0", "--no-samples"))
    yield lake
    lake.close()


Answer = tuple[int, dict[str, str], bytes]


class Liar:
    """A catalog that answers whatever a test wants; `seen` are its requests."""

    def __init__(self) -> None:
        self.answers: dict[str, Callable[[], Answer]] = {}
        self.seen: list[tuple[str, dict[str, str]]] = []
        self._tables: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer()

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("content-length", 0)))
                self._answer()

            def _answer(self) -> None:
                path = self.path.partition("?")[0]
                outer.seen.append((self.path, {k.lower(): v for k, v in self.headers.items()}))
                make = outer.answers.get(path) or outer.answers.get("*")
                status, headers, body = make() if make else (404, {}, b"{}")
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.says("/v1/config", {"defaults": {}, "overrides": {}})
        self.says("/v1/namespaces", {"namespaces": [["ns"]]})

    def says(self, path: str, body: Any, status: int = 200, **headers: str) -> None:
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.answers[path] = lambda: (status, headers, text)

    def has(self, table: str, metadata: dict[str, Any], **more: Any) -> None:
        """A table of the namespace `ns`."""
        self._tables.append(table)
        identifiers = [{"namespace": ["ns"], "name": each} for each in self._tables]
        self.says("/v1/namespaces/ns/tables", {"identifiers": identifiers})
        answer = {"metadata": metadata, "metadata-location": "file:///nowhere", **more}
        self.says(f"/v1/namespaces/ns/tables/{table}", answer)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def liar() -> Iterator[Liar]:
    running = Liar()
    yield running
    running.stop()


def wait_fresh() -> None:
    time.sleep(FRESH)
