"""Engines: what runs a governed plan. `engine` is the protocol; `duckdb` the system engine.

An engine sees only SQL that `headwater.sql` emitted, with governed scans and writes as its leaves.
"""
