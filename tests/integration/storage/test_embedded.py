"""The embedded S3 as a process: loopback only, closed ports, restarts, orderly ends."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from headwater.errors import ErrorCode, HeadwaterError
from headwater.settings import Settings
from headwater.storage.open import Storage, open_storage
from headwater.storage.seaweed import EmbeddedS3

pytestmark = pytest.mark.s3


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Storage]:
    """The storage of a home with `--storage s3`, open."""
    storage = open_storage(Settings(storage="s3"), tmp_path_factory.mktemp("home"))
    yield storage
    storage.close()


def embedded(storage: Storage) -> EmbeddedS3:
    assert storage.embedded is not None
    return storage.embedded


def wait_for(storage: Storage, uri: str, expected: bytes) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with contextlib.suppress(HeadwaterError):
            assert storage.warehouse.io.read_bytes(uri) == expected
            return
    pytest.fail("the storage did not come back within 20 seconds")


def test_files_live_on_it(opened: Storage) -> None:
    io, location = opened.warehouse.io, opened.warehouse.new_location("aa")
    io.prepare_table(location)
    big = os.urandom(9 * 1024 * 1024)
    io.write_bytes(f"{location}/data/big", big)
    io.write_bytes(f"{location}/metadata/small", b"x")
    assert io.read_bytes(f"{location}/data/big") == big
    assert io.read_end(f"{location}/data/big", 10) == (big[-10:], len(big))
    assert io.read_end(f"{location}/metadata/small", 10) == (b"x", 1)
    assert {(f.uri, f.size) for f in io.list(location)} == {
        (f"{location}/data/big", len(big)),
        (f"{location}/metadata/small", 1),
    }
    with pytest.raises(HeadwaterError) as caught:
        io.write_bytes(f"{location}/metadata/small", b"y")
    assert caught.value.code is ErrorCode.INVALID_LOCATION
    # The same bytes again are a retry whose first answer was lost.
    io.write_bytes(f"{location}/metadata/small", b"x")
    with pytest.raises(HeadwaterError) as caught:
        io.read_bytes(f"{location}/metadata/none")
    assert caught.value.code is ErrorCode.FILE_NOT_FOUND
    io.delete([f"{location}/metadata/none", f"{location}/metadata/small"])
    assert not io.exists(f"{location}/metadata/small")
    io.remove_location(location)
    assert list(io.list(location)) == []


def test_it_listens_on_loopback_only(opened: Storage) -> None:
    pid = embedded(opened).pid
    assert pid is not None
    listening = [c for c in psutil.Process(pid).net_connections() if c.status == "LISTEN"]
    assert listening
    assert {connection.laddr.ip for connection in listening} == {"127.0.0.1"}


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_no_port_answers_without_a_key(opened: Storage, method: str) -> None:
    location = opened.warehouse.new_location("bb" + method.lower())
    opened.warehouse.io.write_bytes(f"{location}/data/f", b"rows" * 2000)
    pid = embedded(opened).pid
    assert pid is not None
    ports = {c.laddr.port for c in psutil.Process(pid).net_connections() if c.status == "LISTEN"}
    key = location.removeprefix("s3://") + "/data/f"
    paths = [f"/buckets/{key}", f"/{key}", "/col/delete?collection=lake", "/dir/assign"]
    paths += ["/dir/lookup?volumeId=1", "/vol/vacuum", "/buckets/?recursive=true", "/1,01"]
    answered = [
        (port, path, body)
        for port in ports
        for path in paths
        if (body := anonymous(port, method, path)) is not None
    ]
    assert answered == []
    assert opened.warehouse.io.read_bytes(f"{location}/data/f") == b"rows" * 2000


def anonymous(port: int, method: str, path: str) -> bytes | None:
    """What a request without a key is answered with, None when it is refused."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=5) as reply:
            found: bytes = reply.read()
            return found
    except (urllib.error.URLError, http.client.HTTPException, OSError):
        # Refused, or a gRPC port, which answers HTTP/1 with what is no HTTP.
        return None


def test_secrets_are_in_no_command_line_and_no_environment(opened: Storage) -> None:
    pid = embedded(opened).pid
    assert pid is not None
    process = psutil.Process(pid)
    shown = " ".join(process.cmdline()) + str(process.environ())
    secret = embedded(opened).endpoint.secret_access_key
    assert secret not in shown
    assert opened.engine.secret_access_key not in shown


def test_it_comes_back_when_it_is_killed(opened: Storage) -> None:
    location = opened.warehouse.new_location("cc")
    opened.warehouse.io.write_bytes(f"{location}/data/f", b"rows")
    endpoint, pid = embedded(opened).endpoint, embedded(opened).pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_for(opened, f"{location}/data/f", b"rows")
    assert embedded(opened).pid != pid
    assert embedded(opened).endpoint == endpoint
    assert embedded(opened).restarts >= 1


def test_a_home_keeps_its_files_keys_and_port(tmp_path: Path) -> None:
    first = open_storage(Settings(storage="s3"), tmp_path)
    location = first.warehouse.new_location("dd")
    first.warehouse.io.write_bytes(f"{location}/data/f", b"rows")
    vended = first.vendor.vend(location, write=False, session_name="alice")
    pid = embedded(first).pid
    first.close()
    assert pid is not None
    assert not psutil.pid_exists(pid)
    second = open_storage(Settings(storage="s3"), tmp_path)
    assert second.warehouse.io.read_bytes(f"{location}/data/f") == b"rows"
    assert second.client_config == first.client_config
    assert embedded(second).endpoint == embedded(first).endpoint
    assert vended is not None
    second.close()


def test_what_a_killed_server_left_behind_is_ended(tmp_path: Path) -> None:
    left = EmbeddedS3(tmp_path)
    left.start()
    pid = left.pid
    left._stopping.set()  # as if the server were gone: nobody watches the process any more
    assert pid is not None
    taken = EmbeddedS3(tmp_path)
    taken.start()
    assert not psutil.pid_exists(pid)
    assert taken.endpoint == left.endpoint
    taken.stop()
