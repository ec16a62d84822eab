import asyncio
import json

import pytest

from headwater.server.guard import Guard


async def echo(scope, receive, send):
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


def request(method="GET", path="/", headers=None, body=b"", app=echo):
    pairs = {"host": "127.0.0.1:8420"} | (headers or {})
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "headers": [(k.encode(), v.encode()) for k, v in pairs.items() if v is not None],
    }
    parts = [body[i : i + 65536] for i in range(0, len(body), 65536)] or [b""]
    sent = []

    async def receive():
        part = parts.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(parts)}

    async def send(message):
        sent.append(message)

    asyncio.run(Guard(app, ["lake.example"])(scope, receive, send))
    answer = {k.decode(): v.decode() for k, v in sent[0]["headers"]}
    return sent[0]["status"], answer, sent[1]["body"]


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8420", "localhost", "LOCALHOST:1", "[::1]:8420", "lake.example:443"]
)
def test_hosts_that_name_this_server(host):
    assert request(headers={"host": host})[0] == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "evil@127.0.0.1", "127.0.0.1/x", "", "a:b", None],
)
def test_other_hosts_are_refused(host):
    status, _, body = request(headers={"host": host})
    assert status == 421
    assert json.loads(body)["code"] == "PERMISSION_DENIED"


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "cross-site", "origin": "http://127.0.0.1:8420"},
    ],
)
def test_other_sites_change_nothing(headers):
    assert request("POST", headers=headers)[0] == 403
    assert request("GET", headers=headers)[0] == 200


def test_own_pages_and_programs_may_change():
    own = {"origin": "http://127.0.0.1:8420", "sec-fetch-site": "same-origin"}
    assert request("POST", headers=own)[0] == 200
    assert request("DELETE")[0] == 200


def test_a_body_that_says_it_is_too_large():
    status, _, body = request("POST", headers={"content-length": str(100 * 1024**2)})
    assert status == 413
    assert json.loads(body)["code"] == "EXCEEDED_STATEMENT_SIZE"


def test_a_body_that_grows_too_large():
    assert request("POST", body=b"x" * (5 * 1024**2))[0] == 413
    assert request("POST", "/iceberg/v1/x", body=b"x" * (5 * 1024**2))[0] == 200


def test_every_answer_has_a_request_id_and_security_headers():
    _, headers, _ = request(headers={"x-request-id": "client-chose-1"})
    assert headers["x-request-id"] == "client-chose-1"
    assert headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in headers
    assert request(headers={"x-request-id": "bad\tid"})[1]["x-request-id"] != "bad\tid"
    assert "x-request-id" in request(headers={"host": "evil.example"})[1]


def test_a_defect_tells_the_client_nothing():
    async def broken(scope, receive, send):
        raise RuntimeError("secret detail")

    status, headers, body = request(app=broken)
    assert status == 500
    assert b"secret detail" not in body
    assert headers["x-request-id"] in json.loads(body)["hint"]
