"""Full disks under the warehouse, the home and the results: told, survived, and nothing lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from pyiceberg.exceptions import RESTError

from headwater.errors import ErrorCode, HeadwaterError
from integration.badinput.conftest import (
    connected,
    everywhere,
    filled,
    iceberg,
    rows,
    run,
    small_disk,
)
from integration.server.conftest import Server
from integration.server.conftest import run as command

INSERT = "INSERT INTO disk.t VALUES (2)"
COUNT = "SELECT count(*) FROM disk.t"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose home, warehouse and results each have a small disk of their own."""
    home = tmp_path_factory.mktemp("disk") / "home"
    with ExitStack() as disks:
        disks.enter_context(small_disk(home, 64))
        disks.enter_context(small_disk(home / "warehouse", 8))
        disks.enter_context(small_disk(home / "spool", 66))
        running = Server(home, "--port", "0", "--no-samples")
        try:
            run(
                running,
                "CREATE SCHEMA disk",
                "CREATE TABLE disk.t (id bigint)",
                "INSERT INTO disk.t VALUES (1)",
            )
            yield running
        finally:
            assert running.stop() == 0


def test_a_full_warehouse(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("id\n" + "\n".join(map(str, range(1000))))
    before = rows(server, COUNT)
    with filled(server.home / "warehouse"):
        for sql in (INSERT, "CREATE TABLE disk.other (id bigint)", "DELETE FROM disk.t"):
            for told in everywhere(server, sql):
                assert told.code == "DISK_FULL", (sql, told)
                assert "free" in told.text or "more disk" in told.text
        table = iceberg(server).load_table("disk.t")
        with pytest.raises(RESTError, match="no space"), table.transaction() as change:
            change.set_properties({"a": "b"})
        done = server.run("catalog", "load", str(file), "--table", "disk.loaded")
        assert done.stderr.strip().splitlines()[-1].startswith("DISK_FULL: "), done.stderr
        assert rows(server, COUNT) == before
    for sql in (COUNT, INSERT, "CREATE TABLE disk.other (id bigint)", "DROP TABLE disk.other"):
        run(server, sql)
    assert rows(server, COUNT) == [(before[0][0] + 1,)]
    assert server.run("catalog", "load", str(file), "--table", "disk.loaded").returncode == 0
    assert rows(server, "SELECT count(*) FROM disk.loaded") == [(1000,)]


def use_up_the_log(server: Server) -> None:
    """Reads until the size that the metastore's log has from the start is written, too."""
    with connected(server) as connection, pytest.raises(HeadwaterError) as caught:
        for _ in range(3000):
            connection.query(COUNT)
    assert caught.value.code is ErrorCode.DISK_FULL


def test_a_full_home(server: Server) -> None:
    before = rows(server, COUNT)
    with filled(server.home):
        use_up_the_log(server)
        # No row without its audit row, and that has no place: reading fails, too.
        for sql in (INSERT, COUNT):
            for told in everywhere(server, sql):
                assert told.code == "DISK_FULL", (sql, told)
                assert "free some space" in told.text
        with pytest.raises(RESTError, match="free some space"):
            iceberg(server).create_namespace("more")
        assert server.process.poll() is None
    run(server, INSERT)
    assert rows(server, COUNT) == [(before[0][0] + 1,)]


def test_a_result_without_space(server: Server) -> None:
    huge = "SELECT x, y FROM UNNEST(sequence(1, 3000)) a(x), UNNEST(sequence(1, 3000)) b(y)"
    for told in everywhere(server, huge):
        assert told.code == "DISK_FULL", told
        assert "LIMIT" in told.text
    with filled(server.home / "spool"):
        assert rows(server, COUNT)
    assert len(rows(server, "SELECT x FROM UNNEST(sequence(1, 100000)) a(x)")) == 100000


def test_an_upload_without_space(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "large.csv"
    file.write_bytes(b"id\n" + b"1234567\n" * 10_000_000)
    done = server.run("catalog", "load", str(file), "--table", "disk.large")
    assert done.stderr.strip().splitlines()[-1].startswith("DISK_FULL: "), done.stderr
    assert list((server.home / "spool" / "uploads").iterdir()) == []


def test_a_start_on_a_full_disk(tmp_path: Path) -> None:
    with small_disk(tmp_path / "home", 1) as home, filled(home):
        done = command(home, "up", "--home", str(home), "--port", "0", "--quiet", "--no-samples")
    assert done.returncode == 3, done.stderr
    assert done.stderr.startswith("DISK_FULL: "), done.stderr
    assert "--home" in done.stderr


def test_what_was_acknowledged_outlives_a_full_disk_and_a_kill(tmp_path: Path) -> None:
    with small_disk(tmp_path / "home", 40) as home:
        server = Server(home, "--port", "0", "--no-samples")
        try:
            run(server, "CREATE SCHEMA disk", "CREATE TABLE disk.t (id bigint)")
            run(server, INSERT)
            with filled(home):
                assert {told.code for told in everywhere(server, INSERT)} == {"DISK_FULL"}
            run(server, INSERT)
            server.process.kill()
            server.process.wait(10)
            server.stop()
            server = Server(home, "--port", "0", "--no-samples")
            assert rows(server, COUNT) == [(2,)]
        finally:
            server.stop()
