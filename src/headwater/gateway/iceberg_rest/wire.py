"""Requests as the operations see them, and the replies they give."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import orjson

from headwater.catalog.entries import LoadedTable, LoadedView
from headwater.catalog.names import namespace_of
from headwater.catalog.receipts import Outcome, Receipt
from headwater.errors import ErrorCode, error
from headwater.governance.access import AccessRequest
from headwater.model.identifiers import Namespace, TableIdentifier
from headwater.model.principal import Identity

T = TypeVar("T")

LARGEST_BODY = 64 * 1024 * 1024
"""Bytes of a request's body; a table with a hundred thousand snapshots to remove needs less."""

_LARGEST_PAGE = 1000
_KEY_LENGTH = 128


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer; `body` is JSON, None for 204 and 304."""

    status: int
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Call:
    """One authenticated request.

    `path` holds the parameters of the route, decoded; header names are lower case. `access` is None
    for an engine worker, which is decided on by its lease alone.
    """

    method: str
    url_path: str
    path: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    identity: Identity
    request_id: str
    access: AccessRequest | None
    outcome: Outcome | None = None

    @property
    def user(self) -> AccessRequest:
        """The caller's access; refuses an engine worker, whose lease covers no such request."""
        if self.access is None:
            raise error(
                ErrorCode.PERMISSION_DENIED, "an engine worker may only use tables leased to it"
            )
        return self.access

    @property
    def namespace(self) -> Namespace:
        """The namespace in the path."""
        return namespace_of(self.path["namespace"])

    @property
    def identifier(self) -> TableIdentifier:
        """The table or view in the path."""
        return TableIdentifier(self.namespace, self.path["name"])

    @property
    def delegated(self) -> bool:
        """True when the client asks for vended credentials."""
        asked = self.headers.get("x-iceberg-access-delegation", "")
        return "vended-credentials" in [part.strip() for part in asked.split(",")]

    def json(self) -> dict[str, Any]:
        """The body as a JSON object; INVALID_ARGUMENT says what is wrong with it."""
        try:
            found = orjson.loads(self.body)
        except orjson.JSONDecodeError as exc:
            raise bad_request(f"the request's body is not valid JSON: {exc}") from exc
        if not isinstance(found, dict):
            raise bad_request("the request's body must be a JSON object")
        return found

    def flag(self, name: str) -> bool:
        """A boolean query parameter, false when it is missing."""
        return self.query.get(name, "false").lower() == "true"

    @property
    def receipt(self) -> Receipt | None:
        """The receipt to write with the change, when the request has an Idempotency-Key."""
        key = self.headers.get("idempotency-key")
        if key is None:
            return None
        if not key.isascii() or not key.isprintable() or not 1 <= len(key) <= _KEY_LENGTH:
            raise bad_request("an Idempotency-Key must be 1 to 128 printable ASCII characters")
        asked = (self.method, self.url_path, orjson.dumps(sorted(self.query.items())).decode())
        digest = hashlib.sha256("\n".join(asked).encode() + b"\n" + self.body).hexdigest()
        return Receipt(self.identity.principal.id, key, digest)

    def page(self, items: Sequence[T]) -> tuple[Sequence[T], str | None]:
        """The page of a sorted listing that was asked for, and the token of the next one.

        A token is the position to go on from. Without `pageToken` the whole listing is one page.
        """
        if "pageToken" not in self.query and "pageSize" not in self.query:
            return items, None
        token, size = self.query.get("pageToken", ""), self.query.get("pageSize", "")
        if (token and not token.isdecimal()) or (size and not size.isdecimal()):
            raise bad_request("pageToken and pageSize must be numbers that this server gave")
        start = int(token[:18]) if token else 0
        length = min(int(size[:9]), _LARGEST_PAGE) if size else _LARGEST_PAGE
        if length < 1:
            raise bad_request("pageSize must be at least 1")
        end = start + length
        return items[start:end], str(end) if end < len(items) else None


def json_reply(value: Any, status: int = 200, **headers: str) -> Reply:
    """A reply with a JSON body; header names take `_` for `-`."""
    return Reply(status, orjson.dumps(value), {k.replace("_", "-"): v for k, v in headers.items()})


NOTHING = Reply(204)
"""The reply of a change that has nothing to tell."""


def loaded_reply(
    loaded: LoadedTable | LoadedView,
    *,
    metadata: bytes | None = None,
    etag: str | None = None,
    **rest: Any,
) -> Reply:
    """A LoadTableResult or LoadViewResult around the stored metadata, which is not parsed again.

    `metadata` replaces the stored bytes; `rest` adds members (`config`, `storage_credentials`).
    """
    parts = [b'{"metadata":', loaded.metadata_json if metadata is None else metadata]
    if loaded.metadata_location:
        parts += [b',"metadata-location":', orjson.dumps(loaded.metadata_location)]
    for name, value in rest.items():
        parts += [b",", orjson.dumps(name.replace("_", "-")), b":", orjson.dumps(value)]
    headers = {} if etag is None else {"etag": etag}
    return Reply(200, b"".join([*parts, b"}"]), headers)


def need(body: Mapping[str, Any], key: str, kind: type[T]) -> T:
    """A member of a request's body that must be there, of a JSON type."""
    found = body.get(key)
    if not isinstance(found, kind):
        raise bad_request(f"the request needs {key!r} ({kind.__name__})")
    return found


def objects(body: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """A list of JSON objects in a request's body; empty when it is missing."""
    found = body.get(key) or []
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise bad_request(f"{key!r} must be a list of objects")
    return found


def identifier_in(body: Mapping[str, Any], key: str) -> TableIdentifier:
    """A table identifier in a request's body: `{"namespace": […], "name": "…"}`."""
    found = need(body, key, dict)
    return TableIdentifier(namespace_in(found), need(found, "name", str))


def namespace_in(body: Mapping[str, Any]) -> Namespace:
    """The namespace in a request's body: a list of level names."""
    levels = need(body, "namespace", list)
    if not levels or not all(isinstance(level, str) for level in levels):
        raise bad_request("a namespace must be a list of level names")
    return tuple(levels)


def bad_request(message: str) -> Exception:
    """The error for a request that does not follow the protocol."""
    return error(ErrorCode.INVALID_ARGUMENT, message)
