"""One real server, and a real Chromium whose pages are logged in as admin, analyst or guest."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from e2e import planted
from integration.server.conftest import Server, eventually

REQUIRE_ALL = os.environ.get("HEADWATER_TESTS_REQUIRE_ALL") == "1"
STUDIO = Path(__file__).parents[2] / "src" / "headwater" / "server" / "studio" / "index.html"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PAGES = ("/", "/data", "/query", "/runs", "/governance", "/admin")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the sample lake and the planted secrets, for all of these tests."""
    running = Server(tmp_path_factory.mktemp("e2e") / "home", "--port", "0")

    ready = running.ready
    headers = {"authorization": f"Bearer {ready['token']}"}
    with httpx2.Client(
        base_url=ready["url"], headers=headers, timeout=60, trust_env=False
    ) as admin:

        def loaded() -> bool:
            tables = admin.get("/api/v1/schemas/sample/tables")
            return tables.status_code == 200 and len(tables.json()) == 8

        eventually(loaded, seconds=150)  # they are filled after the server is ready
        eventually(lambda: admin.get("/api/v1/principals").text.count("analyst"), seconds=60)
        planted.plant(admin)
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="session")
def url(server: Server) -> str:
    """Where the server answers."""
    return str(server.ready["url"])


@pytest.fixture(scope="session")
def token_of(server: Server) -> Callable[[str], str]:
    """Tokens by user."""
    known = {"admin": str(server.ready["token"])}

    def token(user: str) -> str:
        if user not in known:
            made = server.run("token", "--user", user)
            assert made.returncode == 0, made.stderr
            known[user] = made.stdout.strip()
        return known[user]

    return token


@pytest.fixture(scope="session")
def api_as(url: str, token_of: Callable[[str], str]) -> Iterator[Callable[[str], httpx2.Client]]:
    """HTTP clients with bearer tokens, by user; None for nobody."""
    made: dict[str | None, httpx2.Client] = {}

    def client(user: str | None) -> httpx2.Client:
        if user not in made:
            headers = {"authorization": f"Bearer {token_of(user)}"} if user else {}
            made[user] = httpx2.Client(
                base_url=url, headers=headers, timeout=60, trust_env=False, follow_redirects=False
            )
        return made[user]

    yield client
    for one in made.values():
        one.close()


@pytest.fixture(scope="session")
def cookie_of(url: str, token_of: Callable[[str], str]) -> Callable[[str], str]:
    """The session cookie of a logged-in browser, as its Cookie header."""

    def cookie(user: str) -> str:
        answer = httpx2.post(
            f"{url}/api/v1/session",
            headers={
                "authorization": f"Bearer {token_of(user)}",
                "content-type": "application/json",
            },
            trust_env=False,
        )
        assert answer.status_code == 201, answer.text
        return str(answer.headers["set-cookie"].partition(";")[0])

    return cookie


def missing(reason: str) -> None:
    """Skips what needs a tool that is not there; fails where all tools must be."""
    if REQUIRE_ALL:
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium; of one module, for its driver's loop keeps other tests from theirs."""
    from playwright.sync_api import sync_playwright

    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        missing("no Chromium found: run tests/setup.sh (it installs Debian's chromium)")
    if not STUDIO.is_file():
        missing("the studio has not been built: run `make studio`")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield launched
        launched.close()


class Watched:
    """A page, and what went wrong on it: uncaught errors, refused content, foreign requests."""

    def __init__(self, page: Any, base: str) -> None:
        self.page = page
        self.problems: list[str] = []
        self.foreign: list[str] = []
        page.on("pageerror", lambda error: self.problems.append(f"uncaught: {error}"))
        page.on("console", self._console)
        page.on("request", lambda request: self._request(request.url, base))
        page.on("dialog", lambda dialog: (self.problems.append("dialog"), dialog.dismiss()))

    def _console(self, message: Any) -> None:
        text = message.text
        # Answers with an error status are the test's own business.
        if message.type == "error" and "the server responded with a status" not in text:
            self.problems.append(text)

    def _request(self, asked: str, base: str) -> None:
        if not asked.startswith((base, "data:", "blob:")):
            self.foreign.append(asked)


@pytest.fixture
def page_as(
    browser: Any, url: str, token_of: Callable[[str], str]
) -> Iterator[Callable[..., Watched]]:
    """Opens pages: `page_as("analyst", theme="dark")`; each in a browser of its own."""
    contexts: list[Any] = []

    def opened(user: str | None, *, theme: str = "light", path: str = "/") -> Watched:
        context = browser.new_context(
            base_url=url,
            color_scheme=theme,
            viewport={"width": 1280, "height": 800},
            reduced_motion="reduce",
        )
        context.set_default_timeout(20_000)
        contexts.append(context)
        if user is not None:
            answer = context.request.post(
                "/api/v1/session",
                headers={"authorization": f"Bearer {token_of(user)}"},
                data={},
            )
            assert answer.status == 201, answer.text()
        watched = Watched(context.new_page(), url)
        watched.page.goto(path)
        return watched

    yield opened
    for context in contexts:
        context.close()


def settled(page: Any) -> None:
    """Waits until a page has drawn what it loads."""
    page.locator("h1, [role=heading], main").first.wait_for()
    page.wait_for_function(
        "() => !document.querySelector('main [aria-busy=true], main [data-skeleton]')"
    )
