"""The wire between the server and an engine worker: typed, length-prefixed messages.

A frame is one byte of kind, the length of a JSON header and the length of a binary payload
(big-endian, 32 bits each), then both. Payloads are Arrow IPC. Nothing is ever unpickled, and
whatever is not exactly a known message raises `ProtocolError`: the reader then hangs up.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal, TypeAlias, get_args

HEADER = struct.Struct("!BII")
MAX_JSON_BYTES = 64 * 1024**2
MAX_PAYLOAD_BYTES = 1024**3

Mode: TypeAlias = Literal["coarse", "governed"]
"""Which DuckDB instance of the worker runs a statement."""


class ProtocolError(Exception):
    """The other side sent something that is no message; the connection is of no more use."""


class Disconnected(ProtocolError):
    """The other side hung up."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message; subclasses name their fields, all of them JSON scalars or lists of text."""

    kind: ClassVar[int] = 0
    payload: bytes | bytearray | memoryview = field(default=b"", kw_only=True, repr=False)


@dataclass(frozen=True, slots=True)
class Configure(Message):
    """Server to worker, once, first: what the worker may use. Carries secrets, so has no repr."""

    kind: ClassVar[int] = 1
    worker: str
    storage_kind: str
    root: str
    endpoint: str | None = field(repr=False)
    region: str
    access_key_id: str = field(repr=False)
    secret_access_key: str = field(repr=False)
    path_style: bool
    catalog_uri: str
    catalog_token: str = field(repr=False)
    memory_bytes: int
    threads: int
    spill_directory: str
    spill_bytes: int
    directories: list[str]
    canary_table: str
    canary_rows: int


@dataclass(frozen=True, slots=True)
class Ready(Message):
    """Worker to server: it serves. `leaks` names the barrier probes that failed, best empty."""

    kind: ClassVar[int] = 2
    engine_version: str
    probes: int
    leaks: list[str]
    seconds: float
    canary_seconds: float


@dataclass(frozen=True, slots=True)
class Input(Message):
    """Server to worker: an Arrow table (payload: an IPC stream) that the next statement names."""

    kind: ClassVar[int] = 3
    name: str


@dataclass(frozen=True, slots=True)
class Execute(Message):
    """Server to worker: run one statement; 0 bytes means the worker's own limit.

    `writes`: it needs the catalog attached. `quiet`: its error messages must not carry data.
    `before` and `after` run around `sql`, all in one transaction; the result is that of `sql`.
    `reach` (JSON, with keys, hence no repr) names what it may read when that is not the warehouse.
    """

    kind: ClassVar[int] = 4
    statement_id: str
    sql: str = field(repr=False)
    mode: str
    writes: bool
    quiet: bool
    time_zone: str
    memory_bytes: int
    scan_bytes: int
    before: list[str] = field(default_factory=list, repr=False)
    after: list[str] = field(default_factory=list, repr=False)
    reach: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Cancel(Message):
    """Server to worker: interrupt this statement if it still runs."""

    kind: ClassVar[int] = 5
    statement_id: str


@dataclass(frozen=True, slots=True)
class Schema(Message):
    """Worker to server: the result's schema (payload: an IPC schema message)."""

    kind: ClassVar[int] = 6
    statement_id: str


@dataclass(frozen=True, slots=True)
class Batch(Message):
    """Worker to server: rows of the result (payload: an IPC record batch message)."""

    kind: ClassVar[int] = 7
    statement_id: str


@dataclass(frozen=True, slots=True)
class Usage(Message):
    """What a statement used so far; seconds, bytes, rows; progress 0.0 to 1.0, -1.0 unknown."""

    kind: ClassVar[int] = 8
    statement_id: str
    cpu_seconds: float
    peak_memory_bytes: int
    scanned_bytes: int
    scanned_rows: int
    progress: float


@dataclass(frozen=True, slots=True)
class Done(Message):
    """Worker to server: the statement ended well; nothing more follows for it."""

    kind: ClassVar[int] = 9
    statement_id: str


@dataclass(frozen=True, slots=True)
class Failed(Message):
    """Worker to server: the statement ended with an error.

    `message` may be shown to the user; `detail` is for the server's log only. After `fatal` the
    worker is of no more use and exits.
    """

    kind: ClassVar[int] = 10
    statement_id: str
    code: str
    message: str
    hint: str | None
    detail: str = field(repr=False)
    fatal: bool


