"""Writes change what the writer may see and nothing else, and say nothing about the rest."""

from __future__ import annotations

from dataclasses import replace

import duckdb
import pytest

from headwater.errors import ErrorCode, HeadwaterError
from headwater.model.scan import GovernedWrite, WriteOperation
from headwater.model.statement import Dialect, Session
from headwater.sql.parse import parse
from headwater.sql.rewrite import govern
from headwater.sql.statements import Delete, Insert, Merge, Update
from headwater.sql.targets import ROW_FILTER_VIOLATION
from headwater.sql.transpile import emit
from headwater.sql.write import bind_write
from unit.sql.lake import DATA, IDENTITY, Lake, restricted, scan


class Writer:
    """Runs changes of emp against a catalog `lake` in DuckDB's memory."""

    def __init__(self, *, analyst: bool = False) -> None:
        self.lake = Lake(analyst=analyst)
        seen = restricted() if analyst else scan("emp")
        self.write = GovernedWrite(
            identifier=seen.identifier,
            table_uuid="emp",
            operation=WriteOperation.UPDATE,
            columns=tuple(column for column in seen.columns if column.mask is None),
            row_filter=seen.row_filter,
            decision=seen.decision,
            scan=seen,
            masked_columns=frozenset({"ssn"}) if analyst else frozenset(),
        )
        self.db = duckdb.connect(config={"threads": 1})
        self.db.execute(DATA)
        self.db.execute("ATTACH ':memory:' AS lake; CREATE SCHEMA lake.hr;")
        self.db.execute("CREATE TABLE lake.hr.emp AS FROM emp")

    def emit(self, sql: str, dialect: Dialect = Dialect.TRINO) -> str:
        statement = parse(sql, dialect)
        assert isinstance(statement, Insert | Update | Delete | Merge)
        session = Session(IDENTITY, dialect, schema="hr")
        bound, _ = bind_write(statement, self.write, self.lake, session=session, query_key="00ff")
        return emit(govern(bound, query_key="00ff"))

    def run(self, sql: str, dialect: Dialect = Dialect.TRINO) -> int:
        return int(self.db.execute(self.emit(sql, dialect)).fetchall()[0][0])

    def rows(self, columns: str = "id, name, region", where: str = "true") -> list[object]:
        return self.db.execute(
            f"SELECT {columns} FROM lake.hr.emp WHERE {where} ORDER BY 1"
        ).fetchall()


def test_insert() -> None:
    writer = Writer()
    assert writer.run("INSERT INTO emp (id, name) SELECT id + 100, upper(name) FROM dept") == 3
    assert writer.rows(where="id > 100")[0] == (101, "SALES", None)
    assert writer.run("INSERT INTO emp VALUES (200, 'a', 'b', 'EU', 1)") == 1


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("INSERT INTO emp (id, nope) VALUES (1, 2)", ErrorCode.COLUMN_NOT_FOUND),
        ("INSERT INTO emp (id, id) VALUES (1, 2)", ErrorCode.DUPLICATE_COLUMN_NAME),
        ("INSERT INTO emp (id) VALUES (1, 2)", ErrorCode.TYPE_MISMATCH),
        ("INSERT INTO emp (id) VALUES ('x')", ErrorCode.TYPE_MISMATCH),
        ("INSERT INTO emp VALUES (1)", ErrorCode.TYPE_MISMATCH),
        ("UPDATE emp SET nope = 1", ErrorCode.COLUMN_NOT_FOUND),
        ("UPDATE emp SET id = 1, id = 2", ErrorCode.DUPLICATE_COLUMN_NAME),
        ("UPDATE emp SET id = 1 WHERE nope", ErrorCode.COLUMN_NOT_FOUND),
    ],
)
def test_bad_writes(sql: str, code: ErrorCode) -> None:
    with pytest.raises(HeadwaterError) as caught:
        Writer().emit(sql)
    assert caught.value.code is code


def test_update_and_delete() -> None:
    writer = Writer()
    assert writer.run("UPDATE emp SET name = name || '!', salary = id * 2 WHERE id = 2") == 1
    assert writer.rows("id, name, salary", "id = 2") == [(2, "n2!", 4)]
    assert writer.run("UPDATE emp e SET name = 'd' WHERE e.id IN (SELECT id FROM dept)") == 3
    assert (
        writer.run("DELETE FROM emp WHERE EXISTS (SELECT 1 FROM dept d WHERE d.id = emp.id)") == 3
    )
    assert writer.run("DELETE FROM emp") == 7


