"""`headwater audit`: the record of decisions and changes, and the check that nobody altered it."""

from __future__ import annotations

import datetime
import re
import time
from typing import Annotated, Any

import typer

from headwater.cli.output import JsonFlag, UserOption, connect, note, print_json
from headwater.errors import ErrorCode, error

app = typer.Typer(help="Show and verify the audit log.", no_args_is_help=True)

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@app.command("ls")
def list_events(
    principal: Annotated[str | None, typer.Option("--for", help="Of this principal.")] = None,
    on: Annotated[str | None, typer.Option("--on", help="On this: `table sample.ltv`.")] = None,
    kind: Annotated[
        str | None, typer.Option("--kind", help="decision, completion or change.")
    ] = None,
    outcome: Annotated[str | None, typer.Option("--outcome", help="allow, deny, done …")] = None,
    query: Annotated[str | None, typer.Option("--query", help="Of this query id.")] = None,
    since: Annotated[str | None, typer.Option("--since", help="At most this old: 15m, 2h.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000)] = 50,
    user: UserOption = None,
    as_json: JsonFlag = False,
) -> None:
    """List audit events, newest first; without admin rights, your own."""
    with connect(user) as connection:
        events = connection.get(
            "/api/v1/audit",
            principal=principal,
            securable=on,
            kind=kind,
            outcome=outcome,
            request_of=query,
            since_ms=_since(since),
            limit=limit,
        )["events"]
    if as_json:
        print_json(events)
        return
    for event in events:
        print(_line(event))


@app.command("verify")
def verify(
    head: Annotated[
        str | None, typer.Option("--head", help="SEQUENCE:HASH that an earlier verify printed.")
    ] = None,
    user: UserOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Recompute the chain of hashes; exit status 1 when an event was altered or removed.

    Keep the printed head elsewhere and pass it next time: it shows when the end was cut off.
    """
    sequence, _, digest = (head or "").partition(":")
    with connect(user) as connection:
        report = connection.get(
            "/api/v1/audit/verify", sequence=sequence or None, head=digest or None
        )
    if as_json:
        print_json(report)
    elif report["problem"] is None:
        print(f"{report['events']} events, none altered")
        print(f"head {report['head_sequence']}:{report['head_hash']}")
    else:
        note(f"the audit log was altered: {report['problem']}")
    if report["problem"] is not None:
        raise typer.Exit(1)


def _since(text: str | None) -> int | None:
    if text is None:
        return None
    found = re.fullmatch(r"(\d+)([smhd])", text)
    if found is None:
        raise error(ErrorCode.INVALID_ARGUMENT, f"{text!r} is no time", hint="such as 15m or 2h")
    return int((time.time() - int(found[1]) * _UNITS[found[2]]) * 1000)


def _line(event: dict[str, Any]) -> str:
    moment = datetime.datetime.fromtimestamp(event["time_ms"] / 1000, datetime.UTC)
    what = event.get("action") or event["kind"]
    facts = [
        f"{moment:%Y-%m-%d %H:%M:%S}Z",
        f"{event['outcome']:<5}",
        event["principal"],
        what,
        event["securable"],
        "; ".join(event.get("reasons") or ()),
    ]
    # Names come from users; a control character must not reach the terminal.
    text = "  ".join(fact for fact in facts if fact)
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
