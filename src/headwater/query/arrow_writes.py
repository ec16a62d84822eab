"""Commits rows that a user process computed: a governed write like any other, in one commit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from headwater.sql.statements import Name, PartitionField, SortField


class WriteMode(StrEnum):
    """What happens to a target that exists, or does not (Spark's save modes and writeTo verbs)."""

    APPEND = "append"
    OVERWRITE = "overwrite"
    ERROR_IF_EXISTS = "error_if_exists"
    IGNORE = "ignore"
    CREATE = "create"
    REPLACE = "replace"
    CREATE_OR_REPLACE = "create_or_replace"
    OVERWRITE_PARTITIONS = "overwrite_partitions"
    OVERWRITE_WHERE = "overwrite_where"
    STATEMENT = "statement"


@dataclass(frozen=True, slots=True)
class WriteTarget:
    """Where rows go and how: a catalog table, or a folder of a granted location.

    `statement` is Spark SQL that names the sources like tables, for STATEMENT. `by_name` matches
    columns by name, else by position; `columns` are those that INSERT names. `must_exist`: the
    table is not made. `condition` (Spark SQL) is set for OVERWRITE_WHERE. `properties` and what
    else describes a table count when it is made. For a path, `format` and `options` are the
    writer's own.
    """

    mode: WriteMode
    statement: str | None = None
    table: Name | None = None
    path: str | None = None
    by_name: bool = False
    must_exist: bool = False
    columns: tuple[str, ...] | None = None
    condition: str | None = None
    partitioning: tuple[PartitionField, ...] = ()
    sorting: tuple[SortField, ...] = ()
    properties: Mapping[str, str] = field(default_factory=dict)
    comment: str | None = None
    format: str = "parquet"
    options: Mapping[str, str] = field(default_factory=dict)
