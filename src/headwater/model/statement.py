"""A statement as a client sent it, the limits it runs under, and what it used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from headwater.model.identifiers import CATALOG_NAME
from headwater.model.principal import Identity


class Dialect(StrEnum):
    """The SQL dialects that Headwater understands; DuckDB's is also what the engine runs."""

    TRINO = "trino"
    SPARK = "spark"
    DUCKDB = "duckdb"


class EngineChoice(StrEnum):
    """Who runs a statement: the system engine, the caller's own Sail or Spark, or whoever can."""

    AUTO = "auto"
    DUCKDB = "duckdb"
    SAIL = "sail"
    SPARK = "spark"


@dataclass(frozen=True, slots=True)
class Limits:
    """Upper bounds for one statement; None means the server's setting.

    Seconds of wall time, bytes of engine memory, bytes of Arrow results, bytes scanned.
    """

    seconds: float | None = None
    memory_bytes: int | None = None
    result_bytes: int | None = None
    scan_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """Who runs statements, and the names and settings they are read with."""

    identity: Identity
    dialect: Dialect = Dialect.TRINO
    catalog: str = CATALOG_NAME
    schema: str | None = None
    time_zone: str = "UTC"
    properties: dict[str, str] = field(default_factory=dict)
    limits: Limits = Limits()
    source: str = ""


@dataclass(frozen=True, slots=True)
class FileInput:
    """Rows that a statement reads under a name of its own: Parquet files that the server wrote.

    `schema` is their pyarrow schema; `files` lie where the engine may read, in its spool.
    """

    schema: Any
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL text with its positional parameters (Python values), exactly as the client sent it.

    `inputs` are rows that came along, by the plain names that the text has for them.
    `proven_only` asks for Spark's own answer or none: a query that is not proven to get it from the
    engine (see `headwater.sql.spark`) is NOT_SUPPORTED, and nothing of it runs.
    `engine` is who may run it; see `headwater.query.engine_choice`.
    """

    text: str
    parameters: tuple[Any, ...] = ()
    inputs: Mapping[str, FileInput] = field(default_factory=dict)
    proven_only: bool = False
    engine: EngineChoice = EngineChoice.DUCKDB


class QueryState(StrEnum):
    """Where a statement is; the last three are final."""

    QUEUED = "QUEUED"
    PLANNING = "PLANNING"
    RUNNING = "RUNNING"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"

    @property
    def is_final(self) -> bool:
        """True when nothing more will happen."""
        return self in (QueryState.FINISHED, QueryState.FAILED, QueryState.CANCELED)


@dataclass(frozen=True, slots=True)
class QueryStats:
    """What a statement used so far: seconds, bytes, rows; progress is 0.0 to 1.0 or unknown."""

    elapsed_seconds: float = 0.0
    queued_seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_memory_bytes: int = 0
    scanned_bytes: int = 0
    scanned_rows: int = 0
    result_rows: int = 0
    result_bytes: int = 0
    progress: float | None = None
