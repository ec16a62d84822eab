"""Uploads larger than memory: streamed to disk, stopped at will, refused before they are sent.

96 MiB here; `make test-large-upload` sends 5 GiB (HEADWATER_TEST_UPLOAD_MIB).
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import psutil
import pytest

from integration.server.conftest import Server, eventually

MIB = 1024**2
SIZE = int(os.environ.get("HEADWATER_TEST_UPLOAD_MIB", "96")) * MIB
LIMIT = SIZE + MIB
GROWTH = 64 * MIB
"""What an upload of any size may add to the server's memory."""

LINE = b"12345,Amsterdam,2024-05-17,some text of a usual length,98765.43\n"
HEADER = b"id,city,day,note,amount\n"
PIECE = LINE * (MIB // len(LINE))

pytestmark = pytest.mark.timeout(1800)


class Watch:
    """The most resident memory that a process had while it was watched."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self.before = self.most = self._process.memory_info().rss
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(0.02):
            self.most = max(self.most, self._process.memory_info().rss)

    @property
    def growth(self) -> int:
        return self.most - self.before


class Site:
    def __init__(self, server: Server) -> None:
        self.server = server
        self.token = server.ready["token"]
        self.http = httpx2.Client(
            base_url=server.ready["url"],
            headers={"authorization": f"Bearer {self.token}"},
            timeout=600,
            trust_env=False,
        )

    def spooled(self) -> int:
        folder = self.server.home / "spool" / "uploads"
        return sum(path.stat().st_size for path in folder.iterdir())

    def send(self, content: Iterator[bytes], size: int | None = None) -> httpx2.Response:
        headers = {} if size is None else {"content-length": str(size)}
        return self.http.post(
            "/api/v1/uploads", params={"name": "large.csv"}, content=content, headers=headers
        )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    server = Server(
        tmp_path_factory.mktemp("large") / "home",
        *("--port", "0", "--no-samples"),
        HEADWATER_LIMITS__UPLOAD_BYTES=str(LIMIT),
    )
    made = Site(server)
    small = made.send(iter([HEADER, LINE]))
    made.http.delete(f"/api/v1/uploads/{small.json()['id']}")
    yield made
    made.http.close()
    assert server.stop() == 0


def content(size: int) -> Iterator[bytes]:
    """A CSV file of that many bytes, never in memory as a whole."""
    yield HEADER
    left = size - len(HEADER)
    while left > 0:
        piece = PIECE if left >= len(PIECE) else (PIECE[: left // len(LINE) * len(LINE)] or b"\n")
        yield piece[:left]
        left -= len(piece[:left])


def test_an_upload_is_streamed_to_disk(site: Site) -> None:
    started = time.monotonic()
    with Watch(site.server.process.pid) as watch:
        answer = site.send(content(SIZE), SIZE)
    seconds = time.monotonic() - started
    assert answer.status_code == 201, answer.text
    assert answer.json()["bytes"] == SIZE
    told = f"{SIZE / MIB:.0f} MiB in {seconds:.1f} s, +{watch.growth / MIB:.1f} MiB resident"
    assert watch.growth < GROWTH
    path = f"/api/v1/uploads/{answer.json()['id']}"
    started = time.monotonic()
    with Watch(site.server.process.pid) as watch:
        look = site.http.post(f"{path}/preview", json={}).json()
    told += f"; previewed in {time.monotonic() - started:.1f} s, +{watch.growth / MIB:.1f} MiB"
    sys.stderr.write(f"\n{told}\n")
    assert [column["type"] for column in look["columns"]][:3] == ["bigint", "varchar", "date"]
    assert watch.growth < GROWTH
    assert site.http.delete(path).status_code == 204
    assert site.spooled() == 0


def test_one_that_is_stopped_leaves_nothing(site: Site) -> None:
    url = urlsplit(str(site.http.base_url))
    assert url.hostname is not None
    with socket.create_connection((url.hostname, url.port or 80)) as line:
        line.sendall(_head(site, SIZE))
        line.sendall(HEADER)
        for _ in range(16):
            line.sendall(PIECE)
        eventually(lambda: site.spooled() > 0)
    eventually(lambda: site.spooled() == 0)


def test_one_that_is_too_large_is_refused_before_it_is_sent(site: Site) -> None:
    url = urlsplit(str(site.http.base_url))
    assert url.hostname is not None
    with socket.create_connection((url.hostname, url.port or 80), timeout=10) as line:
        line.sendall(_head(site, LIMIT + 1))
        answer = ""
        while "upload_bytes" not in answer and (part := line.recv(65536)):
            answer += part.decode()
    assert answer.startswith("HTTP/1.1 413"), answer
    assert "a file may have" in answer
    assert "limits.upload_bytes" in answer


def test_one_of_unknown_size_is_stopped_at_the_limit(site: Site) -> None:
    with Watch(site.server.process.pid) as watch:
        answer = site.send(content(LIMIT + 32 * MIB))
    assert answer.status_code == 413
    assert watch.growth < GROWTH
    assert site.spooled() == 0


def test_the_command_line_says_so_before_it_sends(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "large.csv"
    with file.open("wb") as made:
        made.truncate(LIMIT + 1)
    started = time.monotonic()
    refused = site.server.run("catalog", "load", str(file), "-t", "a.b")
    assert refused.returncode == 1
    assert refused.stderr.startswith("EXCEEDED_STATEMENT_SIZE: large.csv has"), refused.stderr
    assert time.monotonic() - started < 20


def _head(site: Site, size: int) -> bytes:
    lines = (
        "POST /api/v1/uploads?name=large.csv HTTP/1.1",
        f"Host: {urlsplit(str(site.http.base_url)).netloc}",
        f"Authorization: Bearer {site.token}",
        "Content-Type: application/octet-stream",
        f"Content-Length: {size}",
    )
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
