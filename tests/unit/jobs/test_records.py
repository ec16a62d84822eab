"""The state machine of runs, against a real metastore, under random sequences of events."""

from __future__ import annotations

import itertools
import tempfile

import pytest
import sqlalchemy.exc
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from headwater.governance.audit import AuditLog
from headwater.governance.ids import now_ms, uuid7
from headwater.jobs.records import Ending, RunRecords, new_session_id, total
from headwater.jobs.spent import grouped
from headwater.model.principal import Actor, Identity, Principal, PrincipalKind
from headwater.model.run import (
    FINAL_STATES,
    STEPS,
    Entry,
    FailureClass,
    RetryPolicy,
    Run,
    RunSpec,
    RunState,
    RunUsage,
)
from headwater.store.database import Database
from headwater.store.migrate import migrate

ANA = Identity(Principal("p1", "ana", PrincipalKind.USER))
ACTOR = Actor("p1", "ana")


def spec(**changes: object) -> RunSpec:
    return RunSpec(**{"kind": "python", "name": "n", "entry": Entry("main.py"), **changes})  # type: ignore[arg-type]


def submitted(records: RunRecords, principal: str = "p1", **changes: object) -> Run:
    asked = spec(**changes)
    run = Run(uuid7(), asked, RunState.SUBMITTED, principal, "ana", now_ms())
    return records.submit(run, "hash", ACTOR)


@pytest.fixture
def records(database: Database) -> RunRecords:
    return RunRecords(database, AuditLog(database), "here")


def test_final_states_have_no_step_and_all_others_reach_one() -> None:
    assert not FINAL_STATES & STEPS.keys()
    for state in RunState:
        seen, queue = {state}, [state]
        while queue:
            for following in STEPS.get(queue.pop(), frozenset()) - seen:
                seen.add(following)
                queue.append(following)
        assert seen & FINAL_STATES


def test_a_specification_survives_json() -> None:
    full = spec(
        arguments=("a", "b"),
        parameters={"x": "1"},
        tags={"team": "t"},
        retry=RetryPolicy(3, frozenset({FailureClass.TIMEOUT}), 1.0, 2.0),
        idempotency_key="k",
    )
    assert RunSpec.from_json(full.as_json()) == full


def test_a_key_makes_one_run_of_a_principal(records: RunRecords) -> None:
    first = submitted(records, idempotency_key="k")
    with pytest.raises(sqlalchemy.exc.IntegrityError):
        submitted(records, idempotency_key="k")
    other = submitted(records, principal="p2", idempotency_key="k")
    found = records.by_key("p1", "k")
    assert found is not None
    assert found[0].id == first.id != other.id


def test_a_failed_attempt_is_followed_by_another_only_for_its_class(records: RunRecords) -> None:
    retry = RetryPolicy(2, backoff_seconds=0.0)
    for failure, again in ((FailureClass.INFRASTRUCTURE, True), (FailureClass.USER, False)):
        run = submitted(records, retry=retry)
        records.step(run.id, RunState.QUEUED)
        records.admit(run.id, new_session_id())
        ended = records.ended(run.id, 1, Ending(RunState.FAILED, "why", failure), RunUsage())
        assert ended is not None
        assert ended.state is (RunState.QUEUED if again else RunState.FAILED)
        if again:
            records.admit(run.id, new_session_id())
            last = records.ended(run.id, 2, Ending(RunState.FAILED, "why", failure), RunUsage())
            assert last is not None
            assert (last.state, last.reason) == (RunState.FAILED, "why")


def test_an_attempt_ends_once(records: RunRecords) -> None:
    run = submitted(records)
    records.step(run.id, RunState.QUEUED)
    records.admit(run.id, new_session_id())
    records.step(run.id, RunState.SCHEDULED)
    records.started(run.id, 1)
    usage = RunUsage(cpu_seconds=1.0)
    assert records.ended(run.id, 1, Ending(RunState.SUCCESS), usage) is not None
    assert records.ended(run.id, 1, Ending(RunState.SUCCESS), usage) is None
    assert [a.usage.cpu_seconds for a in records.attempts(run.id)] == [1.0]


def test_a_session_lives_as_long_as_its_attempt(records: RunRecords) -> None:
    run = submitted(records)
    records.step(run.id, RunState.QUEUED)
    session = new_session_id()
    assert not records.session_lives(session)
    records.admit(run.id, session)
    assert records.session_lives(session)
    records.ended(run.id, 1, Ending(RunState.FAILED, "x", FailureClass.USER), RunUsage())
    assert not records.session_lives(session)


