"""Spark Connect in a running server: bound and imported beside the start of everything else."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.gateway.spark_connect.server import SparkConnectServer
from headwater.query.work import Parts as QueryParts
from headwater.runtimes.releases.installed import Releases
from headwater.server.parts import Parts
from headwater.server.tls import Certificates
from headwater.telemetry.logs import log

if TYPE_CHECKING:
    from headwater.engines.userprocess.pool import ProcessStatus, UserProcesses
    from headwater.gateway.spark_connect.elsewhere import UserSide
    from headwater.gateway.spark_connect.sql_runner import SqlRunner
    from headwater.query.staging import Staging
    from headwater.settings import UserEngineSettings

_PACKAGES = ("grpc", "google.rpc", "pyspark", "zstandard")

_log = log("spark")


class SparkGateway:
    """The Spark Connect endpoint of one server; absent when the extra `spark` is not installed."""

    def __init__(
        self,
        host: str,
        port: int,
        certificates: Certificates,
        releases: Releases | None = None,
    ) -> None:
        self._server = SparkConnectServer(host, port, certificates.chain, certificates.key)
        self._releases = releases
        self._failure: HeadwaterError | None = None
        self._engines: UserProcesses | None = None
        self._thread = threading.Thread(target=self._prepare, name="spark-prepare", daemon=True)
        self._thread.start()

    def start(self, parts: Parts, query_parts: QueryParts) -> bool:
        """Begins to answer; False without the extra. Raises PORT_IN_USE."""
        self._thread.join()
        if self._failure is not None:
            if self._failure.code is ErrorCode.NOT_SUPPORTED:
                _log.info("Spark Connect is off", why=self._failure.message)
                return False
            raise self._failure
        from headwater.gateway.spark_connect.catalog import CatalogAnswers
        from headwater.gateway.spark_connect.oracle import Oracle
        from headwater.gateway.spark_connect.protocol import messages
        from headwater.gateway.spark_connect.service import SparkConnectService
        from headwater.gateway.spark_connect.statements import Statements
        from headwater.gateway.spark_connect.tools import Tools
        from headwater.query.describe import Describer
        from headwater.query.staging import Staging

        pb = messages()
        describer = Describer(query_parts)
        user_side = self._user_side(parts, Staging(query_parts))
        oracle = None if user_side is None else Oracle(user_side, describer)
        statements = Statements(parts.queries, describer, pb, oracle)
        tools = Tools(pb, statements, CatalogAnswers(parts.browser), user_side)
        self._server.start(SparkConnectService(tools), parts.tokens)
        if user_side is not None:
            query_parts.others.attach(self._sql_runner(user_side, parts.settings.user_engines))
        return True

    def stop(self) -> None:
        """Stops answering; safe at any time."""
        self._thread.join()
        self._server.stop()
        if self._engines is not None:
            self._engines.stop()

    def processes(self) -> Sequence[ProcessStatus]:
        """The users' engine processes just now, spares included."""
        return () if self._engines is None else self._engines.status()

    def url(self, host: str, token: str) -> str:
        """The connection string of a PySpark client, with a token."""
        return f"sc://{host}:{self._server.port}/;use_ssl=true;token={token}"

    def _sql_runner(self, side: UserSide, settings: UserEngineSettings) -> SqlRunner:
        """What runs Spark SQL of the HTTP API on Sail and Spark."""
        from headwater.engines.userprocess.engine import SAIL, SPARK
        from headwater.gateway.spark_connect.sql_runner import SqlRunner

        known = {engine: settings.release(engine) for engine in (SAIL, SPARK)}

        def installed(engine: str) -> str | None:
            found = self._releases.installed(known[engine]) if self._releases else None
            return None if found is None else found.name

        return SqlRunner(side, known, installed)

    def _user_side(self, parts: Parts, staging: Staging) -> UserSide | None:
        """What runs in processes of the callers' own; None where no release is known."""
        from headwater.engines.userprocess.pool import UserProcesses
        from headwater.gateway.spark_connect.elsewhere import UserSide
        from headwater.gateway.spark_connect.protocol import messages
        from headwater.query.arrow_writes import ArrowWrites

        releases = self._releases
        if releases is None:
            return None
        folder = parts.home.spool / "engines"
        self._engines = engines = UserProcesses(parts.settings.user_engines, releases, folder)
        engines.start()
        level = engines.level
        return UserSide(
            pb=messages(),
            engines=engines,
            stager_of=staging.stager,
            history=parts.queries.history,
            writes=ArrowWrites(
                parts.queries,
                parts.catalog,
                parts.home.uploads,
                parts.settings.user_engines.disk_bytes,
            ),
            sandbox=str(level.kind) if level.confines else "none",
        )

    def _prepare(self) -> None:
        try:
            missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
            if missing:
                raise error(
                    ErrorCode.NOT_SUPPORTED,
                    f"Spark Connect needs a package that is not installed: {missing[0]}",
                    hint="pip install 'headwater[spark]'",
                )
            self._server.prepare()
            # The first call should not wait for these either.
            import headwater.gateway.spark_connect.service  # noqa: F401
        except HeadwaterError as exc:
            self._failure = exc
