"""What the Query page asks: rows, downloads, completions, plans, saved queries, roles."""

from __future__ import annotations

import concurrent.futures
import io
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from integration.server.conftest import Server, eventually

TRIPS = "sample.nyc_taxi_trips"


class Caller:
    """One user of the API."""

    def __init__(self, url: str, token: str) -> None:
        headers = {"authorization": f"Bearer {token}"}
        self.token = token
        self.http = httpx2.Client(
            base_url=f"{url}/api/v1", headers=headers, timeout=60, trust_env=False
        )

    def ask(self, method: str, path: str, status: int = 200, **options: Any) -> Any:
        answer = self.http.request(method, path, **options)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    def refusal(self, method: str, path: str, **options: Any) -> tuple[int, str]:
        answer = self.http.request(method, path, **options)
        return answer.status_code, answer.json()["code"]

    def run(self, sql: str, **options: Any) -> str:
        """Runs a statement to its end; its id."""
        made = self.ask("POST", "/statements", 202, json={"sql": sql, **options})
        while made["state"] not in ("FINISHED", "FAILED", "CANCELED"):
            made = self.ask("GET", f"/statements/{made['id']}", params={"wait": 30})
        assert made["state"] == "FINISHED", made["error"]
        return str(made["id"])

    def rows(self, statement: str, **options: Any) -> dict[str, Any]:
        return self.ask(
            "GET", f"/statements/{statement}/rows", params={"format": "json", **options}
        )


@pytest.fixture(scope="module")
def callers(server: Server) -> Iterator[Callable[[str], Caller]]:
    ready = server.ready
    made = {"admin": Caller(ready["url"], ready["token"])}

    def caller(name: str, role: str | None = None) -> Caller:
        key = f"{name}/{role}" if role else name
        if key not in made:
            body = {"user": name, "role": role}
            token = made["admin"].ask("POST", "/tokens", 201, json=body)["token"]
            made[key] = Caller(ready["url"], token)
        return made[key]

    yield caller
    for one in made.values():
        one.http.close()


@pytest.fixture(scope="module")
def admin(callers: Callable[[str], Caller]) -> Caller:
    return callers("admin")


@pytest.fixture(scope="module")
def analyst(callers: Callable[[str], Caller]) -> Caller:
    return callers("analyst")


@pytest.fixture(scope="module")
def million(admin: Caller) -> str:
    def loaded() -> bool:
        try:
            counted = admin.run(f"SELECT count(*) FROM {TRIPS}")
        except AssertionError:
            return False
        return bool(admin.rows(counted)["rows"] == [[1_000_000]])

    eventually(loaded, seconds=120)  # the sample lake is filled after the server is ready
    return admin.run(f"SELECT * FROM {TRIPS}")


def arrow(caller: Caller, statement: str, **options: Any) -> tuple[pa.Table, dict[str, str]]:
    answer = caller.http.get(f"/statements/{statement}/rows", params=options)
    assert answer.status_code == 200, answer.text
    with pa.ipc.open_stream(io.BytesIO(answer.content)) as reader:
        return reader.read_all(), dict(answer.headers)


def where(column: int, op: str, value: str | None = None) -> dict[str, Any]:
    return {"column": column, "op": op, "value": value}


def test_a_million_rows_open_at_once_and_anywhere(admin: Caller, million: str) -> None:
    started = time.monotonic()
    first, headers = arrow(admin, million)
    assert (first.num_rows, headers["x-headwater-rows"]) == (500, "1000000")
    assert headers["x-headwater-final"] == "true"
    last, _ = arrow(admin, million, offset=999_990, limit=500)
    assert last.num_rows == 10
    assert arrow(admin, million, offset=2_000_000)[0].num_rows == 0
    assert time.monotonic() - started < 5  # on a busy machine; 20 ms on a quiet one


