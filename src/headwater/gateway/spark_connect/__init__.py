"""Spark Connect: PySpark clients log in with a token and run SQL, DataFrames and their own Python.

SQL goes to the system engine; what needs a Spark of its own goes to a process of the caller's,
which sees only what the caller may see.
"""
