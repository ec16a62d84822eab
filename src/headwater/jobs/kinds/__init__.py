"""The kinds of runs: SQL scripts in the server, Python and Spark programs in the sandbox."""
