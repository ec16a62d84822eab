"""Runs as clients see them: submit, list, cancel, retry, logs, usage; who may do what."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import sqlalchemy.exc

from headwater.errors import ErrorCode, error
from headwater.governance.ids import now_ms, uuid7
from headwater.governance.state import ADMIN_ROLE, PolicyStore
from headwater.jobs import logs, spent
from headwater.jobs.driver import Driver
from headwater.jobs.eventlog import Application, parse
from headwater.jobs.execution import JobKind
from headwater.jobs.folders import RunFolders, good_name, open_plain, sha256_of
from headwater.jobs.records import RunEvent, RunRecords
from headwater.jobs.spent import Grouping
from headwater.model.principal import Actor, Identity
from headwater.model.run import JAR, PYSPARK, Attempt, Entry, Run, RunSpec, RunState, RunUsage
from headwater.settings import JobSettings

_TEXT_NAMES = {"sql": "script.sql", "python": "main.py", "pyspark": "main.py"}
_LONGEST_SECONDS = 7 * 86400.0
_MOST_ATTEMPTS = 10
_UPLOAD_SECONDS = 24 * 3600.0

Fetch = Callable[[Identity, str, Path], None]
"""Copies a file of a location to a path, if the caller may read it; audited."""


@dataclass(frozen=True, slots=True)
class Program:
    """Where a run's program comes from: exactly one of text, bytes, upload id and URI is given."""

    text: str | None = None
    content: bytes | None = None
    upload: str | None = None
    uri: str | None = None
    name: str | None = None


