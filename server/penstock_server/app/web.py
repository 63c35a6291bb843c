"""The web process, put together: the API and the pages over a read-only view of the store.

It is imported in that process only: the others need no Flask.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.metadata import version

from flask import Flask

from penstock_runner.executor.ciphers import Cipher
from penstock_runner.expressions.environment import Expressions, NoServices
from penstock_runner.jobs.secrets import secret_of
from penstock_runner.tasks.namespace_files import NamespaceStorage
from penstock_runner.tasks.registry import Registry
from penstock_server.api import routes
from penstock_server.api.context import BasicAuth, WebContext
from penstock_server.api.stored_files import StoredFiles
from penstock_server.api.veil import Veil
from penstock_server.app.git_hooks import StoredHooks
from penstock_server.clock import Clock
from penstock_server.config import Settings, Told
from penstock_server.config.storages import open_storage
from penstock_server.core.address import socket_path
from penstock_server.core.client import CoreClient
from penstock_server.store.engine import Database, open_store
from penstock_server.store.flow_changes import FlowChanges
from penstock_server.store.queries import runners_seen_since
from penstock_server.web import serving, views

RUNNER_SILENCE = timedelta(seconds=60)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSettings:
    """What the API and the pages need to know of the settings."""

    allowed_hosts: frozenset[str]
    basic_auth: BasicAuth | None
    open_paths: tuple[str, ...]
    url: str | None
    version: str
    environment: str | None
    public_status: bool


def serve_web(
    told: Told,
    clock: Clock,
    registry: Registry,
    listening: socket.socket,
    changes: FlowChanges,
) -> None:
    """Serve until SIGTERM."""
    client = CoreClient(socket_path(told.settings.home))
    serving.serve(make_wsgi(told, clock, registry, client, changes), listening)


def make_wsgi(
    told: Told,
    clock: Clock,
    registry: Registry,
    client: CoreClient,
    changes: FlowChanges,
) -> Flask:
    """The web application: the API and the pages over one read-only view of the store."""
    app = Flask("penstock_server.web", static_folder=None)
    context = _context(told, clock, registry, client, changes)
    routes.install(app, context)
    views.install(app, context)
    return app


def _context(
    told: Told, clock: Clock, registry: Registry, client: CoreClient, changes: FlowChanges
) -> WebContext:
    settings = told.settings
    database = open_store(settings.database, durability=settings.durability)
    cipher = Cipher(settings.encryption_key) if settings.encryption_key else None
    veil = Veil(
        database,
        told.secrets,
        None if cipher is None else cipher.decrypt,
        str(settings.plugin_defaults),
    )
    return WebContext(
        secrets=told.secrets,
        veil=veil.over,
        veil_json=veil.over_json,
        client=client,
        database=database,
        storage=NamespaceStorage(
            open_storage(settings, told.environment), StoredFiles(database, client)
        ),
        registry=registry,
        settings=web_settings(settings),
        clock=clock,
        expressions=WebExpressions(told, clock),
        encrypt=None if cipher is None else cipher.encrypt,
        git_hooks=StoredHooks(database, told.secrets),
        runner_alive=lambda: _runner_alive(database, clock),
        followers=serving.THREADS - 16,
        flow_changes=changes,
        timezone=settings.timezone,
    )


def _runner_alive(database: Database, clock: Clock) -> bool:
    """Whether a runner was there in the last minute; core notes them every few seconds."""
    with database.read() as connection:
        return bool(runners_seen_since(connection, clock.now() - RUNNER_SILENCE))


class WebExpressions:
    """Renders for the API: webhook keys, choices of inputs."""

    def __init__(self, told: Told, clock: Clock) -> None:
        self._told, self._clock = told, clock
        self._expressions = Expressions(default_zone=told.settings.timezone)

    def render(self, source: str, variables: Mapping[str, object]) -> str | None:
        """The source rendered as text."""
        return self._expressions.render(source, variables, self._services(variables))

    def render_typed(self, source: str, variables: Mapping[str, object]) -> object:
        """The source rendered to a value."""
        return self._expressions.render_typed(source, variables, self._services(variables))

    def _services(self, variables: Mapping[str, object]) -> WebServices:
        flow = variables.get("flow")
        namespace = str(flow.get("namespace") or "") if isinstance(flow, Mapping) else ""
        return WebServices(self._told, self._clock, namespace)


class WebServices(NoServices):
    """What expressions of the API may ask: the time, and secrets for webhook keys."""

    def __init__(self, told: Told, clock: Clock, namespace: str) -> None:
        super().__init__()
        self._secrets = told.secrets
        self._clock = clock
        self._namespace = namespace

    def now(self) -> datetime:
        """The present instant."""
        return self._clock.now()

    def secret(self, name: str, namespace: str | None) -> str:  # noqa: ARG002 - scopes come with them
        """A secret by name, as flows of the namespace may read it."""
        return secret_of(self._secrets, name, self._namespace)


def web_settings(settings: Settings) -> WebSettings:
    """The settings of the web process; the password leaves as a hash."""
    auth = settings.basic_auth
    hashed = None
    if auth is not None:
        from werkzeug.security import generate_password_hash

        hashed = BasicAuth(
            username=auth.username, password_hash=generate_password_hash(auth.password)
        )
    return WebSettings(
        allowed_hosts=settings.host_names,
        basic_auth=hashed,
        open_paths=(),
        url=settings.url,
        version=version("penstock"),
        environment=settings.environment,
        public_status=settings.public_status,
    )
