"""Java's archive of loaded classes: Spark then starts with less than half of the work.

It is made once for each release and Java, in the sandbox and with no user about, by a rehearsal:
the server starts, runs a few queries and ends. A Java that the archive does not fit ignores it.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from headwater.engines.userprocess.engine import SPARK
from headwater.engines.userprocess.process import UserProcess
from headwater.errors import HeadwaterError
from headwater.runtimes.releases.installed import InstalledRelease
from headwater.runtimes.sandbox.sandbox import SandboxLevel, level
from headwater.settings import UserEngineSettings
from headwater.telemetry.logs import log

_log = log("engines")
_SECONDS = 600.0


def archive_of(release: InstalledRelease) -> Path | None:
    """The release's archive if it has been made for the Java that it runs on now."""
    path = _path(release)
    return path if path is not None and path.is_file() else None


def make_archive(
    release: InstalledRelease, settings: UserEngineSettings, at: SandboxLevel | None = None
) -> Path | None:
    """Makes the archive unless it is there; None when this machine cannot."""
    path, at = _path(release), at or level()
    if path is None or not at.own_network:
        return None
    if path.is_file():
        return path
    path.parent.mkdir(mode=0o711, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as name:
        folder = Path(name)
        folder.chmod(0o711)
        made = folder / "classes.jsa"
        process = UserProcess(SPARK, release, folder, settings, at, rehearsal=made)
        try:
            process.start()
            process.join(_SECONDS)
        except HeadwaterError as exc:
            _log.warning("no archive of classes was made", release=release.name, why=exc.message)
        finally:
            process.stop("the rehearsal took too long")
            process.join(30)
        if not made.is_file():
            return None
        os.chown(made, os.getuid(), os.getgid())
        made.chmod(0o444)
        made.replace(path)
    return path


def _path(release: InstalledRelease) -> Path | None:
    """Where the archive lies: beside the releases, for one release and one build of Java."""
    if release.java_home is None or release.spark_home is None:
        return None
    try:
        java = (release.java_home / "release").read_bytes()
    except OSError:
        return None
    build = hashlib.sha256(java + str(release.java_home).encode()).hexdigest()[:12]
    return release.path.parent.parent / "archives" / f"{release.identity}-{build}.jsa"
