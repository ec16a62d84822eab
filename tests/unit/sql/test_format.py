"""Laying out statements: comments stay, meaning stays, and what cannot stays whole."""

import pytest
import sqlglot

from headwater.errors import HeadwaterError
from headwater.model.statement import Dialect
from headwater.sql.format import format_sql


def test_clauses_get_lines_and_comments_stay() -> None:
    text = (
        "-- who flies\nselect a, /* the sum */ sum(b) as s from t where x > 1 group by a -- end\n"
    )
    made, notes = format_sql(text, Dialect.TRINO)
    assert notes == []
    assert "who flies" in made
    assert "the sum" in made
    assert "end" in made
    assert made.splitlines()[1:3] == ["SELECT", "  a, /* the sum */"]
    assert made.endswith("\n")


def test_statements_are_laid_out_one_by_one() -> None:
    made, notes = format_sql("select 1; deny select on t to role r; select 2", Dialect.TRINO)
    assert made == "SELECT\n  1;\n\ndeny select on t to role r;\n\nSELECT\n  2"
    assert len(notes) == 1
    assert notes[0].startswith("statement 2 stays")


def test_what_cannot_be_read_stays() -> None:
    made, notes = format_sql("select from where", Dialect.TRINO)
    assert made == "select from where"
    assert notes
    with pytest.raises(HeadwaterError):
        format_sql("select 'open", Dialect.TRINO)


@pytest.mark.parametrize("dialect", list(Dialect))
def test_twice_is_as_once(dialect: Dialect) -> None:
    text = (
        "with a as (select x, count(*) n from t group by 1) "
        "select a.x, case when n > 3 then 'many' else 'few' end k, "
        "row_number() over (partition by x order by n desc) r "
        "from a left join b on a.x = b.x where a.n between 1 and 5 order by 1 limit 3"
    )
    once, notes = format_sql(text, dialect)
    assert not notes
    assert format_sql(once, dialect) == (once, [])
    assert sqlglot.parse_one(once, dialect=dialect) == sqlglot.parse_one(text, dialect=dialect)
