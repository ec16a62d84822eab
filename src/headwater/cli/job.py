"""`headwater job`: run SQL scripts, Python, PySpark and JARs on the server, and follow them."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from headwater.cli.output import JsonFlag, UserOption, connect, note, print_json
from headwater.errors import ErrorCode, error
from headwater.model.statement import Dialect

if TYPE_CHECKING:
    from headwater.client.connection import Connection

app = typer.Typer(help="Run SQL scripts, Python, PySpark and JARs.", no_args_is_help=True)

_KINDS = {".sql": "sql", ".py": "python", ".jar": "jar"}
_FINAL = frozenset({"SUCCESS", "FAILED", "CANCELLED"})
_SIZES = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30}
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_CHUNK = 1024 * 1024
_SPARK = re.compile(rb"^\s*(?:from|import)\s+pyspark\b", re.MULTILINE)

Pairs = list[str] | None


@app.command("run")
def run(
    program: Annotated[str, typer.Argument(help="A file here, or a URI on a location.")],
    arguments: Annotated[
        list[str] | None,
        typer.Argument(help="What the program gets; behind -- when they begin with a dash."),
    ] = None,
    kind: Annotated[
        str | None, typer.Option(help="sql, python, pyspark or jar; else the file tells.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="What the run is called.")] = None,
    parameter: Annotated[
        Pairs, typer.Option("--param", "-p", help="NAME=VALUE, for ${NAME} in SQL scripts.")
    ] = None,
    environment: Annotated[Pairs, typer.Option("--env", help="NAME=VALUE of the program.")] = None,
    configuration: Annotated[Pairs, typer.Option("--conf", help="NAME=VALUE for Spark.")] = None,
    tag: Annotated[Pairs, typer.Option("--tag", help="NAME=VALUE to find and sum by.")] = None,
    main_class: Annotated[str | None, typer.Option("--class", help="A jar's main class.")] = None,
    release: Annotated[
        str | None, typer.Option(help="`headwater release list` shows them.")
    ] = None,
    backend: Annotated[
        str,
        typer.Option(
            help="local, spark-standalone, kubernetes, yarn, spark-connect; else the default."
        ),
    ] = "",
    executors: Annotated[int, typer.Option(help="Executors on a cluster.", min=0)] = 0,
    executor_vcpu: Annotated[float, typer.Option(help="CPUs of each.")] = 1.0,
    executor_memory: Annotated[str, typer.Option(help="Memory of each: 2g.")] = "2g",
    role: Annotated[str | None, typer.Option(help="Act in this role alone.")] = None,
    dialect: Annotated[Dialect, typer.Option(help="Of a SQL script.")] = Dialect.SPARK,
    schema: Annotated[str | None, typer.Option(help="Of unqualified names in a script.")] = None,
    vcpu: Annotated[float, typer.Option(help="CPUs that it is given.")] = 1.0,
    memory: Annotated[str, typer.Option(help="Memory that it is given: 512m, 2g.")] = "2g",
    timeout: Annotated[str | None, typer.Option(help="Most wall time: 90s, 10m, 2h.")] = None,
    attempts: Annotated[int, typer.Option(help="Attempts at most.", min=1, max=10)] = 1,
    retry_on: Annotated[
        list[str] | None,
        typer.Option(
            "--retry-on", help="user, timeout, out_of_memory, lost_engine, infrastructure."
        ),
    ] = None,
    backoff: Annotated[float, typer.Option(help="Seconds before the second attempt.")] = 5.0,
    key: Annotated[str | None, typer.Option(help="The same key never makes a second run.")] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Print its output, end with its end.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", help="End with its end.")] = False,
    user: UserOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Submit a run. With --follow or --wait, exit status 1 tells that it did not succeed."""
    path = None if "://" in program else Path(program)
    kind = kind or _kind_of(program, path)
    request: dict[str, Any] = {
        "kind": kind,
        "name": name or (path.name if path else program.rpartition("/")[2]),
        "arguments": arguments or [],
        "parameters": _pairs(parameter, "--param"),
        "environment": _pairs(environment, "--env"),
        "configuration": _pairs(configuration, "--conf"),
        "tags": _pairs(tag, "--tag"),
        "main_class": main_class,
        "release": release,
        "backend": backend,
        "role": role,
        "dialect": dialect,
        "schema": schema,
        "compute": {
            "vcpu": vcpu,
            "memory_bytes": _amount(memory, _SIZES, "--memory"),
            "executors": executors,
            "executor_vcpu": executor_vcpu,
            "executor_memory_bytes": _amount(executor_memory, _SIZES, "--executor-memory"),
        },
        "timeout_seconds": None if timeout is None else _amount(timeout, _SECONDS, "--timeout"),
        "retry": {"max_attempts": attempts, "backoff_seconds": backoff},
        "idempotency_key": key,
    }
    if retry_on:
        request["retry"]["on"] = retry_on
    with connect(user) as connection:
        request["program"] = (
            {"uri": program} if path is None else {"upload": _send(connection, path)}
        )
        if path is not None:
            request["program"]["name"] = re.sub(r"[^A-Za-z0-9._-]", "_", path.name).lstrip(".-")
        made = connection.post("/api/v1/job-runs", request)
        if follow:
            note(f"run {made['id']}")
            _follow(connection, made["id"])
        if follow or wait:
            made = _await_end(connection, made["id"])
    if as_json:
        print_json(made)
    elif follow or wait:
        note(_ending(made))
    else:
        print(made["id"])
    if (follow or wait) and made["state"] != "SUCCESS":
        raise typer.Exit(1)


