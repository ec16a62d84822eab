"""Small queries and large results through the Spark Connect gateway, against a bare Sail."""

from __future__ import annotations

import contextlib
import socket
import statistics
import subprocess
import time
from collections.abc import Iterator
from typing import Any

from headwater.cli.bench.lake import Server
from headwater.cli.bench.spark import CLIENT_RELEASE, connect_url, interpreter, release
from headwater.cli.bench.spark_sides import SparkSide
from headwater.errors import ErrorCode, error
from headwater.settings import child_environment

_ENGINE_RELEASE = "sail"
_LARGE_ROWS = 1024**3 // 64
"""Rows of eight 8-byte columns that make 1 GiB."""

_START_SECONDS = 60.0


def latency(server: Server, runs: int) -> dict[str, Any]:
    """First results of fresh clients, and what the gateway adds to what Sail itself takes.

    Times in seconds or milliseconds as named; both sides in turn, the same client and Sail release.
    """
    python = interpreter(release(server, CLIENT_RELEASE))
    authority = {"GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": server.ready["ca_cert"]}
    ours = {"remote": connect_url(server)}
    first: list[float] = []
    for _ in range(4):
        with SparkSide(python, ours, environment=authority) as side:
            first.append(round(side.greeting["first"], 3))
    with (
        _bare_sail(server) as address,
        SparkSide(python, ours, environment=authority) as through,
        SparkSide(python, {"remote": address}) as direct,
    ):
        sides = (through, direct)
        text = [statistics.median(_times(through, runs, sql="SELECT 1"))]
        small = _in_turn(sides, runs, frame=1)
        large = _in_turn(sides, 5, frame=_LARGE_ROWS)
    return {
        "first_result_seconds_cold": first[0],
        "first_result_seconds_warm": statistics.median(first[1:]),
        "select_1_milliseconds": round(text[0] * 1000, 2),
        "data_frame_milliseconds": [round(seconds * 1000, 2) for seconds in small],
        "gateway_milliseconds": round((small[0] - small[1]) * 1000, 2),
        "large_result_seconds": [round(seconds, 2) for seconds in large],
        "large_result_ratio": round(large[0] / large[1], 3),
    }


def _in_turn(sides: tuple[SparkSide, SparkSide], runs: int, *, frame: int) -> list[float]:
    """The median seconds of a frame of that many rows on each side; one warm-up not counted."""
    samples: tuple[list[float], list[float]] = ([], [])
    for run in range(runs + 1):
        for side, into in zip(sides, samples, strict=True):
            seconds = _times(side, 1, frame=frame)
            if run:
                into += seconds
    return [statistics.median(each) for each in samples]


def _times(side: SparkSide, runs: int, *, sql: str = "", frame: int = 0) -> list[float]:
    found = []
    for _ in range(runs):
        answer, _ = side.run(sql, frame=frame)
        if "error" in answer:
            raise error(ErrorCode.INTERNAL_ERROR, f"the benchmark's query failed: {answer}")
        found.append(answer["seconds"])
    return found


@contextlib.contextmanager
def _bare_sail(server: Server) -> Iterator[str]:
    """A Sail of the same release without gateway or sandbox; yields its address."""
    python = interpreter(release(server, _ENGINE_RELEASE))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [str(python), "-m", "pysail", "spark", "server", "--ip", "127.0.0.1", "--port", str(port)],
        env=child_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if process.poll() is not None or time.monotonic() > deadline:
                raise error(ErrorCode.INTERNAL_ERROR, "the benchmark's Sail did not start")
            time.sleep(0.1)
        yield f"sc://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=30)
