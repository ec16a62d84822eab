"""The canary: proves at start-up that DuckDB keeps user predicates above a policy's filter.

Each probe reads the canary's table (`canary_table`) behind a policy, in the very shape in which
`headwater.sql` emits governed scans, and puts beside it a user expression that fails on hidden rows
only. The barrier holds when no probe fails and each counts the visible rows. It does not prove that
no other statement can leak: it proves that this engine, with these settings, has not changed in the
ways in which engines have leaked before.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import duckdb

from headwater.engines.duckdb.instance import quote

POLICIES = {
    "literal": "region = 'EU'",
    "expensive": "md5(region || 'x') = md5('EUx') AND sha256(region) <> sha256('US')",
    "pattern": "regexp_matches(region, '^E.*U$')",
    "case": "CASE WHEN region IN ('US', 'ZA') THEN false ELSE length(region) = 2 END",
    "list": "list_contains(list_transform(['e', 'E'], x -> upper(x)), left(region, 1))",
}
"""Policy filters, all of which let the same rows pass; most cannot be pushed into the scan."""

THROWERS = {
    "cast": "CAST(name AS INTEGER) >= 0",
    "overflow": "salary + 1 > 0",
    "regexp": "regexp_matches('a', pattern)",
    "error": "CASE WHEN name LIKE 'h%' THEN error(name) IS NULL ELSE true END",
}
"""User predicates that are true of every visible row and fail on every hidden one."""

STATEMENTS = {
    "where": "SELECT count(*) FROM t WHERE {p}",
    "conjunction": "SELECT count(*) FROM t WHERE id >= 0 AND {p} AND region IS NOT NULL",
    "twice": "SELECT count(*) FROM t a JOIN t b ON a.id = b.id WHERE (SELECT bool_and({p}) FROM t)",
    "join": "SELECT count(*) FROM t JOIN (VALUES (true)) AS v(k) ON v.k = ({p})",
    "projection": "SELECT count(*) FILTER (x) FROM (SELECT {p} AS x FROM t)",
    "group": "SELECT sum(n) FROM (SELECT {p} AS x, count(*) AS n FROM t GROUP BY {p})",
    "order": "SELECT count(*) FROM (SELECT id FROM t ORDER BY {p}, id LIMIT 1000000)",
    "lateral": "SELECT count(*) FROM t, LATERAL (SELECT {p} AS x) WHERE x",
    "window": "SELECT count(*) FROM (SELECT row_number() OVER (PARTITION BY {p}) AS n FROM t)",
    "semijoin": "SELECT count(*) FROM t WHERE id IN (SELECT id FROM t WHERE {p})",
    "union": "SELECT count(*) FROM (SELECT id FROM t WHERE {p} UNION SELECT id FROM t)",
    "cte": "SELECT count(*) FROM (WITH u AS (SELECT * FROM t) SELECT * FROM u WHERE {p})",
}
"""Where a user may write a predicate over the governed table `t`; each counts the visible rows."""


def probes(table: str) -> Iterator[tuple[str, str]]:
    """Names and SQL of all probes: each statement three times, policies and throwers in turn.

    The cycles have lengths without a common factor, so every policy meets every thrower.
    """
    policies = itertools.cycle(POLICIES.items())
    throwers = itertools.cycle(THROWERS.items())
    for place, statement in [*STATEMENTS.items()] * 3:
        policy, condition = next(policies)
        thrower, predicate = next(throwers)
        yield (
            f"{policy}/{place}/{thrower}",
            "WITH t AS MATERIALIZED (SELECT id, name, salary, pattern, region "
            f"FROM iceberg_scan({quote(table)}) WHERE {condition}) "
            + statement.format(p=predicate),
        )


def run_probes(
    connection: duckdb.DuckDBPyConnection, table: str, visible: int
) -> tuple[int, list[str]]:
    """How many probes were run, and the names of those that leaked (best: none).

    `visible` is how many rows of the table the policies let pass.
    """
    leaks: list[str] = []
    count = 0
    for name, sql in probes(table):
        count += 1
        try:
            row = connection.execute(sql).fetchone()
        except duckdb.Error:
            leaks.append(name)
            continue
        if row is None or row[0] != visible:
            leaks.append(name)
    return count, leaks
