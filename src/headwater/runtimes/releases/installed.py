"""A release as it lies on the disk, ready to run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class InstalledRelease:
    """One installed release; nothing in its folder ever changes."""

    name: str
    """Such as `spark-4.1` or `sail`."""
    identity: str
    """The digest of everything that is pinned; another digest is another folder."""
    path: Path
    python: Path
    """The interpreter of its own environment."""
    java_home: Path | None = None
    spark_home: Path | None = None
    jars: tuple[Path, ...] = ()
    """Jars beyond Spark's own."""
    conf: Mapping[str, str] = field(default_factory=dict)
    """Spark's default configuration."""
    env: Mapping[str, str] = field(default_factory=dict)
    packages: Mapping[str, str] = field(default_factory=dict)
    """Python packages and their versions."""

    @property
    def folders(self) -> tuple[Path, ...]:
        """What a sandbox must show for the release to run: itself, its Python's base, its Java."""
        base = self.python.resolve().parent.parent
        folders = [self.path]
        for folder in (base, self.java_home.resolve() if self.java_home else None):
            if folder is None or folder.is_relative_to("/usr"):
                continue
            if not folder.is_relative_to(self.path):
                folders.append(folder)
        return tuple(folders)


class Releases(Protocol):
    """Where installed releases come from."""

    def ensure(self, name: str) -> InstalledRelease:
        """The release, installed if it is not yet; raises HeadwaterError when it cannot be."""
        ...

    def installed(self, name: str) -> InstalledRelease | None:
        """The release if it is installed already."""
        ...
