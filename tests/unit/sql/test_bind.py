"""Names resolve by SQL's scopes, and what is emitted runs and gives the right rows."""

from __future__ import annotations

import pytest
from sqlglot import exp

from headwater.errors import ErrorCode, HeadwaterError
from headwater.model.statement import Dialect
from headwater.sql.trees import parse_tree
from unit.sql.lake import Lake

T, S, D = Dialect.TRINO, Dialect.SPARK, Dialect.DUCKDB

QUERIES = [
    (T, "SELECT id, name FROM emp WHERE id < 3", [(1, "n1"), (2, "n2")]),
    (T, "SELECT * FROM dept WHERE dept.id = 2 AND hr.dept.id = 2", [(2, "law", "US")]),
    (T, "WITH emp AS (SELECT 1 x) SELECT * FROM emp", [(1,)]),
    (T, "TABLE dept ORDER BY 1 DESC LIMIT 1", [(3, "it", "EU")]),
    (T, "VALUES (1, 'a'), (2, 'b')", [(1, "a"), (2, "b")]),
    (T, "SELECT y FROM (VALUES (1, 'a')) AS t(x, y)", [("a",)]),
    (
        T,
        ("SELECT e.name, count(*) c FROM emp e JOIN dept d ON e.region = d.region "
        "GROUP BY 1 ORDER BY c DESC, name LIMIT 2"),
        [("n10", 2), ("n2", 2)],
    ),
    (
        T,
        ("SELECT name FROM emp e WHERE EXISTS (SELECT 1 FROM dept d WHERE d.region = e.region "
        "AND d.id = 1) AND id IN (SELECT id FROM dept)"),
        [("n2",)],
    ),
    (T, "SELECT region FROM dept JOIN emp USING (region) WHERE emp.id = 1", [("US",)]),
    (T, "SELECT * FROM emp NATURAL JOIN dept", []),
    (T, "SELECT e.id FROM emp e, LATERAL (SELECT e.id + 1 AS y) l WHERE y = 3", [(2,)]),
    (T, "SELECT d.id, e.id FROM (dept d JOIN emp e ON d.id = e.id) WHERE d.id = 1", [(1, 1)]),
    (T, "SELECT id FROM emp UNION ALL SELECT id FROM dept ORDER BY id DESC LIMIT 1", [(10,)]),
    (
        T,
        ("WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 5) "
        "SELECT sum(n) FROM r"),
        [(15,)],
    ),
    (
        T,
        "SELECT region, count(*), grouping(region) FROM emp GROUP BY ROLLUP (region) ORDER BY 1",
        [("EU", 5, 0), ("US", 5, 0), (None, 10, 1)],
    ),
    (T, "SELECT id AS x FROM emp ORDER BY x + 1 DESC LIMIT 1", [(10,)]),
    (T, "SELECT x.k, o FROM facts CROSS JOIN UNNEST(recs) WITH ORDINALITY AS x(k, v, o)",
     [("a", 1), ("b", 2)]),
    (T, "SELECT k, v FROM facts, UNNEST(m) t(k, v)", [("p", 1), ("q", 2)]),
    (T, "SELECT rec.a, arr[1] FROM facts WHERE ok", [(1, 3)]),
    (T, "SELECT * FROM TABLE(sequence(1, 3))", [(1,), (2,), (3,)]),
    (T, "SELECT * FROM empty", []),
    (T, "SELECT count(*) FROM empty", [(0,)]),
    (S, "SELECT y FROM facts LATERAL VIEW explode(arr) t AS y", [(3,), (1,), (2,)]),
    (S, "SELECT id FROM range(2)", [(0,), (1,)]),
    (D, "FROM emp SELECT name WHERE id = 2", [("n2",)]),
    (D, "SELECT dept FROM dept WHERE id = 3", [({"id": 3, "name": "it", "region": "EU"},)]),
    (D, "SELECT * EXCLUDE (id) FROM dept WHERE id = 3", [("it", "EU")]),
]  # fmt: skip


@pytest.mark.parametrize(("dialect", "sql", "rows"), QUERIES)
def test_answers(dialect: Dialect, sql: str, rows: list[tuple[object, ...]]) -> None:
    assert Lake().run(sql, dialect) == rows


