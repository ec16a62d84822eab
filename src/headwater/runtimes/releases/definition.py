"""What a release is made of, as the files in `definitions` pin it.

`<name>.toml` declares it; `<name>.lock` names every Python package with its version and hashes
(`make lock-releases` resolves it); `build.lock` does the same for what builds packages that have no
wheel; `java.lock` for the Java that is used where the machine has none that fits.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import platform
import re
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from headwater.errors import ErrorCode, error

DEFINITIONS = Path(__file__).parent / "definitions"

_NAME = re.compile(r"[a-z][a-z0-9.-]{0,40}")
_COORDINATES = re.compile(r"[\w.-]+:[\w.-]+:[\w.-]+")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LOCKED = re.compile(r"^([A-Za-z0-9][\w.-]*)(?:\[[\w,.-]*\])?==([^ \\;]+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Jar:
    """A jar beyond Spark's own, by Maven coordinates and digest."""

    coordinates: str
    sha256: str

    @property
    def file_name(self) -> str:
        """The name it has in a release."""
        _, artifact, version = self.coordinates.split(":")
        return f"{artifact}-{version}.jar"


@dataclass(frozen=True, slots=True)
class Definition:
    """One release as it is declared."""

    name: str
    summary: str
    python: str
    """The versions of Python that it runs on, such as `>=3.11,<3.14`."""
    lock: str
    build_lock: str
    java: tuple[int, ...]
    """The versions of Java that it runs on, best first; none for a release without Spark."""
    java_lock: str
    jars: tuple[Jar, ...]
    conf: Mapping[str, str]
    features: tuple[str, ...]
    end_of_life: datetime.date | None
    install_seconds: int
    """How long it takes about, for progress bars."""

    def identity(self, python: str) -> str:
        """The digest of everything pinned, for one version of Python on this machine."""
        content = {
            "name": self.name,
            "lock": self.lock,
            "build": self.build_lock,
            "java": [list(self.java), self.java_lock],
            "jars": [[jar.coordinates, jar.sha256] for jar in self.jars],
            "conf": dict(self.conf),
            "python": python,
            "platform": [platform.system(), platform.machine(), *platform.libc_ver()],
        }
        text = json.dumps(content, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def locked_packages(lock: str) -> dict[str, str]:
    """Packages and versions that a lock names."""
    return dict(_LOCKED.findall(lock))


def names(folder: Path = DEFINITIONS) -> list[str]:
    """The releases that are declared, newest Spark first after Sail."""
    found = sorted((path.stem for path in folder.glob("*.toml")), reverse=True)
    return sorted(found, key=lambda name: not name.startswith("sail"))


def load(name: str, folder: Path = DEFINITIONS) -> Definition:
    """The declaration of a release; RELEASE_NOT_FOUND if there is none of that name."""
    path = folder / f"{name}.toml"
    if not _NAME.fullmatch(name) or not path.is_file():
        raise error(
            ErrorCode.RELEASE_NOT_FOUND,
            f"there is no release {name}",
            hint=f"there are: {', '.join(names(folder))}",
        )
    declared = tomllib.loads(path.read_text())
    jars = tuple(Jar(jar["coordinates"], jar["sha256"]) for jar in declared.get("jars", ()))
    for jar in jars:
        if not _COORDINATES.fullmatch(jar.coordinates) or not _SHA256.fullmatch(jar.sha256):
            raise error(ErrorCode.RELEASE_INVALID, f"release {name}: {jar.coordinates} is not set")
    return Definition(
        name=name,
        summary=declared["summary"],
        python=declared["python"],
        lock=_read(folder / f"{name}.lock"),
        build_lock=_read(folder / "build.lock"),
        java=tuple(declared.get("java", ())),
        java_lock=_read(folder / "java.lock") if declared.get("java") else "",
        jars=jars,
        conf=declared.get("conf", {}),
        features=tuple(declared.get("features", ())),
        end_of_life=declared.get("end_of_life"),
        install_seconds=declared.get("install_seconds", 30),
    )


def fits_python(wanted: str, version: tuple[int, int] | None = None) -> bool:
    """True when a Python version is within bounds such as `>=3.11,<3.14`."""
    have = version or sys.version_info[:2]
    for bound in wanted.split(","):
        match = re.fullmatch(r"(>=|<)(\d+)\.(\d+)", bound.strip())
        if match is None:
            raise ValueError(f"{bound} is not a bound of Python's version")
        limit = int(match[2]), int(match[3])
        if (match[1] == ">=" and have < limit) or (match[1] == "<" and have >= limit):
            return False
    return True


def _read(path: Path) -> str:
    return path.read_text() if path.is_file() else ""
