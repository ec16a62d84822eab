"""`headwater grant`: principals, roles, grants, denies, row filters and column masks."""

from __future__ import annotations

import shutil
import sys
from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import quote

import typer

from headwater.cli.output import JsonFlag, UserOption, connect, note, print_json

app = typer.Typer(help="Who may do what: grants, denies, filters, masks.", no_args_is_help=True)


class Kind(StrEnum):
    """The kinds of principals, as the command line writes them."""

    USER = "user"
    ROLE = "role"
    SERVICE_ACCOUNT = "service-account"


class PolicyKind(StrEnum):
    """The kinds of policies."""

    ROW_FILTER = "row-filter"
    COLUMN_MASK = "column-mask"


To = Annotated[
    list[str],
    typer.Option("--to", help="A principal: `ellen`, `user:ellen`, `role:analyst`; repeatable."),
]
Except = Annotated[
    list[str] | None, typer.Option("--except", help="A principal it spares; repeatable.")
]
On = Annotated[
    str,
    typer.Option(
        "--on",
        help="`catalog`, `schema:sample`, `sample.flights`, `user:ellen`, `location:/data`.",
    ),
]
Table = Annotated[str, typer.Option("--on", help="The table: schema.table.")]
Columns = Annotated[
    str | None, typer.Option("--columns", help="Only on these columns: `a,b` (tables only).")
]
Privileges = Annotated[
    list[str], typer.Argument(help="SELECT, INSERT, 'CREATE TABLE', 'ALL PRIVILEGES' …")
]
Replace = Annotated[bool, typer.Option("--replace", help="Replace one of the same name.")]


@app.command("ls")
def list_grants(
    on: Annotated[str | None, typer.Option("--on", help="Only on this object.")] = None,
    principal: Annotated[str | None, typer.Option("--for", help="Only of this principal.")] = None,
    user: UserOption = None,
    as_json: JsonFlag = False,
) -> None:
    """List grants and denies that you may see."""
    target = _object(on) if on else {}
    whom = _principal(principal) if principal else {}
    with connect(user) as connection:
        rows = connection.get(
            "/api/v1/grants",
            on=target.get("name"),
            on_kind=target.get("kind"),
            principal=whom.get("name"),
            principal_kind=whom.get("kind"),
        )
    _show(rows, as_json)


@app.command("add")
def add(
    privileges: Privileges,
    on: On,
    to: To,
    columns: Columns = None,
    grant_option: Annotated[
        bool, typer.Option("--with-grant-option", help="May be passed on.")
    ] = False,
    user: UserOption = None,
) -> None:
    """Grant privileges on an object."""
    _change("grant", privileges, on, to, columns, user, grant_option)


@app.command("deny")
def deny(
    privileges: Privileges, on: On, to: To, columns: Columns = None, user: UserOption = None
) -> None:
    """Deny privileges on an object; a deny wins over every grant."""
    _change("deny", privileges, on, to, columns, user)


@app.command("revoke")
def revoke(
    privileges: Privileges,
    on: On,
    of: Annotated[list[str], typer.Option("--from", help="A principal; repeatable.")],
    columns: Columns = None,
    denied: Annotated[bool, typer.Option("--deny", help="Remove a deny, not a grant.")] = False,
    user: UserOption = None,
) -> None:
    """Take a grant, or with --deny a deny, away."""
    _change("revoke_deny" if denied else "revoke", privileges, on, of, columns, user)


@app.command("create")
def create(kind: Kind, name: str, user: UserOption = None) -> None:
    """Make a user, role or service account."""
    with connect(user) as connection:
        connection.post("/api/v1/principals", {"kind": _api(kind), "name": name})
    note(f"created {kind.value} {name}")


@app.command("drop")
def drop(kind: Kind, name: str, user: UserOption = None) -> None:
    """Drop a user, role or service account with its grants."""
    with connect(user) as connection:
        connection.delete(f"/api/v1/principals/{_api(kind)}/{quote(name, safe='')}")
    note(f"dropped {kind.value} {name}")


@app.command("disable")
def disable(kind: Kind, name: str, user: UserOption = None) -> None:
    """Lock a principal out; its tokens stop working at once."""
    with connect(user) as connection:
        connection.post(f"/api/v1/principals/{_api(kind)}/{quote(name, safe='')}/disable", {})
    note(f"disabled {kind.value} {name}")


@app.command("enable")
def enable(kind: Kind, name: str, user: UserOption = None) -> None:
    """Let a disabled principal in again."""
    with connect(user) as connection:
        connection.post(f"/api/v1/principals/{_api(kind)}/{quote(name, safe='')}/enable", {})
    note(f"enabled {kind.value} {name}")


@app.command("users")
def users(user: UserOption = None, as_json: JsonFlag = False) -> None:
    """List users and service accounts."""
    with connect(user) as connection:
        rows = connection.get("/api/v1/principals")
    _show(rows, as_json)