def test_windows_fit_together(admin: Caller) -> None:
    statement = admin.run("SELECT * FROM UNNEST(sequence(1, 10000)) AS t(n)")
    options: list[dict[str, Any]] = [
        {},
        {"sort": "0:desc"},
        {"filter": json.dumps([where(0, "gt", "3000")])},
    ]
    for view in options:
        found: list[int] = []
        while True:
            page = admin.rows(statement, offset=len(found), limit=777, **view)
            found += [row[0] for row in page["rows"]]
            if len(found) == page["total"]:
                break
        kept = [n for n in range(1, 10001) if "filter" not in view or n > 3000]
        assert found == (kept[::-1] if "sort" in view else kept)


def test_sorting_a_million_rows(admin: Caller, million: str) -> None:
    schema = arrow(admin, million, limit=1)[0].schema
    fare = schema.get_field_index("fare_amount")
    table, _ = arrow(admin, million, sort=f"{fare}:desc", limit=1000)
    fares = [value for value in table.column("fare_amount").to_pylist() if value is not None]
    assert fares == sorted(fares, reverse=True)
    best = admin.run(f"SELECT max(fare_amount) FROM {TRIPS}")
    assert fares[0] == admin.rows(best)["rows"][0][0]


def test_filters_count_as_sql_does(admin: Caller, million: str) -> None:
    schema = arrow(admin, million, limit=1)[0].schema
    place = schema.get_field_index("pickup_borough")
    fare = schema.get_field_index("fare_amount")
    view = [where(place, "contains", "BROOK"), where(fare, "ge", "9.5"), where(fare, "not_null")]
    page = admin.rows(million, filter=json.dumps(view), limit=5, sort=f"{fare}")
    counted = admin.run(
        f"SELECT count(*) FROM {TRIPS} WHERE pickup_borough = 'Brooklyn' AND fare_amount >= 9.5"
    )
    assert page["total"] == admin.rows(counted)["rows"][0][0] > 0
    assert {row[place] for row in page["rows"]} == {"Brooklyn"}


@pytest.mark.parametrize(
    "view",
    [
        {"sort": "0; DROP TABLE x"},
        {"sort": "99"},
        {"filter": "not json"},
        {"filter": '[{"column": 0, "op": "like", "value": "x"}]'},
        {"filter": '[{"column": 0, "op": "eq", "value": "1 OR 1=1"}]'},
        {"filter": '[{"column": 0, "op": "eq"}]'},
        {"filter": '[{"column": -1, "op": "is_null"}]'},
        {"limit": 100_000},
        {"offset": -1},
    ],
)
def test_odd_views_are_refused(admin: Caller, million: str, view: dict[str, Any]) -> None:
    refused = admin.refusal("GET", f"/statements/{million}/rows", params=view)
    assert refused == (400, "INVALID_ARGUMENT")


def test_every_type_comes_through_sorted(admin: Caller) -> None:
    statement = admin.run(
        "SELECT * FROM (VALUES "
        "(1, 'a', DATE '2026-01-31', TIMESTAMP '2026-01-31 12:00:00 UTC', DECIMAL '1.50', "
        "ARRAY[1, 2], MAP(ARRAY['k'], ARRAY[1]), X'00FF', true, "
        "CAST(ROW(1, 'x') AS ROW(a INT, b VARCHAR))), "
        "(2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)) "
        "AS t(n, s, d, ts, dec, arr, m, b, bool, r)"
    )
    plain, _ = arrow(admin, statement)
    for column in range(plain.num_columns):
        table, _ = arrow(admin, statement, sort=f"{column}")
        assert table.schema == plain.schema
        assert table.to_pylist() == plain.to_pylist()
    dates = admin.rows(statement, filter=json.dumps([where(2, "le", "2026-01-31")]))
    assert dates["total"] == 1
    assert admin.rows(statement, filter=json.dumps([where(1, "is_null")]))["rows"][0][0] == 2


