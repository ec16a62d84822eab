"""The two sides of `headwater bench spark`: PySpark against Headwater, and open-source Spark."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from headwater.errors import ErrorCode, error
from headwater.settings import child_environment

CLIENT = Path(__file__).with_name("spark_client.py")
_SAMPLE_SECONDS = 0.2


class SparkSide:
    """One PySpark program in a process of its own, and what it and its server use.

    `watched` is the process whose tree's CPU time and memory count beside the program's own: the
    server for a Connect client, nothing for Spark inside the program.
    """

    def __init__(
        self,
        python: Path,
        start: Mapping[str, Any],
        *,
        environment: Mapping[str, str] | None = None,
        watched: int | None = None,
    ) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  closed with the process
        self._process = subprocess.Popen(
            [str(python), str(CLIENT)],
            env=child_environment(**(environment or {})),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        self._roots = [self._process.pid] + ([watched] if watched is not None else [])
        self._ended = _CpuOfTheDead()
        self.peak_bytes = 0
        self._stop = threading.Event()
        self._sampler = threading.Thread(target=self._sample, daemon=True)
        self._sampler.start()
        self.greeting = self._ask(start)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    def run(
        self, sql: str, *, rows: bool = False, frame: int = 0, parquet: Path | None = None
    ) -> tuple[dict[str, Any], float]:
        """The program's answer to one statement, and the CPU seconds both processes used for it.

        `seconds` is the client's wall time from the text to the whole result as Arrow. With
        `frame`, a data frame of that many rows takes the text's place; with `parquet`, the result
        is written to that folder.
        """
        before = self.cpu_seconds()
        request: dict[str, Any] = {"sql": sql, "rows": rows, "frame": frame}
        if parquet is not None:
            request["parquet"] = str(parquet)
        answer = self._ask(request)
        return answer, self.cpu_seconds() - before

    def cpu_seconds(self) -> float:
        """CPU time of the program, the server and all their children so far."""
        return self._ended.total(_trees(self._roots))

    def close(self) -> None:
        """Ends the program."""
        self._stop.set()
        self._sampler.join()
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._log.close()

    def _ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            self._log.seek(0)
            tail = self._log.read()[-2000:].decode(errors="replace")
            raise error(ErrorCode.INTERNAL_ERROR, f"the PySpark program ended: {tail}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _sample(self) -> None:
        while not self._stop.wait(_SAMPLE_SECONDS):
            total = 0
            for process in _trees(self._roots):
                with contextlib.suppress(psutil.NoSuchProcess):
                    total += process.memory_info().rss
            self.peak_bytes = max(self.peak_bytes, total)


class _CpuOfTheDead:
    """Sums CPU time over processes that come and go; what the dead used last stays counted."""

    def __init__(self) -> None:
        self._seen: dict[tuple[int, float], float] = {}

    def total(self, processes: list[psutil.Process]) -> float:
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                self._seen[process.pid, process.create_time()] = times.user + times.system
        return sum(self._seen.values())


def _trees(roots: list[int]) -> list[psutil.Process]:
    found = []
    for root in roots:
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(root)
            found += [process, *process.children(recursive=True)]
    return found


def open_source_spark(
    release: Mapping[str, Any], iceberg_uri: str, token: str, folder: Path
) -> dict[str, Any]:
    """The configuration of open-source Spark on all cores over Headwater's Iceberg catalog.

    As its documentation recommends for one machine: adaptive execution (the default), as many
    shuffle partitions as two per core, a third of the memory for the one JVM, no UI. `release` is
    what `headwater release show --json` says of the release.
    """
    cores = os.cpu_count() or 1
    memory = max(2, psutil.virtual_memory().total // 3 // 1024**3)
    return {
        "spark.master": f"local[{cores}]",
        "spark.driver.memory": f"{memory}g",
        "spark.sql.adaptive.enabled": "true",
        "spark.sql.shuffle.partitions": str(2 * cores),
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.local.dir": str(folder),
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.jars": ",".join(map(str, sorted(Path(release["path"]).glob("jars/iceberg-*.jar")))),
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
        "spark.sql.defaultCatalog": "lake",
        "spark.sql.catalog.lake": "org.apache.iceberg.spark.SparkCatalog",
        "spark.sql.catalog.lake.type": "rest",
        "spark.sql.catalog.lake.uri": iceberg_uri,
        "spark.sql.catalog.lake.token": token,
        "spark.sql.catalog.lake.warehouse": "lake",
    }
