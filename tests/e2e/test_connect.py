"""Another catalog is connected by hand, in a real browser, and ended again."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from e2e.test_pages import serious
from integration.server.conftest import Server


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The other catalog: a Headwater of its own with one table."""
    running = Server(tmp_path_factory.mktemp("there") / "home", "--port", "0", "--no-samples")
    for statement in ("CREATE SCHEMA shop", "CREATE TABLE shop.items AS SELECT 7 AS price"):
        assert running.run("sql", statement).returncode == 0
    yield running
    assert running.stop() == 0


def test_a_catalog_is_connected_and_removed(page_as: Callable[..., Any], there: Server) -> None:
    watched = page_as("admin")
    page = watched.page
    page.set_default_timeout(60_000)
    page.get_by_role("link", name="Connect a catalog").click()
    page.get_by_label("URL").fill("http://127.0.0.1:9/nothing")
    page.get_by_role("button", name="Test", exact=True).click()
    page.get_by_text("CONNECTION_FAILED").wait_for()
    page.get_by_label("URL").fill(there.ready["iceberg_uri"])
    page.get_by_role("combobox", name="Login").click()
    page.get_by_role("option", name="Bearer token").click()
    page.get_by_label("Token").fill(there.ready["token"])
    page.get_by_role("button", name="Test", exact=True).click()
    page.get_by_role("checkbox", name="shop").click()
    page.get_by_label("Name of the connection").fill("far")
    assert page.get_by_label("Schema for shop").input_value() == "far_shop"
    assert str(there.home / "warehouse") in page.get_by_label("Folders its tables").input_value()
    assert serious(page) == []
    page.get_by_role("button", name="Connect 1 namespace").click()
    page.get_by_text("The catalog is connected").wait_for()
    page.wait_for_url(re.compile("/data/far_shop"))
    page.get_by_text("items").first.wait_for()
    page.goto("/connect")
    page.get_by_role("button", name="Remove far").click()
    page.get_by_role("button", name="Remove the connection").click()
    page.get_by_text("far was removed").wait_for()
    assert there.ready["token"] not in page.content()
    assert not watched.problems
    assert not watched.foreign


def test_others_are_told(page_as: Callable[..., Any]) -> None:
    watched = page_as("analyst", path="/connect")
    watched.page.get_by_text("PERMISSION_DENIED").wait_for()
