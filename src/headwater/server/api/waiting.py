"""Waiting for statements without holding a thread: hundreds of pages may wait at once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from headwater.query.query import Query


async def wait_until(query: Query, ready: Callable[[], bool], seconds: float) -> bool:
    """Waits until `ready` or the statement's end, `seconds` at most; whether it is ready."""
    query.touch()
    if ready() or query.state.is_final or seconds <= 0:
        return ready()
    loop = asyncio.get_running_loop()
    changed = asyncio.Event()

    def tell() -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(changed.set)

    stop = query.watch(tell)
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not ready() and not query.state.is_final:
                    await changed.wait()
                    changed.clear()
    finally:
        stop()
    query.touch()
    return ready()
