"""HTTP and HTTPS from one application in one process: sockets, and the loop that serves them."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import uvicorn
from starlette.types import ASGIApp

from headwater.errors import ErrorCode, error
from headwater.server.tls import Certificates

_DRAIN_SECONDS = 3
_START_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Listeners:
    """Bound sockets: plain HTTP (None when other machines may connect) and TLS."""

    http: socket.socket | None
    tls: socket.socket

    @property
    def http_port(self) -> int | None:
        """The port of plain HTTP."""
        return None if self.http is None else int(self.http.getsockname()[1])

    @property
    def tls_port(self) -> int:
        """The port of TLS."""
        return int(self.tls.getsockname()[1])

    def close(self) -> None:
        """Closes both."""
        for listener in (self.http, self.tls):
            if listener is not None:
                listener.close()


def is_loopback(host: str) -> bool:
    """True for addresses that only this machine reaches."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def bind(host: str, port: int, tls_port: int) -> Listeners:
    """Binds the ports (0: a free one), before anything slow starts; raises PORT_IN_USE.

    Plain HTTP is for loopback only: tokens never cross a network in the clear. With another host
    it stays on 127.0.0.1, where this machine's own clients and engine workers use it.
    """
    http = _bind(host if is_loopback(host) else "127.0.0.1", port)
    try:
        return Listeners(http, _bind(host, tls_port))
    except BaseException:
        http.close()
        raise


def _bind(host: str, port: int) -> socket.socket:
    name = host.strip("[]")
    try:
        family, _, _, _, address = socket.getaddrinfo(
            name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
    except OSError as exc:
        raise error(
            ErrorCode.INVALID_ARGUMENT,
            f"{host} is not an address of this machine",
            hint="choose another one with --host",
        ) from exc
    try:
        # Lets a restart bind while old connections linger; two servers still cannot share a port.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(1024)
        listener.setblocking(False)
    except OSError as exc:
        listener.close()
        if exc.errno == errno.EADDRINUSE:
            raise error(
                ErrorCode.PORT_IN_USE,
                f"port {port} on {host} is in use",
                hint="stop what listens there, or choose other ports with --port",
            ) from exc
        raise error(
            ErrorCode.INVALID_ARGUMENT,
            f"cannot listen on {host} port {port}: {exc.strerror}",
            hint="choose another address with --host or another port with --port",
        ) from exc
    return listener


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals belong to the process's lifecycle, not to this thread."""
        yield


class WebServer:
    """Serves one application on bound listeners, in a thread of its own, until `stop`."""

    def __init__(self, app: ASGIApp, listeners: Listeners, certificates: Certificates) -> None:
        self._listeners = listeners
        self._servers: list[tuple[_Server, socket.socket]] = []
        for listener, secure in ((listeners.http, False), (listeners.tls, True)):
            if listener is None:
                continue
            config = uvicorn.Config(
                app,
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                ws="none",
                timeout_keep_alive=75,
                timeout_graceful_shutdown=_DRAIN_SECONDS,
                h11_max_incomplete_event_size=64 * 1024,
                ssl_certfile=str(certificates.chain) if secure else None,
                ssl_keyfile=str(certificates.key) if secure else None,
            )
            self._servers.append((_Server(config), listener))
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)
        self._failure: BaseException | None = None

    def start(self) -> None:
        """Starts serving; returns once both ports answer."""
        self._thread.start()
        deadline = time.monotonic() + _START_SECONDS
        while not all(server.started for server, _ in self._servers):
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise error(
                    ErrorCode.INTERNAL_ERROR,
                    f"the web server did not start: {self._failure}",
                    hint="see logs/headwater.log in the home",
                )
            time.sleep(0.005)

    def stop(self) -> None:
        """Stops taking connections, lets requests end for a few seconds, then closes them."""
        for server, _ in self._servers:
            server.should_exit = True
        if self._thread.ident is not None:
            self._thread.join(_DRAIN_SECONDS + 5)
        self._listeners.close()

    def _run(self) -> None:
        try:
            config = self._servers[0][0].config
            with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
                runner.run(self._serve())
        except BaseException as exc:
            self._failure = exc

    async def _serve(self) -> None:
        await asyncio.gather(*(server.serve([listener]) for server, listener in self._servers))
