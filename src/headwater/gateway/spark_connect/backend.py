"""A Spark Connect server in a user process: the calls that the gateway makes to it.

Requests and responses travel as bytes; a response is taken apart only where it is small.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Iterator
from typing import Any

from headwater.engines.userprocess.engine import SAIL, UserEngine
from headwater.gateway.spark_connect.failures import SparkFailure, engine_failure
from headwater.gateway.spark_connect.fallback import name_of_sail
from headwater.gateway.spark_connect.protocol import SERVICE, Messages
from headwater.gateway.spark_connect.wire import fields_of, parse

_OPTIONS = (
    # Sail refuses the authority that gRPC makes of a socket's path.
    ("grpc.default_authority", "localhost"),
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.enable_retries", 0),
    # Each process has a path of its own; connections are not to be shared by their settings.
    ("grpc.use_local_subchannel_pool", 1),
    # A stream is read by whoever asks for its next message, without a thread of gRPC's own.
    ("SingleThreadedUnaryStream", 1),
)
_SHORT_SECONDS = 120.0
_INTERRUPT_SECONDS = 2.0
_ARROW_BATCH, _RESULT_COMPLETE = 2, 14
"""Fields of ExecutePlanResponse."""

_DETAILS = "grpc-status-details-bin"
_UNREADABLE = ("java.lang.UnsupportedOperationException",)


Stoppable = Callable[[Callable[[], None] | None], None]
"""Takes what stops a running call, and None at its end."""


class Backend:
    """One session on one user process; safe to use from several threads.

    `session_id` is the gateway's own: it names nothing to clients. `given_up` is called when an
    operation was stopped, or left before its end.
    """

    def __init__(
        self,
        engine: UserEngine,
        user: str,
        pb: Messages,
        given_up: Callable[[], None] = lambda: None,
    ) -> None:
        import grpc

        self._grpc = grpc
        self._pb = pb
        self._user = user
        self._given_up = given_up
        self._channel = grpc.insecure_channel(engine.target, options=_OPTIONS)
        self._calls: dict[str, Any] = {}
        self._lock = threading.Lock()
        self.session_id = str(uuid.uuid4())
        self.generation = engine.generation
        self.name = engine.engine

    def close(self) -> None:
        """Ends the session there, without waiting for it, and the connection."""
        request = self._pb.ReleaseSessionRequest(session_id=self.session_id)
        request.user_context.user_id = self._user
        call = self._call("ReleaseSession").future(request.SerializeToString(), timeout=5)
        call.add_done_callback(lambda _done: self._channel.close())

    def unary(
        self, method: str, request: Any, answer: Any, *, seconds: float = _SHORT_SECONDS
    ) -> Any:
        """Makes a call; `request` gets the session's ids. Raises SparkFailure."""
        self._sign(request)
        try:
            raw = self._call(method)(request.SerializeToString(), timeout=seconds)
        except self._grpc.RpcError as exc:
            raise self._failure(exc) from exc
        try:
            return parse(answer, raw)
        except SparkFailure as failure:
            # Sail has answered with text that is no UTF-8.
            failure.engine, failure.classes = self.name, _UNREADABLE
            raise

    def upload(self, requests: Iterator[Any]) -> None:
        """AddArtifacts; raises SparkFailure."""

        def signed() -> Iterator[bytes]:
            for request in requests:
                self._sign(request)
                yield request.SerializeToString()

        try:
            self._call("AddArtifacts")(signed(), timeout=_SHORT_SECONDS)
        except self._grpc.RpcError as exc:
            raise self._failure(exc) from exc

    def execute(
        self,
        plan: Any,
        tags: tuple[str, ...] = (),
        stoppable: Callable[[Callable[[], None] | None], None] | None = None,
    ) -> Iterator[tuple[bytes, bool]]:
        """Runs a plan; its responses as they come, and whether each holds rows.

        The one that says that all is complete is left out. `stoppable` gets the function
        that stops it. Raises SparkFailure.
        """
        request = self._pb.ExecutePlanRequest(
            operation_id=str(uuid.uuid4()), client_type="headwater", tags=tags
        )
        request.plan.CopyFrom(plan)
        self._sign(request)
        call = self._call("ExecutePlan")(request.SerializeToString())
        if stoppable is not None:
            stoppable(lambda: self._stop(call, request.operation_id))
        ended = False
        try:
            for raw in call:
                fields = fields_of(raw)
                if _RESULT_COMPLETE not in fields:
                    yield raw, _ARROW_BATCH in fields
            ended = True
        except self._grpc.RpcError as exc:
            ended = exc.code() is not self._grpc.StatusCode.CANCELLED
            raise self._failure(exc) from exc
        finally:
            if stoppable is not None:
                stoppable(None)
            call.cancel()
            if not ended:
                self._given_up()

    def run(self, plan: Any) -> list[Any]:
        """Runs a plan that answers little; its responses."""
        return [self._pb.ExecutePlanResponse.FromString(raw) for raw, _ in self.execute(plan)]

    def _stop(self, call: Any, operation_id: str) -> None:
        """Interrupts an operation there: Spark goes on when only its stream is gone."""
        self._given_up()
        request = self._pb.InterruptRequest(operation_id=operation_id)
        request.interrupt_type = self._pb.InterruptRequest.InterruptType.Value(
            "INTERRUPT_TYPE_OPERATION_ID"
        )
        self._sign(request)
        interrupt = self._call("Interrupt").future(
            request.SerializeToString(), timeout=_INTERRUPT_SECONDS
        )
        interrupt.add_done_callback(lambda _done: call.cancel())

    def _sign(self, request: Any) -> None:
        request.session_id = self.session_id
        request.user_context.Clear()
        request.user_context.user_id = self._user

    def _call(self, method: str) -> Any:
        with self._lock:
            found = self._calls.get(method)
            if found is None:
                make = {
                    "ExecutePlan": self._channel.unary_stream,
                    "AddArtifacts": self._channel.stream_unary,
                }.get(method, self._channel.unary_unary)
                found = self._calls[method] = make(f"/{SERVICE}/{method}")
            return found

    def _failure(self, exc: Any) -> SparkFailure:
        """What the process said went wrong."""
        failure = self._read_failure(exc)
        failure.engine = self.name
        if self.name == SAIL:
            name_of_sail(failure)
        return failure

    def _read_failure(self, exc: Any) -> SparkFailure:
        for key, value in exc.trailing_metadata() or ():
            if key == _DETAILS and isinstance(value, bytes):
                return self._told(value, exc)
        code = exc.code()
        text = exc.details() or str(code)
        silent = (self._grpc.StatusCode.UNAVAILABLE, self._grpc.StatusCode.DEADLINE_EXCEEDED)
        if code in silent:
            return engine_failure("the process that runs your code does not answer")
        if code is self._grpc.StatusCode.CANCELLED:
            return SparkFailure("[OPERATION_CANCELED] canceled", error_class="OPERATION_CANCELED")
        return SparkFailure(text)

    def _told(self, raw: bytes, exc: Any) -> SparkFailure:
        from google.protobuf.message import DecodeError
        from google.rpc import error_details_pb2, status_pb2

        try:
            status = status_pb2.Status.FromString(raw)
        except DecodeError:
            return SparkFailure(exc.details() or "the engine failed")
        failure = SparkFailure(status.message or exc.details() or "the engine failed")
        for detail in status.details:
            info = error_details_pb2.ErrorInfo()
            if not detail.Is(info.DESCRIPTOR):
                continue
            detail.Unpack(info)
            failure.classes = _classes(info.metadata.get("classes"), info.reason)
            failure.error_class = info.metadata.get("errorClass") or None
            failure.sql_state = info.metadata.get("sqlState") or None
            failure.raw = raw
            error_id = info.metadata.get("errorId")
            if error_id:
                failure.id = error_id
                failure.details = self._details(error_id)
        return failure

    def _details(self, error_id: str) -> bytes | None:
        """The whole of an error, as Spark keeps it for a while."""
        request = self._pb.FetchErrorDetailsRequest(error_id=error_id)
        self._sign(request)
        try:
            raw: bytes = self._call("FetchErrorDetails")(request.SerializeToString(), timeout=10)
        except self._grpc.RpcError:
            return None
        return raw


def answers(engine: UserEngine, user: str, pb: Messages, seconds: float) -> bool:
    """True when the process answers something small, in a session and connection of its own."""
    backend = Backend(engine, user, pb)
    request = pb.AnalyzePlanRequest()
    request.schema.plan.root.range.CopyFrom(pb.Range(start=0, end=1, step=1))
    try:
        backend.unary("AnalyzePlan", request, pb.AnalyzePlanResponse, seconds=seconds)
    except SparkFailure as failure:
        return failure.error_class not in ("ENGINE_FAILED", "OPERATION_CANCELED")
    finally:
        backend.close()
    return True


def _classes(told: str | None, reason: str) -> tuple[str, ...]:
    """The Java classes of an error, nearest first."""
    try:
        found = json.loads(told or "[]")
    except ValueError:
        found = []
    classes = tuple(each for each in found if isinstance(each, str))
    return classes or ((reason,) if reason else ())
