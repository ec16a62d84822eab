from pathlib import Path

import pytest
import typer

from headwater.cli.commands import COMMANDS, app

TEXT = (Path(__file__).parents[3] / "docs" / "reference" / "cli.md").read_text()


def leaves(name, command):
    nested = getattr(command, "commands", {})
    if not nested:
        return [(name, command)]
    return [leaf for key, value in nested.items() for leaf in leaves(f"{name} {key}", value)]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_documented(name):
    assert f"| `headwater {name}" in TEXT


@pytest.mark.parametrize("name", ["up", "sql", "catalog", "job"])
def test_every_flag_is_documented(name):
    group = typer.main.get_command(app)
    command = group.get_command(None, name)
    for leaf, found in leaves(name, command):
        for parameter in found.params:
            for flag in parameter.opts:
                if flag.startswith("--") and flag not in ("--help", "--json", "--user"):
                    assert f"`{flag}`" in TEXT, (leaf, flag)


def test_every_command_has_a_module():
    group = typer.main.get_command(app)
    assert set(group.list_commands(None)) <= set(COMMANDS)
    for name in group.list_commands(None):
        assert group.get_command(None, name).help
