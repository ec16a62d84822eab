"""AddArtifacts: what a client brings: data of its own, Python files, archives."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from typing import Any

from headwater.gateway.spark_connect.failures import SparkFailure, invalid_plan
from headwater.gateway.spark_connect.sessions import SparkSession

_ALLOWED = re.compile(r"(?:cache/[0-9a-fA-F]{64}|(?:pyfiles|archives|files)/[^/\\\0]{1,255})")
_LARGEST = 512 * 2**20


def receive(first: Any, requests: Iterator[Any], session: SparkSession, pb: Any) -> list[Any]:
    """Takes a stream of artifacts; a summary of each, its checksum compared."""
    summaries: list[Any] = []
    name, parts, expected, good = "", [b""], 0, True
    received = 0
    for request in _chain(first, requests):
        kind = request.WhichOneof("payload")
        if kind == "batch":
            if expected:
                raise invalid_plan("An artifact's chunks are interrupted by another one.")
            for artifact in request.batch.artifacts:
                chunk = artifact.data
                received += len(chunk.data)
                summaries.append(_keep(artifact.name, chunk.data, _matches(chunk), session, pb))
        elif kind == "begin_chunk":
            if expected:
                raise invalid_plan("An artifact's chunks are interrupted by another one.")
            begun = request.begin_chunk
            _check(begun.name)
            name, expected = begun.name, begun.num_chunks - 1
            parts, good = [begun.initial_chunk.data], _matches(begun.initial_chunk)
            received += len(begun.initial_chunk.data)
        elif kind == "chunk":
            if not expected:
                raise invalid_plan("A chunk belongs to no artifact.")
            expected -= 1
            parts.append(request.chunk.data)
            received += len(request.chunk.data)
            good = good and _matches(request.chunk)
        else:
            raise invalid_plan("The request holds no artifact.")
        if received > _LARGEST:
            raise invalid_plan(f"One call takes artifacts of {_LARGEST} bytes.")
        if name and not expected:
            summaries.append(_keep(name, b"".join(parts), good, session, pb))
            name = ""
    if expected:
        raise invalid_plan("An artifact's last chunks are missing.")
    return summaries


def _chain(first: Any, requests: Iterator[Any]) -> Iterator[Any]:
    yield first
    for request in requests:
        if request.session_id != first.session_id:
            raise invalid_plan("One call is for one session.")
        yield request


def _keep(name: str, data: bytes, good: bool, session: SparkSession, pb: Any) -> Any:
    _check(name)
    if good:
        session.put("artifact", name, data)
    return pb.AddArtifactsResponse.ArtifactSummary(name=name, is_crc_successful=good)


def _matches(chunk: Any) -> bool:
    return bool(zlib.crc32(chunk.data) == chunk.crc)


def _check(name: str) -> None:
    if not _ALLOWED.fullmatch(name) or name.endswith("/.."):
        raise SparkFailure(
            f"[UNSUPPORTED_ARTIFACT] {name[:128]!r} is not accepted: sessions take data (cache/), "
            "Python files, archives and files; no jars and no classes",
            (
                "org.apache.spark.SparkUnsupportedOperationException",
                "java.lang.UnsupportedOperationException",
            ),
            "UNSUPPORTED_ARTIFACT",
            "0A000",
        )
