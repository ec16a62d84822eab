"""Attacks on the SQL layer as a restricted user: each is refused, or sees governed data only.

The user may see rows of the EU in `emp`, ssn masked, salary hidden; nothing of `secret`. Rows of
the US are odd ids. An attack that runs must not show a hidden row, a stored ssn or a salary.
"""

from __future__ import annotations

import re

import pytest

from headwater.errors import ErrorCode, HeadwaterError
from headwater.model.statement import Dialect
from headwater.sql.parse import parse
from headwater.sql.statements import Query
from unit.sql.lake import Lake, engine

T, S, D = Dialect.TRINO, Dialect.SPARK, Dialect.DUCKDB

REFUSED: list[tuple[Dialect, str]] = [
    # hidden columns and tables do not exist
    *[
        (T, sql)
        for sql in (
            "SELECT salary FROM emp",
            "SELECT * FROM emp WHERE salary > 0",
            "SELECT count(*) FROM emp GROUP BY salary",
            "SELECT 1 FROM emp a JOIN emp b ON a.salary = b.salary",
            "SELECT count(*) FILTER (WHERE salary > 5) FROM emp",
            "SELECT emp.salary FROM emp",
            "SELECT max(salary) OVER () FROM emp",
            "SELECT name FROM emp ORDER BY salary",
            "SELECT (SELECT max(salary) FROM emp)",
            "SELECT name FROM emp e WHERE EXISTS (SELECT 1 FROM dept WHERE e.salary > 0)",
            "SELECT * FROM emp JOIN dept USING (salary)",
            "SELECT * FROM secret",
            'SELECT * FROM hr."secret"',
            "SELECT * FROM other.emp",
            "SELECT * FROM memory.main.emp",
            "SELECT * FROM pg_catalog.pg_class",
            "SELECT * FROM sqlite_master",
            "SELECT * FROM duckdb_tables",
            "SELECT * FROM emp WHERE ssn IN (SELECT ssn FROM main.emp)",
            # files and paths as names
            "SELECT * FROM 'emp.parquet'",
            'SELECT * FROM "/etc/passwd"',
            'SELECT * FROM "s3://lake/x.parquet"',
            # statements
            "SELECT 1; DROP TABLE emp",
            "CALL system.runtime.kill_query('x')",
            "CREATE FUNCTION f() RETURNS bigint RETURN 1",
            "SELECT * FROM emp MATCH_RECOGNIZE (PATTERN (a) DEFINE a AS true)",
            # internal names
            "SELECT rowid FROM emp",
            "SELECT filename FROM emp",
            "SELECT file_row_number FROM emp",
            "SELECT _row_id, _last_updated_sequence_number FROM emp",
            'SELECT "hw$row" FROM emp',
            'SELECT * FROM "hw$relation$0"',
            'SELECT "emp$1"."id" FROM emp',
            # parameters are values
            "SELECT * FROM ?",
            "SELECT emp.? FROM emp",
            "SELECT 1 AS ?",
        )
    ],
    # functions
    *[
        (dialect, f"SELECT {call}")
        for dialect in (T, S, D)
        for call in (
            "read_text('/etc/passwd')",
            "read_blob('/proc/self/environ')",
            "getenv('HOME')",
            "current_setting('temp_directory')",
            "getvariable('x')",
            "error('x')",
            "nextval('s')",
            "currval('s')",
            "txid_current()",
            "setseed(0.5)",
            "query('select 1')",
            "json_execute_serialized_sql('{}')",
            "json_serialize_sql('select 1')",
            "json_serialize_plan('select 1')",
            "write_log('x')",
            "which_secret('s3://x', 's3')",
            "pg_get_viewdef(1)",
            "current_query()",
            "current_database()",
            "in_search_path('a', 'b')",
            "parse_path('/x')",
            "add_parquet_key('a', 'b')",
            "iceberg_scan('x')",
            "java_method('java.lang.System', 'getenv')",
            "reflect('java.lang.System', 'getenv')",
            "input_file_name()",
            "sleep_ms(5)",
            "vector_type(1)",
            "stats(1)",
        )
    ],
    # table functions
    *[
        (D, f"SELECT * FROM {call}")
        for call in (
            "read_parquet('/x')", "parquet_scan('/x')", "read_csv('/x')", "read_csv_auto('/x')",
            "read_json('/x')", "read_text('/x')", "glob('/*')", "sniff_csv('/x')",
            "parquet_metadata('/x')", "iceberg_scan('/x')", "iceberg_metadata('/x')",
            "iceberg_snapshots('/x')", "delta_scan('/x')", "sqlite_scan('/x', 't')",
            "postgres_scan('', '', '')", "duckdb_settings()", "duckdb_secrets()", "duckdb_tables()",
            "duckdb_columns()", "duckdb_functions()", "duckdb_logs()", "pragma_table_info('emp')",
            "query('SELECT 1')", "query_table('emp')", "arrow_scan(1, 2, 3)", "seq_scan('emp')",
            "repeat('x', 1000)", "summary((SELECT 1))", "checkpoint()", "force_checkpoint()",
            "test_all_types()", "json_execute_serialized_sql('{}')", "range(1000000000000)",
            "generate_series(1, id)",
        )
    ],
    # DuckDB's and Spark's other doors
    (D, "SELECT COLUMNS('.*') FROM emp"),
    (D, "PIVOT emp ON region USING count(*)"),
    (D, "SELECT * FROM emp PIVOT (count(*) FOR region IN ('EU', 'US'))"),
    (D, "UNPIVOT emp ON id, ssn"),
    (D, "SUMMARIZE emp"),
    (D, "PRAGMA table_info('emp')"),
    (D, "COPY emp TO '/tmp/x'"),
    (D, "COPY (SELECT * FROM emp) TO '/tmp/x'"),
    (D, "COPY emp FROM '/tmp/x'"),
    (D, "ATTACH '/x' AS y"),
    (D, "DETACH lake"),
    (D, "INSTALL httpfs"),
    (D, "LOAD icu"),
    (D, "CALL pragma_version()"),
    (D, "SET memory_limit = '1GB'"),
    (D, "SET VARIABLE a = 1"),
    (D, "EXPORT DATABASE '/x'"),
    (D, "IMPORT DATABASE '/x'"),
    (D, "CREATE SECRET s (TYPE s3)"),
    (D, "CREATE MACRO m(a) AS a"),
    (D, "CREATE TYPE t AS ENUM ('a')"),
    (D, "CHECKPOINT"),
    (D, "VACUUM"),
    (D, "SELECT * FROM emp POSITIONAL JOIN emp b"),
    (D, "SELECT 'x'::my_enum"),
    (D, "SELECT $a"),
    (S, "SELECT * FROM parquet.`/etc/passwd`"),
    (S, "SELECT TRANSFORM(name) USING 'cat' FROM emp"),
    (S, "ADD JAR '/x.jar'"),
    (S, "LOAD DATA INPATH '/x' INTO TABLE emp"),
    (S, "CREATE TEMPORARY VIEW v AS SELECT 1"),
]  # fmt: skip

