"""Where tables' files live: file access, location checks, scoped credentials, the embedded S3.

Read `warehouse` (which locations are allowed), `fileio` (the one way to read and write),
`credentials` (what an engine or a foreign client gets), `open` (puts them together).
"""
