"""`headwater catalog`: what is in the lake, and files into it."""

from __future__ import annotations

import datetime
import re
import shutil
import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from headwater.cli.output import JsonFlag, UserOption, connect, note, print_json
from headwater.errors import ErrorCode, error

if TYPE_CHECKING:
    from rich.progress import Progress

    from headwater.client.connection import Connection

app = typer.Typer(
    help="List, describe, load and drop tables.", no_args_is_help=True, add_completion=False
)

_CHUNK = 1024 * 1024
_PLACE = re.compile(r"(s3[an]?|file)://")
TableArgument = Annotated[str, typer.Argument(help="schema.table")]


class Mode(StrEnum):
    """What happens to a table's rows; `create` wants no such table yet."""

    CREATE = "create"
    APPEND = "append"
    REPLACE = "replace"


class OnError(StrEnum):
    """What to do with rows that cannot be read."""

    FAIL = "fail"
    SKIP = "skip"


@app.command("ls")
def list_objects(
    schema: Annotated[
        str | None, typer.Argument(help="A schema; left out, all tables of all schemas.")
    ] = None,
    user: UserOption = None,
    as_json: JsonFlag = False,
) -> None:
    """List tables and views."""
    with connect(user) as connection:
        if schema is not None:
            names = [schema]
        else:
            names = [found["name"] for found in connection.get("/api/v1/schemas")]
        found = [
            entry
            for name in names
            for entry in connection.get(f"/api/v1/schemas/{quote(name, safe='')}/tables")
        ]
    if as_json:
        print_json(found)
        return
    _print_table(
        {
            "table": [f"{entry['schema']}.{entry['name']}" for entry in found],
            "kind": [entry["kind"] for entry in found],
        }
    )


@app.command()
def describe(table: TableArgument, user: UserOption = None, as_json: JsonFlag = False) -> None:
    """Show a table's columns, comments and layout."""
    with connect(user) as connection:
        found = connection.get(_table_path(table))
    if as_json:
        print_json(found)
        return
    if found["comment"]:
        note(found["comment"])
    columns = found["columns"]
    shown: dict[str, list[Any]] = {
        "column": [column["name"] for column in columns],
        "type": [column["type"] for column in columns],
    }
    if any(column["required"] for column in columns):
        shown["required"] = [column["required"] for column in columns]
    if any(column["mask"] for column in columns):
        shown["mask"] = [column["mask"] or "" for column in columns]
    shown["comment"] = [column["comment"] or "" for column in columns]
    _print_table(shown)
    if found["partitioning"]:
        note(f"partitioned by {', '.join(found['partitioning'])}")


@app.command()
def history(table: TableArgument, user: UserOption = None, as_json: JsonFlag = False) -> None:
    """Show a table's snapshots, latest first."""
    with connect(user) as connection:
        found = connection.get(f"{_table_path(table)}/snapshots")
    if as_json:
        print_json(found)
        return
    times = [
        datetime.datetime.fromtimestamp(entry["timestamp_ms"] / 1000, datetime.UTC)
        for entry in found
    ]
    _print_table(
        {
            "snapshot": [str(entry["snapshot_id"]) for entry in found],
            "at (UTC)": [at.strftime("%Y-%m-%d %H:%M:%S") for at in times],
            "operation": [entry["operation"] or "" for entry in found],
            "rows": [_count(entry, "total-records") for entry in found],
            "added": [_count(entry, "added-records") for entry in found],
            "deleted": [_count(entry, "deleted-records") for entry in found],
            "refs": [", ".join(entry["refs"]) for entry in found],
        }
    )


@app.command()
def drop(
    table: TableArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    user: UserOption = None,
) -> None:
    """Drop a table or view."""
    if not yes:
        if not sys.stdin.isatty():
            raise error(
                ErrorCode.INVALID_ARGUMENT, f"dropping {table} needs a yes", hint="add --yes"
            )
        typer.confirm(f"Drop {table}?", abort=True)
    with connect(user) as connection:
        connection.delete(_table_path(table))
    note(f"dropped {table}")


