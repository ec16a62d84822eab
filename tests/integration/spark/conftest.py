"""One server for all tests of Spark clients, and sessions of real ones."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

import releases_fixture
from integration.clients.lake import Lake, running_lake

pytest.importorskip("pyspark.sql.connect.session")

from pyspark.sql.connect.client.core import DefaultChannelBuilder
from pyspark.sql.connect.session import SparkSession


class Channel(DefaultChannelBuilder):
    """A channel that trusts the server's own authority.

    gRPC reads GRPC_DEFAULT_SSL_ROOTS_FILE_PATH once a process, and tests start several servers.
    """

    def __init__(self, url: str, authority: bytes) -> None:
        super().__init__(url)
        self._authority = authority

    def toChannel(self) -> grpc.Channel:
        credentials = grpc.ssl_channel_credentials(self._authority)
        if self.token is not None:
            credentials = grpc.composite_channel_credentials(
                credentials, grpc.access_token_call_credentials(self.token)
            )
        return self._secure_channel(self.endpoint, credentials)


class Door:
    """The Spark Connect endpoint of a running server."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        self.authority = lake.ca.read_bytes()
        ready = json.loads((lake.home / "ready.json").read_text())
        self.endpoint = ready["spark_connect"].split("/;")[0]
        self._open: list[Any] = []

    def url(self, user: str = "admin", **parameters: str) -> str:
        more = "".join(f";{key}={value}" for key, value in parameters.items())
        return f"{self.endpoint}/;use_ssl=true;token={self.lake.tokens[user]}{more}"

    def connect(self, user: str = "admin", **parameters: str) -> SparkSession:
        """A new session of a user."""
        return self.open(self.url(user, **parameters))

    def open(self, url: str) -> SparkSession:
        session = SparkSession(Channel(url, self.authority))
        self._open.append(session)
        # What makes functions of Python looks for the session here.
        SparkSession._active_session.session = session
        return session

    def close(self) -> None:
        for session in self._open:
            session.client.close()
        self._open.clear()


@pytest.fixture(scope="session")
def spark_lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    """A running server; tests must leave its tables in `shop` as they found them."""
    with pytest.MonkeyPatch.context() as patch:
        # `requests`, which prepares the tables, prefers these to the authority that it was given.
        for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
            patch.delenv(name, raising=False)
        patch.setenv("NO_PROXY", "localhost,127.0.0.1")
        releases = os.environ.get("HEADWATER_RELEASES", str(releases_fixture.ROOT))
        folder = tmp_path_factory.mktemp("spark")
        with running_lake(folder, HEADWATER_RELEASES=releases) as running:
            yield running


@pytest.fixture(scope="session")
def sail() -> None:
    """Skips the test where Sail is not installed."""
    releases_fixture.installed_release("sail")


@pytest.fixture(scope="session")
def real_spark() -> None:
    """Skips the test where Apache Spark is not installed."""
    releases_fixture.installed_release("spark-4.1")


@pytest.fixture
def door(spark_lake: Lake) -> Iterator[Door]:
    """The endpoint; sessions are closed after each test."""
    opened = Door(spark_lake)
    yield opened
    opened.close()


@pytest.fixture
def spark(door: Door) -> SparkSession:
    """A new session of the administrator."""
    return door.connect()


@pytest.fixture
def ellen(door: Door) -> SparkSession:
    """A new session of the analyst, who sees rows of the EU and masked cards."""
    return door.connect("ellen")


@pytest.fixture
def session_id() -> Callable[[], str]:
    """Makes session ids."""
    return lambda: str(uuid.uuid4())
