"""Many clients that open pages, run queries and hang up at random; the server forgets them all.

40 clients for a few seconds here; HEADWATER_CROWD=200 has the whole crowd for a minute.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import psutil
import pytest

from integration.server.conftest import Server, eventually

CLIENTS = int(os.environ.get("HEADWATER_CROWD", "40"))
SECONDS = 60.0 if CLIENTS >= 200 else 6.0
SLACK_BYTES = 100 * 1024**2
QUERIES = (
    "SELECT 1",
    "SELECT n, rpad('x', 200, 'y') AS s FROM UNNEST(sequence(1, 20000)) AS t(n)",
    "SELECT count(*) FROM UNNEST(sequence(1, 3000)) a(x), UNNEST(sequence(1, 3000)) b(y)",
    "SELECT nothing FROM nowhere.at_all",
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of its own that soon forgets clients and results."""
    running = Server(
        tmp_path_factory.mktemp("crowd") / "home",
        "--port",
        "0",
        "--no-samples",
        HEADWATER_LIMITS__RESULT_SECONDS="3",
        HEADWATER_LIMITS__CLIENT_SECONDS="3",
    )
    yield running
    assert running.stop() == 0


class Crowd:
    """Clients with minds of their own; what they saw that no client should see."""

    def __init__(self, server: Server, seed: int) -> None:
        self.url = server.ready["url"]
        self.headers = {"authorization": f"Bearer {server.ready['token']}"}
        self.random = random.Random(seed)
        self.wrong: list[str] = []
        self.done = 0

    async def meet(self, clients: int, seconds: float) -> None:
        until = time.monotonic() + seconds
        await asyncio.gather(*(self.live(until) for _ in range(clients)))

    async def live(self, until: float) -> None:
        while time.monotonic() < until:
            limits = httpx2.Limits(max_connections=4)
            async with httpx2.AsyncClient(
                base_url=self.url,
                headers=self.headers,
                timeout=60,
                trust_env=False,
                limits=limits,
            ) as client:
                visit = asyncio.create_task(self.visit(client))
                hangs_up = self.random.random() < 0.5
                patience = self.random.uniform(0.01, 1.0) if hangs_up else 60.0
                done, _ = await asyncio.wait({visit}, timeout=patience)
                if not done:
                    visit.cancel()
                try:
                    await visit
                    self.done += 1
                except asyncio.CancelledError:
                    continue
                except httpx2.HTTPError as exc:
                    self.wrong.append(f"{type(exc).__name__}: {exc}")

    async def visit(self, client: httpx2.AsyncClient) -> None:
        for path in ("/", "/api/v1/whoami", "/api/v1/schemas", "/api/v1/statements"):
            self.check(await client.get(path))
        for _ in range(self.random.randrange(4)):
            sql = self.random.choice(QUERIES)
            made = self.check(await client.post("/api/v1/statements", json={"sql": sql}))
            if made.status_code != 202:
                continue
            path = f"/api/v1/statements/{made.json()['id']}"
            if self.random.random() < 0.2:
                self.check(await client.delete(path))
            self.check(await client.get(path, params={"wait": 2}))
            self.check(await client.get(f"{path}/rows", params={"wait": 2, "limit": 1000}))
            self.check(await client.get(f"{path}/rows", params={"sort": "0:desc", "wait": 2}))
            async with client.stream("GET", f"{path}/download") as answer:
                self.check(answer)
                async for _part in answer.aiter_bytes():
                    if self.random.random() < 0.2:
                        break
        text = "SELECT * FROM "
        body = {"sql": text, "position": len(text)}
        self.check(await client.post("/api/v1/completions", json=body))

    def check(self, answer: httpx2.Response) -> httpx2.Response:
        # A page may not be built; a queue may be full. Nothing else may be the server's fault.
        expected = answer.status_code < 500 or (answer.url.path == "/")
        if not expected:
            self.wrong.append(f"{answer.status_code} of {answer.request.method} {answer.url}")
        return answer


@pytest.mark.timeout(120 + 10 * SECONDS)
def test_the_server_outlives_a_crowd_and_forgets_it(server: Server) -> None:
    process = psutil.Process(server.process.pid)
    # Two crowds load what is lazy, and fill caches and pools; a third must add nothing to that.
    for seed in (1, 2):
        gather(Crowd(server, seed))
        before = calm(server, process)
    crowd = Crowd(server, 3)
    gather(crowd)
    assert crowd.wrong == []
    assert crowd.done > 0
    after = calm(server, process)
    assert after.memory < before.memory + SLACK_BYTES, (before, after)
    # Connections to the metastore and threads for requests stay in pools of this size.
    assert after.files <= before.files + 40, (before, after)
    assert after.threads <= before.threads + 40, (before, after)
    logs = (server.home / "logs" / "headwater.log").read_text()
    assert "Traceback" not in logs, logs[logs.index("Traceback") - 500 :][:3000]


def gather(crowd: Crowd) -> None:
    """The crowd meets in a thread of its own: a browser of another test may loop in this one."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(crowd.meet(CLIENTS, SECONDS))).result()


class Level:
    """What the server holds when nobody asks anything."""

    def __init__(self, process: psutil.Process) -> None:
        self.memory = process.memory_info().rss
        self.threads = process.num_threads()
        self.files = process.num_fds()

    def __repr__(self) -> str:
        return f"{self.memory / 1e6:.0f} MB, {self.threads} threads, {self.files} files"


def calm(server: Server, process: psutil.Process) -> Level:
    """The level once everything was forgotten."""
    with httpx2.Client(
        base_url=server.ready["url"],
        headers={"authorization": f"Bearer {server.ready['token']}"},
        timeout=60,
        trust_env=False,
    ) as client:

        def quiet() -> bool:
            recent = client.get("/api/v1/statements", params={"limit": 1000}).json()
            return all(row["state"] in ("FINISHED", "FAILED", "CANCELED") for row in recent) and (
                all(row["sql"] is None for row in recent)
            )

        eventually(quiet, seconds=90)
    assert Path(f"/proc/{process.pid}").exists()
    return Level(process)
