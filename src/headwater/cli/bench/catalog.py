"""loadTable latency and commit throughput over Iceberg REST, as a foreign client sees them."""

from __future__ import annotations

import statistics
import threading
import time
import uuid
from typing import Any

import httpx2

from headwater.cli.bench.lake import Server
from headwater.errors import ErrorCode, error

SCHEMA = {
    "type": "struct",
    "schema-id": 0,
    "fields": [
        {"id": number, "name": f"column_{number}", "type": "string", "required": False}
        for number in range(1, 17)
    ],
}


def measure(server: Server, tables: int, seconds: float) -> dict[str, Any]:
    """Makes `tables` tables, loads one 300 times, then commits to all at once for some seconds."""
    with _client(server) as client:
        base = f"{server.ready['iceberg_uri']}/v1/lake/namespaces"
        _expect(client.post(base, json={"namespace": ["bench"], "properties": {}}))
        locations = {}
        for number in range(tables):
            request = {"name": f"table_{number}", "schema": SCHEMA}
            created = _expect(client.post(f"{base}/bench/tables", json=request))
            url = f"{base}/bench/tables/table_{number}"
            locations[url] = created.json()["metadata"]["location"]
        loads = []
        for _ in range(300):
            started = time.perf_counter()
            _expect(client.get(url))
            loads.append((time.perf_counter() - started) * 1000)
    counts, latencies, elapsed = _commit_all(server, locations, seconds)
    return {
        "load_table_milliseconds": {
            "median": round(statistics.median(loads), 2),
            "p95": round(sorted(loads)[int(len(loads) * 0.95)], 2),
        },
        "commits": {
            "tables": tables,
            "seconds": round(elapsed, 2),
            "count": sum(counts),
            "per_second": round(sum(counts) / elapsed, 1),
            "median_milliseconds": round(statistics.median(latencies), 2),
        },
    }


def _commit_all(
    server: Server, locations: dict[str, str], seconds: float
) -> tuple[list[int], list[float], float]:
    counts = [0] * len(locations)
    latencies: list[float] = []
    failures: list[BaseException] = []
    started = time.perf_counter()

    def work(index: int, url: str, location: str) -> None:
        try:
            with _client(server) as client:
                parent: int | None = None
                while time.perf_counter() - started < seconds:
                    begun = time.perf_counter()
                    parent = _append(client, url, location, parent, counts[index])
                    latencies.append((time.perf_counter() - begun) * 1000)
                    counts[index] += 1
        except BaseException as exc:
            failures.append(exc)

    threads = [
        threading.Thread(target=work, args=(index, url, location))
        for index, (url, location) in enumerate(locations.items())
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return counts, latencies, time.perf_counter() - started


def _append(client: httpx2.Client, url: str, location: str, parent: int | None, number: int) -> int:
    """One append as an engine commits it: a snapshot and the move of `main` to it."""
    snapshot = uuid.uuid4().int >> 65
    manifest_list = f"{location}/metadata/snap-{snapshot}.avro"
    body = {
        "requirements": [{"type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": parent}],
        "updates": [
            {
                "action": "add-snapshot",
                "snapshot": {
                    "snapshot-id": snapshot,
                    **({"parent-snapshot-id": parent} if parent is not None else {}),
                    "sequence-number": number + 1,
                    "timestamp-ms": int(time.time() * 1000),
                    "manifest-list": manifest_list,
                    "summary": {"operation": "append"},
                    "schema-id": 0,
                },
            },
            {
                "action": "set-snapshot-ref",
                "ref-name": "main",
                "type": "branch",
                "snapshot-id": snapshot,
            },
        ],
    }
    _expect(client.post(url, json=body))
    return snapshot


def _client(server: Server) -> httpx2.Client:
    return httpx2.Client(headers={"Authorization": f"Bearer {server.ready['token']}"}, timeout=60)


def _expect(response: httpx2.Response) -> httpx2.Response:
    if response.status_code >= 300:
        raise error(
            ErrorCode.INTERNAL_ERROR,
            f"{response.request.method} {response.request.url.path} answered "
            f"{response.status_code}: {response.text[:500]}",
        )
    return response
