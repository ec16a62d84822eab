"""A table's columns in figures, by one query of the viewer's own: nulls, range, shape.

The query is plain SQL over the table as its viewer may see it, so figures of a masked column are
those of its masks, and rows behind a filter count for nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from headwater.model.identifiers import TableIdentifier, namespace_text
from headwater.model.scan import ScanColumn
from headwater.sql.types import quote

BARS = 12
"""Bars of a histogram."""

SAMPLED_ROWS = 200_000
"""Rows that figures are taken of; more are sampled at random."""

_TOP = 6
_TEXT = 60
_COLUMNS = 200

_NUMBERS = frozenset({"int", "long", "float", "double"})
_MOMENTS = frozenset({"date", "timestamp", "timestamptz", "timestamp_ns", "timestamptz_ns"})
_TEXTS = frozenset({"string", "boolean", "uuid"})


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    """What one column looks like among the rows that were looked at.

    `bars` are counts in BARS steps of equal width from `low` to `high` (numbers, or times in ISO
    form); `top` the commonest values of a text with their counts. `distinct` is approximate.
    """

    name: str
    nulls: int
    distinct: int | None = None
    low: float | str | None = None
    high: float | str | None = None
    bars: tuple[int, ...] = ()
    top: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Profile:
    """A table's visible rows, those that were looked at, and what the columns look like."""

    rows: int
    looked_at: int
    columns: tuple[ColumnProfile, ...] = field(default_factory=tuple)


def profile_statement(identifier: TableIdentifier, columns: Sequence[ScanColumn]) -> str:
    """The query, in DuckDB's dialect; one row, read by `read_profile`.

    The first 200 columns have figures.
    """
    table = f"{quote(namespace_text(identifier.namespace))}.{quote(identifier.name)}"
    numbered = list(enumerate(columns[:_COLUMNS]))
    taken = ", ".join(f"{_taken(column)} AS c{n}" for n, column in numbered)
    ranges = ", ".join(
        f"min({_measure(column, f'c{n}')}) AS lo{n}, max({_measure(column, f'c{n}')}) AS hi{n}"
        for n, column in numbered
        if _measured(column)
    )
    most = SAMPLED_ROWS
    parts = [
        f"w AS MATERIALIZED (SELECT count(*) AS whole FROM {table})",
        # Drawn as a column: DuckDB draws the number of `random() < (SELECT …)` once for all rows.
        f"x AS (SELECT {taken}, random() AS drawn FROM {table})",
        f"s AS MATERIALIZED (SELECT x.* FROM x CROSS JOIN w WHERE x.drawn * w.whole < {most})",
        f"r AS (SELECT {ranges or '1 AS none'} FROM s)",
    ]
    figures = ["(SELECT whole FROM w) AS whole", "count(*) AS looked_at"]
    for n, column in numbered:
        figures.append(f"count(c{n}) AS n{n}")
        if _measured(column):
            figures += [f"approx_count_distinct(c{n}) AS d{n}", f"any_value(lo{n}) AS lo{n}"]
            figures += [f"any_value(hi{n}) AS hi{n}", f"histogram({_bar(column, n)}) AS h{n}"]
        elif _listed(column):
            figures.append(f"approx_count_distinct(c{n}) AS d{n}")
            parts.append(
                f"t{n} AS (SELECT c{n} AS v, count(*) AS k FROM s WHERE c{n} IS NOT NULL "
                f"GROUP BY c{n} ORDER BY k DESC, v LIMIT {_TOP})"
            )
            figures.append(f"(SELECT list([v, CAST(k AS VARCHAR)]) FROM t{n}) AS t{n}")
    return f"WITH {', '.join(parts)} SELECT {', '.join(figures)} FROM s CROSS JOIN r"


def read_profile(row: Mapping[str, Any], columns: Sequence[ScanColumn]) -> Profile:
    """The profile that the query's one row tells of."""
    looked_at = int(row["looked_at"])
    found = []
    for n, column in enumerate(columns[:_COLUMNS]):
        nulls = looked_at - int(row[f"n{n}"])
        top = sorted(
            ((str(value), int(count)) for value, count in row.get(f"t{n}") or ()),
            key=lambda pair: (-pair[1], pair[0]),
        )
        found.append(
            ColumnProfile(
                name=column.name,
                nulls=nulls,
                distinct=row.get(f"d{n}"),
                low=_end(column, row.get(f"lo{n}")),
                high=_end(column, row.get(f"hi{n}")),
                bars=_bars(row.get(f"h{n}"), looked_at - nulls) if _measured(column) else (),
                top=tuple(top),
            )
        )
    return Profile(int(row["whole"]), looked_at, tuple(found))


def _measured(column: ScanColumn) -> bool:
    kind = column.type
    return isinstance(kind, str) and (
        kind in _NUMBERS or kind in _MOMENTS or kind.startswith("decimal")
    )


def _listed(column: ScanColumn) -> bool:
    return isinstance(column.type, str) and column.type in _TEXTS


def _taken(column: ScanColumn) -> str:
    """What of a value is worth to be kept for the figures: a few characters of a text."""
    name = quote(column.name)
    if column.type == "string":
        return f"substr({name}, 1, {_TEXT})"
    if _listed(column):
        return f"CAST({name} AS VARCHAR)"
    if _measured(column):
        return name
    return f"CASE WHEN {name} IS NULL THEN NULL ELSE 1 END"


def _measure(column: ScanColumn, name: str) -> str:
    """A column as a number: seconds since 1970 for times; infinities and NaN are left out."""
    if column.type in _MOMENTS:
        return f"epoch(CAST({name} AS TIMESTAMP))"
    number = f"CAST({name} AS DOUBLE)"
    if column.type in ("float", "double"):
        return f"CASE WHEN isfinite({number}) THEN {number} END"
    return number


def _bar(column: ScanColumn, n: int) -> str:
    place = f"({_measure(column, f'c{n}')} - lo{n}) / nullif(hi{n} - lo{n}, 0) * {BARS}"
    return f"TRY_CAST(floor({place}) AS INTEGER)"


def _end(column: ScanColumn, value: Any) -> float | str | None:
    if value is None or not math.isfinite(value):
        return None
    if column.type not in _MOMENTS:
        return float(value)
    days, seconds = divmod(int(value), 86400)
    try:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=days, seconds=seconds)
    except OverflowError:
        return None
    return moment.date().isoformat() if column.type == "date" else moment.isoformat()


def _bars(found: Any, filled: int) -> tuple[int, ...]:
    """The counts by bar; a column with one value only has one full bar."""
    if found is None:
        return (filled,) if filled else ()
    pairs = found.items() if isinstance(found, Mapping) else found
    counts = [0] * BARS
    for bar, count in pairs:
        if bar is not None:
            # The greatest value lies on the upper edge of the last bar.
            counts[min(int(bar), BARS - 1)] += int(count)
    if not any(counts):
        return (filled,) if filled else ()
    return tuple(counts)
