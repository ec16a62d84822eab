"""Every page for every user in both themes, by keyboard alone, and for people who cannot see it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from e2e import planted
from e2e.conftest import PAGES, Watched, settled

Clients = Callable[[str | None], httpx2.Client]
Pages = Callable[..., Watched]

TITLES = {
    "/": "Home",
    "/data": "Data",
    "/query": "Query",
    "/runs": "Runs",
    "/governance": "Governance",
    "/admin": "Admin",
}
DEEPER = ("/data/sample/flights", "/data/vault/people", "/data/nothing/here")
SERIOUS = ("serious", "critical")


def serious(page: Any) -> list[str]:
    """What axe finds that keeps people out."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']} ({one['impact']}): {node['target']} {node['html'][:200]}"
        for one in found
        if one["impact"] in SERIOUS
        for node in one["nodes"][:3]
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_is_whole_and_accessible(page_as: Pages, theme: str) -> None:
    watched = page_as("analyst", theme=theme)
    assert watched.page.evaluate("() => document.documentElement.dataset.theme") == theme
    found: dict[str, list[str]] = {}
    for path in (*PAGES, *DEEPER[:1]):
        watched.page.goto(path)
        settled(watched.page)
        watched.page.wait_for_timeout(300)
        found[path] = serious(watched.page)
    assert {path: problems for path, problems in found.items() if problems} == {}
    assert watched.problems == []
    assert watched.foreign == []


@pytest.mark.parametrize("user", ["admin", "analyst", "guest"])
def test_no_page_breaks_for_any_user(page_as: Pages, user: str) -> None:
    watched = page_as(user)
    for path in (*PAGES, *DEEPER):
        watched.page.goto(path)
        settled(watched.page)
        watched.page.wait_for_timeout(200)
        text = watched.page.locator("body").inner_text()
        assert text.strip()
        if user == "analyst":
            assert not [secret for secret in planted.SECRETS if secret in text], path
            assert not [name for name in planted.NAMES if name in text], path
    assert watched.problems == []
    assert watched.foreign == []


def test_pages_are_reached_by_keys(page_as: Pages) -> None:
    watched = page_as("analyst")
    settled(watched.page)
    for key, path in zip(
        "dqrgah", ("data", "query", "runs", "governance", "admin", ""), strict=True
    ):
        watched.page.locator("body").press("Escape")
        watched.page.evaluate("() => document.activeElement && document.activeElement.blur()")
        watched.page.keyboard.press("g")
        watched.page.keyboard.press(key)
        watched.page.wait_for_url(lambda found, path=path: found.split("?")[0].endswith(f"/{path}"))
    watched.page.keyboard.press("?")
    watched.page.get_by_role("dialog").wait_for()
    watched.page.wait_for_timeout(500)
    watched.page.keyboard.press("Escape")
    watched.page.get_by_role("dialog").wait_for(state="detached")
    watched.page.keyboard.press("Control+k")
    watched.page.get_by_role("dialog").wait_for()
    watched.page.keyboard.type("Runs")
    watched.page.get_by_role("option", name="Runs").first.wait_for()
    watched.page.wait_for_timeout(800)
    watched.page.keyboard.press("Enter")
    watched.page.wait_for_url("**/runs*")


def test_a_query_by_keyboard_alone(page_as: Pages) -> None:
    watched = page_as("analyst")
    settled(watched.page)
    watched.page.keyboard.press("g")
    watched.page.keyboard.press("q")
    editor = watched.page.locator(".cm-content").first
    editor.wait_for()
    editor.focus()
    watched.page.keyboard.type("SELECT count(*) AS trips FROM sample.airlines")
    watched.page.keyboard.press("Escape")
    watched.page.keyboard.press("Control+Enter")
    watched.page.get_by_text("trips", exact=True).first.wait_for()
    assert watched.problems == []


def test_who_is_not_logged_in_sees_the_login(page_as: Pages) -> None:
    watched = page_as(None, path="/data/vault/people")
    watched.page.locator("input").first.wait_for()
    assert "vault" not in watched.page.locator("body").inner_text()
    assert serious(watched.page) == []


def test_the_link_logs_in_and_leaves_no_token_behind(
    page_as: Pages, token_of: Callable[[str], str]
) -> None:
    watched = page_as(None, path=f"/#token={token_of('analyst')}")
    watched.page.get_by_role("navigation").first.wait_for()
    assert "token" not in watched.page.url
    kept = watched.page.evaluate(
        "() => JSON.stringify([localStorage, sessionStorage, history.state])"
    )
    assert token_of("analyst") not in kept
    assert watched.page.evaluate("() => document.cookie") == ""


def test_an_expired_session_keeps_what_was_typed(page_as: Pages) -> None:
    watched = page_as("analyst", path="/query")
    editor = watched.page.locator(".cm-content").first
    editor.wait_for()
    editor.focus()
    watched.page.keyboard.type("SELECT 'precious'")
    watched.page.context.clear_cookies()
    watched.page.keyboard.press("Escape")
    watched.page.keyboard.press("Control+Enter")
    watched.page.get_by_role("dialog").wait_for()
    assert "precious" in editor.inner_text()
