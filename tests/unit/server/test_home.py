import json
import os
import stat
import subprocess
import sys

import pytest

from headwater.errors import ErrorCode, HeadwaterError
from headwater.server.home import Home


def test_a_new_home_is_private(tmp_path):
    home = Home.acquire(tmp_path / "deep" / "home")
    assert stat.S_IMODE(home.path.stat().st_mode) == 0o700
    assert home.uploads.is_dir()
    home.release()


def test_one_owner_at_a_time(tmp_path):
    home = Home.acquire(tmp_path)
    with pytest.raises(HeadwaterError) as caught:
        Home.acquire(tmp_path)
    assert caught.value.code is ErrorCode.HOME_IN_USE
    assert str(os.getpid()) in caught.value.message
    home.release()
    Home.acquire(tmp_path).release()


def test_the_lock_dies_with_its_process(tmp_path):
    program = (
        "import sys, os, pathlib; from headwater.server.home import Home;"
        "Home.acquire(pathlib.Path(sys.argv[1])); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False, timeout=30)
    Home.acquire(tmp_path).release()


def test_ready_file_is_private_and_goes_with_the_server(tmp_path):
    home = Home.acquire(tmp_path)
    home.write_ready({"url": "http://127.0.0.1:1", "token": "t"})
    assert stat.S_IMODE(home.ready_file.stat().st_mode) == 0o600
    assert json.loads(home.ready_file.read_text())["token"] == "t"
    home.release()
    assert not home.ready_file.exists()
    home.release()


def test_a_home_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(HeadwaterError) as caught:
        Home.acquire(tmp_path / "file" / "home")
    assert caught.value.code is ErrorCode.HOME_NOT_WRITABLE
    assert "--home" in str(caught.value)
