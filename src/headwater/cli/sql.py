"""`headwater sql`: one statement, its rows to stdout, what happened to stderr."""

from __future__ import annotations

import csv
import itertools
import json
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headwater.cli.output import UserOption, connect, note
from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.model.statement import Dialect, EngineChoice

if TYPE_CHECKING:
    import pyarrow as pa

    from headwater.client.connection import RemoteStatement, StatementStatus

app = typer.Typer(add_completion=False)

_PROGRESS_AFTER = 0.8


class Format(StrEnum):
    """How rows are printed: for people, for scripts, or as an Arrow IPC stream."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    ARROW = "arrow"


@app.command()
def sql(
    statement: Annotated[
        str | None, typer.Argument(help="The statement; left out, it is read from stdin.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="Read the statement from a file.")
    ] = None,
    user: UserOption = None,
    role: Annotated[str | None, typer.Option(help="Act in this role of the user.")] = None,
    dialect: Annotated[Dialect, typer.Option(help="How to read the statement.")] = Dialect.TRINO,
    engine: Annotated[
        EngineChoice, typer.Option(help="Who runs it; sail and spark need --dialect spark.")
    ] = EngineChoice.AUTO,
    schema: Annotated[str | None, typer.Option(help="Schema of unqualified names.")] = None,
    output: Annotated[Format, typer.Option("--format", help="How to print rows.")] = Format.TABLE,
    max_rows: Annotated[
        int, typer.Option(help="Rows that a table shows at most; other formats print all.", min=1)
    ] = 1000,
) -> None:
    """Run one SQL statement and print its result."""
    text = _statement_text(statement, file)
    if output is Format.ARROW and sys.stdout.isatty():
        raise error(
            ErrorCode.INVALID_ARGUMENT,
            "Arrow bytes do not belong on a terminal",
            hint="redirect the output to a file or a program",
        )
    started = time.monotonic()
    with connect(user, role) as connection:
        try:
            remote = connection.submit(text, dialect=dialect, engine=engine, schema=schema)
            try:
                _await_rows(remote)
                shown, total = _print(remote, output, max_rows)
                status = remote.check()
            except KeyboardInterrupt:
                remote.cancel()
                note("USER_CANCELED: the statement was canceled")
                raise
            except BrokenPipeError:
                remote.cancel()
                raise
        except HeadwaterError as exc:
            _show_place(text, exc)
            raise
    if output is Format.TABLE:
        note(_footer(status, shown, total, time.monotonic() - started))


def _statement_text(statement: str | None, file: Path | None) -> str:
    if statement is not None and file is not None:
        raise error(
            ErrorCode.INVALID_ARGUMENT, "give a statement or --file, not both", hint="drop one"
        )
    try:
        if file is not None:
            return file.read_text(encoding="utf-8")
        if statement is not None and statement != "-":
            return statement
        return sys.stdin.buffer.read().decode("utf-8")
    except OSError as exc:
        raise error(
            ErrorCode.INVALID_ARGUMENT,
            f"{file} cannot be read: {exc.strerror}",
            hint="check --file",
        ) from exc
    except UnicodeDecodeError as exc:
        raise error(
            ErrorCode.INVALID_ARGUMENT,
            f"the statement is not UTF-8: bad byte at offset {exc.start}",
            hint="save the file as UTF-8",
        ) from exc


def _await_rows(remote: RemoteStatement) -> None:
    """Shows progress on a terminal until rows can be read."""
    if not sys.stderr.isatty():
        return
    first = remote.poll(_PROGRESS_AFTER)
    if first.state.is_final:
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[scanned]}"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as progress:
        task = progress.add_task("queued", total=None, scanned="")
        status = first
        while not status.state.is_final:
            done = status.stats.get("progress")
            scanned = int(status.stats.get("scanned_bytes") or 0)
            progress.update(
                task,
                description=_doing(status),
                total=None if done is None else 1.0,
                completed=done or 0.0,
                scanned=f"{bytes_text(scanned)} read" if scanned else "",
            )
            status = remote.poll(0.25)


def _doing(status: StatementStatus) -> str:
    """What a statement does just now, in a word or two."""
    starts = status.engine_starting and status.engine
    return f"starting {str(status.engine).capitalize()}" if starts else status.state.lower()


def _print(remote: RemoteStatement, output: Format, max_rows: int) -> tuple[int, int]:
    """Prints the rows; returns how many were printed and how many there are."""
    import pyarrow as pa

    with ExitStack() as stack:
        reader = stack.enter_context(remote.reader())
        if output is Format.ARROW:
            out: Any = sys.stdout.buffer
            sink = stack.enter_context(pa.ipc.new_stream(out, reader.schema))
            return _counted(reader, sink.write_batch)
        if output is Format.TABLE:
            return _print_table(reader, max_rows)
        if not reader.schema.names:
            return _counted(reader, lambda _batch: None)
        if output is Format.CSV:
            writer = csv.writer(sys.stdout, lineterminator="\n")
            writer.writerow(reader.schema.names)
            return _counted(reader, lambda batch: writer.writerows(_csv_rows(batch)))
        return _print_json(reader)


def _counted(reader: pa.RecordBatchReader, write: Any) -> tuple[int, int]:
    count = 0
    for batch in reader:
        write(batch)
        count += batch.num_rows
    return count, count


def _print_table(reader: pa.RecordBatchReader, max_rows: int) -> tuple[int, int]:
    import pyarrow as pa

    from headwater.cli.table import Style, render

    kept: list[pa.RecordBatch] = []
    shown = total = 0
    for batch in reader:
        if shown < max_rows:
            part = batch.slice(0, max_rows - shown)
            kept.append(part)
            shown += part.num_rows
        total += batch.num_rows
    if reader.schema.names:
        terminal = sys.stdout.isatty()
        style = Style(shutil.get_terminal_size().columns if terminal else None, terminal)
        text = render(pa.Table.from_batches(kept, reader.schema), style)
        if text:
            print(text)
    return shown, total


def _print_json(reader: pa.RecordBatchReader) -> tuple[int, int]:
    from headwater.client.values import json_value

    names = _unique(reader.schema.names)
    count = 0
    separator = "["
    for batch in reader:
        for row in _rows(batch):
            fields = {name: json_value(value) for name, value in zip(names, row, strict=True)}
            print(separator + json.dumps(fields, ensure_ascii=False), end="")
            separator = ",\n"
            count += 1
    print("[]" if count == 0 else "]")
    return count, count


def _rows(batch: pa.RecordBatch) -> Iterator[tuple[Any, ...]]:
    from headwater.client.values import python_values

    return zip(*(python_values(column) for column in batch.columns), strict=True)


def _csv_rows(batch: pa.RecordBatch) -> Iterator[list[str | None]]:
    from headwater.client.values import text_of

    return ([text_of(value) for value in row] for row in _rows(batch))


def _unique(names: list[str]) -> list[str]:
    """Names for JSON's fields: a repeated name gets a number, so that no value is lost."""
    unique: list[str] = []
    for name in names:
        candidates = itertools.chain([name], (f"{name}_{number}" for number in itertools.count(2)))
        unique.append(next(item for item in candidates if item not in unique))
    return unique


