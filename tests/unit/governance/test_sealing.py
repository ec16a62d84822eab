"""The audit events of a change's decisions go with the change, and are never left out."""

from __future__ import annotations

import pytest

from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.governance.access import AccessRequest
from headwater.model.scan import WriteOperation
from unit.governance.conftest import EMP, Lake

SET = [{"action": "set-properties", "updates": {"a": "b"}}]


def decided(lake: Lake) -> AccessRequest:
    request = lake.begin("admin")
    request.write(EMP, WriteOperation.ALTER)
    return request


def kinds(lake: Lake, request: AccessRequest) -> list[str]:
    """The kinds of a request's events, oldest first."""
    found = lake.audit.query(request_id=request.actor().request_id)
    assert lake.audit.verify().problem is None
    return [event.facts["kind"] for event in reversed(found)]


def test_a_commit_carries_its_decisions(lake: Lake) -> None:
    request = decided(lake)
    with request.sealed_by() as write:
        lake.catalog.commit(EMP, [], SET, request.actor(), decided=write)
        assert kinds(lake, request) == ["decision", "change"]
    request.seal()
    assert kinds(lake, request) == ["decision", "change"]


def test_a_commit_that_is_refused_leaves_its_decisions(lake: Lake) -> None:
    request = decided(lake)
    wrong = [{"type": "assert-table-uuid", "uuid": "00000000-0000-0000-0000-000000000000"}]
    with pytest.raises(HeadwaterError), request.sealed_by() as write:
        lake.catalog.commit(EMP, wrong, SET, request.actor(), decided=write)
    assert kinds(lake, request) == ["decision"]


def test_a_transaction_that_is_undone_leaves_its_decisions(lake: Lake) -> None:
    request = decided(lake)
    with (
        pytest.raises(ZeroDivisionError),
        request.sealed_by() as write,
        lake.database.write() as connection,
    ):
        write(connection)
        raise ZeroDivisionError
    assert kinds(lake, request) == ["decision"]


def test_a_block_without_a_transaction_leaves_its_decisions(lake: Lake) -> None:
    request = decided(lake)
    with request.sealed_by():
        pass
    assert kinds(lake, request) == ["decision"]


@pytest.mark.parametrize("committed", [True, False])
def test_an_unknown_outcome_leaves_each_decision_once(lake: Lake, committed: bool) -> None:
    request = decided(lake)
    unknown = error(ErrorCode.COMMIT_STATE_UNKNOWN, "the connection broke")
    with pytest.raises(HeadwaterError) as raised, request.sealed_by() as write:
        if committed:
            with lake.database.write() as connection:
                write(connection)
        raise unknown
    assert raised.value.code is ErrorCode.COMMIT_STATE_UNKNOWN
    assert kinds(lake, request) == ["decision"]
