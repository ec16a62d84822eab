"""The gRPC server: TLS, limits, authentication, and the twelve calls of Spark Connect's service."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.gateway.spark_connect.calls import Call
from headwater.gateway.spark_connect.failures import SparkFailure, spark_failure
from headwater.gateway.spark_connect.protocol import SERVICE, Messages, messages
from headwater.gateway.spark_connect.wire import parse
from headwater.model.principal import Identity

if TYPE_CHECKING:
    from headwater.gateway.spark_connect.service import SparkConnectService

log = logging.getLogger(__name__)

_MESSAGE_BYTES = 128 * 2**20
_THREADS = 256
_METADATA_BYTES = 32 * 1024
_DRAIN_SECONDS = 2.0

_UNARY = {
    "AnalyzePlan": "AnalyzePlanRequest",
    "Config": "ConfigRequest",
    "ArtifactStatus": "ArtifactStatusesRequest",
    "Interrupt": "InterruptRequest",
    "ReleaseExecute": "ReleaseExecuteRequest",
    "ReleaseSession": "ReleaseSessionRequest",
    "FetchErrorDetails": "FetchErrorDetailsRequest",
    "CloneSession": "CloneSessionRequest",
    "GetStatus": "GetStatusRequest",
}
_STREAMS = {
    "ExecutePlan": "ExecutePlanRequest",
    "ReattachExecute": "ReattachExecuteRequest",
}


class Verifier(Protocol):
    """What the gateway asks of governance about a token."""

    def verify(self, token: str) -> Identity:
        """The identity a token speaks for, or UNAUTHENTICATED."""
        ...


class SparkConnectServer:
    """Serves Spark Connect on one port; `prepare` binds it, `start` begins to answer.

    `prepare` imports what the gateway needs and may run beside the start of other parts.
    """

    def __init__(self, host: str, port: int, chain: Path, key: Path) -> None:
        self._host = host
        self._asked_port = port
        self._chain, self._key = chain, key
        self._server: Any = None
        self._executor: futures.ThreadPoolExecutor | None = None
        self._handler: _Handler | None = None
        self._service: SparkConnectService | None = None
        self.port = 0

    def prepare(self) -> None:
        """Binds the port; raises PORT_IN_USE, NOT_SUPPORTED without the extra `spark`."""
        pb = messages()
        try:
            import grpc
        except ModuleNotFoundError as exc:
            raise error(
                ErrorCode.NOT_SUPPORTED,
                "Spark Connect needs a package that is not installed: grpcio",
                hint="pip install 'headwater[spark]'",
            ) from exc
        self._executor = futures.ThreadPoolExecutor(_THREADS, thread_name_prefix="spark-connect")
        self._handler = _Handler(grpc, pb)
        self._server = grpc.server(
            self._executor,
            handlers=(self._handler.generic(),),
            options=(
                # Two servers on one port would answer by turns.
                ("grpc.so_reuseport", 0),
                ("grpc.max_receive_message_length", _MESSAGE_BYTES),
                ("grpc.max_send_message_length", -1),
                ("grpc.max_metadata_size", _METADATA_BYTES),
                ("grpc.max_concurrent_streams", _THREADS),
                ("grpc.keepalive_permit_without_calls", 1),
                ("grpc.http2.min_ping_interval_without_data_ms", 5000),
            ),
            maximum_concurrent_rpcs=_THREADS,
        )
        credentials = grpc.ssl_server_credentials(
            [(self._key.read_bytes(), self._chain.read_bytes())]
        )
        host = f"[{self._host}]" if ":" in self._host.strip("[]") else self._host
        host = host.replace("[[", "[").replace("]]", "]")
        try:
            self.port = self._server.add_secure_port(f"{host}:{self._asked_port}", credentials)
        except RuntimeError as exc:
            raise error(
                ErrorCode.PORT_IN_USE,
                f"port {self._asked_port} on {self._host} is in use (Spark Connect)",
                hint="stop what listens there, or choose other ports with --port",
            ) from exc

    def start(self, service: SparkConnectService, verifier: Verifier) -> None:
        """Begins to answer."""
        assert self._handler is not None, "prepared"
        self._service = service
        self._handler.attach(service, verifier)
        self._server.start()

    def stop(self) -> None:
        """Takes no more calls, ends what runs; safe when nothing was started."""
        if self._server is not None:
            stopped = self._server.stop(_DRAIN_SECONDS if self._service is not None else None)
            if self._service is not None:
                self._service.close()
                stopped.wait(_DRAIN_SECONDS + 1)
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)


class _Handler:
    """Turns calls into method calls of the service, and its errors into statuses."""

    def __init__(self, grpc: Any, pb: Messages) -> None:
        self._grpc = grpc
        self._pb = pb
        self._service: SparkConnectService | None = None
        self._verifier: Verifier | None = None
        self._lock = threading.Lock()

    def attach(self, service: SparkConnectService, verifier: Verifier) -> None:
        self._service, self._verifier = service, verifier

    def generic(self) -> Any:
        grpc = self._grpc
        handlers: dict[str, Any] = {}
        for name, request in _UNARY.items():
            handlers[name] = grpc.unary_unary_rpc_method_handler(
                self._unary(name, request), response_serializer=_serialize
            )
        for name, request in _STREAMS.items():
            handlers[name] = grpc.unary_stream_rpc_method_handler(self._stream(name, request))
        handlers["AddArtifacts"] = grpc.stream_unary_rpc_method_handler(
            self._upload(), response_serializer=_serialize
        )
        return grpc.method_handlers_generic_handler(SERVICE, handlers)

    def _unary(self, name: str, message: str) -> Callable[[bytes, Any], Any]:
        kind = getattr(self._pb, message)

        def handle(raw: bytes, context: Any) -> Any:
            try:
                call = self._call(context)
                return getattr(self._service, _method(name))(parse(kind, raw), call)
            except Exception as exc:
                self._abort(context, exc)

        return handle

    def _stream(self, name: str, message: str) -> Callable[[bytes, Any], Iterator[bytes]]:
        kind = getattr(self._pb, message)

        def handle(raw: bytes, context: Any) -> Iterator[bytes]:
            try:
                call = self._call(context)
                yield from getattr(self._service, _method(name))(parse(kind, raw), call)
            except Exception as exc:
                self._abort(context, exc)

        return handle

    def _upload(self) -> Callable[[Iterator[bytes], Any], Any]:
        kind = self._pb.AddArtifactsRequest

        def handle(raws: Iterator[bytes], context: Any) -> Any:
            try:
                call = self._call(context)
                assert self._service is not None, "attached before the first call"
                return self._service.add_artifacts((parse(kind, raw) for raw in raws), call)
            except Exception as exc:
                self._abort(context, exc)

        return handle

    def _call(self, context: Any) -> Call:
        """Who calls; raises UNAUTHENTICATED."""
        metadata: dict[str, str] = {}
        for key, value in context.invocation_metadata():
            if isinstance(value, str):
                if key == "authorization" and key in metadata:
                    raise _no_token()
                metadata[key] = value
        scheme, _, token = metadata.pop("authorization", "").strip().partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise _no_token()
        assert self._verifier is not None, "attached before the first call"
        identity = self._verifier.verify(token.strip())
        if identity.engine_worker is not None:
            raise _no_token()
        return Call(identity, metadata, context.is_active, context.add_callback)

    def _abort(self, context: Any, exc: Exception) -> None:
        """Ends the call with the status of an error; always raises."""
        if isinstance(exc, SparkFailure):
            failure = exc
        elif isinstance(exc, HeadwaterError):
            if exc.code is ErrorCode.INTERNAL_ERROR:
                log.exception("a Spark Connect call failed")
            failure = spark_failure(exc)
        else:
            log.exception("a Spark Connect call failed")
            failure = SparkFailure(
                "[INTERNAL_ERROR] the server failed to carry out the operation; its log says why"
            )
        context.set_trailing_metadata((("grpc-status-details-bin", failure.status_details()),))
        code = next(code for code in self._grpc.StatusCode if code.value[0] == failure.status)
        context.abort(code, failure.short_message)


def _method(name: str) -> str:
    """`ExecutePlan` to `execute_plan`."""
    return "".join("_" + c.lower() if c.isupper() else c for c in name).lstrip("_")


def _serialize(message: Any) -> bytes:
    encoded: bytes = message.SerializeToString()
    return encoded


def _no_token() -> HeadwaterError:
    return error(
        ErrorCode.UNAUTHENTICATED,
        "a session token is needed",
        hint="connect to sc://HOST:PORT/;use_ssl=true;token=TOKEN",
    )
