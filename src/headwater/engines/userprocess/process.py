"""One process of a user engine: its folders, its sandbox, its socket, its end."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import signal
import socket
import tempfile
import threading
import time
import uuid
from pathlib import Path

from headwater.engines.userprocess import inside as inside_program
from headwater.engines.userprocess.engine import SPARK, Counters
from headwater.engines.userprocess.launch import REHEARSAL, launch
from headwater.errors import ErrorCode, error
from headwater.runtimes.releases.installed import InstalledRelease
from headwater.runtimes.sandbox import watch
from headwater.runtimes.sandbox.cgroups import Leaf, lines_of
from headwater.runtimes.sandbox.sandbox import Bind, Limits, Sandbox, SandboxLevel, command
from headwater.runtimes.supervisor import ChildExit, Launched
from headwater.settings import UserEngineSettings, child_environment

log = logging.getLogger(__name__)

_INBOX, _OUTBOX, _SCRATCH = "/inbox", "/outbox", "/scratch"
_PROGRAM = Path(inside_program.__file__)
_PROGRAM_INSIDE = "/run/headwater/inside.py"
_ARCHIVE_INSIDE = "/run/headwater/classes.jsa"
_PORT = 15002
_SOCKET_PATH_MAX = 100  # the kernel takes 107
_TAIL = 600


class UserProcess:
    """One process from start to end; made for one principal and role, or as a spare for one.

    `reason` says why we end it, `ended` why it has ended. `start` returns when the engine answers.
    A thread of its own starts it and waits for it, because the kernel ends the process together
    with the thread that started it.
    """

    def __init__(
        self,
        engine: str,
        release: InstalledRelease,
        folder: Path,
        settings: UserEngineSettings,
        at: SandboxLevel,
        *,
        archive: Path | None = None,
        rehearsal: Path | None = None,
    ) -> None:
        """`archive`: Java's archive of classes; `rehearsal`: makes that file, then ends."""
        self.engine = engine
        self.release = release
        self.level = at
        self.generation = uuid.uuid4().hex
        self.memory_bytes = settings.memory()
        self.peak_memory_bytes = 0
        self.started_seconds = 0.0
        self.ended: str | None = None
        self.reason: str | None = None
        self._settings = settings
        self._archive = None if archive is None else Bind(archive, _ARCHIVE_INSIDE)
        self._rehearsal = rehearsal
        self._folder = folder / self.generation
        self._inbox = Bind(self._folder / "inbox", _INBOX)
        self._outbox = Bind(self._folder / "outbox", _OUTBOX)
        self._scratch = Bind(self._folder / "scratch", _SCRATCH)
        self._socket = self._folder / "connect.sock"
        self._short: Path | None = None
        self._cgroup = Leaf.create(f"headwater-engine-{self.generation[:12]}")
        self._child: Launched | None = None
        self._control: socket.socket | None = None
        self._answered = threading.Event()
        self._failure: str | None = None
        self._last = Counters()
        self._gone = threading.Event()

    @property
    def inbox(self) -> Path:
        """Where files are put for it."""
        return self._inbox.outside

    @property
    def inbox_inside(self) -> str:
        """What the process calls the inbox."""
        return self._inbox.seen(self.level)

    @property
    def outbox(self) -> Path:
        """Where it leaves files."""
        return self._outbox.outside

    @property
    def outbox_inside(self) -> str:
        """What the process calls the outbox."""
        return self._outbox.seen(self.level)

    @property
    def target(self) -> str:
        """The gRPC target of its service."""
        return f"unix:{self._socket}"

    @property
    def alive(self) -> bool:
        """True from the start until it has ended or is being ended."""
        return self._child is not None and self.ended is None and self.reason is None

    @property
    def pid(self) -> int:
        """The process that all of it lives below; 0 when it was never started."""
        return self._child.pid if self._child else 0

    def start(self) -> None:
        """Starts it and waits until it answers; raises ENGINE_UNAVAILABLE with the reason."""
        began = time.monotonic()
        if self.engine == SPARK and not self.level.own_network:
            raise error(
                ErrorCode.ENGINE_UNAVAILABLE,
                f"Spark needs a network of its own, which the sandbox ({self.level.kind}) lacks",
                hint="install bubblewrap; headwater doctor says what keeps it from working",
            )
        thread = threading.Thread(target=self._live, name=f"{self.engine} process", daemon=True)
        thread.start()
        if not self._answered.wait(self._settings.start_seconds):
            self.stop(f"it did not answer within {self._settings.start_seconds:g} s")
        if self._failure is not None or not self.alive:
            self._gone.wait(10)
            raise error(
                ErrorCode.ENGINE_UNAVAILABLE,
                f"{self.engine} ({self.release.name}) did not start: "
                f"{self._failure or self.ended or self.reason}",
                hint="headwater doctor checks the sandbox; `headwater release show --verify` "
                "the release",
            )
        self.started_seconds = time.monotonic() - began

    def stop(self, reason: str = "it was stopped") -> None:
        """Ends it at once; nothing of it is worth waiting for."""
        self.reason = self.reason or reason
        if self._child is not None:
            self._child.signal(signal.SIGKILL)
        self._cgroup.kill(0.0)

    def join(self, seconds: float) -> bool:
        """True when it has ended and its folders are removed, within `seconds`."""
        return self._gone.wait(seconds)

    def used(self) -> Counters:
        """What it has used so far: asked of its control group, or as it was last looked at."""
        cpu_seconds = self._cgroup.cpu_seconds()
        if cpu_seconds is None:
            return self._last
        read = sum(_bytes_read(pid) for pid in self._cgroup.members(everywhere=False))
        return Counters(cpu_seconds, max(read, self._last.bytes_read), self.peak_memory_bytes)

    def check(self) -> None:
        """Ends it if it uses more memory or disk than it may."""
        if not self.alive:
            return
        use = watch.sample(self.pid)
        if use is None:
            return
        self._last = Counters(use.cpu_seconds, use.bytes_asked, use.memory_bytes)
        self.peak_memory_bytes = max(self.peak_memory_bytes, use.memory_bytes)
        if use.memory_bytes > self.memory_bytes:
            self.stop(f"it used more than {self.memory_bytes >> 20} MiB of memory")

    def check_disk(self) -> None:
        """Ends it if it fills the disk."""
        if self.alive and _size(self._scratch.outside, self.outbox) > self._settings.disk_bytes:
            self.stop(f"it used more than {self._settings.disk_bytes >> 20} MiB of disk")

    def _live(self) -> None:
        """The whole life, in the thread of its own."""
        try:
            child = self._launch()
        except Exception as exc:
            log.exception("a %s process could not be started", self.engine)
            self._failure = str(exc)
            self._bury()
            return
        waiter = threading.Thread(target=self._listen, name=f"{self.engine} start", daemon=True)
        waiter.start()
        ended = child.wait()
        self.ended = self._describe(ended)
        expected = self._rehearsal is not None or self.reason is not None
        if not expected or not self._answered.is_set():
            log.warning(
                "%s process %s ended: %s\n%s", self.engine, self.generation, ended, ended.output
            )
        waiter.join()
        self._bury()

    def _launch(self) -> Launched:
        for bind in (self._inbox, self._outbox, self._scratch):
            bind.outside.mkdir(parents=True)
            # Only the server passes the folder above; the sandbox's own user must pass these,
            # whatever the server's umask is (`headwater up` sets 077).
            bind.outside.chmod(0o755)
        self._folder.chmod(0o711)
        scratch = self._scratch.seen(self.level)
        port = _PORT if self.level.own_network else _free_port()
        properties = Bind(self._folder / "spark.properties", "/run/headwater/spark.properties")
        how = launch(
            self.engine,
            self.release,
            scratch=scratch,
            memory_bytes=self.memory_bytes,
            port=port,
            properties=properties.seen(self.level),
            java=self._java_flags(scratch),
        )
        properties.outside.write_text(how.properties)
        properties.outside.chmod(0o644)
        program = Bind(_PROGRAM, _PROGRAM_INSIDE)
        mine, theirs = socket.socketpair()
        listener = self._listen_socket()
        try:
            plan = {
                "engine": self.engine,
                "listener": listener.fileno(),
                "control": theirs.fileno(),
                "port": port,
                "java": how.java,
                "rehearsal": REHEARSAL if self._rehearsal is not None else "",
            }
            keep = (listener.fileno(), theirs.fileno())
            argv = (str(self.release.python), "-I", "-X", "faulthandler", program.seen(self.level))
            self._cgroup.limit(self.memory_bytes, self._settings.processes)
            sandbox = Sandbox(
                ro=(*self.release.folders, program, properties, self._inbox, *self._archives()),
                rw=(self._outbox, self._scratch),
                limits=Limits(
                    # what is reserved counts here, what is used is watched and limited besides
                    memory_bytes=3 * self.memory_bytes,
                    processes=self._settings.processes,
                    file_bytes=self._settings.disk_bytes,
                ),
                environment={
                    **child_environment(),
                    **how.environment,
                    "PATH": "/usr/bin:/bin",
                    "HOME": scratch,
                    "TZ": "UTC",
                    "TMPDIR": scratch,
                    "PYTHONDONTWRITEBYTECODE": "1",
                },
                directory=scratch,
                keep=keep,
                ports=(port,),
                cgroup=self._cgroup,
            )
            confined = command([*argv, json.dumps(plan)], sandbox, self.level)
            child = Launched(confined, keep=keep)
        except BaseException:
            mine.close()
            raise
        finally:
            theirs.close()
            listener.close()
        self._control = mine
        self._child = child
        if self.reason is not None:  # stopped while it was being started
            child.signal(signal.SIGKILL)
        return child

    def _archives(self) -> tuple[Bind, ...]:
        return () if self._archive is None else (self._archive,)

    def _java_flags(self, scratch: str) -> tuple[str, ...]:
        if self._rehearsal is not None:
            return (f"-XX:ArchiveClassesAtExit={scratch}/classes.jsa",)
        if self._archive is None:
            return ()
        # an archive that does not fit is ignored, without a word on the output
        quiet = ("-Xshare:auto", "-Xlog:cds=off", "-Xlog:cds+dynamic=off")
        return (f"-XX:SharedArchiveFile={self._archive.seen(self.level)}", *quiet)

    def _listen_socket(self) -> socket.socket:
        if len(str(self._socket)) > _SOCKET_PATH_MAX:
            self._short = Path(tempfile.mkdtemp(prefix="headwater-"))
            self._socket = self._short / "connect.sock"
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self._socket))
        self._socket.chmod(0o600)
        listener.listen(64)
        return listener

    def _listen(self) -> None:
        """Waits for the report that the engine answers; the socket then stays as its lifeline."""
        assert self._control is not None
        with contextlib.suppress(OSError, ValueError), self._control.makefile("rb") as lines:
            line = lines.readline(65536)
            report = json.loads(line) if line else {}
            if report.get("ready") is not True:
                self._failure = str(report.get("error", "it ended"))[:_TAIL]
                if self._child is not None:
                    self._child.signal(signal.SIGKILL)
        if self._failure is None:
            self._answered.set()

    def _describe(self, ended: ChildExit) -> str:
        if self.reason is not None:
            return self.reason
        if self._cgroup.out_of_memory():
            return f"it used more than {self.memory_bytes >> 20} MiB of memory"
        return f"it ended with {ended}"

    def _bury(self) -> None:
        if self._failure is not None:
            self.ended = self.ended or self._failure
        self.ended = self.ended or "it ended"
        if self._control is not None:
            self._control.close()
        self._cgroup.end()
        if self._rehearsal is not None:
            with contextlib.suppress(OSError):
                (self._scratch.outside / "classes.jsa").replace(self._rehearsal)
        shutil.rmtree(self._folder, ignore_errors=True)
        if self._short is not None:
            shutil.rmtree(self._short, ignore_errors=True)
        self._gone.set()
        self._answered.set()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _bytes_read(pid: int) -> int:
    """Bytes that a process has read, cached or not; 0 when it has ended."""
    for line in lines_of(f"/proc/{pid}/io"):
        if line.startswith("rchar:"):
            return int(line.split()[1])
    return 0


def _size(*folders: Path) -> int:
    """Bytes on the disk below the folders; links are not followed."""
    total = 0
    for folder in folders:
        for place, _, names in os.walk(folder):
            for name in names:
                with contextlib.suppress(OSError):
                    total += os.lstat(os.path.join(place, name)).st_blocks * 512
    return total
