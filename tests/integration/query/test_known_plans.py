"""A query that ran before: its plan comes back, its decisions are taken and audited anew."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from headwater.errors import ErrorCode, HeadwaterError
from headwater.query.plans import UNPARSED, plan_key
from headwater.query.query import Query
from headwater.sql.parse import parse
from headwater.sql.statements import Query as ParsedQuery
from platform_fixture import Platform, running_platform

BY_SHAPE = ParsedQuery(UNPARSED)
SQL = "SELECT id, name FROM s.people ORDER BY id"


@pytest.fixture
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with running_platform(tmp_path_factory.mktemp("plans")) as running:
        admin = running.session()
        for statement in (
            "CREATE SCHEMA s",
            "CREATE TABLE s.people (id bigint, name varchar)",
            "INSERT INTO s.people VALUES (1, 'a'), (2, 'b')",
            "CREATE USER eve",
            "GRANT SELECT ON TABLE lake.s.people TO USER eve",
        ):
            running.run(admin, statement)
        yield running


def sql_of(platform: Platform, query: Query) -> str | None:
    """The engine's SQL that is kept for a query."""
    known = platform.parts.plans.find(plan_key(query.statement.text, query.session, ()))
    return None if known is None else known.sql


def test_a_plan_comes_back_and_every_run_is_audited(platform: Platform) -> None:
    eve = platform.session("eve")
    first, second = platform.run(eve, SQL), platform.run(eve, SQL)
    assert sql_of(platform, first) is not None
    assert first.table().equals(second.table())
    assert len(first.decisions) == len(second.decisions) == 1
    assert first.decisions != second.decisions
    platform.parts.history.entries()
    audited = {event.facts["id"] for event in platform.audit.query(principal="eve")}
    assert {*first.decisions, *second.decisions} <= audited


def test_policies_and_tables_of_now_hold(platform: Platform) -> None:
    admin, eve = platform.session(), platform.session("eve")
    assert platform.rows(eve, SQL) == [(1, "a"), (2, "b")]
    platform.run(admin, "CREATE ROW FILTER f ON lake.s.people USING (id > 1) TO USER eve")
    assert platform.rows(eve, SQL) == [(2, "b")]
    assert platform.rows(admin, SQL) == [(1, "a"), (2, "b")]
    platform.run(admin, "INSERT INTO s.people VALUES (3, 'c')")
    assert platform.rows(eve, SQL) == [(2, "b"), (3, "c")]
    assert platform.rows(eve, SQL) == [(2, "b"), (3, "c")]
    again = platform.run(eve, SQL)
    assert len(again.decisions) == 1
    platform.run(admin, "REVOKE SELECT ON TABLE lake.s.people FROM USER eve")
    with pytest.raises(HeadwaterError) as refused:
        platform.run(eve, SQL)
    assert refused.value.code is ErrorCode.TABLE_NOT_FOUND


def test_a_replaced_view_makes_a_new_plan(platform: Platform) -> None:
    admin, eve = platform.session(), platform.session("eve")
    platform.run(admin, "CREATE VIEW s.v AS SELECT id FROM s.people WHERE id = 1")
    platform.run(admin, "GRANT SELECT ON VIEW lake.s.v TO USER eve")
    reading = "SELECT * FROM s.v"
    assert platform.rows(eve, reading) == platform.rows(eve, reading) == [(1,)]
    platform.run(admin, "CREATE OR REPLACE VIEW s.v AS SELECT id FROM s.people WHERE id = 2")
    assert platform.rows(eve, reading) == [(2,)]


def test_hashes_that_hold_for_one_statement_are_keyed_anew(platform: Platform) -> None:
    admin, eve = platform.session(), platform.session("eve")
    mask = "CREATE COLUMN MASK m ON lake.s.people (name) USING 'sha-256-query-local' TO USER eve"
    platform.run(admin, mask)
    first, second = platform.run(eve, SQL), platform.run(eve, SQL)
    assert sql_of(platform, first) is None
    assert first.table()["name"] != second.table()["name"]


def test_time_travel_is_looked_up_each_time(platform: Platform) -> None:
    moment = "SELECT count(*) FROM s.people FOR TIMESTAMP AS OF current_timestamp"
    admin = platform.session()
    assert platform.rows(admin, moment) == [(2,)]
    platform.run(admin, "INSERT INTO s.people VALUES (3, 'c')")
    assert platform.rows(admin, moment) == [(3,)]


def test_queries_that_differ_in_a_number_share_a_plan(platform: Platform) -> None:
    admin, eve = platform.session(), platform.session("eve")
    reading = "SELECT name FROM s.people WHERE id = {} ORDER BY 1"
    assert platform.rows(eve, reading.format(2)) == [("b",)]
    assert platform.rows(eve, reading.format(3)) == []
    shared = platform.run(eve, reading.format(77))
    assert sql_of(platform, shared) is not None
    plans, dialect = platform.parts.plans, shared.session.dialect
    assert plans.parse_or_recall(reading.format(78), dialect) == BY_SHAPE
    assert plans.parse(reading.format(78), dialect) == parse(reading.format(78), dialect)
    # its answer, decision and audit rows are its own
    assert len(shared.decisions) == 1
    platform.run(admin, "INSERT INTO s.people VALUES (77, 'c'), (1234567890123, 'd')")
    assert platform.rows(eve, reading.format(77)) == [("c",)]
    assert platform.rows(eve, reading.format(2)) == [("b",)]
    assert platform.rows(eve, reading.format(1)) == [("a",)]  # twice in its text: a plan of its own
    assert platform.rows(eve, reading.format(1234567890123)) == [("d",)]
    platform.run(admin, "CREATE ROW FILTER f ON lake.s.people USING (id <> 77) TO USER eve")
    assert platform.rows(eve, reading.format(77)) == []
    assert platform.rows(admin, reading.format(77)) == [("c",)]
    assert platform.rows(eve, reading.format(2)) == [("b",)]
    assert platform.rows(eve, reading.format(77)) == []
    platform.run(admin, "REVOKE SELECT ON TABLE lake.s.people FROM USER eve")
    with pytest.raises(HeadwaterError) as refused:
        platform.run(eve, reading.format(2))
    assert refused.value.code is ErrorCode.TABLE_NOT_FOUND
    explained = platform.rows(admin, "EXPLAIN " + reading.format(3))
    assert explained
    assert explained != platform.rows(admin, reading.format(3))
    assert platform.rows(admin, "EXPLAIN " + reading.format(4)) != []