ERRORS = [
    ("SELECT nam FROM emp", ErrorCode.COLUMN_NOT_FOUND, 'did you mean "name"?', (1, 8)),
    ("SELECT e.nam\nFROM emp e", ErrorCode.COLUMN_NOT_FOUND, 'did you mean "name"?', None),
    ("SELECT f.name FROM emp e", ErrorCode.COLUMN_NOT_FOUND, None, None),
    ("SELECT id FROM emp, dept", ErrorCode.AMBIGUOUS_NAME, "write table.column", (1, 8)),
    ("SELECT * FROM epm", ErrorCode.TABLE_NOT_FOUND, 'did you mean "emp"?', (1, 15)),
    ("SELECT id FROM emp ORDER BY 3", ErrorCode.INVALID_ARGUMENT, None, None),
    ("SELECT rec.zz FROM facts", ErrorCode.COLUMN_NOT_FOUND, None, None),
    ("SELECT id.x FROM emp", ErrorCode.TYPE_MISMATCH, None, None),
    ("SELECT (SELECT id, name FROM emp)", ErrorCode.TYPE_MISMATCH, None, None),
    ("SELECT 1 UNION SELECT 1, 2", ErrorCode.TYPE_MISMATCH, None, None),
    ("SELECT * FROM dept AS t(a, b)", ErrorCode.TYPE_MISMATCH, None, None),
    ("SELECT read_text('/etc/passwd')", ErrorCode.FUNCTION_NOT_FOUND, None, (1, 8)),
    ("SELECT a FROM emp JOIN dept USING (nope)", ErrorCode.COLUMN_NOT_FOUND, None, None),
    ("WITH a AS (SELECT 1), a AS (SELECT 2) SELECT 1", ErrorCode.DUPLICATE_COLUMN_NAME, None, None),
]


@pytest.mark.parametrize(("sql", "code", "hint", "place"), ERRORS)
def test_errors(sql: str, code: ErrorCode, hint: str | None, place: tuple[int, int] | None) -> None:
    with pytest.raises(HeadwaterError) as caught:
        Lake().bind(sql)
    assert caught.value.code is code
    if hint is not None:
        assert caught.value.hint == hint
    if place is not None:
        assert caught.value.position is not None
        assert (caught.value.position.line, caught.value.position.column) == place


def test_views_expand_and_may_not_read_themselves() -> None:
    lake = Lake()
    lake.view("v", "SELECT name AS n FROM emp WHERE id < 3")
    lake.view("w", "SELECT upper(n) AS u FROM v")
    assert lake.run("SELECT u FROM w ORDER BY 1") == [("N1",), ("N2",)]
    lake.view("loop", "SELECT * FROM loop")
    with pytest.raises(HeadwaterError, match="reads itself"):
        lake.bind("SELECT * FROM loop")


def test_restricted_scan_is_filtered_masked_and_narrow() -> None:
    lake = Lake(analyst=True)
    assert lake.run("SELECT * FROM emp WHERE id < 5") == [
        (2, "n2", "******6002", "EU"),
        (4, "n4", "******6004", "EU"),
    ]
    with pytest.raises(HeadwaterError) as caught:
        lake.bind("SELECT salary FROM emp")
    assert caught.value.code is ErrorCode.COLUMN_NOT_FOUND
    assert "salary" not in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("sql", "dialect", "kind"),
    [
        ("DECIMAL '1.50'", Dialect.TRINO, "DECIMAL(3, 2)"),
        ("DECIMAL '-0.001'", Dialect.TRINO, "DECIMAL(3, 3)"),
        ("DECIMAL '0'", Dialect.TRINO, "DECIMAL(1, 0)"),
        ("CAST('1.5' AS decimal)", Dialect.TRINO, "DECIMAL(38, 0)"),
        ("CAST('1.5' AS decimal)", Dialect.SPARK, "DECIMAL(10, 0)"),
        ("CAST('1.5' AS decimal)", Dialect.DUCKDB, "DECIMAL(18, 3)"),
    ],
)
def test_a_decimal_without_a_size_has_its_dialects(sql: str, dialect: Dialect, kind: str) -> None:
    assert kind in parse_tree(f"SELECT {sql}", dialect).sql("duckdb")


@pytest.mark.parametrize("dialect", Dialect)
def test_a_parameter_alone_is_a_column(dialect: Dialect) -> None:
    given = (exp.Literal.number(5), exp.Literal.number(6))
    text = Lake().emit("SELECT ?, 1 + ?", dialect, parameters=given)
    assert "5" in text
    assert "\0" not in text
