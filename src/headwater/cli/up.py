"""`headwater up`."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from headwater.errors import ErrorCode, error

app = typer.Typer(add_completion=False)


class Storage(StrEnum):
    """Where tables' files live."""

    LOCAL = "local"
    S3 = "s3"


@app.command()
def up(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on. [default: 127.0.0.1]")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65533,
            help="HTTP port P; TLS takes P+2. 0 picks free ones. [default: 8420, TLS 8443]",
        ),
    ] = None,
    home: Annotated[
        Path | None, typer.Option(help="Where everything is kept. [default: ~/.headwater]")
    ] = None,
    storage: Annotated[
        Storage | None,
        typer.Option(
            help="Local folder, or S3: an embedded one unless HEADWATER_S3__ENDPOINT is set."
        ),
    ] = None,
    metastore: Annotated[
        str | None, typer.Option(help="Database URL. [default: SQLite in the home]")
    ] = None,
    no_samples: Annotated[
        bool, typer.Option("--no-samples", help="Leave the sample lake out.")
    ] = False,
    allow_remote: Annotated[
        bool,
        typer.Option("--allow-remote", help="Accept a --host that other machines reach; over TLS."),
    ] = False,
    studio_link: Annotated[
        bool | None,
        typer.Option(
            "--studio-link/--no-studio-link",
            help="Print a second line, the link that opens the studio. [default: on a terminal]",
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No log on stderr.")] = False,
) -> None:
    """Start the server; prints READY when it answers."""
    from pydantic import ValidationError

    from headwater.settings import Settings

    given: dict[str, Any] = {
        "host": host,
        "port": port,
        "home": home,
        "storage": storage,
        "metastore": metastore,
        "samples": False if no_samples else None,
    }
    try:
        settings = Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as exc:
        first = exc.errors()[0]
        name = "__".join(str(part) for part in first["loc"]).upper()
        raise error(
            ErrorCode.INVALID_ARGUMENT,
            f"the setting HEADWATER_{name} is not valid: {first['msg']}",
            hint="docs/reference/settings.md lists all settings",
        ) from exc
    from headwater.server.lifecycle import run

    shown = sys.stdout.isatty() if studio_link is None else studio_link
    run(settings, quiet=quiet, allow_remote=allow_remote, studio_link=shown)
