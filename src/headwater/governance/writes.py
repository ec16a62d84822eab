"""What policies leave of a write."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from headwater.errors import ErrorCode, error
from headwater.governance.decide import Column, Rights
from headwater.governance.restrict import Restriction
from headwater.model.identifiers import TableIdentifier
from headwater.model.privilege import Privilege
from headwater.model.scan import EnforcementLevel, ScanColumn, WriteOperation

_WHOLE_TABLE = frozenset(
    {
        WriteOperation.TRUNCATE,
        WriteOperation.OPTIMIZE,
        WriteOperation.EXPIRE_SNAPSHOTS,
        WriteOperation.ALTER,
        WriteOperation.DROP,
    }
)
"""Operations on all rows and columns, those that the caller cannot see included."""

_ASSIGNS: dict[WriteOperation, tuple[Privilege, ...]] = {
    WriteOperation.INSERT: (Privilege.INSERT,),
    WriteOperation.UPDATE: (Privilege.UPDATE,),
    WriteOperation.MERGE: (Privilege.INSERT, Privilege.UPDATE),
}


def refuse_restricted(
    operation: WriteOperation, restriction: Restriction, identifier: TableIdentifier
) -> None:
    """Raises PERMISSION_DENIED for an operation on the whole of a table that is restricted."""
    if operation in _WHOLE_TABLE and restriction.level is not EnforcementLevel.COARSE:
        raise error(
            ErrorCode.PERMISSION_DENIED,
            f"{operation.value.replace('_', ' ').upper()} of table {identifier} is refused: a row "
            "filter, a column mask or a hidden column stands between you and the whole table",
            hint="somebody who sees the whole table can do it",
        )


def writable(
    operation: WriteOperation,
    seen: Rights,
    restriction: Restriction,
    fields: Sequence[Mapping[str, Any]],
) -> tuple[ScanColumn, ...]:
    """The visible, unmasked columns that the operation may assign, in table order.

    For MERGE: those that it may insert or update; `check_columns` and the writer see to the rest.
    ALTER assigns no values: it may name whatever is visible.
    """
    if operation is WriteOperation.ALTER:
        return tuple(restriction.columns)
    present = [field["id"] for field in fields]
    privileges = _ASSIGNS.get(operation, ())
    return tuple(
        column
        for column in restriction.columns
        if column.mask is None
        and any(
            seen.may_write(privilege, Column(column.field_id, column.name), present)
            for privilege in privileges
        )
    )


def check_columns(
    operation: WriteOperation,
    named: Iterable[str] | None,
    assignable: Sequence[ScanColumn],
    restriction: Restriction,
    fields: Sequence[Mapping[str, Any]],
    identifier: TableIdentifier,
) -> None:
    """Raises when a named column cannot be assigned, or a new row needs one that cannot.

    COLUMN_NOT_FOUND for a column that does not exist for the caller, else PERMISSION_DENIED.
    """
    if operation not in _ASSIGNS:
        return
    able = {column.name.casefold() for column in assignable}
    visible = {column.name.casefold(): column for column in restriction.columns}
    for name in named or ():
        if name.casefold() in able:
            continue
        column = visible.get(name.casefold())
        if column is None:
            raise error(
                ErrorCode.COLUMN_NOT_FOUND,
                f"column {name} does not exist in table {identifier}",
                hint="it has " + ", ".join(found.name for found in restriction.columns),
            )
        reason = "it is masked for you" if column.mask else "you may not write it"
        raise error(
            ErrorCode.PERMISSION_DENIED,
            f"column {column.name} of table {identifier} cannot be written: {reason}",
        )
    if operation is WriteOperation.UPDATE:
        if not assignable:
            raise _no_column(identifier)
        return
    missing = [
        field
        for field in fields
        if field.get("required")
        and field["name"].casefold() not in able
        and field.get("write-default") is None
    ]
    if missing:
        raise error(
            ErrorCode.PERMISSION_DENIED,
            f"rows cannot be added to table {identifier}: a required column is hidden from you, "
            "masked, or may not be written by you",
            hint="an administrator can make the column optional or give it a default",
        )
    if not assignable:
        raise _no_column(identifier)


def _no_column(identifier: TableIdentifier) -> Exception:
    return error(ErrorCode.PERMISSION_DENIED, f"no column of table {identifier} is yours to write")
