"""DuckDB 1.5.5 in supervised worker processes: the engine of interactive SQL and of every write.

Read `engine` (the server's side), `protocol` (what passes between), `worker` (the child process).
"""
