"""When the server sweeps, and by which clock it tells a file's age."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from headwater.catalog.catalog import Catalog
from headwater.model.principal import SYSTEM
from headwater.server.sweeping import Sweeping
from headwater.settings import SweepSettings
from headwater.storage.fileio import LocalFileIO
from headwater.storage.warehouse import Warehouse
from headwater.store.database import Database
from headwater.store.migrate import migrate
from unit.catalog.conftest import Remembering
from unit.catalog.files import make_table


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    folder = tmp_path / "warehouse"
    folder.mkdir()
    database = Database(f"sqlite:///{tmp_path / 'metastore.db'}")
    migrate(database)
    yield Catalog(database, Warehouse(f"file://{folder}", LocalFileIO(folder)), Remembering())
    database.close()


def leak(catalog: Catalog) -> str:
    """A table with rows, and a file in its folder that nothing refers to."""
    table = make_table(catalog)
    table.append([1])
    uri = f"{table.metadata['location']}/data/leaked.parquet"
    catalog.warehouse.io.write_bytes(uri, b"lost")
    return uri


def swept(grace: float, interval: float = 0.0) -> SweepSettings:
    return SweepSettings(interval_seconds=interval, grace_seconds=grace)


def test_it_sweeps_by_itself(catalog: Catalog) -> None:
    leaked = leak(catalog)
    time.sleep(0.02)
    kept = {file.uri for file in catalog.warehouse.io.list(catalog.warehouse.root)} - {leaked}
    sweeping = Sweeping(catalog, swept(grace=0.001, interval=0.05))
    sweeping.start()
    deadline = time.monotonic() + 20
    while catalog.warehouse.io.exists(leaked):
        assert time.monotonic() < deadline, "no sweep came"
        time.sleep(0.02)
    sweeping.stop()
    assert {file.uri for file in catalog.warehouse.io.list(catalog.warehouse.root)} == kept


def test_an_interval_of_nothing_means_never(catalog: Catalog) -> None:
    leaked = leak(catalog)
    sweeping = Sweeping(catalog, swept(grace=0, interval=0))
    sweeping.start()
    time.sleep(0.2)
    sweeping.stop()
    assert catalog.warehouse.io.exists(leaked)
    assert [file.uri for file in sweeping.sweep(delete=False).orphans] == [leaked]


def test_a_clock_set_forward_makes_no_file_old(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    leaked = leak(catalog)
    sweeping = Sweeping(catalog, swept(grace=3600))
    now = time.time_ns()
    for days in (365, -365):
        monkeypatch.setattr(time, "time_ns", lambda days=days: now + days * 86400 * 10**9)
        assert sweeping.sweep(delete=True).orphans == ()
    assert catalog.warehouse.io.exists(leaked)


def test_a_purged_table_goes_after_the_grace(catalog: Catalog) -> None:
    table = make_table(catalog)
    table.append([1])
    location = table.metadata["location"]
    catalog.drop_table(table.identifier, True, SYSTEM)
    assert Sweeping(catalog, swept(grace=3600)).sweep(delete=True).purged == ()
    time.sleep(0.02)
    assert Sweeping(catalog, swept(grace=0.001)).sweep(delete=True).purged == (location,)
    assert list(catalog.warehouse.io.list(location)) == []
