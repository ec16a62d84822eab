"""What a gateway uses of the engines for user code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from headwater.model.principal import Identity

SAIL, SPARK = "sail", "spark"


@dataclass(frozen=True, slots=True)
class Counters:
    """What a process has used: seconds of CPU, bytes that it asked files for, most memory."""

    cpu_seconds: float = 0.0
    bytes_read: int = 0
    peak_memory_bytes: int = 0


class UserEngine(Protocol):
    """A lease of a process that speaks Spark Connect, for one principal and role.

    The process sees `inbox` (read-only, as `inbox_inside`) and `outbox` (as `outbox_inside`), has
    no network and no credential. What lies in the outbox was made by user code: names, links and
    contents are to be distrusted.
    """

    @property
    def engine(self) -> str:
        """`sail` or `spark`."""
        ...

    @property
    def release_name(self) -> str:
        """The release that it runs."""
        ...

    @property
    def generation(self) -> str:
        """Another value means another process: all state of sessions is gone."""
        ...

    @property
    def target(self) -> str:
        """The gRPC target of its Spark Connect service."""
        ...

    @property
    def inbox(self) -> Path:
        """Where files are put for it; they and their folders must be readable by all."""
        ...

    @property
    def inbox_inside(self) -> str:
        """What the process calls the inbox."""
        ...

    @property
    def outbox(self) -> Path:
        """Where it leaves files."""
        ...

    @property
    def outbox_inside(self) -> str:
        """What the process calls the outbox."""
        ...

    @property
    def alive(self) -> bool:
        """False once the process has ended, for whatever reason."""
        ...

    @property
    def ended(self) -> str | None:
        """Why the process ended, for people; None while it lives."""
        ...

    @property
    def sandbox(self) -> str:
        """How it is confined: `bubblewrap`, `landlock`, `uid` or `none`."""
        ...

    @property
    def confines(self) -> bool:
        """True when restricted tables may be shown to user code in it."""
        ...

    @property
    def pid(self) -> int:
        """The process that all of it lives below."""
        ...

    def used(self) -> Counters:
        """What the process has used since its start."""
        ...

    def release(self) -> None:
        """Ends this lease; the process stays until it has been idle for long."""
        ...


class UserEngines(Protocol):
    """The pool of them."""

    def lease(self, identity: Identity, engine: str, release: str | None = None) -> UserEngine:
        """The process of the identity's principal and role, started if there is none.

        Raises ENGINE_UNAVAILABLE, or what the release's installation raises.
        """
        ...

    def discard(self, identity: Identity, engine: str, release: str | None = None) -> None:
        """Ends the process of a principal and role, leased or not; the next lease starts anew."""
        ...

    def doubt(self, generation: str, answers: Callable[[float], bool]) -> None:
        """Looks after a process in which somebody gave up on an operation; returns at once.

        One that does not answer any more (`answers` asks, for so many seconds), or works on, is
        replaced: leases that follow get a new one.
        """
        ...

    def stop(self) -> None:
        """Ends all processes."""
        ...