def test_usage_sums_add_up_whatever_they_are_grouped_by(records: RunRecords) -> None:
    for number in range(12):
        run = submitted(
            records,
            principal=f"p{number % 3}",
            role=("r", None)[number % 2],
            tags={"team": str(number % 4)} if number % 5 else {},
        )
        records.step(run.id, RunState.QUEUED)
        records.admit(run.id, new_session_id())
        records.step(run.id, RunState.SCHEDULED)
        records.started(run.id, 1)
        records.ended(
            run.id, 1, Ending(RunState.SUCCESS), RunUsage(cpu_seconds=number, queries=number)
        )
    pairs = records.used(principal_id=None, since_ms=0, until_ms=now_ms() + 1000)
    whole = total([attempt.usage for _, attempt in pairs])
    assert whole.queries == sum(range(12))
    for by in ("user", "role", "tag", "day", "kind", "run"):
        for tag in (None, "team"):
            rows = grouped(pairs, by, tag)  # type: ignore[arg-type]
            assert sum(runs for _, runs, _ in rows) == 12
            summed = total([usage for _, _, usage in rows])
            assert (summed.queries, summed.cpu_seconds) == (whole.queries, whole.cpu_seconds)


class Runs(RuleBasedStateMachine):
    """Whatever order submit, admit, start, end, cancel come in: the rules of runs hold."""

    @initialize(attempts=st.integers(1, 3))
    def begin(self, attempts: int) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.database = Database(f"sqlite:///{self.folder.name}/metastore.db")
        migrate(self.database)
        self.records = RunRecords(self.database, AuditLog(self.database), "here")
        self.run_id = submitted(self.records, retry=RetryPolicy(attempts, backoff_seconds=0.0)).id
        self.most = attempts
        self.final: Run | None = None

    def current(self) -> Run:
        found = self.records.get(self.run_id)
        assert found is not None
        return found

    @rule(state=st.sampled_from([RunState.QUEUED, RunState.SCHEDULED]))
    def step(self, state: RunState) -> None:
        before = self.current().state
        # The next attempt's way back to QUEUED is `ended`'s alone.
        if before is RunState.SUBMITTED or state is RunState.SCHEDULED:
            moved = self.records.step(self.run_id, state)
            assert (moved is not None) == before.may_become(state)

    @rule()
    def admit(self) -> None:
        before = self.current()
        attempt = self.records.admit(self.run_id, new_session_id())
        assert (attempt is not None) == (before.state is RunState.QUEUED)

    @rule()
    def start(self) -> None:
        before = self.current()
        moved = self.records.started(self.run_id, before.attempt)
        assert (moved is not None) == (before.state is RunState.SCHEDULED)

    @rule(failure=st.sampled_from([None, *FailureClass]), stale=st.booleans())
    def end(self, failure: FailureClass | None, stale: bool) -> None:
        before = self.current()
        state = RunState.SUCCESS if failure is None else RunState.FAILED
        able = before.state.may_become(state) or before.state is RunState.CANCELLING
        if state is RunState.SUCCESS and not able:
            return
        if before.state in (RunState.SUBMITTED, RunState.QUEUED):
            return
        number = before.attempt - 1 if stale else before.attempt
        ending = Ending(state, "why" if failure else None, failure)
        moved = self.records.ended(self.run_id, number, ending, RunUsage(queries=1))
        assert not stale or moved is None

    @rule()
    def cancel(self) -> None:
        before = self.current()
        after = self.records.cancel(self.run_id, ANA, ACTOR)
        assert after is not None
        if not before.state.is_final:
            assert after.state in (RunState.CANCELLING, RunState.CANCELLED)

    @invariant()
    def holds(self) -> None:
        run = self.current()
        attempts = self.records.attempts(self.run_id)
        assert [a.number for a in attempts] == list(range(1, run.attempt + 1))
        assert len(attempts) <= self.most
        assert sum(a.finished_ms is None for a in attempts) == int(run.state.holds_capacity)
        assert all(a.usage.queries == 1 for a in attempts if a.finished_ms)
        assert (run.finished_ms is not None) == run.state.is_final
        if self.final is not None:
            assert run == self.final
        if run.state.is_final:
            self.final = run
        states = [e.body["state"] for e in self.records.events(self.run_id) if e.kind == "state"]
        for before, after in itertools.pairwise(states):
            assert RunState(before).may_become(RunState(after))
        assert states[-1] == run.state

    def teardown(self) -> None:
        if hasattr(self, "database"):
            self.database.close()
            self.folder.cleanup()


Runs.TestCase.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
TestRuns = Runs.TestCase
