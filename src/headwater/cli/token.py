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
    spark: Annotated[
        bool, typer.Option("--spark", help="Print PySpark's connection string with the token.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Print a session token for a user (admins only)."""
    address = _spark_address() if spark else None
    seconds = parse_duration(ttl)
    with connect() as connection:
        body = {"user": user, "role": role, "ttl_seconds": seconds}
        issued = connection.post("/api/v1/tokens", body)
    if as_json:
        print_json(
            issued if address is None else {**issued, "spark_connect": address + issued["token"]}
        )
    elif address is not None:
        print(address + issued["token"])
    else:
        print(issued["token"])


def _spark_address() -> str:
    """The connection string of this home's server, up to the token."""
    from headwater.client.endpoint import read_ready
    from headwater.settings import Settings

    found = read_ready(Settings().home_path).get("spark_connect")
    if not found:
        raise error(
            ErrorCode.NOT_SUPPORTED,
            "this home's server does not serve Spark Connect",
            hint="pip install 'headwater[spark]', and run this where the server runs",
        )
    return found.partition(";token=")[0] + ";token="


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
