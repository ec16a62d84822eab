"""The governed scan and the governed write: the only leaves that an engine may see."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from headwater.model.identifiers import Namespace, TableIdentifier
from headwater.model.privilege import Privilege


class EnforcementLevel(StrEnum):
    """How a scan must be carried out (DESIGN: three levels of enforcement).

    `coarse`: no filter and no mask, an engine may read the files directly. `sql`: filter or mask,
    the system engine applies them behind a barrier. `isolated`: as `sql`, and the user's own code
    runs, so it gets Arrow from a system process.
    """

    COARSE = "coarse"
    SQL = "sql"
    ISOLATED = "isolated"


class MaskAction(StrEnum):
    """The nine actions of Iceberg REST `read-restrictions`, and an SQL expression of our own.

    All keep the column's type and map NULL to NULL.
    """

    MASK_ALPHANUM = "mask-alphanum"
    MASK_TO_FIXED_VALUE = "mask-to-fixed-value"
    REPLACE_WITH_NULL = "replace-with-null"
    SHOW_FIRST_4 = "show-first-4"
    SHOW_LAST_4 = "show-last-4"
    TRUNCATE_TO_YEAR = "truncate-to-year"
    TRUNCATE_TO_MONTH = "truncate-to-month"
    SHA_256_GLOBAL = "sha-256-global"
    SHA_256_QUERY_LOCAL = "sha-256-query-local"
    EXPRESSION = "expression"


@dataclass(frozen=True, slots=True)
class ColumnMask:
    """What a principal sees instead of a column's value.

    `expression` is set for `MaskAction.EXPRESSION` only: SQL in DuckDB's dialect over the table's
    own columns, every column written by its current name and quoted.
    """

    action: MaskAction
    name: str
    expression: str | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """Why something was allowed or refused; `id` is the audit row that says so."""

    id: str
    allowed: bool
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ScanColumn:
    """One visible column: its name at the scanned snapshot, Iceberg field id and Iceberg type.

    `type` is the Iceberg schema JSON: a string (`"long"`, `"decimal(10, 2)"`) or a dict for
    struct, list and map.
    """

    name: str
    field_id: int
    type: Any
    required: bool = False
    comment: str | None = None
    mask: ColumnMask | None = None


@dataclass(frozen=True, slots=True)
class GovernedScan:
    """What one principal may read of one table at one snapshot, and nothing else.

    `columns` holds the visible columns in table order; a hidden column does not exist. `row_filter`
    is SQL in DuckDB's dialect over the table's stored columns (hidden ones included), literals
    only, no subquery; it is evaluated on stored values, before masks. `metadata_location` pins the
    table's state: a metadata.json of the catalog. `snapshot_id` is None for a table without data.
    `hidden_columns` are needed by filter or masks but invisible. `policies` are `name@version` of
    the filters and masks applied. `through_view` says that a view leads here, whose own WHERE may
    hide rows from the caller.
    """

    identifier: TableIdentifier
    table_uuid: str
    metadata_location: str
    snapshot_id: int | None
    columns: tuple[ScanColumn, ...]
    row_filter: str | None
    level: EnforcementLevel
    decision: Decision
    hidden_columns: tuple[ScanColumn, ...] = ()
    policies: tuple[str, ...] = ()
    is_current: bool = True
    through_view: bool = False

    @property
    def is_restricted(self) -> bool:
        """True when a filter, a mask or a hidden column stands between principal and files."""
        return self.level is not EnforcementLevel.COARSE


@dataclass(frozen=True, slots=True)
class GovernedView:
    """A view that the caller may read: its text, and on whose behalf its tables are read.

    `dialect` is the one that `sql` is written in; `default_namespace` completes names in it.
    `columns` are the view's output as declared. The tables below are reached with
    `scan(…, via=identifier)`: the definer must still hold SELECT on them.
    """

    identifier: TableIdentifier
    view_uuid: str
    sql: str
    dialect: str
    default_namespace: Namespace
    columns: tuple[ScanColumn, ...]
    definer: str | None
    decision: Decision
    comment: str | None = None


class WriteOperation(StrEnum):
    """What a governed write does to its table."""

    CREATE = "create"
    INSERT = "insert"
    UPDATE = "update"
    DELETE = "delete"
    MERGE = "merge"
    TRUNCATE = "truncate"
    OPTIMIZE = "optimize"
    EXPIRE_SNAPSHOTS = "expire_snapshots"
    ALTER = "alter"
    DROP = "drop"

    @property
    def privileges(self) -> tuple[Privilege, ...]:
        """The privileges that the operation needs; UPDATE and MERGE also read."""
        return _NEEDS[self]


_NEEDS: dict[WriteOperation, tuple[Privilege, ...]] = {
    WriteOperation.CREATE: (Privilege.CREATE_TABLE,),
    WriteOperation.INSERT: (Privilege.INSERT,),
    WriteOperation.UPDATE: (Privilege.SELECT, Privilege.UPDATE),
    WriteOperation.DELETE: (Privilege.SELECT, Privilege.DELETE),
    WriteOperation.MERGE: (
        Privilege.SELECT,
        Privilege.INSERT,
        Privilege.UPDATE,
        Privilege.DELETE,
    ),
    WriteOperation.TRUNCATE: (Privilege.DELETE,),
    WriteOperation.OPTIMIZE: (Privilege.ALTER,),
    WriteOperation.EXPIRE_SNAPSHOTS: (Privilege.ALTER,),
    WriteOperation.ALTER: (Privilege.ALTER,),
    WriteOperation.DROP: (Privilege.DROP,),
}


@dataclass(frozen=True, slots=True)
class Groundwork:
    """Changes of a table that are committed together with those an engine makes on top of them.

    The engine meets the table as it is after `updates`; others meet all of it at once, or nothing.
    Both are raw JSON of the Iceberg REST specification.
    """

    requirements: tuple[dict[str, Any], ...]
    updates: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class GovernedWrite:
    """What one principal may write to one table.

    `columns` are the columns it may assign; `row_filter` limits UPDATE, DELETE and MERGE to rows
    the principal can see and every new row must satisfy it (WITH CHECK). `scan` is what the same
    principal reads of the table, for operations that read; None otherwise. `groundwork` is what
    the write builds on and commits with it.
    """

    identifier: TableIdentifier
    table_uuid: str | None
    operation: WriteOperation
    columns: tuple[ScanColumn, ...]
    row_filter: str | None
    decision: Decision
    scan: GovernedScan | None = None
    masked_columns: frozenset[str] = field(default_factory=frozenset)
    groundwork: Groundwork | None = None