_KINDS: dict[int, type[Message]] = {
    cls.kind: cls
    for cls in (Configure, Ready, Input, Execute, Cancel, Schema, Batch, Usage, Done, Failed)
}
_CHECKS: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "str | None": (str, type(None)),
    "int": (int,),
    "float": (float, int),
    "bool": (bool,),
    "list[str]": (list,),
}
_FIELDS: dict[int, dict[str, tuple[type, ...]]] = {
    kind: {f.name: _CHECKS[str(f.type)] for f in fields(cls) if f.name != "payload"}
    for kind, cls in _KINDS.items()
}


class Connection:
    """One end of a worker's socket: any thread may send, one thread receives."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._sending = threading.Lock()

    def fileno(self) -> int:
        """The socket's descriptor, for `select`."""
        return self._socket.fileno()

    def send(self, message: Message) -> None:
        """Sends a message whole; blocks while the other side does not read (back-pressure)."""
        with self._sending:
            self._send(message)

    def try_send(self, message: Message) -> bool:
        """Sends a message unless another thread is sending just now; False then."""
        if not self._sending.acquire(blocking=False):
            return False
        try:
            self._send(message)
        finally:
            self._sending.release()
        return True

    def receive(self) -> Message:
        """The next message; raises Disconnected or ProtocolError."""
        header = self._read(HEADER.size)
        kind, json_bytes, payload_bytes = HEADER.unpack(header)
        if kind not in _KINDS or json_bytes > MAX_JSON_BYTES or payload_bytes > MAX_PAYLOAD_BYTES:
            raise ProtocolError("no frame of the engine protocol")
        text = self._read(json_bytes)
        payload = self._read(payload_bytes) if payload_bytes else b""
        return decode(kind, text, payload)

    def close(self) -> None:
        """Hangs up; a blocked `send` or `receive` of either side ends."""
        with contextlib.suppress(OSError):  # the other side was faster
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _send(self, message: Message) -> None:
        text = encode(message)
        frame = HEADER.pack(message.kind, len(text), len(message.payload)) + text
        try:
            if len(message.payload) < 65536:
                self._socket.sendall(frame + bytes(message.payload))
            else:
                self._socket.sendall(frame)
                self._socket.sendall(message.payload)
        except OSError as failure:
            raise Disconnected("the other side hung up") from failure

    def _read(self, size: int) -> bytearray:
        data = bytearray(size)
        view = memoryview(data)
        while view:
            try:
                count = self._socket.recv_into(view)
            except OSError as failure:
                raise Disconnected("the connection broke") from failure
            if count == 0:
                raise Disconnected("the other side hung up")
            view = view[count:]
        return data


def encode(message: Message) -> bytes:
    """The JSON header of a message: its fields but the payload."""
    if len(message.payload) > MAX_PAYLOAD_BYTES:
        raise ProtocolError(f"a payload of {len(message.payload)} bytes is too long for a frame")
    names = _FIELDS[message.kind]
    text = json.dumps({name: getattr(message, name) for name in names}).encode()
    if len(text) > MAX_JSON_BYTES:
        raise ProtocolError(f"a header of {len(text)} bytes is too long for a frame")
    return text


def decode(kind: int, text: bytes | bytearray, payload: bytes | bytearray = b"") -> Message:
    """The message of a frame; every field must be there, of its type, and no other."""
    try:
        values: Any = json.loads(text)
    except ValueError as failure:
        raise ProtocolError("a header is not JSON") from failure
    expected = _FIELDS.get(kind)
    if expected is None or not isinstance(values, dict) or values.keys() != expected.keys():
        raise ProtocolError("a header has not the fields of its kind")
    for name, types in expected.items():
        value = values[name]
        fits = isinstance(value, types) and (bool in types or not isinstance(value, bool))
        if fits and list in types:
            fits = all(isinstance(item, str) for item in value)
        if not fits:
            raise ProtocolError(f"the field {name} has not its type")
    if kind == Execute.kind and values["mode"] not in get_args(Mode):
        raise ProtocolError("an unknown mode")
    return _KINDS[kind](**values, payload=payload)