NEUTRAL: list[tuple[Dialect, str]] = [
    (T, "SELECT * FROM emp"),
    (T, "SELECT * FROM EMP"),
    (T, "SELECT e.* FROM emp e"),
    (T, "SELECT * FROM emp WHERE ssn = '12345-6001'"),
    (T, "SELECT * FROM emp WHERE 10 / (id - 1) > 100"),
    (T, "SELECT * FROM emp WHERE 1 / (id - 3) = 7"),
    (T, "SELECT name FROM emp WHERE CAST(replace(name, 'n1', 'x') AS varchar) = 'x'"),
    (T, "SELECT 9223372036854775806 + id / 2 FROM emp WHERE id < 3"),
    (T, "SELECT * FROM emp a JOIN emp b ON a.id = b.id + 1"),
    (T, "SELECT * FROM emp TABLESAMPLE BERNOULLI (100)"),
    (T, "SELECT min(ssn), max(ssn), count(DISTINCT ssn) FROM emp"),
    (T, "SELECT array_agg(ssn ORDER BY ssn) FROM emp"),
    (T, "SELECT approx_percentile(id, 0.0), count(*) FROM emp"),
    (T, "WITH x AS (SELECT * FROM emp) SELECT * FROM x"),
    (T, 'WITH "hw$relation$0" AS (SELECT 1 AS one) SELECT * FROM emp, "hw$relation$0"'),
    (T, "SELECT d.name, l.name FROM dept d, LATERAL (SELECT * FROM emp WHERE emp.id = d.id) l"),
    (T, "SELECT * FROM emp FOR VERSION AS OF 1"),
    (T, "SELECT * FROM emp UNION ALL SELECT * FROM emp"),
    (T, "SELECT * FROM dept WHERE id IN (SELECT id FROM emp)"),
    (T, "SELECT regexp_like('a', '(' || name) FROM emp WHERE id = 1"),
    (T, "TABLE emp"),
    (D, "FROM emp"),
    (D, "SELECT emp FROM emp"),
    (D, "SELECT list(emp) FROM emp"),
    (D, "SELECT to_json(emp) FROM emp"),
    (D, "SELECT * EXCLUDE (name) FROM emp"),
    (D, "SELECT * REPLACE (upper(ssn) AS ssn) FROM emp"),
    (D, "SELECT unnest(list(emp)) FROM emp"),
    (S, "SELECT * FROM emp VERSION AS OF 1"),
    (S, "SELECT collect_set(ssn) FROM emp"),
]

