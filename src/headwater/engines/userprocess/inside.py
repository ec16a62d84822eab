"""The program in the sandbox: starts the engine and relays a listening unix socket to it.

It runs with the release's Python and imports nothing of Headwater. Its argument is a JSON object:

- `engine`: `sail` or `spark`.
- `listener`: the descriptor of a listening unix socket, made outside: nothing in the sandbox can
  name it, and no other socket is reachable from here.
- `control`: a descriptor to report on: one JSON line when the engine answers or cannot. When the
  other end closes, the server is gone and everything here ends.
- `port`: of the engine's own TCP socket on the loopback.
- `java`: what to execute for Spark.
- `rehearsal`: a Python program to run once the engine answers; then it ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

_SET_PIPE_SIZE = 1031
_DIE_WITH_PARENT = 1
_CHUNK = 1 << 20


def _pump(source: socket.socket, target: socket.socket) -> None:
    """Moves bytes from one socket to the other, inside the kernel, until the source ends."""
    read, write = os.pipe()
    with contextlib.suppress(OSError):  # a user has only so much for large pipes
        fcntl.fcntl(write, _SET_PIPE_SIZE, _CHUNK)
    try:
        while count := os.splice(source.fileno(), write, _CHUNK):
            while count:
                count -= os.splice(read, target.fileno(), count)
    except OSError:
        # either side has gone; the other must learn of it
        with contextlib.suppress(OSError):
            source.shutdown(socket.SHUT_RDWR)
    finally:
        os.close(read)
        os.close(write)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)


def _relay(outer: socket.socket, port: int) -> None:
    try:
        inner = socket.create_connection(("127.0.0.1", port))
    except OSError:
        outer.close()
        return
    with outer, inner:
        inner.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        back = threading.Thread(target=_pump, args=(inner, outer), daemon=True)
        back.start()
        _pump(outer, inner)
        back.join()


def _accept(listener: socket.socket, port: int) -> None:
    while True:
        outer, _ = listener.accept()
        threading.Thread(target=_relay, args=(outer, port), daemon=True).start()


def _fork_relay(listener: socket.socket, port: int, control: socket.socket) -> None:
    """A process of its own for the relay, so that user code does not hold its interpreter up.

    It is made before the engine and its threads are.
    """
    parent = os.getpid()
    if os.fork():
        return
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
    threading.Thread(target=_accept, args=(listener, port), daemon=True).start()
    with contextlib.suppress(OSError):
        while control.recv(1024):
            pass
    with contextlib.suppress(ProcessLookupError):
        os.kill(parent, signal.SIGKILL)
    os._exit(0)


def _wait_for_port(port: int, child: subprocess.Popen[bytes]) -> None:
    while True:
        if child.poll() is not None:
            raise RuntimeError(f"it ended with exit status {child.returncode}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)


def _sail(port: int) -> object:
    from pysail.spark import SparkConnectServer

    server = SparkConnectServer("127.0.0.1", port)
    server.start()
    return server


def _preload() -> None:
    """Imports what nearly every function of a user needs, while nobody waits for it."""
    for name in ("pyarrow", "pandas", "pyspark.cloudpickle", "pyspark.worker"):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def main() -> None:
    """Starts the engine, tells so, and stays until the server goes or the engine ends."""
    plan = json.loads(sys.argv[1])
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    listener = socket.socket(fileno=plan["listener"])
    control = socket.socket(fileno=plan["control"])
    for ours in (listener, control):
        os.set_inheritable(ours.fileno(), False)
    _fork_relay(listener, plan["port"], control)
    listener.close()
    child = engine = None
    try:
        if plan["engine"] == "sail":
            engine = _sail(plan["port"])
        else:
            child = subprocess.Popen(plan["java"])
            _wait_for_port(plan["port"], child)
    except Exception as exc:
        control.sendall(json.dumps({"error": f"{type(exc).__name__}: {exc}"}).encode() + b"\n")
        sys.exit(1)
    control.sendall(json.dumps({"ready": True}).encode() + b"\n")
    control.close()
    if child is not None:
        if plan.get("rehearsal"):
            argv = (sys.executable, "-I", "-c", plan["rehearsal"])
            subprocess.run(argv, check=False, timeout=300)
            child.terminate()
        sys.exit(child.wait())
    _preload()
    while engine is not None:
        signal.pause()


if __name__ == "__main__":
    main()
