"""Streams of output: caps, offsets, secrets, a disk that is full."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.jobs import logs
from headwater.jobs.logs import HIDDEN, LogWriter, redact


def all_of(folder: Path, offset: int = 0, limit: int = 7) -> bytes:
    data = b""
    while chunk := logs.read(folder, "stdout", offset, limit).data:
        data += chunk
        offset = logs.read(folder, "stdout", offset, limit).next
    return data


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_what_is_written_is_read_in_any_pieces(tmp_path_factory, pieces: list[bytes]) -> None:
    folder = tmp_path_factory.mktemp("logs")
    writer = LogWriter(folder, "stdout", cap=1_000_000, segment=16)
    for piece in pieces:
        writer.write(piece)
    writer.flush()
    assert all_of(folder) == b"".join(pieces)


def test_the_oldest_segments_go_and_offsets_stay(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path, "stdout", cap=1000, segment=100)
    for number in range(500):
        writer.write(b"%08d\n" % number)
    kept = logs.segments(tmp_path, "stdout")
    assert sum(s.end - s.start for s in kept) <= 1000 + 9
    assert kept[-1].end == 4500
    assert logs.read(tmp_path, "stdout", 9 * 490, 9).data == b"%08d\n" % 490
    first = logs.read(tmp_path, "stdout", 0, 9)
    assert first.start == kept[0].start > 0
    assert logs.read(tmp_path, "stdout", -9).data == b"%08d\n" % 499
    again = LogWriter(tmp_path, "stdout", cap=1000, segment=100)
    again.write(b"%08d\n" % 500)
    assert logs.read(tmp_path, "stdout", 4500).data == b"%08d\n" % 500


@pytest.mark.parametrize(
    "text",
    [
        b"my-own-secret",
        b"eyJhbGciOiJFZDI1NTE5In0.eyJpc3MiOiJoZWFkd2F0ZXIifQ.AAAAAAAAAAAAAAAA",
        b"Authorization: Bearer abcdefghijklmno",
    ],
)
def test_secrets_are_not_kept_even_when_they_come_in_pieces(tmp_path: Path, text: bytes) -> None:
    writer = LogWriter(tmp_path, "stdout", cap=100_000, secrets=[b"my-own-secret"])
    for at in range(0, len(text), 3):
        writer.write(text[at : at + 3])
    writer.write(b" end\n")
    kept = all_of(tmp_path)
    assert HIDDEN in kept
    assert text.rpartition(b" ")[2] not in kept
    assert kept.endswith(b" end\n")


def test_a_password_in_a_url_is_hidden() -> None:
    assert redact(b"postgresql://u:pw@host/db") == b"postgresql://u:" + HIDDEN + b"@host/db"


def test_a_disk_that_is_full_loses_lines_and_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    writer = LogWriter(folder, "stdout", cap=100_000)  # the folder is not there yet
    writer.write(b"lost\n")
    folder.mkdir()
    writer.write(b"kept\n")
    assert all_of(folder) == b"[headwater: 5 bytes were lost: the disk was full]\nkept\n"
