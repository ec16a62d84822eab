"""The HTTP surface: who may connect, TLS, the API's answers and its OpenAPI document."""

from __future__ import annotations

import io
import json
import ssl
import time
from collections.abc import Iterator

import httpx2
import pyarrow as pa
import pytest

from headwater.client.connection import Connection
from headwater.client.endpoint import Endpoint, find_endpoint
from headwater.errors import ErrorCode, HeadwaterError
from integration.server.conftest import Server

TRIPS = "sample.nyc_taxi_trips"


@pytest.fixture(scope="module")
def http(server: Server) -> Iterator[httpx2.Client]:
    ready = server.ready
    headers = {"authorization": f"Bearer {ready['token']}"}
    with httpx2.Client(base_url=ready["url"], headers=headers, timeout=60, trust_env=False) as made:
        yield made


@pytest.fixture(scope="module")
def connection(server: Server) -> Iterator[Connection]:
    with Connection(find_endpoint(server.home)) as made:
        yield made


def code(response: httpx2.Response) -> str:
    return response.json()["code"]


def test_a_rebound_name_is_refused(http):
    response = http.get("/api/v1/version", headers={"host": "evil.example"})
    assert (response.status_code, code(response)) == (421, "PERMISSION_DENIED")


@pytest.mark.parametrize(
    "path", ["/api/v1/statements", "/v1/statement", "/iceberg/v1/lake/namespaces"]
)
@pytest.mark.parametrize(
    "header", [{"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}]
)
def test_another_site_changes_nothing(http, path, header):
    response = http.post(path, json={}, headers=header)
    assert (response.status_code, code(response)) == (403, "PERMISSION_DENIED")


def test_forms_are_refused(http):
    response = http.post("/api/v1/statements", data={"sql": "SELECT 1"})
    assert (response.status_code, code(response)) == (400, "INVALID_ARGUMENT")


def test_answers_carry_security_headers_and_no_cors(http):
    headers = http.get("/api/v1/health", headers={"origin": "https://evil.example"}).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["x-request-id"]
    assert not [name for name in headers if name.startswith("access-control")]
    assert "uvicorn" not in headers.get("server", "")


@pytest.mark.parametrize("token", ["", "Bearer", "Bearer x.y.z", "Basic YTpi"])
def test_without_a_good_token(server, token):
    headers = {"authorization": token} if token else {}
    for path in ("/api/v1/whoami", "/api/v1/schemas", "/api/v1/statements", "/api/v1/doctor"):
        response = httpx2.get(server.ready["url"] + path, headers=headers, trust_env=False)
        assert (response.status_code, code(response)) == (401, "UNAUTHENTICATED"), path


def test_tls_with_the_home_s_authority_and_no_other(server):
    ready = server.ready
    context = ssl.create_default_context(cafile=ready["ca_cert"])
    for url in (ready["https_url"], ready["https_url"].replace("127.0.0.1", "localhost")):
        answer = httpx2.get(f"{url}/api/v1/version", verify=context, trust_env=False)
        assert answer.json()["version"]
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"{ready['https_url']}/api/v1/version", trust_env=False)


def test_the_client_over_tls(server):
    ready = server.ready
    with Connection(Endpoint(ready["https_url"], ready["token"], ready["ca_cert"])) as connection:
        assert connection.query("SELECT 1 AS one").to_pylist() == [{"one": 1}]


def test_large_requests(http):
    response = http.post("/api/v1/statements", json={"sql": "SELECT '" + "x" * 2_000_000 + "'"})
    status = http.get(f"/api/v1/statements/{response.json()['id']}", params={"wait": 10}).json()
    assert status["error"]["code"] == "EXCEEDED_STATEMENT_SIZE"
    response = http.post("/api/v1/statements", content=b"x" * 5_000_000)
    assert (response.status_code, code(response)) == (413, "EXCEEDED_STATEMENT_SIZE")


def test_a_statement_as_json_pages(http):
    body = {"sql": f"SELECT * FROM {TRIPS} LIMIT 7", "dialect": "duckdb"}
    started = http.post("/api/v1/statements", json=body)
    assert started.status_code == 202
    path = f"/api/v1/statements/{started.json()['id']}"
    rows, page = [], 0
    while page is not None:
        answer = http.get(f"{path}/results", params={"page": page, "wait": 30}).json()
        rows += answer["rows"]
        page = answer["next"]
    assert len(rows) == 7
    assert answer["columns"][0] == {"name": "VendorID", "type": "int32"}
    status = http.get(path).json()
    assert status["state"] == "FINISHED"
    assert status["stats"]["result_rows"] == 7


def test_a_statement_as_arrow(http):
    started = http.post("/api/v1/statements", json={"sql": "SELECT 1 AS a, 'x' AS b"}).json()
    answer = http.get(f"/api/v1/statements/{started['id']}/results", params={"format": "arrow"})
    assert answer.headers["content-type"] == "application/vnd.apache.arrow.stream"
    with pa.ipc.open_stream(io.BytesIO(answer.content)) as reader:
        assert reader.read_all().to_pylist() == [{"a": 1, "b": "x"}]


def test_a_large_result_streams(connection):
    assert connection.query(f"SELECT * FROM {TRIPS}").num_rows == 1_000_000


def test_errors_have_a_place(connection):
    with pytest.raises(HeadwaterError) as caught:
        connection.query("SELECT 1\nFROM sample.airlinse")
    assert caught.value.code is ErrorCode.TABLE_NOT_FOUND
    assert "airlines" in str(caught.value)
    with pytest.raises(HeadwaterError) as caught:
        connection.query("SELECT (")
    assert caught.value.code is ErrorCode.SYNTAX_ERROR
    assert caught.value.position is not None


def test_cancel(http, connection):
    slow = f"SELECT sum(a.fare_amount * b.fare_amount) FROM {TRIPS} a CROSS JOIN {TRIPS} b"
    started = http.post("/api/v1/statements", json={"sql": slow}).json()
    path = f"/api/v1/statements/{started['id']}"
    deadline = time.monotonic() + 30
    while http.get(path).json()["state"] != "RUNNING":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert http.delete(path).status_code == 204
    status = http.get(path, params={"wait": 20}).json()
    assert status["state"] == "CANCELED"
    assert status["error"]["code"] == "USER_CANCELED"


def test_statements_belong_to_their_principal(http, connection):
    started = http.post("/api/v1/statements", json={"sql": "SELECT 1"}).json()
    with connection.as_user("guest") as guest, pytest.raises(HeadwaterError) as caught:
        guest.get(f"/api/v1/statements/{started['id']}")
    assert caught.value.code is ErrorCode.STATEMENT_NOT_FOUND
    with connection.as_user("guest") as guest:
        assert started["id"] not in json.dumps(guest.get("/api/v1/statements"))
    assert started["id"] in json.dumps(connection.get("/api/v1/statements"))


def test_catalog_shows_what_the_caller_may_see(connection):
    tables = {t["name"] for t in connection.get("/api/v1/schemas/sample/tables")}
    assert "ltv" in tables
    with connection.as_user("guest") as guest:
        seen = {t["name"] for t in guest.get("/api/v1/schemas/sample/tables")}
        assert seen == tables - {"ltv"}
        with pytest.raises(HeadwaterError) as caught:
            guest.get("/api/v1/tables/sample.ltv")
        assert caught.value.code is ErrorCode.TABLE_NOT_FOUND


def test_describe_and_history(connection):
    found = connection.get(f"/api/v1/tables/{TRIPS}")
    assert "Synthetic" in found["comment"]
    tip = next(column for column in found["columns"] if column["name"] == "tip_amount")
    assert (tip["type"], tip["mask"]) == ("double", None)
    assert tip["comment"].startswith("Tip")
    [snapshot] = connection.get(f"/api/v1/tables/{TRIPS}/snapshots")
    assert snapshot["current"]
    assert snapshot["summary"]["total-records"] == "1000000"
    with connection.as_user("analyst") as analyst:
        found = analyst.get(f"/api/v1/tables/{TRIPS}")
        masks = {column["name"]: column["mask"] for column in found["columns"]}
        assert masks["tip_amount"] is not None
        with pytest.raises(HeadwaterError) as caught:
            analyst.get(f"/api/v1/tables/{TRIPS}/snapshots")
        assert caught.value.code is ErrorCode.PERMISSION_DENIED


def test_tokens_are_for_admins_to_give(connection):
    with connection.as_user("analyst") as analyst:
        assert analyst.get("/api/v1/whoami")["name"] == "analyst"
        with pytest.raises(HeadwaterError) as caught:
            analyst.post("/api/v1/tokens", {"user": "admin"})
        assert caught.value.code is ErrorCode.PERMISSION_DENIED
        with pytest.raises(HeadwaterError) as caught:
            analyst.get("/api/v1/doctor")
        assert caught.value.code is ErrorCode.PERMISSION_DENIED


def test_metrics_and_docs(http):
    text = http.get("/metrics").text
    assert "headwater_http_requests_total{" in text
    assert "headwater_engine_workers 1.0" in text
    document = http.get("/api/openapi.json").json()
    assert "/api/v1/statements/{statement_id}/results" in document["paths"]
    page = http.get("/api/docs").text
    assert "/api/v1/loads" in page
    assert "<script" not in page


def test_unknown_paths_and_bodies_are_told_in_one_form(http):
    assert code(http.get("/api/v1/nothing")) == "INVALID_ARGUMENT"
    assert code(http.post("/api/v1/statements", json={})) == "INVALID_ARGUMENT"
    assert code(http.post("/api/v1/statements", content=b"{", headers=JSON)) == "INVALID_ARGUMENT"
    assert code(http.get("/api/v1/tables/no-schema")) == "INVALID_ARGUMENT"


JSON = {"content-type": "application/json"}
