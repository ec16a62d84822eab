"""The API behind the studio's Runs, Governance and Admin pages, as three kinds of users."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from headwater.client.connection import Connection
from headwater.client.endpoint import find_endpoint
from integration.server.conftest import Server, eventually

SECRET = "sentinel-4711"

LAKE = (
    "CREATE SCHEMA hr",
    f"CREATE TABLE hr.emp AS SELECT 1 AS id, 'EU' AS region, '{SECRET}' AS ssn",
    "INSERT INTO hr.emp VALUES (2, 'US', '123-45-6789'), (3, 'EU', '987-65-4321')",
    "CREATE TABLE hr.hidden AS SELECT 1 AS id",
    "CREATE TABLE hr.many AS SELECT id FROM UNNEST(sequence(1, 60)) AS t (id)",
    "CREATE ROLE reader",
    "CREATE USER ellen",
    "CREATE USER max",
    "CREATE USER nadia",
    "GRANT ROLE reader TO USER ellen",
    "GRANT SELECT ON TABLE hr.emp TO ROLE reader",
    "GRANT SELECT ON TABLE hr.many TO ROLE reader",
    "DENY SELECT (ssn) ON TABLE hr.emp TO USER max",
    "CREATE ROW FILTER eu ON hr.emp USING (region = 'EU') TO ROLE reader",
    "CREATE COLUMN MASK m ON hr.emp (ssn) USING 'show-last-4' TO ROLE reader",
)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home: Path = tmp_path_factory.mktemp("studio") / "home"
    running = Server(
        home,
        "--port",
        "0",
        "--no-samples",
        HEADWATER_USER_ENGINES__SPARE_SAIL="0",
        HEADWATER_BACKEND__CONF=json.dumps({"spark.hadoop.fs.s3a.secret.key": SECRET}),
        HEADWATER_RELEASES=os.environ.get("HEADWATER_RELEASES", str(home.parent / "releases")),
    )
    try:
        with Connection(find_endpoint(running.home)) as admin:
            for sql in LAKE:
                admin.query(sql)
        yield running
    finally:
        assert running.stop() == 0


@pytest.fixture(scope="module")
def of(lake: Server) -> Iterator[Callable[[str], httpx2.Client]]:
    made: dict[str, httpx2.Client] = {}

    def client(user: str) -> httpx2.Client:
        if user not in made:
            with Connection(find_endpoint(lake.home)) as admin:
                token = admin.post("/api/v1/tokens", {"user": user})["token"]
            made[user] = httpx2.Client(
                base_url=lake.ready["url"] + "/api/v1/",
                headers={"authorization": f"Bearer {token}"},
                timeout=60,
                trust_env=False,
            )
        return made[user]

    yield client
    for each in made.values():
        each.close()


def good(response: httpx2.Response) -> Any:
    assert response.status_code < 300, response.text
    return response.json() if response.content else None


def refused(response: httpx2.Response, *codes: str) -> None:
    assert response.status_code in (400, 403, 404), response.text
    assert response.json()["code"] in codes


def run(client: httpx2.Client, sql: str) -> str:
    started = good(client.post("statements", json={"sql": sql}))
    ended(client, started["id"])
    return str(started["id"])


def ended(client: httpx2.Client, statement_id: str) -> None:
    path = f"statements/{statement_id}"
    final = ("FINISHED", "FAILED", "CANCELED")
    eventually(lambda: good(client.get(path, params={"wait": 5}))["state"] in final)


# --- runs -------------------------------------------------------------------------------------


def test_one_list_of_statements_and_runs_newest_first(of):
    admin = of("admin")
    query = run(admin, "SELECT 'in one list' AS x")
    job = good(admin.post("job-runs", json={"kind": "sql", "program": {"text": "SELECT 1"}}))
    eventually(lambda: good(admin.get(f"job-runs/{job['id']}"))["state"] == "SUCCESS")
    page = good(admin.get("runs", params={"limit": 500}))
    kinds = {row["id"]: row["kind"] for row in page["rows"]}
    assert (kinds[query], kinds[job["id"]]) == ("query", "sql")
    times = [row["created_ms"] for row in page["rows"]]
    assert times == sorted(times, reverse=True)
    # What a run asked of the engine belongs to it.
    below = good(admin.get("runs", params={"run_id": job["id"]}))["rows"]
    assert [row["kind"] for row in below] == ["query"]


def test_pages_meet_without_gap_or_overlap(of):
    admin = of("admin")
    for _ in range(5):
        run(admin, "SELECT 1")
    whole = [row["id"] for row in good(admin.get("runs", params={"limit": 500}))["rows"]]
    seen: list[str] = []
    before = None
    while True:
        params = {"limit": 3, **({"before": before} if before else {})}
        page = good(admin.get("runs", params=params))
        seen += [row["id"] for row in page["rows"]]
        before = page["next"]
        if before is None:
            break
    assert seen[-len(whole) :] == whole
    refused(admin.get("runs", params={"before": "x"}), "INVALID_ARGUMENT")


def test_filters_and_counts(of):
    admin = of("admin")
    run(admin, "SELECT no_such_column_9 FROM hr.emp")
    failed = good(admin.get("runs", params={"phase": "failed", "q": "NO_SUCH_COLUMN_9"}))["rows"]
    assert failed
    assert {row["phase"] for row in failed} == {"failed"}
    counts = good(admin.get("runs/counts", params={"q": "no_such_column_9"}))
    assert counts == {"waiting": 0, "running": 0, "success": 0, "failed": len(failed)} | {
        "cancelled": 0
    }
    assert good(admin.get("runs", params={"kind": "jar"}))["rows"] == []
    assert good(admin.get("runs", params={"until_ms": 1}))["rows"] == []


def test_everyone_s_runs_are_for_administrators(of):
    admin, ellen = of("admin"), of("ellen")
    mine = run(ellen, "SELECT region FROM hr.emp WHERE ssn = 'anything'")
    theirs = run(admin, f"SELECT id FROM hr.emp WHERE ssn = '{SECRET}'")
    own = good(ellen.get("runs"))
    assert own["may_see_all"] is False
    assert {row["user"] for row in own["rows"]} == {"ellen"}
    for path in ("runs", "runs/counts", "runs/stream"):
        refused(ellen.get(path, params={"all": True}), "PERMISSION_DENIED")
    for path in (f"runs/{theirs}", f"runs/{theirs}/cancel", f"runs/{theirs}/retry"):
        method = ellen.get if path == f"runs/{theirs}" else lambda p: ellen.post(p, json={})
        refused(method(path), "RUN_NOT_FOUND")
    everyone = good(admin.get("runs", params={"all": True, "limit": 500}))
    assert {"admin", "ellen"} <= {row["user"] for row in everyone["rows"]}
    # An administrator reads that it ran, and not the literals that were typed.
    detail = good(admin.get(f"runs/{mine}"))
    assert detail["sql"] is None
    assert "anything" not in json.dumps(detail)
    assert good(ellen.get(f"runs/{mine}"))["sql"].endswith("'anything'")


def test_decisions_of_a_statement_are_shown_without_what_is_withheld(of):
    ellen = of("ellen")
    denied = run(ellen, "SELECT * FROM hr.hidden")
    detail = good(ellen.get(f"runs/{denied}"))
    assert detail["activity"]["error_code"] == "TABLE_NOT_FOUND"
    assert detail["decisions"]
    assert "exists" not in json.dumps(detail["decisions"])
    assert "exists" in json.dumps(good(of("admin").get(f"runs/{denied}"))["decisions"])


def test_a_request_id_of_somebody_else_s_choice_shows_nothing(of):
    ellen, admin = of("ellen"), of("admin")
    mine = run(ellen, "SELECT 1")
    named = {"x-request-id": mine}
    good(admin.get("audit/verify", headers=named))
    decisions = good(ellen.get(f"runs/{mine}"))["decisions"]
    assert "admin" not in {event["principal"] for event in decisions}


def test_again_and_cancel(of):
    ellen = of("ellen")
    first = run(ellen, "SELECT count(*) AS n FROM hr.emp WHERE region = 'EU'")
    again = good(ellen.post(f"runs/{first}/retry", json={}))
    ended(ellen, again["id"])
    rows = good(ellen.get(f"statements/{again['id']}/results"))["rows"]
    assert rows == [[2]]
    assert ellen.post(f"runs/{first}/cancel", json={}).status_code == 204


def test_changes_stream(of):
    ellen = of("ellen")
    with ellen.stream("GET", "runs/stream") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        assert next(lines) == ": here"
        asked = run(ellen, "SELECT 'streamed' AS x")
        for line in lines:
            if line.startswith("data: ") and json.loads(line[6:])["id"] == asked:
                assert json.loads(line[6:])["mine"] is True
                break


def test_logs_are_searched(of):
    admin = of("admin")
    text = "SELECT 'needle in the log' AS x; SELECT 2 AS y"
    job = good(admin.post("job-runs", json={"kind": "sql", "program": {"text": text}}))
    eventually(lambda: good(admin.get(f"job-runs/{job['id']}"))["state"] == "SUCCESS")
    log = good(admin.get(f"job-runs/{job['id']}/logs"))["text"]
    needle = "needle" if "needle" in log else log.split()[0]
    found = good(admin.get(f"job-runs/{job['id']}/logs/search", params={"q": needle.upper()}))
    assert found["lines"]
    for line in found["lines"]:
        assert log.encode()[line["offset"] :].decode().startswith(line["text"])
    refused(
        of("ellen").get(f"job-runs/{job['id']}/logs/search", params={"q": "a"}), "RUN_NOT_FOUND"
    )


# --- view as, previews ------------------------------------------------------------------------


def test_view_as_shows_both_sides_and_audits_both_names(of):
    admin = of("admin")
    assert {"ellen", "max"} <= {user["name"] for user in good(admin.get("view-as/users"))}
    seen = good(admin.post("view-as", json={"user": "ellen", "table": "hr.emp"}))
    first, second = seen["first"], seen["second"]
    assert (first["user"], first["total"], len(first["rows"])) == ("admin", 3, 3)
    assert (second["user"], second["total"], second["filtered"]) == ("ellen", 2, True)
    assert second["policies"] == ["eu@1"]
    assert {c["name"]: c["action"] for c in second["columns"]}["ssn"] == "show-last-4"
    assert SECRET not in json.dumps(second)
    hidden = [first["rows"][place] for place in seen["missing"]]
    assert [row[1] for row in hidden] == ["US"]
    events = good(admin.get("audit", params={"principal": "ellen", "limit": 20}))["events"]
    assert "admin" in {event.get("impersonator") for event in events}
    events = good(admin.get("audit", params={"securable": "principal ellen"}))["events"]
    assert ("IMPERSONATE", "allow", "admin") in {
        (e["action"], e["outcome"], e["principal"]) for e in events if e["kind"] == "decision"
    }


def for_readers(name: str, table: str, predicate: str) -> dict[str, Any]:
    """A row filter for the role `reader`, as it is asked for."""
    to = [{"name": "reader", "kind": "role"}]
    return {"name": name, "table": table, "predicate": predicate, "to": to}


def test_both_sides_begin_where_the_other_user_s_rows_do(of):
    draft = for_readers("late", "hr.emp", "id >= 3")
    body = {"row_filter": draft, "user": "ellen", "limit": 1}
    seen = good(of("admin").post("policies/preview", json=body))
    assert [row[0] for row in seen["first"]["rows"]] == [3]
    assert (seen["first"]["total"], seen["missing"]) == (2, [])


def test_what_comes_right_before_is_shown_as_hidden(of):
    draft = for_readers("late", "hr.many", "id > 20 AND id % 2 = 1")
    body = {"row_filter": draft, "user": "ellen", "limit": 12}
    seen = good(of("admin").post("policies/preview", json=body))
    assert [row[0] for row in seen["first"]["rows"]] == [19, 20, *range(21, 31)]
    assert [seen["first"]["rows"][place][0] for place in seen["missing"]] == [
        *(19, 20, 22, 24, 26, 28, 30)
    ]


def test_view_as_tells_what_does_not_exist_for_the_other(of):
    admin = of("admin")
    seen = good(admin.post("view-as", json={"user": "nadia", "table": "hr.emp"}))
    assert seen["second"]["error"]["code"] == "TABLE_NOT_FOUND"
    found = good(admin.get("view-as/objects", params={"user": "ellen"}))["objects"]
    assert {(o["name"], o["mine"], o["theirs"]) for o in found} >= {
        ("hr.emp", True, True),
        ("hr.hidden", True, False),
    }


def test_view_as_needs_impersonate(of):
    ellen = of("ellen")
    assert good(ellen.get("view-as/users")) == []
    refused(ellen.post("view-as", json={"user": "admin", "table": "hr.emp"}), "PERMISSION_DENIED")
    refused(ellen.get("view-as/objects", params={"user": "admin"}), "PERMISSION_DENIED")
    nobody = ellen.post("view-as", json={"user": "nobody", "table": "hr.emp"})
    other = ellen.post("view-as", json={"user": "max", "table": "hr.emp"})
    assert nobody.json()["message"].replace("nobody", "max") == other.json()["message"]


def test_what_an_administrator_saw_as_a_user_is_not_the_user_s_to_read(of):
    ellen, admin = of("ellen"), of("admin")
    good(admin.post("view-as", json={"user": "ellen", "table": "hr.emp"}))
    rows = [r for r in good(ellen.get("runs"))["rows"] if r["impersonator"] == "admin"]
    assert rows
    refused(ellen.get(f"statements/{rows[0]['id']}/results"), "STATEMENT_NOT_FOUND")
    assert good(ellen.get(f"runs/{rows[0]['id']}"))["sql"] is None


def test_a_filter_is_previewed_and_not_made(of):
    admin = of("admin")
    draft = for_readers("small", "hr.emp", "id < 2")
    before = good(admin.get("policies"))
    seen = good(admin.post("policies/preview", json={"row_filter": draft, "user": "ellen"}))
    assert (seen["first"]["total"], seen["second"]["total"]) == (2, 1)
    assert [seen["first"]["rows"][place][0] for place in seen["missing"]] == [3]
    assert good(admin.get("policies")) == before
    # The real policies hold for what runs beside it.
    rows = good(of("ellen").get(f"statements/{run(of('ellen'), 'SELECT id FROM hr.emp')}/results"))
    assert sorted(rows["rows"]) == [[1], [3]]
    events = good(admin.get("audit", params={"q": "PREVIEW POLICY"}))["events"]
    assert events[0]["as_user"] == "ellen"


def test_how_many_rows_a_draft_would_show_is_not_for_its_user(of):
    looser = {
        "name": "eu",
        "table": "hr.emp",
        "predicate": "true",
        "to": [{"name": "reader", "kind": "role"}],
        "replace": True,
    }
    seen = good(of("admin").post("policies/preview", json={"row_filter": looser, "user": "ellen"}))
    assert (seen["first"]["total"], seen["second"]["total"]) == (2, 3)
    ellen = of("ellen")
    assert 3 not in {row["rows"] for row in good(ellen.get("runs", params={"q": "hr"}))["rows"]}
    events = good(ellen.get("audit", params={"kind": "completion"}))["events"]
    assert [e for e in events if e.get("impersonator")]
    assert not [e for e in events if e.get("impersonator") and "rows" in e]


@pytest.mark.parametrize("action", ["replace-with-null", "sha-256-global", "mask-alphanum"])
def test_a_mask_is_previewed(of, action):
    draft = {
        "name": "m",
        "table": "hr.emp",
        "column": "ssn",
        "action": action,
        "to": [{"name": "reader"}],
        "replace": True,
    }
    seen = good(of("admin").post("policies/preview", json={"column_mask": draft, "user": "ellen"}))
    column = [c["name"] for c in seen["second"]["columns"]].index("ssn")
    assert seen["second"]["columns"][column]["action"] == action
    before = {row[column] for row in seen["first"]["rows"]}
    assert before.isdisjoint({row[column] for row in seen["second"]["rows"]})


def test_a_preview_needs_what_making_the_policy_needs(of):
    draft = {"name": "x", "table": "hr.emp", "predicate": "true", "to": [{"name": "ellen"}]}
    body = {"row_filter": draft, "user": "ellen"}
    refused(of("ellen").post("policies/preview", json=body), "PERMISSION_DENIED")
    refused(of("max").post("policies/preview", json=body), "TABLE_NOT_FOUND")
    admin = of("admin")
    refused(admin.post("policies/preview", json={"user": "ellen"}), "INVALID_ARGUMENT")
    bad = {**draft, "predicate": "no_such < 1"}
    refused(
        admin.post("policies/preview", json={"row_filter": bad, "user": "ellen"}),
        "COLUMN_NOT_FOUND",
    )
    taken = {**draft, "name": "eu"}
    answer = admin.post("policies/preview", json={"row_filter": taken, "user": "ellen"})
    assert answer.json()["code"] == "POLICY_ALREADY_EXISTS"


# --- matrix -----------------------------------------------------------------------------------


def test_the_matrix_says_what_is_inherited_denied_and_why(of):
    admin = of("admin")
    page = good(admin.get("access-matrix", params={"schema": "hr"}))
    names = [p["name"] for p in page["principals"]]
    emp = next(row for row in page["rows"] if row["name"] == "hr.emp")
    by_name = dict(zip(names, emp["cells"], strict=True))
    select = {c["privilege"]: c for c in by_name["ellen"]}["SELECT"]
    assert (select["state"], select["direct"]) == ("allowed", False)
    assert {c["privilege"]: c for c in by_name["reader"]}["SELECT"]["direct"] is True
    assert by_name["nadia"] == []
    assert emp["policies"] == 2
    cell = good(
        admin.get(
            "access-matrix/cell", params={"kind": "table", "name": "hr.emp", "principal": "ellen"}
        )
    )
    source = cell["holdings"][0]["sources"][0]
    assert (source["via"], source["inherited"]) == ("reader", False)
    assert {policy["name"] for policy in cell["policies"]} == {"eu", "m"}
    cell = good(
        admin.get(
            "access-matrix/cell", params={"kind": "table", "name": "hr.emp", "principal": "max"}
        )
    )
    assert [(h["state"], h["sources"][0]["column"]) for h in cell["holdings"]] == [
        ("denied", "ssn")
    ]
    inherited = good(
        admin.get(
            "access-matrix/cell", params={"kind": "table", "name": "hr.emp", "principal": "admin"}
        )
    )
    assert any(s["inherited"] for h in inherited["holdings"] for s in h["sources"])


def test_the_matrix_pages_and_finds_principals(of):
    admin = of("admin")
    first = good(admin.get("access-matrix"))
    people = {"who": "many-"}
    assert good(admin.get("access-matrix", params=people))["principals_total"] == 0
    for number in range(63):
        made = admin.post("principals", json={"kind": "role", "name": f"many-{number:02d}"})
        assert made.status_code == 201, made.text
    try:
        page = good(admin.get("access-matrix"))
        assert page["principals_total"] == first["principals_total"] + 63
        assert len(page["principals"]) == 60
        rest = good(admin.get("access-matrix", params={"who_offset": 60}))
        assert len(rest["principals"]) == page["principals_total"] - 60
        names = [(p["kind"], p["name"]) for p in (*page["principals"], *rest["principals"])]
        assert len(set(names)) == page["principals_total"]
        assert all(len(row["cells"]) == len(rest["principals"]) for row in rest["rows"])
        found = good(admin.get("access-matrix", params={"who": "MANY-6"}))
        assert [p["name"] for p in found["principals"]] == ["many-60", "many-61", "many-62"]
        theirs = good(of("ellen").get("access-matrix", params=people))
        assert (theirs["principals"], theirs["principals_total"]) == ([], 0)
    finally:
        for number in range(63):
            good(admin.delete(f"principals/role/many-{number:02d}"))


def test_the_matrix_of_who_manages_nothing_is_about_them_alone(of):
    ellen = of("ellen")
    page = good(ellen.get("access-matrix"))
    assert {p["name"] for p in page["principals"]} == {"ellen", "reader", "public"}
    inside = good(ellen.get("access-matrix", params={"schema": "hr"}))
    assert [row["name"] for row in inside["rows"]] == ["hr", "hr.emp", "hr.many"]
    assert inside["rows"][1]["policies"] == 0
    assert "hidden" not in json.dumps([page, inside])
    cell = {"kind": "table", "name": "hr.emp"}
    refused(
        ellen.get("access-matrix/cell", params={**cell, "principal": "max"}),
        "PRINCIPAL_NOT_FOUND",
    )
    own = good(ellen.get("access-matrix/cell", params={**cell, "principal": "ellen"}))
    assert own["policies"] == []
    hidden = {"kind": "table", "name": "hr.hidden", "principal": "ellen"}
    refused(ellen.get("access-matrix/cell", params=hidden), "TABLE_NOT_FOUND")
    refused(of("nadia").get("access-matrix", params={"schema": "hr"}), "SCHEMA_NOT_FOUND")


def test_mask_actions_fit_their_columns(of):
    found = {c["name"]: c["actions"] for c in good(of("admin").get("tables/hr.emp/mask-actions"))}
    assert "show-last-4" in found["ssn"]
    assert "show-last-4" not in found["id"]
    refused(of("max").get("tables/hr.hidden/mask-actions"), "TABLE_NOT_FOUND")


# --- audit ------------------------------------------------------------------------------------


def test_audit_pages_and_searches(of):
    admin = of("admin")
    seen, before = [], None
    for _ in range(3):
        params = {"limit": 5, **({"before": before} if before else {})}
        page = good(admin.get("audit", params=params))
        seen += [event["sequence"] for event in page["events"]]
        before = page["next"]
    assert seen == sorted(set(seen), reverse=True)
    assert len(seen) == 15
    found = good(admin.get("audit", params={"q": "row filter EU"}))["events"]
    assert [e["action"] for e in found if e["kind"] == "change"] == ["create row filter eu"]
    moment = good(admin.get("audit", params={"limit": 1}))["events"][0]["time_ms"]
    assert good(admin.get("audit", params={"until_ms": moment - 10**9}))["events"] == []


def test_a_search_of_one_s_own_events_finds_nothing_that_is_withheld(of):
    ellen = of("ellen")
    run(ellen, "SELECT * FROM hr.hidden")
    page = good(ellen.get("audit", params={"outcome": "deny"}))
    assert page["everything"] is False
    assert page["events"]
    assert {event["principal"] for event in page["events"]} == {"ellen"}
    assert good(ellen.get("audit", params={"q": "not for the caller"}))["events"] == []
    assert good(of("admin").get("audit", params={"q": "not for the caller"}))["events"]


def test_the_export_is_for_administrators_and_streams_all(of):
    admin = of("admin")
    refused(of("ellen").get("audit/export"), "PERMISSION_DENIED")
    answer = admin.get("audit/export", params={"format": "json"})
    events = [json.loads(line) for line in answer.text.splitlines()]
    assert "attachment" in answer.headers["content-disposition"]
    sequences = [event["sequence"] for event in events]
    assert sequences == list(range(sequences[0], 0, -1))
    rows = list(csv.DictReader(io.StringIO(admin.get("audit/export").text)))
    assert len(rows) >= len(events)
    assert rows[-1]["sequence"] == "1"
    assert all(not value.startswith(("=", "+", "@")) for row in rows for value in row.values())
    assert good(admin.get("audit", params={"q": "EXPORT AUDIT"}))["events"]


# --- admin ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "admin/settings"),
        ("GET", "admin/processes"),
        ("GET", "admin/releases"),
        ("POST", "admin/releases/sail/install"),
        ("DELETE", "admin/releases/sail"),
        ("GET", "doctor"),
    ],
)
@pytest.mark.parametrize("user", ["ellen", "max"])
def test_administration_is_for_administrators(of, user, method, path):
    body = {"json": {}} if method == "POST" else {}
    refused(of(user).request(method, path, **body), "PERMISSION_DENIED")


def test_settings_in_force_without_secrets(of, lake):
    answer = of("admin").get("admin/settings")
    assert SECRET not in answer.text
    found = {each["name"]: each for each in good(answer)}
    assert found["home"]["value"] == str(lake.home)
    assert found["engine.workers"]["changed"] is True
    assert found["engine.workers"]["variable"] == "HEADWATER_ENGINE__WORKERS"
    assert found["backend.conf"]["value"] == "spark.hadoop.fs.s3a.secret.key=•••"
    assert found["s3.secret_access_key"]["secret"] is True
    assert all(each["description"] for each in found.values() if each["name"] != "port")


def test_processes_with_their_memory(of, lake):
    found = good(of("admin").get("admin/processes"))
    kinds = {each["kind"]: each for each in found}
    assert kinds["server"]["pid"] == lake.process.pid
    assert kinds["engine"]["memory_bytes"] > 2**20
    again = good(of("admin").get("admin/processes"))
    assert {each["pid"] for each in again} >= {kinds["server"]["pid"], kinds["engine"]["pid"]}


def test_releases_are_listed(of):
    found = {each["name"]: each for each in good(of("admin").get("admin/releases"))}
    assert {"sail", "spark-4.1"} <= found.keys()
    assert all(each["installing"] is None for each in found.values())
    assert of("admin").post("admin/releases/nope/install", json={}).status_code == 404
