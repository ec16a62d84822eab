"""How a run's own program is started: in the sandbox, with doors to the server and nowhere else."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import headwater
from headwater.errors import ErrorCode, error
from headwater.jobs import inside, relay, start
from headwater.jobs.execution import Work
from headwater.jobs.processes import Command
from headwater.model.run import PYSPARK, RunSpec
from headwater.runtimes.releases.installed import InstalledRelease
from headwater.runtimes.sandbox.sandbox import (
    GIB,
    Bind,
    Limits,
    Sandbox,
    SandboxKind,
    SandboxLevel,
    command,
    level,
)
from headwater.settings import JobSettings, child_environment

ENTRY = "/run/headwater/entry"
SECRETS = "/run/headwater/secrets"
SOCKETS = "/run/headwater/sockets"
LIBRARY = "/run/headwater/library"
TOOLS = "/run/headwater/tools"
WORK = "/run/headwater/work"

_LOOPBACK = "127.0.0.1"
_CERTIFICATE = "ca.pem"
_CLIENT = ("__init__.py", "errors.py", "client", "model")
_RESERVED = ("HEADWATER_", "LD_", "SPARK_REMOTE", "PYTHONSTARTUP")


@dataclass(frozen=True, slots=True)
class Runtime:
    """An interpreter with packages, and what a sandbox must show of the disk for it to run."""

    name: str
    python: Path
    folders: Sequence[Path] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    release: InstalledRelease | None = None


class Runtimes(Protocol):
    """Where runtimes come from; None is the default one."""

    def check(self, name: str | None) -> None:
        """Raises RELEASE_NOT_FOUND for a name that is none; quick."""
        ...

    def ensure(self, name: str | None) -> Runtime:
        """The runtime, installed if it is not yet."""
        ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all confined runs of a server share."""

    settings: JobSettings
    ready_file: Path
    certificate: Path
    """The authority that the server's certificate is signed by; public."""


@dataclass(frozen=True, slots=True)
class Doors:
    """What a program's command line is made of: where things are, as the program sees them."""

    places: Places
    urls: Mapping[str, str]
    """Of `http`, `tls` and `spark`, as far as the server has them."""
    certificate: Path
    """The server's authority, outside."""
    token: str = field(repr=False)
    secrets: Path
    """The folder outside that the program sees as `places.secrets`."""

    def keep(self, name: str, content: bytes) -> str:
        """Keeps something secret for the program (0600); where it finds it."""
        path = self.secrets / name
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        return f"{self.places.secrets}/{name}"


def session_release(spec: RunSpec) -> str | None:
    """The release of Spark that the run's Spark session is for, when the run asks for one.

    A run that names no release, or says in its configuration what answers, leaves it at that.
    """
    chosen = spec.release or ""
    said = {"headwater.engine", "headwater.release"} & set(spec.configuration)
    return chosen if chosen.startswith("spark-") and not said else None


def confined(
    work: Work,
    runtime: Runtime,
    argv: Callable[[Doors], Sequence[str]],
    around: Surroundings,
    more: Callable[[], Mapping[str, str]] = dict,
    *,
    network: bool = False,
    shown: Sequence[Bind | Path] = (),
) -> Command:
    """The command of an attempt; `argv` makes the program's, `more` then adds to its environment.

    With `network` it has this machine's, to reach a cluster; `shown` is what it sees besides.
    Raises NOT_SUPPORTED where no sandbox works, unless the settings allow to run without.
    """
    rung = level()
    if network and rung.kind is SandboxKind.LANDLOCK:
        raise error(
            ErrorCode.NOT_SUPPORTED,
            "a driver that reaches a cluster needs bubblewrap around it",
            hint="`headwater doctor` says what keeps bubblewrap from working",
        )
    if rung.kind is SandboxKind.NONE and not around.settings.unconfined:
        raise error(
            ErrorCode.NOT_SUPPORTED,
            f"user code cannot be confined on this machine: {rung.detail}",
            hint="`headwater doctor` tells what is missing; HEADWATER_JOBS__UNCONFINED=true "
            "runs it without walls",
        )
    places = Places(work, rung)
    addresses = relay.addresses(around.ready_file)
    if not addresses:
        raise error(ErrorCode.ENGINE_FAILED, "the server does not say yet where it listens")
    own_network = rung.own_network and not network
    if own_network:
        addresses = {name: (_LOOPBACK, port) for name, (_, port) in addresses.items()}
    _prepare(work, addresses, places, around.certificate)
    ports = {service: port for service, (_, port) in addresses.items()}
    urls = {
        name: _url({"http": "http", "tls": "https", "spark": "sc"}[name], address)
        for name, address in addresses.items()
    }
    token = (work.folder.secrets / "token").read_text()
    doors = Doors(places, urls, around.certificate, token, work.folder.secrets)
    line = list(argv(doors))
    if own_network:
        served = [f"{service}={port}" for service, port in ports.items()]
        line = [
            str(runtime.python),
            "-I",
            "-S",
            f"{places.tools}/inside.py",
            places.sockets,
            *served,
            "--",
            *line,
        ]
    compute = work.spec.compute
    confined_command = command(
        line,
        Sandbox(
            ro=[*runtime.folders, *places.read, *shown],
            rw=[places.work_bind],
            network=network,
            limits=Limits(
                # The tree is held to its memory by its control group or by its runner.
                memory_bytes=max(compute.memory_bytes * 2, GIB),
                processes=around.settings.processes,
                vcpu=compute.vcpu,
            ),
            environment=_environment(work, runtime, addresses, places, network) | dict(more()),
            directory=places.work,
            ports=() if own_network else tuple(ports.values()),
        ),
        rung,
    )
    _hand_over(work)
    return Command(
        tuple(confined_command.argv),
        dict(confined_command.environment),
        None if confined_command.directory is None else str(confined_command.directory),
        {"sandbox": str(rung.kind), "release": runtime.name},
    )


