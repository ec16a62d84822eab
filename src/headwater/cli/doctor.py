"""`headwater doctor`: what is installed, and how the running server is."""

from __future__ import annotations

import sys
from typing import Any

import typer

from headwater.cli.output import JsonFlag, connect, print_json
from headwater.errors import HeadwaterError

app = typer.Typer(add_completion=False)


@app.command()
def doctor(as_json: JsonFlag = False) -> None:
    """Check the installation and the running server; exit status 1 when something is wrong."""
    from dataclasses import asdict

    from headwater.server.checks import installation

    findings: list[dict[str, Any]] = [asdict(check) for check in installation()]
    try:
        with connect() as connection:
            url = connection.endpoint.url
            findings.append({"name": "server", "ok": True, "detail": f"answers at {url}"})
            findings += connection.get("/api/v1/doctor")
    except HeadwaterError as exc:
        findings.append({"name": "server", "ok": False, "detail": exc.message, "hint": exc.hint})
    if as_json:
        print_json(findings)
    else:
        width = max(len(finding["name"]) for finding in findings)
        for finding in findings:
            mark = "ok " if finding["ok"] else "BAD"
            print(f"{mark}  {finding['name']:<{width}}  {finding['detail']}")
            if not finding["ok"] and finding.get("hint"):
                print(f"     {'':<{width}}  → {finding['hint']}")
    if not all(finding["ok"] for finding in findings):
        sys.exit(1)
