"""A restricted user's answers equal an administrator's on tables that hold only what he may see."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from headwater.errors import HeadwaterError
from headwater.model.statement import Session
from integration.differential.generator import Generator
from integration.differential.lake import SECRET, Twins, make
from platform_fixture import Platform, running_platform

SEED = 20261122
QUERIES = 2000


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with running_platform(tmp_path_factory.mktemp("differential"), workers=2) as running:
        yield running


@pytest.fixture(scope="module")
def twins(platform: Platform) -> Twins:
    return make(platform)


def answer(platform: Platform, session: Session, sql: str) -> tuple[str, object, str]:
    """What a statement leads to: its kind, what must be equal, and all text that was returned."""
    try:
        query = platform.run(session, sql)
    except HeadwaterError as exc:
        return "error", str(exc.code), f"{exc} {exc.hint} {exc.position}"
    if query.schema is None or query.update_count is not None:
        return "count", query.update_count, ""
    table = query.table()
    columns = [column.to_pylist() for column in table.columns]
    rows = Counter(map(repr, zip(*columns, strict=True)))
    return "rows", (str(table.schema), rows), repr(rows)


def difference(platform: Platform, twins: Twins, sql: str) -> str | None:
    """How the two answers differ, ready to be read; None when they do not."""
    restricted = platform.session(twins.user, schema=twins.governed)
    admin = platform.session(schema=twins.copies)
    seen, expected = answer(platform, restricted, sql), answer(platform, admin, sql)
    if SECRET in seen[2]:
        return f"a hidden value came out\n  {sql}\n  {seen[2][:600]}"
    if seen[:2] == expected[:2]:
        return None
    return (
        f"the answers differ (to shrink: take parts away while they still do)\n  {sql}\n"
        f"  restricted: {seen}\n  on copies:  {expected}"[:3000]
    )


@pytest.mark.timeout(600)  # a minute and a half on two free cores
def test_two_thousand_queries(platform: Platform, twins: Twins) -> None:
    generator = Generator(SEED)
    queries = [generator.query() for _ in range(QUERIES)]
    started = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda sql: difference(platform, twins, sql), queries))
    problems = [problem for problem in found if problem is not None]
    seconds = time.monotonic() - started
    head = f"seed {SEED}: {len(problems)} of {len(queries)} queries differ ({seconds:.0f} s)"
    assert not problems, "\n".join([head, *problems[:10]])
