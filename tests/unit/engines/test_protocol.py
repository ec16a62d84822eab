"""The engine protocol: what is sent arrives; what is no message ends the connection."""

from __future__ import annotations

import json
import socket
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.engines.duckdb import protocol
from headwater.engines.duckdb.protocol import (
    HEADER,
    Batch,
    Cancel,
    Configure,
    Connection,
    Disconnected,
    Execute,
    Failed,
    Message,
    ProtocolError,
    Ready,
    Usage,
)

EXECUTE = Execute("s1", "SELECT 1", "coarse", False, False, "UTC", 0, 0)


def pair() -> tuple[Connection, Connection, socket.socket]:
    ours, theirs = socket.socketpair()
    ours.settimeout(5)
    theirs.settimeout(5)
    return Connection(ours), Connection(theirs), ours


@pytest.mark.parametrize(
    "message",
    [
        EXECUTE,
        Cancel("s1"),
        Ready("1.5.5", 36, ["a/b", "ü"], 0.5, 0.1),
        Usage("s1", 1, 2, 3, 4, -1.0),
        Failed("s1", "INVALID_CAST", "a 'quoted' message", None, "detail\nwith lines", False),
        Batch("s1", payload=b"x" * 100_000),
        Batch("s1"),
    ],
)
def test_a_message_arrives_as_it_was_sent(message: Message) -> None:
    left, right, _ = pair()
    sender = threading.Thread(target=left.send, args=(message,))
    sender.start()
    received = right.receive()
    sender.join()
    left.close()
    right.close()
    assert type(received) is type(message)
    assert received == message


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_bytes_that_are_no_frame_are_refused(data: bytes) -> None:
    left, right, raw = pair()
    raw.sendall(data)
    left.close()
    with pytest.raises(ProtocolError):
        while True:
            right.receive()
    right.close()


@settings(deadline=None)
@given(
    st.integers(0, 20),
    st.dictionaries(
        st.sampled_from(["statement_id", "sql", "mode", "writes", "code", "x"]),
        st.one_of(
            st.none(), st.text(max_size=5), st.integers(), st.lists(st.integers(), max_size=2)
        ),
    ),
)
def test_a_header_with_wrong_fields_is_refused(kind: int, fields: dict[str, object]) -> None:
    text = json.dumps(fields).encode()
    try:
        message = protocol.decode(kind, text)
    except ProtocolError:
        return
    assert json.loads(protocol.encode(message)) == fields


@pytest.mark.parametrize(
    "changed",
    [
        {"sql": None},
        {"writes": 1},
        {"scan_bytes": True},
        {"scan_bytes": "1"},
        {"mode": "unlocked"},
        {"extra": 1},
    ],
)
def test_an_execute_that_is_not_quite_one_is_refused(changed: dict[str, object]) -> None:
    fields = json.loads(protocol.encode(EXECUTE)) | changed
    with pytest.raises(ProtocolError):
        protocol.decode(Execute.kind, json.dumps(fields).encode())


def test_lengths_beyond_the_limits_are_refused_before_memory_is_taken() -> None:
    left, right, raw = pair()
    raw.sendall(HEADER.pack(Batch.kind, 2**32 - 1, 2**32 - 1))
    with pytest.raises(ProtocolError, match="no frame"):
        right.receive()
    left.close()
    right.close()


def test_a_hang_up_in_the_middle_of_a_frame_is_a_disconnect() -> None:
    left, right, raw = pair()
    raw.sendall(HEADER.pack(Batch.kind, 10, 0) + b"{")
    left.close()
    with pytest.raises(Disconnected):
        right.receive()
    right.close()


def test_secrets_have_no_repr() -> None:
    configuration = Configure(
        worker="engine-1.1", storage_kind="s3", root="s3://lake/warehouse", endpoint=None,
        region="r", access_key_id="AKIA-SECRET", secret_access_key="s3-SECRET", path_style=True,
        catalog_uri="http://127.0.0.1:1/iceberg", catalog_token="token-SECRET", memory_bytes=1,
        threads=1, spill_directory="/s", spill_bytes=1, directories=[], canary_table="",
        canary_rows=0,
    )  # fmt: skip
    assert "SECRET" not in repr(configuration)
