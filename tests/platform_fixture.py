"""The whole real stack in one process and its engine workers, without the HTTP of clients.

Metastore (SQLite), local storage, catalog, governance, the Iceberg REST gateway (the workers write
through it), DuckDB workers, query pipeline.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from headwater.catalog.catalog import Catalog
from headwater.engines.duckdb.engine import DuckDBEngine
from headwater.gateway.iceberg_rest.app import Services, create_app
from headwater.governance.access import Access
from headwater.governance.audit import AuditLog
from headwater.governance.bootstrap import ensure_admin
from headwater.governance.identity import Directory
from headwater.governance.journal import GovernanceJournal
from headwater.governance.resolve import Paths
from headwater.governance.state import PolicyStore
from headwater.governance.tokens import Tokens
from headwater.model.principal import Actor, Identity, Principal, PrincipalKind
from headwater.model.statement import Dialect, Session, Statement
from headwater.query.history import History
from headwater.query.pipeline import Pipeline
from headwater.query.query import Query
from headwater.query.service import QueryService
from headwater.query.work import Parts
from headwater.settings import EngineSettings, Settings
from headwater.storage.open import open_storage
from headwater.store.database import Database
from headwater.store.migrate import migrate


@dataclass(frozen=True)
class Platform:
    """The running parts, and short ways to use them."""

    parts: Parts
    database: Database
    directory: Directory
    queries: QueryService
    audit: AuditLog
    admin: Principal

    @property
    def actor(self) -> Actor:
        """The administrator, as changes record it."""
        return Actor(self.admin.id, self.admin.name)

    def session(
        self,
        user: str = "admin",
        role: str | None = None,
        *,
        schema: str | None = None,
        dialect: Dialect = Dialect.TRINO,
    ) -> Session:
        """A session of a user."""
        identity = Identity(self.directory.find(user, PrincipalKind.USER), role, session_id="test")
        return Session(identity, dialect, schema=schema, source="tests")

    def run(self, session: Session, sql: str, *parameters: object) -> Query:
        """Runs a statement to its end; raises its error."""
        query = self.queries.submit(session, Statement(sql, parameters))
        query.finish(120)
        if query.error is not None:
            raise query.error
        return query

    def rows(self, session: Session, sql: str, *parameters: object) -> list[tuple[object, ...]]:
        """The rows of a statement."""
        table = self.run(session, sql, *parameters).table()
        columns = [column.to_pylist() for column in table.columns]
        return list(zip(*columns, strict=True))


@contextlib.contextmanager
def running_platform(home: Path, *, workers: int = 1) -> Iterator[Platform]:
    """Starts everything in a home folder, and stops it again."""
    settings = Settings(home=home, engine=EngineSettings(workers=workers, threads=2))
    database = Database(settings.metastore_url)
    migrate(database)
    storage = open_storage(settings, home)
    store = PolicyStore(database)
    audit = AuditLog(database)
    admin = ensure_admin(database, audit)
    catalog = Catalog(database, storage.warehouse, GovernanceJournal(audit))
    access = Access(catalog, store, audit, Paths(catalog))
    tokens = Tokens(home / "token.key", store)
    port = _free_port()
    engine = DuckDBEngine(
        settings,
        storage.engine,
        f"http://127.0.0.1:{port}/iceberg",
        tokens.issue_engine,
        home / "results",
    )
    gateway = create_app(
        Services(catalog, access, tokens, engine.leases, storage.vendor, storage.client_config)
    )
    history = History(database)
    parts = Parts(settings, catalog, access, engine, history, home / "results")
    queries = QueryService(settings, history, Pipeline(parts).run)
    with _serving(Starlette(routes=[Mount("/iceberg", gateway)]), port):
        engine.start()
        queries.start()
        try:
            directory = Directory(database, store, audit)
            yield Platform(parts, database, directory, queries, audit, admin)
        finally:
            queries.stop()
            engine.stop()
            storage.close()
            database.close()


def in_dialect(session: Session, dialect: str | None) -> Session:
    """The session, speaking another dialect."""
    return session if dialect is None else replace(session, dialect=Dialect(dialect))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def _serving(app: Starlette, port: int) -> Iterator[None]:
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning", lifespan="off")
    )
    thread = threading.Thread(target=server.run, name="gateway", daemon=True)
    thread.start()
    while not server.started:
        if not thread.is_alive():
            raise RuntimeError("the gateway did not start")
        thread.join(0.01)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(10)
