"""Prometheus metrics of the server; `render` is what `/metrics` answers."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

registry = CollectorRegistry()

http_requests = Counter(
    "headwater_http_requests_total",
    "HTTP requests by surface (iceberg, trino, api, other), method and status.",
    ["surface", "method", "status"],
    registry=registry,
)
http_seconds = Histogram(
    "headwater_http_request_seconds",
    "Time until the response's head, by surface.",
    ["surface"],
    registry=registry,
)
statements_running = Gauge(
    "headwater_statements_running", "Statements that have not ended.", registry=registry
)
statements_queued = Gauge(
    "headwater_statements_queued", "Statements that wait for the engine.", registry=registry
)
engine_workers = Gauge(
    "headwater_engine_workers", "Engine workers that are ready.", registry=registry
)
engine_restarts = Gauge(
    "headwater_engine_restarts", "Engine workers started in place of dead ones.", registry=registry
)


def render() -> bytes:
    """All metrics in Prometheus' text format."""
    return generate_latest(registry)
