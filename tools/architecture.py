"""Draws docs/architecture.svg from the real import graph; `--check` fails when it has drifted."""
