"""What tells one plan from another: its content, without the numbers that clients give to nodes."""

from __future__ import annotations

import zlib
from typing import Any


def essence(message: Any) -> bytes:
    """A plan's bytes without the numbers that the client gives its nodes."""
    copy = type(message)()
    copy.CopyFrom(message)
    _strip(copy)
    encoded: bytes = copy.SerializeToString(deterministic=True)
    return encoded


def _strip(message: Any) -> None:
    work = [message]
    while work:
        each = work.pop()
        if each.DESCRIPTOR.name in ("Relation", "Expression") and each.HasField("common"):
            each.ClearField("common")
        for described, value in each.ListFields():
            if described.message_type is None:
                continue
            if described.message_type.GetOptions().map_entry:
                if described.message_type.fields_by_name["value"].message_type is not None:
                    work += value.values()
            elif described.is_repeated:
                work += value
            else:
                work.append(value)


def hash_of(data: bytes) -> int:
    """A 32-bit number with a sign, as Java's `hashCode`."""
    value = zlib.crc32(data)
    return value - 2**32 if value >= 2**31 else value
