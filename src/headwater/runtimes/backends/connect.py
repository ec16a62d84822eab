"""A Spark Connect server somewhere else: it takes the sessions of runs, not their programs."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from headwater.errors import ErrorCode, error
from headwater.settings import BackendSettings

_PORT = 15002


@dataclass(frozen=True, slots=True)
class ConnectEndpoint:
    """A Spark Connect server's address; `url` is as PySpark takes it, without a token."""

    host: str
    port: int
    secure: bool = False

    @property
    def url(self) -> str:
        """The connection string."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"sc://{host}:{self.port}/;use_ssl={'true' if self.secure else 'false'}"


def remote_endpoint(place: BackendSettings) -> ConnectEndpoint:
    """The endpoint that the settings name, `sc://HOST:PORT/;use_ssl=true`; INVALID_ARGUMENT."""
    address, _, parameters = place.connect.partition("/;")
    parts = urlsplit(address)
    try:
        port = parts.port or _PORT
    except ValueError:
        port = 0
    if parts.scheme != "sc" or not parts.hostname or not port:
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
    return ConnectEndpoint(parts.hostname, port, pairs.get("use_ssl", "").lower() == "true")
