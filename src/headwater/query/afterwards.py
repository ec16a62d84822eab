"""Bookkeeping that no client has to wait for: done by one thread, in order, moments later."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)


class Afterwards:
    """Runs what is added in the order of addition; whoever reads the books calls `flush` first.

    What is pending when the process dies is lost: add nothing that must survive.
    """

    def __init__(self) -> None:
        self._tasks: queue.Queue[Callable[[], None]] = queue.Queue()
        self._thread = threading.Thread(target=self._run, name="bookkeeping", daemon=True)
        self._started = threading.Lock()

    def add(self, task: Callable[[], None]) -> None:
        """Runs the task soon; its failure is logged."""
        with self._started:
            if not self._thread.is_alive():
                self._thread.start()
        self._tasks.put(task)

    def flush(self, seconds: float = 10.0) -> None:
        """Waits until everything added before is done, `seconds` at most."""
        if threading.current_thread() is self._thread:
            return
        done = threading.Event()
        self.add(done.set)
        done.wait(seconds)

    def _run(self) -> None:
        while True:
            task = self._tasks.get()
            try:
                task()
            except Exception:
                log.exception("bookkeeping failed")
