"""Requests to other catalogs: addresses, limits, redirects."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from headwater.catalog.linked.definition import below, schema_name
from headwater.catalog.linked.http import HttpError, check_url, is_forbidden, send
from headwater.errors import HeadwaterError


@pytest.mark.parametrize(
    ("address", "forbidden"),
    [
        ("169.254.169.254", True), ("fe80::1%eth0", True), ("fd00:ec2::254", True),
        ("::ffff:169.254.169.254", True), ("0.0.0.0", True), ("::", True), ("224.0.0.1", True),
        ("255.255.255.255", True), ("127.0.0.1", False), ("::1", False), ("10.1.2.3", False),
        ("192.168.0.9", False), ("8.8.8.8", False), ("2001:4860:4860::8888", False),
    ],
)  # fmt: skip
def test_addresses(address: str, forbidden: bool) -> None:
    assert is_forbidden(address) is forbidden


@pytest.mark.parametrize(
    ("url", "secret"),
    [
        ("ftp://host", False), ("https://", False), ("https://u:p@host", False),
        ("https://host/?x=1", False), ("https://host/#x", False), ("https://host:0", False),
        ("https://host:99999", False), ("https://ho st/", False), ("https://host/\n", False),
        ("http://host/", True), ("http://127.0.0.1.evil.example/", True), ("x" * 3000, False),
    ],
)  # fmt: skip
def test_urls_that_are_refused(url: str, secret: bool) -> None:
    with pytest.raises(HeadwaterError):
        check_url(url, secret=secret)


def test_urls() -> None:
    assert check_url("https://host/api/catalog/", secret=True) == "https://host/api/catalog"
    assert check_url("http://127.0.0.1:8420/iceberg", secret=True)
    assert check_url("http://[::1]:8420", secret=True)
    assert check_url("http://host", secret=False)


def test_names_and_locations() -> None:
    assert schema_name("far", ("eu", "sales-2025")) == "far_eu_sales_2025"
    places = ("file:///data", "file:///data/inner", "s3://b/p")
    assert below("file:///data/inner/x", places) == "file:///data/inner"
    assert below("file:///data2/x", places) is None
    assert below("s3://b/p2/x", places) is None


Speak = Callable[[socket.socket], None]


@pytest.fixture
def speaking() -> Iterator[Callable[[Speak], str]]:
    """Starts servers that say what they are told once somebody has asked."""
    listening: list[socket.socket] = []

    def start(speak: Speak) -> str:
        server = socket.create_server(("127.0.0.1", 0))
        listening.append(server)

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                try:
                    speak(connection)
                except OSError:
                    return

        threading.Thread(target=serve, daemon=True).start()
        return f"http://127.0.0.1:{server.getsockname()[1]}/x"

    yield start
    for server in listening:
        server.close()


def _get(url: str, seconds: float = 5.0, most: int = 1024 * 1024) -> bytes:
    return send("GET", url, headers={}, seconds=seconds, most=most).body


def test_an_answer(speaking: Callable[[Speak], str]) -> None:
    url = speaking(lambda it: it.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"))
    assert _get(url) == b"hi"


def test_a_redirect_is_an_answer(speaking: Callable[[Speak], str]) -> None:
    url = speaking(
        lambda it: it.sendall(b"HTTP/1.1 302 Found\r\nlocation: /y\r\ncontent-length: 0\r\n\r\n")
    )
    assert send("GET", url, headers={}, seconds=5, most=10).status == 302


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n"])
def test_a_slow_answer_ends_in_time(speaking: Callable[[Speak], str], head: bytes) -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(head)
        for _ in range(100):
            connection.sendall(b"H")
            time.sleep(0.05)

    began = time.monotonic()
    with pytest.raises(HttpError, match="within"):
        _get(speaking(drip), seconds=0.5)
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhi",
        b"garbage\r\n\r\n",
        b"",
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"x%d: y\r\n" % n for n in range(500)) + b"\r\n",
    ],
)
def test_broken_answers(speaking: Callable[[Speak], str], said: bytes) -> None:
    with pytest.raises(HttpError):
        _get(speaking(lambda it: it.sendall(said)))


def test_a_limit_on_size(speaking: Callable[[Speak], str]) -> None:
    def flood(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(1000):
            connection.sendall(b"x" * 65536)

    with pytest.raises(HttpError, match="larger"):
        _get(speaking(flood))


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(HttpError, match="does not answer"):
        _get(f"http://127.0.0.1:{port}/")
    with pytest.raises(HttpError, match="no catalog"):
        _get("http://169.254.169.254/latest")
