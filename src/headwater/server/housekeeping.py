"""What a running server does once a day: a fresh token, old history forgotten."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from headwater.errors import HeadwaterError
from headwater.server.parts import Parts
from headwater.telemetry.logs import log

_PERIOD_SECONDS = 86400.0
_LOOK_SECONDS = 60.0

_log = log("housekeeping")


class Housekeeping:
    """Runs the daily chores in a thread until `stop`; one that fails is logged and tried again."""

    def __init__(self, parts: Parts, publish: Callable[[], None]) -> None:
        self._parts = parts
        self._publish = publish
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)

    def start(self) -> None:
        """Begins; the first chores are due in a day."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread after the chore at hand."""
        self._stopping.set()

    def once(self) -> None:
        """All chores, now."""
        for chore in (self._publish, self._forget):
            try:
                chore()
            except HeadwaterError as exc:
                _log.error("a daily chore failed", chore=chore.__name__, why=str(exc))

    def _run(self) -> None:
        done = time.time()
        while not self._stopping.wait(_LOOK_SECONDS):
            # By the clock that tokens expire by: after a jump a new one is there in a minute.
            if abs(time.time() - done) >= _PERIOD_SECONDS:
                done = time.time()
                self.once()

    def _forget(self) -> None:
        kept = self._parts.settings.limits.history_days * 86400
        count = self._parts.queries.history.forget(int((time.time() - kept) * 1000))
        _log.info("old statements forgotten", count=count)
        runs_kept = self._parts.settings.jobs.keep_days * 86400
        count = self._parts.jobs.forget(int((time.time() - runs_kept) * 1000))
        _log.info("old runs forgotten", count=count)
