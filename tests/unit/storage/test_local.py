"""Local files: whole, durable, never replaced, never outside the root."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from headwater.errors import ErrorCode, HeadwaterError
from headwater.settings import Settings
from headwater.storage.credentials import NoVendor
from headwater.storage.fileio import LocalFileIO
from headwater.storage.open import open_storage


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "warehouse"
    folder.mkdir()
    return folder


@pytest.fixture
def io(root: Path) -> LocalFileIO:
    return LocalFileIO(root)


def code_of(call: Any, *arguments: Any) -> ErrorCode:
    with pytest.raises(HeadwaterError) as caught:
        call(*arguments)
    return caught.value.code


def test_files_are_written_read_listed_and_removed(io: LocalFileIO, root: Path) -> None:
    base = f"file://{root}/t"
    io.prepare_table(base)
    assert {path.name for path in (root / "t").iterdir()} == {"data", "metadata"}
    io.write_bytes(f"{base}/metadata/a", b"first")
    io.write_bytes(f"{base}/data/deep/er/b", b"second!")
    assert io.read_bytes(f"{base}/metadata/a") == b"first"
    assert io.read_end(f"{base}/metadata/a", 2) == (b"st", 5)
    assert io.read_end(f"{base}/metadata/a", 99) == (b"first", 5)
    listed = {file.uri: file.size for file in io.list(base)}
    assert listed == {f"{base}/metadata/a": 5, f"{base}/data/deep/er/b": 7}
    io.delete([f"{base}/metadata/a", f"{base}/metadata/never"])
    assert not io.exists(f"{base}/metadata/a")
    assert io.exists(f"{base}/data/deep/er/b")
    io.remove_location(base)
    assert list(root.iterdir()) == []
    io.remove_location(base)
    assert list(io.list(base)) == []


def test_files_are_private(io: LocalFileIO, root: Path) -> None:
    io.write_bytes(f"file://{root}/t/x", b"")
    assert (root / "t" / "x").stat().st_mode & 0o777 == 0o600
    assert (root / "t").stat().st_mode & 0o777 == 0o700


def test_a_file_is_never_replaced(io: LocalFileIO, root: Path) -> None:
    uri = f"file://{root}/t/x"
    io.write_bytes(uri, b"old")
    assert code_of(io.write_bytes, uri, b"new") is ErrorCode.INVALID_LOCATION
    assert io.read_bytes(uri) == b"old"
    assert [path.name for path in (root / "t").iterdir()] == ["x"]


def test_of_many_writers_of_one_name_one_wins(io: LocalFileIO, root: Path) -> None:
    uri = f"file://{root}/t/x"
    won: list[int] = []
    lost: list[ErrorCode] = []

    def write(number: int) -> None:
        try:
            io.write_bytes(uri, bytes([number]) * 10_000)
            won.append(number)
        except HeadwaterError as exc:
            lost.append(exc.code)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert lost == [ErrorCode.INVALID_LOCATION] * 7
    assert io.read_bytes(uri) == bytes(won) * 10_000
    assert len(list(io.list(f"file://{root}"))) == 1


@pytest.mark.parametrize("failing", ["write", "fsync", "link"])
def test_a_full_disk_leaves_nothing_behind(
    io: LocalFileIO, root: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    def full(*_arguments: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, failing, full)
    assert code_of(io.write_bytes, f"file://{root}/t/x", b"data") is ErrorCode.DISK_FULL
    monkeypatch.undo()
    assert list(io.list(f"file://{root}")) == []
    io.write_bytes(f"file://{root}/t/x", b"data")


def test_no_hard_links_no_harm(
    io: LocalFileIO, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(*_arguments: Any) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", unsupported)
    io.write_bytes(f"file://{root}/t/x", b"data")
    assert io.read_bytes(f"file://{root}/t/x") == b"data"
    assert code_of(io.write_bytes, f"file://{root}/t/x", b"new") is ErrorCode.INVALID_LOCATION


def test_missing_files_are_said(io: LocalFileIO, root: Path) -> None:
    assert code_of(io.read_bytes, f"file://{root}/t/none") is ErrorCode.FILE_NOT_FOUND
    assert code_of(io.read_end, f"file://{root}/t/none", 4) is ErrorCode.FILE_NOT_FOUND
    (root / "folder").mkdir()
    assert code_of(io.read_bytes, f"file://{root}/folder") is ErrorCode.FILE_NOT_FOUND
    assert not io.exists(f"file://{root}/folder")


@pytest.mark.parametrize(
    "uri",
    [
        "file:///etc/passwd",
        "{root}/../outside",
        "{root}/a/../../outside",
        "{root}/./a",
        "{root}//a",
        "{root}2/a",
        "/etc/passwd",
        "s3://lake/a",
        "file://etc/passwd",
        "{root}/a\0b",
    ],
)
def test_nothing_outside_the_root_is_touched(
    io: LocalFileIO, root: Path, tmp_path: Path, uri: str
) -> None:
    (tmp_path / "outside").write_text("secret")
    target = uri.replace("{root}", f"file://{root}")
    for call in (io.read_bytes, io.exists, io.prepare_table, io.remove_location):
        assert code_of(call, target) is ErrorCode.INVALID_LOCATION
    assert code_of(io.write_bytes, target, b"") is ErrorCode.INVALID_LOCATION
    assert code_of(io.delete, [target]) is ErrorCode.INVALID_LOCATION
    assert code_of(lambda: list(io.list(target))) is ErrorCode.INVALID_LOCATION
    assert (tmp_path / "outside").read_text() == "secret"


def test_links_that_lead_outside_are_refused(io: LocalFileIO, root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    (root / "folder").symlink_to(outside)
    (root / "file").symlink_to(outside / "secret")
    (root / "t").mkdir()
    (root / "t" / "inner").symlink_to(outside)
    base = f"file://{root}"
    for uri in (f"{base}/folder/secret", f"{base}/file", f"{base}/t/inner/secret"):
        assert code_of(io.read_bytes, uri) is ErrorCode.INVALID_LOCATION
    assert code_of(io.write_bytes, f"{base}/folder/new", b"") is ErrorCode.INVALID_LOCATION
    assert list(io.list(base)) == []
    io.remove_location(f"{base}/t")
    assert (outside / "secret").read_text() == "secret"
    assert not (root / "t").exists()


def test_the_root_itself_stays(io: LocalFileIO, root: Path) -> None:
    assert code_of(io.remove_location, f"file://{root}") is ErrorCode.INVALID_LOCATION
    assert root.exists()


def test_a_root_behind_a_link_works(root: Path, tmp_path: Path) -> None:
    (tmp_path / "home").symlink_to(root)
    storage = open_storage(Settings(), tmp_path / "home")
    location = storage.warehouse.new_location("t")
    storage.warehouse.io.write_bytes(f"{location}/x", b"1")
    assert (root / "warehouse" / "t" / "x").read_bytes() == b"1"
    assert isinstance(storage.vendor, NoVendor)
    assert storage.vendor.vend(location, write=True, session_name="a") is None
    assert (storage.engine.kind, storage.engine.root) == ("local", storage.warehouse.root)
    assert storage.client_config == {}
    storage.close()


def test_a_home_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert code_of(open_storage, Settings(), tmp_path / "file") is ErrorCode.HOME_NOT_WRITABLE


@pytest.mark.parametrize("name", ["caf\u00e9", "a*b", "it's", "50%"])
def test_a_home_with_an_unusable_name_is_said(tmp_path: Path, name: str) -> None:
    assert code_of(open_storage, Settings(), tmp_path / name) is ErrorCode.INVALID_LOCATION
