"""A metastore or a storage that stops answering: told after some tries, survived, nothing lost."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trino
from pyiceberg.exceptions import RESTError

from headwater.storage.seaweed import EmbeddedS3
from integration.badinput.conftest import (
    Gate,
    by_api,
    by_cli,
    by_trino,
    iceberg,
    rows,
    run,
    trino_rows,
)
from integration.server.conftest import Server, environment, eventually
from integration.server.conftest import run as command
from postgres import PostgresServer

INSERT = "INSERT INTO shop.t VALUES (2)"
COUNT = "SELECT count(*) FROM shop.t"
PREPARE = (
    "CREATE SCHEMA shop",
    "CREATE TABLE shop.t (id bigint)",
    "INSERT INTO shop.t VALUES (1)",
)

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def postgres_gate(postgres_server: PostgresServer) -> Iterator[Gate]:
    gate = Gate(postgres_server.port)
    yield gate
    gate.close()


@pytest.fixture
def s3_gate(embedded_s3: EmbeddedS3) -> Iterator[Gate]:
    port = urlsplit(embedded_s3.endpoint.url).port
    assert port is not None
    gate = Gate(port)
    yield gate
    gate.close()


@pytest.mark.postgres
def test_postgres_goes_away_and_comes_back(
    postgres_server: PostgresServer, postgres_gate: Gate, tmp_path: Path
) -> None:
    postgres_server.execute("CREATE DATABASE outage")
    url = PostgresServer(postgres_gate.port).url("outage")
    server = Server(tmp_path / "home", "--port", "0", "--no-samples", "--metastore", url)
    try:
        run(server, *PREPARE)
        postgres_gate.shut()
        for told in (by_api(server, COUNT), by_cli(server, INSERT)):
            assert told.code == "METASTORE_UNAVAILABLE", told
            assert "try again" in told.text
        # Trino's clients try again by themselves when they are told 503.
        with pytest.raises(trino.exceptions.Http503Error):
            trino_rows(server, COUNT, server.ready["token"], "admin")
        with pytest.raises(RESTError, match="metastore"):
            iceberg(server).create_namespace("more")
        assert server.process.poll() is None
        postgres_gate.open()
        run(server, INSERT)
        assert rows(server, COUNT) == [(2,)]
        # Connections that broke while nobody looked are noticed, too.
        postgres_gate.shut()
        postgres_gate.open()
        assert rows(server, COUNT) == [(2,)]
    finally:
        assert server.stop() == 0


@pytest.mark.s3
def test_s3_goes_away_and_comes_back(
    embedded_s3: EmbeddedS3, s3_gate: Gate, tmp_path: Path
) -> None:
    server = Server(
        tmp_path / "home",
        *("--port", "0", "--no-samples", "--storage", "s3"),
        **s3_settings(embedded_s3, s3_gate.port, "outage"),
    )
    try:
        run(server, *PREPARE)
        assert rows(server, COUNT) == [(1,)]
        s3_gate.shut()
        for told in (
            by_api(server, INSERT),
            by_trino(server, COUNT),
            by_cli(server, "CREATE TABLE shop.other (id bigint)"),
        ):
            assert told.code == "STORAGE_UNAVAILABLE", told
            assert "try again" in told.text
        with pytest.raises(RESTError, match="storage"):
            iceberg(server).load_table("shop.t").transaction().set_properties(
                {"a": "b"}
            ).commit_transaction()
        assert server.process.poll() is None
        s3_gate.open()
        eventually(lambda: server.run("sql", INSERT).returncode == 0)
        assert rows(server, COUNT) == [(2,)]
    finally:
        assert server.stop() == 0


@pytest.mark.s3
def test_a_short_outage_of_s3_is_waited_out(
    embedded_s3: EmbeddedS3, s3_gate: Gate, tmp_path: Path
) -> None:
    server = Server(
        tmp_path / "home",
        *("--port", "0", "--no-samples", "--storage", "s3"),
        **s3_settings(embedded_s3, s3_gate.port, "blink"),
    )
    try:
        run(server, "CREATE SCHEMA shop")
        s3_gate.shut()
        reopened = time.monotonic()
        threading.Timer(1.0, s3_gate.open).start()
        run(server, "CREATE TABLE shop.t (id bigint)")
        assert time.monotonic() - reopened >= 1.0
    finally:
        assert server.stop() == 0


def test_a_start_without_s3(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {
        "HEADWATER_S3__ENDPOINT": f"http://127.0.0.1:{port}",
        "HEADWATER_S3__ACCESS_KEY_ID": "somebody",
        "HEADWATER_S3__SECRET_ACCESS_KEY": "a-secret-word",
    }
    home = tmp_path / "home"
    done = command(
        home,
        *("up", "--home", str(home), "--port", "0", "--quiet", "--storage", "s3"),
        env={**environment(home), **settings},
    )
    assert done.returncode == 3
    assert done.stderr.startswith("STORAGE_UNAVAILABLE: "), done.stderr
    assert "try again" in done.stderr
    assert "a-secret-word" not in done.stderr


def test_a_metastore_with_damaged_pages(tmp_path: Path) -> None:
    home = tmp_path / "home"
    server = Server(home, "--port", "0", "--no-samples")
    run(server, "CREATE SCHEMA shop")
    assert server.stop() == 0
    file = home / "metastore.db"
    damaged = file.read_bytes()[:4096] + b"\xde\xad\xbe\xef" * (file.stat().st_size // 4 - 1024)
    file.write_bytes(damaged)
    done = command(home, "up", "--home", str(home), "--port", "0", "--quiet", "--no-samples")
    assert done.returncode == 3, done.stderr
    assert done.stderr.startswith("METASTORE_CORRUPT: "), done.stderr
    assert "backup" in done.stderr
    assert file.read_bytes() == damaged


def s3_settings(embedded: EmbeddedS3, port: int, prefix: str) -> dict[str, str]:
    endpoint = embedded.endpoint
    return {
        "HEADWATER_S3__ENDPOINT": f"http://127.0.0.1:{port}",
        "HEADWATER_S3__ACCESS_KEY_ID": endpoint.access_key_id,
        "HEADWATER_S3__SECRET_ACCESS_KEY": endpoint.secret_access_key,
        "HEADWATER_S3__ROLE_ARN": embedded.role_arn,
        "HEADWATER_S3__PREFIX": prefix,
    }
