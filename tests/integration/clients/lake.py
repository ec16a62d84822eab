"""A running `headwater up` with one governed table, for tests of real clients over TLS."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trino

from headwater.settings import child_environment

REQUIRE_ALL = os.environ.get("HEADWATER_TESTS_REQUIRE_ALL") == "1"

ANALYST = "ellen"
"""Sees rows of the region EU only, cards but for their last four digits, and no `secret`."""

PREPARE = """
CREATE SCHEMA lake.shop;
CREATE TABLE shop.orders (
  id bigint NOT NULL, region varchar COMMENT 'where', card varchar, amount decimal(10, 2),
  placed timestamp(6), tags array(varchar)
) COMMENT 'one row an order';
INSERT INTO shop.orders VALUES
  (1, 'EU', '4000-1111', 10.50, TIMESTAMP '2026-01-01 10:00:00', ARRAY['a', 'b']),
  (2, 'US', '4000-2222', 20.00, TIMESTAMP '2026-01-02 10:00:00', ARRAY[]),
  (3, 'EU', '4000-3333', 30.25, NULL, NULL),
  (4, 'US', '4000-4444', 40.00, TIMESTAMP '2026-01-04 10:00:00', ARRAY['c']);
CREATE TABLE shop.secret (x integer);
INSERT INTO shop.secret VALUES (42);
CREATE VIEW shop.totals AS
  SELECT region, sum(amount) AS total FROM lake.shop.orders GROUP BY region;
CREATE USER ellen;
GRANT SELECT ON shop.orders TO ellen;
CREATE ROW FILTER eu_only ON shop.orders USING (region = 'EU') TO ellen;
CREATE COLUMN MASK last_four ON shop.orders (card) USING show-last-4 TO ellen
"""

ADMIN_CARDS = ["4000-1111", "4000-2222", "4000-3333", "4000-4444"]
ANALYST_CARDS = ["*****1111", "*****3333"]


@dataclass(frozen=True)
class Lake:
    """Addresses and tokens of a running server."""

    home: Path
    host: str
    port: int
    ca: Path
    tokens: dict[str, str]
    iceberg_uri: str

    def connect(self, user: str = "admin", schema: str = "shop", **options: object):
        """A connection of the Python client."""
        return trino.dbapi.connect(
            host=self.host,
            port=self.port,
            http_scheme="https",
            verify=str(self.ca),
            user=user,
            auth=trino.auth.JWTAuthentication(self.tokens[user]),
            catalog="lake",
            schema=schema,
            **options,
        )

    def rows(self, sql: str, user: str = "admin", **options: object) -> list[list[object]]:
        """All rows of one statement through the Python client."""
        with self.connect(user, **options) as connection:
            found: list[list[object]] = connection.cursor().execute(sql).fetchall()
            return found


@contextmanager
def running_lake(folder: Path, **settings: str) -> Iterator[Lake]:
    """Starts a server in a new home below `folder`, fills it, and stops it at the end.

    `settings` are HEADWATER_ variables.
    """
    home = folder / "home"
    log = (folder / "server.log").open("wb")
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "headwater", "up", "--home", str(home)),
            *("--port", "0", "--no-samples", "--quiet"),
        ],
        env=child_environment(**settings),
        stdout=subprocess.PIPE,
        stderr=log,
    )
    log.close()
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line.startswith(b"READY"), (folder / "server.log").read_text()
        ready = json.loads((home / "ready.json").read_text())
        tokens = {"admin": ready["token"]}
        lake = Lake(
            home,
            ready["trino"]["host"],
            ready["trino"]["port"],
            Path(ready["ca_cert"]),
            tokens,
            ready["iceberg_uri"],
        )
        for statement in PREPARE.split(";\n"):
            lake.rows(statement)
        tokens[ANALYST] = _token(home, ANALYST)
        yield lake
    finally:
        process.terminate()
        process.wait(timeout=30)
        process.stdout.close()


def _token(home: Path, user: str) -> str:
    command = [sys.executable, "-m", "headwater", "token", "--user", user]
    environment = child_environment(HEADWATER_HOME=str(home))
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
