"""The one ASGI application: the JSON API, the gateways and the studio, behind the guard."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from fastapi import Depends, FastAPI, Request
from fastapi.responses import HTMLResponse, Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

import headwater
from headwater.server import studio
from headwater.server.api import (
    activity,
    admin,
    audit,
    catalog,
    connections,
    editor,
    engines,
    governance,
    health,
    identity,
    jobs,
    layouts,
    loads,
    locations,
    maintenance,
    matrix,
    onboarding,
    perspectives,
    problems,
    results,
    saved,
    session,
    statements,
    tables,
)
from headwater.server.api.context import caller, json_only
from headwater.server.api_page import STYLE_SOURCE, render
from headwater.server.guard import Guard
from headwater.server.parts import Parts
from headwater.server.web import is_loopback
from headwater.telemetry import metrics

_ROUTERS = (
    statements,
    results,
    engines,
    editor,
    saved,
    catalog,
    loads,
    locations,
    jobs,
    activity,
    governance,
    matrix,
    perspectives,
    audit,
    tables,
    layouts,
    onboarding,
    connections,
    identity,
    session,
    health,
    maintenance,
    admin,
)


def make_api(gateways: Sequence[BaseRoute] = ()) -> FastAPI:
    """The JSON API without anything to serve yet: what its OpenAPI document describes."""
    app = FastAPI(
        title="Headwater",
        version=headwater.__version__,
        description="A governed Iceberg lakehouse over HTTP.",
        openapi_url="/api/openapi.json",
        # FastAPI's own pages load scripts from other hosts.
        docs_url=None,
        redoc_url=None,
        dependencies=[Depends(json_only)],
        responses=problems.PROBLEMS,
    )
    problems.install(app)
    # Routes are tried in their order, and the gateways' are asked for most.
    app.router.routes.extend(gateways)
    for module in _ROUTERS:
        app.include_router(module.router, prefix="/api/v1")
    return app


def make_app(parts: Parts, gateways: Sequence[BaseRoute]) -> ASGIApp:
    """The application that serves these parts; `gateways` are the other protocols' routes."""
    app = make_api(gateways)
    app.state.parts = parts

    @app.get("/api/docs", include_in_schema=False)
    def docs(request: Request) -> HTMLResponse:
        """The OpenAPI document as a page."""
        page = render(app.openapi(), str(request.base_url).rstrip("/"))
        allowed = f"default-src 'none'; style-src {STYLE_SOURCE}; frame-ancestors 'none'"
        return HTMLResponse(page, headers={"content-security-policy": allowed})

    @app.get("/metrics", include_in_schema=False)
    def measured(request: Request) -> Response:
        """Prometheus metrics; without a token for this machine's own scraper only."""
        if not _from_loopback(request):
            caller(request)
        status = parts.engine.status()
        metrics.engine_workers.set(sum(worker.state == "running" for worker in status.workers))
        metrics.engine_restarts.set(sum(worker.restarts for worker in status.workers))
        metrics.statements_running.set(len(parts.queries.running()))
        metrics.statements_queued.set(parts.queries.queued)
        return Response(metrics.render(), media_type=metrics.CONTENT_TYPE)

    app.router.routes.extend(studio.routes())

    hosts = list(parts.settings.allowed_hosts)
    if not is_loopback(parts.settings.host) and not _is_any(parts.settings.host):
        hosts.append(parts.settings.host)
    return Guard(app, hosts)


def _from_loopback(request: Request) -> bool:
    return request.client is not None and is_loopback(request.client.host)


def _is_any(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_unspecified
    except ValueError:
        return False
