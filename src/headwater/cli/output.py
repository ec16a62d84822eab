"""What commands share: the `--json` flag, the connection of a home, printing of JSON."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from headwater.client.connection import Connection

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
UserOption = Annotated[
    str | None, typer.Option("--user", "-u", help="Act as this user (admins only).")
]


def connect(user: str | None = None, role: str | None = None) -> Connection:
    """A connection to the server of `HEADWATER_HOME`, as its admin or as another user."""
    from headwater.client.connection import Connection
    from headwater.client.endpoint import find_endpoint
    from headwater.settings import Settings

    connection = Connection(find_endpoint(Settings().home_path))
    if user is None:
        return connection
    with connection:
        return connection.as_user(user, role)


def print_json(value: Any) -> None:
    """Prints a value as JSON: indented on a terminal, one line elsewhere."""
    indent = 2 if sys.stdout.isatty() else None
    print(json.dumps(value, indent=indent, ensure_ascii=False, default=str))


def note(text: str) -> None:
    """Tells the person at the terminal something that is not the command's result."""
    print(text, file=sys.stderr)
