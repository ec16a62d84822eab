"""The only place that knows concrete classes: settings in, a running platform out.

`Platform` is what `headwater up` and in-process tests start and stop.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import sqlalchemy.exc

import headwater
from headwater.catalog.catalog import Catalog
from headwater.catalog.linked.connections import Connections
from headwater.catalog.linked.links import Links
from headwater.engines.duckdb.engine import DuckDBEngine
from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.governance.access import Access
from headwater.governance.audit import AuditLog
from headwater.governance.bootstrap import ensure_admin
from headwater.governance.identity import Directory
from headwater.governance.journal import GovernanceJournal
from headwater.governance.lineage import Lineage
from headwater.governance.resolve import Paths
from headwater.governance.state import PolicyStore
from headwater.governance.tokens import Tokens
from headwater.jobs.driver import Driver
from headwater.model.principal import Identity, Principal
from headwater.query.completion import Completer
from headwater.query.history import History
from headwater.query.location_files import LocationFiles
from headwater.query.pipeline import Pipeline
from headwater.query.saved import SavedQueries
from headwater.query.service import QueryService
from headwater.query.stored import StoredResults
from headwater.query.work import Parts as QueryParts
from headwater.runtimes.releases.store import ReleaseStore
from headwater.server.administration import Administration
from headwater.server.default_schema import ensure_default_schema
from headwater.server.home import Home
from headwater.server.housekeeping import Housekeeping
from headwater.server.inspection import Inspection
from headwater.server.load.loader import Loader
from headwater.server.load.staging import Stagings
from headwater.server.load.uploads import Uploads
from headwater.server.parts import Parts
from headwater.server.previews import Previews
from headwater.server.running import compose_jobs
from headwater.server.spark import SparkGateway
from headwater.server.sweeping import Sweeping
from headwater.server.tls import Certificates, ensure_certificates, server_names
from headwater.server.web import Listeners, WebServer, bind, is_loopback
from headwater.settings import Settings
from headwater.storage.open import open_storage
from headwater.store.database import Database
from headwater.store.migrate import migrate
from headwater.telemetry.logs import log

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

DEFAULT_TLS_PORT = 8443
_TOKEN_SECONDS = 30 * 86400.0

_log = log("server")


class Platform:
    """One running server on one home.

    `start` returns when it answers; `stop` undoes everything that `start` did, in reverse, and is
    safe after a start that failed.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.token = ""
        self._stack = ExitStack()
        self._stopping = threading.Event()
        self._parts: Parts | None = None
        self._listeners: Listeners | None = None
        self._admin: Principal | None = None
        self._spark: SparkGateway | None = None
        self._driver: Driver | None = None

    def __enter__(self) -> Platform:
        self.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    @property
    def parts(self) -> Parts:
        """The running parts."""
        if self._parts is None:
            raise error(ErrorCode.INTERNAL_ERROR, "the platform has not been started")
        return self._parts

    @property
    def url(self) -> str:
        """Plain HTTP, for this machine's own clients."""
        return f"http://{self._local_host}:{self._bound.http_port}"

    @property
    def https_url(self) -> str:
        """TLS, for all clients."""
        return f"https://{self._public_host}:{self._bound.tls_port}"

    def start(self) -> None:
        """Starts everything; raises HeadwaterError, with nothing left behind, when it cannot."""
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stops everything; running statements are canceled, children ended."""
        self._stopping.set()
        self._stack.close()

    def ready(self) -> dict[str, Any]:
        """What `ready.json` tells clients of this machine."""
        bound = self._bound
        return {
            "pid": os.getpid(),
            "url": self.url,
            "https_url": self.https_url,
            "ca_cert": str(self.parts.certificates.authority),
            "token": self.token,
            "iceberg_uri": f"{self.url}/iceberg",
            "trino": {"host": self._public_host, "port": bound.tls_port, "scheme": "https"},
            "spark_connect": self._spark.url(self._public_host, self.token)
            if self._spark
            else None,
        }

    def make_default_schema(self) -> None:
        """Makes the schema `default` of a new lake; raises HeadwaterError."""
        ensure_default_schema(self.parts, self._admin_identity())

    def load_samples(self) -> None:
        """Loads the sample lake if it is wanted and not there yet; failures are logged only."""
        if not self.settings.samples:
            return
        from headwater.server.samples.loader import load_samples

        started = time.monotonic()
        try:
            load_samples(self.parts, self._admin_identity())
        except HeadwaterError as exc:
            if not self._stopping.is_set():
                _log.error("the sample lake could not be loaded", code=exc.code, why=exc.message)
        else:
            _log.info("sample lake ready", seconds=round(time.monotonic() - started, 1))

    @property
    def _bound(self) -> Listeners:
        if self._listeners is None:
            raise error(ErrorCode.INTERNAL_ERROR, "the platform has not been started")
        return self._listeners

    @property
    def _local_host(self) -> str:
        return _url_host(self.settings.host) if is_loopback(self.settings.host) else "127.0.0.1"

    @property
    def _public_host(self) -> str:
        return _url_host(self.settings.host)

    def _start(self) -> None:
        settings, stack = self.settings, self._stack
        home = Home.acquire(settings.home_path)
        stack.callback(home.release)
        self._listeners = bind(settings.host, settings.port, _tls_port(settings))
        stack.callback(self._listeners.close)
        names = server_names((*settings.allowed_hosts, settings.host))
        certificates = ensure_certificates(home.tls, names)
        # Binds and imports in a thread of its own while the engine's workers start.
        releases = ReleaseStore(settings.releases_path)
        spark = SparkGateway(settings.host, _spark_port(settings), certificates, releases)
        stack.callback(spark.stop)
        self._parts = self._compose(home, certificates, releases)
        # Imported here: the engine's workers start meanwhile.
        from headwater.server.app import make_app

        web = WebServer(
            make_app(self._parts, self._gateways(self._parts)), self._listeners, certificates
        )
        web.start()
        stack.callback(web.stop)
        if spark.start(self._parts, self._query_parts):
            self._spark = spark
        self._publish()
        housekeeping = Housekeeping(self._parts, self._publish)
        housekeeping.start()
        assert self._driver is not None
        self._driver.start()
        stack.callback(housekeeping.stop)

    def _compose(self, home: Home, certificates: Certificates, releases: ReleaseStore) -> Parts:
        settings, stack = self.settings, self._stack
        database = _open_database(settings.metastore_url)
        stack.callback(database.close)
        database.ping()
        migrate(database)
        database.reserve_log()
        storage = open_storage(settings, home.path)
        stack.callback(storage.close)
        audit = AuditLog(database)
        self._admin = ensure_admin(database, audit)
        policies = PolicyStore(database)
        tokens = Tokens(home.path / "token.key", policies)
        journal = GovernanceJournal(audit)
        links = Links(
            database,
            Connections(database, journal, home.path / "connections"),
            storage.engine,
            home.path / "engine" / "linked",
            journal.binds,
        )
        catalog = Catalog(database, storage.warehouse, journal, links)
        paths = Paths(catalog)
        access = Access(catalog, policies, audit, paths)
        engine = DuckDBEngine(
            settings,
            storage.engine,
            f"{self.url}/iceberg",
            tokens.issue_engine,
            home.spool,
            lambda plan: catalog.linked.reach(
                [scan.identifier for scan in plan.scans], writes=bool(plan.writes)
            ),
        )
        engine.start()
        stack.callback(engine.stop)
        history = History(database)
        locations = LocationFiles(access, (home.path,), storage.objects)
        pipeline = Pipeline(
            QueryParts(
                settings, catalog, access, engine, history, home.spool, objects=storage.objects
            )
        )
        self._query_parts = pipeline.parts
        queries = QueryService(settings, history, pipeline.run)
        queries.start()
        stack.callback(queries.stop)
        sweeping = Sweeping(catalog, settings.sweep)
        sweeping.start()
        stack.callback(sweeping.stop)
        uploads = Uploads(home.uploads)
        jobs, self._driver = compose_jobs(
            settings,
            home,
            database,
            audit,
            policies,
            access,
            locations,
            tokens,
            queries,
            certificates,
            releases,
            stack,
        )
        return Parts(
            settings=settings,
            home=home,
            certificates=certificates,
            database=database,
            storage=storage,
            catalog=catalog,
            policies=policies,
            directory=Directory(database, policies, audit),
            tokens=tokens,
            access=access,
            browser=access.browser,
            audit=audit,
            engine=engine,
            queries=queries,
            others=pipeline.parts.others,
            results=StoredResults(engine, queries, home.spool),
            saved=SavedQueries(database, policies),
            completer=Completer(access.browser, policies),
            loader=Loader(catalog, access, engine, uploads),
            locations=locations,
            stagings=Stagings(locations, uploads, settings.limits.upload_bytes),
            inspection=Inspection(
                catalog, access, queries, Lineage(database, audit, catalog, access.browser)
            ),
            sweeping=sweeping,
            jobs=jobs,
            previews=Previews(queries, pipeline.parts),
            administration=Administration(
                settings,
                engine,
                policies,
                releases,
                lambda: self._spark.processes() if self._spark else (),
                jobs.uses_release,
            ),
        )

    def _gateways(self, parts: Parts) -> list[BaseRoute]:
        from starlette.routing import Mount

        from headwater.gateway.iceberg_rest.app import Services, create_app
        from headwater.gateway.trino_http.authentication import TokenAuthority
        from headwater.gateway.trino_http.routes import routes as trino_routes

        started = time.monotonic()
        iceberg = Services(
            catalog=parts.catalog,
            access=parts.access,
            tokens=parts.tokens,
            leases=parts.engine.leases,
            vendor=parts.storage.vendor,
            client_config=parts.storage.client_config,
        )
        trino = trino_routes(
            parts.queries,
            TokenAuthority(parts.tokens, parts.access),
            version=headwater.__version__,
            uptime=lambda: time.monotonic() - started,
        )
        return [*trino, Mount("/iceberg", create_app(iceberg))]

    def _publish(self) -> None:
        assert self._admin is not None
        self.token = self.parts.tokens.issue(self._admin, ttl=_TOKEN_SECONDS)
        self.parts.home.write_ready(self.ready())

    def _admin_identity(self) -> Identity:
        assert self._admin is not None
        return Identity(self._admin, client="headwater")


def _open_database(url: str) -> Database:
    try:
        return Database(url)
    except ModuleNotFoundError as exc:
        raise error(
            ErrorCode.INVALID_ARGUMENT,
            f"the metastore's driver is not installed: {exc.name}",
            hint="pip install 'headwater[postgres]'",
        ) from exc
    except sqlalchemy.exc.ArgumentError as exc:
        raise error(
            ErrorCode.INVALID_ARGUMENT,
            "the metastore's URL cannot be read",
            hint="write postgresql://user@host/database, the password in a pgpass file",
        ) from exc


def _tls_port(settings: Settings) -> int:
    """8443 beside the default port; two above any port that was asked for."""
    if settings.port == 0:
        return 0
    if "port" in settings.model_fields_set:
        return settings.port + 2
    return DEFAULT_TLS_PORT


def _spark_port(settings: Settings) -> int:
    """One above the HTTP port; a free one when that is free to choose."""
    return 0 if settings.port == 0 else settings.port + 1


def _url_host(host: str) -> str:
    """The host as a URL writes it; the machine's name for "all addresses"."""
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return host
    if address.is_unspecified:
        return socket.gethostname()
    return f"[{address}]" if address.version == 6 else str(address)