def test_long_cells_are_cut_and_whole_on_demand(admin: Caller) -> None:
    statement = admin.run(
        "SELECT n, rpad('é', 1000000, 'x') AS s FROM UNNEST(sequence(1, 100)) AS t(n)"
    )
    page = admin.rows(statement, cut=10)
    assert page["rows"][0][1] == "é" + "x" * 9 + "…"
    heavy, _ = arrow(admin, statement)
    assert 0 < heavy.num_rows < 40, "a window has a weight limit"
    view = {"row": 0, "column": 1, "sort": "0:desc"}
    cell = admin.ask("GET", f"/statements/{statement}/cell", params=view)
    assert len(cell["value"]) == 1_000_000
    missing = admin.refusal("GET", f"/statements/{statement}/cell", params={"row": 0, "column": 9})
    assert missing == (400, "INVALID_ARGUMENT")


def test_downloads(admin: Caller, million: str) -> None:
    path = f"/statements/{million}/download"
    view = {"sort": "0:desc", "filter": json.dumps([where(0, "eq", "1")]), "name": "../my trips"}
    for kind in ("csv", "parquet", "arrow"):
        answer = admin.http.get(path, params={"format": kind, **view})
        assert answer.status_code == 200, answer.text
        told = answer.headers["content-disposition"]
        assert told.startswith(f'attachment; filename="my trips.{kind}"')
        assert answer.headers["x-content-type-options"] == "nosniff"
        total = admin.rows(million, limit=1, filter=view["filter"])["total"]
        if kind == "csv":
            assert answer.text.count("\n") == total + 1
        elif kind == "parquet":
            assert pq.read_table(io.BytesIO(answer.content)).num_rows == total
        else:
            with pa.ipc.open_stream(io.BytesIO(answer.content)) as reader:
                assert reader.read_all().num_rows == total


def test_results_of_others_do_not_exist(admin: Caller, analyst: Caller, million: str) -> None:
    for path in ("rows", "download", "cell?row=0&column=0", "results"):
        refused = analyst.refusal("GET", f"/statements/{million}/{path}")
        assert refused == (404, "STATEMENT_NOT_FOUND")
    assert admin.refusal("GET", "/statements/nope/rows") == (404, "STATEMENT_NOT_FOUND")


def test_a_failed_statement_tells_its_error(admin: Caller) -> None:
    made = admin.ask("POST", "/statements", 202, json={"sql": "SELECT * FROM nowhere.at_all"})
    assert admin.refusal("GET", f"/statements/{made['id']}/rows")[0] == 404


# --- completion, layout, plan -----------------------------------------------------------------


def complete(caller: Caller, text: str, **options: Any) -> dict[str, Any]:
    position = len(text[: text.index("|")].encode("utf-16-le")) // 2
    body = {"sql": text.replace("|", ""), "position": position, **options}
    return caller.ask("POST", "/completions", json=body)


def labels(answer: dict[str, Any], kind: str) -> list[str]:
    return [item["label"] for item in answer["items"] if item["kind"] == kind]


def test_completions_know_only_what_the_caller_sees(admin: Caller, callers: Any) -> None:
    guest = callers("guest")
    text = "SELECT * FROM sample.|"
    everything = labels(complete(admin, text), "table")
    assert "ltv" in everything
    assert labels(complete(guest, text), "table") == [n for n in everything if n != "ltv"]
    for text in ("SELECT | FROM sample.ltv", "SELECT * FROM sample.ltv l WHERE l.|"):
        assert labels(complete(admin, text), "column")
        assert not labels(complete(guest, text), "column")
    assert "ltv" not in json.dumps(complete(guest, "SELECT * FROM lt|", schema="sample"))


