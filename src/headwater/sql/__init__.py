"""SQL as trees: parse three dialects, bind names to governed scans, emit the engine's SQL. No I/O.

The user's text never reaches an engine: `parse` makes a `statements.Parsed*` value, `bind` resolves
every name through a resolver that knows only what the caller may see, `rewrite` puts the barrier
around each governed scan, `transpile` prints the tree for DuckDB.
"""
