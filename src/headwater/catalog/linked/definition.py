"""What a connection is: where a catalog is, how to ask it, and where its tables' files may lie."""

from __future__ import annotations

import re
import ssl
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import orjson

from headwater.catalog.linked.http import check_url
from headwater.errors import ErrorCode, error
from headwater.model.identifiers import Namespace

Authentication = Literal["none", "token", "oauth2"]

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_TEXT = 1024
_SECRET = 64 * 1024
_MOST_LOCATIONS = 64


@dataclass(frozen=True, slots=True)
class Connection:
    """A catalog to read from; its secret is kept apart and is no field of this.

    `uri` is the base of the REST catalog (what comes before `/v1`), `warehouse` what its
    `/v1/config` is asked for. `prefix` replaces the one that config names. `locations` are the
    folders and buckets that its tables may be read from. `s3_endpoint` is one that it may name.
    """

    id: str
    name: str
    uri: str
    warehouse: str = ""
    prefix: str = ""
    authentication: Authentication = "none"
    client_id: str = ""
    token_uri: str = ""
    scope: str = ""
    ca_cert: str = field(default="", repr=False)
    locations: tuple[str, ...] = ()
    s3_endpoint: str = ""

    def to_json(self) -> str:
        """All fields but id and name."""
        fields = asdict(self)
        del fields["id"], fields["name"]
        return orjson.dumps(fields).decode()

    @classmethod
    def from_json(cls, connection_id: str, name: str, text: str) -> Connection:
        """What `to_json` wrote."""
        found: dict[str, Any] = orjson.loads(text)
        found["locations"] = tuple(found["locations"])
        return cls(connection_id, name, **found)


def checked(connection: Connection, secret: str | None) -> Connection:
    """The connection in its normal form; INVALID_ARGUMENT when something is missing or wrong.

    Locations are not looked at: governance knows what may be one.
    """
    if not _NAME.fullmatch(connection.name):
        raise _wrong(
            "the connection's name must be lower-case letters, digits and _",
            hint="its schemas are named after it: polaris_sales",
        )
    needed = connection.authentication != "none"
    uri = check_url(connection.uri, secret=needed)
    for text in (connection.warehouse, connection.prefix, connection.client_id, connection.scope):
        if len(text) > _TEXT or not (text.isprintable() or not text):
            raise _wrong("a text of the connection is too long or holds control characters")
    if {".", ".."} & set(connection.prefix.split("/")):
        raise _wrong("the prefix must not hold . or ..")
    if connection.ca_cert:
        try:
            ssl.create_default_context(cadata=connection.ca_cert)
        except (ssl.SSLError, ValueError):
            raise _wrong("the certificate is not PEM text") from None
    if needed and not secret:
        raise _wrong("this way to log in needs a secret", hint="give the token or client secret")
    if secret and (len(secret) > _SECRET or not secret.isascii() or not secret.isprintable()):
        raise _wrong("the secret must be one line of ASCII")
    if connection.authentication == "oauth2" and not connection.client_id:
        raise _wrong("OAuth2 needs a client id")
    token_uri = connection.token_uri and check_url(connection.token_uri, secret=True)
    s3_endpoint = connection.s3_endpoint and check_url(connection.s3_endpoint, secret=False)
    if len(connection.locations) > _MOST_LOCATIONS:
        raise _wrong(f"a connection has at most {_MOST_LOCATIONS} locations")
    return Connection(
        connection.id,
        connection.name,
        uri,
        connection.warehouse,
        connection.prefix.strip("/"),
        connection.authentication,
        connection.client_id,
        token_uri,
        connection.scope,
        connection.ca_cert,
        tuple(dict.fromkeys(connection.locations)),
        s3_endpoint,
    )


def schema_name(connection: str, remote: Namespace) -> str:
    """The schema that a namespace of the other catalog is shown as unless another is chosen."""
    return re.sub(r"\W+", "_", "_".join((connection, *remote)))


def below(uri: str, locations: Sequence[str]) -> str | None:
    """The location that holds the URI, the innermost of several; None when none does."""
    found = [each for each in locations if uri == each or uri.startswith(each.rstrip("/") + "/")]
    return max(found, key=len, default=None)


def _wrong(message: str, hint: str | None = None) -> Exception:
    return error(ErrorCode.INVALID_ARGUMENT, message, hint=hint)
