"""The columns that a query gives a table or view made of it."""

from __future__ import annotations

from headwater.errors import ErrorCode, Position, error
from headwater.model.statement import Dialect
from headwater.sql.relations import Bound
from headwater.sql.statements import ColumnDefinition
from headwater.sql.types import iceberg_type


def output_columns(
    bound: Bound, names: tuple[str, ...] | None, position: Position | None
) -> list[ColumnDefinition]:
    """Name and Iceberg type of each output column; `names` replace the query's own.

    Raises TYPE_MISMATCH for a wrong number of names, INVALID_ARGUMENT for a column without a name,
    DUPLICATE_COLUMN_NAME, and NOT_SUPPORTED for a type that Iceberg has not.
    """
    found = [name for name, _ in bound.output]
    if names is not None:
        if len(names) != len(found):
            raise error(
                ErrorCode.TYPE_MISMATCH,
                f"{len(names)} columns are named, but the query has {len(found)}",
                position=position,
            )
        found = list(names)
    folded = [name.casefold() for name in found]
    for name in found:
        if not name or name.startswith("_col"):
            raise error(
                ErrorCode.INVALID_ARGUMENT,
                "a column of the query has no name",
                hint="write expression AS name",
                position=position,
            )
        if folded.count(name.casefold()) > 1:
            raise error(
                ErrorCode.DUPLICATE_COLUMN_NAME,
                f"the query has two columns named '{name}'",
                hint="write expression AS name",
                position=position,
            )
    return [
        ColumnDefinition(name, iceberg_type(kind, Dialect.DUCKDB, position))
        for name, (_, kind) in zip(found, bound.output, strict=True)
    ]
