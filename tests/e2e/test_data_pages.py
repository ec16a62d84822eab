"""Home, the loading of files and the table pages, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e import planted

ROWS = 300
GOOD = "id,city,amount\n" + "".join(f"{n},c{n % 7},{n * 1.5}\n" for n in range(ROWS))
SECONDS = 60_000
"""A loaded machine is slow; nothing waits so long on a quiet one."""


@pytest.fixture
def admin(page_as: Callable[..., Any]) -> Iterator[Any]:
    watched = page_as("admin")
    watched.page.set_default_timeout(SECONDS)
    yield watched.page
    assert not watched.problems
    assert not watched.foreign


@pytest.fixture
def analyst(page_as: Callable[..., Any]) -> Iterator[Any]:
    watched = page_as("analyst", theme="dark")
    watched.page.set_default_timeout(SECONDS)
    yield watched.page
    assert not watched.problems
    assert not watched.foreign


def choose(page: Any, path: Path) -> None:
    page.locator("input[type=file]").set_input_files(str(path))


def test_a_file_becomes_a_table_and_is_undone(admin: Any, tmp_path: Path) -> None:
    (tmp_path / "City Trips.csv").write_text(GOOD)
    choose(admin, tmp_path / "City Trips.csv")
    admin.get_by_label("Name of amount").fill("fare")
    admin.get_by_role("button", name="Load", exact=True).click()
    admin.get_by_role("heading", name=re.compile("300 rows in .*city_trips")).wait_for()
    admin.get_by_role("button", name="Open the table").click()
    admin.get_by_role("cell", name="fare", exact=True).wait_for()
    admin.get_by_text("Figures from all 300 rows").wait_for()
    admin.go_back()
    admin.goto(admin.url)
    admin.goto("/data")
    admin.get_by_role("searchbox", name="Find tables and schemas").fill("city_tr")
    admin.get_by_role("treeitem", name=re.compile("city_trips")).click()
    admin.get_by_role("button", name="More").click()
    admin.get_by_role("menuitem", name="Drop this table").click()
    admin.get_by_role("button", name="Drop the table").click()
    admin.get_by_text("city_trips was dropped").wait_for()


def test_what_is_wrong_in_a_file_is_told_and_mended(admin: Any, tmp_path: Path) -> None:
    (tmp_path / "not.csv").write_bytes(b"\x89PNG\r\n")
    choose(admin, tmp_path / "not.csv")
    admin.get_by_text("the file is a PNG picture").wait_for()
    admin.get_by_role("button", name="Choose another", exact=True).click()
    (tmp_path / "ragged.csv").write_text(GOOD.replace("\n40,c5,", "\n40,c5,x,"))
    choose(admin, tmp_path / "ragged.csv")
    admin.get_by_text("4 values where the header names 3 columns").wait_for()
    admin.get_by_role("button", name="Load", exact=True).click()
    admin.get_by_text("Nothing was loaded").wait_for()
    admin.get_by_role("button", name="Load without such rows").click()
    admin.get_by_role("heading", name=re.compile("299 rows in")).wait_for()
    admin.get_by_text("1 row could not be read and was left out").wait_for()
    admin.get_by_role("button", name="Undo: drop the table").click()
    admin.get_by_text("was dropped again").wait_for()


def test_files_of_a_folder_are_taken_by_a_pattern(
    admin: Any, api_as: Callable[[str], Any], tmp_path: Path
) -> None:
    admin.goto("/import?from=s3")
    admin.get_by_text("No S3 location is open to you").wait_for()
    folder = tmp_path / "incoming"
    (folder / "may").mkdir(parents=True)
    for number in (1, 2):
        (folder / f"may/{number}.csv").write_text(GOOD)
    (folder / "notes.txt").write_text("x")
    grant = {
        "effect": "grant",
        "privileges": [{"privilege": "READ FILES"}],
        "on": {"kind": "location", "name": str(folder)},
        "to": [{"name": "admin", "kind": "user"}],
    }
    api_as("admin").post("/api/v1/grants", json=grant).raise_for_status()
    admin.goto("/import?from=folder")
    admin.get_by_text("notes.txt").wait_for()
    admin.get_by_role("button", name="Take files").click()
    admin.get_by_text("files of different kinds").wait_for()
    admin.get_by_role("button", name="may", exact=True).click()
    admin.get_by_label("File, folder or pattern").fill(f"{folder}/may/*.csv")
    admin.get_by_role("button", name="Take files").click()
    admin.get_by_text("the first of 2 files").wait_for()
    admin.get_by_role("button", name="Load", exact=True).click()
    admin.get_by_role("heading", name=re.compile("600 rows in .*may")).wait_for()
    admin.get_by_role("button", name="Undo: drop the table").click()
    admin.get_by_text("was dropped again").wait_for()


def test_an_upload_is_cancelled(admin: Any, tmp_path: Path) -> None:
    file = tmp_path / "large.csv"
    with file.open("wb") as made:
        made.write(b"a,b\n")
        made.truncate(700 * 1024**2)
    admin.goto("/import")
    choose(admin, file)
    admin.get_by_role("button", name="Cancel").click()
    admin.get_by_text("Drop a CSV, JSON or Parquet file here").wait_for()


def test_a_comment_is_edited_and_undone_by_keyboard(admin: Any) -> None:
    admin.goto("/data/sample/airlines")
    edit = admin.get_by_role("button", name="Edit comment of carrier")
    edit.wait_for()
    before = edit.get_attribute("title")
    edit.press("Enter")
    box = admin.get_by_role("textbox", name="comment of carrier")
    box.fill("<img src=x onerror=alert(1)>")
    box.press("Enter")
    admin.get_by_text("Comment of carrier saved").wait_for()
    admin.get_by_title("<img src=x onerror=alert(1)>").first.wait_for()
    admin.get_by_role("button", name="Undo").click()
    admin.get_by_title(before).first.wait_for()


def test_the_tree_is_walked_by_arrows(admin: Any) -> None:
    admin.goto("/data/sample")
    tree = admin.get_by_role("tree", name="Schemas and tables")
    admin.get_by_role("treeitem", name="airlines").wait_for()
    tree.focus()
    tree.press("Home")
    for _ in range(60):
        active = admin.locator(f"#{tree.get_attribute('aria-activedescendant')}")
        if active.inner_text().strip() == "churn":
            break
        tree.press("ArrowDown")
    tree.press("Enter")
    admin.wait_for_url("**/data/sample/churn")


def test_every_tab_of_a_table_stands_in_the_address(admin: Any) -> None:
    admin.goto("/data/sample/flights")
    for name in ("Rows", "History", "Files", "Lineage", "Permissions", "Properties", "DDL"):
        admin.get_by_role("tab", name=re.compile(f"^{name}")).click()
        admin.wait_for_url(re.compile(r"\?tab="))
        assert admin.get_by_role("alert").count() == 0, name
    admin.reload()
    admin.get_by_role("tab", name="DDL", selected=True).wait_for()
    admin.get_by_text("CREATE TABLE lake.sample.flights").first.wait_for()


def test_who_sees_a_part_is_told_so_and_shown_no_more(analyst: Any) -> None:
    analyst.goto("/data/sample/nyc_taxi_trips")
    analyst.get_by_text("restricted for you").wait_for()
    analyst.get_by_text(re.compile("rows and values that you may see")).wait_for()
    assert analyst.get_by_role("tab", name=re.compile("^Files")).count() == 0
    assert "1,000,000" not in analyst.locator("main").inner_text()
    assert analyst.get_by_role("button", name=re.compile("^Edit comment")).count() == 0
    analyst.get_by_role("tab", name="Rows").click()
    analyst.get_by_role("gridcell").first.wait_for()
    schema, _, table = planted.TOP_SECRET.partition(".")
    analyst.goto(f"/data/{schema}/{table}")
    analyst.get_by_text("TABLE_NOT_FOUND").wait_for()


def test_a_first_query_runs_at_a_click(admin: Any) -> None:
    admin.get_by_role("button", name=re.compile("Average fare by borough")).click()
    admin.wait_for_url("**/query**")
    admin.get_by_text("Manhattan").first.wait_for()
