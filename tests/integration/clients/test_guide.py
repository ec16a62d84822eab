"""Every snippet of docs/guide/clients.md runs against a real server."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import duckdb
import pytest

from headwater.settings import child_environment
from integration.clients.lake import Lake

ROOT = Path(__file__).parents[3]
GUIDE = (ROOT / "docs" / "guide" / "clients.md").read_text()


def blocks(language: str) -> dict[str, str]:
    """The fenced blocks of a language by the heading above them."""
    found = {}
    for section in GUIDE.split("\n## ")[1:]:
        title = section.splitlines()[0]
        if match := re.search(rf"```{language}\n(.*?)```", section, re.DOTALL):
            found[title] = match[1]
    return found


@pytest.fixture(scope="module")
def airlines(lake: Lake) -> Iterator[None]:
    lake.rows("CREATE SCHEMA sample")
    rows = "SELECT 'AA' AS carrier, 'American' AS name"
    lake.rows(f"CREATE TABLE sample.airlines WITH (format_version = 2) AS {rows}")
    yield
    lake.rows("DROP SCHEMA sample CASCADE")


@pytest.mark.usefixtures("airlines")
@pytest.mark.parametrize("title", blocks("python"))
def test_python_snippets_print_the_row(lake: Lake, title: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", blocks("python")[title]],
        env=child_environment(HEADWATER_HOME=str(lake.home)),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "American" in done.stdout


@pytest.mark.usefixtures("airlines")
def test_the_duckdb_snippet(lake: Lake) -> None:
    sql = blocks("sql")["DuckDB"].replace("the token", lake.tokens["admin"])
    sql = sql.replace("http://127.0.0.1:8420/iceberg", lake.iceberg_uri)
    with duckdb.connect(config={"allow_unsigned_extensions": "true"}) as connection:
        for name in ("avro", "httpfs", "iceberg"):  # from their wheels, instead of INSTALL
            package = Path(str(import_module(f"duckdb_extension_{name}").__file__)).parent
            connection.execute(f"LOAD '{next(package.rglob('*.duckdb_extension'))}'")
        *statements, last = [part for part in sql.split(";\n") if part.strip()]
        for statement in statements:
            if not statement.startswith(("INSTALL", "LOAD")):
                connection.execute(statement)
        assert connection.execute(last).fetchall() == [("American",)]


def test_the_dbt_profile_is_the_one_that_is_tested() -> None:
    profile = Path(__file__).parent / "dbt_project" / "profiles.yml"
    assert blocks("yaml")["dbt"] == profile.read_text()


def test_the_trino_cli_snippet_names_the_authority(lake: Lake) -> None:
    path = re.search(r"~/\.headwater/(\S+)", blocks("sh")["Trino CLI"])
    assert path is not None
    assert os.path.samefile(lake.home / path[1], lake.ca)
