"""Write leases: what an engine worker may commit while it runs one statement.

A worker's catalog token names the worker and nothing else. What it may do is decided here: the
identity and the governed writes of the statement that it runs, from just before the statement is
sent until the worker has answered or is dead.
"""

from __future__ import annotations

import threading

from headwater.engines.engine import GovernedPlan
from headwater.model.identifiers import TableIdentifier
from headwater.model.principal import Identity
from headwater.model.scan import GovernedWrite


class Leases:
    """The leases of all workers; the catalog's gateway asks `allowed` at each worker's request."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._plans: dict[str, GovernedPlan] = {}

    def grant(self, worker: str, plan: GovernedPlan) -> None:
        """Leases the plan's writes to a worker, until `revoke`."""
        with self._guard:
            if worker in self._plans:
                raise RuntimeError(f"{worker} holds a lease already")
            self._plans[worker] = plan

    def revoke(self, worker: str) -> None:
        """Ends the worker's lease, if it has one."""
        with self._guard:
            self._plans.pop(worker, None)

    def allowed(self, worker: str, table: TableIdentifier) -> tuple[Identity, GovernedWrite] | None:
        """The identity to act for and the write that covers the table; None refuses."""
        with self._guard:
            plan = self._plans.get(worker)
        if plan is None:
            return None
        for write in plan.writes:
            if write.identifier == table:
                return plan.identity, write
        return None

    def identity(self, worker: str) -> Identity | None:
        """For whom the worker acts just now; None when it holds no lease."""
        with self._guard:
            plan = self._plans.get(worker)
        return None if plan is None else plan.identity
