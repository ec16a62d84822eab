"""What is being typed at `|`, in statements that are not finished."""

import pytest

from headwater.model.statement import Dialect
from headwater.sql.complete import Place, Source, Typing, as_written, look


def at(text: str, dialect: Dialect = Dialect.TRINO) -> Typing:
    return look(text.replace("|", ""), text.index("|"), dialect)


@pytest.mark.parametrize(
    ("text", "place", "qualifier", "prefix"),
    [
        ("|", Place.START, (), ""),
        ("sel|", Place.START, (), "sel"),
        ("SELECT 1; ins|", Place.START, (), "ins"),
        ("EXPLAIN sel|", Place.START, (), "sel"),
        ("SELECT |", Place.EXPRESSION, (), ""),
        ("SELECT a, b|", Place.EXPRESSION, (), "b"),
        ("SELECT * FROM |", Place.TABLE, (), ""),
        ("SELECT * FROM sam|", Place.TABLE, (), "sam"),
        ("SELECT * FROM sample.|", Place.TABLE, ("sample",), ""),
        ("SELECT * FROM lake.sample.fl|", Place.TABLE, ("lake", "sample"), "fl"),
        ('SELECT * FROM "my schema".ta|', Place.TABLE, ("my schema",), "ta"),
        ("SELECT * FROM a, |", Place.TABLE, (), ""),
        ("SELECT * FROM a JOIN |", Place.TABLE, (), ""),
        ("SELECT * FROM a WHERE |", Place.EXPRESSION, (), ""),
        ("SELECT * FROM a f WHERE f.|", Place.EXPRESSION, ("f",), ""),
        ("SELECT f.| FROM sample.flights f", Place.EXPRESSION, ("f",), ""),
        ("SELECT * FROM a |", Place.EXPRESSION, (), ""),
        ("SELECT count(|", Place.EXPRESSION, (), ""),
        ("SELECT * FROM (|", Place.START, (), ""),
        ("SELECT * FROM (SELECT * FROM |", Place.TABLE, (), ""),
        ("SELECT * FROM a WHERE x IN (SELECT |", Place.EXPRESSION, (), ""),
        ("INSERT INTO |", Place.TABLE, (), ""),
        ("UPDATE |", Place.TABLE, (), ""),
        ("SELECT 'from |", Place.NOTHING, (), ""),
        ("SELECT 1 -- from |", Place.NOTHING, (), ""),
        ("SELECT /* x | */ 1", Place.NOTHING, (), ""),
        ("SELECT 12|", Place.NOTHING, (), ""),
        ("SELECT 'it''s', |", Place.EXPRESSION, (), ""),
    ],
)
def test_the_place(text: str, place: Place, qualifier: tuple[str, ...], prefix: str) -> None:
    found = at(text)
    assert (found.place, found.qualifier, found.prefix) == (place, qualifier, prefix)
    if place is not Place.NOTHING:
        assert found.start == text.index("|") - len(prefix) - len(found.quote)


def test_the_tables_in_use() -> None:
    found = at(
        "WITH w AS (SELECT 1) SELECT | FROM sample.a AS x, b, w LEFT JOIN c.d y ON x.i = y.i"
    )
    assert found.sources == (
        Source(("sample", "a"), "x"),
        Source(("b",)),
        Source(("w",)),
        Source(("c", "d"), "y"),
    )
    assert found.local == ("w",)


def test_only_the_statement_at_the_cursor_counts() -> None:
    found = at("SELECT * FROM a; SELECT | FROM b; SELECT * FROM c")
    assert found.sources == (Source(("b",)),)


def test_quotes_of_a_dialect() -> None:
    assert at("SELECT * FROM `my t|", Dialect.SPARK).prefix == "my t"
    assert at('SELECT "my t|', Dialect.SPARK).place is Place.NOTHING
    assert at('SELECT * FROM "my t|').quote == '"'
    assert as_written("flights", Dialect.TRINO) == "flights"
    assert as_written("order", Dialect.TRINO) == '"order"'
    assert as_written('a"b', Dialect.TRINO) == '"a""b"'
    assert as_written("données 🚕", Dialect.SPARK) == "`données 🚕`"


def test_a_huge_text_is_no_trouble() -> None:
    text = "SELECT 1;\n" * 200_000
    assert look(text + "SELECT * FROM t", len(text) + 15, Dialect.TRINO).place is Place.TABLE
