import json
import logging
import stat

import pytest

from headwater.telemetry.logs import blank_secrets, configure_logs, log


@pytest.fixture(autouse=True)
def restored_logging():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []
    yield
    for handler in root.handlers:
        handler.close()
    root.handlers = handlers
    root.setLevel(level)


def test_lines_are_json_private_and_without_secrets(tmp_path):
    configure_logs(tmp_path, "info", stderr=False)
    log("server").info("ready", url="http://x", token="abcdef", rows=3)
    logging.getLogger("other").warning("sent %s", "Authorization: Bearer abcdefghijkl")
    try:
        raise ValueError("postgresql://me:hunter2@db/x refused")
    except ValueError:
        log("server").exception("failed")
    text = (tmp_path / "headwater.log").read_text()
    first = json.loads(text.splitlines()[0])
    assert (first["event"], first["rows"], first["level"]) == ("ready", 3, "info")
    for secret in ("abcdef", "abcdefghijkl", "hunter2"):
        assert secret not in text
    assert stat.S_IMODE((tmp_path / "headwater.log").stat().st_mode) == 0o600


def test_lines_below_the_level_are_dropped(tmp_path):
    configure_logs(tmp_path, "warning", stderr=False)
    log("server").info("quiet")
    assert (tmp_path / "headwater.log").read_text() == ""


def test_secrets_in_text():
    assert blank_secrets("bearer abcdefghij") == "bearer •••"
    assert blank_secrets("postgresql://u:p@h/d") == "postgresql://u:•••@h/d"
    assert blank_secrets("a plain line") == "a plain line"
