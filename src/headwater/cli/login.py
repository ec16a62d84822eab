"""`headwater login`: point this home's commands at a server on another machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from headwater.cli.output import note
from headwater.errors import ErrorCode, error

app = typer.Typer(add_completion=False)


@app.command()
def login(
    url: Annotated[
        str | None, typer.Argument(help="The server's HTTPS URL; --forget needs none.")
    ] = None,
    ca_cert: Annotated[
        Path | None, typer.Option(help="The server's tls/ca.pem, when no public authority signs.")
    ] = None,
    forget: Annotated[bool, typer.Option("--forget", help="Remove the login.")] = False,
) -> None:
    """Use a server on another machine; the token is asked for, or read from stdin."""
    from urllib.parse import urlsplit

    from headwater.client.connection import Connection
    from headwater.client.endpoint import Endpoint, forget_login, save_login
    from headwater.settings import Settings

    home = Settings().home_path
    if forget:
        note("logged out" if forget_login(home) else "there was no login")
        return
    if url is None:
        raise error(ErrorCode.INVALID_ARGUMENT, "no URL given", hint="headwater login https://…")
    parts = urlsplit(url)
    loopback = parts.hostname in ("127.0.0.1", "::1", "localhost")
    if parts.scheme != "https" and not (parts.scheme == "http" and loopback):
        raise error(
            ErrorCode.INVALID_ARGUMENT,
            "tokens are sent over https only",
            hint="use the server's https_url, and --ca-cert with its tls/ca.pem",
        )
    if sys.stdin.isatty():
        token = typer.prompt("Token", hide_input=True)
    else:
        token = sys.stdin.readline().strip()
    authority = None if ca_cert is None else str(ca_cert.expanduser().absolute())
    endpoint = Endpoint(url.rstrip("/"), token, authority)
    with Connection(endpoint) as connection:
        identity = connection.get("/api/v1/whoami")
    save_login(home, endpoint)
    note(f"logged in to {endpoint.url} as {identity['name']}")
