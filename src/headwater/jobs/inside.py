"""The first process inside a run's sandbox: brings the server's ports to loopback, starts the run.

    python inside.py SOCKET_FOLDER SERVICE=PORT… -- COMMAND…

It listens on 127.0.0.1 at the server's own ports and passes connections to the sockets that the
runner serves. It ends with the command's status. One file for Python 3.8 and newer, standard
library only: it runs under a release's interpreter, where Headwater is not installed.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading

_CHUNK = 256 * 1024


def main(argv: list[str]) -> int:
    """Serves the ports while the command runs; its exit status, 128 and more for a signal."""
    split = argv.index("--")
    folder, ports, command = argv[0], argv[1:split], argv[split + 1 :]
    for each in ports:
        service, _, port = each.partition("=")
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", int(port)))
        listener.listen(128)
        path = os.path.join(folder, service + ".sock")
        threading.Thread(target=_serve, args=(listener, path), daemon=True).start()
    try:
        child = subprocess.Popen(command)
    except OSError as exc:
        sys.stderr.write(f"{command[0]} cannot be started: {exc.strerror}\n")
        return 127
    # A polite request to end is for the run; this process goes when the run has gone.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    status = child.wait()
    return status if status >= 0 else 128 - status


def _serve(listener: socket.socket, path: str) -> None:
    while True:
        accepted, _ = listener.accept()
        threading.Thread(target=_connect, args=(accepted, path), daemon=True).start()


def _connect(accepted: socket.socket, path: str) -> None:
    upstream = socket.socket(socket.AF_UNIX)
    try:
        upstream.connect(path)
    except OSError:
        accepted.close()
        return
    accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    back = threading.Thread(target=_copy, args=(upstream, accepted), daemon=True)
    back.start()
    _copy(accepted, upstream)
    back.join()
    accepted.close()
    upstream.close()


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while True:
            data = source.recv(_CHUNK)
            if not data:
                target.shutdown(socket.SHUT_WR)
                return
            target.sendall(data)
    except OSError:
        for each in (source, target):
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
