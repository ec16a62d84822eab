"""A server of the benchmark's own, in a temporary home, and the two sides that are compared."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from headwater.errors import ErrorCode, error
from headwater.settings import child_environment

TABLES = ("region", "nation", "supplier", "customer", "part", "partsupp", "orders", "lineitem")
"""The tables of TPC-H, smallest first."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: its home, what ready.json says, and its process."""

    home: Path
    ready: dict[str, Any]
    process: subprocess.Popen[bytes]

    def token(self, user: str) -> str:
        """A session token for a user."""
        return self.command("token", "--user", user).strip()

    def command(self, *arguments: str) -> str:
        """The output of a `headwater` command against this server."""
        result = subprocess.run(
            [sys.executable, "-m", "headwater", *arguments],
            env=child_environment(HEADWATER_HOME=str(self.home)),
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            raise error(
                ErrorCode.INTERNAL_ERROR,
                f"`headwater {' '.join(arguments[:2])}` failed: {result.stderr.strip()[-2000:]}",
            )
        return result.stdout

    def cpu_seconds(self) -> float:
        """CPU time that the server and its living children used so far, in seconds."""
        root = psutil.Process(self.process.pid)
        total = 0.0
        for process in [root, *root.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system
        return total

    def memory_bytes(self) -> dict[str, int]:
        """Resident bytes of each process, by what it is: `server`, `worker 1`, …"""
        root = psutil.Process(self.process.pid)
        sizes = {"server": root.memory_info().rss}
        for number, child in enumerate(root.children(recursive=True), 1):
            with contextlib.suppress(psutil.NoSuchProcess):
                sizes[f"worker {number}"] = child.memory_info().rss
        return sizes


@contextlib.contextmanager
def running_server(*, storage: str = "local") -> Iterator[Server]:
    """Starts `headwater up` in a temporary home on free ports, and removes both afterwards."""
    with tempfile.TemporaryDirectory(prefix="headwater-bench-") as folder:
        home = Path(folder) / "home"
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "headwater", "up", "--home", str(home), "--port", "0"),
                *("--no-samples", "--quiet", "--storage", storage),
            ],
            env=child_environment(),
            stdout=subprocess.PIPE,
        )
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith(b"READY"):
                    break
            else:
                raise error(ErrorCode.INTERNAL_ERROR, "the benchmark's server did not start")
            yield Server(home, json.loads((home / "ready.json").read_text()), process)
        finally:
            process.terminate()
            process.wait(timeout=30)


class TrinoSide:
    """Headwater, as a client of Trino's protocol sees it."""

    def __init__(self, server: Server, user: str, token: str) -> None:
        import requests
        import trino

        self._server = server
        session = requests.Session()
        session.trust_env = False  # REQUESTS_CA_BUNDLE would win over our authority
        session.verify = server.ready["ca_cert"]
        connect: Any = trino.dbapi.connect
        self._connection = connect(
            host=server.ready["trino"]["host"],
            port=server.ready["trino"]["port"],
            user=user,
            http_scheme="https",
            auth=trino.auth.JWTAuthentication(token),
            http_session=session,
            catalog="lake",
            schema="tpch",
        )

    def run(self, sql: str) -> tuple[list[Sequence[Any]], float, float]:
        """The rows, wall seconds and CPU seconds of one query."""
        cpu, wall = self._server.cpu_seconds(), time.perf_counter()
        cursor = self._connection.cursor()
        cursor.execute(sql)
        rows = cursor.fetchall()
        wall = time.perf_counter() - wall
        return rows, wall, self._server.cpu_seconds() - cpu


class DuckDBSide:
    """Plain DuckDB over the very Parquet files that the Iceberg tables consist of."""

    def __init__(self, files: dict[str, list[str]]) -> None:
        import duckdb

        self._connection = duckdb.connect(":memory:")
        self._connection.execute(f"SET threads = {os.cpu_count() or 1}")
        self._connection.execute("SET parquet_metadata_cache = true")
        for table, paths in files.items():
            listed = ", ".join("'" + path.removeprefix("file://") + "'" for path in paths)
            self._connection.execute(
                f"CREATE VIEW {table} AS SELECT * FROM read_parquet([{listed}])"
            )

    def run(self, sql: str) -> tuple[list[Sequence[Any]], float, float]:
        """The rows, wall seconds and CPU seconds of one query."""
        cpu, wall = time.process_time(), time.perf_counter()
        rows: list[Sequence[Any]] = list(self._connection.execute(sql).fetchall())
        wall = time.perf_counter() - wall
        return rows, wall, time.process_time() - cpu


def tpcds_engine() -> Any:
    """A DuckDB connection that can make TPC-DS data and knows the queries."""
    import duckdb

    from headwater.engines.duckdb.instance import extension_path

    connection = duckdb.connect()
    try:
        connection.execute(f"LOAD '{extension_path('tpcds')}'")
    except FileNotFoundError as exc:
        raise error(
            ErrorCode.INVALID_ARGUMENT,
            "the TPC-DS generator is not installed",
            hint="install Headwater's extra `bench`, or run `make bench`",
        ) from exc
    return connection


def load_tpcds(server: Server, scale: float) -> None:
    """Generates TPC-DS at a scale and loads its 24 tables into schema `tpcds`."""
    connection = tpcds_engine()
    with tempfile.TemporaryDirectory(prefix="headwater-tpcds-") as folder:
        connection.execute(f"CALL dsdgen(sf = {scale:g})")
        server.command("sql", "CREATE SCHEMA tpcds")
        for (table,) in connection.execute("SHOW TABLES").fetchall():
            path = Path(folder) / f"{table}.parquet"
            connection.execute(f"COPY {table} TO '{path}' (FORMAT parquet)")
            server.command("catalog", "load", str(path), "--table", f"tpcds.{table}")
            path.unlink()


def load_tpch(server: Server, scale: float) -> dict[str, list[str]]:
    """Generates TPC-H at a scale, loads it into schema `tpch`; returns each table's data files."""
    with tempfile.TemporaryDirectory(prefix="headwater-tpch-") as folder:
        generator = Path(sys.executable).with_name("tpchgen-cli")
        if not generator.exists():
            raise error(
                ErrorCode.INVALID_ARGUMENT,
                "tpchgen-cli is not installed",
                hint="install Headwater's extra `bench`, or run `make bench`",
            )
        subprocess.run(
            [generator, "parquet", "-s", f"{scale:g}", "--output-dir", folder],
            check=True,
            capture_output=True,
        )
        server.command("sql", "CREATE SCHEMA tpch")
        for table in TABLES:
            path = str(Path(folder) / f"{table}.parquet")
            server.command("catalog", "load", path, "--table", f"tpch.{table}")
    side = TrinoSide(server, "admin", server.ready["token"])
    return {
        table: [str(row[0]) for row in side.run(f'SELECT file_path FROM "{table}$files"')[0]]
        for table in TABLES
    }
