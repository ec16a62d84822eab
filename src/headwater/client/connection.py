"""A connection to the server's HTTP API; errors arrive as the HeadwaterError that was raised."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from headwater.client.endpoint import Endpoint
from headwater.errors import ErrorCode, HeadwaterError, Position, error
from headwater.model.statement import QueryState

if TYPE_CHECKING:
    import httpx2
    import pyarrow as pa

_SECONDS = 30.0
_POLL_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class StatementStatus:
    """What the server says of a statement; `stats` has the fields of `model.QueryStats`."""

    id: str
    state: QueryState
    error: HeadwaterError | None = None
    update_type: str | None = None
    update_count: int | None = None
    stats: Mapping[str, Any] = field(default_factory=dict)
    engine: str | None = None
    release: str | None = None
    engine_starting: bool = False


class Connection:
    """Talks to one server as the principal of one token; close it, or use it in `with`."""

    def __init__(self, endpoint: Endpoint) -> None:
        import httpx2

        self.endpoint = endpoint
        self._http = httpx2.Client(
            base_url=endpoint.url,
            headers={"authorization": f"Bearer {endpoint.token}"},
            verify=_trust(endpoint.ca_cert),
            # A proxy meant for the internet must neither see tokens nor stand before loopback.
            trust_env=False,
            timeout=_SECONDS,
        )

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection."""
        self._http.close()

    def as_user(self, user: str, role: str | None = None) -> Connection:
        """Another connection, with a short session token of that user; for admins."""
        issued = self.post("/api/v1/tokens", {"user": user, "role": role, "ttl_seconds": 900})
        return Connection(replace(self.endpoint, token=issued["token"]))

    def get(self, path: str, **params: Any) -> Any:
        """The JSON answer of a GET; parameters that are None are left out."""
        given = {name: value for name, value in params.items() if value is not None}
        return self._send("GET", path, params=given)

    def post(self, path: str, body: Any) -> Any:
        """The JSON answer of a POST."""
        return self._send("POST", path, json=body)

    def delete(self, path: str, **params: Any) -> Any:
        """The JSON answer of a DELETE, or None."""
        return self._send("DELETE", path, params=params)

    def upload(self, name: str, chunks: Iterator[bytes], path: str = "/api/v1/uploads") -> str:
        """Streams a file to the server; returns the upload's id, good for one load or run."""
        answer = self._send(
            "POST",
            path,
            params={"name": name},
            content=chunks,
            headers={"content-type": "application/octet-stream"},
            timeout=None,
        )
        return str(answer["id"])

    def submit(self, sql: str, **options: Any) -> RemoteStatement:
        """Starts a statement; `options` are the API's: dialect, engine, schema, parameters."""
        given = {name: value for name, value in options.items() if value is not None}
        answer = self.post("/api/v1/statements", {"sql": sql, **given})
        return RemoteStatement(self, answer["id"])

    def query(self, sql: str, **options: Any) -> pa.Table:
        """Runs a statement to its end and returns all rows; empty for a statement without rows."""
        return self.submit(sql, **options).table()

    def stream(self, path: str) -> Iterator[bytes]:
        """The bytes of a GET's answer as they arrive."""
        import httpx2

        try:
            with self._http.stream("GET", path, timeout=None) as response:
                if response.status_code >= 400:
                    response.read()
                    raise _failure(response)
                yield from response.iter_raw()
        except httpx2.HTTPError as exc:
            raise self._unreachable(exc) from exc

    def _send(self, method: str, path: str, **options: Any) -> Any:
        import httpx2

        try:
            response = self._http.request(method, path, **options)
        except httpx2.HTTPError as exc:
            raise self._unreachable(exc) from exc
        if response.status_code >= 400:
            raise _failure(response)
        return response.json() if response.content else None

    def _unreachable(self, exc: Exception) -> HeadwaterError:
        return error(
            ErrorCode.SERVER_UNREACHABLE,
            f"no answer from {self.endpoint.url}: {exc or type(exc).__name__}",
            hint="check that the server runs: `headwater up`",
        )


class RemoteStatement:
    """A statement that runs on the server."""

    def __init__(self, connection: Connection, statement_id: str) -> None:
        self.id = statement_id
        self._connection = connection
        self._path = f"/api/v1/statements/{quote(statement_id, safe='')}"

    def poll(self, seconds: float = _POLL_SECONDS) -> StatementStatus:
        """The statement's status, after at most `seconds`: sooner when its state changes."""
        answer = self._connection.get(self._path, wait=seconds)
        failure = answer.get("error")
        return StatementStatus(
            answer["id"],
            QueryState(answer["state"]),
            error_of(failure) if failure else None,
            answer.get("update_type"),
            answer.get("update_count"),
            answer.get("stats") or {},
            answer.get("engine"),
            answer.get("release"),
            bool(answer.get("engine_starting")),
        )

    def cancel(self) -> None:
        """Asks the server to stop the statement; harmless when it has ended."""
        self._connection.delete(self._path)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The result, batch by batch while it is produced; raises the statement's error."""
        with self.reader() as reader:
            yield from reader
        self.check()

    def reader(self) -> pa.RecordBatchReader:
        """The result as an Arrow stream; call `check` after its end."""
        import pyarrow as pa

        chunks = self._connection.stream(f"{self._path}/results?format=arrow")
        source = io.BufferedReader(_ChunkFile(chunks), 1024 * 1024)
        try:
            return pa.ipc.open_stream(source)
        except (pa.ArrowInvalid, OSError):
            self.check()
            raise

    def check(self) -> StatementStatus:
        """The final status; raises the statement's error if it failed or was canceled."""
        status = self.poll()
        while not status.state.is_final:
            status = self.poll()
        if status.error is not None:
            raise status.error
        return status

    def table(self) -> pa.Table:
        """The whole result."""

        with self.reader() as reader:
            table: pa.Table = reader.read_all()
        self.check()
        return table


class _ChunkFile(io.RawIOBase):
    """A readable file over an iterator of bytes."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = memoryview(chunk)
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def _trust(ca_cert: str | None) -> Any:
    if ca_cert is None:
        return True
    import ssl

    if not Path(ca_cert).exists():
        raise error(
            ErrorCode.INVALID_ARGUMENT,
            f"the certificate {ca_cert} does not exist",
            hint="copy the server's tls/ca.pem here and log in again with --ca-cert",
        )
    return ssl.create_default_context(cafile=ca_cert)


def _failure(response: httpx2.Response) -> HeadwaterError:
    try:
        return error_of(response.json())
    except (ValueError, KeyError, TypeError):
        return error(
            ErrorCode.SERVER_UNREACHABLE,
            f"unexpected answer {response.status_code} from {response.request.url.host}",
            hint="check that the URL is a Headwater server's",
        )


def error_of(answer: Mapping[str, Any]) -> HeadwaterError:
    """The error that an API answer `{code, message, hint, position}` tells of."""
    position = answer.get("position")
    try:
        code = ErrorCode(answer["code"])
    except ValueError:  # a newer server's
        code = ErrorCode.INTERNAL_ERROR
    return error(
        code,
        answer["message"],
        hint=answer.get("hint"),
        position=Position(position["line"], position["column"]) if position else None,
    )
