"""The twelve calls of Spark Connect's service, for one caller each."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator
from typing import Any

from headwater.gateway.spark_connect.analyze import Analysis
from headwater.gateway.spark_connect.artifacts import receive
from headwater.gateway.spark_connect.calls import Call
from headwater.gateway.spark_connect.conf import ENGINE, RELEASE, keys, modifiable
from headwater.gateway.spark_connect.execute import Execution
from headwater.gateway.spark_connect.failures import (
    details,
    illegal_argument,
    invalid_handle,
    invalid_plan,
    unsupported,
)
from headwater.gateway.spark_connect.operations import Operation
from headwater.gateway.spark_connect.sessions import Sessions, SparkSession
from headwater.gateway.spark_connect.substitution import substituted
from headwater.gateway.spark_connect.tools import Tools
from headwater.gateway.spark_connect.wire import unpacked

log = logging.getLogger(__name__)

_SWEEP_SECONDS = 30.0
_OLDEST_CLIENT = (3, 5)
_CLIENT_VERSION = re.compile(r"\bspark/(\d{1,3})\.(\d{1,3})\b")
_HEADERS = {"headwater-engine": ENGINE, "headwater-release": RELEASE}
"""Parameters of a connection string that say what `spark.conf.set("headwater.engine", …)` does."""


class SparkConnectService:
    """Answers calls; `server` has checked whose they are."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._pb = tools.pb
        self._sessions = Sessions()
        self._stopping = threading.Event()
        self._sweeper = threading.Thread(target=self._sweep, name="spark-sweep", daemon=True)
        self._sweeper.start()

    def close(self) -> None:
        """Ends all sessions."""
        self._stopping.set()
        self._sessions.close()

    # --- operations -----------------------------------------------------------------------------

    def execute_plan(self, request: Any, call: Call) -> Iterator[bytes]:
        """ExecutePlan: starts an operation and streams its responses."""
        session = self._session(request, call)
        plan = substituted(unpacked(request.plan, self._pb), session.conf)
        reattachable = any(
            option.HasField("reattach_options") and option.reattach_options.reattachable
            for option in request.request_options
        )
        operation = session.begin(
            request.operation_id, tuple(request.tags), reattachable=reattachable
        )
        execution = Execution(self._tools, session, operation)
        threading.Thread(
            target=execution.run, args=(plan,), name=f"spark-{operation.id[:8]}", daemon=True
        ).start()
        return self._responses(session, operation, None, call)

    def reattach_execute(self, request: Any, call: Call) -> Iterator[bytes]:
        """ReattachExecute: goes on after the last response that the client saw."""
        session = self._known(request, call)
        operation = session.operation(request.operation_id)
        if not operation.reattachable:
            raise invalid_handle("OPERATION_NOT_REATTACHABLE", request.operation_id)
        after = request.last_response_id if request.HasField("last_response_id") else None
        return self._responses(session, operation, after, call)

    def release_execute(self, request: Any, call: Call) -> Any:
        """ReleaseExecute: the client has seen responses, or wants no more of an operation."""
        session = self._known(request, call)
        answer = self._pb.ReleaseExecuteResponse(
            session_id=session.id, server_side_session_id=session.server_id
        )
        operation = session.operations.get(request.operation_id)
        if operation is not None:
            if request.WhichOneof("release") == "release_until":
                operation.release_until(request.release_until.response_id)
            else:
                session.end(operation)
            answer.operation_id = operation.id
        return answer

    def interrupt(self, request: Any, call: Call) -> Any:
        """Interrupt: stops operations of the session: all, those with a tag, or one."""
        session = self._session(request, call)
        kind = self._pb.InterruptRequest.InterruptType.Name(request.interrupt_type)
        with session.lock:
            running = list(session.operations.values())
        if kind == "INTERRUPT_TYPE_TAG":
            running = [each for each in running if request.operation_tag in each.tags]
        elif kind == "INTERRUPT_TYPE_OPERATION_ID":
            running = [each for each in running if each.id == request.operation_id]
        elif kind != "INTERRUPT_TYPE_ALL":
            raise invalid_plan("The interrupt says not what it stops.")
        stopped = [each.id for each in running if each.interrupt()]
        return self._pb.InterruptResponse(
            session_id=session.id,
            server_side_session_id=session.server_id,
            interrupted_ids=stopped,
        )

    def get_status(self, request: Any, call: Call) -> Any:
        """GetStatus: where the session's operations are."""
        session = self._known(request, call)
        wanted = list(request.operation_status.operation_ids)
        with session.lock:
            operations = dict(session.operations)
        states = self._pb.GetStatusResponse.OperationStatus
        answer = self._pb.GetStatusResponse(
            session_id=session.id, server_side_session_id=session.server_id
        )
        for operation_id in wanted or operations:
            found = operations.get(operation_id)
            state = "OPERATION_STATE_UNKNOWN" if found is None else found.state.value
            answer.operation_statuses.add(
                operation_id=operation_id, state=states.OperationState.Value(state)
            )
        return answer

    def _responses(
        self, session: SparkSession, operation: Operation, after: str | None, call: Call
    ) -> Iterator[bytes]:
        if not operation.reattachable:
            call.on_end(lambda: session.end(operation))
        return operation.responses(after, call.alive)

    # --- plans ----------------------------------------------------------------------------------

    def analyze_plan(self, request: Any, call: Call) -> Any:
        """AnalyzePlan: what a plan would answer, and the like."""
        session = self._session(request, call)
        answer = self._pb.AnalyzePlanResponse(
            session_id=session.id, server_side_session_id=session.server_id
        )
        Analysis(self._tools, session).answer(substituted(request, session.conf), answer)
        return answer

    # --- the session ----------------------------------------------------------------------------

    def config(self, request: Any, call: Call) -> Any:
        """Config: reads and sets `spark.conf`."""
        session = self._session(request, call)
        answer = self._pb.ConfigResponse(
            session_id=session.id, server_side_session_id=session.server_id
        )
        asked, conf = request.operation, session.conf
        kind = asked.WhichOneof("op_type")
        pairs: list[tuple[str, str | None]] = []
        with session.lock:
            if kind == "set":
                for pair in list(asked.set.pairs):
                    if not pair.HasField("value"):
                        raise illegal_argument(f"The value of {pair.key[:200]} cannot be null.")
                    try:
                        conf.set(pair.key, pair.value)
                    except Exception:
                        if not asked.set.silent:
                            raise
                        answer.warnings.append(f"{pair.key[:200]} was not set")
            elif kind == "unset":
                for key in asked.unset.keys:
                    conf.unset(key)
            elif kind == "get":
                pairs = [(key, conf.require(key)) for key in keys(asked.get.keys)]
            elif kind == "get_with_default":
                for pair in list(asked.get_with_default.pairs):
                    default = pair.value if pair.HasField("value") else None
                    pairs.append((pair.key, conf.changed().get(pair.key, default)))
            elif kind == "get_option":
                pairs = [(key, conf.get(key)) for key in keys(asked.get_option.keys)]
            elif kind == "get_all":
                prefix = asked.get_all.prefix if asked.get_all.HasField("prefix") else ""
                found = conf.all(prefix)
                pairs = [(key.removeprefix(prefix), value) for key, value in found.items()]
            elif kind == "is_modifiable":
                pairs = [
                    (key, "true" if modifiable(key) else "false")
                    for key in keys(asked.is_modifiable.keys)
                ]
            else:
                raise invalid_plan("The request says not what to do with the configuration.")
        for key, value in pairs:
            added = answer.pairs.add(key=key)
            if value is not None:
                added.value = value
        return answer

    def add_artifacts(self, requests: Iterator[Any], call: Call) -> Any:
        """AddArtifacts: files and data for the session."""
        first = next(requests, None)
        if first is None:
            raise invalid_plan("The request is empty.")
        session = self._session(first, call)
        summaries = receive(first, requests, session, self._pb)
        return self._pb.AddArtifactsResponse(
            session_id=session.id, server_side_session_id=session.server_id, artifacts=summaries
        )

    def artifact_status(self, request: Any, call: Call) -> Any:
        """ArtifactStatus: which artifacts the session has already."""
        session = self._session(request, call)
        answer = self._pb.ArtifactStatusesResponse(
            session_id=session.id, server_side_session_id=session.server_id
        )
        for name in request.names:
            answer.statuses[name].exists = session.get("artifact", name) is not None
        return answer

    def release_session(self, request: Any, call: Call) -> Any:
        """ReleaseSession: ends the session."""
        server_id = self._sessions.release(
            call.identity, request.session_id, reconnect=request.allow_reconnect
        )
        return self._pb.ReleaseSessionResponse(
            session_id=request.session_id, server_side_session_id=server_id
        )

    def clone_session(self, request: Any, call: Call) -> Any:
        """CloneSession: a new session with this one's state."""
        session = self._known(request, call)
        made = self._sessions.clone(session, request.new_session_id)
        return self._pb.CloneSessionResponse(
            session_id=session.id,
            server_side_session_id=session.server_id,
            new_session_id=made.id,
            new_server_side_session_id=made.server_id,
        )

    def fetch_error_details(self, request: Any, call: Call) -> Any:
        """FetchErrorDetails: the whole of an error, of which a status carries the start."""
        session = self._known(request, call)
        failure = session.errors.get(request.error_id)
        answer = (
            self._pb.FetchErrorDetailsResponse() if failure is None else details(failure, self._pb)
        )
        answer.session_id, answer.server_side_session_id = session.id, session.server_id
        return answer

    def _session(self, request: Any, call: Call) -> SparkSession:
        """The caller's session, made when it is new."""
        check_client(request.client_type)
        session = self._sessions.open(call.identity, request.session_id, _observed(request))
        if request.client_type:
            session.client = request.client_type[:256]
        for header, key in _HEADERS.items():
            wanted = call.metadata.get(header)
            if wanted and not session.conf.has(key):
                session.conf.set(key, wanted)
        return session

    def _known(self, request: Any, call: Call) -> SparkSession:
        """The caller's session; raises SESSION_NOT_FOUND."""
        return self._sessions.find(call.identity, request.session_id, _observed(request))

    def _sweep(self) -> None:
        while not self._stopping.wait(_SWEEP_SECONDS):
            try:
                self._sessions.sweep()
            except Exception:
                log.exception("old Spark sessions were not swept")


def check_client(told: str) -> None:
    """Raises UNSUPPORTED_FEATURE for a PySpark whose messages are older than those served here."""
    found = _CLIENT_VERSION.search(told)
    if found is not None and (int(found[1]), int(found[2])) < _OLDEST_CLIENT:
        oldest = ".".join(map(str, _OLDEST_CLIENT))
        raise unsupported(
            f"This server takes clients of PySpark {oldest} and later; this one is "
            f"{found[1]}.{found[2]}. SQLSTATE: 0A000"
        )


def _observed(request: Any) -> str:
    return str(getattr(request, "client_observed_server_side_session_id", ""))
