"""Who runs next: pure decisions over waiting and running runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from headwater.model.run import Run, RunState


@dataclass(frozen=True, slots=True)
class Capacity:
    """What all running runs may hold together, and how many runs one principal may have running."""

    vcpu: float
    memory_bytes: int
    runs_per_principal: int


def admit(runs: Sequence[Run], capacity: Capacity, now_ms: int) -> list[str]:
    """The ids of queued runs that may start now, in order.

    The principal with the fewest running runs comes first, its oldest due run first. A large run
    at the head of its principal's queue is not overtaken by smaller ones of the same principal.
    """
    busy = [run for run in runs if run.state.holds_capacity]
    vcpu = capacity.vcpu - sum(run.spec.compute.vcpu for run in busy)
    memory = capacity.memory_bytes - sum(run.spec.compute.memory_bytes for run in busy)
    running = Counter(run.principal_id for run in busy)
    waiting: dict[str, list[Run]] = {}
    for run in sorted(runs, key=lambda each: each.id):
        if run.state is RunState.QUEUED and run.due_ms <= now_ms:
            waiting.setdefault(run.principal_id, []).append(run)
    chosen: list[str] = []
    while waiting:
        principal = min(waiting, key=lambda each: (running[each], waiting[each][0].id))
        head = waiting[principal][0]
        compute = head.spec.compute
        fits = compute.vcpu <= vcpu + 1e-9 and compute.memory_bytes <= memory
        if running[principal] >= capacity.runs_per_principal or not fits:
            del waiting[principal]
            continue
        chosen.append(head.id)
        vcpu -= compute.vcpu
        memory -= compute.memory_bytes
        running[principal] += 1
        waiting[principal].pop(0)
        if not waiting[principal]:
            del waiting[principal]
    return chosen
