"""What people do all day on the Query page: write, run, arrange, chart, save, and lose the line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from e2e import planted
from e2e.conftest import Watched, settled

Clients = Callable[[str | None], httpx2.Client]
Pages = Callable[..., Watched]

AIRLINES = "SELECT carrier, name FROM sample.airlines"
ENDLESS = (
    "SELECT count(*) FROM sample.nyc_taxi_trips a, sample.nyc_taxi_trips b "
    "WHERE a.fare_amount < b.tip_amount"
)


def write(page: Any, sql: str) -> None:
    """Puts a text into the editor in place of what is there, as if it was pasted."""
    editor = page.locator(".cm-content").first
    editor.wait_for()
    editor.focus()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(sql)
    page.wait_for_function(
        "text => document.querySelector('.cm-content').innerText.trim() === text", arg=sql
    )


def run(page: Any, sql: str) -> None:
    """Runs a text."""
    write(page, sql)
    page.keyboard.press("Control+Enter")


def cell(page: Any, row: int, column: int) -> Any:
    """A cell of the result."""
    return page.locator(f"[data-cell='{row},{column}']")


@pytest.fixture
def saved(api_as: Clients) -> Iterator[dict[str, Any]]:
    """A query that analyst saved."""
    analyst = api_as("analyst")
    body = {"name": "Airlines by name", "sql": AIRLINES, "dialect": "trino"}
    made = analyst.post("/api/v1/saved-queries", json=body)
    assert made.status_code == 201, made.text
    yield made.json()
    analyst.delete(f"/api/v1/saved-queries/{made.json()['id']}")


def test_a_result_is_sorted_filtered_charted_and_downloaded(page_as: Pages, tmp_path: Path) -> None:
    watched = page_as("analyst", path="/query")
    page = watched.page
    run(page, AIRLINES)
    grid = page.get_by_role("grid")
    grid.wait_for()
    assert grid.get_attribute("aria-rowcount") == "17"
    header = page.get_by_role("columnheader").filter(has_text="carrier")
    for order, first in (("ascending", "9E"), ("descending", "YV")):
        header.get_by_role("button").first.click()
        page.locator(f"[role=columnheader][aria-sort={order}]").wait_for()
        cell(page, 0, 0).get_by_text(first, exact=True).wait_for()
    page.get_by_role("button", name="Filter by name").click()
    page.get_by_label("Value").fill("Delta")
    page.get_by_role("button", name="Filter", exact=True).click()
    page.get_by_text("1 of 16 rows").wait_for()
    page.get_by_role("button", name="Download").click()
    with page.expect_download() as download:
        page.get_by_role("menuitem", name="CSV").click()
    download.value.save_as(tmp_path / "got.csv")
    rows = (tmp_path / "got.csv").read_text().splitlines()
    assert rows == ['"carrier","name"', '"DL","Delta Air Lines Inc."']
    page.get_by_role("tab", name="Chart").click()
    page.get_by_role("img").last.wait_for()
    page.get_by_role("tab", name="Plan").click()
    page.get_by_text("Runs on").wait_for()
    assert "view=plan" in page.url
    assert watched.problems == []


def test_an_error_is_shown_at_its_place(page_as: Pages) -> None:
    page = page_as("analyst", path="/query").page
    run(page, "SELECT carrier,\n  nmae FROM sample.airlines")
    page.get_by_text("nmae").last.wait_for()
    page.get_by_role("button", name="Go to line 2").click()
    assert page.locator(".cm-lintRange-error").inner_text() == "nmae"


def test_a_running_statement_is_cancelled(page_as: Pages) -> None:
    page = page_as("admin", path="/query").page
    run(page, ENDLESS)
    page.get_by_role("progressbar").wait_for()
    page.wait_for_timeout(1500)
    page.keyboard.press("Escape")
    page.get_by_text("Cancelled").wait_for()
    # At once: before the server can have told the statement's id.
    page.route(
        "**/api/v1/statements",
        lambda route: (page.wait_for_timeout(500), route.continue_()),
        times=1,
    )
    run(page, f"{ENDLESS} AND true")
    page.keyboard.press("Escape")
    page.get_by_role("progressbar").wait_for(state="detached")
    page.get_by_text("Cancelled").wait_for()


def test_completion_knows_what_one_may_see_and_nothing_else(page_as: Pages) -> None:
    page = page_as("analyst", path="/query").page
    write(page, "SELECT * FROM")
    page.keyboard.type(" sample.air")
    found = page.locator(".cm-tooltip-autocomplete")
    found.get_by_text("airports").wait_for()
    page.keyboard.press("Escape")
    write(page, "SELECT * FROM")
    page.keyboard.type(" vault.")
    page.wait_for_timeout(800)
    shown = "\n".join(found.all_inner_texts())
    assert not [name for name in planted.NAMES if name in shown]


def test_a_million_rows_and_strange_values(page_as: Pages) -> None:
    page = page_as("admin", path="/query").page
    run(page, "SELECT * FROM sample.nyc_taxi_trips")
    grid = page.get_by_role("grid")
    grid.wait_for()
    page.wait_for_function("() => document.querySelector('[role=grid]').ariaRowCount === '1000001'")
    grid.focus()
    page.keyboard.press("Control+End")
    last = page.locator("[data-cell^='999999,']").last  # far to the right as well
    last.wait_for()
    assert last.inner_text() != ""
    run(page, "SELECT rpad('y', 1000000, 'x') AS \"🙂 long\", 'שלום עולם' AS \"עברית\"")
    cell(page, 0, 1).get_by_text("שלום עולם").wait_for()
    page.get_by_role("columnheader").filter(has_text="🙂 long").wait_for()
    assert len(cell(page, 0, 0).inner_text()) < 1000
    cell(page, 0, 0).click()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    dialog.wait_for()
    page.wait_for_function(
        "() => document.querySelector('[role=dialog]').textContent.includes('x'.repeat(999_999))"
    )


def test_a_query_is_saved_and_found_again(page_as: Pages, api_as: Clients) -> None:
    watched = page_as("analyst", path="/query")
    page = watched.page
    write(page, AIRLINES)
    page.keyboard.press("Control+s")
    page.get_by_label("Name", exact=True).fill("What flies")
    page.get_by_role("dialog").get_by_role("button", name="Save", exact=True).click()
    page.get_by_text("Saved “What flies”").wait_for()
    try:
        page.goto("/")
        settled(page)
        page.get_by_role("button", name=re.compile("What flies")).click()
        page.get_by_role("tab", name="What flies").wait_for()
        page.wait_for_url(lambda url: "saved=" not in url)
        page.get_by_role("tab", name="What flies").press("Delete")
        page.keyboard.press("Control+k")
        page.get_by_role("dialog").wait_for()
        page.keyboard.type("what fl")
        page.get_by_role("option", name="What flies").click()
        page.get_by_role("tab", name="What flies").wait_for()
        assert page.locator(".cm-content").first.inner_text().strip() == AIRLINES
        assert watched.problems == []
    finally:
        mine = api_as("analyst")
        for query in mine.get("/api/v1/saved-queries").json():
            if query["name"] == "What flies":
                mine.delete(f"/api/v1/saved-queries/{query['id']}")


def test_two_windows_never_overwrite_each_other(page_as: Pages, saved: dict[str, Any]) -> None:
    one, other = (page_as("analyst", path=f"/query?saved={saved['id']}").page for _ in range(2))
    for page in (one, other):
        page.get_by_role("tab", name=saved["name"]).wait_for()
        page.wait_for_url(lambda url: "saved=" not in url)
    write(one, "SELECT 'of the first window'")
    one.keyboard.press("Control+s")
    one.get_by_text(f"Saved “{saved['name']}”").wait_for()
    write(other, "SELECT 'of the second window'")
    other.keyboard.press("Control+s")
    dialog = other.get_by_role("dialog")
    dialog.get_by_text("SELECT 'of the first window'").wait_for()
    dialog.get_by_text("SELECT 'of the second window'").wait_for()
    dialog.get_by_role("button", name="Take theirs").click()
    dialog.wait_for(state="detached")
    assert other.locator(".cm-content").first.inner_text().strip() == "SELECT 'of the first window'"


def test_somebody_else_s_saved_query_does_not_open(
    page_as: Pages, api_as: Clients, saved: dict[str, Any]
) -> None:
    assert api_as("guest").get(f"/api/v1/saved-queries/{saved['id']}").status_code == 404
    page = page_as("guest", path=f"/query?saved={saved['id']}").page
    page.locator(".cm-content").first.wait_for()
    page.wait_for_url(lambda url: "saved=" not in url)
    assert "airlines" not in page.locator("body").inner_text()


def test_a_lost_connection_is_told_and_loses_nothing(page_as: Pages) -> None:
    page = page_as("analyst", path="/query").page
    write(page, "SELECT 'typed before'")
    page.context.set_offline(True)
    page.keyboard.press("Control+Enter")
    banner = page.get_by_role("alert").get_by_text("Nothing is lost")
    banner.wait_for()
    write(page, "SELECT 'typed without a line' AS kept")
    page.context.set_offline(False)
    banner.wait_for(state="detached")
    page.keyboard.press("Control+Enter")
    cell(page, 0, 0).get_by_text("typed without a line").wait_for()
    page.reload()
    page.locator(".cm-content").first.wait_for()
    assert "typed without a line" in page.locator(".cm-content").first.inner_text()
    cell(page, 0, 0).get_by_text("typed without a line").wait_for()


def test_what_ran_is_in_the_history(page_as: Pages) -> None:
    page = page_as("analyst", path="/query").page
    run(page, "SELECT 'to be found again' AS found")
    cell(page, 0, 0).get_by_text("to be found again").wait_for()
    page.get_by_role("button", name="Saved queries and history").click()
    page.get_by_role("tab", name="History").click()
    before = page.get_by_role("tablist", name="Open queries").get_by_role("tab").count()
    page.get_by_role("button", name=re.compile("to be found again")).first.click()
    page.get_by_role("tablist", name="Open queries").get_by_role("tab").nth(before).wait_for()
    assert "to be found again" in page.locator(".cm-content").first.inner_text()
