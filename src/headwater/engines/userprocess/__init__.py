"""Engines for user code: Sail or Spark in a sandbox, one process for each principal and role.

`engine` is the interface, `pool` keeps the processes, `process` is one of them, `inside` the
program that runs in the sandbox.
"""
