"""Write leases: a worker may do what its statement may do, while it runs."""

from __future__ import annotations

import pytest

from headwater.engines.engine import GovernedPlan, WriteLeases
from headwater.engines.leases import Leases
from headwater.model.identifiers import TableIdentifier
from headwater.model.principal import Identity, Principal, PrincipalKind
from headwater.model.scan import Decision, GovernedWrite, WriteOperation

ALICE = Identity(Principal("1", "alice", PrincipalKind.USER))
TABLE = TableIdentifier(("sales",), "orders")
WRITE = GovernedWrite(TABLE, "uuid", WriteOperation.INSERT, (), None, Decision("d", True))
PLAN = GovernedPlan("s1", ALICE, "INSERT …", writes=(WRITE,))


def test_a_lease_covers_its_tables_for_its_worker_only() -> None:
    leases = Leases()
    asked: WriteLeases = leases
    assert asked.allowed("engine-1.1", TABLE) is None
    leases.grant("engine-1.1", PLAN)
    assert asked.allowed("engine-1.1", TABLE) == (ALICE, WRITE)
    assert asked.allowed("engine-2.1", TABLE) is None
    assert asked.allowed("engine-1.1", TableIdentifier(("sales",), "other")) is None
    assert leases.identity("engine-1.1") == ALICE
    leases.revoke("engine-1.1")
    leases.revoke("engine-1.1")
    assert asked.allowed("engine-1.1", TABLE) is None
    assert leases.identity("engine-1.1") is None


def test_a_worker_holds_one_lease_at_a_time() -> None:
    leases = Leases()
    leases.grant("engine-1.1", PLAN)
    with pytest.raises(RuntimeError):
        leases.grant("engine-1.1", PLAN)
