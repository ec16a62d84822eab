"""Attacks in a real browser: scripts in names and values, and pages of other ports."""

from __future__ import annotations

import contextlib
import http.server
import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import httpx2
import pytest

from e2e import planted
from e2e.conftest import PAGES, Watched, settled

Clients = Callable[[str | None], httpx2.Client]
Pages = Callable[..., Watched]

EVIL = "<img src=x onerror=window.hacked=1>"
SCRIPT = "</script><script>window.hacked=1</script>"
LINK = "javascript:window.hacked=1"


@pytest.fixture(scope="module")
def traps(api_as: Clients) -> str:
    """Scripts where people can write: names of columns and runs, comments, values, queries."""
    admin = api_as("admin")
    refused = admin.post(
        "/api/v1/statements", json={"sql": f'CREATE TABLE sample."{EVIL}" (a BIGINT)'}
    ).json()
    status = admin.get(f"/api/v1/statements/{refused['id']}", params={"wait": 20}).json()
    assert status["error"]["code"] == "INVALID_ARGUMENT", "names of tables cannot hold markup"
    for sql in (
        "CREATE SCHEMA xss",
        f"CREATE TABLE xss.traps (\"{EVIL}\" VARCHAR COMMENT '{EVIL}', link VARCHAR)",
        f"COMMENT ON TABLE xss.traps IS '{SCRIPT}'",
        f"INSERT INTO xss.traps VALUES ('{EVIL}', '{LINK}'), ('{SCRIPT}', 'data:text/html,x')",
    ):
        planted.run(admin, sql)
    body = {"name": EVIL, "sql": f"SELECT '{SCRIPT}'", "description": EVIL}
    assert admin.post("/api/v1/saved-queries", json=body).status_code == 201
    for sql in (f'SELECT "{EVIL}" FROM nowhere.x', "SELECT * FROM xss.traps"):
        made = admin.post("/api/v1/statements", json={"sql": sql, "source": EVIL}).json()
        admin.get(f"/api/v1/statements/{made['id']}", params={"wait": 20})
    program = {"text": f"SELECT '{EVIL}'", "name": EVIL}
    admin.post("/api/v1/job-runs", json={"kind": "sql", "name": EVIL, "program": program})
    return "xss.traps"


@pytest.mark.parametrize("path", [*PAGES, "/data/xss/traps", f"/data/xss/{quote(EVIL, safe='')}"])
def test_what_people_write_is_text(traps: str, page_as: Pages, path: str) -> None:
    watched = page_as("admin", path=path)
    settled(watched.page)
    watched.page.wait_for_timeout(500)
    unharmed(watched)


def test_results_and_errors_are_text(traps: str, page_as: Pages) -> None:
    for sql in (f"SELECT * FROM {traps}", f'SELECT "{EVIL}" FROM {traps} x WHERE "{SCRIPT}" = 1'):
        watched = page_as("admin", path=f"/query?sql={quote(sql, safe='')}")
        settled(watched.page)
        watched.page.locator(".cm-content").first.click()
        watched.page.keyboard.press("Control+Enter")
        watched.page.wait_for_timeout(2500)
        unharmed(watched)


def unharmed(watched: Watched) -> None:
    assert watched.page.evaluate("() => window.hacked") is None
    assert watched.page.locator("img[src=x]").count() == 0
    assert watched.page.locator("a[href^='javascript:'], a[href^='data:']").count() == 0
    assert watched.foreign == []
    assert [p for p in watched.problems if "dialog" in p or "Security Policy" in p] == []


ATTACK = """<!doctype html><title>evil</title><iframe name="sink"></iframe>
<form id="plain" target="sink" method="post" enctype="text/plain" action="{url}/api/v1/statements">
<input name='{{"sql": "CREATE SCHEMA forged_by_form", "x": "' value='"}}'></form>
<img src="{url}/api/v1/whoami"><script src="{url}/api/v1/statements"></script>
<script>
window.seen = [];
const note = (what) => window.seen.push(String(what));
document.getElementById("plain").submit();
const sql = JSON.stringify({{sql: "CREATE SCHEMA forged_by_fetch"}});
const all = [
  fetch("{url}/api/v1/statements", {{method: "POST", credentials: "include", body: sql,
    headers: {{"content-type": "application/json"}}}}).then((r) => r.text()).then(note, () => 0),
  fetch("{url}/api/v1/statements", {{method: "POST", credentials: "include", mode: "no-cors",
    body: sql}}).then((r) => r.text()).then((t) => t && note(t), () => 0),
  fetch("{url}/api/v1/whoami", {{credentials: "include"}}).then((r) => r.text())
    .then(note, () => 0),
  new Promise((done) => {{
    const source = new EventSource("{url}/api/v1/runs/stream", {{withCredentials: true}});
    source.onmessage = (event) => note(event.data);
    source.addEventListener("run", (event) => note(event.data));
    source.onerror = () => {{ source.close(); done(); }};
  }}),
  new Promise((done) => {{
    const socket = new WebSocket("{url}/api/v1/runs/stream".replace("http", "ws"));
    socket.onopen = () => note("a websocket opened");
    socket.onerror = done;
  }}),
];
Promise.all(all).then(() => {{ window.finished = true; }});
</script>"""


@contextlib.contextmanager
def serving(body: str) -> Iterator[str]:
    """A page on another port of this machine, where cookies of 127.0.0.1 are sent along."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_arguments: Any) -> None:
            return

    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{made.server_port}/"
    finally:
        made.shutdown()
        made.server_close()
        thread.join(5)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_page_of_another_port_gets_and_does_nothing(
    page_as: Pages, api_as: Clients, url: str, host: str
) -> None:
    watched = page_as("admin")
    with serving(ATTACK.format(url=url)) as evil:
        watched.page.goto(evil.replace("127.0.0.1", host))
        watched.page.wait_for_function("() => window.finished", timeout=20_000)
        watched.page.wait_for_timeout(500)
        assert watched.page.evaluate("() => window.seen") == []
    schemas = api_as("admin").get("/api/v1/schemas").text
    assert "forged" not in schemas


def test_no_page_puts_the_studio_in_a_frame(page_as: Pages, url: str) -> None:
    watched = page_as("admin")
    with serving(f'<iframe id="f" src="{url}/"></iframe>') as evil:
        watched.page.goto(evil)
        watched.page.wait_for_timeout(1000)
        frames = [frame for frame in watched.page.frames if frame.url.startswith(url)]
        assert all(frame.locator("main").count() == 0 for frame in frames)
