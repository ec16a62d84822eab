"""The Typer application: subcommands that are imported when used."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

import typer
from typer.core import TyperGroup

COMMANDS = {
    "up": "Start the server; prints READY when it answers.",
    "sql": "Run one SQL statement and print its result.",
    "catalog": "List, describe, load and drop tables.",
    "connection": "Show tables of other Iceberg REST catalogs.",
    "grant": "Grant, deny and revoke privileges; filters and masks.",
    "job": "Run SQL scripts, Python, PySpark and JARs.",
    "audit": "Show and verify the audit log.",
    "token": "Print a session token for a user.",
    "login": "Use a server on another machine.",
    "whoami": "Show who the commands of this home act as.",
    "release": "Install and inspect releases of Sail and Spark.",
    "doctor": "Check the installation and the running server.",
    "bench": "Measure Headwater against its own engine.",
    "version": "Print the version.",
}
"""Each subcommand lives in `headwater.cli.<name>`, which defines a Typer named `app`."""


class LazyGroup(TyperGroup):
    """A command group that imports a subcommand's module only when that command is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The subcommands' names, in the order of `COMMANDS`."""
        return [name for name in COMMANDS if _exists(name)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The subcommand of that name, or None."""
        if cmd_name not in COMMANDS or not _exists(cmd_name):
            return None
        module = importlib.import_module(f"headwater.cli.{cmd_name}")
        command = typer.main.get_command(module.app)
        command.name = cmd_name
        command.help = command.help or COMMANDS[cmd_name]
        return command


app = typer.Typer(
    cls=LazyGroup,
    name="headwater",
    help="A governed Iceberg lakehouse: catalog, SQL and grants behind one identity.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _root() -> None:
    # Makes this a group although no command is registered eagerly.
    return


def _exists(name: str) -> bool:
    return importlib.util.find_spec(f"headwater.cli.{name}") is not None
