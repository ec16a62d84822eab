"""Fills a schema with tables and measures what people wait for then; needs a running server.

    headwater up --home /tmp/many --port 0 --no-samples &
    python tools/many_tables.py --home /tmp/many --tables 10000

Tables are made by the Iceberg REST catalog, those that are there already are kept. Every answer is
asked for as admin and as `reader`, who holds SELECT on every tenth table and nothing else. Prints
the first answer and the median of seven in milliseconds; exits with 1 when one takes a second.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2

SCHEMA = "many"
ROUNDS = 7
BAR_MS = 1000.0
_FIELDS = [
    {"id": 1, "name": "id", "type": "long", "required": False},
    {"id": 2, "name": "name", "type": "string", "required": False},
    {"id": 3, "name": "made_at", "type": "timestamptz", "required": False},
]


class Client:
    """The server's API as one user."""

    def __init__(self, url: str, token: str) -> None:
        self.http = httpx2.Client(
            base_url=url,
            headers={"authorization": f"Bearer {token}"},
            timeout=300,
            trust_env=False,
        )

    def get(self, path: str, **params: Any) -> Any:
        """The JSON answer of a GET; raises for an error."""
        answer = self.http.get(path, params=params)
        answer.raise_for_status()
        return answer.json()

    def post(self, path: str, body: Any) -> Any:
        """The JSON answer of a POST; raises for an error."""
        answer = self.http.post(path, json=body)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def run(self, sql: str, dialect: str = "trino") -> int:
        """Runs a statement to its end and reads its rows; how many bytes they were."""
        made = self.post("/api/v1/statements", {"sql": sql, "dialect": dialect})
        path = f"/api/v1/statements/{made['id']}"
        while (state := self.get(path, wait=30))["state"] not in ("FINISHED", "FAILED"):
            pass
        if state["error"]:
            raise RuntimeError(f"{sql}: {state['error']}")
        return len(self.http.get(f"{path}/results", params={"format": "arrow"}).content)


def name_of(number: int) -> str:
    """A table's name: many share their beginnings, as in real lakes."""
    return f"{('orders', 'events', 'users', 'metrics')[number % 4]}_{number:05d}"


def fill(admin: Client, tables: int) -> None:
    """Makes what is missing of the schema, its tables and the reader's grants."""
    if SCHEMA not in [each["name"] for each in admin.get("/api/v1/schemas")]:
        admin.post("/api/v1/schemas", {"name": SCHEMA})
    there = {each["name"] for each in admin.get(f"/api/v1/schemas/{SCHEMA}/tables")}
    missing = [name_of(n) for n in range(tables) if name_of(n) not in there]

    def make(name: str) -> None:
        schema = {"type": "struct", "schema-id": 0, "fields": _FIELDS}
        admin.post(f"/iceberg/v1/lake/namespaces/{SCHEMA}/tables", {"name": name, "schema": schema})

    started = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(make, missing))
    if missing:
        seconds = time.monotonic() - started
        print(f"{len(missing)} tables made in {seconds:.0f} s", flush=True)
    if "reader" in json.dumps(admin.get("/api/v1/principals")):
        return
    admin.post("/api/v1/principals", {"kind": "user", "name": "reader"})
    started = time.monotonic()
    for number in range(0, tables, 10):
        grant = {
            "effect": "grant",
            "privileges": [{"privilege": "SELECT"}],
            "on": {"kind": "table", "name": f"{SCHEMA}.{name_of(number)}"},
            "to": [{"name": "reader", "kind": "user"}],
        }
        admin.post("/api/v1/grants", grant)
    print(f"{tables // 10} grants made in {time.monotonic() - started:.0f} s", flush=True)


