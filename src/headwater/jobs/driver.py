"""Drives runs to their end: one thread, one pass over all active runs, again and again.

The metastore says what each run's state is, the attempts' folders what its processes did. A pass
only ever moves a run by a checked step, and every action that it takes can be taken again. So a
server may be killed between any two lines: the next one goes on. See docs/adr/0006.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.governance.ids import now_ms
from headwater.governance.state import PolicyStore
from headwater.governance.tokens import Tokens
from headwater.jobs.execution import JobKind, Look, Work
from headwater.jobs.folders import RunFolders
from headwater.jobs.kinds.sql import failed
from headwater.jobs.queue import Capacity, admit
from headwater.jobs.records import Ending, RunRecords, new_session_id
from headwater.jobs.spent import Books
from headwater.model.principal import Identity
from headwater.model.run import Attempt, FailureClass, Run, RunState, RunUsage
from headwater.telemetry.logs import log

_BUSY_SECONDS = 0.2
_IDLE_SECONDS = 5.0
_TOKEN_SPARE_SECONDS = 600.0
_PREPARING = 4
_PROGRESS_SECONDS = 2.0

_log = log("jobs")


class Driver:
    """Moves this home's runs forward, from `start` to `stop`."""

    def __init__(
        self,
        records: RunRecords,
        folders: RunFolders,
        kinds: Mapping[str, JobKind],
        policies: PolicyStore,
        tokens: Tokens,
        books: Books,
        capacity: Capacity,
    ) -> None:
        self._records = records
        self._folders = folders
        self._kinds = kinds
        self._policies = policies
        self._tokens = tokens
        self._books = books
        self.capacity = capacity
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._pool = ThreadPoolExecutor(_PREPARING, thread_name_prefix="run-prepare")
        self._preparing: dict[tuple[str, int], Future[None]] = {}
        self._noted: dict[tuple[str, int], tuple[float, Mapping[str, Any]]] = {}
        self._thread = threading.Thread(target=self._run, name="runs", daemon=True)

    def start(self) -> None:
        """Begins; runs that an earlier server left are taken up first."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the driving, not the runs."""
        self._stopping.set()
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join(10.0)
        self._pool.shutdown(wait=False, cancel_futures=True)

    def wake(self) -> None:
        """Has the next pass begin now."""
        self._wake.set()

    def once(self) -> int:
        """One pass; how many runs have not ended."""
        runs = self._records.active()
        for run in runs:
            if self._stopping.is_set():
                break
            self._guarded(run, lambda run=run: self._advance(run))  # type: ignore[misc]
        for run_id in admit(runs, self.capacity, now_ms()):
            if not self._stopping.is_set():
                self._records.admit(run_id, new_session_id())
        return len(runs)

    def _run(self) -> None:
        while not self._stopping.is_set():
            active = 0
            try:
                active = self.once()
            except HeadwaterError as exc:
                # The metastore or the disk; what was not recorded is done again.
                _log.warning("runs wait", code=exc.code, why=exc.message)
                active = 1
            except Exception:
                _log.exception("driving runs failed")
                active = 1
            self._wake.wait(_BUSY_SECONDS if active else _IDLE_SECONDS)
            self._wake.clear()

    def _guarded(self, run: Run, work: Callable[[], None]) -> None:
        """One run that cannot be moved must not keep the others from moving."""
        try:
            work()
        except HeadwaterError as exc:
            _log.warning("a run waits", run=run.id, code=exc.code, why=exc.message)
        except Exception:
            _log.exception("a run could not be moved", run=run.id)

    def _advance(self, run: Run) -> None:
        if run.state is RunState.SUBMITTED:
            self._records.step(run.id, RunState.QUEUED)
            self.wake()
            return
        if run.state is RunState.QUEUED:
            return
        attempt = self._records.attempt(run.id, run.attempt)
        if attempt is None:
            raise error(ErrorCode.INTERNAL_ERROR, f"run {run.id} has no attempt {run.attempt}")
        key = (run.id, attempt.number)
        preparing = self._preparing.get(key)
        if preparing is not None and preparing.done():
            del self._preparing[key]
            preparing = None
        if run.state is RunState.CANCELLING:
            self._cancel(run, attempt, preparing is not None)
        elif preparing is None and run.state is RunState.PENDING:
            self._preparing[key] = self._pool.submit(self._prepare, run, attempt)
        elif preparing is None:
            self._follow(run, attempt)

    def _work(self, run: Run, attempt: Attempt) -> Work:
        principal = self._policies.current().principals.get(run.principal_id)
        if principal is None:
            raise error(
                ErrorCode.PRINCIPAL_NOT_FOUND, f"the run's user {run.principal_name} is gone"
            )
        identity = Identity(
            principal,
            role=run.spec.role,
            session_id=attempt.session_id,
            client=f"run:{run.id}",
        )
        folder = self._folders.attempt(run.id, attempt.number)
        return Work(run, attempt, identity, self._folders.entry(run), folder)

    def _kind(self, run: Run) -> JobKind:
        kind = self._kinds.get(run.spec.kind)
        if kind is None:
            raise error(ErrorCode.NOT_SUPPORTED, f"runs of kind {run.spec.kind} are not possible")
        return kind

    def _prepare(self, run: Run, attempt: Attempt) -> None:
        """In a thread of its own, since a release may have to be installed."""
        try:
            work = self._work(run, attempt)
            self._policies.current().subject(work.identity)
            work.folder.make()
            self._give_token(work)
            if not self._records.step(run.id, RunState.SCHEDULED):
                return
            facts = self._kind(run).begin(work)
            if facts:
                self._records.note_attempt(run.id, attempt.number, **facts)
        except HeadwaterError as exc:
            self._fail(run, attempt, exc)
        except OSError as exc:
            self._fail(run, attempt, _disk(exc))
        except Exception as exc:
            _log.exception("a run could not be prepared", run=run.id)
            self._fail(run, attempt, error(ErrorCode.INTERNAL_ERROR, str(exc)))
        finally:
            self.wake()

    def _fail(self, run: Run, attempt: Attempt, exc: HeadwaterError) -> None:
        self._records.ended(run.id, attempt.number, failed(exc), RunUsage())

    def _follow(self, run: Run, attempt: Attempt) -> None:
        try:
            work = self._work(run, attempt)
            look = self._kind(run).look(work)
            if not look.begun and run.state is RunState.SCHEDULED:
                # A server was killed between the step and the start.
                self._kind(run).begin(work)
        except HeadwaterError as exc:
            self._fail(run, attempt, exc)
            return
        if look.begun and run.state is RunState.SCHEDULED:
            self._records.started(run.id, attempt.number)
        if look.ending is not None:
            self._end(work, look)
            return
        self._note_progress(run, attempt, look)

    def _cancel(self, run: Run, attempt: Attempt, preparing: bool) -> None:
        if attempt.state is RunState.PENDING and not preparing:
            folder = self._folders.attempt(run.id, attempt.number)
            if folder.read("plan") is None and attempt.started_ms is None:
                ending = Ending(RunState.CANCELLED, f"cancelled by {run.cancelled_by}")
                self._records.ended(run.id, attempt.number, ending, RunUsage())
                return
        try:
            work = self._work(run, attempt)
            self._kind(run).cancel(work)
            look = self._kind(run).look(work)
        except HeadwaterError as exc:
            self._fail(run, attempt, exc)
            return
        if look.ending is not None:
            self._end(work, look)

    def _end(self, work: Work, look: Look) -> None:
        assert look.ending is not None
        usage = self._books.completed(look.usage, work.attempt, work.identity.principal.name)
        ending = look.ending
        if ending.state is RunState.CANCELLED and work.run.state is not RunState.CANCELLING:
            # Somebody ended the processes from outside.
            ending = replace(ending, state=RunState.FAILED, failure=FailureClass.INFRASTRUCTURE)
        self._records.ended(work.run.id, work.attempt.number, ending, usage)
        self._noted.pop((work.run.id, work.attempt.number), None)
        self._folders.remove_secrets(work.folder)
        self.wake()

    def _give_token(self, work: Work) -> None:
        """Gives the attempt its token: good for this attempt alone, and no longer than it."""
        if (work.folder.secrets / "token").exists():
            return
        token = self._tokens.issue(
            work.identity.principal,
            work.identity.role,
            ttl=work.spec.timeout_seconds + _TOKEN_SPARE_SECONDS,
            session=work.attempt.session_id,
        )
        self._folders.write_token(work.folder, token)

    def _note_progress(self, run: Run, attempt: Attempt, look: Look) -> None:
        progress = look.facts.get("progress")
        if not progress:
            return
        key = (run.id, attempt.number)
        when, last = self._noted.get(key, (0.0, {}))
        if progress != last and time.monotonic() - when >= _PROGRESS_SECONDS:
            self._noted[key] = (time.monotonic(), progress)
            self._records.note_attempt(run.id, attempt.number, progress=dict(progress))


def _disk(exc: OSError) -> HeadwaterError:
    return error(
        ErrorCode.DISK_FULL if exc.errno in (28, 122) else ErrorCode.HOME_NOT_WRITABLE,
        f"the run's folder cannot be written: {exc.strerror}",
        hint="free some space in the home",
    )
