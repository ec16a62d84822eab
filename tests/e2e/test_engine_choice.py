"""The Query page's choice of an engine: Spark SQL on one's own Sail."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import releases_fixture
from e2e.conftest import Watched
from e2e.test_query_page import cell, run, write
from integration.server.conftest import Server

Pages = Callable[..., Watched]

LACKING = "SELECT luhn_check('79927398713') AS genuine"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that has Sail, without samples."""
    releases_fixture.installed_release("sail")
    releases = os.environ.get("HEADWATER_RELEASES", str(releases_fixture.ROOT))
    home = tmp_path_factory.mktemp("engines") / "home"
    running = Server(home, "--port", "0", "--no-samples", HEADWATER_RELEASES=releases)
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="module")
def url(server: Server) -> str:
    """Where the server answers."""
    return str(server.ready["url"])


@pytest.fixture(scope="module")
def token_of(server: Server) -> Callable[[str], str]:
    """The administrator's token."""
    return lambda _user: str(server.ready["token"])


def choose(page: Any, label: str, option: str) -> None:
    """Chooses in a select of the toolbar."""
    page.get_by_role("combobox", name=label, exact=True).click()
    page.get_by_role("option", name=option, exact=True).click()


def test_spark_sql_on_sail(page_as: Pages) -> None:
    watched = page_as("admin", path="/query")
    page = watched.page
    page.get_by_role("combobox", name="Engine", exact=True).click()
    names = page.get_by_role("option").all_inner_texts()
    assert names == ["Automatic", "System engine (DuckDB)"], "Trino SQL runs nowhere else"
    page.keyboard.press("Escape")
    choose(page, "Dialect", "Spark SQL")
    choose(page, "Engine", "Sail")
    run(page, "SELECT 'on ' || 'Sail' AS found")
    cell(page, 0, 0).get_by_text("on Sail", exact=True).wait_for()
    page.locator("[title=sail]", has_text="Sail").wait_for()
    # It is kept with the tab.
    page.wait_for_timeout(500)
    page.reload()
    page.locator(".cm-content").first.wait_for()
    assert page.get_by_role("combobox", name="Engine", exact=True).inner_text() == "Sail"
    cell(page, 0, 0).get_by_text("on Sail", exact=True).wait_for()
    page.get_by_role("tab", name="Plan").click()
    page.get_by_text("Sail plans it when it runs").wait_for()
    assert watched.problems == []


def test_automatic_says_why_it_went_to_sail(page_as: Pages) -> None:
    watched = page_as("admin", path="/query")
    page = watched.page
    choose(page, "Dialect", "Spark SQL")
    run(page, LACKING)
    cell(page, 0, 0).wait_for()
    fact = page.get_by_text("Sail, because …")
    fact.wait_for()
    assert "luhn_check" in (fact.get_attribute("title") or "")
    write(page, "SELECT 1 AS one")
    page.keyboard.press("Control+Enter")
    page.get_by_text("System engine", exact=True).wait_for()
    # Chromium tries to keep the colours of a selection that is typed over, and is not let.
    own = "Applying inline style violates"
    assert [problem for problem in watched.problems if not problem.startswith(own)] == []
