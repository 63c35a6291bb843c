"""Whether the service lives, is ready, and how much it does."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, Flask, Response, g, request
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from penstock_server.api import routing
from penstock_server.api.answers import json_answer
from penstock_server.api.context import WebContext
from penstock_server.api.git_metrics import GitMetrics
from penstock_server.api.routing import get
from penstock_server.store import queries
from penstock_server.store.faults import StoreUnavailable
from penstock_server.store.queries import ExecutionFilter

READABLE_STATES = ("CREATED", "QUEUED", "RUNNING", "PAUSED", "RETRYING", "KILLING", "RESTARTED")


def note_verdict(forge: str, verdict: str) -> None:
    """Have this request counted as a webhook of a forge."""
    g.webhook = (forge, verdict)


class Metrics:
    """What this web process counts of itself; routes are named by pattern, never by address."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self.registry = CollectorRegistry()
        self._monotonic = monotonic
        self._seconds = Histogram(
            "penstock_http_request_seconds",
            "Time of requests by route",
            ["method", "route"],
            registry=self.registry,
        )
        self._known: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._answers = Counter(
            "penstock_http_responses",
            "Answers by route and status",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self.executions = Gauge(
            "penstock_executions",
            "Executions that have not ended, by state",
            ["state"],
            registry=self.registry,
        )
        self.flows = Gauge("penstock_flows", "Flows", registry=self.registry)
        self.webhooks = Counter(
            "penstock_webhook",
            "Deliveries of forges by what was made of them",
            ["forge", "verdict"],
            registry=self.registry,
        )
        self.core = Gauge("penstock_core_connected", "Core is there", registry=self.registry)

    def install(self, app: Flask) -> None:
        """Measure every request."""

        @app.before_request
        def _begin() -> None:
            g.began = self._monotonic()

        @app.after_request
        def _end(answer: Response) -> Response:
            route = request.url_rule.rule if request.url_rule is not None else "none"
            route = route.replace("/api/v1/main/", "/api/v1/")
            heard = g.get("webhook")
            if heard is not None:
                self.webhooks.labels(*heard).inc()
            method = request.method if request.url_rule is not None else "none"
            count, seconds = self._measures(method, route, answer.status_code)
            count.inc()
            if "began" in g:
                seconds.observe(self._monotonic() - g.began)
            return answer

    def _measures(self, method: str, route: str, status: int) -> tuple[Counter, Histogram]:
        """The two measures of such an answer; looking them up costs more than counting."""
        known = self._known.get((method, route, status))
        if known is None:
            known = (
                self._answers.labels(method, route, str(status)),
                self._seconds.labels(method, route),
            )
            self._known[(method, route, status)] = known
        return known


class HealthRoutes:
    """`/ping`, `/health`, `/metrics`."""

    def __init__(self, context: WebContext, metrics: Metrics) -> None:
        self._context = context
        self._metrics = metrics

    @get("/ping")
    def ping(self) -> Response:
        """The server answers."""
        return Response("pong", mimetype="text/plain")

    @get("/health/live")
    def live(self) -> Response:
        """Say that the process lives."""
        return json_answer({"status": "UP"})

    @get("/health")
    @get("/health/ready")
    def ready(self) -> Response:
        """Store, core and runner are there."""
        checks = {
            "store": _readable(self._context),
            "core": self._context.client.connected,
            "runner": self._context.runner_alive(),
        }
        up = all(checks.values())
        told = {name: "UP" if fine else "DOWN" for name, fine in checks.items()}
        body = {"status": "UP" if up else "DOWN", "checks": told}
        return json_answer(body, 200 if up else 503)

    @get("/metrics")
    def measured(self) -> Response:
        """What there is to measure, in Prometheus' form."""
        wanted = ExecutionFilter(states=READABLE_STATES)
        with self._context.database.read() as connection:
            counts = queries.state_counts(connection, wanted)
            self._metrics.flows.set(queries.flow_count(connection))
        for state in READABLE_STATES:
            self._metrics.executions.labels(state).set(counts.get(state, 0))
        self._metrics.core.set(1 if self._context.client.connected else 0)
        return Response(generate_latest(self._metrics.registry), content_type=CONTENT_TYPE_LATEST)


def blueprint(context: WebContext, metrics: Metrics) -> Blueprint:
    """`/ping`, `/health`, `/metrics`."""
    metrics.registry.register(GitMetrics(context))
    return routing.blueprint("health", "", HealthRoutes(context, metrics))


def _readable(context: WebContext) -> bool:
    try:
        with context.database.read() as connection:
            return queries.readable(connection)
    except StoreUnavailable:
        return False
