"""Where the server is and which token opens it: from a home, or from a login to another machine."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from headwater.errors import ErrorCode, error

READY_FILE = "ready.json"
LOGIN_FILE = "login.json"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server's URL, a bearer token for it, and the authority to trust (None: the system's)."""

    url: str
    token: str
    ca_cert: str | None = None


def find_endpoint(home: Path) -> Endpoint:
    """The server that commands of this home talk to: the one logged in to, else the local one.

    Raises SERVER_UNREACHABLE when there is neither.
    """
    login = _read(home / LOGIN_FILE)
    if login is not None:
        return Endpoint(login["url"], login["token"], login.get("ca_cert") or None)
    ready = _read(home / READY_FILE)
    if ready is None:
        raise error(
            ErrorCode.SERVER_UNREACHABLE,
            f"no server runs on {home}",
            hint="start one with `headwater up`, or name its home with HEADWATER_HOME",
        )
    return Endpoint(ready["url"], ready["token"])


def read_ready(home: Path) -> dict[str, str]:
    """What the server of a home wrote into `ready.json`; empty when there is none."""
    return _read(home / READY_FILE) or {}


def save_login(home: Path, endpoint: Endpoint) -> Path:
    """Keeps a login (mode 0600) for the commands of this home; returns the file."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = home / LOGIN_FILE
    content = {"url": endpoint.url, "token": endpoint.token, "ca_cert": endpoint.ca_cert}
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(content, file)
    return path


def forget_login(home: Path) -> bool:
    """Removes the login; False when there was none."""
    path = home / LOGIN_FILE
    found = path.exists()
    path.unlink(missing_ok=True)
    return found


def _read(path: Path) -> dict[str, str] | None:
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as exc:
        raise error(
            ErrorCode.SERVER_UNREACHABLE,
            f"{path} cannot be read: {exc}",
            hint="restart the server, or log in again",
        ) from exc
    if not isinstance(content, dict) or not {"url", "token"} <= content.keys():
        raise error(ErrorCode.SERVER_UNREACHABLE, f"{path} names no server", hint="log in again")
    return content
