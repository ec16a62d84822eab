"""Credentials for storage: what a foreign client is vended, and what an engine worker gets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class VendedCredentials:
    """Keys for one table's files, as Iceberg REST's `storage-credentials` carries them.

    `prefix` is the table's location, `config` the `s3.*` properties (secrets among them), and
    `expires_at_ms` Unix milliseconds.
    """

    prefix: str
    config: dict[str, str] = field(repr=False)
    expires_at_ms: int


@dataclass(frozen=True, slots=True)
class S3Endpoint:
    """An S3 API and keys for it; `url` carries scheme, host and port, None means AWS's own.

    `session_token` belongs to keys that live for a while only.
    """

    url: str | None
    region: str
    access_key_id: str = field(repr=False)
    secret_access_key: str = field(repr=False)
    path_style: bool = True
    session_token: str | None = field(default=None, repr=False)

    def client_config(self) -> dict[str, str]:
        """What an Iceberg client needs to know of the endpoint: `s3.*` properties, no secret."""
        return {
            **({} if self.url is None else {"s3.endpoint": self.url}),
            "s3.region": self.region,
            "client.region": self.region,
            "s3.path-style-access": "true" if self.path_style else "false",
        }


class CredentialVendor(Protocol):
    """Hands out short-lived credentials that reach one location and nothing else."""

    def vend(self, location: str, *, write: bool, session_name: str) -> VendedCredentials | None:
        """Credentials to read (and with `write`, change) the files below a table's location.

        `session_name` is whom the storage's audit log names. None: this storage has no credentials
        to give (a local folder, or an S3 without a role to assume).
        """
        ...


class NoVendor:
    """The vendor of a storage that has no credentials to give."""

    def vend(self, location: str, *, write: bool, session_name: str) -> VendedCredentials | None:
        """Always None."""
        return None


@dataclass(frozen=True, slots=True)
class EngineStorage:
    """What an engine worker needs to reach the warehouse.

    `root` is the warehouse's URI. For `local`, that is all. For `s3`: the endpoint's URL (None:
    AWS's own), the region, keys that reach the warehouse's bucket, and whether the bucket goes
    into the path. Hand it to a worker by descriptor or 0600 file, never by argv or environment.
    """

    kind: Literal["local", "s3"]
    root: str
    endpoint: str | None = None
    region: str = "us-east-1"
    access_key_id: str = field(default="", repr=False)
    secret_access_key: str = field(default="", repr=False)
    path_style: bool = True
