"""Which tables a user process may read straight from their own files: hard links, no copy.

Only when the files hold exactly what the caller may see, in a form that every Spark reads the same:
no policy, no deletes, one schema since the table was made, plain Parquet, local disk.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from headwater.catalog.manifests import Content, live_entries
from headwater.catalog.schema import snapshot_by_id
from headwater.model.scan import EnforcementLevel, GovernedScan
from headwater.storage.fileio import FileIO, canonical

_MOST_FILES = 20_000
_PLAIN: dict[str, pa.DataType] = {
    "boolean": pa.bool_(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "date": pa.date32(),
    "string": pa.string(),
    "binary": pa.binary(),
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", tz="UTC"),
}
_SPARK = {
    "boolean": "BOOLEAN",
    "int": "INT",
    "long": "BIGINT",
    "float": "FLOAT",
    "double": "DOUBLE",
    "date": "DATE",
    "string": "STRING",
    "binary": "BINARY",
    "timestamp": "TIMESTAMP_NTZ",
    "timestamptz": "TIMESTAMP_LTZ",
}


def linkable_files(
    scan: GovernedScan, metadata: Mapping[str, Any], io: FileIO, root: str
) -> list[Path] | None:
    """The data files that are the scan, or None when they are not or cannot be shown.

    `root` is the warehouse's; files outside the table's own folder are never shown.
    """
    if (
        scan.level is not EnforcementLevel.COARSE
        or scan.through_view
        or scan.hidden_columns
        or scan.snapshot_id is None
        or len(metadata.get("schemas") or ()) != 1
        or "schema.name-mapping.default" in (metadata.get("properties") or {})
        or not root.startswith("file:///")
    ):
        return None
    fields = metadata["schemas"][0]["fields"]
    if any("initial-default" in field for field in fields) or [f["name"] for f in fields] != [
        column.name for column in scan.columns
    ]:
        return None
    wanted = {field["name"]: field["type"] for field in fields}
    if not all(_is_plain(kind) for kind in wanted.values()):
        return None
    folder = os.path.realpath(str(metadata["location"]).removeprefix("file://"))
    if not folder.startswith(os.path.realpath(root.removeprefix("file://")) + os.sep):
        return None
    found: list[Path] = []
    for entry in live_entries(io, snapshot_by_id(metadata, scan.snapshot_id)):
        if (
            entry.content is not Content.DATA
            or str(entry.file.get("file_format")).upper() != "PARQUET"
            or not canonical(entry.path).startswith("file:///")
            or len(found) >= _MOST_FILES
        ):
            return None
        path = Path(canonical(entry.path).removeprefix("file://"))
        if not os.path.realpath(path).startswith(folder + os.sep) or not _holds(path, wanted):
            return None
        found.append(path)
    return found


def spark_ddl(scan: GovernedScan) -> str:
    """The columns of a linkable scan as Spark's DDL."""
    return ", ".join(f"{quoted(c.name)} {_spark_type(c.type)}" for c in scan.columns)


def quoted(name: str) -> str:
    """A name as Spark's DDL writes it."""
    return "`" + name.replace("`", "``") + "`"


def _spark_type(kind: str) -> str:
    return _SPARK[kind] if kind in _SPARK else kind.upper()


def _is_plain(kind: Any) -> bool:
    """Nested types stay out: their fields evolve on their own, and files need not tell."""
    return isinstance(kind, str) and (kind in _PLAIN or kind.startswith("decimal("))


def _arrow_type(kind: str) -> pa.DataType:
    if kind in _PLAIN:
        return _PLAIN[kind]
    precision, _, scale = kind.removeprefix("decimal(").removesuffix(")").partition(",")
    return pa.decimal128(int(precision), int(scale))


def _holds(path: Path, wanted: Mapping[str, str]) -> bool:
    """True when a file that others may read has all the columns in their very types."""
    try:
        status = path.lstat()
    except OSError:
        return False
    if not status.st_mode & 0o004 or not os.path.isfile(path):
        return False
    columns = _columns(str(path), status.st_ino, status.st_size, status.st_mtime_ns)
    return columns is not None and all(
        columns.get(name) == _arrow_type(kind) for name, kind in wanted.items()
    )


@lru_cache(maxsize=50_000)
def _columns(path: str, _inode: int, _size: int, _time: int) -> dict[str, pa.DataType] | None:
    """A file's columns; data files never change, so they are looked at once."""
    try:
        schema = pq.read_schema(path)
    except (OSError, pa.ArrowException):
        return None
    if len(set(schema.names)) != len(schema.names):
        return None
    return {field.name: field.type for field in schema}
