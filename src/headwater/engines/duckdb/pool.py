"""The worker processes, server side: started by supervisors, lent to one statement at a time."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import select
import shutil
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from headwater.engines.duckdb.protocol import Configure, Connection, ProtocolError, Ready
from headwater.errors import ErrorCode, error
from headwater.runtimes.supervisor import (
    ChildCommand,
    ChildExit,
    ChildStatus,
    Launched,
    Supervisor,
)
from headwater.settings import child_environment

log = logging.getLogger(__name__)

START_SECONDS = 60.0


@dataclass(slots=True, eq=False)
class Worker:
    """One life of a worker process: its connection, and how it ended once it has."""

    name: str
    connection: Connection
    child: Launched
    ready: Ready
    killed: bool = False
    exit: ChildExit | None = None
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def trusted(self) -> bool:
        """True when the canary ran and no probe leaked: governed plans may run here."""
        return self.ready.probes > 0 and not self.ready.leaks

    def is_dead(self) -> bool:
        """True when an idle worker is gone, or says something unasked: of no use either way."""
        return bool(select.select([self.connection], [], [], 0)[0])

    def kill(self) -> None:
        """Kills the process; its supervisor starts another."""
        self.killed = True
        self.child.process.kill()


@dataclass(slots=True, eq=False)
class Ticket:
    """A place in the line for a worker."""

    worker: Worker | None = None
    abandoned: bool = False


class WorkerPool:
    """Workers behind supervisors; whoever waits longest gets the next free one.

    `folder` holds a folder for each worker, emptied at each start: it runs there and spills there.
    `configure(worker name)` makes the configuration of one life of a worker, with its own token.
    `ended(worker)` hears of every death.
    """

    def __init__(
        self,
        size: int,
        folder: Path,
        configure: Callable[[str], Configure],
        ended: Callable[[Worker], None],
    ) -> None:
        self._folder_of_workers = folder
        self._configure = configure
        self._worker_ended = ended
        self._changed = threading.Condition()
        self._idle: list[Worker] = []
        self._waiting: deque[Ticket] = deque()
        self._alive: dict[int, Worker] = {}
        self._closed = False
        self._lives = itertools.count(1)
        self._sockets: dict[int, tuple[str, socket.socket]] = {}
        self._supervisors = [
            Supervisor(
                f"engine worker {number}",
                self._launcher(number),
                ready=self._handshake,
                ended=self._buried,
                stop_seconds=2.0,
            )
            for number in range(1, size + 1)
        ]

    def start(self) -> None:
        """Starts every worker; returns at once, `acquire` waits for the first that serves."""
        for supervisor in self._supervisors:
            supervisor.start()

    def stop(self) -> None:
        """Ends every worker; those who wait for one get ENGINE_FAILED."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        stoppers = [threading.Thread(target=supervisor.stop) for supervisor in self._supervisors]
        for stopper in stoppers:
            stopper.start()
        for stopper in stoppers:
            stopper.join()

    @property
    def waiting(self) -> int:
        """How many wait for a worker."""
        with self._changed:
            return len(self._waiting)

    def acquire(self, ticket: Ticket, seconds: float) -> Worker:
        """A worker for the caller alone, in the order of asking; `release` it afterwards.

        Raises USER_CANCELED when the ticket is abandoned, EXCEEDED_TIME_LIMIT after `seconds`.
        """
        deadline = time.monotonic() + seconds
        while (worker := self._acquire(ticket, deadline)).is_dead():
            worker.kill()  # its death was not noticed yet
            ticket.worker = None
        return worker

    def _acquire(self, ticket: Ticket, deadline: float) -> Worker:
        with self._changed:
            self._waiting.append(ticket)
            self._hand_out()
            try:
                while ticket.worker is None:
                    if self._closed:
                        raise error(ErrorCode.ENGINE_FAILED, "The engine is shutting down")
                    if ticket.abandoned:
                        raise error(ErrorCode.USER_CANCELED, "The statement was canceled")
                    if not self._alive and self._cannot_start():
                        raise error(
                            ErrorCode.ENGINE_FAILED,
                            "The engine's workers do not start",
                            hint="the server's log has the reason; headwater doctor may name it",
                        )
                    left = deadline - time.monotonic()
                    if left > 0:
                        self._changed.wait(min(left, 1.0))
                    elif ticket.worker is None:
                        raise error(
                            ErrorCode.EXCEEDED_TIME_LIMIT,
                            "No engine worker became free within the statement's time limit",
                        )
            finally:
                if ticket.worker is None:
                    self._waiting.remove(ticket)
            return ticket.worker

    def abandon(self, ticket: Ticket) -> None:
        """Ends the wait of a ticket that has no worker yet."""
        with self._changed:
            ticket.abandoned = True
            self._changed.notify_all()

    def release(self, worker: Worker) -> None:
        """Gives a worker back; a dead one is forgotten."""
        with self._changed:
            if worker.exit is None and not worker.killed:
                self._idle.append(worker)
                self._hand_out()

    def workers(self) -> list[Worker]:
        """The workers that serve just now."""
        with self._changed:
            return list(self._alive.values())

    def children(self) -> list[ChildStatus]:
        """The state of every worker process."""
        return [supervisor.status() for supervisor in self._supervisors]

    def _cannot_start(self) -> bool:
        """True when every worker has failed to start three times in a row."""
        return all(child.failed_starts > 2 for child in self.children())

    def _hand_out(self) -> None:
        """Gives idle workers to those who wait, first come first served; the lock is held."""
        while self._idle and self._waiting:
            self._waiting.popleft().worker = self._idle.pop()
            self._changed.notify_all()

    def _folder(self, number: int) -> Path:
        """The emptied folder that a worker starts in and spills to."""
        folder = self._folder_of_workers / f"engine-{number}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700, parents=True)
        return folder

    def _launcher(self, number: int) -> Callable[[], Launched]:
        def launch() -> Launched:
            ours, theirs = socket.socketpair()
            try:
                command = ChildCommand(
                    (sys.executable, "-P", "-X", "faulthandler", "-m", f"{__package__}.worker"),
                    child_environment(),
                    self._folder(number),
                )
                child = Launched(command, stdin=theirs.fileno())
            except OSError:
                ours.close()
                raise
            finally:
                theirs.close()
            self._sockets[child.pid] = (f"engine-{number}.{next(self._lives)}", ours)
            return child

        return launch

    def _handshake(self, child: Launched) -> None:
        """Configures a new worker and takes it into the pool when it is ready."""
        name, ours = self._sockets[child.pid]
        connection = Connection(ours)
        ours.settimeout(START_SECONDS)
        connection.send(self._configure(name))
        ready = connection.receive()
        if not isinstance(ready, Ready):
            raise ProtocolError("a worker's first message is Ready")
        ours.settimeout(None)
        worker = Worker(name, connection, child, ready)
        if ready.leaks:
            log.error("%s leaks past the barrier: %s", name, ", ".join(ready.leaks))
        with self._changed:
            self._alive[child.pid] = worker
            self._idle.append(worker)
            self._hand_out()

    def _buried(self, child: Launched, ended: ChildExit) -> None:
        _, ours = self._sockets.pop(child.pid)
        with self._changed:
            worker = self._alive.pop(child.pid, None)
            if worker is not None:
                worker.exit = ended
                if worker in self._idle:
                    self._idle.remove(worker)
        ours.close()
        if worker is not None:
            self._worker_ended(worker)
            worker.ended.set()


def worker_memory(limit: int, workers: int) -> int:
    """Bytes of one worker's memory limit: the setting, or its share of 60 % of the machine's."""
    if limit:
        return limit
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with contextlib.suppress(OSError, ValueError):  # no cgroup v2, or "max"
        total = min(total, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return total * 6 // 10 // workers
