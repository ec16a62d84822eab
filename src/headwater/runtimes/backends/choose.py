"""The backend of a name, made from the settings."""

from __future__ import annotations

from headwater.errors import ErrorCode, error
from headwater.runtimes.backends.backend import Backend
from headwater.runtimes.backends.connect import RemoteConnect
from headwater.runtimes.backends.process import ProcessBackend
from headwater.runtimes.backends.submission import CONNECT, NAMES
from headwater.runtimes.releases.installed import Releases
from headwater.settings import BackendSettings


def choose(settings: BackendSettings, releases: Releases, name: str = "") -> Backend:
    """The backend of that name, or the default one."""
    name = name or settings.name
    if name not in NAMES:
        raise error(
            ErrorCode.INVALID_ARGUMENT,
            f"there is no backend {name}",
            hint=f"there are: {', '.join(NAMES)}",
        )
    if name == CONNECT:
        return RemoteConnect(settings)
    return ProcessBackend(name, settings, releases)
