"""Tables of other Iceberg REST catalogs, linked for reading: connections, and what they show.

A linked schema's tables have rows in the metastore like own ones, so that grants, filters and masks
bind to them; their state is asked of the other catalog. See `docs/adr/0009-linked-catalogs.md`.
"""
