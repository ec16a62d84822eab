"""The programs that fetch and build what a release pins: uv for packages, Maven or Ivy for jars.

Whatever they bring is checked against the pinned digests; where from is the machine's own
configuration.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.runtimes.releases.definition import Jar, fits_python
from headwater.runtimes.sandbox import confine
from headwater.settings import installer_environment

_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"
_UNREACHABLE = (
    "error sending request",
    "failed to fetch",
    "dns error",
    "connection refused",
    "network is unreachable",
    "could not transfer",
    "unknown host",
    "network connectivity is disabled",
    "could not connect",
    "timed out",
    "unresolved dependencies",
    "were not found in the cache",
)
_SECONDS = 3600
_NO_NETWORK_HINT = (
    "connect the machine, or name a mirror as uv and Maven take it (UV_DEFAULT_INDEX, "
    "settings.xml); or copy the folder `releases` of a home where it is installed"
)


def uv_path() -> Path:
    """Where uv is: beside this Python, in its packages, or on the path."""
    beside = Path(sys.executable).parent / "uv"
    if beside.is_file():
        return beside
    if importlib.util.find_spec("uv") is not None:
        from uv import find_uv_bin

        with contextlib.suppress(FileNotFoundError):
            return Path(find_uv_bin())
    found = shutil.which("uv")
    if found is None:
        raise error(
            ErrorCode.RELEASE_UNAVAILABLE,
            "uv, which installs releases, is not there",
            hint="pip install 'headwater[spark]'",
        )
    return Path(found)


def run(argv: Sequence[str], what: str, directory: Path | None = None) -> str:
    """Runs a program that ends with this one; its output, or an error that says what is wrong."""
    # Whoever kills us must not leave half an installation going on behind.
    plan = json.dumps({"parent_death": True, "argv": list(argv)})
    try:
        done = subprocess.run(
            (os.path.realpath(sys.executable), "-I", "-S", confine.__file__, plan),
            check=False,
            env=installer_environment(),
            cwd=directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
        )
    except subprocess.TimeoutExpired as exc:
        raise error(ErrorCode.RELEASE_UNAVAILABLE, f"{what} takes longer than an hour") from exc
    if done.returncode == 0:
        return done.stdout
    raise _failure(what, done.stderr + "\n" + done.stdout)


def unreachable(failure: HeadwaterError) -> bool:
    """True when something was to be fetched and nothing answered."""
    return failure.hint == _NO_NETWORK_HINT


def find_python(wanted: str) -> tuple[Path, str]:
    """An interpreter within the bounds and its version: the server's own if it fits."""
    if fits_python(wanted):
        return Path(os.path.realpath(sys.executable)), platform.python_version().rpartition(".")[0]
    try:
        found = run(
            (str(uv_path()), "python", "find", "--no-python-downloads", "--system", wanted),
            "looking for Python",
        ).strip()
        version = run((found, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"), "Python")
    except HeadwaterError as exc:
        raise error(
            ErrorCode.RELEASE_UNAVAILABLE,
            f"it needs Python {wanted}, which this machine does not have",
            hint="install one; uv python install does it where downloads are allowed",
        ) from exc
    return Path(os.path.realpath(found)), version.strip()


@functools.cache
def system_java(versions: tuple[int, ...]) -> Path | None:
    """The home of an installed Java of one of these versions, the first the best."""
    found: dict[int, Path] = {}
    candidates = [Path(home) for home in [installer_environment().get("JAVA_HOME")] if home]
    if on_path := shutil.which("java"):
        candidates.append(Path(os.path.realpath(on_path)).parent.parent)
    for folder in ("/usr/lib/jvm", "/opt/java", "/Library/Java/JavaVirtualMachines"):
        with contextlib.suppress(OSError):
            candidates += sorted(Path(folder).iterdir())
    for home in candidates:
        for place in (home, home / "Contents" / "Home"):
            version = _java_version(place)
            if version is not None:
                found.setdefault(version, place.resolve())
    return next((found[version] for version in versions if version in found), None)


def _java_version(home: Path) -> int | None:
    with contextlib.suppress(OSError):
        if not (home / "bin" / "java").exists():
            return None
        match = re.search(r'^JAVA_VERSION="(1\.)?(\d+)', (home / "release").read_text(), re.M)
        return int(match[2]) if match else None
    return None


def fetch_jars(
    jars: Sequence[Jar], into: Path, spark_home: Path | None, java_home: Path | None
) -> None:
    """Brings jars into a folder, each named by its digest; all are checked, or none is kept."""
    with tempfile.TemporaryDirectory(dir=into) as name:
        folder = Path(name)
        if maven := shutil.which("mvn"):
            _fetch_with_maven(maven, jars, folder)
        else:
            for jar in jars:
                _fetch_with_ivy(jar, folder, spark_home, java_home)
        for jar in jars:
            found = folder / jar.file_name
            if not found.is_file():
                raise error(
                    ErrorCode.RELEASE_UNAVAILABLE, f"{jar.coordinates} could not be fetched"
                )
            actual = digest(found)
            if actual != jar.sha256:
                raise error(
                    ErrorCode.RELEASE_INVALID,
                    f"{jar.coordinates} has the SHA-256 {actual}, not {jar.sha256} as pinned",
                    hint="the mirror may be damaged or tampered with; nothing was installed",
                )
        for jar in jars:
            (folder / jar.file_name).replace(into / f"{jar.sha256}.jar")


def digest(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetch_with_maven(maven: str, jars: Sequence[Jar], folder: Path) -> None:
    """All in one run; what the jars depend on is declared by the release or not wanted."""
    dependencies = "".join(
        f"<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId>"
        f"<version>{version}</version><exclusions><exclusion><groupId>*</groupId>"
        "<artifactId>*</artifactId></exclusion></exclusions></dependency>"
        for group, artifact, version in (jar.coordinates.split(":") for jar in jars)
    )
    (folder / "pom.xml").write_text(
        "<project><modelVersion>4.0.0</modelVersion><groupId>headwater</groupId>"
        "<artifactId>release</artifactId><version>1</version>"
        f"<dependencies>{dependencies}</dependencies></project>"
    )
    run(
        (maven, "-q", "-B", _COPY, "-DoutputDirectory=."),
        f"fetching {', '.join(jar.coordinates for jar in jars)}",
        folder,
    )


def _fetch_with_ivy(
    jar: Jar, folder: Path, spark_home: Path | None, java_home: Path | None
) -> None:
    """With the Ivy that is among Spark's own jars."""
    ivy = next(iter(sorted((spark_home or folder).glob("jars/ivy-*.jar"))), None)
    if ivy is None or java_home is None:
        raise error(
            ErrorCode.RELEASE_UNAVAILABLE,
            f"nothing here can fetch {jar.coordinates}",
            hint="install Maven",
        )
    group, artifact, version = jar.coordinates.split(":")
    run(
        (
            *(str(java_home / "bin" / "java"), "-cp", str(ivy), "org.apache.ivy.Main"),
            *("-cache", str(folder / "cache"), "-dependency", group, artifact, version),
            *("-confs", "master", "-types", "jar"),
            *("-retrieve", str(folder / "[artifact]-[revision].[ext]")),
        ),
        f"fetching {jar.coordinates}",
        folder,
    )


def _failure(what: str, output: str) -> HeadwaterError:
    # Addresses of mirrors may hold credentials.
    output = re.sub(r"//[^/\s@]+@", "//", output)
    lines = [line.strip(" ×│├╰─▶") for line in output.splitlines()]
    lines = [line for line in lines if line and not line.startswith(("warning", "[INFO]"))]
    low = output.lower()
    if "hash mismatch" in low:
        start = next(index for index, line in enumerate(lines) if "hash mismatch" in line.lower())
        return error(
            ErrorCode.RELEASE_INVALID,
            f"{what}: {' '.join(lines[start : start + 1])}",
            hint="the mirror may be damaged or tampered with; nothing was installed",
        )
    if os.strerror(errno.ENOSPC).lower() in low:
        return error(ErrorCode.DISK_FULL, f"{what}: no space is left; nothing was installed")
    reason = "; ".join(lines[:4])[:600] or "it failed"
    hint = _NO_NETWORK_HINT if any(sign in low for sign in _UNREACHABLE) else None
    return error(ErrorCode.RELEASE_UNAVAILABLE, f"{what}: {reason}", hint=hint)
