"""Statements parse into their dataclasses, and bad ones say where and what to do."""

from __future__ import annotations

import pytest
from sqlglot.tokenizer_core import TokenType

from headwater.errors import ErrorCode, HeadwaterError, Position
from headwater.model.statement import Dialect
from headwater.sql import statements as s
from headwater.sql.parse import parse
from headwater.sql.tokens import tokenize
from headwater.sql.trees import parse_tree

T, S, D = Dialect.TRINO, Dialect.SPARK, Dialect.DUCKDB


def test_create_table_in_trino() -> None:
    parsed = parse(
        "CREATE TABLE IF NOT EXISTS a.b (id bigint NOT NULL COMMENT 'key', r row(x bigint, y "
        "array(varchar)), d date, t timestamp(6) with time zone) COMMENT 'c' WITH (partitioning = "
        "ARRAY['month(d)', 'bucket(id, 16)'], sorted_by = ARRAY['id DESC NULLS LAST'], "
        "format_version = 2, \"write.x\" = 'y')",
        T,
    )
    assert isinstance(parsed, s.CreateTable)
    assert parsed.name.parts == ("a", "b")
    assert parsed.if_not_exists
    assert [column.type for column in parsed.columns][2:] == ["date", "timestamptz"]
    assert parsed.columns[0] == s.ColumnDefinition("id", "long", True, "key")
    assert parsed.options == s.TableOptions(
        comment="c",
        format_version=2,
        partitioning=(s.PartitionField("d", "month"), s.PartitionField("id", "bucket[16]")),
        sorting=(s.SortField("id", "identity", False, False),),
        properties={"write.x": "y"},
    )


def test_create_table_in_spark() -> None:
    parsed = parse(
        "CREATE TABLE t (id bigint, m map<string, array<int>>, ts timestamp) USING iceberg "
        "PARTITIONED BY (months(ts), bucket(16, id), truncate(4, id)) TBLPROPERTIES ('a' = 'b')",
        S,
    )
    assert isinstance(parsed, s.CreateTable)
    assert parsed.columns[2].type == "timestamptz"
    assert [field.transform for field in parsed.options.partitioning] == [
        "month", "bucket[16]", "truncate[4]",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("dialect", "text", "expected"),
    [
        (T, "USE lake.sample;", s.Use(s.Name(("lake", "sample"), Position(1, 5)))),
        (T, "SET SESSION a.b = 5", s.SetSession("a.b", "5")),
        (T, "RESET SESSION x", s.SetSession("x", None)),
        (T, "SET ROLE ALL", s.SetRole(None)),
        (T, "PREPARE q FROM SELECT ?", s.Prepare("q", "SELECT ?")),
        (T, "DEALLOCATE PREPARE q", s.Deallocate("q")),
        (T, "DESCRIBE INPUT q", s.DescribePrepared("q", False)),
        (T, "START TRANSACTION READ ONLY", s.TransactionControl("start")),
        (T, "COMMIT WORK", s.TransactionControl("commit")),
        (
            T,
            "SHOW TABLES FROM a LIKE 'x$_%' ESCAPE '$'",
            s.Show("tables", s.Name(("a",), Position(1, 18)), "x$_%", "$"),
        ),
        (T, "DESC a", s.Show("columns", s.Name(("a",), Position(1, 6)))),
        (
            T,
            "DROP SCHEMA IF EXISTS a CASCADE",
            s.DropSchema(s.Name(("a",), Position(1, 23)), True, True),
        ),
        (
            S,
            "ALTER TABLE t CREATE OR REPLACE TAG x AS OF VERSION 5",
            s.AlterTable(s.Name(("t",), Position(1, 13)), (s.SetRef("x", "tag", 5, replace=True),)),
        ),
        (
            T,
            "ALTER TABLE t EXECUTE expire_snapshots(retention_threshold => '7d')",
            s.AlterTable(
                s.Name(("t",), Position(1, 13)),
                (s.ExecuteProcedure("expire_snapshots", {"retention_threshold": "7d"}),),
            ),
        ),
        (
            T,
            "COMMENT ON COLUMN t.c IS NULL",
            s.AlterTable(s.Name(("t",), Position(1, 19)), (s.SetColumnComment(("c",), None),)),
        ),
    ],
)
def test_statement(dialect: Dialect, text: str, expected: s.ParsedStatement) -> None:
    assert parse(text, dialect) == expected


def test_execute_keeps_values_as_trees() -> None:
    parsed = parse("EXECUTE q USING 1, DATE '2020-01-01', 'a''b'", T)
    assert isinstance(parsed, s.Execute)
    assert [value.sql(dialect="trino") for value in parsed.parameters] == [
        "1", "CAST('2020-01-01' AS DATE)", "'a''b'",
    ]  # fmt: skip


