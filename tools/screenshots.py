"""Takes the pictures of the studio: docs/images/studio-PAGE-THEME.png, of the sample lake.

    make screenshots                      all pages, light and dark
    python tools/screenshots.py query     one of them

It starts a throw-away server. An error on a page makes it fail, so it is a test of sorts, too.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from headwater.settings import child_environment

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
QUERY = """SELECT hour(tpep_pickup_datetime) AS hour, pickup_borough, count(*) AS trips
FROM sample.nyc_taxi_trips
GROUP BY 1, 2
ORDER BY 1, 2"""
PAGES = {
    "home": "/",
    "data": "/data/sample/nyc_taxi_trips",
    "query": f"/query?sql={quote(QUERY)}",
    "runs": "/runs",
    "governance": "/governance?tab=view-as&user=analyst&table=sample.nyc_taxi_trips",
    "admin": "/admin",
}
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
LOADING = 180.0
"""Seconds that the sample lake may take."""


@contextmanager
def sample_lake() -> Iterator[dict[str, Any]]:
    """A server with the sample lake; what its ready.json says."""
    with tempfile.TemporaryDirectory(prefix="headwater-pictures-") as folder:
        home = Path(folder) / "home"
        server = subprocess.Popen(
            [sys.executable, "-m", "headwater", "up", "--home", str(home), "--port", "0"],
            env=child_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            assert server.stdout is not None
            if not server.stdout.readline().startswith("READY "):
                raise SystemExit("the server did not start")
            ready: dict[str, Any] = json.loads((home / "ready.json").read_text())
            deadline = time.monotonic() + LOADING
            while len(ask(ready, "/api/v1/schemas/sample/tables")) < 8:
                if time.monotonic() > deadline:
                    raise SystemExit("the sample lake was not loaded in time")
                time.sleep(0.5)
            yield ready
        finally:
            server.terminate()
            server.wait(30)


def ask(ready: dict[str, Any], path: str, body: Any = None) -> Any:
    """The answer of the API to the administrator."""
    request = urllib.request.Request(
        ready["url"] + path,
        None if body is None else json.dumps(body).encode(),
        {"authorization": f"Bearer {ready['token']}", "content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def take(page: Any, name: str, theme: str) -> Path:
    """One picture, once the page shows what it is there for."""
    page.goto(PAGES[name])
    if name == "query":
        page.get_by_role("button", name="Run", exact=True).click()
        page.get_by_role("tab", name="Chart").click()
        page.locator("canvas").first.wait_for()
    elif name == "data":
        page.get_by_text("Figures from").wait_for()
    elif name == "governance":
        page.get_by_text("rows filtered").first.wait_for()
    else:
        page.get_by_role("heading").first.wait_for()
    page.wait_for_timeout(1500)
    target = IMAGES / f"studio-{name}-{theme}.png"
    page.screenshot(path=target)
    return target


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", nargs="*", help=f"of {', '.join(PAGES)}; all when none is named")
    pages = parser.parse_args().pages or list(PAGES)
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise SystemExit("no Chromium found: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    IMAGES.mkdir(exist_ok=True)
    problems: list[str] = []
    with sample_lake() as ready, sync_playwright() as playwright:
        for sql in ("SELECT count(*) FROM sample.flights", "SELECT nothing FROM sample.flights"):
            made = ask(ready, "/api/v1/statements", {"sql": sql})
            ask(ready, f"/api/v1/statements/{made['id']}?wait=60")
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        for theme in ("light", "dark"):
            context = browser.new_context(
                base_url=ready["url"],
                viewport={"width": 1280, "height": 800},
                color_scheme=theme,
                reduced_motion="reduce",
            )
            context.request.post(
                "/api/v1/session", headers={"authorization": f"Bearer {ready['token']}"}, data={}
            )
            page = context.new_page()
            page.set_default_timeout(60_000)
            page.on("pageerror", lambda failure: problems.append(str(failure)))
            for name in pages:
                target = take(page, name, theme)
                print(target.relative_to(ROOT), f"{target.stat().st_size // 1024} KiB")
            context.close()
        browser.close()
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
