"""Bookkeeping that no client has to wait for: done by one thread, in order, moments later."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)

PAUSE_SECONDS = 0.25
"""How long work gathers: statements that follow each other share a transaction, and none of them
has to share the processor with the books of the one before."""


class Afterwards:
    """Runs what is added in the order of addition; whoever reads the books calls `flush` first.

    Work is done in batches, `pause` seconds after the first of it was added; `batch_done` is called
    after each. What is pending when the process dies is lost: add nothing that must survive.
    """

    def __init__(
        self, batch_done: Callable[[], None] | None = None, *, pause: float = PAUSE_SECONDS
    ) -> None:
        self._batch_done = batch_done
        self._pause = pause
        self._tasks: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._hurry = threading.Event()
        self._flushed: list[threading.Event] = []
        self._thread = threading.Thread(target=self._run, name="bookkeeping", daemon=True)
        self._starting = threading.Lock()
        self._started = False

    def add(self, task: Callable[[], None]) -> None:
        """Runs the task soon; its failure is logged."""
        if not self._started:
            with self._starting:
                if not self._started:
                    self._thread.start()
                    self._started = True
        self._tasks.put(task)

    def flush(self, seconds: float = 10.0) -> None:
        """Waits until everything added before is done, `seconds` at most."""
        if threading.current_thread() is self._thread:
            return
        waiting = threading.Event()
        self.add(lambda: self._flushed.append(waiting))
        self._hurry.set()
        waiting.wait(seconds)

    def _run(self) -> None:
        while True:
            tasks = [self._tasks.get()]
            self._hurry.wait(self._pause)
            self._hurry.clear()
            while not self._tasks.empty():
                tasks.append(self._tasks.get())
            for task in tasks:
                self._do(task)
            if self._batch_done is not None:
                self._do(self._batch_done)
            for waiting in self._flushed:
                waiting.set()
            self._flushed.clear()

    def _do(self, task: Callable[[], None]) -> None:
        try:
            task()
        except Exception:
            log.exception("bookkeeping failed")