@app.command()
def load(
    files: Annotated[
        list[str],
        typer.Argument(
            help="CSV, JSON, NDJSON or Parquet files of this machine; or files, folders and "
            "patterns of granted locations, as s3://bucket/prefix/*.csv or file:///folder/."
        ),
    ],
    table: Annotated[str, typer.Option("--table", "-t", help="schema.table")],
    mode: Annotated[
        Mode, typer.Option(help="Make a new table, add to one, or replace its rows.")
    ] = Mode.CREATE,
    on_error: Annotated[
        OnError, typer.Option(help="Fail on a row that cannot be read, or leave it out.")
    ] = OnError.FAIL,
    user: UserOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Load files into a table, all in one commit."""
    places = [file for file in files if _PLACE.match(file)]
    own = [Path(file) for file in files if not _PLACE.match(file)]
    for path in own:
        if not path.is_file():
            raise error(ErrorCode.INVALID_FILE, f"there is no file {path}", hint="check its path")
    with connect(user) as connection:
        _check_sizes(connection, own)
        uploads = _send(connection, own)
        if places:
            uploads += _stage(connection, places)
        job = connection.post(
            "/api/v1/loads",
            {"table": table, "uploads": uploads, "mode": mode, "on_error": on_error},
        )
        job = _await(connection, job)
    if job["error"] is not None:
        from headwater.client.connection import error_of

        raise error_of(job["error"])
    if as_json:
        print_json({"table": table, "rows": job["rows"], "skipped": job["skipped"]})
        return
    skipped = f", {job['skipped']:,} skipped" if job["skipped"] else ""
    note(f"{job['rows']:,} rows loaded into {table}{skipped}")


@app.command()
def sweep(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be removed.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Remove files that no table refers to (the server does so every hour); admins only."""
    with connect() as connection:
        found = connection.post("/api/v1/sweeps", {"dry_run": dry_run})
    if as_json:
        print_json(found)
        return
    for uri in found["files"]:
        print(uri)
    for why in found["left_alone"]:
        note(f"left alone: {why}")
    files = "1 file" if found["count"] == 1 else f"{found['count']:,} files"
    done = "would be removed" if dry_run else "removed"
    note(f"{files} without a table {done} ({found['bytes']:,} bytes)")


def _progress() -> Progress:
    """A bar of bytes on a terminal, and nothing elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )


def _stage(connection: Connection, places: list[str]) -> list[str]:
    """Has the server copy files of locations; returns the uploads' ids."""
    stage: dict[str, Any] = connection.post("/api/v1/locations/stage", {"paths": places})
    path = f"/api/v1/locations/stage/{stage['id']}"
    try:
        with _progress() as progress:
            task = progress.add_task("copying", total=stage["total_bytes"])
            while stage["state"] == "RUNNING":
                stage = connection.get(path, wait=1)
                progress.update(task, completed=stage["done_bytes"])
    except KeyboardInterrupt:
        connection.delete(path)
        note("USER_CANCELED: the copy was canceled; nothing was loaded")
        raise
    if stage["error"] is not None:
        from headwater.client.connection import error_of

        raise error_of(stage["error"])
    return [upload["id"] for upload in stage["uploads"]]


def _check_sizes(connection: Connection, files: list[Path]) -> None:
    """Raises for a file that the server would refuse, before anything is sent."""
    if not files:
        return
    limits = connection.get("/api/v1/uploads/limits")
    most, by_disk = limits["bytes"] / 1024**3, limits["by_disk"]
    for file in files:
        size = file.stat().st_size / 1024**3
        if size > most:
            raise error(
                ErrorCode.DISK_FULL if by_disk else ErrorCode.EXCEEDED_STATEMENT_SIZE,
                f"{file.name} has {size:.1f} GiB; the server takes {most:.1f}",
                hint="its disk has no more room"
                if by_disk
                else "send it in parts, compress it, or raise limits.upload_bytes",
            )


def _send(connection: Connection, files: list[Path]) -> list[str]:
    """Uploads the files with a progress bar on a terminal; returns the uploads' ids."""
    total = sum(file.stat().st_size for file in files)
    with _progress() as progress:
        task = progress.add_task("sending", total=total)

        def chunks(path: Path) -> Iterator[bytes]:
            with path.open("rb") as content:
                while chunk := content.read(_CHUNK):
                    yield chunk
                    progress.advance(task, len(chunk))

        return [connection.upload(file.name, chunks(file)) for file in files]


def _await(connection: Connection, job: dict[str, Any]) -> dict[str, Any]:
    from rich.console import Console
    from rich.status import Status

    path = f"/api/v1/loads/{job['id']}"
    console = Console(stderr=True, quiet=not sys.stderr.isatty())
    try:
        with Status("writing", console=console):
            while job["state"] == "RUNNING":
                job = connection.get(path, wait=10)
    except KeyboardInterrupt:
        connection.delete(path)
        note("USER_CANCELED: the load was canceled; the table is as it was")
        raise
    return job


def _table_path(table: str) -> str:
    return f"/api/v1/tables/{quote(table, safe='')}"


def _count(entry: dict[str, Any], name: str) -> int | None:
    value = entry["summary"].get(name)
    return None if value is None else int(value)


def _print_table(columns: dict[str, list[Any]]) -> None:
    import pyarrow as pa

    from headwater.cli.table import Style, render

    terminal = sys.stdout.isatty()
    style = Style(shutil.get_terminal_size().columns if terminal else None, terminal)
    print(render(pa.table(columns), style))
