"""Files of users: sent, looked at, corrected and loaded, over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx2
import pytest

from integration.server.conftest import Server

ROWS = 500
GOOD = "id,city,amount,zip\n" + "".join(
    f"{n},c{n % 7},{n * 1.5},0{n % 10}123\n" for n in range(ROWS)
)
MISFIT = GOOD.replace("17,c3,25.5", "17,c3,lots")


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    home = tmp_path_factory.mktemp("uploads") / "home"
    server = Server(
        home, "--port", "0", "--no-samples", HEADWATER_LIMITS__UPLOAD_BYTES=str(2 * 1024**2)
    )
    headers = {"authorization": f"Bearer {server.ready['token']}"}
    with httpx2.Client(
        base_url=server.ready["url"], headers=headers, timeout=60, trust_env=False
    ) as made:
        assert made.post("/api/v1/schemas", json={"name": "own"}).status_code == 201
        yield made
    assert server.stop() == 0


def send(http: httpx2.Client, name: str, content: str | bytes) -> str:
    data = content.encode() if isinstance(content, str) else content
    answer = http.post("/api/v1/uploads", params={"name": name}, content=data)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def look(http: httpx2.Client, upload: str, **body: Any) -> httpx2.Response:
    return http.post(f"/api/v1/uploads/{upload}/preview", json=body)


def load(http: httpx2.Client, upload: str, table: str, **body: Any) -> dict[str, Any]:
    started = http.post("/api/v1/loads", json={"table": table, "uploads": [upload], **body})
    assert started.status_code == 202, started.text
    path = f"/api/v1/loads/{started.json()['id']}"
    state: dict[str, Any] = {"state": "RUNNING"}
    while state["state"] == "RUNNING":
        state = http.get(path, params={"wait": 30}).json()
    return state


def stage(http: httpx2.Client, path: str) -> dict[str, Any]:
    found: dict[str, Any] = http.post(
        "/api/v1/locations/stage", json={"paths": [path]}, params={"wait": 30}
    ).json()
    return found


def test_a_preview_tells_types_rows_and_a_name(http):
    found = look(http, send(http, "My Trips (2).csv", GOOD)).json()
    types = {column["name"]: column["type"] for column in found["columns"]}
    assert types == {"id": "bigint", "city": "varchar", "amount": "double", "zip": "varchar"}
    assert found["rows"][1] == ["1", "c1", "1.5", "01123"]
    assert (found["separator"], found["header"], found["whole"]) == (",", True, True)
    assert (found["table"], found["faults"]) == ("my_trips_2", [])


def test_chosen_types_are_tried_at_once(http):
    upload = send(http, "a.csv", MISFIT)
    columns = look(http, upload, types={"amount": "double", "zip": "bigint"}).json()["columns"]
    amount = next(column for column in columns if column["name"] == "amount")
    assert (amount["inferred"], amount["unfit"], amount["examples"]) == ("varchar", 1, ["lots"])
    assert next(c for c in columns if c["name"] == "zip")["unfit"] == 0


def test_columns_are_renamed_retyped_and_left_out(http):
    wanted = [{"name": "id", "to": "key"}, {"name": "zip", "type": "integer"}]
    done = load(http, send(http, "a.csv", GOOD), "own.chosen", columns=wanted)
    assert (done["state"], done["rows"]) == ("FINISHED", ROWS)
    found = http.get("/api/v1/tables/own.chosen/overview").json()
    assert [(c["name"], c["type"]) for c in found["columns"]] == [
        ("key", "bigint"),
        ("zip", "integer"),
    ]


def test_a_misfit_is_told_by_line_and_the_upload_stays(http):
    upload = send(http, "bad.csv", MISFIT)
    wanted = [{"name": "id"}, {"name": "amount", "type": "double"}]
    failed = load(http, upload, "own.bad", columns=wanted, keep=True)
    assert failed["error"]["message"].startswith("bad.csv line 19: amount: 'lots' is not a double")
    assert failed["faults"] == [{"line": 19, "message": "amount: 'lots' is not a double"}]
    again = load(http, upload, "own.bad", columns=wanted, keep=True, on_error="skip")
    assert (again["state"], again["rows"], again["skipped"]) == ("FINISHED", ROWS - 1, 1)
    gone = look(http, upload)
    assert (gone.status_code, gone.json()["code"]) == (404, "FILE_NOT_FOUND")


def test_ragged_lines_are_seen_before_the_load(http):
    upload = send(http, "r.csv", GOOD.replace("\n40,c5,", "\n40,c5,x,"))
    assert look(http, upload).json()["faults"] == [
        {"line": 42, "message": "5 values where the header names 4 columns"}
    ]


def test_a_file_without_a_header(http):
    upload = send(http, "h.csv", "1,2024-01-01\n2,2024-01-02\n")
    found = look(http, upload).json()
    assert found["header"] is False
    assert [column["name"] for column in found["columns"]] == ["column_1", "column_2"]
    done = load(http, upload, "own.headless", header=False)
    assert done["rows"] == 2


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("e.csv", b"", "the file is empty"),
        ("x.csv", b"PK\x03\x04....", "the file is a ZIP archive or an Excel workbook"),
        ("p.csv", b"\x89PNG\r\n", "the file is a PNG picture"),
        ("q.parquet", b"id,a\n1,2\n", "the file is not Parquet"),
        ("n.csv", b"a,b\n\x00\x01,2\n", "binary data"),
        ("z.csv.gz", b"a,b\n1,2\n", "the name says gzip"),
        ("l.csv", "a,b\n1,é\n".encode("latin-1"), "line 2: not UTF-8 text"),
        ("w.csv", b"a,a\n1,2\n", "appears more than once"),
    ],
)
def test_files_that_are_not_what_their_names_say(http, name, content, message):
    answer = look(http, send(http, name, content))
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_FILE")
    assert message in answer.json()["message"]


def test_json_of_both_kinds(http):
    lines = '{"a": 1, "b": {"c": "x"}}\n{"a": 2, "b": null}\nnope\n'
    found = look(http, send(http, "a.json", lines)).json()
    assert [column["name"] for column in found["columns"]] == ["a", "b"]
    assert found["faults"][0]["line"] == 3
    array = json.dumps([{"a": 1}, {"a": 2}])
    found = look(http, send(http, "b.json", array)).json()
    assert ([c["name"] for c in found["columns"]], found["rows"]) == (["a"], [["1"], ["2"]])


def test_cells_of_a_megabyte_are_cut_in_previews_and_samples(http):
    rows = "a,b\n" + f"1,{'x' * 1_000_000}\n"
    upload = send(http, "long.csv", rows)
    assert len(look(http, upload).text) < 2000
    assert load(http, upload, "own.long")["rows"] == 1
    sample = http.get("/api/v1/tables/own.long/sample")
    assert len(sample.text) < 2000
    assert sample.json()["cut"] is True


def test_the_limit_is_known_and_holds(http):
    limits = http.get("/api/v1/uploads/limits").json()
    assert (limits["bytes"], limits["by_disk"]) == (2 * 1024**2, False)
    large = b"a\n" + b"1\n" * 1_100_000
    told = http.post("/api/v1/uploads", params={"name": "a.csv"}, content=large)
    assert told.status_code == 413
    streamed = http.post("/api/v1/uploads", params={"name": "a.csv"}, content=iter([large]))
    assert streamed.status_code == 413


def test_uploads_belong_to_who_sent_them(http):
    upload = send(http, "a.csv", GOOD)
    http.post("/api/v1/principals", json={"kind": "user", "name": "other"})
    token = http.post("/api/v1/tokens", json={"user": "other"}).json()["token"]
    theirs = {"authorization": f"Bearer {token}"}
    body: dict[str, Any] = {}
    answer = http.post(f"/api/v1/uploads/{upload}/preview", json=body, headers=theirs)
    assert answer.status_code == 404
    http.delete(f"/api/v1/uploads/{upload}", headers=theirs)
    assert look(http, upload).status_code == 200
    assert http.delete(f"/api/v1/uploads/{upload}").status_code == 204
    assert look(http, upload).status_code == 404


def test_names_are_never_paths(http):
    upload = send(http, "../../../../tmp/evil.csv", GOOD)
    assert look(http, upload).json()["table"] == "evil"
    refused = http.post("/api/v1/uploads", params={"name": "..%2f..%2fpasswd"}, content=b"x")
    assert refused.json()["code"] == "INVALID_FILE"


def test_folders_of_the_server_need_a_grant(http, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_text(GOOD)
    (tmp_path / "in" / "notes.txt").write_text("x")
    (tmp_path / "secret.csv").write_text(GOOD)
    (tmp_path / "in" / "link.csv").symlink_to(tmp_path / "secret.csv")
    folder = str(tmp_path / "in")
    refused = http.get("/api/v1/locations/files", params={"path": folder})
    assert (refused.status_code, refused.json()["code"]) == (403, "PERMISSION_DENIED")
    grant = {
        "effect": "grant",
        "privileges": [{"privilege": "READ FILES"}],
        "on": {"kind": "location", "name": folder},
        "to": [{"name": "admin", "kind": "user"}],
    }
    assert http.post("/api/v1/grants", json=grant).status_code == 200
    assert folder in http.get("/api/v1/onboarding").json()["locations"]
    listed = http.get("/api/v1/locations/files", params={"path": folder}).json()
    assert [(each["name"], each["format"]) for each in listed] == [
        ("a.csv", "csv"),
        ("notes.txt", None),
    ]
    (tmp_path / "in" / "b").mkdir()
    (tmp_path / "in" / "b" / "b.csv").write_text(GOOD)
    for path, files in (
        (f"{folder}/a.csv", 1),
        (f"file://{folder}/*/b.csv", 1),
        (f"{folder}/b", 1),
    ):
        staged = stage(http, path)
        assert (staged["state"], staged["uploads"][0]["files"]) == ("FINISHED", files), path
    assert load(http, staged["uploads"][0]["id"], "own.from_folder")["rows"] == ROWS
    (tmp_path / "in" / "c.csv").write_text(GOOD)
    assert stage(http, f"{folder}/?.csv")["uploads"][0]["files"] == 2
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "x.csv").write_text(GOOD)
    (tmp_path / "in" / "way").symlink_to(tmp_path / "outside")
    for path in (
        f"{folder}/link.csv",
        f"{folder}/l*.csv",
        f"{folder}/",
        f"{folder}/way/x.csv",
        f"{folder}/way/*.csv",
        f"{folder}/*/x.csv",
        f"{folder}/../secret.csv",
        f"{folder}/*/../../secret.csv",
        str(tmp_path / "secret.csv"),
        f"{tmp_path}/*.csv",
    ):
        assert stage(http, path)["code"] in ("PERMISSION_DENIED", "INVALID_LOCATION"), path


@pytest.mark.parametrize("name", ["الطلبات", "🚀 מכירות 🧾", "データ", "été", "a b'c", "x" * 200])
def test_names_of_any_script_go_all_the_way(http, name):
    quoted = name.replace('"', '""')
    upload = send(http, f"{name}.csv", f'"{quoted}",n\n"{quoted}",1\n')
    table = f'own."{quoted}"'
    assert look(http, upload).json()["columns"][0]["name"] == name
    done = load(http, upload, table)
    assert (done["error"], done["rows"]) == (None, 1)
    tree = http.get("/api/v1/tree", params={"schema": "own", "q": name}).json()
    assert [each["name"] for each in tree["items"]] == [name]
    found = http.get("/api/v1/find", params={"q": name.split()[0]}).json()
    assert name in [each["name"] for each in found]
    path = f"/api/v1/tables/{quote(table, safe='')}"
    assert http.get(f"{path}/overview").json()["columns"][0]["name"] == name
    assert quoted in http.get(f"{path}/ddl").json()["sql"]
    assert http.get(f"{path}/sample").json()["rows"][0][0] == name
    text = "SELECT * FROM own."
    typed = {"sql": text, "position": len(text)}
    labels = [
        item["label"] for item in http.post("/api/v1/completions", json=typed).json()["items"]
    ]
    assert name in labels
    assert http.delete(path).status_code == 204
