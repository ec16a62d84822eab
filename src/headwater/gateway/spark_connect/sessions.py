"""Sessions of Spark clients: settings, temporary views, functions, artifacts, operations.

A session belongs to one principal in one role: the same id sent by somebody else names another
session. What a client registers is kept here as it was sent, so that any engine process can be
brought to the session's state, and again after it died.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from typing import Any

from headwater.errors import ErrorCode, error
from headwater.gateway.spark_connect.conf import Conf
from headwater.gateway.spark_connect.encode import varint
from headwater.gateway.spark_connect.failures import SparkFailure, invalid_handle
from headwater.gateway.spark_connect.operations import Operation
from headwater.gateway.spark_connect.plans import SessionView
from headwater.model.identifiers import CATALOG_NAME
from headwater.model.principal import Identity
from headwater.model.statement import Dialect, Session

_IDLE_SECONDS = 3600.0
_ABANDONED_SECONDS = 300.0
_SESSIONS = 64
_OPERATIONS = 64
_ERRORS = 32
_CLOSED = 1024
_STATE_ENTRIES = 2000
_STATE_BYTES = 1 << 30

_GLOBAL = "global_temp."

DEFAULT_SCHEMA = "default"
"""The schema of a session that has not chosen one, as in Spark; it need not exist."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that a client registered: `kind` is function, table_function or
    artifact.

    `payload` is the serialised command (or the artifact's bytes), `version` grows with every
    change of the session.
    """

    kind: str
    name: str
    payload: bytes
    version: int


class Views(MutableMapping[str, SessionView]):
    """Temporary views by casefolded name: a session's own, and `global_temp.<name>`.

    The latter are shared by all sessions of a principal and role, as by those of an application.
    """

    def __init__(
        self,
        shared: dict[str, SessionView] | None = None,
        own: Mapping[str, SessionView] | None = None,
    ) -> None:
        self.shared = {} if shared is None else shared
        self._own = dict(own or {})

    def copy(self) -> Views:
        """The same views, for a session that goes its own way from here."""
        return Views(self.shared, self._own)

    def __getitem__(self, name: str) -> SessionView:
        return self._of(name)[name]

    def __setitem__(self, name: str, view: SessionView) -> None:
        self._of(name)[name] = view

    def __delitem__(self, name: str) -> None:
        del self._of(name)[name]

    def __iter__(self) -> Iterator[str]:
        return iter([*self._own, *list(self.shared)])

    def __len__(self) -> int:
        return len(self._own) + len(self.shared)

    def clear(self) -> None:
        """Forgets the session's own; the shared ones are for others as well."""
        self._own.clear()

    def _of(self, name: str) -> dict[str, SessionView]:
        return self.shared if name.startswith(_GLOBAL) else self._own


@dataclass(eq=False)
class SparkSession:
    """One client's session; `lock` guards everything but what is atomic by itself."""

    id: str
    identity: Identity
    server_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    conf: Conf = field(default_factory=Conf)
    catalog: str = CATALOG_NAME
    schema: str = DEFAULT_SCHEMA
    client: str = ""
    lock: threading.RLock = field(default_factory=threading.RLock)
    last_used: float = field(default_factory=time.monotonic)
    operations: OrderedDict[str, Operation] = field(default_factory=OrderedDict)
    errors: OrderedDict[str, SparkFailure] = field(default_factory=OrderedDict)
    views: Views = field(default_factory=Views)
    entries: dict[tuple[str, str], Entry] = field(default_factory=dict)
    mirrors: dict[str, Any] = field(default_factory=dict)
    relations: set[str] = field(default_factory=set)
    persisted: dict[int, bytes] = field(default_factory=dict)
    cached: set[tuple[str, ...]] = field(default_factory=set)
    version: int = 0
    closed: bool = False

    # --- statements -----------------------------------------------------------------------------

    def statements(self) -> Session:
        """The session as the query service takes it."""
        return Session(
            identity=replace(self.identity, client=self.client),
            dialect=Dialect.SPARK,
            catalog=self.catalog,
            schema=self.schema,
            time_zone=self.conf.time_zone,
            source=self.client,
        )

    # --- what the client registered -------------------------------------------------------------

    def put(self, kind: str, name: str, payload: bytes) -> None:
        """Registers something, in place of what has that kind and name."""
        with self.lock:
            size = sum(len(entry.payload) for entry in self.entries.values()) + len(payload)
            if len(self.entries) >= _STATE_ENTRIES or size > _STATE_BYTES:
                raise error(
                    ErrorCode.EXCEEDED_MEMORY_LIMIT,
                    "the session holds too many views, functions and artifacts",
                    hint="drop some, or open another session",
                )
            self.version += 1
            self.entries[kind, name] = Entry(kind, name, payload, self.version)

    def drop(self, kind: str, name: str) -> bool:
        """Forgets something; False when there was nothing."""
        with self.lock:
            found = self.entries.pop((kind, name), None)
            if found is not None:
                self.version += 1
            return found is not None

    def get(self, kind: str, name: str) -> Entry | None:
        """What was registered under that kind and name."""
        return self.entries.get((kind, name))

    def named(self, kind: str) -> list[Entry]:
        """What was registered of a kind, in order."""
        with self.lock:
            found = [entry for entry in self.entries.values() if entry.kind == kind]
        return sorted(found, key=lambda entry: entry.version)

    # --- operations and errors ------------------------------------------------------------------

    def begin(self, operation_id: str, tags: tuple[str, ...], *, reattachable: bool) -> Operation:
        """A new operation; raises OPERATION_ALREADY_EXISTS, QUERY_QUEUE_FULL for too many."""
        if operation_id:
            _check_id(operation_id)
        else:
            operation_id = str(uuid.uuid4())
        operation = Operation(
            operation_id,
            lambda response_id: self._envelope(operation_id, response_id),
            tags=tags,
            reattachable=reattachable,
        )
        with self.lock:
            if operation_id in self.operations:
                raise invalid_handle("OPERATION_ALREADY_EXISTS", operation_id)
            if len(self.operations) >= _OPERATIONS:
                raise error(
                    ErrorCode.QUERY_QUEUE_FULL,
                    f"the session runs {_OPERATIONS} operations already",
                    hint="wait for one to end",
                )
            self.operations[operation_id] = operation
        return operation

    def operation(self, operation_id: str) -> Operation:
        """The caller's operation; raises OPERATION_NOT_FOUND."""
        found = self.operations.get(operation_id)
        if found is None:
            raise invalid_handle("OPERATION_NOT_FOUND", operation_id)
        return found

    def end(self, operation: Operation) -> None:
        """Forgets an operation, stopping it if it runs."""
        with self.lock:
            if self.operations.get(operation.id) is operation:
                del self.operations[operation.id]
        operation.release()

    def remember(self, failure: SparkFailure) -> None:
        """Keeps an error for `FetchErrorDetails`."""
        with self.lock:
            self.errors[failure.id] = failure.alone()
            while len(self.errors) > _ERRORS:
                self.errors.popitem(last=False)

    def touch(self) -> None:
        """Notes a sign of life."""
        self.last_used = time.monotonic()

    def sweep(self) -> None:
        """Ends operations that nobody has read for long."""
        with self.lock:
            old = [o for o in self.operations.values() if o.detached_seconds > _ABANDONED_SECONDS]
        for operation in old:
            self.end(operation)

    @property
    def busy(self) -> bool:
        """True while an operation runs or is read. One that was only not released keeps no session
        from being closed: each program that ends without `spark.stop()` leaves such behind.
        """
        with self.lock:
            return not all(operation.idle for operation in self.operations.values())

    def close(self) -> None:
        """Ends everything that runs."""
        self.closed = True
        with self.lock:
            running = list(self.operations.values())
            self.operations.clear()
            mirrors = list(self.mirrors.values())
            self.mirrors.clear()
            self.entries.clear()
            self.views.clear()
        for operation in running:
            operation.interrupt()
            operation.release()
        for mirror in mirrors:
            mirror.close()

    def _envelope(self, operation_id: str, response_id: str) -> bytes:
        parts = []
        for tag, text in (
            (1, self.id),
            (15, self.server_id),
            (12, operation_id),
            (13, response_id),
        ):
            value = text.encode()
            parts += [varint(tag << 3 | 2), varint(len(value)), value]
        return b"".join(parts)


class Sessions:
    """All sessions, by principal, role and id."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sessions: dict[tuple[str, str | None, str], SparkSession] = {}
        self._closed: OrderedDict[tuple[str, str | None, str], None] = OrderedDict()

    def open(self, identity: Identity, session_id: str, observed: str = "") -> SparkSession:
        """The caller's session of that id, made when it is new.

        `observed` is the server-side id that the client saw last: when it is another one, the
        server was restarted and the session's state is gone (SESSION_CHANGED).
        """
        _check_id(session_id)
        key = (identity.principal.id, identity.role, session_id)
        with self._lock:
            found = self._sessions.get(key)
            if found is None:
                if key in self._closed:
                    raise invalid_handle("SESSION_CLOSED", session_id)
                if observed:
                    raise invalid_handle("SESSION_CHANGED", session_id)
                self._make_room(identity)
                views = Views(self._shared_views(identity))
                found = SparkSession(session_id, identity, views=views)
                self._sessions[key] = found
        if observed and observed != found.server_id:
            raise invalid_handle("SESSION_CHANGED", session_id)
        found.identity = identity
        found.touch()
        return found

    def find(self, identity: Identity, session_id: str, observed: str = "") -> SparkSession:
        """The caller's session of that id; raises SESSION_NOT_FOUND."""
        _check_id(session_id)
        found = self._sessions.get((identity.principal.id, identity.role, session_id))
        if found is None:
            raise invalid_handle("SESSION_NOT_FOUND", session_id)
        if observed and observed != found.server_id:
            raise invalid_handle("SESSION_CHANGED", session_id)
        found.touch()
        return found

    def release(self, identity: Identity, session_id: str, *, reconnect: bool) -> str:
        """Ends a session; its server-side id, or an empty text when there was none."""
        key = (identity.principal.id, identity.role, session_id)
        with self._lock:
            found = self._sessions.pop(key, None)
            if not reconnect:
                self._closed[key] = None
                while len(self._closed) > _CLOSED:
                    self._closed.popitem(last=False)
        if found is None:
            return ""
        found.close()
        return found.server_id

    def clone(self, source: SparkSession, new_id: str) -> SparkSession:
        """A new session with the settings and registrations of another of the same caller."""
        new_id = new_id or str(uuid.uuid4())
        if not _is_id(new_id):
            raise _invalid_clone(
                "FORMAT",
                new_id,
                "Target session ID {} for clone operation must be an UUID string of the format "
                "'00112233-4455-6677-8899-aabbccddeeff'.",
            )
        key = (source.identity.principal.id, source.identity.role, new_id)
        with self._lock:
            if key in self._closed:
                raise _invalid_clone(
                    "ALREADY_CLOSED",
                    new_id,
                    "Cannot clone session to target session ID {} because a session with this ID "
                    "was previously closed.",
                )
            if key in self._sessions:
                raise _invalid_clone(
                    "ALREADY_EXISTS",
                    new_id,
                    "Cannot clone session to target session ID {} because a session with this ID "
                    "already exists.",
                )
            self._make_room(source.identity)
            made = SparkSession(new_id, source.identity, conf=source.conf.copy())
            made.catalog, made.schema = source.catalog, source.schema
            made.client, made.version = source.client, source.version
            made.entries, made.views = dict(source.entries), source.views.copy()
            self._sessions[key] = made
        return made

    def sweep(self) -> None:
        """Ends what nobody has used for long."""
        with self._lock:
            old = [
                (key, session)
                for key, session in self._sessions.items()
                if not session.busy and time.monotonic() - session.last_used > _IDLE_SECONDS
            ]
            for key, _ in old:
                del self._sessions[key]
            others = list(self._sessions.values())
        for _, session in old:
            session.close()
        for session in others:
            session.sweep()

    def close(self) -> None:
        """Ends all."""
        with self._lock:
            sessions = list(self._sessions.values())
            self._sessions.clear()
        for session in sessions:
            session.close()

    def _shared_views(self, identity: Identity) -> dict[str, SessionView]:
        """Those of the principal's other sessions in the same role; the lock is held."""
        for (principal, role, _), session in self._sessions.items():
            if (principal, role) == (identity.principal.id, identity.role):
                return session.views.shared
        return {}

    def _make_room(self, identity: Identity) -> None:
        """Raises QUERY_QUEUE_FULL when the principal has too many; the lock is held."""
        mine = [s for key, s in self._sessions.items() if key[0] == identity.principal.id]
        if len(mine) < _SESSIONS:
            return
        idle = [s for s in mine if not s.busy]
        if not idle:
            raise error(
                ErrorCode.QUERY_QUEUE_FULL,
                f"{identity.principal.name} has {_SESSIONS} Spark sessions already",
                hint="stop one with spark.stop()",
            )
        oldest = min(idle, key=lambda session: session.last_used)
        del self._sessions[oldest.identity.principal.id, oldest.identity.role, oldest.id]
        threading.Thread(target=oldest.close, name="spark-session-close", daemon=True).start()


def _check_id(text: str) -> None:
    """Raises INVALID_HANDLE.FORMAT for anything but a UUID, as Spark does."""
    if not _is_id(text):
        raise invalid_handle("FORMAT", text)


def _is_id(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return len(text) == 36


def _invalid_clone(reason: str, target: str, why: str) -> SparkFailure:
    name = f"INVALID_CLONE_SESSION_REQUEST.TARGET_SESSION_ID_{reason}"
    told = f"[{name}] Invalid session clone request. {why.format(target[:64])} SQLSTATE: 42K04"
    return SparkFailure(
        told,
        ("org.apache.spark.SparkSQLException", "java.lang.Exception"),
        name,
        "42K04",
        parameters={"targetSessionId": target[:64]},
    )
