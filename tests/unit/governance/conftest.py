"""A governed lake: the real catalog on a real metastore, SQLite and Postgres."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest

from headwater.catalog.catalog import Catalog
from headwater.governance.access import AccessRequest
from headwater.governance.audit import AuditLog
from headwater.governance.governance import Governance, open_governance
from headwater.governance.journal import GovernanceJournal
from headwater.model.identifiers import TableIdentifier
from headwater.model.principal import SYSTEM, Actor, Identity
from headwater.model.statement import Dialect
from headwater.sql.parse import parse
from headwater.storage.fileio import LocalFileIO
from headwater.storage.warehouse import Warehouse
from headwater.store.database import Database

EMP = TableIdentifier(("hr",), "emp")
SECRET = TableIdentifier(("hr",), "secret")

_FIELDS = [
    {"id": 1, "name": "id", "type": "long", "required": True},
    {"id": 2, "name": "name", "type": "string", "required": False},
    {"id": 3, "name": "ssn", "type": "string", "required": False},
    {"id": 4, "name": "region", "type": "string", "required": False},
    {"id": 5, "name": "salary", "type": "decimal(10, 2)", "required": False},
    {"id": 6, "name": "hired", "type": "date", "required": False},
]


@dataclass
class Lake:
    """Governance over a catalog with `hr.emp` and `hr.secret`, made by the system."""

    database: Database
    catalog: Catalog
    governance: Governance
    key_path: Path

    def __post_init__(self) -> None:
        self._requests = itertools.count(1)

    def identity(self, user: str, role: str | None = None) -> Identity:
        return Identity(self.governance.directory.find_login(user), role=role)

    def begin(
        self, user: str, role: str | None = None, statement: str | None = None
    ) -> AccessRequest:
        return self.governance.access.begin(
            self.identity(user, role),
            request_id=f"request-{next(self._requests)}",
            statement=statement,
        )

    def run(self, text: str, user: str = "admin") -> pa.Table | None:
        """Runs one governance statement as a user, in Trino's dialect, in schema hr."""
        statement = parse(text, Dialect.TRINO)
        return self.governance.statements.run(
            statement, self.begin(user, statement=text), schema=("hr",)
        )

    def script(self, text: str) -> None:
        for line in filter(None, (line.strip() for line in text.split(";"))):
            self.run(line)

    def actor(self, user: str) -> Actor:
        return self.begin(user).actor()


def create_table(
    catalog: Catalog, identifier: TableIdentifier, actor: Actor = SYSTEM, fields: object = _FIELDS
) -> None:
    schema = {"type": "struct", "schema-id": 0, "fields": fields}
    catalog.create_table(identifier, {"name": identifier.name, "schema": schema}, actor)


@pytest.fixture
def open_lake(tmp_path: Path) -> Callable[[Database], Lake]:
    def make(database: Database) -> Lake:
        folder = tmp_path / "warehouse"
        folder.mkdir(exist_ok=True)
        audit = AuditLog(database)
        warehouse = Warehouse(f"file://{folder}", LocalFileIO(folder))
        catalog = Catalog(database, warehouse, GovernanceJournal(audit))
        governance = open_governance(database, catalog, audit, tmp_path / "token.key")
        return Lake(database, catalog, governance, tmp_path / "token.key")

    return make


@pytest.fixture
def lake(database: Database, open_lake: Callable[[Database], Lake]) -> Lake:
    """The tables `hr.emp` and `hr.secret`, the users ellen and max, the role analyst."""
    made = open_lake(database)
    made.catalog.create_namespace(("hr",), {}, SYSTEM)
    create_table(made.catalog, EMP)
    create_table(made.catalog, SECRET)
    made.script("CREATE USER ellen; CREATE USER max; CREATE ROLE analyst")
    return made
