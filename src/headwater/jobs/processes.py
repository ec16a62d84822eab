"""Attempts as process trees of this machine, each below a runner that outlives the server."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from headwater.errors import ErrorCode, error
from headwater.jobs.execution import Look, Work
from headwater.jobs.folder import AttemptFolder
from headwater.jobs.records import Ending
from headwater.model.run import FailureClass, RunState, RunUsage
from headwater.runtimes.sandbox.cgroups import Leaf
from headwater.settings import JobSettings, child_environment

_CAUSES: dict[str, tuple[FailureClass, ErrorCode]] = {
    "timeout": (FailureClass.TIMEOUT, ErrorCode.EXCEEDED_TIME_LIMIT),
    "memory": (FailureClass.OUT_OF_MEMORY, ErrorCode.EXCEEDED_MEMORY_LIMIT),
    "processes": (FailureClass.USER, ErrorCode.EVALUATION_FAILED),
    "disk": (FailureClass.USER, ErrorCode.DISK_FULL),
    "start": (FailureClass.INFRASTRUCTURE, ErrorCode.ENGINE_FAILED),
    "cluster": (FailureClass.LOST_ENGINE, ErrorCode.ENGINE_FAILED),
    "signal": (FailureClass.USER, ErrorCode.EVALUATION_FAILED),
    "status": (FailureClass.USER, ErrorCode.EVALUATION_FAILED),
}
_STARTING_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Command:
    """What a runner starts; `argv` and `environment` hold no secret."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    directory: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    masters: Sequence[str] = ()
    """Of the cluster that it needs, `HOST:PORT`: it is ended when none of them answers."""
    unreachable_seconds: float = 60.0
    on_cancel: Sequence[str] = ()
    """What ends it in the cluster."""
    executor_gb_per_core: float | None = None
    """Memory of its executors elsewhere, which its event log tells of; None: it has none."""


class Processes:
    """Starts runners and reads what they leave; all that it knows is in the attempts' folders."""

    def __init__(self, settings: JobSettings, ready_file: Path) -> None:
        self._settings = settings
        self._ready_file = ready_file
        self._lock = threading.Lock()
        self._runners: dict[Path, tuple[subprocess.Popen[bytes], float]] = {}

    def begin(self, work: Work, command: Command) -> None:
        """Has a runner start the command; does nothing when one did already."""
        folder = work.folder
        if folder.read("plan") is None:
            compute, settings = work.spec.compute, self._settings
            seconds = work.spec.timeout_seconds
            folder.write(
                "plan",
                {
                    "argv": list(command.argv),
                    "environment": dict(command.environment),
                    "directory": command.directory,
                    "leaf": leaf_name(work.run.id, work.attempt.number),
                    "vcpu": compute.vcpu,
                    "memory_bytes": compute.memory_bytes,
                    "processes": settings.processes,
                    "disk_bytes": settings.disk_bytes,
                    "log_bytes": settings.log_bytes,
                    "grace_seconds": settings.grace_seconds,
                    "timeout_seconds": seconds,
                    "deadline_ms": int((time.time() + seconds) * 1000),
                    "ready_file": str(self._ready_file),
                    "masters": list(command.masters),
                    "unreachable_seconds": command.unreachable_seconds,
                    "on_cancel": list(command.on_cancel),
                    "executor_gb_per_core": command.executor_gb_per_core,
                },
            )
        self._spawn(folder)

    def resume(self, work: Work) -> None:
        """Has a runner take up an attempt whose plan is there."""
        if work.folder.read("result") is None and not work.folder.runner_lives:
            self._spawn(work.folder)

    def look(self, work: Work) -> Look:
        """How the attempt is, by its folder."""
        folder = work.folder
        self._reap(folder.path)
        result = folder.read("result")
        if result is not None:
            return Look(True, _ending(result), _usage(result["usage"]))
        if folder.read("plan") is None:
            return Look(False)
        state = folder.read("state")
        if folder.runner_lives:
            return Look(state is not None, facts={"progress": folder.read("usage") or {}})
        # The result is written before the lock is given up.
        result = folder.read("result")
        if result is not None:
            return Look(True, _ending(result), _usage(result["usage"]))
        if state is not None:
            return self._vanished(work, state)
        if not self._starting(folder.path):
            self._spawn(folder)
        return Look(False)

    def cancel(self, work: Work) -> None:
        """Asks the runner to end the tree; it kills what does not end by itself."""
        work.folder.ask_to_cancel()

    def _spawn(self, folder: AttemptFolder) -> None:
        with self._lock:
            if folder.path in self._runners and self._runners[folder.path][0].poll() is None:
                return
            try:
                with (folder.path / "runner.log").open("ab") as log:
                    process = subprocess.Popen(
                        [sys.executable, "-m", "headwater.jobs.runner", str(folder.path)],
                        env=child_environment(),
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        start_new_session=True,
                    )
            except OSError as exc:
                raise error(
                    ErrorCode.ENGINE_FAILED, f"the runner could not be started: {exc.strerror}"
                ) from exc
            self._runners[folder.path] = (process, time.monotonic())

    def _starting(self, path: Path) -> bool:
        """True while a runner of ours may not have taken its lock yet."""
        with self._lock:
            known = self._runners.get(path)
        if known is None:
            return False
        process, since = known
        return process.poll() is None and time.monotonic() - since < _STARTING_SECONDS

    def _reap(self, path: Path) -> None:
        with self._lock:
            known = self._runners.get(path)
            if known is not None and known[0].poll() is not None:
                del self._runners[path]

    def _vanished(self, work: Work, state: Mapping[str, Any]) -> Look:
        """The runner was killed, or the machine restarted: ends what is left of the tree."""
        leaf = Leaf.find(str(state["leaf"]))
        leaf.kill()
        _kill_session(int(state["child"]), float(state["runner_started"]))
        used = _usage(work.folder.read("usage") or {})
        counted = leaf.cpu_seconds()
        if counted is not None and counted > used.cpu_seconds:
            used = RunUsage(**{**_fields(used), "cpu_seconds": counted, "method": leaf.method})
        leaf.remove()
        ending = Ending(
            RunState.FAILED,
            "its runner was killed, or the machine was restarted",
            FailureClass.INFRASTRUCTURE,
            ErrorCode.ENGINE_FAILED,
        )
        return Look(True, ending, used)


def leaf_name(run_id: str, attempt: int) -> str:
    """The name of an attempt's control group."""
    return f"headwater-run-{run_id}-{attempt}"


def _ending(result: Mapping[str, Any]) -> Ending:
    cause, status = result["cause"], result["status"]
    if cause is None:
        return Ending(RunState.SUCCESS, exit_status=status)
    if cause == "cancelled":
        return Ending(RunState.CANCELLED, result["detail"], exit_status=status)
    failure, code = _CAUSES[cause]
    return Ending(RunState.FAILED, result["detail"], failure, code, status)


def _usage(found: Mapping[str, Any]) -> RunUsage:
    names = set(RunUsage.__dataclass_fields__) & found.keys()
    return RunUsage(**{name: found[name] for name in names})


def _fields(usage: RunUsage) -> dict[str, Any]:
    return {name: getattr(usage, name) for name in RunUsage.__dataclass_fields__}


def _kill_session(leader: int, since: float) -> None:
    """Kills the processes of a session, if its leader's number was not given to another since."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.create_time() >= since and os.getsid(process.pid) == leader:
                process.send_signal(signal.SIGKILL)
