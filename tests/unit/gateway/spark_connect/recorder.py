"""A Spark Connect server that runs nothing: it keeps the plans that a real PySpark client sends."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent import futures
from typing import Any

os.environ["SPARK_CONNECT_MODE_ENABLED"] = "1"  # `pyspark.sql.functions` looks for a JVM otherwise

import grpc
from pyspark.sql.connect.proto import base_pb2, base_pb2_grpc

DEFAULTS = {
    "spark.sql.timestampType": "TIMESTAMP_LTZ",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.session.localRelationCacheThreshold": str(2**20),
    "spark.sql.session.localRelationChunkSizeRows": "10000",
    "spark.sql.session.localRelationChunkSizeBytes": str(2**20),
    "spark.sql.session.localRelationBatchOfChunksSizeBytes": str(2**20),
    "spark.connect.session.planCompression.threshold": str(10 * 2**20),
    "spark.connect.session.planCompression.defaultAlgorithm": "ZSTD",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "10000",
}


class Recorder(base_pb2_grpc.SparkConnectServiceServicer):
    """Keeps what comes; every plan is refused after it was kept."""

    def __init__(self) -> None:
        self.plans: list[Any] = []
        self.analyses: list[Any] = []
        self._server = grpc.server(futures.ThreadPoolExecutor(4))
        base_pb2_grpc.add_SparkConnectServiceServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    def stop(self) -> None:
        self._server.stop(0).wait()

    def last(self, work: Callable[[], object]) -> Any:
        """The plan that some client code sends."""
        before = len(self.plans)
        try:
            work()
        except Exception as exc:
            if len(self.plans) == before:
                raise AssertionError(f"no plan was sent: {exc!r}") from exc
        return self.plans[-1]

    def ExecutePlan(self, request: Any, context: grpc.ServicerContext) -> Any:
        self.plans.append(request.plan)
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "kept")

    def AnalyzePlan(self, request: Any, context: grpc.ServicerContext) -> Any:
        self.analyses.append(request)
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "kept")

    def Config(self, request: Any, context: grpc.ServicerContext) -> Any:
        answer = base_pb2.ConfigResponse(session_id=request.session_id)
        kind = request.operation.WhichOneof("op_type")
        for each in getattr(getattr(request.operation, kind), "pairs", ()):
            answer.pairs.add(key=each.key, value=DEFAULTS.get(each.key, each.value))
        for key in getattr(getattr(request.operation, kind), "keys", ()):
            answer.pairs.add(key=key, value=DEFAULTS.get(key, "false"))
        return answer

    def ReleaseExecute(self, request: Any, context: grpc.ServicerContext) -> Any:
        return base_pb2.ReleaseExecuteResponse(session_id=request.session_id)

    def ReleaseSession(self, request: Any, context: grpc.ServicerContext) -> Any:
        return base_pb2.ReleaseSessionResponse(session_id=request.session_id)

    def AddArtifacts(self, request: Any, context: grpc.ServicerContext) -> Any:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "kept")

    def ArtifactStatus(self, request: Any, context: grpc.ServicerContext) -> Any:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "kept")
