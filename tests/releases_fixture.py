"""The releases that tests/setup.sh installed into .test-cache, for tests that need a real one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from headwater.runtimes.releases.installed import InstalledRelease
from headwater.runtimes.releases.store import ReleaseStore

ROOT = Path(__file__).parent.parent / ".test-cache" / "releases"


def release_store() -> ReleaseStore:
    """The tests' releases, or those that HEADWATER_RELEASES names."""
    return ReleaseStore(Path(os.environ.get("HEADWATER_RELEASES", ROOT)))


def installed_release(name: str) -> InstalledRelease:
    """A release that is installed; else the test is skipped, or fails where all are required."""
    found = release_store().installed(name)
    if found is not None:
        return found
    reason = f"release {name} is not installed: bash tests/setup.sh"
    if os.environ.get("HEADWATER_TESTS_REQUIRE_ALL") == "1":
        pytest.fail(reason)
    pytest.skip(reason)
