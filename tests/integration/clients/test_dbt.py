"""dbt with its Trino adapter: seed, table, view, incremental model, tests, documentation."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from headwater.settings import child_environment
from integration.clients.lake import ANALYST, Lake

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PROJECT = Path(__file__).parent / "dbt_project"


def dbt(lake: Lake, folder: Path, user: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs dbt in a copy of the project."""
    environment = child_environment(
        HEADWATER_TOKEN=lake.tokens[user],
        HEADWATER_USER=user,
        HEADWATER_HOST=lake.host,
        HEADWATER_PORT=str(lake.port),
        HEADWATER_CA=str(lake.ca),
        HOME=str(folder),
        DO_NOT_TRACK="1",
    )
    return subprocess.run(
        [
            *(sys.executable, "-m", "dbt.cli.main", *arguments),
            *("--project-dir", str(folder), "--profiles-dir", str(folder)),
        ],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return Path(shutil.copytree(PROJECT, tmp_path / "project"))


def test_build_twice_and_document(lake: Lake, project: Path) -> None:
    try:
        first = dbt(lake, project, "admin", "build")
        assert first.returncode == 0, first.stdout + first.stderr
        assert "ERROR=0" in first.stdout
        assert lake.rows("SELECT * FROM dbt_shop.by_region ORDER BY 1") == [
            ["EU", 2, Decimal("40.75")],
            ["US", 1, Decimal("20.00")],
        ]
        again = dbt(lake, project, "admin", "build", "--vars", "{run: 2}")
        assert again.returncode == 0, again.stdout + again.stderr
        assert lake.rows("SELECT id, run FROM dbt_shop.events ORDER BY id") == [
            [1, 1],
            [2, 1],
            [3, 2],
        ]
        documented = dbt(lake, project, "admin", "docs", "generate")
        assert documented.returncode == 0, documented.stdout + documented.stderr
        catalog = json.loads((project / "target" / "catalog.json").read_text())
        table = catalog["nodes"]["model.shop.paid_orders"]
        assert table["metadata"]["comment"] == "Orders with what was paid for them."
        assert table["columns"]["id"]["comment"] == "Number of the order."
        assert table["columns"]["paid"]["type"] == "decimal(10,2)"
    finally:
        lake.rows("DROP SCHEMA IF EXISTS lake.dbt_shop CASCADE")


def test_an_analyst_may_not_build(lake: Lake, project: Path) -> None:
    refused = dbt(lake, project, ANALYST, "seed")
    assert refused.returncode != 0
    assert "PERMISSION_DENIED" in refused.stdout
    assert lake.rows("SHOW SCHEMAS LIKE 'dbt_shop'") == []


def test_an_analyst_shows_masked_rows_only(lake: Lake, project: Path) -> None:
    inline = "select card from lake.shop.orders order by id"
    shown = dbt(lake, project, ANALYST, "show", "--inline", inline, "--output", "json")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "*****1111" in shown.stdout
    assert "4000-" not in shown.stdout