def test_merge() -> None:
    writer = Writer()
    sql = """MERGE INTO emp t USING (VALUES (1, 'one'), (2, 'two'), (50, 'new')) s(id, name)
        ON t.id = s.id
        WHEN MATCHED AND s.id = 1 THEN UPDATE SET name = s.name
        WHEN MATCHED THEN UPDATE SET region = s.name
        WHEN NOT MATCHED THEN INSERT (id, name) VALUES (s.id, s.name)"""
    assert writer.run(sql) == 3
    assert writer.rows(where="id IN (1, 2, 50)") == [
        (1, "one", "US"), (2, "n2", "two"), (50, "new", None),
    ]  # fmt: skip
    assert writer.run("MERGE INTO emp USING dept d ON emp.id = d.id WHEN MATCHED THEN DELETE") == 3


def test_merge_star_of_spark() -> None:
    writer = Writer()
    sql = """MERGE INTO emp t USING (SELECT 1L AS id, 'one' AS name, 's' AS ssn, 'EU' AS region,
        5L AS salary) s ON t.id = s.id WHEN MATCHED THEN UPDATE SET *
        WHEN NOT MATCHED THEN INSERT *"""
    assert writer.run(sql, Dialect.SPARK) == 1
    assert writer.rows(where="id = 1") == [(1, "one", "EU")]


def test_restricted_writer_reaches_visible_rows_only() -> None:
    writer = Writer(analyst=True)
    hidden = writer.rows("*", "region = 'US'")
    assert writer.run("UPDATE emp SET name = 'mine'") == 5
    assert writer.run("UPDATE emp SET name = 'x' WHERE id = 1") == 0
    # A predicate on the stored ssn finds nothing; on the masked one, what the writer sees.
    assert writer.run("DELETE FROM emp WHERE ssn = '12345-6002'") == 0
    assert writer.run("DELETE FROM emp WHERE ssn = '******6002'") == 1
    assert writer.run("DELETE FROM emp WHERE ssn IS NULL OR region IS NULL OR id IS NULL") == 0
    assert writer.run("DELETE FROM emp") == 4
    assert writer.rows("*") == hidden


def test_no_predicate_is_evaluated_on_hidden_rows() -> None:
    writer = Writer(analyst=True)
    # Throws on n1, which is hidden; and on n10, which is not.
    assert writer.run("DELETE FROM emp WHERE id < 10 AND 10 / (id - 1) < 0") == 0
    with pytest.raises(duckdb.Error):
        writer.run("DELETE FROM emp WHERE CAST(replace(name, 'n10', 'x') AS integer) = 1")


def test_new_rows_must_pass_the_filter() -> None:
    writer = Writer(analyst=True)
    assert writer.run("INSERT INTO emp (id, region) VALUES (60, 'EU')") == 1
    for sql in (
        "INSERT INTO emp (id, region) VALUES (61, 'US')",
        "INSERT INTO emp (id) VALUES (62)",
        "UPDATE emp SET region = 'US' WHERE id = 2",
        "UPDATE emp SET region = NULL",
        (
            "MERGE INTO emp t USING (VALUES (2)) s(id) ON t.id = s.id "
            "WHEN MATCHED THEN UPDATE SET region = 'US'"
        ),
        (
            "MERGE INTO emp t USING (VALUES (1)) s(id) ON t.id = s.id "
            "WHEN NOT MATCHED THEN INSERT (id, region) VALUES (s.id, 'US')"
        ),
    ):
        before = writer.rows("*")
        with pytest.raises(duckdb.Error, match=ROW_FILTER_VIOLATION):
            writer.run(sql)
        assert writer.rows("*") == before


def test_masked_hidden_and_ungranted_columns_cannot_be_written() -> None:
    writer = Writer(analyst=True)
    for sql, code in (
        ("UPDATE emp SET ssn = 'x'", ErrorCode.PERMISSION_DENIED),
        ("UPDATE emp SET salary = 1", ErrorCode.COLUMN_NOT_FOUND),
        ("UPDATE emp SET name = CAST(salary AS varchar)", ErrorCode.COLUMN_NOT_FOUND),
        ("INSERT INTO emp (ssn) VALUES ('x')", ErrorCode.PERMISSION_DENIED),
        ("INSERT INTO emp (salary) VALUES (1)", ErrorCode.COLUMN_NOT_FOUND),
    ):
        with pytest.raises(HeadwaterError) as caught:
            writer.emit(sql)
        assert caught.value.code is code, sql
    writer.write = replace(writer.write, columns=writer.write.columns[:1])
    with pytest.raises(HeadwaterError) as caught:
        writer.emit("UPDATE emp SET name = 'x'")
    assert caught.value.code is ErrorCode.PERMISSION_DENIED


def test_merge_does_not_tell_of_hidden_rows() -> None:
    writer = Writer(analyst=True)
    sql = """MERGE INTO emp t USING (VALUES (1)) s(id) ON t.id = s.id
        WHEN MATCHED THEN UPDATE SET name = 'found'
        WHEN NOT MATCHED THEN INSERT (id, region) VALUES (s.id, 'EU')"""
    assert writer.run(sql) == 1
    assert writer.rows(where="id = 1") == [(1, "n1", "US"), (1, None, "EU")]
