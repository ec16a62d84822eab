"""The fair queue: slots in turn, lengths, giving up a place."""

from __future__ import annotations

import threading
from collections import Counter

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from headwater.errors import ErrorCode, HeadwaterError
from headwater.query.queue import FairQueue, Ticket


def waiting(queue: FairQueue, principal: str) -> tuple[Ticket, threading.Thread]:
    ticket = queue.enter(principal)
    thread = threading.Thread(target=ticket.wait)
    thread.start()
    while not ticket.holds_slot and ticket not in queue._waiting.get(principal, ()):
        pass
    return ticket, thread


def test_a_principal_with_many_statements_does_not_delay_another() -> None:
    queue = FairQueue(slots=1, length=100, length_per_principal=100)
    first, _ = waiting(queue, "greedy")
    greedy = [waiting(queue, "greedy")[0] for _ in range(5)]
    modest, thread = waiting(queue, "modest")
    first.leave()
    thread.join(5)
    assert modest.holds_slot
    assert not any(ticket.holds_slot for ticket in greedy)
    for ticket in [modest, *greedy]:
        ticket.leave()


def test_the_principal_that_holds_fewest_slots_comes_first() -> None:
    queue = FairQueue(slots=2, length=100, length_per_principal=100)
    held = [waiting(queue, "greedy")[0] for _ in range(2)]
    again, _ = waiting(queue, "greedy")
    modest, thread = waiting(queue, "modest")
    held[0].leave()
    thread.join(5)
    assert modest.holds_slot
    assert not again.holds_slot
    for ticket in [held[1], modest, again]:
        ticket.leave()


def test_a_full_queue_refuses_and_a_started_statement_makes_room() -> None:
    queue = FairQueue(slots=1, length=3, length_per_principal=2)
    mine = [queue.enter("ellen"), queue.enter("ellen")]
    with pytest.raises(HeadwaterError) as refused:
        queue.enter("ellen")
    assert refused.value.code is ErrorCode.QUERY_QUEUE_FULL
    queue.enter("charlie")
    with pytest.raises(HeadwaterError):
        queue.enter("dora")
    mine[0].start()
    assert queue.enter("dora").principal == "dora"


def test_giving_up_wakes_the_waiter_and_frees_nothing_twice() -> None:
    queue = FairQueue(slots=1, length=10, length_per_principal=10)
    holder = queue.enter("a")
    assert holder.wait()
    ticket, thread = waiting(queue, "b")
    ticket.leave()
    thread.join(5)
    assert not thread.is_alive()
    assert not ticket.holds_slot
    holder.leave()
    holder.leave()
    after = queue.enter("c")
    assert after.wait()
    other, _ = waiting(queue, "d")
    assert not other.holds_slot
    other.leave()


class QueueMachine(RuleBasedStateMachine):
    """Random arrivals and departures never lose a slot and never overfill."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = FairQueue(slots=2, length=50, length_per_principal=50)
        self.tickets: list[Ticket] = []

    @rule(principal=st.sampled_from("abc"))
    def arrive(self, principal: str) -> None:
        if len(self.tickets) < 20:
            self.tickets.append(waiting(self.queue, principal)[0])

    @rule(index=st.integers(0, 19))
    def leave(self, index: int) -> None:
        if index < len(self.tickets):
            self.tickets.pop(index).leave()

    @invariant()
    def slots_are_used_and_never_exceeded(self) -> None:
        holding = Counter(ticket.holds_slot for ticket in self.tickets)
        assert holding[True] == min(2, len(self.tickets))
        assert self.queue.waiting == holding[False]

    def teardown(self) -> None:
        for ticket in self.tickets:
            ticket.leave()


TestQueueMachine = QueueMachine.TestCase
