"""`headwater release`: named bundles of Python, Spark, Java and jars that runs and sessions use."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headwater.cli.output import JsonFlag, note, print_json

if TYPE_CHECKING:
    from headwater.runtimes.releases.store import Progress, ReleaseStatus, ReleaseStore

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Install and inspect releases of Sail and Spark.",
)

Name = Annotated[str, typer.Argument(help="Such as sail or spark-4.1.")]


@app.command("list")
def list_(as_json: JsonFlag = False) -> None:
    """List the releases and whether they are installed."""
    found = _store().list()
    if as_json:
        print_json([_as_json(status) for status in found])
        return
    for status in found:
        state = f"installed, {_mib(status.bytes_on_disk)}" if status.installed else "-"
        end = status.definition.end_of_life
        late = f" (end of life {end})" if end and end < _today() else ""
        print(f"{status.definition.name:<12} {state:<22} {status.definition.summary}{late}")


@app.command()
def install(name: Name, as_json: JsonFlag = False) -> None:
    """Install a release; does nothing when it is there."""
    from headwater.engines.userprocess.archive import archive_of, make_archive
    from headwater.settings import Settings

    store = _store()
    release = store.installed(name)
    if release is None or (release.spark_home and archive_of(release) is None):
        with _progress(name) as progress:
            release = store.install(name, progress)
            if release.spark_home:
                progress("rehearsing Spark's start", 0.97)
                make_archive(release, Settings().user_engines)
    status = store.show(name)
    if as_json:
        print_json(_as_json(status))
    elif status.installed:
        print(f"{name} is installed at {status.installed.path}")


@app.command()
def remove(
    name: Annotated[str | None, typer.Argument(help="Such as spark-3.5.")] = None,
    unused_days: Annotated[
        float | None, typer.Option(help="Remove all that were not used for so many days.")
    ] = None,
) -> None:
    """Remove a release, or those that nobody uses."""
    if (name is None) == (unused_days is None):
        raise typer.BadParameter("name a release, or say --unused-days")
    store = _store()
    if name is not None:
        print(f"{name} was removed" if store.remove(name) else f"{name} was not installed")
        return
    removed = store.collect(unused_days or 0.0)
    print("\n".join(f"{each} was removed" for each in removed) or "nothing to remove")


@app.command()
def show(
    name: Name,
    verify: Annotated[
        bool, typer.Option("--verify", help="Check every file against its digest.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Show what a release is made of; exit status 1 if --verify finds a changed file."""
    store = _store()
    status = store.show(name)
    wrong = [*store.verify(name)] if verify else []
    shown = _as_json(status) | ({"changed": wrong} if verify else {})
    if as_json:
        print_json(shown)
    else:
        for key, value in shown.items():
            if isinstance(value, dict):
                value = ", ".join(f"{name} {each}" for name, each in value.items())
            elif isinstance(value, list):
                value = ", ".join(map(str, value))
            print(f"{key:<14} {value if value not in (None, '') else '-'}")
        if verify:
            print("every file is as it was installed" if not wrong else "CHANGED")
    if wrong:
        sys.exit(1)


def _store() -> ReleaseStore:
    from headwater.runtimes.releases.store import ReleaseStore
    from headwater.settings import Settings

    return ReleaseStore(Settings().releases_path)


def _as_json(status: ReleaseStatus) -> dict[str, Any]:
    definition, installed = status.definition, status.installed
    used = status.last_used
    return {
        "name": definition.name,
        "summary": definition.summary,
        "installed": installed is not None,
        "identity": installed.identity if installed else None,
        "path": str(installed.path) if installed else None,
        "bytes": status.bytes_on_disk,
        "last_used": datetime.datetime.fromtimestamp(used, datetime.UTC).isoformat("T", "seconds")
        if used
        else None,
        "end_of_life": definition.end_of_life,
        "python": definition.python,
        "java": list(definition.java),
        "java_home": str(installed.java_home) if installed and installed.java_home else None,
        "features": list(definition.features),
        "packages": dict(installed.packages) if installed else {},
        "jars": [jar.coordinates for jar in definition.jars],
        "conf": dict(definition.conf),
    }


@contextmanager
def _progress(name: str) -> Iterator[Progress]:
    """A bar on a terminal, lines elsewhere."""
    if not sys.stderr.isatty():
        yield lambda what, _share: note(f"{name}: {what}")
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.fields[release]}"),
        BarColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=1.0, release=name)
        yield lambda what, share: bar.update(task, completed=share, description=what)


def _mib(size: int) -> str:
    return f"{size / 1024**2:,.0f} MiB"


def _today() -> datetime.date:
    return datetime.datetime.now(datetime.UTC).date()