US_NAMES = re.compile(r"n[13579]\b")
STORED_SSN = re.compile(r"12345-")


@pytest.mark.parametrize(("dialect", "sql"), REFUSED)
def test_refused(dialect: Dialect, sql: str) -> None:
    lake = Lake(analyst=True)
    with pytest.raises(HeadwaterError) as caught:
        statement = parse(sql, dialect)
        assert isinstance(statement, Query)
        lake.emit(sql, dialect)
    assert caught.value.code is not ErrorCode.INTERNAL_ERROR
    assert "salary" not in (caught.value.hint or "")


@pytest.mark.parametrize(("dialect", "sql"), NEUTRAL)
def test_neutral(dialect: Dialect, sql: str) -> None:
    lake = Lake(analyst=True)
    emitted = lake.emit(sql, dialect)
    assert "salary" not in emitted
    text = str(engine().execute(emitted).fetchall())
    assert not US_NAMES.search(text)
    assert not STORED_SSN.search(text)


def test_hidden_rows_cannot_make_a_statement_fail() -> None:
    """Throws for n1 … n9, of which only the even ones are visible; n2 must be what it names."""
    lake = Lake(analyst=True)
    for sql in (
        "SELECT count(*) FROM emp WHERE 1 / (id - 1) = 5",
        "SELECT count(*) FROM emp WHERE 1 / (id - 3) = 5 OR 1 / (id - 5) = 5",
        "SELECT count(*) FROM emp JOIN dept ON 1 / (emp.id - 7) = dept.id",
        "SELECT sum(1 / (id - 9)) FROM emp",
        "SELECT 1 / (id - 1) AS g, count(*) FROM emp GROUP BY 1",
        "SELECT id FROM emp ORDER BY 1 / (id - 1)",
    ):
        lake.run(sql)


def outcome(lake: Lake, text: str) -> str:
    try:
        lake.emit(text)
    except HeadwaterError as failure:
        return failure.code
    return "emitted"


def test_deep_nesting_is_an_error_and_not_a_crash() -> None:
    lake = Lake()
    texts = [
        "SELECT " + "(" * 5000 + "1" + ")" * 5000,
        "SELECT " + "1 + " * 20000 + "1",
        "SELECT " + "NOT " * 3000 + "true",
        "SELECT " + "- " * 3000 + "1",
        "SELECT " + "CASE WHEN true THEN " * 900 + "1" + " END" * 900,
        " UNION ALL ".join(["SELECT 1"] * 3000),
        "SELECT * FROM " + "(SELECT * FROM " * 150 + "dept" + ") AS t" * 150,
        "WITH " + ", ".join(f"c{i} AS (SELECT 1 AS x)" for i in range(300)) + " SELECT 1",
    ]
    for text in texts:
        assert outcome(lake, text) in ("emitted", ErrorCode.SYNTAX_ERROR), text[:40]


def test_many_values_and_long_chains_still_work() -> None:
    lake = Lake()
    ids = ", ".join(str(number) for number in range(5000))
    assert lake.run(f"SELECT count(*) FROM emp WHERE id IN ({ids})") == [(10,)]
    chain = " OR ".join(f"id = {number}" for number in range(200))
    assert lake.run(f"SELECT count(*) FROM emp WHERE {chain}") == [(10,)]


def test_parameters_are_values() -> None:
    statement = parse("SELECT name FROM emp WHERE id = ? AND name LIKE ? LIMIT ?", T)
    execute = parse("EXECUTE q USING 2, 'n%', 5", T)
    assert isinstance(statement, Query)
    lake = Lake()
    sql = "SELECT name FROM emp WHERE id = ? AND name LIKE ? LIMIT ?"
    assert lake.run(sql, parameters=execute.parameters) == [("n2",)]  # type: ignore[attr-defined]
    for count in (2, 4):
        wrong = (execute.parameters * 2)[:count]  # type: ignore[attr-defined]
        with pytest.raises(HeadwaterError) as caught:
            lake.emit(sql, parameters=wrong)
        assert caught.value.code is ErrorCode.INVALID_ARGUMENT


def test_types_that_nest_without_end_are_refused_at_once() -> None:
    deep = "SELECT CAST(1 AS " + "ARRAY<" * 1_000 + "INT" + ">" * 1_000 + ")"
    with pytest.raises(HeadwaterError) as caught:
        parse(deep, Dialect.SPARK)
    assert caught.value.code is ErrorCode.SYNTAX_ERROR
