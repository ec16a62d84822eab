"""One call of a client: who makes it, and what its metadata say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from headwater.model.principal import Identity


@dataclass(frozen=True, slots=True)
class Call:
    """Who calls, the metadata beside the token, and how the call's end is noticed.

    `alive` is False once the client is gone; `on_end` registers what runs then.
    """

    identity: Identity
    metadata: dict[str, str]
    alive: Callable[[], bool]
    on_end: Callable[[Callable[[], None]], bool]