class Places:
    """Where a run finds its things, as it sees them."""

    def __init__(self, work: Work, rung: SandboxLevel) -> None:
        package = Path(headwater.__file__).parent
        binds = {
            "entry": Bind(work.entry.parent, ENTRY),
            "secrets": Bind(work.folder.secrets, SECRETS),
            "sockets": Bind(work.folder.sockets, SOCKETS),
            "inside": Bind(Path(inside.__file__), f"{TOOLS}/inside.py"),
            "start": Bind(Path(start.__file__), f"{TOOLS}/start.py"),
        }
        library = [Bind(package / name, f"{LIBRARY}/headwater/{name}") for name in _CLIENT]
        self.work_bind = Bind(work.folder.work, WORK)
        self.read = [*binds.values(), *library]
        self.work = self.work_bind.seen(rung)
        self.entry = f"{binds['entry'].seen(rung)}/{work.entry.name}"
        self.secrets = binds["secrets"].seen(rung)
        self.sockets = binds["sockets"].seen(rung)
        self.start = binds["start"].seen(rung)
        self.tools = str(Path(self.start).parent)
        self.certificate = f"{self.secrets}/{_CERTIFICATE}"
        bubblewrap = rung.kind is SandboxKind.BUBBLEWRAP
        self.library = LIBRARY if bubblewrap else str(package.parent)


def _prepare(
    work: Work,
    addresses: Mapping[str, tuple[str, int]],
    places: Places,
    certificate: Path,
) -> None:
    """Puts the files into the attempt's folder by which clients find the server and the token."""
    # A copy: the original is not for the sandbox's user to read.
    shutil.copyfile(certificate, work.folder.secrets / _CERTIFICATE)
    token = (work.folder.secrets / "token").read_text()
    url = (
        _url("http", addresses["http"]) if "http" in addresses else _url("https", addresses["tls"])
    )
    login = {
        "url": url,
        "token": token,
        "ca_cert": places.certificate if url.startswith("https") else None,
    }
    iceberg = {"type": "rest", "uri": f"{url}/iceberg", "token": token, "warehouse": "lake"}
    # JSON is YAML.
    for name, content in (
        ("login.json", login),
        (".pyiceberg.yaml", {"catalog": {"lake": iceberg}}),
    ):
        path = work.folder.secrets / name
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(content, file)


def _hand_over(work: Work) -> None:
    """Gives what the run may read to the user id that the sandbox took, which owns its folder."""
    owner = work.folder.work.stat()
    if owner.st_uid == os.getuid():
        return
    for folder in (work.folder.secrets, work.folder.sockets):
        for path in (folder, *folder.iterdir()):
            os.chown(path, owner.st_uid, owner.st_gid)
    # Others cannot reach it: the home is closed to them.
    work.entry.parent.chmod(0o755)
    with contextlib.suppress(FileNotFoundError):
        work.entry.chmod(0o644)


def _environment(
    work: Work,
    runtime: Runtime,
    addresses: Mapping[str, tuple[str, int]],
    places: Places,
    network: bool,
) -> dict[str, str]:
    spec = work.spec
    given = {
        name: value for name, value in spec.environment.items() if not name.startswith(_RESERVED)
    }
    found = {
        **child_environment(),
        **runtime.environment,
        **given,
        "HOME": places.work,
        "TMPDIR": "/tmp",  # noqa: S108 - the sandbox's own
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": ":".join(part for part in (given.get("PYTHONPATH"), places.library) if part),
        "HEADWATER_HOME": places.secrets,
        "HEADWATER_TOKEN_FILE": f"{places.secrets}/token",
        "HEADWATER_CA_CERT": places.certificate,
        "HEADWATER_RUN_ID": work.run.id,
        "HEADWATER_RUN_ATTEMPT": str(work.attempt.number),
        "HEADWATER_PARAMETERS": json.dumps(dict(spec.parameters)),
        "PYICEBERG_HOME": places.secrets,
    }
    if not network:
        # No other server can be reached from inside.
        for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"):
            found[name] = places.certificate
    if "http" in addresses:
        found["HEADWATER_URL"] = _url("http", addresses["http"])
    if "tls" in addresses:
        host, port = addresses["tls"]
        found["HEADWATER_HTTPS_URL"] = _url("https", addresses["tls"])
        found["HEADWATER_TRINO_HOST"] = host
        found["HEADWATER_TRINO_PORT"] = str(port)
    if "spark" in addresses and spec.kind == PYSPARK:
        found["HEADWATER_SPARK_URL"] = _url("sc", addresses["spark"])
    if spec.configuration:
        found["HEADWATER_SPARK_CONFIGURATION"] = json.dumps(dict(spec.configuration))
    return found


def _url(scheme: str, address: tuple[str, int]) -> str:
    host, port = address
    return f"{scheme}://{'[' + host + ']' if ':' in host else host}:{port}"
