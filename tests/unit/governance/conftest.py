"""A governed lake: the real catalog on a real metastore, SQLite and Postgres."""

from __future__ import annotations

import itertools
from pathlib import Path

import pyarrow as pa
import pytest

from headwater.catalog.catalog import Catalog
from headwater.governance.access import Access, AccessRequest
from headwater.governance.audit import AuditLog
from headwater.governance.bootstrap import ensure_admin
from headwater.governance.identity import Directory
from headwater.governance.journal import GovernanceJournal
from headwater.governance.resolve import Paths
from headwater.governance.state import PolicyStore
from headwater.governance.statements import GovernanceStatements
from headwater.governance.tokens import Tokens
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


class Lake:
    """Governance over a catalog, wired as the server does it."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.audit = AuditLog(database)
        ensure_admin(database, self.audit)
        warehouse = folder / "warehouse"
        warehouse.mkdir(exist_ok=True)
        self.catalog = Catalog(
            database,
            Warehouse(f"file://{warehouse}", LocalFileIO(warehouse)),
            GovernanceJournal(self.audit),
        )
        self.store = PolicyStore(database)
        self.directory = Directory(database, self.store, self.audit)
        self.key_path = folder / "token.key"
        self.tokens = Tokens(self.key_path, self.store)
        self.access = Access(self.catalog, self.store, self.audit, Paths(self.catalog))
        self.statements = GovernanceStatements(self.access)
        self._requests = itertools.count(1)

    def identity(self, user: str, role: str | None = None) -> Identity:
        return Identity(self.directory.find_login(user), role=role)

    def begin(
        self, user: str, role: str | None = None, statement: str | None = None
    ) -> AccessRequest:
        return self.access.begin(
            self.identity(user, role),
            request_id=f"request-{next(self._requests)}",
            statement=statement,
        )

    def run(self, text: str, user: str = "admin") -> pa.Table | None:
        """Runs one governance statement as a user, in Trino's dialect, in schema hr."""
        statement = parse(text, Dialect.TRINO)
        return self.statements.run(statement, self.begin(user, statement=text), schema=("hr",))

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
def lake(database: Database, tmp_path: Path) -> Lake:
    """The tables `hr.emp` and `hr.secret`, the users ellen and max, the role analyst."""
    made = Lake(database, tmp_path)
    made.catalog.create_namespace(("hr",), {}, SYSTEM)
    create_table(made.catalog, EMP)
    create_table(made.catalog, SECRET)
    made.script("CREATE USER ellen; CREATE USER max; CREATE ROLE analyst")
    return made
