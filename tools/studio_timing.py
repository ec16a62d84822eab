"""Times the studio in headless Chromium on a throw-away server; see benchmarks/results/studio.md.

    make bench-studio

What is measured, each the median of several runs in one browser whose cache is warm:
- the first page: from the navigation until its first heading and what it fetched are drawn;
- a result of 1,000,000 rows: from Run until its first rows are drawn;
- scrolling that result: the share of frames in which a cell in sight had no value yet;
- typing in a query of 2,000 lines: from the key until the frame that shows it.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from headwater.cli.bench import report
from screenshots import FLAGS, sample_lake

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
MILLION = "SELECT * FROM sample.nyc_taxi_trips LIMIT 1000000"
LONG = "\n".join(f"SELECT {line} AS a, name, carrier -- line {line}" for line in range(2000))
INTERACTIVE_SECONDS = 1.5
OPEN_SECONDS = 1.0
FRAME_MILLISECONDS = 50.0
"""Above this, people feel that a key lags (https://web.dev/articles/rail)."""

FIRST_ROWS = """() => [...document.querySelectorAll('[role=gridcell]')]
    .some((cell) => cell.textContent && !cell.querySelector('.skeleton'))"""

SCROLL = """async (pixels) => {
    const grid = document.querySelector('[role=grid]');
    let blank = 0, frames = 0, worst = 0, before = performance.now();
    for (let step = 0; step < 120; step += 1) {
        grid.scrollTop += pixels;
        await new Promise(requestAnimationFrame);
        await new Promise((done) => setTimeout(done, 0));  // after the frame was painted
        const now = performance.now();
        worst = Math.max(worst, now - before);
        before = now;
        frames += 1;
        blank += grid.querySelector('[role=gridcell]') === null
            || grid.querySelector('[role=gridcell] .skeleton') !== null;
    }
    return {blank, frames, worst};
}"""

TYPE = """async (text) => {
    const area = document.querySelector('.cm-content');
    area.focus();
    const times = [];
    for (const key of text) {
        const started = performance.now();
        document.execCommand('insertText', false, key);
        await new Promise(requestAnimationFrame);
        await new Promise((done) => setTimeout(done, 0));
        times.push(performance.now() - started);
    }
    return times;
}"""


def first_page(context: Any, runs: int) -> list[float]:
    """Seconds until Home is drawn with what it fetched."""
    times = []
    for run in range(runs + 1):
        page = context.new_page()
        page.goto("/")
        page.get_by_role("heading", name="Hello").wait_for()
        page.get_by_text("Run your first query").wait_for()
        page.wait_for_load_state("networkidle")
        # The last request's answer, or the last frame's drawing, whichever came later; the half
        # second of silence that "networkidle" waits for is not counted.
        end = page.evaluate(
            """() => Math.max(
                performance.timing.domContentLoadedEventEnd - performance.timing.navigationStart,
                ...performance.getEntriesByType('resource')
                    .filter((entry) => !entry.name.includes('stream'))
                    .map((entry) => entry.responseEnd),
                ...performance.getEntriesByType('paint').map((entry) => entry.startTime))"""
        )
        if run:
            times.append(end / 1000)
        page.close()
    return times


def million(fresh: Callable[[], Any], runs: int) -> tuple[list[float], dict[str, float]]:
    """Seconds until a result's first rows are drawn, and how scrolling it went."""
    times = []
    scrolled = {"blank": 0.0, "frames": 0.0, "worst": 0.0}
    for run in range(runs + 1):
        page = fresh()
        page.set_default_timeout(60_000)
        page.goto(f"/query?sql={quote(MILLION)}")
        page.get_by_text("LIMIT 1000000").wait_for()
        page.wait_for_timeout(1000)
        started = page.evaluate("performance.now()")
        page.get_by_role("button", name="Run", exact=True).click()
        page.wait_for_function(FIRST_ROWS)
        took = (page.evaluate("performance.now()") - started) / 1000
        if run:
            times.append(took)
        page.get_by_text("1,000,000").first.wait_for()
        if run == runs:
            for pixels in (40, 400, 4000):
                page.evaluate("document.querySelector('[role=grid]').scrollTop = 0")
                page.wait_for_timeout(500)
                seen = page.evaluate(SCROLL, pixels)
                scrolled["blank"] += seen["blank"]
                scrolled["frames"] += seen["frames"]
                scrolled["worst"] = max(scrolled["worst"], seen["worst"])
        page.context.close()
    return times, scrolled


def typing(context: Any) -> list[float]:
    """Milliseconds from a key to the frame that shows it, in the middle of 2,000 lines."""
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.goto("/query")
    page.locator(".cm-content").click()
    page.keyboard.press("Control+A")
    page.keyboard.insert_text(LONG)
    page.wait_for_timeout(1500)
    found: list[float] = page.evaluate(TYPE, " WHERE carrier = 'AA' AND dep_delay > 10 " * 3)
    page.close()
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise SystemExit("no Chromium found: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    machine = report.environment()
    with sample_lake() as ready, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)

        def fresh() -> Any:
            context = browser.new_context(
                base_url=ready["url"], viewport={"width": 1280, "height": 800}
            )
            bearer = {"authorization": f"Bearer {ready['token']}"}
            context.request.post("/api/v1/session", headers=bearer, data={})
            return context.new_page()

        page = fresh()
        home = first_page(page.context, runs)
        typed = typing(page.context)
        page.context.close()
        opened, scrolled = million(fresh, runs)
        browser.close()
    seconds = statistics.median(home)
    first = statistics.median(opened)
    key = statistics.median(typed)
    slow = statistics.quantiles(typed, n=20)[-1]
    result = {
        "name": "studio",
        "title": "The studio in headless Chromium",
        "command": "make bench-studio",
        "runs": runs,
        "alone": True,
        "environment": machine,
        "bars": [
            {
                "what": "first page drawn with its data, browser cache warm",
                "limit": f"at most {INTERACTIVE_SECONDS} s",
                "seen": f"{seconds:.2f} s",
                "met": seconds <= INTERACTIVE_SECONDS,
            },
            {
                "what": "first rows of a result of 1,000,000, from the click on Run",
                "limit": f"at most {OPEN_SECONDS:g} s",
                "seen": f"{first:.2f} s",
                "met": first <= OPEN_SECONDS,
            },
            {
                "what": "frames with a blank cell while scrolling it slowly, fast and by pages",
                "limit": "none",
                "seen": f"{scrolled['blank']:.0f} of {scrolled['frames']:.0f}",
                "met": not scrolled["blank"],
            },
            {
                "what": "key to frame in a query of 2,000 lines, 95th percentile",
                "limit": f"at most {FRAME_MILLISECONDS:g} ms",
                "seen": f"{slow:.1f} ms (median {key:.1f})",
                "met": slow <= FRAME_MILLISECONDS,
            },
        ],
        "tables": {},
        "samples": {
            "home_seconds": [round(value, 3) for value in home],
            "first_rows_seconds": [round(value, 3) for value in opened],
            "worst_frame_milliseconds": round(scrolled["worst"], 1),
            "key_milliseconds": [round(value, 1) for value in typed],
        },
    }
    report.write(result, None, RESULTS)
    print(report.markdown(result))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
