"""The 22 TPC-H queries in Trino's dialect: what we emit answers as DuckDB answers the same text."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from importlib import resources
from pathlib import Path

import duckdb
import pytest

from headwater.model.identifiers import SnapshotRef, TableIdentifier
from headwater.model.scan import Decision, EnforcementLevel, GovernedScan, ScanColumn
from headwater.model.statement import Dialect, Session
from headwater.sql.bind import Relation, ScanRelation, bind
from headwater.sql.parse import parse
from headwater.sql.rewrite import govern
from headwater.sql.statements import Name, Query
from headwater.sql.transpile import emit
from headwater.sql.types import parse_type
from unit.sql.lake import IDENTITY

QUERIES = re.split(
    r"^-- .*$",
    resources.files("headwater.cli.bench").joinpath("queries/tpch.sql").read_text(),
    flags=re.MULTILINE,
)
QUERIES = [text.strip().rstrip(";") for text in QUERIES if "select" in text.lower()]
TABLES = ("customer", "lineitem", "nation", "orders", "part", "partsupp", "region", "supplier")


class Tpch:
    """TPC-H at a tiny scale in DuckDB, behind governed scans."""

    def __init__(self, folder: Path) -> None:
        generator = Path(sys.executable).with_name("tpchgen-cli")
        subprocess.run([generator, "parquet", "-s", "0.01", "--output-dir", folder], check=True)
        self.db = duckdb.connect(config={"threads": 1})
        self.scans: dict[str, GovernedScan] = {}
        for table in TABLES:
            file = folder / f"{table}.parquet"
            self.db.execute(f"CREATE VIEW {table} AS FROM '{file}'")
            self.scans[table] = self._scan(table)
        self.db.execute(
            "CREATE MACRO iceberg_scan(location) AS TABLE SELECT * FROM query_table(location)"
        )

    def _scan(self, table: str) -> GovernedScan:
        described = self.db.execute(f"DESCRIBE {table}").fetchall()
        columns = tuple(
            ScanColumn(row[0], number, parse_type(row[1], Dialect.DUCKDB))
            for number, row in enumerate(described, 1)
        )
        restricted = table == "lineitem"
        return GovernedScan(
            TableIdentifier(("tpch",), table),
            table,
            table,
            1,
            columns,
            '"l_orderkey" IS NOT NULL' if restricted else None,
            EnforcementLevel.SQL if restricted else EnforcementLevel.COARSE,
            Decision("d", True),
        )

    def relation(self, name: Name, at: SnapshotRef) -> Relation:
        return ScanRelation(self.scans[name.parts[-1]])

    def emit(self, text: str) -> str:
        statement = parse(text, Dialect.TRINO)
        assert isinstance(statement, Query)
        session = Session(IDENTITY, Dialect.TRINO, schema="tpch")
        return emit(govern(bind(statement.tree, self, session=session)))


@pytest.fixture(scope="module")
def tpch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tpch]:
    lake = Tpch(tmp_path_factory.mktemp("tpch"))
    yield lake
    lake.db.close()


def rounded(rows: list[tuple[object, ...]]) -> list[tuple[object, ...]]:
    return [
        tuple(round(float(v), 4) if isinstance(v, float | Decimal) else v for v in row)
        for row in rows
    ]


def test_there_are_22() -> None:
    assert len(QUERIES) == 22


@pytest.mark.parametrize("number", range(1, 23))
def test_answer(tpch: Tpch, number: int) -> None:
    text = QUERIES[number - 1]
    ours = tpch.db.execute(tpch.emit(text)).fetchall()
    theirs = tpch.db.execute(text).fetchall()
    assert rounded(ours) == rounded(theirs)
