"""The nouns: frozen dataclasses that every layer shares. No I/O, no third-party imports.

Read `identifiers` (names), `principal` (who), `scan` (the governed scan), `statement` (what runs).
"""
