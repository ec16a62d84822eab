"""Connections to other Iceberg REST catalogs; every route is for administrators.

Who makes a connection has the server send requests to an address of their choice, and read files:
that is why nobody else may. Secrets come in and never go out.
"""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field, SecretStr

from headwater.catalog.linked.connections import LinkedSchema, Probe, Shown
from headwater.catalog.linked.definition import Connection
from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.governance.locations import check_free, location_uri
from headwater.model.identifiers import namespace_text
from headwater.server.api.admin import Administrator
from headwater.server.api.context import Running
from headwater.server.api.names import table_identifier
from headwater.server.parts import Parts

router = APIRouter(prefix="/connections", tags=["connections"])

_LONG = 2048


class CatalogAddress(BaseModel):
    """Where another catalog is and how to log in there."""

    name: str = Field("probe", max_length=63, description="Letters, digits and _, in lower case.")
    uri: str = Field(max_length=_LONG, description="What comes before /v1.")
    warehouse: str = Field("", max_length=1024, description="What /v1/config is asked for.")
    prefix: str = Field("", max_length=1024, description="Instead of the one that config names.")
    authentication: Literal["none", "token", "oauth2"] = "none"
    secret: SecretStr | None = Field(None, description="The token, or the client's secret.")
    client_id: str = Field("", max_length=1024, description="For OAuth2.")
    token_uri: str = Field("", max_length=_LONG, description="Default: the catalog's own.")
    scope: str = Field("", max_length=1024, description="For OAuth2.")
    ca_cert: str = Field("", max_length=65536, description="PEM, for an authority of your own.")
    s3_endpoint: str = Field("", max_length=_LONG, description="One that the catalog may name.")
    locations: list[str] = Field(
        default_factory=list,
        max_length=64,
        description="Folders or bucket prefixes that its tables may be read from.",
    )


class ShownView(BaseModel):
    """A namespace of the other catalog, and the schema that it is here."""

    namespace: list[str] = Field(min_length=1, max_length=16)
    schema_name: str | None = Field(
        None, alias="schema", serialization_alias="schema", max_length=255
    )


class NewConnection(CatalogAddress):
    """A connection to make; the catalog is asked before anything is kept."""

    show: list[ShownView] = Field(min_length=1, max_length=1000)


class MoreShown(BaseModel):
    """More namespaces of a connection."""

    show: list[ShownView] = Field(min_length=1, max_length=1000)


class Accepted(BaseModel):
    """A table that took the place of another one."""

    table: str = Field(description="`schema.table`; parts with dots or spaces in double quotes.")


class Nothing(BaseModel):
    """An empty body."""


class ConnectionView(BaseModel):
    """A connection without its secret."""

    name: str
    uri: str
    warehouse: str
    prefix: str
    authentication: str
    client_id: str
    locations: list[str]
    schemas: list[ShownView]


class ProbeView(BaseModel):
    """What a catalog answered."""

    namespaces: list[list[str]]
    locations: list[str] = Field(description="Folders that some of its tables lie in.")
    refused_locations: list[str] = Field(description="Those of them that none can be.")
    seconds: float


@router.get("")
def connections(_asked: Administrator, running: Running) -> list[ConnectionView]:
    """All connections, by name."""
    return [_view(found, shown) for found, shown in running.catalog.linked.links.connections.all()]


@router.post("", status_code=201)
def add(body: NewConnection, asked: Administrator, running: Running) -> ConnectionView:
    """Makes a connection and shows namespaces of it as schemas."""
    asked.seal()
    kept = running.catalog.linked.links.connections
    made = kept.add(_connection(body, running), _secret(body), _shown(body.show), asked.actor())
    return _named(running, made.name)


@router.post("/test")
def probe(body: CatalogAddress, asked: Administrator, running: Running) -> ProbeView:
    """Asks a catalog what it has; nothing is kept."""
    asked.seal()
    found = running.catalog.linked.links.connections.probe(
        _connection(body, running), _secret(body)
    )
    return _probe(found, running)


