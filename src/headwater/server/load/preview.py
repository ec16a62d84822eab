"""What a file that was sent looks like before it is loaded: columns, types, rows, what is wrong.

Only its first rows are looked at, so that a large file is seen at once; the load itself finds the
types of columns that were left to it from all rows.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from sqlglot import exp

from headwater.engines.engine import Engine, GovernedPlan
from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.model.principal import Identity
from headwater.model.statement import Dialect, Limits
from headwater.server.load import emit
from headwater.server.load.files import (
    CsvOptions,
    Fault,
    FileFormat,
    LoadFile,
    diagnose,
    faults,
    inspect,
    is_array,
    seems_headless,
)
from headwater.sql.types import data_type, iceberg_type, trino_type

ROWS = 50
"""Rows that are shown."""

LOOKED_AT = 20_000
"""Rows that types are told from."""

_CHARACTERS = 200
_FAULTS = 20
_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class PreviewColumn:
    """A column of the file: Trino's type text, and values that are not of the type chosen.

    `unfit` counts rows among those looked at; `examples` are a few of their values.
    """

    name: str
    type: str
    inferred: str
    unfit: int = 0
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Preview:
    """A file's beginning: its columns, first rows as text, and faults by line."""

    format: FileFormat
    columns: tuple[PreviewColumn, ...]
    rows: tuple[tuple[str | None, ...], ...]
    faults: tuple[Fault, ...]
    separator: str | None = None
    header: bool | None = None
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Wish:
    """How to look at it: `header` None guesses; `types` are Iceberg types by column name."""

    separator: str | None = None
    header: bool | None = None
    types: Mapping[str, Any] = field(default_factory=dict)


def preview(engine: Engine, identity: Identity, file: LoadFile, wish: Wish) -> Preview:
    """Looks at a file; raises INVALID_FILE when it cannot be loaded at all."""
    header = wish.header
    if header is None and file.format is FileFormat.CSV:
        inspect(file)
        header = not seems_headless(file)
    layout = inspect(file, CsvOptions(wish.separator, header is not False))
    source = emit.reader([file], layout, skip_errors=not is_array(file))
    beginning = emit.first_rows(source, LOOKED_AT)
    look = _Looker(engine, identity)
    try:
        if layout is None:
            described = look(emit.columns_of(beginning))
        else:
            described = look(emit.text_columns_of(beginning, layout.columns))
        kinds = {
            row["column_name"]: exp.DataType.build(row["column_type"], dialect="duckdb")
            for row in described
        }
        names = list(kinds)
        texts = look(emit.texts_of(beginning, names, rows=ROWS, characters=_CHARACTERS))
        whole = len(look(f"SELECT 1 FROM {beginning.sql('duckdb')} OFFSET {LOOKED_AT - 1}")) == 0
        chosen = [(name, data_type(kind)) for name, kind in wish.types.items() if name in kinds]
        misfits = look(emit.unfit_of(beginning, chosen, each=3)) if chosen else []
    except HeadwaterError as exc:
        found = diagnose(file, layout)
        if found is not None:
            raise found from exc
        raise error(
            ErrorCode.INVALID_FILE,
            f"{file.name}: the file cannot be read as {file.format}; it may be damaged",
            hint="check how the file was written and sent",
        ) from exc
    return Preview(
        format=file.format,
        columns=tuple(_column(name, kinds[name], wish.types.get(name), misfits) for name in names),
        rows=tuple(tuple(_shorter(row[name]) for name in names) for row in texts),
        faults=tuple(faults(file, layout, most=_FAULTS, records=LOOKED_AT)),
        separator=layout.separator if layout else None,
        header=layout.header if layout else None,
        whole=whole,
    )


class _Looker:
    """Runs queries over a spooled file: nothing of the lake is in them."""

    def __init__(self, engine: Engine, identity: Identity) -> None:
        self._engine = engine
        self._identity = identity

    def __call__(self, statement: str) -> list[dict[str, Any]]:
        plan = GovernedPlan(
            f"preview-{secrets.token_hex(8)}",
            self._identity,
            statement,
            limits=Limits(seconds=_SECONDS),
        )
        stream = self._engine.execute(plan)
        try:
            return pa.Table.from_batches(list(stream), stream.schema).to_pylist()
        finally:
            stream.close()


def _column(
    name: str, kind: exp.DataType, wanted: Any, misfits: list[dict[str, Any]]
) -> PreviewColumn:
    inferred = trino_type(iceberg_type(emit.storable_type(kind), Dialect.DUCKDB))
    mine = [row for row in misfits if row["name"] == name]
    return PreviewColumn(
        name=name,
        type=trino_type(wanted) if wanted else inferred,
        inferred=inferred,
        unfit=sum(int(row["times"]) for row in mine),
        examples=tuple(str(_shorter(row["value"])) for row in mine),
    )


def _shorter(text: str | None) -> str | None:
    if text is None or len(text) <= _CHARACTERS:
        return text
    return text[:_CHARACTERS] + "…"


def suggested_name(file_name: str) -> str:
    """A table's name for a file: letters, digits and underscores, in lower case."""
    stem = file_name.rsplit("/", 1)[-1].split(".", maxsplit=1)[0]
    name = "".join(c if c.isalnum() else "_" for c in stem.casefold()).strip("_")
    while "__" in name:
        name = name.replace("__", "_")
    if not name or name[0].isdigit():
        name = f"t_{name}".rstrip("_")
    return name[:100]
