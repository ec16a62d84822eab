"""`headwater version`."""

from __future__ import annotations

import platform

import typer

import headwater
from headwater.cli.output import JsonFlag, print_json

app = typer.Typer(add_completion=False)


@app.command()
def version(as_json: JsonFlag = False) -> None:
    """Print the version."""
    if as_json:
        print_json({"version": headwater.__version__, "python": platform.python_version()})
    else:
        print(f"headwater {headwater.__version__}")
