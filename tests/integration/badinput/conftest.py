"""One statement through every door of a running server, and what each says when it fails."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
import trino
from pyiceberg.catalog.rest import RestCatalog

from headwater.client.connection import Connection
from headwater.client.endpoint import find_endpoint
from headwater.errors import HeadwaterError
from integration.server.conftest import Server


@dataclass(frozen=True)
class Told:
    """What a client was told: the code, and all of the text."""

    code: str
    text: str


def by_cli(server: Server, sql: str, *flags: str) -> Told:
    """The error of `headwater sql`."""
    done = server.run("sql", sql, *flags)
    assert done.returncode in (1, 3), done
    assert "Traceback" not in done.stderr
    return Told(done.stderr.strip().splitlines()[-1].partition(":")[0], done.stderr)


def by_api(server: Server, sql: str, user: str | None = None) -> Told:
    """The error of the JSON API."""
    with connected(server, user) as connection, pytest.raises(HeadwaterError) as caught:
        connection.query(sql)
    return Told(caught.value.code, str(caught.value))


def by_trino(server: Server, sql: str, user: str | None = None) -> Told:
    """The error of Trino's protocol."""
    with connected(server, user) as connection:
        token = connection.endpoint.token
    with pytest.raises(trino.exceptions.TrinoQueryError) as caught:
        trino_rows(server, sql, token, user or "admin")
    kind = caught.value.error_exception or ""
    return Told(kind.removeprefix("io.headwater."), str(caught.value))


def everywhere(server: Server, sql: str) -> list[Told]:
    """The errors of the command line, the API and Trino's protocol."""
    return [door(server, sql) for door in (by_cli, by_api, by_trino)]


@contextlib.contextmanager
def connected(server: Server, user: str | None = None) -> Iterator[Connection]:
    """The API's client, as admin or as another user."""
    with Connection(find_endpoint(server.home)) as own:
        if user is None:
            yield own
            return
        with own.as_user(user) as other:
            yield other


def trino_rows(server: Server, sql: str, token: str, user: str) -> list[list[Any]]:
    """All rows of a statement, by Trino's Python client."""
    ready = server.ready
    with requests.Session() as session:
        session.trust_env = False  # REQUESTS_CA_BUNDLE would win over the server's own authority
        session.verify = ready["ca_cert"]
        with trino.dbapi.connect(
            host=ready["trino"]["host"],
            port=ready["trino"]["port"],
            user=user,
            http_scheme="https",
            auth=trino.auth.JWTAuthentication(token),
            http_session=session,
            catalog="lake",
            max_attempts=1,
        ) as connection:
            found: list[list[Any]] = connection.cursor().execute(sql).fetchall()
            return found


def rows(server: Server, sql: str) -> list[tuple[Any, ...]]:
    """The rows of a statement, by the API."""
    with connected(server) as connection:
        table = connection.query(sql)
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def run(server: Server, *statements: str) -> None:
    """Runs statements that must succeed."""
    with connected(server) as connection:
        for statement in statements:
            connection.submit(statement).check()


def iceberg(server: Server) -> RestCatalog:
    """PyIceberg as admin."""
    ready = server.ready
    return RestCatalog("lake", uri=ready["iceberg_uri"], token=ready["token"], warehouse="lake")


class Gate:
    """A TCP proxy before a server, which can be shut and opened again."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._lock = threading.Lock()
        self._pairs: list[socket.socket] = []
        self._open = True
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def shut(self) -> None:
        """Cuts all connections and every new one."""
        with self._lock:
            self._open = False
            for found in self._pairs:
                with contextlib.suppress(OSError):
                    found.shutdown(socket.SHUT_RDWR)
            self._pairs.clear()

    def open(self) -> None:
        """Lets connections through again."""
        with self._lock:
            self._open = True

    def close(self) -> None:
        """Ends the proxy."""
        self.shut()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                if not self._open:
                    client.close()
                    continue
            try:
                server = socket.create_connection(("127.0.0.1", self._target), timeout=10)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            with self._lock:
                self._pairs += [client, server]
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=_pump, args=(source, sink), daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
    source.close()


@contextlib.contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A file system of that size at the folder; skips where this user may not mount."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    options = ("-t", "tmpfs", "-o", f"size={megabytes}m,mode=0700", "tmpfs", str(folder))
    try:
        done = subprocess.run(("mount", *options), capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command to make a small disk with")
    if done.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(("umount", "--lazy", str(folder)), check=True)


@contextlib.contextmanager
def filled(folder: Path) -> Iterator[None]:
    """No byte is free on the folder's disk inside."""
    ballast = folder / "ballast"
    try:
        with ballast.open("wb", buffering=0) as file:
            for size in (1 << 20, 4096):
                with contextlib.suppress(OSError):
                    while file.write(bytes(size)) == size:
                        pass
        yield
    finally:
        ballast.unlink()
