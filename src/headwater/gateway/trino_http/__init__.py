"""Trino's client protocol at `/v1/statement`, for the Trino CLI, Python, JDBC, SQLAlchemy and dbt.

Read `routes` (the HTTP edge), `session` (headers in and out), `results` (paging and waiting),
`types` and `encode` (Arrow to Trino's JSON), `errors` (the table of codes).
Source: Trino's documentation, "Trino client REST API".
"""