def test_completions_in_place(admin: Caller, analyst: Caller) -> None:
    answer = complete(admin, "SELECT '🚕', t.pick| FROM sample.nyc_taxi_trips AS t")
    position = len("SELECT '") + 2 + len("', t.")
    assert (answer["from"], answer["to"]) == (position, position + 4)
    assert "pickup_borough" in labels(answer, "column")
    masked = complete(analyst, "SELECT tip| FROM sample.nyc_taxi_trips")
    tip = next(item for item in masked["items"] if item["label"] == "tip_amount")
    assert tip["detail"].endswith("masked")
    assert "SELECT" in labels(complete(admin, "sel|"), "keyword")
    assert "date_trunc" in labels(complete(admin, "SELECT date_t|"), "function")
    assert complete(admin, "SELECT 'fro|")["items"] == []
    few = complete(admin, "SELECT |", limit=3)
    assert (len(few["items"]), few["incomplete"]) == (3, True)
    assert "sample" in labels(complete(admin, "SELECT * FROM |"), "schema")


def test_layout(admin: Caller) -> None:
    answer = admin.ask("POST", "/sql/format", json={"sql": "select 1 -- one"})
    assert answer["changed"]
    assert "one" in answer["sql"]
    assert admin.refusal("POST", "/sql/format", json={"sql": "select 'x"}) == (400, "SYNTAX_ERROR")


def test_a_plan_shows_that_there_are_policies_and_not_which(analyst: Caller) -> None:
    sql = f"SELECT pickup_borough, sum(tip_amount) FROM {TRIPS} WHERE fare_amount > 3 GROUP BY 1"
    plan = analyst.ask("POST", "/plan", json={"sql": sql})
    (scan,) = plan["scans"]
    assert (scan["table"], scan["row_filter"], scan["masked"]) == (TRIPS, True, ["tip_amount"])
    assert plan["nodes"]["kind"] == "project"
    assert plan["output"] == ["pickup_borough", "_col1"]
    assert "Brooklyn" not in json.dumps(plan)
    ran = analyst.ask("POST", "/plan", json={"sql": sql, "analyze": True})
    assert ran["analyzed"]["rows"] >= 1
    assert "scanned_rows" not in ran["analyzed"], "that tells how much is hidden"
    assert "Brooklyn" not in json.dumps(ran)


def test_errors_of_a_plan_are_at_their_place(admin: Caller) -> None:
    answer = admin.http.post("/plan", json={"sql": "SELECT a,\n  nope FROM sample.airlines"})
    assert answer.status_code == 404
    assert answer.json()["position"]["line"] in (1, 2)
    answer = admin.http.post("/plan", json={"sql": "SELECT name,\n  nope FROM sample.airlines"})
    assert answer.json()["position"] == {"line": 2, "column": 3}


# --- saved queries, history, roles ------------------------------------------------------------


def test_two_tabs_and_one_saved_query(admin: Caller, analyst: Caller) -> None:
    made = admin.http.post("/saved-queries", json={"name": "q", "sql": "SELECT 1"})
    assert (made.status_code, made.headers["etag"]) == (201, '"1"')
    path = f"/saved-queries/{made.json()['id']}"
    change = {"name": "q", "sql": "SELECT 2"}
    saved = admin.http.put(path, json=change, headers={"if-match": '"1"'})
    assert (saved.status_code, saved.headers["etag"]) == (200, '"2"')
    late = {"name": "q", "sql": "SELECT 3"}
    refused = admin.http.put(path, json=late, headers={"if-match": '"1"'})
    assert refused.status_code == 409
    body = refused.json()
    assert body["code"] == "COMMIT_CONFLICT"
    assert (body["current"]["sql"], body["yours"]["sql"]) == ("SELECT 2", "SELECT 3")
    assert admin.refusal("PUT", path, json=late) == (400, "INVALID_ARGUMENT")
    assert analyst.refusal("GET", path) == (404, "SAVED_QUERY_NOT_FOUND")
    assert admin.http.delete(path, headers={"if-match": '"1"'}).status_code == 409
    assert admin.http.delete(path).status_code == 204
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        made = admin.http.post("/saved-queries", json=change)
        path = f"/saved-queries/{made.json()['id']}"
        answers = threads.map(
            lambda n: admin.http.put(path, json=late, headers={"if-match": '"1"'}).status_code,
            range(8),
        )
        assert sorted(answers) == [200] + [409] * 7