@app.command("list")
def list_runs(
    state: Annotated[str | None, typer.Option(help="RUNNING, FAILED, …")] = None,
    kind: Annotated[str | None, typer.Option(help="sql, python, pyspark or jar.")] = None,
    name: Annotated[str | None, typer.Option(help="Of this name.")] = None,
    tag: Annotated[str | None, typer.Option(help="NAME=VALUE")] = None,
    everyone: Annotated[bool, typer.Option("--all", help="Of everyone (admins only).")] = False,
    since: Annotated[str | None, typer.Option(help="At most this old: 15m, 2h, 7d.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 30,
    user: UserOption = None,
    as_json: JsonFlag = False,
) -> None:
    """List runs, newest first."""
    with connect(user) as connection:
        runs = connection.get(
            "/api/v1/job-runs",
            state=state,
            kind=kind,
            name=name,
            tag=tag,
            all=everyone or None,
            since_ms=_since(since),
            limit=limit,
        )
    if as_json:
        print_json(runs)
        return
    rows = [
        (
            run["id"],
            run["state"],
            run["kind"],
            run["name"],
            run["user"],
            _moment(run["created_ms"]),
            _duration(run),
            run["reason"] or "",
        )
        for run in runs
    ]
    _print_table(("id", "state", "kind", "name", "user", "submitted", "took", "reason"), rows)


@app.command("show")
def show(run_id: str, user: UserOption = None, as_json: JsonFlag = False) -> None:
    """Show a run, its attempts and what they used."""
    with connect(user) as connection:
        run = connection.get(_path(run_id))
    if as_json:
        print_json(run)
        return
    facts = [
        ("run", run["id"]),
        ("name", run["name"]),
        ("kind", run["kind"]),
        ("backend", run["backend"]),
        ("program", run["program"]),
        ("state", run["state"]),
        ("reason", run["reason"]),
        ("user", run["user"]),
        ("role", run["role"]),
        ("submitted", _moment(run["created_ms"])),
        ("took", _duration(run)),
        ("tags", ", ".join(f"{k}={v}" for k, v in run["tags"].items())),
        ("retry of", run["retry_of"]),
    ]
    for label, value in facts:
        if value:
            print(f"{label:<10} {_plain(str(value))}")
    rows = [
        (
            str(attempt["number"]),
            attempt["state"],
            "" if attempt["exit_status"] is None else str(attempt["exit_status"]),
            _duration(attempt),
            f"{attempt['usage']['vcpu_seconds']:.1f}",
            f"{attempt['usage']['cpu_seconds'] + attempt['usage']['engine_cpu_seconds']:.1f}",
            _bytes(attempt["usage"]["peak_memory_bytes"]),
            attempt["usage"]["method"],
            attempt["sandbox"] or "",
            attempt["reason"] or "",
        )
        for attempt in run["attempts"]
    ]
    if rows:
        print()
        _print_table(
            (
                "attempt",
                "state",
                "exit",
                "took",
                "vCPU-s given",
                "CPU-s used",
                "peak",
                "measured",
                "sandbox",
                "reason",
            ),
            rows,
        )


@app.command("logs")
def logs(
    run_id: str,
    stream: Annotated[str, typer.Option(help="stdout or stderr.")] = "stdout",
    attempt: Annotated[int, typer.Option(help="0: the latest.", min=0)] = 0,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Until its end.")] = False,
    tail: Annotated[int | None, typer.Option(help="Only the last bytes.", min=1)] = None,
    user: UserOption = None,
) -> None:
    """Print what a run printed."""
    offset = -tail if tail else 0
    with connect(user) as connection:
        if follow:
            for text in _streamed(connection, run_id, stream, attempt, offset):
                _write(text, sys.stdout)
            return
        while True:
            part = connection.get(
                f"{_path(run_id)}/logs", stream=stream, attempt=attempt, offset=offset
            )
            if not part["text"]:
                return
            _write(part["text"], sys.stdout)
            offset = part["next"]


@app.command("cancel")
def cancel(run_id: str, user: UserOption = None, as_json: JsonFlag = False) -> None:
    """End a run with all of its processes."""
    with connect(user) as connection:
        run = connection.post(f"{_path(run_id)}/cancel", {})
    if as_json:
        print_json(run)
    else:
        note(_ending(run))


@app.command("retry")
def retry(run_id: str, user: UserOption = None, as_json: JsonFlag = False) -> None:
    """Submit a new run like one that has ended; prints its id."""
    with connect(user) as connection:
        run = connection.post(f"{_path(run_id)}/retry", {})
    if as_json:
        print_json(run)
    else:
        print(run["id"])


@app.command("stages")
def stages(
    run_id: str,
    attempt: Annotated[int, typer.Option(help="0: the latest.", min=0)] = 0,
    user: UserOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Show the stages of a run's own Spark: time, skew, shuffle and spill."""
    with connect(user) as connection:
        found = connection.get(f"{_path(run_id)}/spark", attempt=attempt)
    if as_json:
        print_json(found)
        return
    if not found:
        note("this run had no Spark of its own; its queries are in the history")
    for application in found:
        print(f"{application['id']}  Spark {application['spark']}  {application['seconds']:.1f} s")
        rows = [
            (
                f"{stage['id']}.{stage['attempt']}",
                stage["state"],
                str(stage["tasks"]),
                f"{stage['seconds']:.1f} s",
                f"{stage['cpu_seconds']:.1f}",
                f"{stage['skew']:.1f}x" + (" skewed" if stage["skewed"] else ""),
                _bytes(stage["shuffle_read_bytes"]),
                _bytes(stage["shuffle_write_bytes"]),
                _bytes(stage["disk_spilled_bytes"]),
                stage["failure"] or stage["name"],
            )
            for stage in application["stages"]
        ]
        names = ("stage", "state", "tasks", "took", "CPU-s", "longest / median")
        _print_table((*names, "shuffle read", "written", "spilled", "what"), rows)


@app.command("usage")
def usage(
    by: Annotated[str, typer.Option(help="user, role, tag, day, kind or run.")] = "user",
    tag: Annotated[str | None, typer.Option(help="With --by tag: the tag's name.")] = None,
    everyone: Annotated[bool, typer.Option("--all", help="Of everyone (admins only).")] = False,
    since: Annotated[str | None, typer.Option(help="Ended at most this long ago: 7d.")] = None,
    user: UserOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Sum up what runs were given and what they used."""
    with connect(user) as connection:
        rows = connection.get(
            "/api/v1/job-runs/usage",
            by=by,
            tag=tag,
            all=everyone or None,
            since_ms=_since(since),
        )
    if as_json:
        print_json(rows)
        return
    _print_table(
        (by, "runs", "vCPU-s given", "CPU-s used", "engine CPU-s", "GB-s", "read", "written"),
        [
            (
                row["key"],
                str(row["runs"]),
                f"{row['vcpu_seconds']:.1f}",
                f"{row['cpu_seconds']:.1f}",
                f"{row['engine_cpu_seconds']:.1f}",
                f"{row['memory_gb_seconds']:.1f}",
                _bytes(row["bytes_read"]),
                _bytes(row["bytes_written"]),
            )
            for row in rows
        ],
    )


def _kind_of(program: str, path: Path | None) -> str:
    suffix = Path(program).suffix.lower()
    if suffix not in _KINDS:
        raise error(
            ErrorCode.INVALID_ARGUMENT,
            f"the name of {program} does not tell its kind",
            hint="add --kind sql, python, pyspark or jar",
        )
    kind = _KINDS[suffix]
    if kind == "python" and path is not None and _SPARK.search(_head(path)):
        return "pyspark"
    return kind


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(64 * 1024)
    except OSError as exc:
        raise _unreadable(path, exc) from exc


def _send(connection: Connection, path: Path) -> str:
    try:
        with path.open("rb") as file:
            chunks = iter(lambda: file.read(_CHUNK), b"")
            return connection.upload(path.name, chunks, "/api/v1/job-files")
    except OSError as exc:
        raise _unreadable(path, exc) from exc


def _unreadable(path: Path, exc: OSError) -> Exception:
    return error(
        ErrorCode.INVALID_ARGUMENT, f"{path} cannot be read: {exc.strerror}", hint="check the path"
    )


def _follow(connection: Connection, run_id: str) -> None:
    """Prints stdout as it comes, then what went to stderr."""
    for text in _streamed(connection, run_id, "stdout", 0, 0):
        _write(text, sys.stdout)
    part = connection.get(f"{_path(run_id)}/logs", stream="stderr", offset=-64 * 1024)
    _write(part["text"], sys.stderr)


def _streamed(
    connection: Connection, run_id: str, stream: str, attempt: int, offset: int
) -> Iterator[str]:
    path = f"{_path(run_id)}/logs?follow=true&stream={stream}&attempt={attempt}&offset={offset}"
    pending = b""
    for chunk in connection.stream(path):
        pending += chunk
        *events, pending = pending.split(b"\n\n")
        for event in events:
            fields = dict(
                line.split(b": ", 1) for line in event.splitlines() if not line.startswith(b":")
            )
            if fields.get(b"event") == b"log":
                yield json.loads(fields[b"data"])["text"]


def _await_end(connection: Connection, run_id: str) -> dict[str, Any]:
    delay = 0.1
    while True:
        run: dict[str, Any] = connection.get(_path(run_id))
        if run["state"] in _FINAL:
            return run
        time.sleep(delay)
        delay = min(1.0, delay * 1.5)


def _ending(run: dict[str, Any]) -> str:
    reason = f": {_plain(run['reason'])}" if run["reason"] else ""
    return f"run {run['id']} {run['state']}{reason}"


def _path(run_id: str) -> str:
    return f"/api/v1/job-runs/{quote(run_id, safe='')}"


def _pairs(given: Pairs, flag: str) -> dict[str, str]:
    found = {}
    for each in given or ():
        key, equals, value = each.partition("=")
        if not equals or not key:
            raise error(ErrorCode.INVALID_ARGUMENT, f"{flag} takes NAME=VALUE, not {each!r}")
        found[key] = value
    return found


def _amount(text: str, units: dict[str, int], flag: str) -> int:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]?)b?", text.strip().lower())
    if match is None or match[2] not in units:
        raise error(
            ErrorCode.INVALID_ARGUMENT,
            f"{flag} cannot be {text!r}",
            hint="a number with one of: " + ", ".join(unit for unit in units if unit),
        )
    return int(float(match[1]) * units[match[2]])


def _since(text: str | None) -> int | None:
    if text is None:
        return None
    return int((time.time() - _amount(text, _SECONDS, "--since")) * 1000)


def _moment(ms: int | None) -> str:
    if ms is None:
        return ""
    return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(ms / 1000))


def _duration(found: dict[str, Any]) -> str:
    if found["started_ms"] is None:
        return ""
    ended = found["finished_ms"] or time.time() * 1000
    seconds = max(0.0, (ended - found["started_ms"]) / 1000)
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds // 3600)}:{int(seconds // 60) % 60:02}:{int(seconds) % 60:02}"


def _bytes(count: int) -> str:
    from headwater.cli.sql import bytes_text

    return bytes_text(count) if count else ""


def _plain(text: str) -> str:
    # Names and reasons come from users; a control character must not reach the terminal.
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def _write(text: str, out: Any) -> None:
    if out.isatty():
        text = "".join(c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in text)
    out.write(text)
    out.flush()


def _print_table(names: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    plain = [tuple(_plain(cell) for cell in row) for row in rows]
    widths = [max(len(row[at]) for row in [names, *plain]) for at in range(len(names))]
    for row in [names, *plain]:
        print(
            "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        )
