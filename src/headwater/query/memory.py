"""Memory that nobody uses any more, back to the operating system."""

from __future__ import annotations

import contextlib
import ctypes

import pyarrow as pa


def give_back() -> None:
    """Returns what Arrow and the C library keep for later; takes some tens of milliseconds.

    Both keep freed memory, and the C library much of it: each thread has a heap of its own.
    """
    pa.default_memory_pool().release_unused()
    with contextlib.suppress(OSError, AttributeError):  # glibc alone has it
        ctypes.CDLL(None).malloc_trim(0)
