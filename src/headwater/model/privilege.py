"""Privileges and the things they are granted on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from headwater.model.identifiers import CATALOG_NAME, Namespace, TableIdentifier, namespace_text


class Privilege(StrEnum):
    """What a grant allows. A grant on a catalog or schema holds for everything below it.

    DESCRIBE is implied by every other privilege on the same object: who may read it may see it.
    """

    DESCRIBE = "DESCRIBE"
    SELECT = "SELECT"
    INSERT = "INSERT"
    UPDATE = "UPDATE"
    DELETE = "DELETE"
    CREATE_SCHEMA = "CREATE SCHEMA"
    CREATE_TABLE = "CREATE TABLE"
    CREATE_VIEW = "CREATE VIEW"
    ALTER = "ALTER"
    DROP = "DROP"
    MANAGE_GRANTS = "MANAGE GRANTS"
    IMPERSONATE = "IMPERSONATE"
    READ_FILES = "READ FILES"
    WRITE_FILES = "WRITE FILES"
    ALL = "ALL PRIVILEGES"


class SecurableKind(StrEnum):
    """What a privilege is granted on, outermost first."""

    CATALOG = "catalog"
    SCHEMA = "schema"
    TABLE = "table"
    VIEW = "view"
    COLUMN = "column"
    PRINCIPAL = "principal"
    LOCATION = "location"


@dataclass(frozen=True, slots=True)
class Securable:
    """One thing that can be granted on, by name: catalog, schema, table, view or column.

    `namespace` is empty for the catalog; `name` is the table or view (for `principal` its name, for
    `location` its URI);
    `column` is set for a column (top-level columns only).
    """

    kind: SecurableKind
    namespace: Namespace = ()
    name: str | None = None
    column: str | None = None

    @classmethod
    def catalog(cls) -> Securable:
        """The catalog itself."""
        return cls(SecurableKind.CATALOG)

    @classmethod
    def schema(cls, namespace: Namespace) -> Securable:
        """A schema (Iceberg namespace)."""
        return cls(SecurableKind.SCHEMA, namespace)

    @classmethod
    def table(cls, identifier: TableIdentifier) -> Securable:
        """A table."""
        return cls(SecurableKind.TABLE, identifier.namespace, identifier.name)

    @classmethod
    def view(cls, identifier: TableIdentifier) -> Securable:
        """A view."""
        return cls(SecurableKind.VIEW, identifier.namespace, identifier.name)

    @classmethod
    def location(cls, uri: str) -> Securable:
        """A location of files, by its normal URI; see `headwater.governance.locations`."""
        return cls(SecurableKind.LOCATION, name=uri)

    def __str__(self) -> str:
        if self.kind is SecurableKind.CATALOG:
            return f"catalog {CATALOG_NAME}"
        if self.kind is SecurableKind.PRINCIPAL:
            return f"principal {self.name}"
        if self.kind is SecurableKind.LOCATION:
            return f"location {self.name}"
        path = [namespace_text(self.namespace), self.name, self.column]
        return f"{self.kind} " + ".".join(part for part in path if part)