class JobService:
    """What the API and other packages call; every method decides for its caller first."""

    def __init__(
        self,
        records: RunRecords,
        folders: RunFolders,
        kinds: Mapping[str, JobKind],
        policies: PolicyStore,
        settings: JobSettings,
        driver: Driver,
        fetch: Fetch | None = None,
        backend: str = "",
    ) -> None:
        """`backend` is where Spark runs go that do not say."""
        self._records = records
        self._folders = folders
        self._kinds = kinds
        self._policies = policies
        self._settings = settings
        self._driver = driver
        self._fetch = fetch
        self._backend = backend

    # --- submitting ---------------------------------------------------------------------------

    def submit(
        self, identity: Identity, spec: RunSpec, program: Program, request_id: str = ""
    ) -> Run:
        """Stores a run and returns it; it begins when there is room.

        The same idempotency key with the same request returns the run that is there. Raises
        INVALID_ARGUMENT, FILE_NOT_FOUND, PERMISSION_DENIED for a role that the caller does not
        hold, QUERY_QUEUE_FULL, DISK_FULL.
        """
        spec = replace(spec, role=self._role(identity, spec.role))
        asked = _request_hash(spec, program)
        if not spec.backend and spec.kind in (PYSPARK, JAR):
            spec = replace(spec, backend=self._backend)
        self._check(spec, program)
        if (known := self._known(identity, spec, asked)) is not None:
            return known
        self._check_room(identity)
        run_id = uuid7()
        default = program.uri or _TEXT_NAMES.get(spec.kind, "program.jar")
        name = good_name(program.name or default)
        try:
            # A file of a location is read with the rights that the run itself will have.
            entry = self._place(replace(identity, role=spec.role), run_id, name, program)
            spec = replace(spec, entry=entry)
            made = Run(
                run_id,
                spec,
                RunState.SUBMITTED,
                identity.principal.id,
                identity.principal.name,
                now_ms(),
            )
            self._records.submit(made, asked, _actor(identity, request_id))
        except sqlalchemy.exc.IntegrityError as exc:
            self._folders.remove(run_id)
            known = self._known(identity, spec, asked)
            if known is None:
                raise error(ErrorCode.INTERNAL_ERROR, "the run could not be stored") from exc
            return known
        except BaseException:
            self._folders.remove(run_id)
            raise
        self._driver.wake()
        return made

    def retry(self, identity: Identity, run_id: str, request_id: str = "") -> Run:
        """A new run like one that has ended; `retry_of` names it."""
        old = self.get(identity, run_id)
        if not old.state.is_final:
            raise error(
                ErrorCode.INVALID_ARGUMENT,
                f"the run is {old.state}",
                hint="cancel it first, or wait for its end",
            )
        if old.principal_id != identity.principal.id:
            raise error(
                ErrorCode.PERMISSION_DENIED,
                "a run goes on as its own user only",
                hint="submit it as yourself",
            )
        spec = replace(old.spec, retry_of=old.id, idempotency_key=None)
        spec = replace(spec, role=self._role(identity, spec.role))
        self._check_room(identity)
        source = self._folders.entry(old)
        run_id = uuid7()
        try:
            target = self._folders.place_entry(run_id, spec.entry.name)
            with _room():
                try:
                    os.link(source, target)
                except FileNotFoundError as exc:
                    raise error(
                        ErrorCode.FILE_NOT_FOUND, "the run's program is not kept any more"
                    ) from exc
            made = Run(
                run_id,
                spec,
                RunState.SUBMITTED,
                identity.principal.id,
                identity.principal.name,
                now_ms(),
            )
            asked = _request_hash(spec, Program(name=spec.entry.name))
            self._records.submit(made, asked, _actor(identity, request_id))
        except BaseException:
            self._folders.remove(run_id)
            raise
        self._driver.wake()
        return made

    def cancel(self, identity: Identity, run_id: str, request_id: str = "") -> Run:
        """Asks for the run's end; harmless when it has ended."""
        run = self.get(identity, run_id)
        changed = self._records.cancel(run.id, identity, _actor(identity, request_id))
        self._driver.wake()
        return changed or run

    # --- looking ------------------------------------------------------------------------------

    def get(self, identity: Identity, run_id: str) -> Run:
        """A run of the caller, or any run for an administrator; raises RUN_NOT_FOUND."""
        run = self._records.get(run_id)
        if run is None or not (
            run.principal_id == identity.principal.id or self.is_admin(identity)
        ):
            raise error(
                ErrorCode.RUN_NOT_FOUND,
                f"there is no run {run_id[:64]} of yours",
                hint="`headwater job list` shows them",
            )
        return run

    def attempts(self, run: Run) -> list[Attempt]:
        """The attempts of a run that `get` returned."""
        return self._records.attempts(run.id)

    def find(self, identity: Identity, *, everyone: bool = False, **filters: Any) -> list[Run]:
        """The caller's runs, newest first; of everyone for an administrator who asks so."""
        return self._records.find(principal_id=self._whose(identity, everyone), **filters)

    def events(self, run: Run, after: int = 0) -> list[RunEvent]:
        """What happened to a run that `get` returned."""
        return self._records.events(run.id, after)

    def refreshed(self, run: Run) -> Run:
        """A run that `get` returned, as it stands now."""
        return self._records.get(run.id) or run

    def read_log(self, run: Run, attempt: int, stream: str, offset: int) -> logs.Chunk:
        """Bytes of a stream of an attempt of a run that `get` returned."""
        return logs.read(self._folders.attempt(run.id, attempt).logs, stream, offset)

    def search_log(
        self, run: Run, attempt: int, stream: str, text: str, most: int = 500
    ) -> tuple[list[tuple[int, str]], bool]:
        """Lines that hold the text, whatever its case, each with the offset of its first byte.

        At most `most` lines, each cut to a thousand characters; True when there may be more.
        """
        folder, wanted = self._folders.attempt(run.id, attempt).logs, text.casefold()
        found: list[tuple[int, str]] = []
        rest, start, offset = b"", 0, 0
        while True:
            chunk = logs.read(folder, stream, offset)
            if chunk.start > offset or not offset:
                rest, start = b"", chunk.start
            data, offset = rest + chunk.data, chunk.next
            lines = data.split(b"\n")
            rest = lines.pop() if chunk.data else b""
            for line in lines:
                shown = line.decode("utf-8", "replace")
                if wanted in shown.casefold():
                    if len(found) == most:
                        return found, True
                    found.append((start, shown[:1000]))
                start += len(line) + 1
            if not chunk.data:
                return found, False

    def applications(self, run: Run, attempt: int) -> list[Application]:
        """What an attempt's own Sparks logged: stages, skew, spill; none for other programs."""
        found = []
        for path in self._folders.event_logs(run.id, attempt):
            # The run wrote it: it may be anything, but not a link out of its folder.
            with open_plain(path) as file:
                found.append(parse(file))
        return found

    def usage(
        self,
        identity: Identity,
        by: Grouping,
        *,
        tag: str | None = None,
        everyone: bool = False,
        since_ms: int = 0,
        until_ms: int | None = None,
    ) -> list[tuple[str, int, RunUsage]]:
        """Sums of what ended attempts used: key, number of runs, usage."""
        pairs = self._records.used(
            principal_id=self._whose(identity, everyone),
            since_ms=since_ms,
            until_ms=until_ms if until_ms is not None else now_ms() + 1,
        )
        return spent.grouped(pairs, by, tag)

    def uses_release(self, name: str) -> bool:
        """True while a run that has not ended names the release."""
        return any(run.spec.release == name for run in self._records.active())

    def is_admin(self, identity: Identity) -> bool:
        """True for a caller that acts with the role admin."""
        state = self._policies.current()
        role = state.role(ADMIN_ROLE)
        return role is not None and role.id in state.subject(identity).active

    # --- files --------------------------------------------------------------------------------

    @property
    def entry_bytes(self) -> int:
        """How large an uploaded program may be."""
        return self._settings.entry_bytes

    def begin_upload(self) -> tuple[str, Path]:
        """An id for a file that is being sent, and where its bytes go."""
        self._folders.forget_uploads(time.time() - _UPLOAD_SECONDS)
        return self._folders.upload()

    def end_upload(self, identity: Identity, upload_id: str) -> None:
        """Takes a file that has arrived in full."""
        self._folders.keep_upload(upload_id, identity.principal.id)

    def forget(self, before_ms: int) -> int:
        """Removes runs that ended before a time, with their files; how many."""
        ids = self._records.forget(before_ms)
        for run_id in ids:
            self._folders.remove(run_id)
        return len(ids)

    # --- parts --------------------------------------------------------------------------------

    def _whose(self, identity: Identity, everyone: bool) -> str | None:
        if not everyone:
            return identity.principal.id
        if not self.is_admin(identity):
            raise error(
                ErrorCode.PERMISSION_DENIED,
                "only administrators see the runs of everyone",
                hint="leave out --all to see yours",
            )
        return None

    def _role(self, identity: Identity, wanted: str | None) -> str | None:
        """The role that the run acts in; never more than the caller acts in now."""
        state = self._policies.current()
        if identity.role is not None and wanted not in (None, identity.role):
            outer = state.role(identity.role)
            inner = state.role(wanted or "")
            if outer is None or inner is None or inner.id not in state.closure(outer.id):
                raise error(
                    ErrorCode.PERMISSION_DENIED,
                    f"you act in the role {identity.role}, which does not hold {wanted}",
                    hint="submit with a token of all your roles, or of that role",
                )
        role = wanted or identity.role
        state.subject(replace(identity, role=role))
        return role

    def _check(self, spec: RunSpec, program: Program) -> None:
        kind = self._kinds.get(spec.kind)
        if kind is None:
            raise error(
                ErrorCode.INVALID_ARGUMENT,
                f"there are no runs of kind '{spec.kind[:40]}'",
                hint="kinds: " + ", ".join(sorted(self._kinds)),
            )
        given = (program.text, program.content, program.upload, program.uri)
        if sum(each is not None for each in given) != 1:
            raise error(
                ErrorCode.INVALID_ARGUMENT,
                "a run needs exactly one program",
                hint="give text, an upload or a URI",
            )
        compute, settings = spec.compute, self._settings
        capacity = self._driver.capacity
        for what, asked, most in (
            ("vcpu", compute.vcpu, capacity.vcpu),
            ("memory_bytes", compute.memory_bytes, capacity.memory_bytes),
            ("timeout_seconds", spec.timeout_seconds, _LONGEST_SECONDS),
            ("max_attempts", spec.retry.max_attempts, _MOST_ATTEMPTS),
        ):
            if not 0 < asked <= most:
                raise error(
                    ErrorCode.INVALID_ARGUMENT,
                    f"{what} is {asked:g}; it must be more than 0, and {most:g} at most here",
                )
        if program.text is not None and len(program.text.encode()) > settings.entry_bytes:
            raise error(ErrorCode.EXCEEDED_STATEMENT_SIZE, "the program is too large")
        kind.check(spec)

    def _check_room(self, identity: Identity) -> None:
        most = self._settings.waiting_per_principal
        active = self._records.count_active(identity.principal.id)
        if active >= most:
            raise error(
                ErrorCode.QUERY_QUEUE_FULL,
                f"you already have {active} runs that have not ended",
                hint="wait for some of them, or cancel them",
            )

    def _known(self, identity: Identity, spec: RunSpec, asked: str) -> Run | None:
        if spec.idempotency_key is None:
            return None
        found = self._records.by_key(identity.principal.id, spec.idempotency_key)
        if found is None:
            return None
        known, before = found
        if before != asked:
            raise error(
                ErrorCode.INVALID_ARGUMENT,
                f"the idempotency key belongs to run {known.id}, which asked for something else",
                hint="use a new key for a new request",
            )
        return known

    def _place(self, identity: Identity, run_id: str, name: str, program: Program) -> Entry:
        with _room():
            target = self._folders.place_entry(run_id, name)
            if program.text is not None:
                target.write_text(program.text, encoding="utf-8")
            elif program.content is not None:
                target.write_bytes(program.content)
            elif program.upload is not None:
                self._folders.take_upload(program.upload, identity.principal.id, target)
            else:
                assert program.uri is not None
                if self._fetch is None:
                    raise error(
                        ErrorCode.NOT_SUPPORTED,
                        "programs cannot be read from locations here",
                        hint="send the file with the request",
                    )
                self._fetch(identity, program.uri, target)
            target.chmod(0o600)
            return Entry(name, program.uri, sha256_of(target), target.stat().st_size)


@contextlib.contextmanager
def _room() -> Any:
    """Turns a full disk into DISK_FULL."""
    try:
        yield
    except OSError as exc:
        if exc.errno in (errno.ENOSPC, errno.EDQUOT):
            raise error(
                ErrorCode.DISK_FULL,
                "the home has no room for this run",
                hint="free some space and submit it again; nothing was kept",
            ) from exc
        raise error(
            ErrorCode.HOME_NOT_WRITABLE, f"the run's folder cannot be made: {exc.strerror}"
        ) from exc


def _request_hash(spec: RunSpec, program: Program) -> str:
    """What was asked for; an upload's id is not part of it, since a repetition sends it anew."""
    facts = spec.as_json() | {
        "entry": None,
        "text": program.text,
        "content": hashlib.sha256(program.content or b"").hexdigest(),
        "uri": program.uri,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _actor(identity: Identity, request_id: str) -> Actor:
    return Actor(identity.principal.id, identity.principal.name, request_id, client=identity.client)
