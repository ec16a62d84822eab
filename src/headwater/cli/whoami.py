"""`headwater whoami`."""

from __future__ import annotations

import typer

from headwater.cli.output import JsonFlag, UserOption, connect, print_json

app = typer.Typer(add_completion=False)


@app.command()
def whoami(user: UserOption = None, as_json: JsonFlag = False) -> None:
    """Show who the commands of this home act as."""
    with connect(user) as connection:
        identity = connection.get("/api/v1/whoami")
        url = connection.endpoint.url
    if as_json:
        print_json({**identity, "url": url})
        return
    roles = ", ".join(identity["roles"]) or "no role"
    acting = f", acting as {identity['role']}" if identity["role"] else ""
    print(f"{identity['name']} ({identity['kind']}; {roles}{acting}) at {url}")