def _show_place(text: str, exc: HeadwaterError) -> None:
    """Prints the line that an error points at, with a caret under the place."""
    lines = text.splitlines()
    if exc.position is None or not 1 <= exc.position.line <= len(lines):
        return
    from headwater.cli.table import cells, escape

    line, column = lines[exc.position.line - 1], exc.position.column
    start = max(0, column - 60)
    note("  " + escape(line[start : start + 100]))
    note("  " + " " * cells(escape(line[start : max(column - 1, 0)])) + "^")


def _footer(status: StatementStatus, shown: int, total: int, seconds: float) -> str:
    if status.update_type is not None:
        head = status.update_type
        if status.update_count is not None:
            head += f": {_rows_text(status.update_count)}"
    elif shown < total:
        head = f"the first {shown} of {_rows_text(total)} (--max-rows, --format csv)"
    else:
        head = _rows_text(total)
    parts = [head, f"{seconds:.2f} s"]
    scanned = int(status.stats.get("scanned_bytes") or 0)
    if scanned:
        parts.append(f"{bytes_text(scanned)} read")
    if status.release is not None:
        parts.append(f"on {status.release}")
    return "(" + ", ".join(parts) + ")"


def _rows_text(count: int) -> str:
    return f"{count:,} row" if count == 1 else f"{count:,} rows"


def bytes_text(count: float) -> str:
    """A number of bytes for people: `1.5 MiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
