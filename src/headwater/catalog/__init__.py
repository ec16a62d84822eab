"""The Iceberg catalog: namespaces, tables, views, and the metadata engine that moves them on.

Read `catalog` (the facade), then `updates` (the pure engine on raw JSON), `schema` (helpers over
Iceberg schemas), `commits` (how a change becomes one database transaction) and `events` (outbox).
"""
