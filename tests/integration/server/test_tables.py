"""The table pages' API: what people see of tables, each only what their grants give."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import httpx2
import pytest

from integration.server.conftest import Server

TRIPS = "sample.nyc_taxi_trips"

Client = Callable[..., Any]


@pytest.fixture(scope="module")
def clients(server: Server) -> Iterator[Callable[[str], httpx2.Client]]:
    """HTTP clients by user, on one server with the sample lake."""
    made: dict[str, httpx2.Client] = {}

    def client(user: str) -> httpx2.Client:
        if user not in made:
            token = server.ready["token"]
            if user != "admin":
                answer = client("admin").post("/api/v1/tokens", json={"user": user})
                token = answer.json()["token"]
            made[user] = httpx2.Client(
                base_url=server.ready["url"],
                headers={"authorization": f"Bearer {token}"},
                timeout=60,
                trust_env=False,
            )
        return made[user]

    client("admin")
    _settled(client("admin"))
    yield client
    for each in made.values():
        each.close()


@pytest.fixture(scope="module")
def admin(clients: Callable[[str], httpx2.Client]) -> httpx2.Client:
    return clients("admin")


@pytest.fixture(scope="module")
def analyst(clients: Callable[[str], httpx2.Client]) -> httpx2.Client:
    return clients("analyst")


def _settled(client: httpx2.Client) -> None:
    """Waits until the sample lake is complete: its demo users come last."""
    deadline = time.monotonic() + 120
    while client.get("/api/v1/onboarding").json()["samples"] != "ready":
        assert time.monotonic() < deadline
        time.sleep(0.2)


def got(client: httpx2.Client, path: str, **params: Any) -> Any:
    answer = client.get(f"/api/v1/{path}", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


def code(answer: httpx2.Response) -> str:
    return f"{answer.status_code} {answer.json()['code']}"


def run(client: httpx2.Client, sql: str) -> None:
    started = client.post("/api/v1/statements", json={"sql": sql}).json()
    state: dict[str, Any] = {}
    while state.get("state") not in ("FINISHED", "FAILED", "CANCELED"):
        state = client.get(f"/api/v1/statements/{started['id']}", params={"wait": 10}).json()
    assert state["state"] == "FINISHED", state["error"]


def figures(client: httpx2.Client, table: str) -> tuple[dict[str, Any], dict[str, Any]]:
    found = got(client, f"tables/{table}/profile")
    return found, {column["name"]: column for column in found["columns"]}


def test_the_profile_of_who_sees_all_is_of_a_fair_sample(admin):
    found, columns = figures(admin, TRIPS)
    assert found["rows"] == 1_000_000
    assert 190_000 < found["looked_at"] < 210_000
    assert columns["VendorID"]["low"] == 1
    assert columns["VendorID"]["high"] == 2
    assert sum(columns["fare_amount"]["bars"]) == found["looked_at"]
    assert columns["tpep_pickup_datetime"]["low"].startswith("2024-01-01T")
    assert columns["mta_tax"]["bars"] == [found["looked_at"]]
    top = dict(columns["pickup_borough"]["top"])
    assert top["Manhattan"] > top["Queens"] > 0


def test_the_profile_holds_masked_values_of_visible_rows_only(analyst):
    found, columns = figures(analyst, TRIPS)
    assert found["rows"] < 200_000
    assert [value for value, _ in columns["pickup_borough"]["top"]] == ["Brooklyn"]
    tip = columns["tip_amount"]
    assert (tip["nulls"], tip["low"], tip["bars"]) == (found["looked_at"], None, [])
    cards = [value for value, _ in columns["card_number"]["top"]]
    assert cards
    assert all(value.startswith("*") for value in cards)


def test_a_profile_is_kept_until_what_the_viewer_sees_changes(admin, analyst):
    before = got(analyst, f"tables/{TRIPS}/profile")
    assert got(analyst, f"tables/{TRIPS}/profile") == before
    mask = (
        "CREATE OR REPLACE COLUMN MASK no_fare ON sample.nyc_taxi_trips (fare_amount) "
        "USING replace-with-null TO USER analyst"
    )
    run(admin, mask)
    try:
        found, columns = figures(analyst, TRIPS)
        assert columns["fare_amount"]["nulls"] == found["looked_at"]
    finally:
        run(admin, "DROP COLUMN MASK no_fare ON sample.nyc_taxi_trips")
    assert figures(analyst, TRIPS)[1]["fare_amount"]["nulls"] == 0


def test_who_does_not_see_all_learns_no_counts(admin, analyst):
    mine, theirs = got(admin, f"tables/{TRIPS}/overview"), got(analyst, f"tables/{TRIPS}/overview")
    assert (mine["rows"], mine["sees_all"], mine["owner"]) == (1_000_000, True, "admin")
    assert mine["bytes"] > 0
    assert (theirs["sees_all"], theirs["filtered"]) == (False, True)
    for hidden in ("rows", "bytes", "files", "snapshot_id", "location", "owner"):
        assert theirs[hidden] is None, hidden
    history = got(analyst, f"tables/{TRIPS}/history")
    assert "1000000" not in json.dumps(history)
    assert history["snapshots"][0]["rows"] is None
    snapshot = history["snapshots"][0]["id"]
    for path in ("files", "partitions", f"diff?before={snapshot}&after={snapshot}"):
        answer = analyst.get(f"/api/v1/tables/{TRIPS}/{path}")
        assert code(answer) == "403 PERMISSION_DENIED", path


def test_what_does_not_exist_for_the_viewer(clients):
    guest = clients("guest")
    pages = ("overview", "profile", "sample", "history", "files", "permissions", "lineage", "ddl")
    for page in pages:
        answer = guest.get(f"/api/v1/tables/sample.ltv/{page}")
        assert code(answer) == "404 TABLE_NOT_FOUND", page
    change = {"comment": "mine now"}
    answer = guest.patch("/api/v1/tables/sample.ltv/comment", json=change)
    assert code(answer) == "404 TABLE_NOT_FOUND"
    assert "ltv" not in json.dumps(got(guest, "find", q="ltv"))
    assert "ltv" not in json.dumps(got(guest, "tree", schema="sample", comments=True))
    assert "ltv" not in json.dumps(got(guest, "onboarding"))


def test_samples_are_as_the_viewer_sees_them(analyst):
    found = got(analyst, f"tables/{TRIPS}/sample", limit=20)
    place = {column["name"]: index for index, column in enumerate(found["columns"])}
    assert len(found["rows"]) == 20
    assert {row[place["pickup_borough"]] for row in found["rows"]} == {"Brooklyn"}
    assert {row[place["tip_amount"]] for row in found["rows"]} == {None}


def test_comments_are_changed_once_and_back(admin, analyst):
    path = "/api/v1/tables/sample.airlines/columns/name/comment"
    before = got(admin, "tables/sample.airlines/overview")["columns"][1]["comment"]
    text = 'It\'s <b>"bold"</b>; DROP TABLE x --'
    saved = admin.patch(path, json={"comment": text, "was": before, "check": True})
    assert saved.json() == {"comment": text, "was": before}
    assert got(admin, "tables/sample.airlines/overview")["columns"][1]["comment"] == text
    stale = admin.patch(path, json={"comment": "late", "was": before, "check": True})
    assert code(stale) == "409 COMMIT_CONFLICT"
    refused = analyst.patch(path, json={"comment": "no"})
    assert code(refused) == "403 PERMISSION_DENIED"
    undone = admin.patch(path, json={"comment": before, "was": text, "check": True})
    assert undone.status_code == 200


def test_the_tree_comes_in_pages_and_is_searched(admin):
    everything = got(admin, "tree", schema="sample")
    names = [each["name"] for each in everything["items"]]
    assert everything["total"] == len(names)
    second = got(admin, "tree", schema="sample", offset=2, limit=2)
    assert [each["name"] for each in second["items"]] == names[2:4]
    found = got(admin, "tree", schema="sample", q="AIR")
    assert [each["name"] for each in found["items"]] == ["airlines", "airports"]
    first = got(admin, "find", q="sample trips")[0]
    assert (first["schema"], first["name"]) == ("sample", "nyc_taxi_trips")


def test_history_differences_and_time_travel(admin):
    run(admin, "CREATE SCHEMA IF NOT EXISTS pages")
    run(admin, "CREATE TABLE pages.t AS SELECT * FROM (VALUES (1, 'a'), (2, 'b')) AS v(id, name)")
    run(admin, "INSERT INTO pages.t VALUES (3, 'c')")
    run(admin, "DELETE FROM pages.t WHERE id = 1")
    history = got(admin, "tables/pages.t/history")
    latest, middle, first = history["snapshots"]
    assert [each["rows"] for each in (latest, middle, first)] == [2, 3, 2]
    assert (latest["current"], latest["refs"]) == (True, ["main"])
    changed = got(admin, "tables/pages.t/diff", before=first["id"], after=latest["id"])
    assert (changed["added_rows"], changed["removed_rows"] + changed["deletes_added"]) == (1, 1)
    back = got(admin, "tables/pages.t/diff", before=latest["id"], after=first["id"])
    assert back["removed_rows"] == 1
    then = got(admin, "tables/pages.t/sample", snapshot=first["id"])
    assert sorted(row[0] for row in then["rows"]) == [1, 2]
    missing = admin.get("/api/v1/tables/pages.t/sample", params={"snapshot": 1})
    assert code(missing) == "404 SNAPSHOT_NOT_FOUND"


def test_files_and_partitions(admin):
    run(admin, "CREATE SCHEMA IF NOT EXISTS pages")
    run(
        admin,
        "CREATE TABLE pages.parts WITH (partitioning = ARRAY['month(day)']) AS SELECT "
        "DATE '2024-01-15' AS day, 1 AS n UNION ALL SELECT DATE '2024-03-01', 2",
    )
    found = got(admin, "tables/pages.parts/partitions")
    assert (found["total"], found["fields"]) == (2, ["month_day_1"])
    assert {row["values"]["month_day_1"] for row in found["partitions"]} == {"2024-01", "2024-03"}
    files = got(admin, "tables/pages.parts/files", limit=1)
    assert (files["total"], len(files["files"])) == (2, 1)
    second = got(admin, "tables/pages.parts/files", offset=1)
    assert len(second["files"]) == 1
    assert second["files"][0]["path"] != files["files"][0]["path"]


def test_lineage_shows_only_tables_that_the_viewer_sees(admin, clients):
    run(admin, "CREATE SCHEMA IF NOT EXISTS pages")
    run(admin, "CREATE TABLE pages.worth AS SELECT segment, count(*) n FROM sample.ltv GROUP BY 1")
    run(admin, "CREATE TABLE pages.fleet AS SELECT carrier FROM sample.airlines")
    run(admin, "INSERT INTO pages.fleet SELECT segment FROM pages.worth")
    run(admin, "GRANT SELECT ON TABLE pages.fleet TO USER guest")
    picture = got(admin, "tables/pages.fleet/lineage")
    edges = {(edge["source"], edge["target"]) for edge in picture["edges"]}
    assert edges == {
        ("sample.ltv", "pages.worth"),
        ("pages.worth", "pages.fleet"),
        ("sample.airlines", "pages.fleet"),
    }
    assert all(edge["statements"] == 1 for edge in picture["edges"])
    assert picture["uses"][0]["principal"] == "admin"
    seen = got(clients("guest"), "tables/pages.fleet/lineage")
    assert [(edge["source"], edge["target"]) for edge in seen["edges"]] == [
        ("sample.airlines", "pages.fleet")
    ]
    assert "worth" not in json.dumps(seen)
    assert (seen["everyone"], seen["uses"]) == (False, [])


def test_permissions_are_those_that_the_viewer_may_know(admin, analyst):
    mine = got(admin, f"tables/{TRIPS}/permissions")
    assert {"guest", "analyst"} <= {grant["grantee"] for grant in mine["grants"]}
    assert {policy["name"] for policy in mine["policies"]} >= {"one_borough", "no_tip"}
    theirs = got(analyst, f"tables/{TRIPS}/permissions")
    assert {grant["grantee"] for grant in theirs["grants"]} == {"analyst"}
    assert (theirs["manages"], theirs["policies"], theirs["mine"]) == (False, None, ["SELECT"])


def test_create_statements_in_two_dialects(analyst):
    trino = got(analyst, f"tables/{TRIPS}/ddl")["sql"]
    assert trino.startswith("CREATE TABLE lake.sample.nyc_taxi_trips (")
    spark = got(analyst, f"tables/{TRIPS}/ddl", dialect="spark")["sql"]
    assert "USING iceberg" in spark


def test_odd_names_have_pages(admin):
    schema, table = "میز 🚕", "جدول 🚲"
    made = admin.post("/api/v1/schemas", json={"name": schema, "comment": "it's odd"})
    assert made.status_code == 201
    run(admin, f'CREATE TABLE "{schema}"."{table}" AS SELECT \'x\' AS "עמודה"')
    path = f"/api/v1/tables/{_quoted(schema)}.{_quoted(table)}/overview"
    found = admin.get(path).json()
    assert (found["schema"], found["name"]) == (schema, table)
    assert found["columns"][0]["name"] == "עמודה"


def _quoted(name: str) -> str:
    return quote('"' + name.replace('"', '""') + '"', safe="")
