"""Threads that are kept for the next statement: starting one takes longer than waking one."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

_IDLE_SECONDS = 30.0

Task = Callable[[], None]


class Threads:
    """Runs each task at once, in a thread that nobody else uses meanwhile; tasks must not raise."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._guard = threading.Lock()
        self._idle: list[queue.SimpleQueue[Task]] = []

    def run(self, task: Task) -> None:
        """Starts a task; returns at once."""
        with self._guard:
            inbox = self._idle.pop() if self._idle else None
        if inbox is None:
            inbox = queue.SimpleQueue()
            threading.Thread(
                target=self._serve, args=(inbox,), name=self._name, daemon=True
            ).start()
        inbox.put(task)

    def _serve(self, inbox: queue.SimpleQueue[Task]) -> None:
        while True:
            try:
                task = inbox.get(timeout=_IDLE_SECONDS)
            except queue.Empty:
                with self._guard:
                    if inbox in self._idle:
                        self._idle.remove(inbox)
                        return
                continue  # a task is on its way
            task()
            del task  # or it would live until the next one comes
            with self._guard:
                self._idle.append(inbox)
