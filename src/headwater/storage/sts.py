"""Scoped, expiring S3 credentials: AssumeRole with a session policy for one table's prefix.

The session policy is the intersection with the role's own: it can only narrow. Locations reach
this module already checked (`Warehouse.check`), in an alphabet without wildcards, and are checked
again here, since a `*` in a resource would open every table.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from headwater.errors import ErrorCode, error
from headwater.storage.credentials import S3Endpoint, VendedCredentials
from headwater.storage.s3 import translated
from headwater.storage.warehouse import Warehouse

if TYPE_CHECKING:
    from mypy_boto3_sts import STSClient

POLICY_LIMIT = 2048
"""Characters of a session policy that AWS and SeaweedFS accept (AWS STS, AssumeRole)."""

_READ_ACTIONS = ["s3:GetObject"]
_WRITE_ACTIONS = [
    "s3:GetObject",
    "s3:PutObject",
    "s3:DeleteObject",
    "s3:AbortMultipartUpload",
    "s3:ListMultipartUploadParts",
]
_CACHED = 4096
_NOT_IN_SESSION_NAME = re.compile(r"[^A-Za-z0-9_+=,.@-]")


class StsVendor:
    """Vends by AssumeRole; the same table, mode and session get the same keys for half their life.

    `role_arn` is the role that may reach the whole warehouse; `seconds` the keys' life (900 to
    43200).
    """

    def __init__(
        self,
        client: STSClient,
        endpoint: S3Endpoint,
        warehouse: Warehouse,
        role_arn: str,
        seconds: int,
    ) -> None:
        self._client = client
        self._endpoint = endpoint
        self._warehouse = warehouse
        self._role_arn = role_arn
        self._seconds = seconds
        self._lock = threading.Lock()
        self._cache: OrderedDict[tuple[str, bool, str], VendedCredentials] = OrderedDict()

    def vend(self, location: str, *, write: bool, session_name: str) -> VendedCredentials:
        """Keys for the files below a table's location; INVALID_LOCATION, STORAGE_UNAVAILABLE."""
        location = self._warehouse.check(location)
        key = (location, write, role_session_name(session_name))
        with self._lock:
            known = self._cache.get(key)
            if known is not None and known.expires_at_ms - _now_ms() > self._seconds * 500:
                self._cache.move_to_end(key)
                return known
        fresh = self._assume(*key)
        with self._lock:
            self._cache[key] = fresh
            while len(self._cache) > _CACHED:
                self._cache.popitem(last=False)
        return fresh

    def _assume(self, location: str, write: bool, session_name: str) -> VendedCredentials:
        policy = session_policy(location, write=write, partition=self._role_arn.split(":")[1])
        with translated(location):
            answer = self._client.assume_role(
                RoleArn=self._role_arn,
                RoleSessionName=session_name,
                Policy=policy,
                DurationSeconds=self._seconds,
            )
        keys = answer["Credentials"]
        expires = int(keys["Expiration"].timestamp() * 1000)
        config = self._endpoint.client_config() | {
            "s3.access-key-id": keys["AccessKeyId"],
            "s3.secret-access-key": keys["SecretAccessKey"],
            "s3.session-token": keys["SessionToken"],
            "s3.session-token-expires-at-ms": str(expires),
        }
        return VendedCredentials(location + "/", config, expires)


def session_policy(location: str, *, write: bool, partition: str = "aws") -> str:
    """The IAM policy (compact JSON) that reaches the objects below a location and no other.

    `ListBucket` is allowed for prefixes that start with the location and a slash: without the
    slash, listing `…/a` would show `…/ab`.
    """
    bucket, _, prefix = location.removeprefix("s3://").partition("/")
    arn = f"arn:{partition}:s3:::{bucket}"
    if not prefix or set("*?${}\\\"'%") & set(location):
        raise error(ErrorCode.INVALID_LOCATION, f"no credentials can be scoped to {location!r}")
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": _WRITE_ACTIONS if write else _READ_ACTIONS,
                "Resource": f"{arn}/{prefix}/*",
            },
            {
                "Effect": "Allow",
                "Action": "s3:ListBucket",
                "Resource": arn,
                "Condition": {"StringLike": {"s3:prefix": f"{prefix}/*"}},
            },
        ],
    }
    text = json.dumps(policy, separators=(",", ":"))
    if len(text) > POLICY_LIMIT:
        raise error(ErrorCode.INVALID_LOCATION, f"{location[:100]!r} is too long for credentials")
    return text


def role_session_name(name: str) -> str:
    """The name for the storage's audit log: 2 to 64 of the characters that STS allows."""
    return (_NOT_IN_SESSION_NAME.sub("-", name)[:64]).ljust(2, "-")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
