"""What is emitted for a restricted user, word for word: dialect, statement, DuckDB's SQL."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.model.statement import Dialect
from unit.sql.lake import Lake, engine

FILE = Path(__file__).parent / "golden" / "restricted.sql"
CASES = re.findall(r"^-- (\w+)\n(.+);\n(.+);$", FILE.read_text(), re.MULTILINE)


@pytest.mark.parametrize(("dialect", "sql", "emitted"), CASES)
def test_golden(dialect: str, sql: str, emitted: str) -> None:
    assert Lake(analyst=True).emit(sql, Dialect(dialect)) == emitted


COLUMNS = st.sampled_from(["id", "name", "ssn", "region"])
PREDICATES = st.sampled_from(
    ["id > 3", "region = 'US'", "ssn LIKE '%6004'", "name IN ('n2', 'n3')", "id IS NULL", "true"]
)


@settings(max_examples=60, deadline=None)
@given(
    columns=st.lists(COLUMNS, min_size=1, max_size=4),
    predicate=PREDICATES,
    wrap=st.sampled_from(["{}", "SELECT * FROM ({}) q", "WITH q AS ({}) SELECT * FROM q a, q b"]),
    grouped=st.booleans(),
)
def test_restricted_answer_is_that_of_a_filtered_and_masked_copy(
    columns: list[str], predicate: str, wrap: str, grouped: bool
) -> None:
    """The same query over a table that holds only what the user may see gives the same rows."""
    names = list(dict.fromkeys(columns))
    text = f"SELECT {', '.join(names)} FROM emp WHERE {predicate}"
    if grouped:
        text += f" GROUP BY {', '.join(names)}"
    text = wrap.format(text)
    emitted = Lake(analyst=True).emit(text)
    assert "salary" not in emitted
    copy = (
        "(SELECT id, name, repeat('*', length(ssn) - 4) || right(ssn, 4) AS ssn, region "
        "FROM emp WHERE region = 'EU')"
    )
    theirs = engine().execute(text.replace("FROM emp", f"FROM {copy} AS emp")).fetchall()
    assert sorted(engine().execute(emitted).fetchall()) == sorted(theirs)
