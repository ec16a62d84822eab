"""The messages inside a message."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from headwater.gateway.spark_connect.plans.model import Message


def inside_of(message: Message) -> Iterator[Message]:
    """The messages right inside a message, values of maps included."""
    for name, shape in _shape(message.DESCRIPTOR):
        if shape == "one":
            if message.HasField(name):
                yield getattr(message, name)
        elif shape == "many":
            yield from getattr(message, name)
        else:
            yield from getattr(message, name).values()


@lru_cache(maxsize=1024)
def _shape(descriptor: Message) -> tuple[tuple[str, str], ...]:
    found: list[tuple[str, str]] = []
    for each in descriptor.fields:
        if each.message_type is None:
            continue
        if each.message_type.GetOptions().map_entry:
            if each.message_type.fields_by_name["value"].message_type is not None:
                found.append((each.name, "map"))
        else:
            found.append((each.name, "many" if each.is_repeated else "one"))
    return tuple(found)
