"""The audit log: what it holds, that it is written first, and that tampering shows."""

from __future__ import annotations

import json
import threading

import pytest
import sqlalchemy

from headwater.errors import ErrorCode, HeadwaterError, UserError, error
from headwater.governance.audit import ChainHead
from headwater.governance.tables import audit_event, audit_head
from headwater.model.principal import SYSTEM
from headwater.model.scan import WriteOperation
from unit.governance.conftest import EMP, Lake


def test_a_decision_tells_who_what_why_and_what_was_applied(lake: Lake) -> None:
    lake.script("""
        GRANT SELECT (id, name, ssn) ON emp TO ROLE analyst; GRANT analyst TO ellen;
        CREATE ROW FILTER eu ON emp USING (region = 'EU') TO ROLE analyst
    """)
    request = lake.begin("ellen", statement="SELECT name FROM emp WHERE ssn = '123-45' -- secret")
    scan = request.scan(EMP)
    assert lake.audit.query(principal="ellen") == []
    request.seal()
    (event,) = [e for e in lake.audit.query(kind="decision") if e.facts["id"] == scan.decision.id]
    facts = event.facts
    assert facts["principal"] == "ellen"
    assert facts["outcome"] == "allow"
    assert facts["securable"] == "table hr.emp"
    assert facts["columns"] == ["id", "name", "ssn"]
    assert facts["policies"] == ["eu@1"]
    assert facts["policy_epoch"] == request.state.epoch
    assert "123" not in json.dumps(facts["statement"])
    assert "secret" not in facts["statement"]
    assert len(facts["statement_hash"]) == 64
    request.finish(outcome="done", rows=3)
    assert lake.audit.query(kind="completion", limit=1)[0].facts["rows"] == 3


def test_a_refusal_is_written_at_once_and_says_more_than_the_caller_learns(lake: Lake) -> None:
    with pytest.raises(UserError):
        lake.begin("ellen").scan(EMP)
    event = lake.audit.query(outcome="deny", limit=1)[0]
    assert event.facts["principal"] == "ellen"
    assert event.facts["reasons"] == ["it exists, but not for the caller"]


def test_when_the_log_cannot_be_written_nothing_is_allowed(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = lake.begin("admin")
    request.scan(EMP)

    def full(*_args: object) -> None:
        raise error(ErrorCode.DISK_FULL, "the metastore cannot be written: the disk is full")

    monkeypatch.setattr(lake.audit, "_append", full)
    with pytest.raises(HeadwaterError) as caught:
        request.seal()
    assert caught.value.code is ErrorCode.DISK_FULL
    with pytest.raises(HeadwaterError) as caught:
        lake.catalog.drop_table(EMP, False, SYSTEM)
    assert lake.catalog.entry(EMP) is not None


def test_an_untouched_chain_verifies(lake: Lake) -> None:
    found = lake.audit.verify(lake.audit.head())
    assert found.problem is None
    assert found.events == found.head.sequence > 3


@pytest.mark.parametrize(
    "attack",
    [
        "UPDATE audit_event SET body = replace(body, 'ellen', 'ellex') WHERE body LIKE '%ellen%'",
        "UPDATE audit_event SET principal = 'max' WHERE sequence = 3",
        "UPDATE audit_event SET hash = 'ab' WHERE sequence = 2",
        "DELETE FROM audit_event WHERE sequence = 2",
        "DELETE FROM audit_event WHERE sequence = (SELECT max(sequence) FROM audit_event)",
        "UPDATE audit_event SET sequence = sequence + 1000 WHERE sequence = 2",
        "UPDATE audit_head SET hash = 'ab'",
        "DELETE FROM audit_event",
    ],
)
def test_tampering_shows(lake: Lake, attack: str) -> None:
    with lake.database.write() as connection:
        connection.execute(sqlalchemy.text(attack))
    assert lake.audit.verify().problem is not None


def test_a_cut_off_end_shows_against_a_noted_head(lake: Lake) -> None:
    noted = lake.audit.head()
    with lake.database.write() as connection:
        last = audit_event.c.sequence == noted.sequence
        connection.execute(audit_event.delete().where(last))
        before = connection.execute(
            sqlalchemy.select(audit_event.c.hash).where(
                audit_event.c.sequence == noted.sequence - 1
            )
        ).scalar_one()
        connection.execute(audit_head.update().values(sequence=noted.sequence - 1, hash=before))
    assert lake.audit.verify().problem is None
    assert lake.audit.verify(noted).problem is not None
    assert lake.audit.verify(ChainHead(2, "0" * 64)).problem is not None


def test_names_cannot_forge_events(lake: Lake) -> None:
    evil = 'x\n{"id":"1","outcome":"allow"}'
    request = lake.begin("ellen", statement=f'SELECT 1 AS "{evil}"')
    with pytest.raises(UserError):
        request.write(type(EMP)(("hr",), evil), WriteOperation.INSERT)
    event = lake.audit.query(principal="ellen", limit=1)[0]
    assert event.facts["securable"] == f"table hr.{evil}"
    with lake.database.read() as connection:
        bodies = connection.execute(sqlalchemy.select(audit_event.c.body)).scalars().all()
    assert all("\n" not in body for body in bodies)
    assert lake.audit.verify().problem is None


def test_concurrent_writers_keep_one_chain(lake: Lake) -> None:
    def work() -> None:
        for _ in range(5):
            request = lake.begin("admin")
            request.scan(EMP)
            request.seal()

    before = lake.audit.head().sequence
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lake.audit.head().sequence == before + 20
    assert lake.audit.verify().problem is None


def test_catalog_changes_are_recorded_with_their_actor(lake: Lake) -> None:
    lake.run("GRANT DROP ON SCHEMA hr TO ellen")
    request = lake.begin("ellen")
    request.write(EMP, WriteOperation.DROP)
    request.seal()
    lake.catalog.drop_table(EMP, False, request.actor())
    event = lake.audit.query(kind="change", limit=1)[0].facts
    assert (event["action"], event["securable"]) == ("drop-table", "table hr.emp")
    assert event["principal"] == "ellen"
    decision = lake.audit.query(kind="decision", limit=1)[0].facts
    assert event["decision_id"] == decision["id"]
