"""Carries out one attempt and outlives the server: `python -m headwater.jobs.runner FOLDER`.

It starts the command of `plan.json`, keeps its output, meters it, holds it to its bounds, relays
it to the server, ends the whole tree when asked or when it is over, and leaves `result.json`.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import psutil

from headwater.jobs import logs
from headwater.jobs.executors import executors_of, with_executors
from headwater.jobs.folder import AttemptFolder
from headwater.jobs.logs import LogWriter
from headwater.jobs.mastery import MasterWatch
from headwater.jobs.metering import Meter
from headwater.jobs.relay import Relays
from headwater.runtimes.sandbox.cgroups import Leaf

TICK_SECONDS = 0.1
_USAGE_SECONDS = 2.0
_DISK_SECONDS = 5.0
_IDLE_FLUSH_SECONDS = 1.0
_SUBREAPER, _DEATH_SIGNAL = 36, 1
_TOKENS = ("token", "remote-token")
_WRAPPERS = frozenset({"bwrap"})


class Runner:
    """One attempt, from start to result."""

    def __init__(self, folder: AttemptFolder, plan: Mapping[str, Any]) -> None:
        self.folder = folder
        self.plan = plan
        self.cause: str | None = None
        self.detail = ""
        self._leaf = Leaf.create(
            plan["leaf"], memory_bytes=plan["memory_bytes"], tasks=plan["processes"]
        )
        self._meter = Meter(self._leaf, plan["vcpu"])
        self._writers: dict[str, LogWriter] = {}
        self._killed_at: float | None = None
        self._usage_at = self._disk_at = 0.0
        self._child = 0
        self._asked = False
        self._master = MasterWatch(plan["masters"], plan["unreachable_seconds"])

    def run(self) -> dict[str, Any]:
        """Carries the attempt out; returns the result's content."""
        signal.signal(signal.SIGTERM, self._on_signal)
        for ignored in (signal.SIGHUP, signal.SIGINT, signal.SIGPIPE):
            signal.signal(ignored, signal.SIG_IGN)
        if not self.folder.cancel_asked:
            Relays(self.folder.sockets, Path(self.plan["ready_file"])).start()
            for each in self.folder.sockets.glob("*.sock"):
                each.chmod(0o777)  # the folder is the run's alone
        for stream in logs.STREAMS:
            self._writers[stream] = LogWriter(
                self.folder.logs, stream, cap=self.plan["log_bytes"], secrets=self._secrets()
            )
        if self.folder.cancel_asked:
            return self._result(None, "cancelled", "cancelled before it started")
        try:
            child = self._start()
        except OSError as exc:
            return self._result(None, "start", f"it could not be started: {exc.strerror}")
        self._child = child.pid
        self._master.start()
        mover = threading.Thread(target=self._move_output, args=(child,), daemon=True)
        mover.start()
        me = psutil.Process()
        self.folder.write(
            "state",
            {
                "runner": me.pid,
                "runner_started": me.create_time(),
                "child": child.pid,
                "leaf": self.plan["leaf"],
                "started_ms": int(time.time() * 1000),
            },
        )
        status = self._watch(child)
        self._end_tree()
        mover.join(5.0)
        for writer in self._writers.values():
            writer.flush()
        return self._judge(status)

    def _start(self) -> subprocess.Popen[bytes]:
        libc = ctypes.CDLL(None, use_errno=True)
        if sys.platform == "linux":
            libc.prctl(_SUBREAPER, 1, 0, 0, 0)
        leaf = self._leaf

        def prepare() -> None:
            leaf.enter()
            if sys.platform == "linux":
                libc.prctl(_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)

        return subprocess.Popen(
            self.plan["argv"],
            env=self.plan["environment"],
            cwd=self.plan["directory"] or self.folder.work,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=prepare,  # noqa: PLW1509 - no thread of ours touches a lock before exec
        )

    def _watch(self, child: subprocess.Popen[bytes]) -> int:
        deadline = self.plan["deadline_ms"] / 1000
        while (status := child.poll()) is None:
            now = time.monotonic()
            self._check(now, deadline)
            if self._killed_at is not None and now >= self._killed_at:
                self._leaf.kill(1.0)
                self._kill_descendants()
            time.sleep(TICK_SECONDS)
        self._child = 0
        return status

    def _check(self, now: float, deadline: float) -> None:
        sample = self._meter.sample()
        if now - self._usage_at >= _USAGE_SECONDS:
            self._usage_at = now
            with contextlib.suppress(OSError):  # a full disk; the next one may fit
                self.folder.write("usage", sample.as_json())
        self._reap()
        if self._killed_at is not None:
            return
        grace = float(self.plan["grace_seconds"])
        if self._asked or self.folder.cancel_asked:
            self._end("cancelled", "cancelled", grace)
        elif not self.folder.path.exists():
            self._end("cancelled", "its folder was removed", 0.0)
        elif time.time() > deadline:
            self._end("timeout", f"it ran longer than {self.plan['timeout_seconds']:g} s", grace)
        elif self._meter.memory_bytes > self.plan["memory_bytes"] * 1.02:
            most = self.plan["memory_bytes"] / 2**20
            self._end("memory", f"it used more than its {most:.0f} MiB of memory", 0.0)
        elif self._meter.processes > self.plan["processes"] or self._leaf.out_of_tasks():
            self._end("processes", f"it had more than {self.plan['processes']} processes", 0.0)
        elif self._master.lost:
            self._end("cluster", f"its cluster does not answer: {self._master.lost}", grace)
        elif now - self._disk_at >= _DISK_SECONDS:
            self._disk_at = now
            self._check_disk()

    def _check_disk(self) -> None:
        used = _folder_bytes(self.folder.work, self.plan["disk_bytes"])
        if used > self.plan["disk_bytes"]:
            most = self.plan["disk_bytes"] / 2**20
            self._end("disk", f"it wrote more than its {most:.0f} MiB of files", 0.0)

    def _end(self, cause: str, detail: str, grace: float) -> None:
        """Asks the tree to end, and has it killed after the grace."""
        self.cause, self.detail = cause, detail
        self._killed_at = time.monotonic() + grace
        if self.plan["on_cancel"]:
            self._tell_cluster()
        if grace:
            for process in _descendants():
                with contextlib.suppress(psutil.Error):
                    if process.name() not in _WRAPPERS:
                        process.terminate()

    def _tell_cluster(self) -> None:
        """Ends the driver where it is not below this process; nothing waits for it."""
        with contextlib.suppress(OSError):
            subprocess.Popen(
                self.plan["on_cancel"],
                env=self.plan["environment"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )

    def _end_tree(self) -> None:
        """Ends what the command left behind, and reaps it so that it is counted."""
        if self._leaf.exists:
            self._leaf.kill()
        deadline = time.monotonic() + 10
        while self._kill_descendants() and time.monotonic() < deadline:
            time.sleep(0.02)

    def _kill_descendants(self) -> bool:
        """Kills all that is below; as its subreaper this process sees daemons, too."""
        found = _descendants()
        for process in found:
            with contextlib.suppress(psutil.Error):
                process.kill()
        self._reap()
        return bool(found)

    def _reap(self) -> None:
        """Reaps orphans that ended, not the command itself: its status is `_watch`'s to read."""
        with contextlib.suppress(ChildProcessError):
            while True:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                if ended is None or ended.si_pid == self._child:
                    return
                os.waitpid(ended.si_pid, os.WNOHANG)

    def _judge(self, status: int) -> dict[str, Any]:
        if self.cause is not None:
            return self._result(status, self.cause, self.detail)
        if status == 0:
            return self._result(0, None, "")
        if gone := self._master.verdict():
            # Its driver noticed sooner than we did.
            return self._result(status, "cluster", f"its cluster does not answer: {gone}")
        if self._leaf.out_of_memory():
            most = self.plan["memory_bytes"] / 2**20
            return self._result(status, "memory", f"it used more than its {most:.0f} MiB of memory")
        end = logs.tail(self.folder.logs, "stderr")
        if "java.lang.OutOfMemoryError" in end or "\nMemoryError" in f"\n{end}":
            return self._result(status, "memory", "it ran out of memory")
        if "No space left on device" in end:
            return self._result(status, "disk", "the disk was full")
        last = next((line.strip() for line in reversed(end.splitlines()) if line.strip()), "")
        number = -status if status < 0 else status - 128
        if status < 0 or 128 < status < 160:
            with contextlib.suppress(ValueError):
                name = signal.Signals(number).name
                return self._result(status, "signal", f"killed by {name}; {last}".rstrip("; "))
        return self._result(status, "status", f"exit status {status}: {last}".rstrip(": "))

    def _result(self, status: int | None, cause: str | None, detail: str) -> dict[str, Any]:
        usage = self._meter.sample().as_json()
        if (per_core := self.plan["executor_gb_per_core"]) is not None:
            usage = with_executors(usage, executors_of(self.folder), per_core)
        return {
            "status": status,
            "cause": cause,
            "detail": detail[:500],
            "ended_ms": int(time.time() * 1000),
            "usage": usage,
        }

    def _move_output(self, child: subprocess.Popen[bytes]) -> None:
        """Moves what the run prints into its logs until both pipes are closed."""
        assert child.stdout is not None
        assert child.stderr is not None
        pipes: dict[int, tuple[IO[bytes], LogWriter]] = {
            child.stdout.fileno(): (child.stdout, self._writers["stdout"]),
            child.stderr.fileno(): (child.stderr, self._writers["stderr"]),
        }
        poller = select.poll()
        for descriptor in pipes:
            poller.register(descriptor, select.POLLIN | select.POLLHUP)
        quiet_since = time.monotonic()
        while pipes:
            events = poller.poll(250)
            if events:
                quiet_since = time.monotonic()
            elif time.monotonic() - quiet_since > _IDLE_FLUSH_SECONDS:
                for _, writer in pipes.values():
                    writer.flush()
            for descriptor, _ in events:
                pipe, writer = pipes[descriptor]
                data = os.read(descriptor, 65536)
                if data:
                    writer.write(data)
                else:
                    poller.unregister(descriptor)
                    del pipes[descriptor]
                    pipe.close()

    def _secrets(self) -> list[bytes]:
        found = []
        for path in self.folder.secrets.iterdir():
            with contextlib.suppress(OSError):
                if path.name in _TOKENS:
                    found.append(path.read_bytes().strip())
        return found

    def _on_signal(self, _number: int, _frame: object) -> None:
        self._asked = True

    def close(self) -> None:
        """Removes the control groups."""
        self._leaf.remove()


def _descendants() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def _folder_bytes(folder: Path, most: int) -> int:
    """Bytes on disk below a folder; stops counting beyond `most`."""
    total = 0
    for root, _, names in os.walk(folder, onerror=lambda _: None):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(root, name)).st_blocks * 512
        if total > most:
            break
    return total


def main() -> int:
    """Runs the attempt of the folder given, unless it ran already or runs now."""
    os.umask(0o077)
    folder = AttemptFolder(Path(sys.argv[1]))
    with folder.owned() as mine:
        plan = folder.read("plan")
        if not mine or plan is None or folder.read("result") is not None:
            return 0
        folder.reserve("result")
        runner = Runner(folder, plan)
        try:
            result = runner.run()
        finally:
            runner.close()
        with contextlib.suppress(FileNotFoundError):  # the run was forgotten, or its home removed
            folder.write("result", result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
