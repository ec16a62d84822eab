"""`headwater up`: one server in the foreground, from READY to a clean end."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from types import FrameType

from headwater.errors import ErrorCode, error
from headwater.server.compose import Platform
from headwater.server.web import is_loopback
from headwater.settings import Settings
from headwater.telemetry.logs import configure_logs, log

_SAMPLES_SECONDS = 30.0

_log = log("server")


def run(settings: Settings, *, quiet: bool, allow_remote: bool, studio_link: bool = False) -> None:
    """Serves until SIGINT or SIGTERM; a second one ends the process at once.

    Prints `READY url token=…` when it answers, with the sample lake loaded if that takes less than
    half a minute; with `studio_link` also the link by which a browser opens the studio, logged in.
    """
    if not allow_remote and not is_loopback(settings.host):
        raise error(
            ErrorCode.INVALID_ARGUMENT,
            f"{settings.host} can be reached from other machines",
            hint="add --allow-remote if that is meant; they are then served over TLS only",
        )
    os.umask(0o077)
    configure_logs(None, settings.log_level, stderr=not quiet)
    stop = _StopSignal()
    platform = Platform(settings)
    try:
        platform.start()
        configure_logs(platform.parts.home.logs, settings.log_level, stderr=not quiet)
        _log.info("listening", url=platform.url, https_url=platform.https_url)
        platform.make_default_schema()
        samples = threading.Thread(target=platform.load_samples, name="samples", daemon=True)
        samples.start()
        stop.wait_for(samples, _SAMPLES_SECONDS)
        if not stop.asked:
            url = platform.url if is_loopback(settings.host) else platform.https_url
            sys.stdout.write(f"READY {url} token={platform.token}\n")
            if studio_link:
                # After the #: browsers send that part to nobody.
                sys.stdout.write(f"Studio  {url}/#token={platform.token}\n")
            sys.stdout.flush()
            # What the start made stays: looking through it again and again finds nothing to free.
            gc.collect()
            gc.freeze()
            stop.wait()
        _log.info("stopping")
    finally:
        platform.stop()


class _StopSignal:
    """SIGINT and SIGTERM as something to wait for.

    The handlers write to a pipe: a lock may not be taken inside a handler, and blocking the signals
    would be inherited by child processes.
    """

    def __init__(self) -> None:
        self.asked = False
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._handle)
        # A closed terminal must not take the server with it.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def wait(self) -> None:
        """Returns when a stop was asked for."""
        while not self.asked:
            os.read(self._read, 1)

    def wait_for(self, thread: threading.Thread, seconds: float) -> None:
        """Returns when the thread has ended, time is up, or a stop was asked for."""
        waited = 0.0
        while thread.is_alive() and waited < seconds and not self.asked:
            thread.join(0.1)
            waited += 0.1

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self.asked:
            os._exit(128 + number)
        self.asked = True
        os.write(self._write, b"x")
