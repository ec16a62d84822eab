"""The table of what PySpark's tests say of each endpoint, and why tests fail."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

TITLES = {"headwater": "Headwater", "sail": "Sail alone", "spark": "Spark alone"}
_CONDITION = re.compile(r"\[([A-Z][A-Z0-9_]+(?:\.[A-Z0-9_]+)*)\]\s*(.*)")
_NOISE = (
    (re.compile(r"'[^']*'|`[^`]*`|\"[^\"]*\""), "…"),
    (re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27,}"), "…"),
    (re.compile(r"(?<![A-Za-z_])-?\d[\d.]*"), "N"),
    (re.compile(r"\s+"), " "),
)
_OWN = frozenset(
    {"PERMISSION_DENIED", "INSUFFICIENT_PERMISSIONS", "UNSUPPORTED_FEATURE", "UNSUPPORTED_ARTIFACT"}
)

Results = dict[str, dict[str, dict[str, Any]]]
"""By endpoint and test: the last line that was written of it."""


def cause(error: str) -> str:
    """What a failure's text comes down to, without names and numbers."""
    lines = [line.strip() for line in error.splitlines() if line.strip()]
    last = " ".join(lines[:3]) or "unknown"
    kind, _, text = last.partition(":")
    kind = kind.rsplit(".", 1)[-1]
    found = _CONDITION.search(last)
    if found is not None:
        detail = _plain(found[2])[:90] if found[1] in _OWN or found[1].count("_") == 0 else ""
        return f"{found[1]} {detail}".strip()
    if kind == "AssertionError":
        return "another answer"
    return f"{kind}: {_plain(text.strip())[:90]}".rstrip(": ")


def _plain(text: str) -> str:
    for pattern, instead in _NOISE:
        text = pattern.sub(instead, text)
    return text.strip()


def read(folder: Path, targets: list[str]) -> Results:
    """The results of a run's folder."""
    found: Results = {}
    for target in targets:
        tests: dict[str, dict[str, Any]] = found.setdefault(target, {})
        for file in sorted((folder / target).glob("*.jsonl")):
            for text in file.read_text().splitlines():
                line = json.loads(text)
                if line["state"] != "started":
                    tests[line["test"]] = line
    return found


def table(results: Results) -> dict[str, Any]:
    """Counts by file and endpoint, and causes, of the tests that ran on any endpoint.

    `totals` are of the files that ran on every endpoint, `whole` of all, for those that ran all.
    """
    targets = list(results)
    ran_by = {target: {_file(test) for test in results[target]} for target in targets}
    tests = sorted({test for each in results.values() for test in each})
    # A test that PySpark skips on Spark itself says nothing of anybody.
    ran = [test for test in tests if any(_state(results, t, test) != "skipped" for t in targets)]
    files: dict[str, dict[str, dict[str, int]]] = {}
    causes: dict[str, dict[str, list[str]]] = {target: {} for target in targets}
    for test in ran:
        file = _file(test)
        for target in targets:
            if file not in ran_by[target]:
                continue
            state = _state(results, target, test)
            counts = files.setdefault(file, {}).setdefault(target, {"tests": 0, "passed": 0})
            counts["tests"] += 1
            counts["passed"] += state == "passed"
            if state not in ("passed", "skipped"):
                line = results[target].get(test)
                why = "did not run" if line is None else cause(line.get("error", ""))
                why = "took too long" if state == "timeout" else why
                causes[target].setdefault(why, []).append(test)
    common = [each for each in files.values() if len(each) == len(targets)]
    totals = {target: _total(target, common) for target in targets}
    everywhere = [target for target in targets if ran_by[target] >= set(files)]
    whole = {target: _total(target, list(files.values())) for target in everywhere}
    return {"totals": totals, "whole": whole, "files": files, "causes": causes}


def _total(target: str, files: list[dict[str, dict[str, int]]]) -> dict[str, int]:
    return {
        "tests": sum(each[target]["tests"] for each in files),
        "passed": sum(each[target]["passed"] for each in files),
    }


def _state(results: Results, target: str, test: str) -> str:
    line = results[target].get(test)
    return "absent" if line is None else str(line["state"])


def _file(test: str) -> str:
    return next(part for part in test.split(".") if part.startswith("test_"))


def markdown(found: dict[str, Any], about: dict[str, str]) -> str:
    """The table as text."""
    totals, targets = found["totals"], list(found["totals"])
    lines = [
        "# PySpark's own Spark Connect tests",
        "",
        (
            f"PySpark {about['pyspark']}'s tests, run by its client against three endpoints on "
            f"{about['machine']}; made by `make pyspark-tests` on {about['date']}. Tests that "
            "PySpark skips everywhere are not counted."
        ),
        "",
        "| file | tests | " + " | ".join(TITLES[each] for each in targets) + " |",
        "|---|---:|" + "---:|" * len(targets),
    ]
    for file, counts in found["files"].items():
        passed = " | ".join(
            str(counts[each]["passed"]) if each in counts else "not run" for each in targets
        )
        lines.append(f"| {file} | {max(each['tests'] for each in counts.values())} | {passed} |")
    if found["whole"].keys() < set(targets):
        lines.append(_sum("files that ran on all", totals, targets))
    lines.append(_sum("all", found["whole"], targets))
    for target in targets:
        lines += ["", f"## What fails: {TITLES[target]}", ""]
        counted = Counter({why: len(tests) for why, tests in found["causes"][target].items()})
        for why, number in counted.most_common():
            names = [test.rsplit(".", 1)[-1] for test in found["causes"][target][why]]
            more = f" and {len(names) - 4} more" if len(names) > 4 else ""
            lines.append(f"- {number} × {why}: {', '.join(names[:4])}{more}")
        if not counted:
            lines.append("Nothing.")
    return "\n".join(lines) + "\n"


def _sum(title: str, totals: dict[str, dict[str, int]], targets: list[str]) -> str:
    shares = []
    for target in targets:
        passed, ran = (
            totals.get(target, {}).get("passed", 0),
            totals.get(target, {}).get("tests", 0),
        )
        shares.append(f"**{passed}** ({100 * passed / ran:.1f} %)" if ran else "")
    tests = max((each["tests"] for each in totals.values()), default=0)
    return f"| **{title}** | **{tests}** | {' | '.join(shares)} |"
