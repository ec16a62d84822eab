"""Time-ordered identifiers."""

from __future__ import annotations

import secrets
import time
import uuid


def now_ms() -> int:
    """Milliseconds since the Unix epoch, UTC."""
    return time.time_ns() // 1_000_000


def uuid7() -> str:
    """A random UUID that sorts by the time it was made (RFC 9562, version 7)."""
    value = (now_ms() << 80) | secrets.randbits(80)
    value = (value & ~(0xF << 76)) | (7 << 76)
    value = (value & ~(0x3 << 62)) | (2 << 62)
    return str(uuid.UUID(int=value))
