"""Attacks without a browser: forged requests, rebound names, paths, redirects. All must fail."""

from __future__ import annotations

import http.client
import json
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from e2e.api_walk import SAFE, calls, operations
from integration.server.conftest import Server

Clients = Callable[[str | None], httpx2.Client]
FOREIGN = (
    {"origin": "https://evil.example"},
    {"origin": "http://127.0.0.1:1"},
    {"origin": "null"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"origin": "http://localhost.evil.example"},
)


@pytest.fixture(scope="module")
def document(api_as: Clients) -> dict[str, Any]:
    found: dict[str, Any] = api_as(None).get("/api/openapi.json").json()
    return found


def test_every_route_needs_a_login(document: dict[str, Any], api_as: Clients) -> None:
    open_to_all = {
        "GET /api/v1/health",
        "GET /api/v1/version",
        "DELETE /api/v1/session",
        "POST /api/v1/session",
    }
    reached = {
        call.operation
        for call in calls(document, {})
        if call.send(api_as(None)).status_code not in (401, 404, 405)
    }
    assert reached <= open_to_all


def test_no_change_with_a_cookie_from_elsewhere(
    document: dict[str, Any], api_as: Clients, cookie_of: Callable[[str], str]
) -> None:
    """Forms, fetches from other ports and sites, and clients that are no browser."""
    headers = {"cookie": cookie_of("admin")}
    changes = [(m, p) for m, p, _ in operations(document) if m not in SAFE]
    assert len(changes) > 20
    for method, path in changes:
        concrete = re.sub(r"\{[^}]*\}", "x", path)
        for foreign in (*FOREIGN, {}):
            answer = api_as(None).request(
                method.upper(), concrete, headers={**headers, **foreign}, json={}
            )
            logging_out_or_in = path == "/api/v1/session" and not foreign
            assert answer.status_code in ((401, 204) if logging_out_or_in else (403,)), (
                method,
                path,
                foreign,
                answer.text,
            )


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
)
def test_a_form_changes_nothing_even_from_here(
    api_as: Clients, cookie_of: Callable[[str], str], url: str, kind: str
) -> None:
    answer = api_as(None).post(
        "/api/v1/statements",
        content=b'{"sql": "SELECT 1", "x": "="}',
        headers={"cookie": cookie_of("admin"), "origin": url, "content-type": kind},
    )
    assert answer.status_code == 400


def test_a_cookie_opens_nothing_to_other_ports(
    api_as: Clients, cookie_of: Callable[[str], str]
) -> None:
    """Browsers send it to reads of pages on another port of this host, too."""
    cookie = cookie_of("admin")
    for path in ("/api/v1/whoami", "/api/v1/runs/stream", "/api/v1/statements"):
        for site in ("same-site", "cross-site"):
            answer = api_as(None).get(path, headers={"cookie": cookie, "sec-fetch-site": site})
            assert answer.status_code == 403, path
    known = api_as(None).get("/api/v1/whoami", headers={"cookie": cookie})
    assert known.json()["name"] == "admin"
    assert "access-control-allow-origin" not in known.headers


def test_the_cookie_is_out_of_reach(url: str, token_of: Callable[[str], str]) -> None:
    made = httpx2.post(
        f"{url}/api/v1/session",
        headers={
            "authorization": f"Bearer {token_of('guest')}",
            "content-type": "application/json",
        },
        trust_env=False,
    )
    told = made.headers["set-cookie"].lower()
    assert "httponly" in told
    assert "samesite=strict" in told
    assert "domain=" not in told


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost@evil", ""])
@pytest.mark.parametrize("path", ["/", "/api/v1/health", "/v1/info", "/iceberg/v1/config"])
def test_rebound_names_are_refused(url: str, host: str, path: str) -> None:
    assert raw(url, f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n") in (
        400,
        421,
    )


def test_a_request_without_host_is_refused(url: str) -> None:
    assert raw(url, "GET /api/v1/health HTTP/1.0\r\n\r\n") in (400, 421)


def test_websockets_are_refused(url: str) -> None:
    host = urlsplit(url).netloc
    for path in ("/", "/api/v1/runs/stream", "/v1/statement"):
        status = raw(
            url,
            f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade, close\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: https://evil.example\r\n\r\n",
        )
        assert status != 101


