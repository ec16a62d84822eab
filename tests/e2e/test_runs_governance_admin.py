"""The pages Runs, Governance and Admin in a real browser, as an administrator and as an analyst."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx2
import pytest

Pages = Callable[..., Any]
Api = Callable[[str], httpx2.Client]

TRIPS = "sample.nyc_taxi_trips"


def ran(client: httpx2.Client, sql: str) -> str:
    """Runs a statement to its end; its id."""
    started = client.post("/api/v1/statements", json={"sql": sql}).json()
    while True:
        found = client.get(f"/api/v1/statements/{started['id']}", params={"wait": 5}).json()
        if found["state"] in ("FINISHED", "FAILED", "CANCELED"):
            return str(started["id"])


def test_a_statement_appears_by_itself_and_opens(page_as: Pages, api_as: Api, url: str) -> None:
    page = page_as("analyst").page
    page.goto(f"{url}/runs")
    page.get_by_role("searchbox", name="Search text, name, error").wait_for()
    statement = ran(api_as("analyst"), "SELECT carrier AS seen_by_e2e FROM sample.airlines")
    row = page.get_by_role("row").filter(has_text="seen_by_e2e").first
    row.click()
    page.get_by_role("tab", name="Decisions").click()
    page.get_by_text("table sample.airlines").first.wait_for()
    assert page.url.startswith(f"{url}/runs/{statement}")
    # Nobody else's are to be seen, and there is no switch for it.
    page.goto(f"{url}/runs")
    page.get_by_role("row").nth(1).wait_for()
    assert page.get_by_text("Everyone's").count() == 0


def test_filters_are_in_the_address(page_as: Pages, api_as: Api, url: str) -> None:
    ran(api_as("admin"), "SELECT no_such_thing FROM sample.airlines")
    page = page_as("admin").page
    page.goto(f"{url}/runs?phase=failed&q=no_such_thing")
    page.get_by_text("COLUMN_NOT_FOUND").first.wait_for()
    page.get_by_role("button", name="Succeeded").click()
    page.wait_for_url("**/runs?*phase=success*")
    page.get_by_text("Nothing matches these filters").wait_for()


def test_a_job_s_log_is_followed_and_searched(page_as: Pages, api_as: Api, url: str) -> None:
    text = "SELECT 1 AS first_of_log; SELECT 2 AS second_of_log"
    made = api_as("admin").post(
        "/api/v1/job-runs", json={"kind": "sql", "name": "e2e", "program": {"text": text}}
    )
    page = page_as("admin").page
    page.goto(f"{url}/runs/{made.json()['id']}?tab=logs")
    page.get_by_text("Ended", exact=True).wait_for()
    page.get_by_role("searchbox", name="Search the whole log").fill("no such text here")
    page.get_by_text("0 lines").wait_for()
    page.get_by_role("tab", name="Statements").click()
    page.get_by_role("row").nth(2).wait_for()


def test_view_as_shows_both_sides(page_as: Pages, url: str) -> None:
    page = page_as("admin").page
    page.goto(f"{url}/governance?tab=view-as&user=analyst&table={TRIPS}")
    theirs = page.get_by_role("region", name="analyst", exact=True)
    theirs.get_by_text("replace-with-null").first.wait_for()
    theirs.get_by_text("rows filtered").wait_for()
    assert theirs.get_by_text("show-last-4").count() == 1
    page.goto(f"{url}/governance?tab=view-as&user=guest&table=sample.ltv")
    page.get_by_text("It does not exist here").wait_for()


def test_a_grant_is_made_explained_and_undone(page_as: Pages, api_as: Api, url: str) -> None:
    page = page_as("admin").page
    page.goto(f"{url}/governance?schema=sample")
    page.get_by_role("button", name="guest on sample.ltv: nothing").click()
    page.get_by_role("button", name="Grant", exact=True).click()
    page.get_by_text("granted on table sample.ltv").wait_for()
    assert api_as("guest").get("/api/v1/tables/sample.ltv").status_code == 200
    page.get_by_role("button", name="Revoke").click()
    page.get_by_text("No grant reaches here").wait_for()
    assert api_as("guest").get("/api/v1/tables/sample.ltv").status_code == 404


def test_a_filter_is_seen_before_it_is_made(page_as: Pages, api_as: Api, url: str) -> None:
    page = page_as("admin").page
    page.goto(f"{url}/governance?tab=policies")
    page.get_by_role("button", name="Row filter").click()
    page.get_by_label("Name").fill("e2e_none")
    page.get_by_label("Table").fill("sample.airlines")
    page.get_by_label("Only rows where").fill("carrier = 'AA'")
    page.get_by_label("Binds").click()
    page.get_by_role("option", name="analyst").click()
    page.get_by_label("Preview as").click()
    page.get_by_role("option", name="analyst").click()
    then = page.get_by_role("region", name="analyst then", exact=True)
    then.get_by_text("1 row", exact=True).wait_for()
    # Nothing was made by looking.
    assert "e2e_none" not in api_as("admin").get("/api/v1/policies").text
    page.get_by_role("button", name="Cancel").click()


@pytest.mark.parametrize("tab", ["health", "processes", "releases", "settings"])
def test_administration_is_for_administrators(page_as: Pages, url: str, tab: str) -> None:
    page = page_as("analyst").page
    page.goto(f"{url}/admin?tab={tab}")
    page.get_by_text("For administrators").wait_for()


def test_administrators_see_the_server(page_as: Pages, url: str) -> None:
    page = page_as("admin").page
    page.goto(f"{url}/admin")
    page.get_by_text("engine canary").wait_for()
    page.get_by_role("tab", name="Processes").click()
    page.get_by_role("cell", name="headwater", exact=True).wait_for()
    page.get_by_role("tab", name="Settings").click()
    page.get_by_role("searchbox", name="Search settings").fill("engine.workers")
    page.get_by_text("HEADWATER_ENGINE__WORKERS").wait_for()


def test_an_analyst_s_governance_is_about_them_alone(page_as: Pages, url: str) -> None:
    page = page_as("analyst").page
    page.goto(f"{url}/governance?schema=sample")
    page.get_by_role("button", name="analyst on sample.airlines: select allowed").wait_for()
    assert page.get_by_text("guest").count() == 0
    page.goto(f"{url}/governance?tab=view-as")
    page.get_by_text("You may act for nobody else").wait_for()
    page.goto(f"{url}/governance?tab=audit")
    page.get_by_text("These are your own events").wait_for()
    assert page.get_by_role("button", name="Export").count() == 0
