"""Events that are written together, and those that are written later."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy

from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.governance.audit import AuditLog
from headwater.store.database import Database
from unit.governance.conftest import EMP, Lake


class _Counted:
    """Counts and, when told to, holds or refuses the write transactions of a database."""

    def __init__(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        self.transactions = 0
        self.open = threading.Event()
        self.open.set()
        self.refuse = False
        real = database.write

        @contextlib.contextmanager
        def write() -> Iterator[sqlalchemy.Connection]:
            self.transactions += 1
            self.open.wait(30)
            if self.refuse:
                raise error(ErrorCode.DISK_FULL, "the disk is full")
            with real() as connection:
                yield connection

        monkeypatch.setattr(database, "write", write)


def _event(name: str) -> dict[str, object]:
    return {
        "id": name,
        "kind": "decision",
        "outcome": "allow",
        "principal": "ellen",
        "securable": "table hr.emp",
        "request_id": name,
    }


def _waiting(log: AuditLog, count: int) -> None:
    deadline = time.monotonic() + 30
    while len(log._waiting) < count and time.monotonic() < deadline:
        time.sleep(0.005)
    assert len(log._waiting) == count


def test_callers_that_come_together_share_a_transaction(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = _Counted(lake.database, monkeypatch)
    counted.open.clear()
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(lake.audit.write, [_event("e0")])
        while counted.transactions == 0:
            time.sleep(0.001)
        rest = [pool.submit(lake.audit.write, [_event(f"e{n}")]) for n in range(1, 9)]
        _waiting(lake.audit, 8)
        assert not any(done.done() for done in [first, *rest])
        counted.open.set()
        for done in [first, *rest]:
            done.result(30)
    assert counted.transactions == 2
    names = {event.facts["id"] for event in lake.audit.query(principal="ellen")}
    assert names == {f"e{n}" for n in range(9)}
    assert lake.audit.verify().problem is None


def test_a_batch_that_cannot_be_written_fails_for_all_its_callers(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = _Counted(lake.database, monkeypatch)
    counted.open.clear()
    counted.refuse = True
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(lake.audit.write, [_event("e0")])]
        while counted.transactions == 0:
            time.sleep(0.001)
        asked += [pool.submit(lake.audit.write, [_event(f"e{n}")]) for n in range(1, 4)]
        _waiting(lake.audit, 3)
        counted.open.set()
        for done in asked:
            with pytest.raises(HeadwaterError) as caught:
                done.result(30)
            assert caught.value.code is ErrorCode.DISK_FULL
    counted.refuse = False
    lake.audit.write([_event("after")])
    assert [event.facts["id"] for event in lake.audit.query(principal="ellen")] == ["after"]


def test_an_event_that_is_not_json_harms_nobody_else(lake: Lake) -> None:
    with pytest.raises(HeadwaterError):
        lake.audit.write([{**_event("bad"), "rows": object()}])
    lake.audit.write([_event("good")])
    assert lake.audit.verify().problem is None


def test_a_completion_waits_for_no_transaction_and_is_there_when_asked_for(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = lake.begin("admin")
    request.scan(EMP)
    request.seal()
    counted = _Counted(lake.database, monkeypatch)
    request.finish(outcome="done", rows=3)
    assert counted.transactions == 0
    newest = lake.audit.query(limit=1)[0]
    assert (newest.facts["kind"], newest.facts["rows"]) == ("completion", 3)
    assert lake.audit.verify().problem is None


def test_later_events_are_written_soon_without_being_asked_for(lake: Lake) -> None:
    before = lake.audit.head().sequence
    lake.audit.write_later([_event("late")])
    other = AuditLog(lake.database)
    deadline = time.monotonic() + 30
    while other.head().sequence == before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert other.query(limit=1)[0].facts["id"] == "late"


def test_later_events_survive_a_refused_batch_and_a_clean_end(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = _Counted(lake.database, monkeypatch)
    counted.refuse = True
    lake.audit.write_later([_event("late")])
    with pytest.raises(HeadwaterError):
        lake.audit.flush()
    counted.refuse = False
    lake.audit.close()
    assert AuditLog(lake.database).query(limit=1)[0].facts["id"] == "late"


def test_who_asks_waits_for_events_that_are_being_written(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = _Counted(lake.database, monkeypatch)
    counted.open.clear()
    lake.audit.write_later([_event("late")])
    while counted.transactions == 0:
        time.sleep(0.005)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(lake.audit.query, limit=1)
        time.sleep(0.1)
        counted.open.set()
        assert asked.result(30)[0].facts["id"] == "late"
