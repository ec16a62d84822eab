"""Stage 4: puts each governed scan's columns, filter and masks into the tree."""

from __future__ import annotations

from dataclasses import replace

from headwater.query.work import Work
from headwater.sql.rewrite import govern as govern_tree


def govern(work: Work) -> Work:
    """The tree that the engine may run: its leaves are governed scans behind their barriers."""
    if work.bound is None or work.tree is not None:
        return work
    return replace(work, tree=govern_tree(work.bound))
