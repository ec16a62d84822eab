"""Errors as a Spark client gets them: the status in the trailer must be the call's own."""

from __future__ import annotations

from google.rpc import error_details_pb2, status_pb2

from headwater.gateway.spark_connect.failures import SparkFailure


def test_an_engines_long_error_is_cut_in_its_status_too() -> None:
    """gRPC's client refuses a status whose message is not the one that the call ended with."""
    engines = status_pb2.Status(code=2, message="x" * 2048 + "...")
    told = error_details_pb2.ErrorInfo(
        reason="org.apache.spark.api.python.PythonException",
        metadata={"classes": '["org.apache.spark.api.python.PythonException"]', "kept": "yes"},
    )
    engines.details.add().Pack(told)
    failure = SparkFailure(engines.message, raw=engines.SerializeToString())

    status = status_pb2.Status.FromString(failure.status_details())

    assert (status.code, status.message) == (failure.status, failure.short_message)
    assert len(status.message) < 2048
    info = error_details_pb2.ErrorInfo()
    status.details[0].Unpack(info)
    assert info.metadata["kept"] == "yes"
    # With it the client asks for the whole message.
    assert info.metadata["errorId"] == failure.id


def test_an_error_without_classes_has_no_details() -> None:
    """The client then raises what gRPC told it."""
    status = status_pb2.Status.FromString(SparkFailure("no", ()).status_details())
    assert not status.details
    assert status.message == "no"