def questions(client: Client, tables: int) -> dict[str, Callable[[], Any]]:
    """What people wait for, by name."""

    def complete(text: str, after: str = "") -> Any:
        return client.post("/api/v1/completions", {"sql": text + after, "position": len(text)})

    last = max(0, tables // 10 - 200)
    return {
        "home": lambda: client.get("/api/v1/onboarding"),
        "schemas": lambda: client.get("/api/v1/schemas"),
        "tree, first page": lambda: client.get("/api/v1/tree", schema=SCHEMA),
        "tree, last page": lambda: client.get("/api/v1/tree", schema=SCHEMA, offset=last),
        "tree with comments": lambda: client.get("/api/v1/tree", schema=SCHEMA, comments=True),
        "tree, filtered": lambda: client.get("/api/v1/tree", schema=SCHEMA, q="9998"),
        "search": lambda: client.get("/api/v1/find", q="events_009"),
        "search, every table": lambda: client.get("/api/v1/find", q="s"),
        "all tables, one answer": lambda: client.get(f"/api/v1/schemas/{SCHEMA}/tables"),
        "completion of a table": lambda: complete(f"SELECT * FROM {SCHEMA}.orders_0"),
        "completion without schema": lambda: complete("SELECT * FROM users_00"),
        "completion of a column": lambda: complete("SELECT t.", f" FROM {SCHEMA}.{name_of(0)} t"),
        "SHOW TABLES": lambda: client.run(f"SHOW TABLES FROM {SCHEMA}"),
        "SHOW TABLES LIKE": lambda: client.run(f"SHOW TABLES FROM {SCHEMA} LIKE 'users_0099%'"),
        "SHOW TABLES, Spark": lambda: client.run(f"SHOW TABLES IN {SCHEMA}", "spark"),
        "information_schema.tables": lambda: client.run(
            f"SELECT count(*) FROM information_schema.tables WHERE table_schema = '{SCHEMA}'"
        ),
        "columns of one table": lambda: client.run(
            "SELECT column_name FROM information_schema.columns "
            f"WHERE table_schema = '{SCHEMA}' AND table_name = '{name_of(0)}'"
        ),
        "a name that is wrong": lambda: client.http.post(
            "/api/v1/plan", json={"sql": f"SELECT * FROM {SCHEMA}.order_00001"}
        ),
        "table page": lambda: client.get(f"/api/v1/tables/{SCHEMA}.{name_of(0)}/overview"),
        "matrix, schemas": lambda: client.get("/api/v1/access-matrix"),
        "matrix, tables": lambda: client.get("/api/v1/access-matrix", schema=SCHEMA),
        "matrix, last tables": lambda: client.get(
            "/api/v1/access-matrix", schema=SCHEMA, offset=last
        ),
        "matrix, search": lambda: client.get("/api/v1/access-matrix", search="metrics_099"),
        "Iceberg REST listing": lambda: client.get(f"/iceberg/v1/lake/namespaces/{SCHEMA}/tables"),
    }


def main() -> int:
    """Fills, measures, prints; 1 when something takes a second."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--tables", type=int, default=10_000)
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    given = parser.parse_args()
    ready = json.loads((given.home / "ready.json").read_text())
    admin = Client(ready["url"], ready["token"])
    fill(admin, given.tables)
    token = admin.post("/api/v1/tokens", {"user": "reader"})["token"]
    figures: dict[str, dict[str, list[float]]] = {}
    for user, client in (("admin", admin), ("reader", Client(ready["url"], token))):
        for name, ask in questions(client, given.tables).items():
            taken = []
            for _ in range(ROUNDS + 1):
                started = time.perf_counter()
                ask()
                taken.append((time.perf_counter() - started) * 1000)
            figures.setdefault(name, {})[user] = [taken[0], statistics.median(taken[1:])]
            print(f"  {user}: {name}: {taken[0]:.0f} ms first", file=sys.stderr, flush=True)
    print(f"{'milliseconds, first / median':32}{'admin':>16}{'reader':>16}")
    for name, found in figures.items():
        cells = [f"{first:.0f} / {median:.0f}" for first, median in found.values()]
        print(f"{name:32}" + "".join(f"{cell:>16}" for cell in cells))
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1))
    slow = [n for n, found in figures.items() if any(max(f) >= BAR_MS for f in found.values())]
    if slow:
        print("a second or more:", ", ".join(slow), file=sys.stderr)
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
