"""How many sessions a principal may have, and which of them makes room for the next."""

from __future__ import annotations

import gc
import time
import uuid
import weakref

import pytest

from headwater.errors import ErrorCode, HeadwaterError
from headwater.gateway.spark_connect.failures import SparkFailure
from headwater.gateway.spark_connect.sessions import Sessions, SparkSession
from headwater.model.principal import Identity, Principal, PrincipalKind

MOST = 64


def identity(name: str = "ellen") -> Identity:
    return Identity(Principal(f"id-{name}", name, PrincipalKind.USER))


def opened(sessions: Sessions, who: Identity) -> SparkSession:
    return sessions.open(who, str(uuid.uuid4()))


@pytest.fixture
def sessions():
    made = Sessions()
    yield made
    made.close()


def test_programs_that_never_release_do_not_lock_their_user_out(sessions: Sessions) -> None:
    """PySpark asks something at its exit and can no longer release it."""
    ellen = identity()
    first = None
    for _ in range(3 * MOST):
        session = opened(sessions, ellen)
        first = first or session
        operation = session.begin("", (), reattachable=True)
        operation.finish(b"")
        assert list(operation.responses(None, lambda: True))
    assert first is not None
    deadline = time.monotonic() + 10
    while not first.closed:
        assert time.monotonic() < deadline, "the oldest idle session was not closed"
        time.sleep(0.01)


def test_sessions_that_run_or_are_read_stay(sessions: Sessions) -> None:
    ellen = identity()
    busy = [opened(sessions, ellen) for _ in range(MOST)]
    readers = []
    for number, session in enumerate(busy):
        operation = session.begin("", (), reattachable=True)
        if number % 2:
            operation.finish(b"")
            reader = operation.responses(None, lambda: True)
            next(reader)
            readers.append(reader)
    with pytest.raises(HeadwaterError) as refused:
        opened(sessions, ellen)
    assert refused.value.code is ErrorCode.QUERY_QUEUE_FULL
    assert not any(session.closed for session in busy)
    opened(sessions, identity("frank"))
    readers[0].close()
    opened(sessions, ellen)


class Stream:
    """Stands for a call: its connection has room for so many until they are freed."""


def test_an_error_keeps_no_call_alive(sessions: Sessions) -> None:
    """256 errors filled their connection's streams once, and the client waited for ever."""
    session = opened(sessions, identity())
    calls: list[weakref.ref[Stream]] = []

    def run() -> str:
        operation = session.begin("", (), reattachable=True)
        call = Stream()
        calls.append(weakref.ref(call))
        try:
            raise SparkFailure("no")
        except SparkFailure as failure:
            session.remember(failure)
            operation.fail(failure)
        try:
            list(operation.responses(None, lambda: call is not None))
        except SparkFailure as told:
            operation.release()
            return told.id
        raise AssertionError("the reader was not told")

    gc.disable()
    try:
        told = [run() for _ in range(3)]
        assert [call() for call in calls] == [None] * 3
    finally:
        gc.enable()
    assert [session.errors[each].message for each in told] == ["no"] * 3


def test_a_session_is_cloned_to_an_id_that_is_new_and_sound(sessions: Sessions) -> None:
    source = opened(sessions, identity())
    source.conf.set("spark.myapp.x", "1")
    made = sessions.clone(source, str(uuid.uuid4()))
    assert made.conf.get("spark.myapp.x") == "1"
    closed = str(uuid.uuid4())
    sessions.release(identity(), closed, reconnect=False)
    for target, reason in (("nonsense", "FORMAT"), (made.id, "EXISTS"), (closed, "CLOSED")):
        with pytest.raises(SparkFailure) as failure:
            sessions.clone(source, target)
        assert "INVALID_CLONE_SESSION_REQUEST.TARGET_SESSION_ID_" in failure.value.message
        assert (failure.value.error_class or "").endswith(reason)
