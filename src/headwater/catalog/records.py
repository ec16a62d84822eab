"""The catalog's tables in the metastore; migration 0002 creates them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, Table, Text
from sqlalchemy import UniqueConstraint as Unique

from headwater.store.metadata import JsonValue, Sequence64, metadata

namespaces = Table(
    "catalog_namespace",
    metadata,
    Column("id", Text, primary_key=True),
    Column("parent_id", Text, ForeignKey("catalog_namespace.id")),
    # Levels joined by the unit separator; `folded` is what SQL, to which case is nothing, compares.
    Column("path", Text, nullable=False),
    Column("folded", Text, nullable=False),
    Column("properties", Text, nullable=False),
    Unique("folded"),
    Index("ix_catalog_namespace_parent_id", "parent_id"),
)

objects = Table(
    "catalog_object",
    metadata,
    # The catalog's own id: never reused, never chosen by a client.
    Column("uuid", Text, primary_key=True),
    Column("namespace_id", Text, ForeignKey("catalog_namespace.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("folded", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("location", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("metadata_location", Text, nullable=False),
    # The metadata file's content to the byte: loading a table needs no storage.
    Column("metadata", Text, nullable=False),
    Unique("namespace_id", "folded"),
    Unique("location"),
)

retired_locations = Table(
    "catalog_retired_location",
    metadata,
    # Where a dropped table's or view's files lie until the sweeper removes them.
    Column("location", Text, primary_key=True),
    Column("uuid", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("purge", Boolean, nullable=False),
    Column("retired_ms", BigInteger, nullable=False),
)

events = Table(
    "catalog_event",
    metadata,
    Column("sequence", Sequence64, primary_key=True, autoincrement=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("object_id", Text, nullable=False),
    Column("namespace", Text, nullable=False),
    Column("name", Text),
    Column("principal_id", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("details", JsonValue, nullable=False),
    Index("ix_catalog_event_object_id", "object_id"),
    sqlite_autoincrement=True,
)

receipts = Table(
    "catalog_receipt",
    metadata,
    # What a request with an Idempotency-Key led to; kept for half an hour.
    Column("principal_id", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("request_hash", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Index("ix_catalog_receipt_at_ms", "at_ms"),
)

metrics = Table(
    "catalog_metrics_report",
    metadata,
    Column("id", Sequence64, primary_key=True, autoincrement=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("object_id", Text, nullable=False),
    Column("principal_id", Text, nullable=False),
    Column("report", JsonValue, nullable=False),
    sqlite_autoincrement=True,
)

connections = Table(
    "connection",
    metadata,
    # Other catalogs that are read from; a connection's secret is a file of the home.
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("definition", Text, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Unique("name"),
)

linked_schemas = Table(
    "connection_schema",
    metadata,
    # Namespaces that show one of another catalog; `remote` joins its levels as `path` does.
    Column("namespace_id", Text, ForeignKey("catalog_namespace.id"), primary_key=True),
    Column("connection_id", Text, ForeignKey("connection.id"), nullable=False),
    Column("remote", Text, nullable=False),
    Index("ix_connection_schema_connection_id", "connection_id"),
)

linked_tables = Table(
    "connection_table",
    metadata,
    # Rows of catalog_object in such namespaces: which table of the other catalog each was, as its
    # own table-uuid tells. None until it was read for the first time.
    Column("object_uuid", Text, primary_key=True),
    Column("namespace_id", Text, nullable=False),
    Column("table_uuid", Text),
    Index("ix_connection_table_namespace_id", "namespace_id"),
    Index("ix_connection_table_table_uuid", "table_uuid"),
)
