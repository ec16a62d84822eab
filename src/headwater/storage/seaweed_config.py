"""The embedded SeaweedFS's configuration: keys, ports, certificates, and who may do what.

Everything lies in one folder of mode 0700, in files of mode 0600, and nothing of it is passed by
argv or environment. SeaweedFS opens ten ports, most without a password of their own. What closes
them (each was open when tried without it): `-disableHttp` for the master's and the filer's HTTP,
where anyone could delete all data; JWT keys for the volume server's; mutual TLS for gRPC; and a
trust policy that names the one identity that may assume the table role, or else every session
could assume it again, without its session policy.
"""

from __future__ import annotations

import base64
import datetime
import json
import os
import secrets
import socket
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

ROLE_ARN = "arn:aws:iam::role/headwater-table"
_SERVER = "server"
_ENGINE = "engine"
# The account that SeaweedFS gives identities from its configuration file.
_SERVER_ARN = f"arn:aws:iam::000000000000:user/{_SERVER}"
_GRPC_PARTS = ("volume", "master", "filer", "s3", "client", "admin", "worker")
_PORT_NAMES = (
    "s3.port",
    "s3.port.grpc",
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "admin.port",
    "admin.port.grpc",
)


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """Every secret of one embedded S3; made once, kept in `keys.json`."""

    server_id: str
    server_secret: str
    engine_id: str
    engine_secret: str
    sts_signing: str
    jwt: tuple[str, str, str, str]

    @classmethod
    def generate(cls) -> Keys:
        """Fresh random keys."""
        return cls(
            server_id="HW" + secrets.token_hex(9).upper(),
            server_secret=secrets.token_urlsafe(30),
            engine_id="HW" + secrets.token_hex(9).upper(),
            engine_secret=secrets.token_urlsafe(30),
            sts_signing=base64.b64encode(secrets.token_bytes(32)).decode(),
            jwt=(_token(), _token(), _token(), _token()),
        )


def load_keys(folder: Path) -> Keys:
    """The keys kept in a folder; makes and keeps new ones the first time."""
    path = folder / "keys.json"
    try:
        kept: dict[str, Any] = json.loads(path.read_bytes())
        return Keys(**kept | {"jwt": tuple(kept["jwt"])})
    except FileNotFoundError:
        keys = Keys.generate()
        write_private(path, json.dumps(asdict(keys)))
        return keys


def choose_ports(folder: Path) -> dict[str, int]:
    """A free loopback port for every part; the ones of last time when all of them are free.

    Keeping them matters: clients hold the endpoint, and the master remembers its own address.
    """
    path = folder / "ports.json"
    try:
        kept: dict[str, int] = json.loads(path.read_bytes())
        if set(kept) == set(_PORT_NAMES) and all(_is_free(port) for port in kept.values()):
            return kept
    except (FileNotFoundError, ValueError):
        pass
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in _PORT_NAMES]
    ports = {
        name: listener.getsockname()[1] for name, listener in zip(_PORT_NAMES, sockets, strict=True)
    }
    for listener in sockets:
        listener.close()
    write_private(path, json.dumps(ports))
    return ports


def write_configuration(folder: Path, keys: Keys, bucket: str) -> None:
    """Writes what SeaweedFS reads at its start: identities, role and policy, security."""
    write_private(folder / "s3.json", json.dumps(_identities(keys, bucket)))
    write_private(folder / "iam.json", json.dumps(_roles(keys, bucket)))
    if not (folder / "grpc.key").exists():
        _write_certificate(folder)
    write_private(folder / "security.toml", _security(folder, keys))


def arguments(binary: str, folder: Path, data: Path, ports: dict[str, int]) -> list[str]:
    """The command line of `weed mini`: loopback only, nothing that is not needed, no telemetry."""
    return [
        binary,
        f"-config_dir={folder}",
        "-logtostderr=true",
        "mini",
        f"-dir={data}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-disableHttp=true",
        "-webdav=false",
        "-admin.ui=false",
        "-master.telemetry=false",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-s3.autoCreateBucket=false",
        f"-s3.config={folder / 's3.json'}",
        f"-s3.iam.config={folder / 'iam.json'}",
        # Relative: a socket's path has at most 107 bytes, and a home may be deep.
        "-filer.localSocket=filer.sock",
        "-s3.localSocket=s3.sock",
        *(f"-{name}={port}" for name, port in ports.items()),
    ]


def write_private(path: Path, text: str) -> None:
    """Replaces a file in one step by one that only its owner can read."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _identities(keys: Keys, bucket: str) -> dict[str, Any]:
    def identity(name: str, key_id: str, secret: str, actions: list[str]) -> dict[str, Any]:
        credentials = [{"accessKey": key_id, "secretKey": secret}]
        return {"name": name, "credentials": credentials, "actions": actions}

    engine_actions = [f"{action}:{bucket}" for action in ("Read", "Write", "List")]
    return {
        "identities": [
            identity(_SERVER, keys.server_id, keys.server_secret, ["Admin"]),
            identity(_ENGINE, keys.engine_id, keys.engine_secret, engine_actions),
        ]
    }


def _roles(keys: Keys, bucket: str) -> dict[str, Any]:
    def policy(**statement: Any) -> dict[str, Any]:
        return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]}

    trust = policy(Principal={"AWS": _SERVER_ARN}, Action=["sts:AssumeRole"])
    resources = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    return {
        "sts": {
            "tokenDuration": "1h",
            "maxSessionLength": "12h",
            "issuer": "headwater",
            "signingKey": keys.sts_signing,
        },
        "policy": {"defaultEffect": "Deny", "storeType": "memory"},
        "roles": [
            {
                "roleName": ROLE_ARN.rpartition("/")[2],
                "roleArn": ROLE_ARN,
                "trustPolicy": trust,
                "attachedPolicies": ["warehouse"],
            }
        ],
        "policies": [
            {"name": "warehouse", "document": policy(Action=["s3:*"], Resource=resources)}
        ],
    }


def _security(folder: Path, keys: Keys) -> str:
    sections = ("signing", "signing.read", "filer_signing", "filer_signing.read")
    lines = []
    for section, key in zip(sections, keys.jwt, strict=True):
        lines += [f"[jwt.{section}]", f'key = "{key}"']
    certificate = json.dumps(str(folder / "grpc.pem"))
    private = json.dumps(str(folder / "grpc.key"))
    lines += ["[grpc]", f"ca = {certificate}"]
    for part in _GRPC_PARTS:
        lines += [f"[grpc.{part}]", f"cert = {certificate}", f"key = {private}"]
    return "\n".join(lines) + "\n"


def _write_certificate(folder: Path) -> None:
    """One self-signed certificate that every part shows and trusts: host names are not checked."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "headwater storage")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # Wide, so that a clock that jumps does not stop the storage.
        .not_valid_before(datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC))
        .not_valid_after(datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
    write_private(folder / "grpc.pem", pem)
    write_private(folder / "grpc.key", private)


def _is_free(port: int) -> bool:
    try:
        with socket.create_server(("127.0.0.1", port)):
            return True
    except OSError:
        return False


def _token() -> str:
    return secrets.token_hex(24)
