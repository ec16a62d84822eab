"""A catalog over a temporary warehouse, and a journal that remembers."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Connection

from headwater.catalog.catalog import Catalog
from headwater.catalog.events import ChangeEvent
from headwater.model.principal import Actor
from headwater.storage.fileio import LocalFileIO
from headwater.storage.warehouse import Warehouse
from headwater.store.database import Database


class Remembering:
    """A journal that keeps what it hears, and raises when told to."""

    def __init__(self) -> None:
        self.heard: list[tuple[Actor, ChangeEvent]] = []
        self.failure: Exception | None = None

    def record(self, connection: Connection, actor: Actor, event: ChangeEvent) -> None:
        assert connection.in_transaction()
        if self.failure is not None:
            raise self.failure
        self.heard.append((actor, event))

    @property
    def kinds(self) -> list[str]:
        return [event.kind.value for _, event in self.heard]


@pytest.fixture
def journal() -> Remembering:
    return Remembering()


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    folder = tmp_path / "warehouse"
    folder.mkdir()
    return Warehouse(f"file://{folder}", LocalFileIO(folder))


@pytest.fixture
def catalog(database: Database, warehouse: Warehouse, journal: Remembering) -> Catalog:
    return Catalog(database, warehouse, journal)