@router.post("/{name}/test")
def probe_again(name: str, _nothing: Nothing, asked: Administrator, running: Running) -> ProbeView:
    """Asks the catalog of a connection what it has."""
    asked.seal()
    kept = running.catalog.linked.links.connections
    return _probe(kept.probe(kept.get(name), None, known=True), running)


@router.post("/{name}/show")
def show(name: str, body: MoreShown, asked: Administrator, running: Running) -> ConnectionView:
    """Shows more namespaces of a connection as schemas."""
    asked.seal()
    running.catalog.linked.links.connections.show(name, _shown(body.show), asked.actor())
    return _named(running, name)


@router.post("/{name}/accept", status_code=204)
def accept(name: str, body: Accepted, asked: Administrator, running: Running) -> Response:
    """Lets grants, filters and masks of a name hold for the table that has it now."""
    asked.seal()
    links = running.catalog.linked.links
    found = links.connections.get(name)
    entry = running.catalog.entry(table_identifier(body.table))
    schema = None if entry is None else links.connections.by_namespace_id(entry.namespace_id)
    if entry is None or schema is None or schema.connection.id != found.id:
        raise error(
            ErrorCode.TABLE_NOT_FOUND, f"connection {name} shows no table {body.table[:300]}"
        )
    links.accept(entry)
    return Response(status_code=204)


@router.delete("/{name}", status_code=204)
def remove(name: str, asked: Administrator, running: Running) -> Response:
    """Ends a connection: its schemas, their grants and policies go; the other catalog stays."""
    asked.seal()
    links = running.catalog.linked.links
    links.forget(links.connections.remove(name, asked.actor()))
    return Response(status_code=204)


def _connection(body: CatalogAddress, running: Parts) -> Connection:
    return Connection(
        id="",
        name=body.name,
        uri=body.uri,
        warehouse=body.warehouse,
        prefix=body.prefix,
        authentication=body.authentication,
        client_id=body.client_id,
        token_uri=body.token_uri,
        scope=body.scope,
        ca_cert=body.ca_cert,
        locations=tuple(_location(each, running) for each in body.locations),
        s3_endpoint=body.s3_endpoint,
    )


def _location(text: str, running: Parts) -> str:
    """A folder's normal form; one that holds the server's own files, or lies in them, is none."""
    uri = location_uri(text)
    check_free(uri, (running.storage.warehouse.root, str(running.home.path)))
    return uri


def _secret(body: CatalogAddress) -> str | None:
    found = None if body.secret is None else body.secret.get_secret_value().strip()
    return found or None


def _shown(views: list[ShownView]) -> list[Shown]:
    return [Shown(tuple(each.namespace), each.schema_name or None) for each in views]


def _probe(found: Probe, running: Parts) -> ProbeView:
    good, bad = [], []
    for each in found.locations:
        try:
            good.append(_location(each, running))
        except HeadwaterError as exc:
            if exc.code is not ErrorCode.INVALID_LOCATION:
                raise
            bad.append(each[:500])
    return ProbeView(
        namespaces=[list(each) for each in found.namespaces],
        locations=list(dict.fromkeys(good)),
        refused_locations=bad,
        seconds=found.seconds,
    )


def _named(running: Parts, name: str) -> ConnectionView:
    for found, shown in running.catalog.linked.links.connections.all():
        if found.name == name:
            return _view(found, shown)
    raise error(ErrorCode.CONNECTION_NOT_FOUND, f"there is no connection {name[:80]!r}")


def _view(found: Connection, shown: list[LinkedSchema]) -> ConnectionView:
    return ConnectionView(
        name=found.name,
        uri=found.uri,
        warehouse=found.warehouse,
        prefix=found.prefix,
        authentication=found.authentication,
        client_id=found.client_id,
        locations=list(found.locations),
        schemas=[
            ShownView(namespace=list(each.remote), schema=namespace_text(each.namespace))
            for each in shown
        ],
    )
