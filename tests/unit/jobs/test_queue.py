"""Who runs next."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headwater.jobs.queue import Capacity, admit
from headwater.model.run import Compute, Entry, Run, RunSpec, RunState

GIB = 2**30


def made(number: int, principal: str, state: RunState, vcpu: float, gib: float, due: int) -> Run:
    spec = RunSpec("sql", "n", Entry("e"), compute=Compute(vcpu, int(gib * GIB)))
    return Run(f"{number:04}", spec, state, principal, principal, 0, due_ms=due)


def queued(number: int, principal: str = "a", vcpu: float = 1.0, due: int = 0) -> Run:
    return made(number, principal, RunState.QUEUED, vcpu, 1, due)


RUNS = st.lists(
    st.builds(
        lambda p, s, v, g, d: (p, s, v, g, d),
        st.sampled_from("abc"),
        st.sampled_from([RunState.QUEUED, RunState.RUNNING, RunState.PENDING, RunState.SUBMITTED]),
        st.sampled_from([0.5, 1.0, 2.0, 4.0]),
        st.sampled_from([0.5, 1.0, 3.0]),
        st.sampled_from([0, 100]),
    ),
    max_size=20,
).map(lambda rows: [made(number, *row) for number, row in enumerate(rows)])


@given(RUNS, st.integers(0, 200))
def test_what_is_admitted_fits_is_due_and_was_waiting(runs: list[Run], now: int) -> None:
    capacity = Capacity(vcpu=4.0, memory_bytes=4 * GIB, runs_per_principal=3)
    chosen = admit(runs, capacity, now)
    by_id = {run.id: run for run in runs}
    assert len(set(chosen)) == len(chosen)
    taken = [by_id[each] for each in chosen]
    assert all(run.state is RunState.QUEUED and run.due_ms <= now for run in taken)
    if taken:
        busy = [run for run in runs if run.state.holds_capacity] + taken
        assert sum(run.spec.compute.vcpu for run in busy) <= 4.0
        assert sum(run.spec.compute.memory_bytes for run in busy) <= 4 * GIB
        for run in taken:
            assert sum(each.principal_id == run.principal_id for each in busy) <= 3
    for run in taken:
        # Nobody overtakes within a principal.
        earlier = [
            each
            for each in runs
            if each.principal_id == run.principal_id
            and each.state is RunState.QUEUED
            and each.due_ms <= now
            and each.id < run.id
        ]
        assert all(each.id in chosen for each in earlier)


def test_a_thousand_runs_of_one_do_not_delay_another() -> None:
    runs = [queued(number) for number in range(1000)] + [queued(2000, "b")]
    chosen = admit(runs, Capacity(2.0, 100 * GIB, 10), 0)
    assert sorted(chosen) == ["0000", "2000"]


def test_a_large_run_is_not_overtaken_by_its_own_principal() -> None:
    runs = [queued(1, vcpu=4.0), queued(2, vcpu=1.0), queued(3, "b")]
    busy = made(0, "c", RunState.RUNNING, 2.0, 1, 0)
    assert admit([busy, *runs], Capacity(4.0, 100 * GIB, 10), 0) == ["0003"]
