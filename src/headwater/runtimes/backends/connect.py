"""A Spark Connect server somewhere else: it takes sessions, no runs."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.runtimes.backends.backend import (
    BackendStatus,
    ConnectEndpoint,
    Handle,
    LogChunk,
    RunSpec,
    SessionSpec,
    Usage,
)
from headwater.runtimes.backends.submission import CONNECT
from headwater.settings import BackendSettings

_PORT = 15002


class RemoteConnect:
    """The endpoint that the settings name, `sc://HOST:PORT/;use_ssl=true`; see `Backend`."""

    name = CONNECT

    def __init__(self, place: BackendSettings) -> None:
        self._place = place

    def open_session(self, spec: SessionSpec) -> ConnectEndpoint:
        """The endpoint; its sessions are told apart by the client's session id."""
        address, _, parameters = self._place.connect.partition("/;")
        place = urlsplit(address)
        try:
            port = place.port or _PORT
        except ValueError:
            port = 0
        if place.scheme != "sc" or not place.hostname or not port:
            raise error(
                ErrorCode.INVALID_ARGUMENT,
                "the setting HEADWATER_BACKEND__CONNECT is not of the form sc://HOST:PORT",
            )
        pairs = dict(part.partition("=")[::2] for part in parameters.split(";"))
        if "token" in pairs:
            raise error(
                ErrorCode.INVALID_ARGUMENT,
                "the token of the remote Spark Connect does not belong into its address",
                hint="put it into a file that HEADWATER_BACKEND__CONNECT_TOKEN_FILE names",
            )
        secure = pairs.get("use_ssl", "").lower() == "true"
        return ConnectEndpoint(f"{place.hostname}:{port}", secure, self._place.connect_token_file)

    def close_session(self, session_id: str) -> None:
        """The client's own release of its session ends it."""

    def submit(self, spec: RunSpec) -> Handle:
        """NOT_SUPPORTED."""
        raise _no_runs()

    def poll(self, handle: Handle) -> BackendStatus:
        """NOT_SUPPORTED."""
        raise _no_runs()

    def cancel(self, handle: Handle, grace_seconds: float = 5.0) -> NoReturn:
        """NOT_SUPPORTED."""
        raise _no_runs()

    def logs(self, handle: Handle, stream: str, offset: int = 0, limit: int = 65536) -> LogChunk:
        """NOT_SUPPORTED."""
        raise _no_runs()

    def usage(self, handle: Handle) -> Usage:
        """NOT_SUPPORTED."""
        raise _no_runs()

    def reattach(self, run_id: str, attempt: int, work_dir: Path) -> Handle | None:
        """None: it never took one."""
        return None


def _no_runs() -> HeadwaterError:
    return error(
        ErrorCode.NOT_SUPPORTED,
        "a remote Spark Connect takes sessions, no runs",
        hint="a pyspark run uses it through its session; jars need another backend",
    )
