"""`headwater token`: a session token for any client, every protocol takes it as a bearer token."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from headwater.cli.output import JsonFlag, connect, print_json
from headwater.errors import ErrorCode, error

app = typer.Typer(add_completion=False)

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@app.command()
def token(
    user: Annotated[str, typer.Option(help="Whose token.")],
    role: Annotated[
        str | None, typer.Option(help="Act in this role only; left out: in all roles held.")
    ] = None,
    ttl: Annotated[str, typer.Option(help="How long it lives: 45s, 15m, 1h, 7d.")] = "1h",
    as_json: JsonFlag = False,
) -> None:
    """Print a session token for a user (admins only)."""
    seconds = parse_duration(ttl)
    with connect() as connection:
        body = {"user": user, "role": role, "ttl_seconds": seconds}
        issued = connection.post("/api/v1/tokens", body)
    if as_json:
        print_json(issued)
    else:
        print(issued["token"])


def parse_duration(text: str) -> int:
    """Seconds of a duration like `15m`; raises INVALID_ARGUMENT."""
    match = re.fullmatch(r"(\d{1,9})([smhd])", text.strip().lower())
    if match is None or int(match[1]) == 0:
        raise error(
            ErrorCode.INVALID_ARGUMENT,
            f"{text!r} is not a duration",
            hint="write a number and a unit: 45s, 15m, 1h, 7d",
        )
    return int(match[1]) * _UNITS[match[2]]