@app.command("roles")
def roles(user: UserOption = None, as_json: JsonFlag = False) -> None:
    """List who holds which role."""
    with connect(user) as connection:
        rows = connection.get("/api/v1/role-grants")
    _show(rows, as_json)


@app.command("role")
def role(
    name: str,
    to: To,
    revoke: Annotated[bool, typer.Option("--revoke", help="Take the role away.")] = False,
    user: UserOption = None,
) -> None:
    """Give a role to principals, or take it from them."""
    body = {"roles": [name], "to": [_principal(each) for each in to], "revoke": revoke}
    with connect(user) as connection:
        connection.post("/api/v1/role-grants", body)
    note(f"{'revoked' if revoke else 'granted'} role {name}")


@app.command("policies")
def policies(
    on: Annotated[str | None, typer.Option("--on", help="Only of this table.")] = None,
    user: UserOption = None,
    as_json: JsonFlag = False,
) -> None:
    """List row filters and column masks."""
    with connect(user) as connection:
        rows = connection.get("/api/v1/policies", table=on)
    _show(rows, as_json)


@app.command("filter")
def row_filter(
    name: str,
    on: Table,
    using: Annotated[str, typer.Option("--using", help="A predicate: `region = 'EU'`.")],
    to: To,
    spared: Except = None,
    replace: Replace = False,
    user: UserOption = None,
) -> None:
    """Show principals only the rows for which a predicate is true."""
    body = {
        "name": name,
        "table": on,
        "predicate": using,
        "to": [_principal(each) for each in to],
        "except_to": [_principal(each) for each in spared or ()],
        "replace": replace,
    }
    with connect(user) as connection:
        connection.post("/api/v1/row-filters", body)
    note(f"row filter {name} is in force")


@app.command("mask")
def column_mask(
    name: str,
    on: Table,
    column: Annotated[str, typer.Option("--column", help="The column to mask.")],
    to: To,
    using: Annotated[
        str | None, typer.Option("--using", help="An action: replace-with-null, show-last-4 …")
    ] = None,
    expression: Annotated[
        str | None, typer.Option("--expression", help="SQL of the same type, in its place.")
    ] = None,
    spared: Except = None,
    replace: Replace = False,
    user: UserOption = None,
) -> None:
    """Show principals something else than a column's values."""
    if (using is None) == (expression is None):
        raise typer.BadParameter("give --using or --expression")
    body = {
        "name": name,
        "table": on,
        "column": column,
        "action": using or "expression",
        "expression": expression,
        "to": [_principal(each) for each in to],
        "except_to": [_principal(each) for each in spared or ()],
        "replace": replace,
    }
    with connect(user) as connection:
        connection.post("/api/v1/column-masks", body)
    note(f"column mask {name} is in force")


@app.command("drop-policy")
def drop_policy(kind: PolicyKind, name: str, on: Table, user: UserOption = None) -> None:
    """Drop a row filter or a column mask."""
    path = f"/api/v1/policies/{kind.value.replace('-', '_')}/{quote(on, safe='')}"
    with connect(user) as connection:
        connection.delete(f"{path}/{quote(name, safe='')}")
    note(f"dropped {kind.value} {name}")


def _change(
    effect: str,
    privileges: list[str],
    on: str,
    to: list[str],
    columns: str | None,
    user: str | None,
    grant_option: bool = False,
) -> None:
    named = [column.strip() for column in columns.split(",")] if columns else []
    body = {
        "effect": effect,
        "privileges": [{"privilege": _privilege(p), "columns": named} for p in privileges],
        "on": _object(on),
        "to": [_principal(each) for each in to],
        "grant_option": grant_option,
    }
    with connect(user) as connection:
        connection.post("/api/v1/grants", body)
    note(f"{effect.replace('_', ' ')} done")


def _privilege(text: str) -> str:
    name = text.upper().replace("_", " ").replace("-", " ")
    return "ALL PRIVILEGES" if name == "ALL" else name


def _object(text: str) -> dict[str, str | None]:
    kind, _, name = text.partition(":")
    if text == "catalog":
        return {"kind": "catalog", "name": None}
    if name:
        return {"kind": kind.replace("-", "_"), "name": name}
    return {"kind": None, "name": text}


def _principal(text: str) -> dict[str, str | None]:
    kind, _, name = text.partition(":")
    return {"name": name or kind, "kind": kind.replace("-", "_") if name else None}


def _api(kind: Kind) -> str:
    return kind.value.replace("-", "_")


def _show(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json(rows)
        return
    import pyarrow as pa

    from headwater.cli.table import Style, render

    if not rows:
        note("none")
        return
    terminal = sys.stdout.isatty()
    style = Style(shutil.get_terminal_size().columns if terminal else None, terminal)
    print(render(pa.Table.from_pylist(rows), style))