def test_history_with_filters(admin: Caller, analyst: Caller) -> None:
    mark = "history_mark"
    statement = analyst.run(
        f"SELECT count(*) AS {mark} FROM sample.flights WHERE 'secret' = 'secret'"
    )
    (row,) = analyst.ask("GET", "/statements", params={"text": mark.upper(), "state": "FINISHED"})
    assert row["id"] == statement
    assert row["result_rows"] == 1
    assert row["cpu_seconds"] >= 0
    assert "secret" in row["sql"]
    assert "secret" not in row["text"]
    assert analyst.ask("GET", "/statements", params={"text": mark, "state": "FAILED"}) == []
    assert analyst.ask("GET", "/statements", params={"text": mark, "before_ms": 1}) == []
    assert admin.ask("GET", "/statements", params={"text": mark}) == []
    for user in ("analyst", "*"):
        (seen,) = admin.ask("GET", "/statements", params={"text": mark, "user": user})
        assert (seen["id"], seen["sql"]) == (statement, None)
    refused = analyst.refusal("GET", "/statements", params={"user": "admin"})
    assert refused == (403, "PERMISSION_DENIED")


def test_seeing_as_another_user(admin: Caller, analyst: Caller) -> None:
    sql = f"SELECT DISTINCT pickup_borough FROM {TRIPS} -- as another"
    statement = admin.run(sql, user="analyst")
    assert admin.rows(statement)["rows"] == [["Brooklyn"]]
    assert admin.ask("GET", f"/statements/{statement}")["user"] == "analyst"
    assert analyst.refusal("GET", f"/statements/{statement}/rows") == (404, "STATEMENT_NOT_FOUND")
    (row,) = [r for r in admin.ask("GET", "/statements") if r["id"] == statement]
    assert (row["principal_name"], row["impersonator_name"]) == ("analyst", "admin")
    refused = analyst.refusal("POST", "/statements", json={"sql": "SELECT 1", "user": "admin"})
    assert refused == (403, "PERMISSION_DENIED")
    unknown = analyst.refusal("POST", "/statements", json={"sql": "SELECT 1", "user": "nobody"})
    assert unknown == refused

    def audited() -> object:
        query = f"SELECT facts FROM system.audit.events WHERE request_id = '{statement}'"
        found = admin.rows(admin.run(query))["rows"]
        return found and all('"impersonator": "admin"' in facts for (facts,) in found)

    assert eventually(audited)


def test_acting_in_one_role(admin: Caller, callers: Any) -> None:
    for sql in (
        "CREATE ROLE readers",
        "CREATE ROLE idle",
        "CREATE USER page_user",
        "GRANT ROLE readers TO USER page_user",
        "GRANT ROLE idle TO USER page_user",
        "GRANT SELECT ON TABLE sample.airlines TO ROLE readers",
    ):
        admin.run(sql)
    user = callers("page_user")
    count = "SELECT count(*) FROM sample.airlines"
    assert user.rows(user.run(count))["rows"][0][0] > 0
    assert user.rows(user.run(count, role="readers"))["rows"][0][0] > 0
    made = user.ask("POST", "/statements", 202, json={"sql": count, "role": "idle"})
    done = user.ask("GET", f"/statements/{made['id']}", params={"wait": 30})
    assert done["error"]["code"] == "TABLE_NOT_FOUND"
    refused = user.refusal("POST", "/statements", json={"sql": count, "role": "admin"})
    assert refused == (403, "PERMISSION_DENIED")
    bound = callers("page_user", "idle")
    refused = bound.refusal("POST", "/statements", json={"sql": count, "role": "readers"})
    assert refused == (403, "PERMISSION_DENIED")
