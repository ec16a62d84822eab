"""Releases: named, pinned bundles of Python, packages, Java and jars, made on demand."""
