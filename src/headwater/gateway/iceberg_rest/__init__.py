"""Iceberg's REST catalog protocol at `/iceberg`: PyIceberg, DuckDB, Spark and others speak it.

Read `app` (routes, and how a request is answered), `wire` (requests and replies), `permits` (what
a caller may do), then `namespaces`, `tables`, `commits` and `views` (the operations).
"""