@pytest.mark.parametrize(
    "path",
    [
        "/assets/../index.html",
        "/assets/..%2f..%2fstudio.py",
        "/assets/%2e%2e/%2e%2e/settings.py",
        "/assets/..%5c..%5cstudio.py",
        "/assets//etc/passwd",
        "/assets/%2fetc%2fpasswd",
        "/theme.js/../../studio.py",
        "/data/../../../../etc/passwd",
        "/api/v1/../../../../etc/passwd",
        "/assets/index.html%00.js",
    ],
)
def test_paths_lead_nowhere(url: str, path: str) -> None:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
    connection.putrequest("GET", path)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    assert b"root:" not in body
    assert b"import " not in body
    assert answer.status in (400, 401, 404) or b"<!doctype html>" in body.lower()


@pytest.mark.parametrize(
    "name", ["../../evil.csv", "/tmp/evil.csv", "..\\evil.csv", "a/b.csv", "evil\0.csv", "x" * 5000]
)
def test_uploads_stay_in_their_folder(server: Server, api_as: Clients, name: str) -> None:
    before = set(server.home.parent.rglob("*evil*"))
    for path in ("/api/v1/uploads", "/api/v1/job-files"):
        api_as("guest").post(
            path,
            params={"name": name},
            content=b"a,b\n1,2\n",
            headers={"content-type": "application/octet-stream"},
        )
    assert set(server.home.parent.rglob("*evil*")) == before
    assert not Path("/tmp/evil.csv").exists()


def test_no_redirect_leads_away(document: dict[str, Any], url: str, api_as: Clients) -> None:
    evil = ["//evil.example", "https://evil.example/", "/\\evil.example", "javascript:alert(1)"]
    paths = [
        *(f"/{page}?{name}={where}" for page in ("", "query", "data", "login")
          for name in ("next", "url", "redirect", "return_to") for where in evil),
        *evil[:1],
        "//evil.example/",
        "/%2f%2fevil.example/",
        "/api/v1/schemas/",
        "//evil.example/%2e%2e",
        "/\\evil.example/",
    ]  # fmt: skip
    host = urlsplit(url).netloc
    for path in paths:
        connection = http.client.HTTPConnection(host, timeout=20)
        connection.putrequest("GET", path.replace(" ", "%20"))
        connection.endheaders()
        location = connection.getresponse().getheader("location")
        connection.close()
        if location is not None:
            led = urlsplit(location)
            assert led.scheme in ("", "http"), (path, location)
            assert led.netloc in ("", host), (path, location)
            assert led.netloc or not location.startswith("//"), (path, location)


def test_error_texts_are_data_and_never_pages(api_as: Clients) -> None:
    """What answers repeat of a request is JSON or plain text, which no browser runs."""
    evil = "<img src=x onerror=alert(1)>"
    admin = api_as("admin")
    answers = [
        admin.get(f"/api/v1/tables/{evil}"),
        admin.get("/api/v1/statements", params={"limit": evil}),
        admin.post("/api/v1/plan", json={"sql": f'SELECT "{evil}"'}),
        admin.post("/api/v1/uploads", params={"name": evil}, content=b"x"),
        admin.get(f"/{evil}"),
        admin.get(f"/data/{evil}"),
    ]
    for answer in answers:
        kind = answer.headers["content-type"]
        if kind.startswith("text/html"):
            assert evil not in answer.text
            assert "script-src 'self'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"


def raw(url: str, request: str) -> int:
    """The status that the server answers to these very bytes."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    with socket.create_connection((parts.hostname, parts.port or 80), timeout=20) as connection:
        connection.sendall(request.encode())
        line = connection.recv(65536).split(b"\r\n")[0]
    return int(line.split()[1])


def test_the_policy_of_the_page_allows_nothing_from_elsewhere(api_as: Clients) -> None:
    policy = api_as(None).get("/query").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe-eval" not in policy
    scripts = next(part for part in policy.split("; ") if part.startswith("script-src"))
    assert scripts == "script-src 'self'"
    assert not re.search(r"https?:|\*", policy)
    assert json.dumps(policy)
