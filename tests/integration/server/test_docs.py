"""The commands of the quick start, run as they stand."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from integration.server.conftest import Server, environment

ROOT = Path(__file__).resolve().parents[3]


def commands(page: str) -> list[str]:
    text = (ROOT / "docs" / page).read_text()
    return [
        line
        for block in re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        for line in block.splitlines()
        if line.strip()
    ]


@pytest.mark.timeout(900)
def test_quick_start(server: Server, tmp_path: Path) -> None:
    shims = tmp_path / "bin"
    shims.mkdir()
    command = shims / "headwater"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m headwater "$@"\n')
    command.chmod(0o755)
    inherited = environment(server.home)
    listed = commands("guide/quickstart.md")
    assert len(listed) > 15
    for line in listed:
        done = subprocess.run(
            ["sh", "-c", line.replace("/tmp/", f"{tmp_path}/")],
            env={**inherited, "PATH": f"{shims}:{inherited['PATH']}"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, (line, done.stderr)
