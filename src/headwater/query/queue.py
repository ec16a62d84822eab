"""The queue before the engine: a fixed number of slots, shared fairly among principals."""

from __future__ import annotations

import itertools
import threading
from collections import Counter, deque

from headwater.errors import ErrorCode, error


class Ticket:
    """One statement's place in a `FairQueue`: entered, then started (with a slot or not), left."""

    def __init__(self, queue: FairQueue, principal: str) -> None:
        self._queue = queue
        self.principal = principal
        self.started = False
        self.holds_slot = False
        self.left = False

    def wait(self) -> bool:
        """Waits for a slot; False when the ticket was given up meanwhile."""
        return self._queue.acquire(self)

    def start(self) -> None:
        """Counts the statement as started without a slot: it does not need the engine."""
        self._queue.start(self)

    def leave(self) -> None:
        """Gives up the place or the slot; harmless when done twice."""
        self._queue.release(self)


class FairQueue:
    """Hands slots to the principal that holds the fewest, in turn when they hold the same.

    Within a principal the order of arrival counts. So a principal with a thousand statements delays
    another's next one by one free slot at most. The lengths count statements not yet started.
    """

    def __init__(self, slots: int, length: int, length_per_principal: int) -> None:
        self._free = slots
        self._length = length
        self._length_per_principal = length_per_principal
        self._entered: Counter[str] = Counter()
        self._holding: Counter[str] = Counter()
        self._served: Counter[str] = Counter()
        self._turns = itertools.count(1)
        self._waiting: dict[str, deque[Ticket]] = {}
        self._changed = threading.Condition()

    def enter(self, principal: str) -> Ticket:
        """A place in the queue; QUERY_QUEUE_FULL when there is none."""
        with self._changed:
            if self._entered[principal] >= self._length_per_principal:
                raise error(
                    ErrorCode.QUERY_QUEUE_FULL,
                    f"you already have {self._length_per_principal} statements waiting",
                    hint="wait for one of them, or cancel it",
                )
            if self._entered.total() >= self._length:
                raise error(
                    ErrorCode.QUERY_QUEUE_FULL,
                    f"{self._length} statements are already waiting",
                    hint="try again shortly",
                )
            self._entered[principal] += 1
            return Ticket(self, principal)

    def acquire(self, ticket: Ticket) -> bool:
        """Waits until the ticket holds a slot (True) or has left (False)."""
        with self._changed:
            if not ticket.left:
                self._waiting.setdefault(ticket.principal, deque()).append(ticket)
                self._hand_out()
            self._changed.wait_for(lambda: ticket.holds_slot or ticket.left)
            return not ticket.left

    def start(self, ticket: Ticket) -> None:
        """Counts the ticket as started without a slot."""
        with self._changed:
            self._count_started(ticket)

    def release(self, ticket: Ticket) -> None:
        """Frees the ticket's slot, or takes it out of the queue."""
        with self._changed:
            if ticket.left:
                return
            ticket.left = True
            self._count_started(ticket)
            if ticket.holds_slot:
                self._free += 1
                self._holding[ticket.principal] -= 1
            elif ticket in (places := self._waiting.get(ticket.principal, deque())):
                places.remove(ticket)
                if not places:
                    del self._waiting[ticket.principal]
            self._hand_out()
            self._changed.notify_all()

    @property
    def waiting(self) -> int:
        """How many statements have entered and not yet started."""
        with self._changed:
            return self._entered.total()

    def _hand_out(self) -> None:
        while self._free and self._waiting:
            principal = min(
                self._waiting, key=lambda name: (self._holding[name], self._served[name])
            )
            places = self._waiting[principal]
            ticket = places.popleft()
            self._served[principal] = next(self._turns)
            if not places:
                del self._waiting[principal]
            self._free -= 1
            self._holding[principal] += 1
            self._count_started(ticket)
            ticket.holds_slot = True
            self._changed.notify_all()

    def _count_started(self, ticket: Ticket) -> None:
        if not ticket.started:
            ticket.started = True
            self._entered[ticket.principal] -= 1
