"""Removes, from time to time, the files that no table refers to (`headwater.catalog.sweeper`)."""

from __future__ import annotations

import threading
import time

from headwater.catalog.catalog import Catalog
from headwater.catalog.sweeper import Sweeper, SweepReport
from headwater.errors import HeadwaterError
from headwater.settings import SweepSettings
from headwater.telemetry.logs import log

_FIRST_SECONDS = 60.0

_log = log("sweep")


class Sweeping:
    """Sweeps a minute after the start and then in each interval; one sweep at a time.

    A file's age is told by a clock that never jumps ahead: were the machine's clock set forward by
    a day, files of writers that are still at work would look a day old.
    """

    def __init__(self, catalog: Catalog, settings: SweepSettings) -> None:
        self._sweeper = Sweeper(catalog)
        self._settings = settings
        self._turn = threading.Lock()
        self._stopping = threading.Event()
        self._started_ms = _wall_ms()
        self._started = time.monotonic()

    def start(self) -> None:
        """Begins to sweep in a thread of its own, unless the interval is 0."""
        if self._settings.interval_seconds > 0:
            threading.Thread(target=self._run, name="sweep", daemon=True).start()

    def stop(self) -> None:
        """Ends the thread before its next sweep."""
        self._stopping.set()

    def sweep(self, *, delete: bool) -> SweepReport:
        """Looks for files without a table that are older than the grace; removes them if asked."""
        steady_ms = self._started_ms + int((time.monotonic() - self._started) * 1000)
        with self._turn:
            report = self._sweeper.sweep(
                grace_ms=int(self._settings.grace_seconds * 1000),
                delete=delete,
                now_ms=min(_wall_ms(), steady_ms),
            )
        for location, why in report.skipped:
            _log.warning("left alone", location=location, why=why)
        if delete and (report.orphans or report.purged):
            _log.info(
                "files without a table removed",
                files=len(report.orphans),
                bytes=report.bytes,
                tables=len(report.purged),
                first=[file.uri for file in report.orphans[:20]],
            )
        return report

    def _run(self) -> None:
        interval = self._settings.interval_seconds
        wait = min(_FIRST_SECONDS, interval)
        while not self._stopping.wait(wait):
            try:
                self.sweep(delete=True)
            except HeadwaterError as exc:
                if not self._stopping.is_set():
                    _log.error("the sweep failed", code=exc.code, why=exc.message)
            except Exception:
                _log.exception("the sweep failed")
            wait = interval


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000
