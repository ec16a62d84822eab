"""Lets a process without a network reach the server, and nothing else.

The runner listens on Unix sockets in the attempt's folder, one a service, and passes each
connection on to the port that `ready.json` names at that moment, so a server that was restarted on
other ports is found again. Standard library only.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import threading
from pathlib import Path
from urllib.parse import urlsplit

SERVICES = {"http": "url", "tls": "https_url", "spark": "spark_connect"}
"""Each service's socket name, and its entry in `ready.json`."""

_CHUNK = 256 * 1024
_PATIENCE_SECONDS = 60.0


def addresses(ready_file: Path) -> dict[str, tuple[str, int]]:
    """Host and port of each service; empty while no server runs."""
    try:
        ready = json.loads(ready_file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    found: dict[str, tuple[str, int]] = {}
    for service, entry in SERVICES.items():
        parts = urlsplit(str(ready.get(entry) or ""))
        with contextlib.suppress(ValueError):
            if parts.hostname and parts.port:
                found[service] = (parts.hostname, parts.port)
    return found


class Relays:
    """Serves the sockets in a thread until the process ends."""

    def __init__(self, folder: Path, ready_file: Path) -> None:
        self._ready_file = ready_file
        self._listeners: dict[str, socket.socket] = {}
        # Through a descriptor: a path to a socket may have 107 characters only (unix(7)).
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for service in SERVICES:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(f"{service}.sock", dir_fd=descriptor)
                listener = socket.socket(socket.AF_UNIX)
                listener.bind(f"/proc/self/fd/{descriptor}/{service}.sock")
                listener.listen(128)
                listener.setblocking(False)
                self._listeners[service] = listener
        finally:
            os.close(descriptor)

    def start(self) -> None:
        """Begins to serve."""
        threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True).start()

    async def _serve(self) -> None:
        async with contextlib.AsyncExitStack() as stack:
            for service, listener in self._listeners.items():
                server = await asyncio.start_unix_server(
                    lambda r, w, name=service: self._pass_on(name, r, w),  # type: ignore[misc]
                    sock=listener,
                    limit=_CHUNK,
                )
                await stack.enter_async_context(server)
            await asyncio.Event().wait()

    async def _pass_on(
        self, service: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        upstream = await self._connect(service)
        if upstream is None:
            writer.close()
            return
        await asyncio.gather(
            _copy(reader, upstream[1]), _copy(upstream[0], writer), return_exceptions=True
        )

    async def _connect(
        self, service: str
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """A connection to the server; waits a while for one that is being restarted."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _PATIENCE_SECONDS
        while True:
            address = addresses(self._ready_file).get(service)
            if address is not None:
                with contextlib.suppress(OSError):
                    return await asyncio.open_connection(*address, limit=_CHUNK)
            if loop.time() > deadline:
                return None
            await asyncio.sleep(0.2)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    except (OSError, RuntimeError):
        writer.close()
