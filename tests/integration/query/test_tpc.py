"""TPC-DS's 99 and TPC-H's 22 queries in Spark's and Trino's dialects answer as plain DuckDB does.

The texts and the data come from DuckDB's extensions, which are installed for tests alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal

import duckdb
import pytest

from headwater.engines.duckdb.instance import extension_path
from headwater.engines.engine import GovernedPlan
from headwater.errors import ErrorCode
from headwater.model.identifiers import TableIdentifier
from headwater.model.scan import WriteOperation
from headwater.model.statement import Dialect, Statement
from platform_fixture import Platform, running_platform

SUITES = {"tpcds": "dsdgen", "tpch": "dbgen"}
NUMBERS = {"tpcds": 99, "tpch": 22}


class Suite:
    """The tables of one benchmark, plain in DuckDB and as Iceberg tables of the platform."""

    def __init__(self, name: str, platform: Platform) -> None:
        self.name = name
        self.platform = platform
        self.plain = duckdb.connect(config={"threads": 2})
        self.plain.execute(f"LOAD '{extension_path(name)}'")
        self.plain.execute(f"CALL {SUITES[name]}(sf=0.01)")
        queries = self.plain.execute(f"SELECT query_nr, query FROM {name}_queries()").fetchall()
        self.texts: dict[int, str] = dict(queries)
        self.admin = platform.session(schema=name)
        platform.run(self.admin, f"CREATE SCHEMA {name}")
        for (table,) in self.plain.execute("SELECT table_name FROM duckdb_tables()").fetchall():
            self._load(table)

    def _load(self, table: str) -> None:
        """Makes the Iceberg table and fills it with what the generator made."""
        described = self.plain.execute(f"DESCRIBE {table}").fetchall()
        columns = ", ".join(f'"{name}" {kind}' for name, kind, *_ in described)
        self.platform.run(self.admin, f"CREATE TABLE {table} ({columns})")
        access, identity = self.platform.parts.access, self.admin.identity
        request = access.begin(identity, request_id=table, statement="LOAD")
        write = request.write(TableIdentifier((self.name,), table), WriteOperation.INSERT)
        request.seal()
        rows = self.plain.execute(f"FROM {table}").to_arrow_table()
        plan = GovernedPlan(
            f"load-{table}",
            identity,
            f'INSERT INTO "lake"."{self.name}"."{table}" FROM "rows"',
            writes=(write,),
            inputs={"rows": rows},
        )
        with closing(self.platform.parts.engine.execute(plan)) as stream:
            for _ in stream:
                continue
        request.finish(outcome="done")

    def answers(self, number: int, dialect: Dialect) -> tuple[list[str], list[str]]:
        """The rows of a query, ours in the dialect and DuckDB's, in no order."""
        text = self.texts[number]
        said = text
        if dialect is Dialect.SPARK:
            said = re.sub(r'"([^"]*)"', r"`\1`", text)
        elif (self.name, number) == ("tpch", 15):
            # Trino groups by no alias.
            said = re.sub(r"(?<=GROUP BY)\s+supplier_no", " 1", text)
        session = self.platform.session(schema=self.name, dialect=dialect)
        ours = self.platform.rows(session, said)
        theirs = self.plain.execute(text).fetchall()
        # Spark's quotients and averages of decimals are rounded, DuckDB's are doubles.
        spark = dialect is Dialect.SPARK
        return _plain(ours, spark), _plain(theirs, spark)


def _plain(rows: list[tuple[object, ...]], spark: bool) -> list[str]:
    def plain(value: object) -> object:
        if not isinstance(value, float | Decimal):
            return value
        return round(float(value), 4) if spark else float(f"{value:.9g}")

    return sorted(repr(tuple(plain(value) for value in row)) for row in rows)


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with running_platform(tmp_path_factory.mktemp("tpc"), workers=1) as running:
        yield running


@pytest.fixture(scope="module", params=["tpch", "tpcds"])
def suite(request: pytest.FixtureRequest, platform: Platform) -> Iterator[Suite]:
    made = Suite(request.param, platform)
    yield made
    made.plain.close()


@pytest.mark.parametrize("dialect", [Dialect.SPARK, Dialect.TRINO])
def test_answers(suite: Suite, dialect: Dialect) -> None:
    assert len(suite.texts) == NUMBERS[suite.name]
    different = []
    for number in suite.texts:
        ours, theirs = suite.answers(number, dialect)
        if ours != theirs:
            different.append(number)
    assert different == []


def test_all_is_proven_to_be_as_in_spark(suite: Suite) -> None:
    session = suite.platform.session(schema=suite.name, dialect=Dialect.SPARK)
    refused = []
    for number, text in suite.texts.items():
        said = re.sub(r'"([^"]*)"', r"`\1`", text)
        query = suite.platform.queries.submit(session, Statement(said, proven_only=True))
        query.finish(120)
        if query.error is not None:
            refused.append((number, str(query.error)))
    assert refused == []


def test_what_is_not_proven_is_refused_before_it_runs(suite: Suite) -> None:
    session = suite.platform.session(schema=suite.name, dialect=Dialect.SPARK)
    statement = Statement("SELECT date_format(current_date(), 'yy')", proven_only=True)
    query = suite.platform.queries.submit(session, statement)
    query.finish(120)
    assert query.error is not None
    assert query.error.code is ErrorCode.NOT_SUPPORTED
    assert "TimeToStr" in str(query.error)
