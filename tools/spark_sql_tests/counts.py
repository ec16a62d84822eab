"""What Spark's SQL tests say of each endpoint: how many queries are answered as Spark answers."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

TITLES = {"headwater": "Headwater", "sail": "Sail alone", "spark": "Spark alone"}
STATES = ("same", "names", "types", "rows", "refused", "accepted", "unknown")
MEANING = {
    "same": "same columns and rows, or the same error",
    "names": "same types and rows, other names of columns",
    "types": "other types of columns",
    "rows": "other rows",
    "refused": "an error where Spark has rows, or another error",
    "accepted": "rows where Spark has an error",
    "unknown": "the client cannot hold the rows (years beyond 9999, other lengths)",
}
_QUERY = re.compile(
    r"(?is)^(?:\s|--[^\n]*\n|/\*.*?\*/)*\(*\s*(?:SELECT|WITH|VALUES|FROM|TABLE|MAP)\b"
)
_CONDITION = re.compile(r'"(?:errorClass|condition)"\s*:\s*"([^"]+)"')
_VOLATILE = re.compile(r"#\d+L?")


def state(line: dict[str, Any]) -> str:
    """How an endpoint's answer to a statement stands to Spark's."""
    schema, output = line["expected"]
    condition = _CONDITION.search(output) if schema == "struct<>" else None
    fails = condition is not None or (schema == "struct<>" and "Exception" in output[:200])
    if "error" in line:
        if line["error"] == "CLIENT":
            return "unknown"
        if not fails:
            return "refused"
        same = condition is None or line["error"] == condition[1]
        return "same" if same else "refused"
    if fails:
        return "accepted"
    alike = _lines(line["output"]) == _lines(output)
    if line["schema"] == schema:
        return "same" if alike else "rows"
    if _types(line["schema"]) != _types(schema):
        return "types"
    return "names" if alike else "rows"


def _lines(text: str) -> list[str]:
    """Lines without their order: what is sorted by a query is not told by its record."""
    return sorted(_VOLATILE.sub("#x", line.strip()) for line in text.split("\n"))


def _types(schema: str) -> list[str]:
    """The types of a struct's own fields; a name may hold anything but a colon before its type."""
    found, depth, field = [], 0, ""
    for letter in schema.removeprefix("struct<").removesuffix(">") + ",":
        if letter == "," and not depth:
            found.append(field.rsplit(":", 1)[-1] if "<" not in field else field.partition(":")[2])
            field = ""
            continue
        depth += (letter in "<(") - (letter in ">)" and depth > 0)
        field += letter
    return found


def table(work: Path, targets: list[str]) -> dict[str, Any]:
    """Counts of the queries by file and endpoint, of files that ran on each of them."""
    read: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for target in targets:
        for file in sorted((work / target).glob("*.jsonl")):
            lines = [json.loads(line) for line in file.read_text().splitlines()]
            queries = [line for line in lines if _QUERY.match(line["statement"])]
            if not lines:
                continue  # the endpoint refuses a setting of the file, so that nothing ran
            read.setdefault(file.name.removesuffix(".jsonl"), {})[target] = queries
    files = {
        name: {target: Counter(map(state, lines)) for target, lines in by.items()}
        for name, by in read.items()
        if by.keys() == set(targets)
    }
    totals: dict[str, Counter[str]] = {target: Counter() for target in targets}
    for by in files.values():
        for target, counts in by.items():
            totals[target] += counts
    conditions = {
        target: Counter(
            line["error"]
            for name in files
            for line in read[name][target]
            if "error" in line and state(line) == "refused"
        )
        for target in targets
    }
    return {"totals": totals, "files": files, "errors": conditions}


def markdown(found: dict[str, Any], about: dict[str, str]) -> str:
    """The counts as text."""
    targets = list(found["totals"])
    lines = [
        "# Spark's own SQL tests",
        "",
        (
            f"Queries of Spark {about['spark']}'s SQL tests, sent by its client to each endpoint "
            f"on {about['machine']} and compared with the answers that Spark's sources record; "
            f"made by `make spark-sql-tests` on {about['date']}. {len(found['files'])} files; "
            "those with a setting that an endpoint refuses are left out. "
            "Spark alone shows what is lost on the way: settings of its suite, forms of intervals."
        ),
        "",
        "| a query is answered with | " + " | ".join(TITLES[each] for each in targets) + " |",
        "|---|" + "---:|" * len(targets),
    ]
    for name in STATES:
        counts = " | ".join(str(found["totals"][each].get(name, 0)) for each in targets)
        lines.append(f"| {MEANING[name]} | {counts} |")
    counts = " | ".join(str(sum(found["totals"][each].values())) for each in targets)
    lines.append(f"| **queries** | {counts} |")
    for target in targets:
        lines += ["", f"## Errors where Spark has none: {TITLES[target]}", ""]
        for name, number in found["errors"][target].most_common(30):
            lines.append(f"- {number} × {name}")
    lines += ["", "## By file", "", "| file | " + " | ".join(TITLES[t] for t in targets) + " |"]
    lines.append("|---|" + "---:|" * len(targets))
    for file, by in found["files"].items():
        told = (f"{by[each].get('same', 0)} of {sum(by[each].values())}" for each in targets)
        lines.append(f"| {file} | {' | '.join(told)} |")
    return "\n".join(lines) + "\n"
