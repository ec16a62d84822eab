"""Who runs a statement: with engines beside the system's that only note what they are asked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pytest

from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.model.statement import Dialect, EngineChoice, Session, Statement
from headwater.query.other_engines import OtherEngine, Receiver
from headwater.query.query import Query
from platform_fixture import Platform, running_platform

LACKING = "SELECT luhn_check('79927398713') AS ok"


@dataclass
class Noted:
    """A statement that answers one row."""

    wanted: EngineChoice
    reads: bool = True
    fails: HeadwaterError | None = None
    runs: int = 0

    def run(self, receiver: Receiver) -> None:
        self.runs += 1
        receiver.starting("sail")
        receiver.running("sail", "sail")
        if self.fails is not None:
            raise self.fails
        receiver.begin(pa.schema([("ok", pa.bool_())]))
        receiver.append(pa.record_batch({"ok": [True]}))


@dataclass
class Elsewhere:
    """Engines that note what they are asked; `refuses` is what they say to it."""

    refuses: HeadwaterError | None = None
    installed: bool = True
    reads: bool = True
    theirs: bool = True
    fails: HeadwaterError | None = None
    asked: list[Noted] = field(default_factory=list)

    def engines(self) -> Sequence[OtherEngine]:
        return [OtherEngine("sail", "sail", self.installed)]

    def prepare(self, session: Session, statement: Statement, engine: EngineChoice) -> Noted | None:
        if self.refuses is not None:
            raise self.refuses
        if not self.theirs:
            return None
        self.asked.append(Noted(engine, self.reads, self.fails))
        return self.asked[-1]


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """One stack for these tests."""
    with running_platform(tmp_path_factory.mktemp("choice")) as running:
        yield running


@pytest.fixture
def others(platform: Platform) -> Iterator[Elsewhere]:
    attached = Elsewhere()
    platform.parts.others.attach(attached)
    yield attached
    platform.parts.others.attach(None)


def run(
    platform: Platform,
    sql: str,
    engine: EngineChoice = EngineChoice.AUTO,
    dialect: Dialect = Dialect.SPARK,
) -> Query:
    session = platform.session(dialect=dialect)
    query = platform.queries.submit(session, Statement(sql, engine=engine))
    query.finish(60)
    return query


def code(query: Query) -> ErrorCode | None:
    return None if query.error is None else query.error.code


def test_auto_keeps_what_the_system_engine_can_do(platform: Platform, others: Elsewhere) -> None:
    query = run(platform, "SELECT 1 AS one")
    assert (code(query), query.engine, query.engine_reason) == (None, "duckdb", None)
    assert query.table().to_pylist() == [{"one": 1}]
    assert others.asked == []


def test_auto_moves_what_it_lacks_and_says_why(platform: Platform, others: Elsewhere) -> None:
    query = run(platform, LACKING)
    assert query.table().to_pylist() == [{"ok": True}]
    assert [each.runs for each in others.asked] == [1]
    assert others.asked[0].wanted is EngineChoice.AUTO
    assert query.engine == "sail"
    assert "system engine" in (query.engine_reason or "")
    assert "luhn_check" in (query.engine_reason or "")
    entry = platform.queries.history.entry(query.id)
    assert entry is not None
    assert (entry["engine"], entry["state"], entry["result_rows"]) == ("sail", "FINISHED", 1)


@pytest.mark.parametrize("dialect", [Dialect.TRINO, Dialect.DUCKDB])
def test_other_dialects_never_move(platform: Platform, others: Elsewhere, dialect: Dialect) -> None:
    query = run(platform, LACKING, dialect=dialect)
    assert code(query) is ErrorCode.FUNCTION_NOT_FOUND
    for engine in (EngineChoice.SAIL, EngineChoice.SPARK):
        refused = run(platform, "SELECT 1", engine, dialect)
        assert code(refused) is ErrorCode.INVALID_ARGUMENT
        assert "dialect spark" in ((refused.error and refused.error.hint) or "")
    assert others.asked == []


def test_the_system_engine_can_be_insisted_on(platform: Platform, others: Elsewhere) -> None:
    assert code(run(platform, LACKING, EngineChoice.DUCKDB)) is ErrorCode.FUNCTION_NOT_FOUND
    assert others.asked == []


@pytest.mark.parametrize("sql", ["SELECT * FROM nowhere.at_all", "SELECT 1 / 0", "SELECT nope"])
def test_mistakes_stay_where_they_are(platform: Platform, others: Elsewhere, sql: str) -> None:
    assert run(platform, sql).error is not None
    assert others.asked == []


def test_our_own_error_stands_when_nobody_else_can(platform: Platform, others: Elsewhere) -> None:
    for refusal in (ErrorCode.SYNTAX_ERROR, ErrorCode.NOT_SUPPORTED, ErrorCode.RELEASE_UNAVAILABLE):
        others.refuses = error(refusal, "theirs")
        assert code(run(platform, LACKING)) is ErrorCode.FUNCTION_NOT_FOUND
    others.refuses = error(ErrorCode.PERMISSION_DENIED, "theirs")
    assert code(run(platform, LACKING)) is ErrorCode.PERMISSION_DENIED
    others.refuses, others.installed = None, False
    assert code(run(platform, LACKING)) is ErrorCode.FUNCTION_NOT_FOUND
    others.installed, others.reads = True, False
    assert code(run(platform, LACKING)) is ErrorCode.FUNCTION_NOT_FOUND
    assert [each.runs for each in others.asked] == [0], "a write never moves by itself"


def test_an_engine_by_name(platform: Platform, others: Elsewhere) -> None:
    query = run(platform, "SELECT 1 AS ok", EngineChoice.SPARK)
    assert query.table().num_rows == 1
    assert others.asked[0].wanted is EngineChoice.SPARK
    for ours in ("SHOW SCHEMAS", "CREATE SCHEMA lake.by_name", "DROP SCHEMA lake.by_name"):
        done = run(platform, ours, EngineChoice.SAIL)
        assert code(done) is None, done.error
        assert "the system's own" in (done.engine_reason or "")
    assert len(others.asked) == 1
    others.theirs = False
    assert run(platform, "SELECT 2 AS two", EngineChoice.SAIL).table().to_pylist() == [{"two": 2}]


def test_the_audit_log_has_the_end_of_every_attempt(platform: Platform, others: Elsewhere) -> None:
    others.fails = error(ErrorCode.EVALUATION_FAILED, "the value 4711 is bad")
    query = run(platform, LACKING)
    assert query.error is not None
    assert query.error.message == "the value 4711 is bad"
    ends = platform.rows(
        platform.session(),
        "SELECT facts FROM system.audit.events WHERE kind = 'completion' "
        f"AND request_id = '{query.id}' ORDER BY sequence",
    )
    told = [json.loads(str(facts)) for (facts,) in ends]
    assert [end["engine"] for end in told] == ["duckdb", "sail"]


def test_without_other_engines(platform: Platform) -> None:
    refused = run(platform, "SELECT 1", EngineChoice.SAIL)
    assert code(refused) is ErrorCode.NOT_SUPPORTED
    assert "headwater[spark]" in ((refused.error and refused.error.hint) or "")
    assert code(run(platform, LACKING)) is ErrorCode.FUNCTION_NOT_FOUND
    assert run(platform, "SELECT 1 AS one").table().to_pylist() == [{"one": 1}]
