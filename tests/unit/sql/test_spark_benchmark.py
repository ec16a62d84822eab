"""The queries of `headwater bench spark` run on the system engine: all they use is proven."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import ROUND_HALF_UP, Decimal, localcontext

import duckdb
import pytest

from headwater.cli.bench.lake import tpcds_engine
from headwater.cli.bench.tpch import queries
from headwater.model.identifiers import SnapshotRef, TableIdentifier
from headwater.model.principal import Identity, Principal, PrincipalKind
from headwater.model.scan import Decision, EnforcementLevel, GovernedScan, ScanColumn
from headwater.model.statement import Dialect, Session
from headwater.sql.bind import Relation, ScanRelation, bind
from headwater.sql.parse import parse
from headwater.sql.rewrite import govern
from headwater.sql.spark import unproven
from headwater.sql.statements import Name, Query
from headwater.sql.transpile import emit
from headwater.sql.types import parse_type

TABLES = {
    "region": "r_regionkey long, r_name string, r_comment string",
    "nation": "n_nationkey long, n_name string, n_regionkey long, n_comment string",
    "supplier": "s_suppkey long, s_name string, s_address string, s_nationkey long, "
    "s_phone string, s_acctbal decimal(15,2), s_comment string",
    "customer": "c_custkey long, c_name string, c_address string, c_nationkey long, "
    "c_phone string, c_acctbal decimal(15,2), c_mktsegment string, c_comment string",
    "part": "p_partkey long, p_name string, p_mfgr string, p_brand string, p_type string, "
    "p_size int, p_container string, p_retailprice decimal(15,2), p_comment string",
    "partsupp": "ps_partkey long, ps_suppkey long, ps_availqty int, "
    "ps_supplycost decimal(15,2), ps_comment string",
    "orders": "o_orderkey long, o_custkey long, o_orderstatus string, o_totalprice decimal(15,2), "
    "o_orderdate date, o_orderpriority string, o_clerk string, o_shippriority int, "
    "o_comment string",
    "lineitem": "l_orderkey long, l_partkey long, l_suppkey long, l_linenumber int, "
    "l_quantity decimal(15,2), l_extendedprice decimal(15,2), l_discount decimal(15,2), "
    "l_tax decimal(15,2), l_returnflag string, l_linestatus string, l_shipdate date, "
    "l_commitdate date, l_receiptdate date, l_shipinstruct string, l_shipmode string, "
    "l_comment string",
}
SESSION = Session(Identity(Principal("p", "tester", PrincipalKind.USER)), Dialect.SPARK, schema="x")


DUCKDB_TYPES = {"VARCHAR": "string", "INTEGER": "int", "BIGINT": "long"}


class Schema:
    def __init__(self, tables: Mapping[str, str] = TABLES) -> None:
        self.tables = tables

    def relation(self, name: Name, at: SnapshotRef) -> Relation:
        pairs = [column.split(" ") for column in self.tables[name.parts[-1]].split(", ")]
        columns = tuple(
            ScanColumn(label, number, parse_type(kind, Dialect.SPARK))
            for number, (label, kind) in enumerate(pairs, 1)
        )
        table = name.parts[-1]
        return ScanRelation(
            GovernedScan(
                TableIdentifier(("x",), table), table, table, 1, columns, None,
                EnforcementLevel.COARSE, Decision("d", True),
            )
        )  # fmt: skip


@pytest.mark.parametrize("number", sorted(queries()))
def test_tpch_is_proven(number: str) -> None:
    statement = parse(queries()[number], Dialect.SPARK)
    assert isinstance(statement, Query)
    assert unproven(bind(statement.tree, Schema(), session=SESSION).constructs) is None


@pytest.fixture(scope="module")
def tpcds() -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB with the empty tables of TPC-DS."""
    connection = tpcds_engine()
    connection.execute("CALL dsdgen(sf = 0)")
    yield connection
    connection.close()


@pytest.fixture(scope="module")
def tpcds_schema(tpcds: duckdb.DuckDBPyConnection) -> Schema:
    tables: dict[str, list[str]] = {}
    found = tpcds.execute("SELECT table_name, column_name, data_type FROM duckdb_columns()")
    for table, column, kind in found.fetchall():
        kind = DUCKDB_TYPES.get(kind, kind.lower())
        tables.setdefault(table, []).append(f"{column} {kind}")
    return Schema({table: ", ".join(columns) for table, columns in tables.items()})


@pytest.mark.parametrize("number", range(1, 100))
def test_tpcds_is_proven(
    number: int, tpcds: duckdb.DuckDBPyConnection, tpcds_schema: Schema
) -> None:
    found = tpcds.execute("SELECT query FROM tpcds_queries() WHERE query_nr = ?", [number])
    (text,) = found.fetchone() or ("",)
    statement = parse(text.strip().rstrip(";"), Dialect.SPARK)
    assert isinstance(statement, Query)
    assert unproven(bind(statement.tree, tpcds_schema, session=SESSION).constructs) is None


def halves_up(value: Decimal, scale: int) -> Decimal:
    return value.quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP)


@pytest.mark.parametrize("signs", [(1, 1), (1, -1), (-1, 1), (-1, -1)])
def test_quotients_of_quotients_are_exact_and_as_short_as_can_be(signs: tuple[int, int]) -> None:
    schema = Schema({"d": "a decimal(17,2), b decimal(17,2), q long"})
    text = "SELECT a/((a+b)/3)*100 AS x, (q*1.0000)/(q+q+q)/3.0000*100 AS y FROM d"
    statement = parse(text, Dialect.SPARK)
    assert isinstance(statement, Query)
    sql = emit(govern(bind(statement.tree, schema, session=SESSION)))
    assert len(sql) < 5_000
    a, b = signs[0] * Decimal("4112.78"), signs[1] * Decimal("3968.83")
    q = signs[0] * 7
    connection = duckdb.connect()
    connection.execute("CREATE TABLE d (a decimal(17,2), b decimal(17,2), q bigint)")
    connection.execute("INSERT INTO d VALUES (?, ?, ?)", [a, b, q])
    connection.execute("CREATE MACRO iceberg_scan(path) AS TABLE FROM d")
    with localcontext() as context:
        context.prec = 100
        # The scales are those of Spark's types: decimal(22,6), decimal(38,17), decimal(38,13).
        inner = halves_up((a + b) / 3, 6)
        x = halves_up(halves_up(a / inner, 17) * 100, 13)
        y = halves_up(halves_up(halves_up(q * Decimal("1.0000") / (3 * q), 16) / 3, 12) * 100, 8)
    assert connection.execute(sql).fetchall() == [(x, y)]
