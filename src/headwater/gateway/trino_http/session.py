"""The session that Trino clients carry in headers: what a request says, what a response changes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import quote, unquote_plus
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from starlette.datastructures import Headers

from headwater.errors import ErrorCode, error
from headwater.model.identifiers import CATALOG_NAME
from headwater.model.principal import Identity
from headwater.model.statement import Dialect, Session
from headwater.query.session import ALL_ROLES, PREPARED_PREFIX, SessionChanges
from headwater.query.session_statements import TRANSACTION_PROPERTY

_NO_TRANSACTION = "NONE"
_ROLE = re.compile(r"ROLE\{(.*)\}", re.DOTALL)
_ROLE_CATALOGS = ("system", CATALOG_NAME)


def read_session(headers: Headers, identity: Identity) -> Session:
    """The session of a `POST /v1/statement`; raises INVALID_ARGUMENT for a header it cannot read.

    Client tags and extra credentials are accepted and have no effect: there are no resource groups
    and no connectors that would take a credential.
    """
    properties = dict(_pairs(headers, "x-trino-session"))
    for name, text in _pairs(headers, "x-trino-prepared-statement"):
        properties[PREPARED_PREFIX + name] = text
    transaction = headers.get("x-trino-transaction-id", _NO_TRANSACTION)
    if transaction.upper() != _NO_TRANSACTION:
        properties[TRANSACTION_PROPERTY] = transaction
    source = headers.get("x-trino-source") or headers.get("user-agent") or ""
    identity = replace(
        identity,
        role=_role(headers, identity),
        client=source,
        purpose=headers.get("x-trino-client-info") or identity.purpose,
    )
    return Session(
        identity=identity,
        dialect=Dialect.TRINO,
        catalog=headers.get("x-trino-catalog") or CATALOG_NAME,
        schema=headers.get("x-trino-schema") or None,
        time_zone=_time_zone(headers.get("x-trino-time-zone") or "UTC"),
        properties=properties,
        source=source,
    )


def write_changes(changes: SessionChanges) -> list[tuple[str, str]]:
    """The response headers that make a client change its session as the statement asked."""
    headers: list[tuple[str, str]] = []
    if changes.catalog is not None:
        headers.append(("x-trino-set-catalog", changes.catalog))
    if changes.schema is not None:
        headers.append(("x-trino-set-schema", changes.schema))
    for name, value in changes.set_properties.items():
        headers.append(("x-trino-set-session", f"{name}={_encoded(value)}"))
    headers += [("x-trino-clear-session", name) for name in changes.reset_properties]
    if changes.role is not None:
        role = changes.role if changes.role == ALL_ROLES else f"ROLE{{{changes.role}}}"
        headers.append(("x-trino-set-role", f"system={_encoded(role)}"))
    for name, text in changes.added_prepared.items():
        headers.append(("x-trino-added-prepare", f"{_encoded(name)}={_encoded(text)}"))
    headers += [
        ("x-trino-deallocated-prepare", _encoded(name)) for name in changes.removed_prepared
    ]
    if changes.started_transaction is not None:
        headers.append(("x-trino-started-transaction-id", changes.started_transaction))
    if changes.cleared_transaction:
        headers.append(("x-trino-clear-transaction-id", "true"))
    return headers


def has_parametric_datetime(headers: Headers) -> bool:
    """True when the client understands times of any precision; else it gets milliseconds."""
    given = ",".join(headers.getlist("x-trino-client-capabilities"))
    return "PARAMETRIC_DATETIME" in (name.strip().upper() for name in given.split(","))


def _pairs(headers: Headers, header: str) -> Iterator[tuple[str, str]]:
    """Name and value of each `name=value` of a header, URL-decoded; the header may be repeated."""
    for line in headers.getlist(header):
        for item in line.split(","):
            if not item.strip():
                continue
            name, equals, value = item.partition("=")
            if not equals or not name.strip():
                raise error(ErrorCode.INVALID_ARGUMENT, f"{header} is not a list of name=value")
            yield unquote_plus(name.strip()), unquote_plus(value.strip())


def _role(headers: Headers, identity: Identity) -> str | None:
    """The role to act in: the header may narrow what the token allows, and never widen it."""
    role = identity.role
    for catalog, text in _pairs(headers, "x-trino-role"):
        if catalog not in _ROLE_CATALOGS or text.upper() == ALL_ROLES:
            continue
        match = _ROLE.fullmatch(text)
        if match is None:
            raise error(
                ErrorCode.INVALID_ARGUMENT,
                f"X-Trino-Role cannot be {text}",
                hint="write ROLE{name} or ALL",
            )
        if identity.role is not None and match[1] != identity.role:
            raise error(
                ErrorCode.PERMISSION_DENIED,
                f"the token is limited to the role {identity.role}",
                hint="ask for a token with another role, or without one",
            )
        role = match[1]
    return role


def _time_zone(name: str) -> str:
    if re.fullmatch(r"[+-]\d\d:\d\d", name):
        return name
    try:
        return ZoneInfo(name).key
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise error(
            ErrorCode.INVALID_ARGUMENT,
            f"there is no time zone '{name}'",
            hint="use a name of the IANA database such as Europe/Vienna, or +01:00",
        ) from None


def _encoded(text: str) -> str:
    return quote(text, safe="")