BAD = [
    ("", ErrorCode.SYNTAX_ERROR, None, "try SELECT 1"),
    ("SELCT 1", ErrorCode.SYNTAX_ERROR, (1, 1), 'did you mean "SELECT"?'),
    ("SELECT *\nFORM t", ErrorCode.SYNTAX_ERROR, (2, 6), "did you mean FROM?"),
    ("SELECT 'a", ErrorCode.SYNTAX_ERROR, None, "a string is not closed: missing '"),
    ("SELECT 1; SELECT 2", ErrorCode.SYNTAX_ERROR, (1, 9), "send statements one by one"),
    ("SELECT 1 FROM", ErrorCode.SYNTAX_ERROR, (1, 10), None),
    ("SELECT \x00", ErrorCode.SYNTAX_ERROR, (1, 8), None),
    ("SELECT '\ud800'", ErrorCode.SYNTAX_ERROR, (1, 9), None),
    ("COPY t TO '/x'", ErrorCode.NOT_SUPPORTED, (1, 1), None),
    ("CREATE TABLE t (a foo)", ErrorCode.SYNTAX_ERROR, (1, 19), None),
    ("CREATE TABLE t (a int, A int)", ErrorCode.DUPLICATE_COLUMN_NAME, None, None),
    ("CREATE TABLE t (a int, PRIMARY KEY (a))", ErrorCode.NOT_SUPPORTED, None, None),
    ("CREATE TABLE t (a decimal(99))", ErrorCode.NOT_SUPPORTED, None, None),
    ("SHOW NONSENSE", ErrorCode.NOT_SUPPORTED, (1, 6), None),
    ("ALTER TABLE t FROBNICATE", ErrorCode.NOT_SUPPORTED, (1, 15), None),
]


@pytest.mark.parametrize(("text", "code", "place", "hint"), BAD)
def test_bad_statement(
    text: str, code: ErrorCode, place: tuple[int, int] | None, hint: str | None
) -> None:
    with pytest.raises(HeadwaterError) as caught:
        parse(text, T)
    assert caught.value.code is code
    if place is not None:
        assert caught.value.position == Position(*place)
    if hint is not None:
        assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("text", "strings"),
    [
        ("SELECT 'O''Brien'", ["O'Brien"]),
        ("SELECT '''a''', '''', \"a\"\"b\"", ["'a'", "'", 'a"b']),
        ("SELECT 'S\"\"par', \"it''s\"", ['S""par', "it''s"]),
        ("SELECT 'a' 'b', 'c'\"d\", r'e''f'", ["a", "b", "c", "d", "e", "f"]),
    ],
)
def test_a_doubled_quote_is_a_quote_in_spark_4(text: str, strings: list[str]) -> None:
    kinds = (TokenType.STRING, TokenType.RAW_STRING)
    found = [each.text for each in tokenize(text, Dialect.SPARK) if each.token_type in kinds]
    assert found == strings


@pytest.mark.parametrize(
    ("text", "again"),
    [
        ("d - INTERVAL 1 DAY 2 HOURS", "d - (INTERVAL '1' DAY + INTERVAL '2' HOURS)"),
        ("INTERVAL 1 DAY '2' HOUR * 3", "(INTERVAL '1' DAY + INTERVAL '2' HOUR) * 3"),
        ("-INTERVAL -1 DAY 1 HOUR", "-(INTERVAL '-1' DAY + INTERVAL '1' HOUR)"),
        ("INTERVAL 1 DAY - 2 HOURS", "(INTERVAL '1' DAY + INTERVAL '-2' HOURS)"),
        ("INTERVAL '2' YEAR + '3-3'", "(INTERVAL '2' YEAR) + '3-3'"),
        ("INTERVAL 1 DAY - 2", "INTERVAL '1' DAY - 2"),
        ("d - INTERVAL 1 WEEK day", "d - INTERVAL '1' WEEK AS day"),
        ("d - INTERVAL '1' YEAR TO MONTH", "d - INTERVAL '1' YEAR TO MONTH"),
        ("t - INTERVAL (n + 1) DAY, interval", "t - INTERVAL (n + 1) DAY, interval"),
    ],
)
@pytest.mark.parametrize("dialect", [Dialect.SPARK, Dialect.TRINO, Dialect.DUCKDB])
def test_an_interval_of_several_parts_is_one_operand(
    text: str, again: str, dialect: Dialect
) -> None:
    assert parse_tree(f"SELECT {text}", dialect).sql("spark") == f"SELECT {again}"


@pytest.mark.parametrize(
    ("text", "again"),
    [
        ("1 & 2 >> 1", "1 & (SHIFTRIGHT(2, 1))"),
        ("a | b & c ^ d", "a | ((b & c) ^ d)"),
        ("a & b & c | d", "(a & b & c) | d"),
        ("a << b + 1 || c", "SHIFTLEFT(a, b + 1 || c)"),
        ("a >>> 2", "SHIFTRIGHTUNSIGNED(a, 2)"),
        ("-128Y, -5Y", "CAST(-128 AS TINYINT), -CAST(5 AS TINYINT)"),
        ("-CAST('128' AS TINYINT)", "-CAST('128' AS TINYINT)"),
        ("-CAST(`128` AS INT)", "-CAST(`128` AS INT)"),
        ("a FROM t LEFT SEMI JOIN u", "a FROM t LEFT SEMI JOIN u ON TRUE"),
        ("a FROM t LEFT ANTI JOIN u USING (a)", "a FROM t LEFT ANTI JOIN u USING (a)"),
    ],
)
def test_what_sqlglot_reads_otherwise_than_spark(text: str, again: str) -> None:
    assert parse_tree(f"SELECT {text}", Dialect.SPARK).sql("spark") == f"SELECT {again}"


def test_the_name_after_bare_values_is_the_tables() -> None:
    tree = parse_tree("SELECT * FROM VALUES 1, 2 AS t(a)", Dialect.SPARK)
    assert tree.sql("spark") == "SELECT * FROM VALUES (1), (2) AS t(a)"
