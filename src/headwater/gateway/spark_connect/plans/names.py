"""Names as Spark writes them, and what a name means in a session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from headwater.errors import ErrorCode, error
from headwater.gateway.spark_connect.plans.model import SessionView
from headwater.model.identifiers import CATALOG_NAME, SnapshotRef
from headwater.model.statement import Session
from headwater.sql.statements import Name

GLOBAL = "global_temp"
"""The schema of temporary views that all sessions of a user process share."""

METADATA_TABLES = frozenset({"files", "history", "manifests", "partitions", "refs", "snapshots"})
"""Iceberg's metadata tables: Spark writes `db.t.files` for what the catalog calls `t$files`."""

_SPARK_CATALOG = "spark_catalog"


@dataclass(frozen=True, slots=True)
class Names:
    """What names mean at one place of a plan: the session, its views, and relations given by name.

    `given` are the names that a relation brings along (`spark.sql("… {df}", df=df)`).
    """

    session: Session
    views: Mapping[str, SessionView] = field(default_factory=dict)
    given: frozenset[str] = frozenset()

    def view(self, parts: tuple[str, ...]) -> SessionView | None:
        """The temporary view that a name means: those come before tables."""
        if len(parts) == 1:
            return self.views.get(parts[0].casefold())
        if len(parts) == 2 and parts[0].casefold() == GLOBAL:
            found = self.views.get(f"{GLOBAL}.{parts[1].casefold()}")
            if found is None:
                raise error(
                    ErrorCode.TABLE_NOT_FOUND, f"there is no global temporary view {parts[1]!r}"
                )
            return found
        return None

    def inside(self, view: SessionView) -> Names:
        """The names inside a view: those of its own time."""
        return Names(replace(self.session, schema=view.schema), view.views)


def table_name(parts: tuple[str, ...]) -> Name:
    """The catalog's name for a table of Spark's: `spark_catalog` is the one catalog there is."""
    if len(parts) > 1 and parts[0].casefold() == _SPARK_CATALOG:
        parts = (CATALOG_NAME, *parts[1:])
    return Name(parts)


def split_identifier(text: str) -> tuple[str, ...]:
    """The parts of a name as Spark writes it: dots between them, backquotes around odd ones."""
    parts: list[str] = []
    place = 0
    while True:
        if place < len(text) and text[place] == "`":
            found = ""
            place += 1
            while True:
                end = text.find("`", place)
                if end < 0:
                    raise _bad_name(text)
                found += text[place:end]
                place = end + 1
                if not text.startswith("`", place):
                    break
                found += "`"
                place += 1
            parts.append(found)
        else:
            end = text.find(".", place)
            end = len(text) if end < 0 else end
            part = text[place:end].strip()
            if not part or any(c in part for c in "`\0 \t\n\r;(),'\""):
                raise _bad_name(text)
            parts.append(part)
            place = end
        if place == len(text):
            break
        if text[place] != ".":
            raise _bad_name(text)
        place += 1
    if not all(parts) or len(parts) > 16:
        raise _bad_name(text)
    return tuple(parts)


def _bad_name(text: str) -> Exception:
    return error(
        ErrorCode.SYNTAX_ERROR,
        f"{text[:100]!r} is not a name",
        hint="write schema.table, with backquotes around a part that is not a plain word",
    )


_IGNORED_OPTIONS = frozenset(
    {"split-size", "lookback", "file-open-cost", "vectorization-enabled", "batch-size", "locality"}
)


def snapshot_of_options(options: Mapping[str, str]) -> SnapshotRef:
    """The state of a table that reading options ask for, by Iceberg's names and by Spark's."""
    found: list[SnapshotRef] = []
    for key, value in options.items():
        match key.lower():
            case "snapshot-id":
                found.append(SnapshotRef(snapshot_id=_number(key, value)))
            case "as-of-timestamp":
                found.append(SnapshotRef(timestamp_ms=_number(key, value)))
            case "branch" | "tag":
                found.append(SnapshotRef(ref=value))
            case "versionasof":
                number = value.strip()
                found.append(
                    SnapshotRef(snapshot_id=int(number))
                    if number.isdigit()
                    else SnapshotRef(ref=value)
                )
            case lowered if lowered in _IGNORED_OPTIONS:
                continue
            case _:
                raise error(
                    ErrorCode.NOT_SUPPORTED,
                    f"the option {key[:60]!r} of a table is not supported",
                    hint="snapshot-id, as-of-timestamp, branch, tag and versionAsOf are",
                )
    if len(found) > 1:
        raise error(ErrorCode.INVALID_ARGUMENT, "options name more than one state of the table")
    return found[0] if found else SnapshotRef()


def _number(key: str, value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise error(
            ErrorCode.INVALID_ARGUMENT, f"the option {key} needs a number, not {value[:40]!r}"
        ) from None
