"""Names of schemas, tables and columns, and where in a table's history to read."""

from __future__ import annotations

from dataclasses import dataclass

CATALOG_NAME = "lake"
"""The name of the one catalog: `lake.sample.flights` in SQL, warehouse `lake` in Iceberg REST."""

Namespace = tuple[str, ...]
"""Levels of an Iceberg namespace, outermost first: `("sales", "eu")`; SQL writes `"sales.eu"`."""


def namespace_text(namespace: Namespace) -> str:
    """The namespace as SQL and people write it: levels joined by dots."""
    return ".".join(namespace)


def parse_namespace(text: str) -> Namespace:
    """The namespace that `namespace_text` wrote; dots separate levels."""
    return tuple(text.split("."))


@dataclass(frozen=True, slots=True, order=True)
class TableIdentifier:
    """The name of a table or view: `TableIdentifier(("sample",), "flights")`."""

    namespace: Namespace
    name: str

    def __str__(self) -> str:
        return f"{namespace_text(self.namespace)}.{self.name}"


@dataclass(frozen=True, slots=True)
class SnapshotRef:
    """Which state of a table to read; all None means the current state of `main`.

    At most one is set: `snapshot_id`; `timestamp_ms` (Unix epoch, UTC, inclusive); `ref` (a branch
    or tag).
    """

    snapshot_id: int | None = None
    timestamp_ms: int | None = None
    ref: str | None = None

    @property
    def is_current(self) -> bool:
        """True when no time travel was asked for."""
        return self.snapshot_id is None and self.timestamp_ms is None and self.ref is None


CURRENT = SnapshotRef()
