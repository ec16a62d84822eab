"""Puts what one caller may read where one user process can read it: as Parquet in its inbox."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class StagedTable:
    """A table as a user process reads it: a folder of Parquet files in its inbox.

    `path` is the folder as the process names it, `schema` its columns as Spark DDL, `key` what
    tells its content from any other's. `restricted` when a policy narrows what the caller
    sees: then the user's own code needs a sandbox.
    """

    name: str
    key: str
    path: str
    schema: str
    columns: tuple[str, ...]
    restricted: bool = False
    linked: bool = False


@dataclass(frozen=True, slots=True)
class StagedFiles:
    """Files of a granted location in the inbox: their paths there, format and reading options."""

    key: str
    paths: tuple[str, ...]
    format: str
    options: Mapping[str, str] = field(default_factory=dict)
