"""What `headwater doctor` looks at: each check tells what it found, and what to do if it is bad."""

from __future__ import annotations

import datetime
import importlib.metadata
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from headwater.errors import HeadwaterError
from headwater.runtimes.releases.definition import names as release_names
from headwater.runtimes.releases.store import ReleaseStore
from headwater.runtimes.sandbox.sandbox import level
from headwater.server.parts import Parts
from headwater.server.tls import expires_at
from headwater.settings import Settings

_ENGINE = ("duckdb", "duckdb-extension-avro", "duckdb-extension-httpfs", "duckdb-extension-iceberg")
_LIBRARIES = ("pyarrow", "sqlglot", "sqlalchemy", "uvicorn", "starlette", "cryptography")
_LOW_DISK = 2 * 1024**3


@dataclass(frozen=True, slots=True)
class Check:
    """One finding; `hint` says what to do when `ok` is False."""

    name: str
    ok: bool
    detail: str
    hint: str | None = None


def installation() -> list[Check]:
    """What can be checked without a server: Python, the engine's packages, libraries."""
    python = Check(
        "python",
        sys.version_info >= (3, 11),
        f"{platform.python_version()} on {platform.platform(terse=True)}",
        "Headwater needs Python 3.11 or newer",
    )
    versions = {name: _version(name) for name in (*_ENGINE, *_LIBRARIES)}
    missing = [name for name, version in versions.items() if version is None]
    engine = versions["duckdb"]
    mixed = [name for name in _ENGINE if versions[name] != engine]
    listed = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    return [
        python,
        Check(
            "engine packages",
            not mixed and engine is not None,
            f"duckdb {engine}, extensions avro, httpfs, iceberg"
            if not mixed
            else f"not the engine's version: {', '.join(mixed)}",
            "run `make install` again",
        ),
        Check(
            "libraries",
            not missing,
            listed if not missing else f"missing: {', '.join(missing)}",
            "run `make install` again",
        ),
        _sandbox(),
        _releases(),
    ]


def running(parts: Parts) -> list[Check]:
    """What a running server knows about itself."""
    return list(_running(parts))


def home_checks(home: Path) -> list[Check]:
    """The home's disk and permissions."""
    free = shutil.disk_usage(home).free
    mode = home.stat().st_mode & 0o777
    return [
        Check(
            "disk",
            free > _LOW_DISK,
            f"{free / 1024**3:.1f} GiB free at {home}",
            "free some space: results spill and tables grow there",
        ),
        Check(
            "home",
            mode == 0o700,
            f"{home}, mode {mode:o}",
            "other users can read it: chmod 700",
        ),
    ]


def _sandbox() -> Check:
    found = level()
    return Check(
        "sandbox",
        found.confines,
        f"{found.kind}: {found.detail}",
        "user code is kept from restricted tables; install bubblewrap, or a kernel with Landlock",
    )


def _releases() -> Check:
    store = ReleaseStore(Settings().releases_path)
    there = [name for name in release_names() if store.installed(name) is not None]
    # Not a fault: a release is installed when it is first needed.
    detail = ", ".join(there) if there else "none yet; `headwater release install sail` makes one"
    return Check("releases", True, detail)


def _running(parts: Parts) -> Iterator[Check]:
    yield from home_checks(parts.home.path)
    kind = "SQLite" if parts.database.is_sqlite else parts.database.url.get_backend_name()
    yield _attempt("metastore", parts.database.ping, f"{kind} answers")
    storage = parts.storage
    yield _attempt(
        "storage",
        lambda: storage.warehouse.io.exists(storage.warehouse.root.rstrip("/") + "/.probe"),
        f"{storage.engine.kind} at {storage.warehouse.root}",
    )
    status = parts.engine.status()
    alive = [worker for worker in status.workers if worker.state == "running"]
    yield Check(
        "engine workers",
        bool(alive),
        f"{len(alive)} of {len(status.workers)} ready, "
        f"{sum(worker.restarts for worker in status.workers)} restarts"
        + (f", DuckDB {status.version}" if status.version else ""),
        "see logs/headwater.log in the home",
    )
    if status.trusted is None:
        canary = Check("engine canary", False, "no worker has run it", "wait, then run this again")
    else:
        canary = Check(
            "engine canary",
            status.trusted,
            f"{status.probes} probes, none leaked"
            if status.trusted
            else f"leaked: {', '.join(status.leaks)}",
            "governed tables are refused; install the engine version that `make install` pins",
        )
    yield canary
    until = expires_at(parts.certificates.chain)
    days = (until - datetime.datetime.now(datetime.UTC)).days
    yield Check(
        "tls",
        days > 0,
        f"certificate good for {days} days, authority {parts.certificates.authority}",
        "restart the server: it renews its certificate",
    )
    yield Check(
        "statements",
        True,
        f"{len(parts.queries.running())} running, {parts.queries.queued} waiting",
    )


def _attempt(name: str, probe: Callable[[], object], good: str) -> Check:
    try:
        probe()
    except HeadwaterError as exc:
        return Check(name, False, exc.message, exc.hint)
    return Check(name, True, good)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
