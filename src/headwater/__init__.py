"""Headwater: an open, self-hosted lakehouse platform on Apache Iceberg.

The one idea is the governed scan: catalog and policies together yield the columns, rows, masks and
snapshot that one principal may have of one table, and engines see nothing else.
Read `headwater.model.scan`, `headwater.governance.access` and `headwater.query.pipeline` first.
"""

__version__ = "0.1.0"
