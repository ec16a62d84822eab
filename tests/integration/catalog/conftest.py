"""A real Iceberg REST server over a real metastore and storage, and the clients that use it."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import httpx2
import pytest
import uvicorn
from pyiceberg.catalog.rest import RestCatalog
from starlette.applications import Starlette
from starlette.routing import Mount

from headwater.catalog.catalog import Catalog
from headwater.gateway.iceberg_rest.app import Services, create_app
from headwater.governance.access import Access
from headwater.governance.audit import AuditLog
from headwater.governance.bootstrap import ensure_admin
from headwater.governance.identity import Directory
from headwater.governance.journal import GovernanceJournal
from headwater.governance.resolve import Paths
from headwater.governance.state import PolicyStore
from headwater.governance.statements import GovernanceStatements
from headwater.governance.tokens import Tokens
from headwater.model.identifiers import TableIdentifier
from headwater.model.principal import SYSTEM, Identity, Principal, PrincipalKind
from headwater.model.scan import GovernedWrite
from headwater.model.statement import Dialect
from headwater.settings import Settings
from headwater.sql.parse import parse
from headwater.storage.open import Storage, open_storage
from headwater.store.database import Database
from headwater.store.migrate import migrate

EXTENSIONS = ("avro", "httpfs", "iceberg")


@dataclass
class Lease:
    """The leases that a test hands out by hand."""

    held: dict[tuple[str, TableIdentifier], tuple[Identity, GovernedWrite]] = field(
        default_factory=dict
    )

    def allowed(self, worker: str, table: TableIdentifier) -> tuple[Identity, GovernedWrite] | None:
        return self.held.get((worker, table))


@dataclass
class Lake:
    """A running catalog, and what a test needs to look behind it."""

    uri: str
    catalog: Catalog
    access: Access
    audit: AuditLog
    directory: Directory
    tokens: Tokens
    admin: Principal
    leases: Lease
    database: Database

    def token(self, principal: Principal | None = None) -> str:
        return self.tokens.issue(principal or self.admin)

    def user(self, name: str) -> Principal:
        return self.directory.create(PrincipalKind.USER, name, SYSTEM)

    def sql(self, text: str) -> None:
        """Runs a governance statement as the administrator."""
        request = self.access.begin(Identity(self.admin), request_id="test")
        statement = parse(text, Dialect.TRINO)
        GovernanceStatements(self.access).run(statement, request)

    def http(self, token: str | None = None) -> httpx2.Client:
        headers = {"authorization": f"Bearer {token or self.token()}"}
        return httpx2.Client(base_url=f"{self.uri}/v1/", headers=headers, timeout=30)

    def pyiceberg(self, principal: Principal | None = None) -> RestCatalog:
        return RestCatalog("lake", uri=self.uri, token=self.token(principal), warehouse="lake")

    def duckdb(self, principal: Principal | None = None) -> duckdb.DuckDBPyConnection:
        connection = duckdb.connect(config={"autoinstall_known_extensions": "false"})
        for name in EXTENSIONS:
            connection.execute(f"LOAD '{extension_path(name)}'")
        connection.execute(f"CREATE SECRET (TYPE iceberg, TOKEN '{self.token(principal)}')")
        connection.execute(f"ATTACH 'lake' AS lake (TYPE iceberg, ENDPOINT '{self.uri}')")
        return connection


def extension_path(name: str) -> Path:
    module = __import__(f"duckdb_extension_{name}")
    return next(Path(module.__file__).parent.rglob(f"{name}.duckdb_extension"))


def start(database: Database, storage: Storage, home: Path) -> tuple[Lake, Callable[[], None]]:
    migrate(database)
    audit = AuditLog(database)
    admin = ensure_admin(database, audit)
    store = PolicyStore(database)
    catalog = Catalog(database, storage.warehouse, GovernanceJournal(audit))
    access = Access(catalog, store, audit, Paths(catalog))
    tokens = Tokens(home / "signing.json", store)
    leases = Lease()
    app = create_app(
        Services(catalog, access, tokens, leases, storage.vendor, storage.client_config)
    )
    stop, port = serve(Starlette(routes=[Mount("/iceberg", app)]))
    directory = Directory(database, store, audit)
    uri = f"http://127.0.0.1:{port}/iceberg"
    return Lake(uri, catalog, access, audit, directory, tokens, admin, leases, database), stop


def serve(app: Any) -> tuple[Callable[[], None], int]:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="warning", lifespan="off", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)

    def stop() -> None:
        server.should_exit = True
        thread.join(10)
        listener.close()

    return stop, listener.getsockname()[1]


@contextlib.contextmanager
def running(storage: Storage, folder: Path) -> Iterator[Lake]:
    database = Database(f"sqlite:///{folder / 'metastore.db'}")
    lake, stop = start(database, storage, folder)
    yield lake
    stop()
    database.close()


@pytest.fixture
def lake(storage: Storage, tmp_path: Path) -> Iterator[Lake]:
    """A fresh catalog, on a local folder and on SeaweedFS."""
    with running(storage, tmp_path) as found:
        yield found


@pytest.fixture
def local_lake(tmp_path: Path) -> Iterator[Lake]:
    """A fresh catalog on a local folder."""
    with running(open_storage(Settings(), tmp_path / "home"), tmp_path) as found:
        yield found
