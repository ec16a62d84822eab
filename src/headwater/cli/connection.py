"""`headwater connection`: other Iceberg REST catalogs' tables, read-only, under grants of here."""

from __future__ import annotations

import getpass
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from headwater.cli.output import JsonFlag, connect, note, print_json
from headwater.errors import ErrorCode, error

app = typer.Typer(
    help="Show tables of other Iceberg REST catalogs.", no_args_is_help=True, add_completion=False
)

_API = "/api/v1/connections"


class Authentication(StrEnum):
    """How the server logs in to the other catalog."""

    NONE = "none"
    TOKEN = "token"  # noqa: S105
    OAUTH2 = "oauth2"


NameArgument = Annotated[str, typer.Argument(help="The connection's name.")]
Uri = Annotated[str, typer.Option("--uri", help="The catalog's URL: what comes before /v1.")]
Warehouse = Annotated[str, typer.Option(help="The warehouse that its config is asked for.")]
Prefix = Annotated[str, typer.Option(help="Instead of the prefix that its config names.")]
Auth = Annotated[Authentication, typer.Option("--auth", help="How to log in.")]
ClientId = Annotated[str, typer.Option(help="OAuth2: the client's id.")]
TokenUri = Annotated[str, typer.Option(help="OAuth2: the token URL; default: the catalog's.")]
Scope = Annotated[str, typer.Option(help="OAuth2: the scope to ask for.")]
SecretFile = Annotated[
    Path | None, typer.Option(help="File with the token or client secret; default: ask for it.")
]
SecretEnv = Annotated[str, typer.Option(help="Name of the environment variable that holds it.")]
CaCert = Annotated[
    Path | None, typer.Option(help="PEM file of the authority that signed its certificate.")
]
S3Endpoint = Annotated[str, typer.Option(help="An S3 endpoint that the catalog may name.")]
Locations = Annotated[
    list[str] | None,
    typer.Option("--location", help="Folder or s3://bucket/prefix its tables are read from."),
]
Namespaces = Annotated[
    list[str] | None,
    typer.Option(
        "--namespace", help="A namespace to show, levels joined by dots; NAMESPACE=SCHEMA names it."
    ),
]


@app.command()
def add(
    name: NameArgument,
    uri: Uri,
    namespace: Namespaces = None,
    location: Locations = None,
    warehouse: Warehouse = "",
    prefix: Prefix = "",
    auth: Auth = Authentication.NONE,
    client_id: ClientId = "",
    token_uri: TokenUri = "",
    scope: Scope = "",
    secret_file: SecretFile = None,
    secret_env: SecretEnv = "",
    ca_cert: CaCert = None,
    s3_endpoint: S3Endpoint = "",
    as_json: JsonFlag = False,
) -> None:
    """Show namespaces of another catalog as schemas here (admins only)."""
    body = _address(
        name, uri, warehouse, prefix, auth, client_id, token_uri, scope, secret_file, secret_env,
        ca_cert, s3_endpoint, location,
    )  # fmt: skip
    body["show"] = [_shown(each) for each in namespace or ()]
    if not body["show"] or not location:
        raise error(
            ErrorCode.INVALID_ARGUMENT,
            "a connection needs at least one --namespace and one --location",
            hint=f"`headwater connection test --uri {uri}` lists what there is",
        )
    with connect() as connection:
        made = connection.post(_API, body)
    if as_json:
        print_json(made)
        return
    for each in made["schemas"]:
        note(f"{'.'.join(each['namespace'])} is schema {each['schema']}")


@app.command("list")
def list_connections(as_json: JsonFlag = False) -> None:
    """List connections and what they show."""
    with connect() as connection:
        found = connection.get(_API)
    if as_json:
        print_json(found)
        return
    for each in found:
        print(f"{each['name']}  {each['uri']}  {each['warehouse']}".rstrip())
        for shown in each["schemas"]:
            print(f"  {'.'.join(shown['namespace'])} as {shown['schema']}")


