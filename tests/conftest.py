"""Fixtures that every test folder shares."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

import postgres
from headwater.store.database import Database
from headwater.store.migrate import migrate

# The same examples in every run: a red build is then somebody's change, not chance. To search on,
# run with HYPOTHESIS_PROFILE=default.
settings.register_profile("same", derandomize=True, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

_database_names = (f"test_{number}" for number in itertools.count())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what needs Postgres, so that `-m 'not postgres'` leaves it out."""
    for item in items:
        callspec = getattr(item, "callspec", None)
        if callspec is not None and "postgres" in callspec.params.values():
            item.add_marker(pytest.mark.postgres)


@pytest.fixture
def tmp_home(tmp_path: Path) -> Path:
    """An empty home folder."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    return home


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.PostgresServer]:
    """A real Postgres server, with a migrated database named `migrated` to copy."""
    if postgres.find_binaries() is None:
        reason = "no Postgres server found: run tests/setup.sh (it installs Debian's postgresql)"
        if postgres.REQUIRE_ALL:
            pytest.fail(reason)
        pytest.skip(reason)
    with postgres.running_server() as server:
        server.execute("CREATE DATABASE migrated")
        database = Database(_sqlalchemy_url(server.url("migrated")))
        migrate(database)
        database.close()
        yield server


@pytest.fixture
def postgres_url(postgres_server: postgres.PostgresServer) -> str:
    """The URL of a fresh, migrated Postgres database, as `--metastore` takes it."""
    name = next(_database_names)
    postgres_server.execute(f"CREATE DATABASE {name} TEMPLATE migrated")
    return postgres_server.url(name)


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A migrated metastore; every test that takes it runs on SQLite and on Postgres."""
    if request.param == "postgres":
        opened = Database(_sqlalchemy_url(request.getfixturevalue("postgres_url")))
    else:
        opened = Database(f"sqlite:///{tmp_path / 'metastore.db'}")
        migrate(opened)
    yield opened
    opened.close()


def _sqlalchemy_url(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg://", 1)
