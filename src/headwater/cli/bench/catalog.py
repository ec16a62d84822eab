"""loadTable latency and commit throughput over Iceberg REST, as a foreign client sees them."""

from __future__ import annotations

import http.client
import statistics
import threading
import time
import uuid
from typing import Any, Self
from urllib.parse import urlsplit

import orjson

from headwater.catalog.manifests import Entry, Status, write_manifest, write_manifest_list
from headwater.cli.bench.lake import Server
from headwater.errors import ErrorCode, error
from headwater.storage.fileio import LocalFileIO

Snapshot = dict[str, Any]

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
    with _Client(server) as client:
        client.post(client.base, {"namespace": ["bench"], "properties": {}})
        snapshots = {}
        for number in range(tables):
            request = {"name": f"table_{number}", "schema": SCHEMA}
            created = orjson.loads(client.post(f"{client.base}/bench/tables", request))
            url = f"{client.base}/bench/tables/table_{number}"
            snapshots[url] = _write_snapshots(server, created["metadata"], int(seconds * 60))
        loads = []
        for _ in range(300):
            started = time.perf_counter()
            client.get(url)
            loads.append((time.perf_counter() - started) * 1000)
    counts, latencies, elapsed = _commit_all(server, snapshots, seconds)
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
    server: Server, snapshots: dict[str, list[Snapshot]], seconds: float
) -> tuple[list[int], list[float], float]:
    counts = [0] * len(snapshots)
    latencies: list[float] = []
    failures: list[BaseException] = []
    started = time.perf_counter()

    def work(index: int, url: str, ready: list[Snapshot]) -> None:
        try:
            with _Client(server) as client:
                for snapshot in ready:
                    if time.perf_counter() - started >= seconds:
                        break
                    begun = time.perf_counter()
                    _append(client, url, snapshot)
                    latencies.append((time.perf_counter() - begun) * 1000)
                    counts[index] += 1
        except BaseException as exc:
            failures.append(exc)

    threads = [
        threading.Thread(target=work, args=(index, url, ready))
        for index, (url, ready) in enumerate(snapshots.items())
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return counts, latencies, time.perf_counter() - started


def _write_snapshots(server: Server, metadata: dict[str, Any], count: int) -> list[Snapshot]:
    """Appends that only wait for their commit: a manifest of one data file, and its list, each."""
    io = LocalFileIO(server.home / "warehouse")
    made: list[Snapshot] = []
    for number in range(1, count + 1):
        parent = made[-1]["snapshot-id"] if made else None
        snapshot_id = uuid.uuid4().int >> 65
        entry = Entry(
            status=Status.ADDED,
            snapshot_id=snapshot_id,
            sequence_number=number,
            file_sequence_number=number,
            spec_id=0,
            file={
                "content": 0,
                "file_path": f"{metadata['location']}/data/{snapshot_id}.parquet",
                "file_format": "PARQUET",
                "partition": {},
                "record_count": 1,
                "file_size_in_bytes": 1000,
            },
        )
        manifest = write_manifest(
            io,
            metadata,
            [entry],
            snapshot_id=snapshot_id,
            sequence_number=number,
            content=0,
            partition_type={"type": "record", "name": "r102", "fields": []},
            spec_id=0,
        )
        uri, _ = write_manifest_list(
            io,
            metadata,
            [manifest],
            snapshot_id=snapshot_id,
            parent_id=parent,
            sequence_number=number,
        )
        made.append(
            {
                "snapshot-id": snapshot_id,
                **({"parent-snapshot-id": parent} if parent is not None else {}),
                "sequence-number": number,
                "manifest-list": uri,
                "summary": {"operation": "append"},
                "schema-id": 0,
            }
        )
    return made


def _append(client: _Client, url: str, snapshot: Snapshot) -> None:
    """One append as an engine commits it: a snapshot and the move of `main` to it."""
    identifier = snapshot["snapshot-id"]
    parent = snapshot.get("parent-snapshot-id")
    snapshot["timestamp-ms"] = int(time.time() * 1000)  # no older than the commit before it
    body = {
        "requirements": [{"type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": parent}],
        "updates": [
            {"action": "add-snapshot", "snapshot": snapshot},
            {
                "action": "set-snapshot-ref",
                "ref-name": "main",
                "type": "branch",
                "snapshot-id": identifier,
            },
        ],
    }
    client.post(url, body)


class _Client:
    """One connection that is kept open, of as little code as can be: it is not what is measured."""

    def __init__(self, server: Server) -> None:
        address = urlsplit(server.ready["iceberg_uri"])
        assert address.hostname is not None
        self.base = f"{address.path}/v1/lake/namespaces"
        self._connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
        self._headers = {
            "Authorization": f"Bearer {server.ready['token']}",
            "Content-Type": "application/json",
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._connection.close()

    def get(self, path: str) -> bytes:
        """The body of the answer; raises when it is no success."""
        return self._ask("GET", path, None)

    def post(self, path: str, body: dict[str, Any]) -> bytes:
        """The body of the answer; raises when it is no success."""
        return self._ask("POST", path, orjson.dumps(body))

    def _ask(self, method: str, path: str, body: bytes | None) -> bytes:
        self._connection.request(method, path, body, self._headers)
        response = self._connection.getresponse()
        content = response.read()
        if response.status >= 300:
            raise error(
                ErrorCode.INTERNAL_ERROR,
                f"{method} {path} answered {response.status}: {content[:500]!r}",
            )
        return content
