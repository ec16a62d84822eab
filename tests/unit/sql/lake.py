"""A small lake for tests of the SQL layer: tables in DuckDB's memory behind governed scans.

`iceberg_scan` is a table macro over those tables here, so that emitted SQL runs as it is; the
integration tests run the same SQL over real Iceberg tables.
"""

from __future__ import annotations

from dataclasses import replace

import duckdb

from headwater.errors import ErrorCode, error
from headwater.model.identifiers import SnapshotRef, TableIdentifier
from headwater.model.principal import Identity, Principal, PrincipalKind
from headwater.model.scan import (
    ColumnMask,
    Decision,
    EnforcementLevel,
    GovernedScan,
    MaskAction,
    ScanColumn,
)
from headwater.model.statement import Dialect, Session
from headwater.sql.bind import Bound, Relation, ScanRelation, ViewRelation, bind
from headwater.sql.hints import did_you_mean
from headwater.sql.parse import parse
from headwater.sql.rewrite import govern
from headwater.sql.statements import Name, Query
from headwater.sql.transpile import emit

TABLES: dict[str, tuple[tuple[str, object], ...]] = {
    "emp": (
        ("id", "long"),
        ("name", "string"),
        ("ssn", "string"),
        ("region", "string"),
        ("salary", "long"),
    ),
    "dept": (("id", "int"), ("name", "string"), ("region", "string")),
    "facts": (
        ("i", "int"),
        ("b", "long"),
        ("r", "float"),
        ("x", "double"),
        ("dec", "decimal(10, 2)"),
        ("d", "date"),
        ("ts", "timestamp"),
        ("tz", "timestamptz"),
        ("s", "string"),
        ("ok", "boolean"),
        ("arr", {"type": "list", "element": "long"}),
        (
            "rec",
            {
                "type": "struct",
                "fields": [{"name": "a", "type": "long"}, {"name": "b", "type": "string"}],
            },
        ),
        ("m", {"type": "map", "key": "string", "value": "long"}),
        (
            "recs",
            {
                "type": "list",
                "element": {
                    "type": "struct",
                    "fields": [{"name": "k", "type": "string"}, {"name": "v", "type": "long"}],
                },
            },
        ),
    ),
    "empty": (("id", "long"), ("name", "string")),
}

DATA = """
CREATE TABLE emp AS SELECT i AS id, 'n' || i AS name, '12345-' || (6000 + i) AS ssn,
  CASE WHEN i % 2 = 0 THEN 'EU' ELSE 'US' END AS region, i * 1000 AS salary
  FROM range(1, 11) t(i);
CREATE TABLE dept AS SELECT * FROM (VALUES (1::INTEGER, 'sales', 'EU'), (2, 'law', 'US'),
  (3, 'it', 'EU')) t(id, name, region);
CREATE TABLE facts AS SELECT 7::INTEGER AS i, 9::BIGINT AS b, 1.5::FLOAT AS r, 2.5::DOUBLE AS x,
  12.34::DECIMAL(10, 2) AS dec, DATE '2024-02-29' AS d, TIMESTAMP '2024-02-29 13:14:15.5' AS ts,
  TIMESTAMPTZ '2024-02-29 13:14:15.5+00' AS tz, 'Hello World' AS s, true AS ok,
  [3, 1, 2]::BIGINT[] AS arr, {'a': 1::BIGINT, 'b': 'x'} AS rec, MAP {'p': 1::BIGINT, 'q': 2} AS m,
  [{'k': 'a', 'v': 1::BIGINT}, {'k': 'b', 'v': 2}] AS recs
  UNION ALL SELECT -7, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL;
CREATE MACRO iceberg_scan(location, snapshot_from_id := 0) AS TABLE
  SELECT * FROM query_table(location);
"""

IDENTITY = Identity(Principal("p1", "alice", PrincipalKind.USER))


def scan(table: str) -> GovernedScan:
    columns = tuple(
        ScanColumn(name, field_id, kind) for field_id, (name, kind) in enumerate(TABLES[table], 1)
    )
    return GovernedScan(
        identifier=TableIdentifier(("hr",), table),
        table_uuid=table,
        metadata_location=table,
        snapshot_id=None if table == "empty" else 1,
        columns=columns,
        row_filter=None,
        level=EnforcementLevel.COARSE,
        decision=Decision("d", True),
    )


def restricted(table: str = "emp") -> GovernedScan:
    """emp as the analyst may see it: rows of the EU, ssn masked, salary hidden."""
    whole = scan(table)
    shown = tuple(
        replace(column, mask=ColumnMask(MaskAction.SHOW_LAST_4, "ssn"))
        if column.name == "ssn"
        else column
        for column in whole.columns
        if column.name != "salary"
    )
    hidden = tuple(column for column in whole.columns if column.name == "salary")
    return replace(
        whole,
        columns=shown,
        hidden_columns=hidden,
        row_filter="\"region\" = 'EU'",
        level=EnforcementLevel.SQL,
    )


class Lake:
    """A resolver over the tables of this module, and an engine to run what is emitted."""

    def __init__(self, *, analyst: bool = False) -> None:
        self.relations: dict[str, Relation] = {
            name: ScanRelation(restricted() if analyst and name == "emp" else scan(name))
            for name in TABLES
        }
        self.asked: list[tuple[str, SnapshotRef]] = []

    def relation(self, name: Name, at: SnapshotRef) -> Relation:
        self.asked.append((str(name), at))
        catalog, schema, table = name.parts
        if catalog.lower() != "lake" or schema.lower() != "hr":
            raise error(ErrorCode.SCHEMA_NOT_FOUND, f"schema {schema} not found")
        found = self.relations.get(table.lower())
        if found is None:
            raise error(
                ErrorCode.TABLE_NOT_FOUND,
                f"table {name} not found",
                hint=did_you_mean(table, self.relations),
                position=name.position,
            )
        if isinstance(found, ScanRelation) and not at.is_current:
            return ScanRelation(replace(found.scan, is_current=False, snapshot_id=42))
        return found

    def view(self, name: str, sql: str, dialect: Dialect = Dialect.TRINO) -> None:
        identifier = TableIdentifier(("hr",), name)
        self.relations[name] = ViewRelation(identifier, sql, dialect, self, "hr")

    def bind(self, sql: str, dialect: Dialect = Dialect.TRINO, **options: object) -> Bound:
        statement = parse(sql, dialect)
        assert isinstance(statement, Query), statement
        return bind(
            statement.tree,
            self,
            session=Session(IDENTITY, dialect, schema="hr"),
            **options,  # type: ignore[arg-type]
        )

    def emit(self, sql: str, dialect: Dialect = Dialect.TRINO, **options: object) -> str:
        return emit(govern(self.bind(sql, dialect, **options), query_key="00ff"))

    def run(
        self, sql: str, dialect: Dialect = Dialect.TRINO, **options: object
    ) -> list[tuple[object, ...]]:
        return engine().execute(self.emit(sql, dialect, **options)).fetchall()


_ENGINE: list[duckdb.DuckDBPyConnection] = []


def engine() -> duckdb.DuckDBPyConnection:
    """One DuckDB with the test data for all tests of a process."""
    if not _ENGINE:
        connection = duckdb.connect(config={"threads": 1})
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(DATA)
        _ENGINE.append(connection)
    return _ENGINE[0]
