"""The first minutes: what is here, where own data may come from, queries to begin with."""

from __future__ import annotations

import threading
from collections.abc import Collection
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from headwater.governance.access import AccessRequest
from headwater.model.identifiers import TableIdentifier, namespace_text
from headwater.model.principal import Identity
from headwater.model.privilege import Privilege, Securable, SecurableKind
from headwater.server.api.context import Caller, RequestId, Running
from headwater.server.inspection import CLIENT
from headwater.server.parts import Parts
from headwater.server.samples.loader import SCHEMA, load_samples, samples_loaded

router = APIRouter(tags=["onboarding"])

_READ = (Privilege.READ_FILES, Privilege.ALL)
_loading = threading.Lock()


class SampleTable(BaseModel):
    """A table of the sample lake that the caller sees."""

    table: str
    comment: str | None


class FirstQuery(BaseModel):
    """A query to begin with, on tables that the caller sees."""

    title: str
    about: str
    sql: str
    chart: Literal["bar", "line"] | None


class Onboarding(BaseModel):
    """What a newcomer can do here."""

    samples: Literal["ready", "absent", "loading"]
    sample_tables: list[SampleTable]
    may_load_samples: bool
    queries: list[FirstQuery]
    schemas: list[str] = Field(description="Those in which the caller may make tables.")
    may_create_schema: bool
    may_connect: bool = Field(description="Whether the caller may connect other catalogs.")
    locations: list[str] = Field(
        description="Folders and S3 locations whose files the caller may read."
    )


_QUERIES: tuple[tuple[FirstQuery, dict[str, set[str]]], ...] = (
    (
        FirstQuery(
            title="Trips by hour of the day",
            about="When is New York on the road? One line a pick-up hour.",
            sql=(
                "SELECT hour(tpep_pickup_datetime) AS pickup_hour, count(*) AS trips\n"
                "FROM sample.nyc_taxi_trips\nGROUP BY 1\nORDER BY 1"
            ),
            chart="line",
        ),
        {"nyc_taxi_trips": {"tpep_pickup_datetime"}},
    ),
    (
        FirstQuery(
            title="Average fare by borough",
            about="Where a ride costs most.",
            sql=(
                "SELECT pickup_borough, count(*) AS trips, round(avg(fare_amount), 2) AS fare\n"
                "FROM sample.nyc_taxi_trips\nGROUP BY 1\nORDER BY fare DESC"
            ),
            chart="bar",
        ),
        {"nyc_taxi_trips": {"pickup_borough", "fare_amount"}},
    ),
    (
        FirstQuery(
            title="Delay by airline",
            about="A join of flights with the names of airlines.",
            sql=(
                "SELECT a.name AS airline, count(*) AS flights,\n"
                "       round(avg(f.dep_delay), 1) AS minutes_late\n"
                "FROM sample.flights f\nJOIN sample.airlines a ON a.carrier = f.carrier\n"
                "GROUP BY 1\nORDER BY minutes_late DESC"
            ),
            chart="bar",
        ),
        {"flights": {"dep_delay", "carrier"}, "airlines": {"carrier", "name"}},
    ),
    (
        FirstQuery(
            title="Who leaves?",
            about="The share of customers that churned, by contract and plan.",
            sql=(
                "SELECT contract, plan, count(*) AS customers,\n"
                "       round(avg(CASE WHEN churned THEN 100.0 ELSE 0 END), 1) AS percent_left\n"
                "FROM sample.churn\nGROUP BY 1, 2\nORDER BY percent_left DESC"
            ),
            chart="bar",
        ),
        {"churn": {"contract", "plan", "churned"}},
    ),
)


@router.get("/onboarding")
def onboarding(caller: Caller, running: Running, request: RequestId) -> Onboarding:
    """What there is to begin with."""
    asked = running.access.begin(caller, request_id=request, client=CLIENT)
    namespaces = running.browser.schemas(caller)
    seen = {}
    if SCHEMA in namespaces:
        seen = {each.identifier.name: each for each in running.browser.tables(caller, SCHEMA)}
    ready = samples_loaded(running)
    return Onboarding(
        samples="loading" if _loading.locked() else "ready" if ready and seen else "absent",
        sample_tables=[
            SampleTable(table=str(each.identifier), comment=_comment(running, each.identifier))
            for each in seen.values()
            if each.kind == "table"
        ],
        may_load_samples=asked.allows(Privilege.MANAGE_GRANTS, Securable.catalog()),
        queries=[query for query, needs in _QUERIES if _answerable(running, caller, needs, seen)],
        schemas=[
            namespace_text(namespace)
            for namespace in namespaces
            if asked.allows(Privilege.CREATE_TABLE, Securable.schema(namespace))
            and not running.catalog.linked.holds(namespace)
        ],
        may_create_schema=asked.allows(Privilege.CREATE_SCHEMA, Securable.catalog()),
        may_connect=asked.allows(Privilege.MANAGE_GRANTS, Securable.catalog()),
        locations=_locations(asked),
    )


@router.post("/samples", status_code=202)
def make_samples(caller: Caller, running: Running, request: RequestId) -> None:
    """Begins to load what is missing of the sample lake; for administrators."""
    asked = running.access.begin(caller, request_id=request, statement="LOAD SAMPLES")
    asked.check(Privilege.MANAGE_GRANTS, Securable.catalog())
    asked.seal()
    if not _loading.acquire(blocking=False):
        return

    def work() -> None:
        try:
            load_samples(running, caller, again=True)
        finally:
            _loading.release()

    threading.Thread(target=work, name="samples", daemon=True).start()


def _comment(running: Parts, identifier: TableIdentifier) -> str | None:
    properties = running.catalog.table(identifier).metadata.get("properties") or {}
    comment = properties.get("comment")
    return None if comment is None else str(comment)


def _answerable(
    running: Parts, caller: Identity, needs: dict[str, set[str]], seen: Collection[str]
) -> bool:
    for name, columns in needs.items():
        if name not in seen:
            return False
        visible = running.browser.columns(caller, TableIdentifier(SCHEMA, name))
        if not columns <= {column.name for column in visible if column.mask is None}:
            return False
    return True


def _locations(asked: AccessRequest) -> list[str]:
    """The folders of this machine, and the S3 locations, on which the caller holds READ FILES."""
    found: set[str] = set()
    for grants in asked.state.grants.values():
        for grant in grants:
            uri = grant.object_id.removeprefix("location:")
            if (
                grant.object_kind == SecurableKind.LOCATION
                and grant.effect == "grant"
                and grant.privilege in _READ
                and grant.principal_id in asked.subject.active
            ):
                found.add(uri.removeprefix("file://"))
    return sorted(found)
