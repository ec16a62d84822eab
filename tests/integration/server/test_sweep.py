"""Files that no table refers to: shown and removed by `headwater catalog sweep`."""

from __future__ import annotations

import json
import os
import time

import httpx2


def test_old_leftovers_go_and_tables_stay(start, tmp_path):
    server = start(tmp_path / "home")
    for statement in (
        "CREATE SCHEMA s",
        "CREATE TABLE s.t (id bigint)",
        "INSERT INTO s.t VALUES (1)",
    ):
        assert server.run("sql", statement).returncode == 0
    [folder] = (server.home / "warehouse").iterdir()
    old, young = folder / "data" / "old.parquet", folder / "data" / "young.parquet"
    for file in (old, young):
        file.write_bytes(b"left behind")
    yesterday = time.time() - 25 * 3600
    for file in folder.rglob("*"):
        if file.is_file() and file != young:
            os.utime(file, (yesterday, yesterday))

    dry = server.run("catalog", "sweep", "--dry-run")
    assert dry.stdout.split() == [f"file://{old}"]
    assert "1 file without a table would be removed (11 bytes)" in dry.stderr
    assert old.exists()
    done = json.loads(server.run("catalog", "sweep", "--json").stdout)
    assert (done["count"], done["deleted"], done["left_alone"]) == (1, True, [])
    assert not old.exists()
    assert young.exists()
    assert "1" in server.run("sql", "SELECT id FROM s.t", "--format", "csv").stdout

    server.run("sql", "CREATE USER guest")
    token = server.run("token", "--user", "guest").stdout.strip()
    refused = httpx2.post(
        f"{server.ready['url']}/api/v1/sweeps",
        json={"dry_run": True},
        headers={"authorization": f"Bearer {token}"},
        trust_env=False,
    )
    assert (refused.status_code, refused.json()["code"]) == (403, "PERMISSION_DENIED")
