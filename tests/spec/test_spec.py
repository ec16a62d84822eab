"""Every `.test` file below this folder: SQL with users, grants and expected errors, as data."""

from __future__ import annotations

from pathlib import Path

import pytest

from platform_fixture import Platform
from spec.conftest import SpecRun

ROOT = Path(__file__).parent
FILES = sorted(ROOT.rglob("*.test"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT))[:-5])
def test_file(platform: Platform, path: Path) -> None:
    problems = SpecRun(platform, path).run()
    assert not problems, "\n" + "\n".join(problems)


def test_there_are_files() -> None:
    assert len(FILES) > 34
