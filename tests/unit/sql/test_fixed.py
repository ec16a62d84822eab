"""What a query fixes columns to is found, and never more than holds for each of its rows."""

from __future__ import annotations

import pytest

from headwater.model.statement import Dialect, Session
from headwater.sql.bind import bind
from headwater.sql.fixed import fixed_values
from headwater.sql.parse import parse
from headwater.sql.statements import Query
from unit.sql.lake import IDENTITY, Lake

FIXED = [
    ("SELECT id FROM dept WHERE name = 'a'", {"name": {"a"}}),
    (
        "SELECT id FROM dept d WHERE 'a' = d.name AND (id > 1 AND region IN ('x', 'y'))",
        {"name": {"a"}, "region": {"x", "y"}},
    ),
    ("SELECT id FROM dept WHERE name IN ('a', 'b') AND name = 'b'", {"name": {"b"}}),
    (r"SELECT id FROM dept WHERE name LIKE 'a\_b' ESCAPE '\'", {"name": {"a_b"}}),
    ("SELECT id FROM dept WHERE name LIKE 'ab'", {"name": {"ab"}}),
    ("SELECT e.id FROM emp e LEFT JOIN dept d ON d.id = e.id WHERE d.name = 'a'", {"name": {"a"}}),
    (
        "SELECT id FROM dept WHERE name = 'a' UNION ALL SELECT id FROM dept WHERE name = 'b'",
        {"name": {"a", "b"}},
    ),
    ("SELECT id FROM dept WHERE name = 'a' UNION ALL SELECT id FROM dept", {}),
    ("SELECT id FROM dept WHERE name = 'a' OR region = 'x'", {}),
    ("SELECT id FROM dept WHERE NOT name = 'a'", {}),
    ("SELECT id FROM dept WHERE name LIKE 'a%'", {}),
    ("SELECT id FROM dept WHERE name LIKE 'a_'", {}),
    ("SELECT id FROM dept WHERE lower(name) = 'a'", {}),
    ("SELECT id FROM dept WHERE name = region", {}),
    ("SELECT id FROM dept WHERE id = 1", {}),
    ("SELECT id FROM dept WHERE name IN (SELECT name FROM emp)", {}),
    ("SELECT d.id FROM dept d JOIN emp e ON d.id = e.id WHERE e.name = 'a'", {}),
    ("SELECT e.id FROM emp e LEFT JOIN dept d ON d.id = e.id AND d.name = 'a'", {}),
    ("SELECT count_if(name = 'a') FROM dept HAVING max(name) = 'a'", {}),
    ("SELECT x.id FROM (SELECT * FROM dept) x WHERE x.name = 'a'", {}),
]


@pytest.mark.parametrize(("sql", "expected"), FIXED, ids=[sql for sql, _ in FIXED])
def test_fixed_values_of_all_readings_of_dept(sql: str, expected: dict[str, set[str]]) -> None:
    statement = parse(sql, Dialect.TRINO)
    assert isinstance(statement, Query)
    bound = bind(statement.tree, Lake(), session=Session(IDENTITY, schema="hr"))
    key = next(
        leaf.key
        for leaf in bound.leaves
        if leaf.relation.scan.identifier.name == "dept"  # type: ignore[union-attr]
    )
    assert fixed_values(bound).get(key, {}) == expected
