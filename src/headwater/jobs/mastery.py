"""Notices that a cluster's master does not answer any more. Standard library only."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

_CONNECT_SECONDS = 3.0
_MASTER_PORT = 7077


class MasterWatch(threading.Thread):
    """Asks the masters of a standalone cluster now and then; none given: it does nothing.

    A master is `HOST:PORT`. One that answers is enough.
    """

    def __init__(self, masters: Sequence[str], seconds: float) -> None:
        super().__init__(name="master watch", daemon=True)
        self._masters = masters
        self._seconds = seconds
        self._silent_since: float | None = None

    @property
    def lost(self) -> str:
        """The masters, once they have not answered for too long; empty otherwise."""
        since = self._silent_since
        late = since is not None and time.monotonic() - since >= self._seconds
        return ", ".join(self._masters) if late else ""

    def verdict(self) -> str:
        """The masters, when none of them answers from now until the time is over."""
        if not self._masters:
            return ""
        self._ask()
        while self._silent_since is not None and not self.lost:
            time.sleep(min(0.5, self._seconds / 4))
            self._ask()
        return self.lost

    def run(self) -> None:
        """Asks until the process ends."""
        pause = max(0.2, min(5.0, self._seconds / 4))
        while self._masters:
            self._ask()
            time.sleep(pause)

    def _ask(self) -> None:
        if any(answers(master) for master in self._masters):
            self._silent_since = None
        elif self._silent_since is None:
            self._silent_since = time.monotonic()


def masters_of(url: str) -> list[str]:
    """The addresses in `spark://HOST:PORT,HOST:PORT`; none for another kind of cluster."""
    if not url.startswith("spark://"):
        return []
    return url.removeprefix("spark://").split(",")


def answers(master: str) -> bool:
    """True when a master accepts a connection."""
    with contextlib.suppress(OSError, ValueError):
        place = urlsplit(f"//{master}")
        address = (place.hostname or "", place.port or _MASTER_PORT)
        with socket.create_connection(address, _CONNECT_SECONDS):
            return True
    return False
