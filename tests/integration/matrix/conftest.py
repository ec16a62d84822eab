"""`headwater up` on every kind of metastore and storage, and the clients that use it."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import duckdb
import pytest
from pyiceberg.catalog.rest import RestCatalog

from headwater.client.connection import Connection
from headwater.client.endpoint import find_endpoint
from integration.catalog.conftest import EXTENSIONS, extension_path
from integration.server.conftest import Server

_numbers = itertools.count()

COMBINATIONS = [
    pytest.param((metastore, storage), id=f"{metastore}-{storage}", marks=marks)
    for metastore, by_metastore in (("sqlite", ()), ("postgres", (pytest.mark.postgres,)))
    for storage, by_storage in (("local", ()), ("s3", (pytest.mark.s3,)))
    for marks in [(*by_metastore, *by_storage)]
]


@dataclass
class Running:
    """A server that can be started again with the same flags."""

    server: Server
    flags: tuple[str, ...]

    def restart(self) -> None:
        assert self.server.stop() == 0
        self.server = Server(self.server.home, *self.flags)

    @contextlib.contextmanager
    def connection(self, user: str | None = None) -> Iterator[Connection]:
        with Connection(find_endpoint(self.server.home)) as own:
            if user is None:
                yield own
                return
            with own.as_user(user) as other:
                yield other

    def rows(self, sql: str, user: str | None = None) -> list[tuple[object, ...]]:
        with self.connection(user) as connection:
            table = connection.query(sql)
        return list(zip(*(column.to_pylist() for column in table.columns), strict=True))

    def run(self, *statements: str) -> None:
        with self.connection() as connection:
            for statement in statements:
                connection.submit(statement).check()

    def token(self, user: str | None = None) -> str:
        with self.connection(user) as connection:
            return connection.endpoint.token

    def pyiceberg(self, user: str | None = None) -> RestCatalog:
        uri = self.server.ready["iceberg_uri"]
        return RestCatalog("lake", uri=uri, token=self.token(user), warehouse="lake")

    def duckdb(self, user: str | None = None) -> duckdb.DuckDBPyConnection:
        connection = duckdb.connect(config={"autoinstall_known_extensions": "false"})
        for name in EXTENSIONS:
            connection.execute(f"LOAD '{extension_path(name)}'")
        uri = self.server.ready["iceberg_uri"]
        connection.execute(f"CREATE SECRET (TYPE iceberg, TOKEN '{self.token(user)}')")
        connection.execute(f"ATTACH 'lake' AS lake (TYPE iceberg, ENDPOINT '{uri}')")
        return connection


@pytest.fixture(scope="module", params=COMBINATIONS)
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """One server for each combination of metastore and storage."""
    metastore, storage = request.param
    flags = ["--port", "0", "--no-samples", "--storage", storage]
    if metastore == "postgres":
        server = request.getfixturevalue("postgres_server")
        name = f"matrix_{next(_numbers)}"
        server.execute(f"CREATE DATABASE {name}")
        flags += ["--metastore", server.url(name)]
    home = tmp_path_factory.mktemp("matrix") / "home"
    found = Running(Server(home, *flags), tuple(flags))
    yield found
    assert found.server.stop() == 0