@app.command("test")
def probe(
    name: Annotated[
        str | None, typer.Argument(help="A connection; left out, options say where.")
    ] = None,
    uri: Annotated[str, typer.Option("--uri", help="Of a catalog not connected yet.")] = "",
    warehouse: Warehouse = "",
    prefix: Prefix = "",
    auth: Auth = Authentication.NONE,
    client_id: ClientId = "",
    token_uri: TokenUri = "",
    scope: Scope = "",
    secret_file: SecretFile = None,
    secret_env: SecretEnv = "",
    ca_cert: CaCert = None,
    as_json: JsonFlag = False,
) -> None:
    """Ask a catalog for its namespaces, and where some of its tables lie."""
    if (name is None) == (not uri):
        raise error(ErrorCode.INVALID_ARGUMENT, "give the name of a connection, or --uri")
    if name is not None:
        path, body = f"{_API}/{quote(name, safe='')}/test", {}
    else:
        path = f"{_API}/test"
        body = _address(
            "probe", uri, warehouse, prefix, auth, client_id, token_uri, scope, secret_file,
            secret_env, ca_cert, "", None,
        )  # fmt: skip
    with connect() as connection:
        found = connection.post(path, body)
    if as_json:
        print_json(found)
        return
    note(f"it answers, in {found['seconds']:.2f} s")
    for each in found["namespaces"]:
        print(f"namespace {'.'.join(each)}")
    for each in found["locations"]:
        print(f"location {each}")
    for each in found["refused_locations"]:
        print(f"location {each} (cannot be one: it is the server's own or the machine's)")


@app.command()
def show(
    name: NameArgument,
    namespace: Annotated[
        list[str], typer.Argument(help="NAMESPACE or NAMESPACE=SCHEMA, levels joined by dots.")
    ],
) -> None:
    """Show more namespaces of a connection."""
    with connect() as connection:
        body = {"show": [_shown(each) for each in namespace]}
        connection.post(f"{_API}/{quote(name, safe='')}/show", body)
    note(f"shown: {', '.join(namespace)}")


@app.command()
def accept(name: NameArgument, table: Annotated[str, typer.Argument(help="schema.table")]) -> None:
    """Let grants, filters and masks of a name hold for the table that took it over there."""
    with connect() as connection:
        connection.post(f"{_API}/{quote(name, safe='')}/accept", {"table": table})
    note(f"{table} is read again")


@app.command()
def remove(
    name: NameArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """End a connection; its schemas, their grants and policies go, the other catalog stays."""
    if not yes:
        if not sys.stdin.isatty():
            raise error(
                ErrorCode.INVALID_ARGUMENT, f"removing {name} needs a yes", hint="add --yes"
            )
        typer.confirm(f"Remove {name} with the grants and policies on its tables?", abort=True)
    with connect() as connection:
        connection.delete(f"{_API}/{quote(name, safe='')}")
    note(f"removed {name}")


def _address(
    name: str,
    uri: str,
    warehouse: str,
    prefix: str,
    auth: Authentication,
    client_id: str,
    token_uri: str,
    scope: str,
    secret_file: Path | None,
    secret_env: str,
    ca_cert: Path | None,
    s3_endpoint: str,
    locations: list[str] | None,
) -> dict[str, Any]:
    needed = auth is not Authentication.NONE
    return {
        "name": name,
        "uri": uri,
        "warehouse": warehouse,
        "prefix": prefix,
        "authentication": auth.value,
        "client_id": client_id,
        "token_uri": token_uri,
        "scope": scope,
        "secret": _secret(secret_file, secret_env) if needed else None,
        "ca_cert": "" if ca_cert is None else _text(ca_cert),
        "s3_endpoint": s3_endpoint,
        "locations": locations or [],
    }


def _secret(file: Path | None, variable: str) -> str:
    """The secret from a file, a variable, a prompt or standard input; never from the arguments."""
    if file is not None:
        return _text(file).strip()
    if variable:
        from headwater.settings import secret_from_environment

        found = secret_from_environment(variable)
        if not found:
            raise error(ErrorCode.INVALID_ARGUMENT, f"the variable {variable} is not set")
        return found
    if sys.stdin.isatty():
        return getpass.getpass("Secret: ")
    return sys.stdin.readline().strip()


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError) as exc:
        raise error(ErrorCode.INVALID_ARGUMENT, f"{file} cannot be read") from exc


def _shown(text: str) -> dict[str, Any]:
    remote, _, schema = text.partition("=")
    return {"namespace": remote.split("."), "schema": schema or None}
