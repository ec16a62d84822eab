"""The studio's session on a real server: login by cookie, and what a cookie may not do."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator

import httpx2
import pytest

from integration.server.conftest import Server

JSON = {"content-type": "application/json"}
OUR_PAGE = {"sec-fetch-site": "same-origin"}


@pytest.fixture
def browser(server: Server) -> Iterator[httpx2.Client]:
    """A client with a cookie jar, not logged in."""
    with httpx2.Client(base_url=server.ready["url"], timeout=60, trust_env=False) as made:
        yield made


def log_in(browser: httpx2.Client, token: str) -> httpx2.Response:
    return browser.post("/api/v1/session", json={}, headers={"authorization": f"Bearer {token}"})


def name_of(server: Server) -> str:
    return f"headwater-{server.ready['url'].rsplit(':', 1)[1]}"


def test_a_token_becomes_a_cookie_that_scripts_cannot_read(server, browser):
    assert browser.get("/api/v1/whoami").status_code == 401
    answer = log_in(browser, server.ready["token"])
    assert answer.status_code == 201
    assert answer.json()["name"] == "admin"
    assert answer.json()["expires_at"] > 0
    assert server.ready["token"] not in answer.text
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"{name_of(server)}=")
    for part in ("HttpOnly", "SameSite=strict", "Path=/", "Max-Age="):
        assert part.lower() in cookie.lower()
    assert "secure" not in cookie.lower()
    assert browser.get("/api/v1/whoami").json()["name"] == "admin"


def test_over_tls_the_cookie_is_for_tls_only(server):
    ready = server.ready
    context = ssl.create_default_context(cafile=ready["ca_cert"])
    headers = {"authorization": f"Bearer {ready['token']}"}
    url = f"{ready['https_url']}/api/v1/session"
    answer = httpx2.post(url, json={}, headers=headers, verify=context, trust_env=False)
    assert "secure" in answer.headers["set-cookie"].lower()


@pytest.mark.parametrize("token", ["-", "x.y.z", "not a token"])
def test_a_bad_token_logs_nobody_in(browser, token):
    answer = log_in(browser, token)
    assert (answer.status_code, answer.json()["code"]) == (401, "UNAUTHENTICATED")
    assert "set-cookie" not in answer.headers


def test_logging_out_removes_the_cookie(server, browser):
    log_in(browser, server.ready["token"])
    answer = browser.delete("/api/v1/session", headers=OUR_PAGE)
    assert answer.status_code == 204
    assert browser.get("/api/v1/whoami").status_code == 401


def test_with_a_cookie_only_our_own_pages_change_anything(server, browser):
    log_in(browser, server.ready["token"])
    own = server.ready["url"]
    body = {"sql": "SELECT 1"}

    def submit(**headers: str) -> httpx2.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return browser.post("/api/v1/statements", json=body, headers=named)

    assert submit(sec_fetch_site="same-origin").status_code == 202
    assert submit(origin=own).status_code == 202
    # Neither header: no browser of today. Another port of this host is another origin.
    for refused in (
        submit(),
        submit(sec_fetch_site="none"),
        submit(sec_fetch_site="same-site"),
        submit(sec_fetch_site="cross-site"),
        submit(origin="https://evil.example"),
        submit(origin="null"),
        submit(origin="http://127.0.0.1:1"),
        submit(sec_fetch_site="same-origin", origin="https://evil.example"),
    ):
        assert (refused.status_code, refused.json()["code"]) == (403, "PERMISSION_DENIED")
    form = browser.post("/api/v1/statements", data=body, headers=OUR_PAGE)
    assert form.status_code == 400


def test_a_cookie_opens_the_api_and_no_other_protocol(server, browser):
    log_in(browser, server.ready["token"])
    assert browser.get("/api/v1/schemas").status_code == 200
    assert browser.get("/iceberg/v1/config").status_code == 401
    assert browser.post("/v1/statement", content="SELECT 1", headers=OUR_PAGE).status_code == 401


def test_a_bearer_token_comes_before_the_cookie(server, browser):
    log_in(browser, server.ready["token"])
    bad = browser.get("/api/v1/whoami", headers={"authorization": "Bearer x.y.z"})
    assert bad.status_code == 401


def test_a_token_in_the_address_is_nobody_s(server):
    for name in ("token", "access_token"):
        url = f"{server.ready['url']}/api/v1/whoami"
        answer = httpx2.get(url, params={name: server.ready["token"]}, trust_env=False)
        assert answer.status_code == 401


def test_the_page_has_its_policy_behind_the_guard(server):
    answer = httpx2.get(f"{server.ready['url']}/query", trust_env=False)
    if answer.status_code == 503:
        pytest.skip("the studio is not built: make studio")
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["cache-control"] == "no-cache"
    for path in re.findall(r'(?:src|href)="(/[^"]+)"', answer.text):
        part = httpx2.get(server.ready["url"] + path, trust_env=False)
        assert part.status_code == 200, path
    unknown = httpx2.get(f"{server.ready['url']}/nothing", trust_env=False)
    assert unknown.status_code == 404


def test_the_link_is_printed_after_ready_when_asked_for(start, tmp_path):
    server = start(tmp_path / "home", "--studio-link")
    assert server.process.stdout is not None
    line = server.process.stdout.readline().rstrip("\n")
    assert line == f"Studio  {server.ready['url']}/#token={server.ready['token']}"
    assert server.ready_line.startswith("READY ")
