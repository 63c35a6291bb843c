"""The composition root: the only place where all parts of the service meet.

`serve` prepares what a person should hear about before anything is forked (the store, the port), then has
the parent fork core, git, runner and web. Each of those is a few lines here and a room elsewhere.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

from flask import Flask

from penstock_runner.expressions.environment import Expressions, NoServices
from penstock_runner.flow.yaml import FAST
from penstock_runner.jobs.frames import Channel
from penstock_runner.jobs.parts import default_parts
from penstock_runner.jobs.settings import RunnerSettings, default_slots, pick_environment
from penstock_runner.jobs.supervisor import Supervisor
from penstock_runner.tasks.registry import Registry
from penstock_runner.tasks.storage import LocalStorage
from penstock_server.api import routes
from penstock_server.api.context import BasicAuth, GitHook, WebContext
from penstock_server.clock import Clock, SystemClock
from penstock_server.config import Settings, Told
from penstock_server.core import process as core_process
from penstock_server.core.address import socket_path
from penstock_server.core.client import CoreClient
from penstock_server.processes import Child, Processes
from penstock_server.store.engine import Database, acquire_leadership, open_store
from penstock_server.store.migrations import upgrade
from penstock_server.store.queries import runners_seen_since
from penstock_server.sync import looker
from penstock_server.sync.configuration import git_settings
from penstock_server.sync.examples import (
    SECRET_NAME,
    examples_folder,
    prepare_examples,
    tell_address,
)
from penstock_server.web import serving

CONNECT_SECONDS = 30.0
READY_SECONDS = 30.0
RUNNER_SILENCE = timedelta(seconds=60)

log = logging.getLogger(__name__)


class CannotStart(Exception):
    """The service cannot start; the message says what is in the way and what to do."""


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


def serve(told: Told, on_ready: Callable[[Told, int], None]) -> int:
    """Run the service until it is stopped; gives the exit code.

    `on_ready` is called with the bound port once requests are answered.
    """
    _prepare_home(told.settings.home)
    _refuse_second(told.settings.home)
    told = _with_examples(told)
    settings = told.settings
    git_settings(settings.git.model_dump())
    _prepare_store(settings)
    listening = _bind(settings)
    port = int(listening.getsockname()[1])
    if settings.examples:
        tell_address(settings.home, f"http://{settings.host}:{port}")
    clock = SystemClock()
    registry = Registry()
    _warm(registry)
    if not FAST:
        log.warning("PyYAML has no libyaml here: flow files are read seven times slower")
    children = [
        Child(name="core", main=lambda: core_process.run(told, clock, registry)),
        Child(name="git", main=lambda: _run_git(settings, registry), stop_seconds=3),
        Child(name="runner", main=lambda: _run_runner(told, clock, port)),
        *(
            Child(
                name=f"web{n}",
                main=lambda: _run_web(told, clock, registry, listening),
                stop_seconds=5,
            )
            for n in range(settings.web)
        ),
    ]
    processes = Processes(children)
    return processes.run(lambda: _await_ready(told, port, processes, on_ready))


def _warm(registry: Registry) -> None:
    """Import what every execution needs before the processes are forked."""
    import_module("penstock_runner.expressions.program")
    for name in registry.names("task"):
        if registry.is_inline(name) or registry.is_flowable(name):
            registry.load(name)


def _prepare_home(home: Path) -> None:
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise CannotStart(
            f"the home {home} cannot be made: {error.strerror}; choose another with --home"
        ) from None
    if not os.access(home, os.W_OK | os.X_OK):
        raise CannotStart(f"the home {home} cannot be written; choose another with --home")


def _with_examples(told: Told) -> Told:
    folder = examples_folder()
    if not told.settings.examples or folder is None:
        return told
    home = told.settings.home
    source, secret = prepare_examples(home, folder, SystemClock().now())
    git = told.settings.git
    git = git.model_copy(
        update={
            "sources": (*git.sources, source),
            "file_roots": (*git.file_roots, str(home.absolute())),
        }
    )
    settings = told.settings.model_copy(update={"git": git})
    return replace(told, settings=settings, secrets={**told.secrets, SECRET_NAME: secret})


def _refuse_second(home: Path) -> None:
    """A home serves one service; core holds the lock itself while it runs."""
    acquire_leadership(home).release()


def _prepare_store(settings: Settings) -> None:
    database = open_store(settings.database, durability=settings.durability)
    try:
        upgrade(database)
    finally:
        database.close()


def _bind(settings: Settings) -> socket.socket:
    try:
        return serving.listen(settings.host, settings.port)
    except OSError as error:
        raise CannotStart(
            f"{settings.host}:{settings.port} cannot be listened on: {error.strerror}; another "
            "program may be using it: choose a port with --port"
        ) from None


def _await_ready(
    told: Told, port: int, processes: Processes, on_ready: Callable[[Told, int], None]
) -> None:
    until = time.monotonic() + READY_SECONDS
    path = socket_path(told.settings.home)
    while not processes.stopping and time.monotonic() < until:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(path))
            except OSError:
                time.sleep(0.005)  # noqa: TID251 - a start-up poll, bounded above
                continue
        on_ready(told, port)
        return


def connect_to_core(home: Path) -> Channel:
    """A channel to core, which may be starting at this moment."""
    path = socket_path(home)
    until = time.monotonic() + CONNECT_SECONDS
    while True:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(str(path))
        except OSError:
            connection.close()
            if time.monotonic() > until:
                raise
            time.sleep(0.005)  # noqa: TID251 - a start-up poll, bounded above
            continue
        return Channel(connection)


def _run_git(settings: Settings, registry: Registry) -> None:
    signal.signal(signal.SIGTERM, lambda _signal, _frame: sys.exit(0))
    channel = connect_to_core(settings.home)
    channel.send({"type": "hello", "git": True})
    channel.flush()
    looker.run(
        channel, looker.LookerSettings(home=settings.home.absolute(), catalogue=lambda: registry)
    )


def _run_runner(told: Told, clock: Clock, port: int) -> None:
    settings = told.settings
    channel = connect_to_core(settings.home)
    parts = default_parts(runner_settings(told, port), clock.now)
    Supervisor(channel, parts).run()


def runner_settings(told: Told, port: int) -> RunnerSettings:
    """How the runner of this machine works."""
    settings = told.settings
    return RunnerSettings(
        home=settings.home.absolute(),
        workspaces=Path(settings.workspaces),
        storage=Path(settings.storage_root),
        slots=settings.runner.slots or default_slots(os.cpu_count()),
        labels=settings.runner.labels,
        secrets=told.secrets,
        envs=told.envs,
        globals=settings.globals,
        environment=pick_environment(told.environment, settings.runner.pass_env),
        url=settings.url or f"http://{settings.host}:{port}",
        task_runner=settings.runner.default,
    )


def _run_web(told: Told, clock: Clock, registry: Registry, listening: socket.socket) -> None:
    client = CoreClient(socket_path(told.settings.home))
    wsgi = make_wsgi(told, clock, registry, client)
    serving.serve(wsgi, listening)


def make_wsgi(told: Told, clock: Clock, registry: Registry, client: CoreClient) -> Flask:
    """The web application: the API and the pages over one read-only view of the store."""
    settings = told.settings
    app = Flask("penstock_server.web", static_folder=None)
    database = open_store(settings.database, durability=settings.durability)
    context = WebContext(
        client=client,
        database=database,
        storage=LocalStorage(Path(settings.storage_root)),
        registry=registry,
        settings=web_settings(settings),
        clock=clock,
        expressions=WebExpressions(told, clock),
        git_hooks=_git_hooks(told),
        runner_alive=lambda: _runner_alive(database, clock),
        followers=serving.THREADS - 16,
    )
    routes.install(app, context)
    return app


def _runner_alive(database: Database, clock: Clock) -> bool:
    """Whether a runner was there in the last minute; core notes them every few seconds."""
    with database.read() as connection:
        return bool(runners_seen_since(connection, clock.now() - RUNNER_SILENCE))


def _git_hooks(told: Told) -> dict[str, GitHook]:
    """How the deliveries of each source's forge are verified; a missing secret verifies nothing."""
    hooks: dict[str, GitHook] = {}
    for source in git_settings(told.settings.git.model_dump()).sources:
        if source.webhook is None:
            continue
        found = [told.secrets.get(name.upper()) for name in source.webhook.names]
        known = tuple(secret for secret in found if secret)
        if len(known) < len(found):
            log.warning("git source %s: a webhook secret is not in the environment", source.id)
        if known:
            hooks[source.id] = GitHook(
                secrets=known, forge=source.webhook.forge, allow_sha1=source.webhook.allow_sha1
            )
    return hooks


class WebExpressions:
    """Renders for the API: webhook keys, choices of inputs."""

    def __init__(self, told: Told, clock: Clock) -> None:
        settings = told.settings
        self._expressions = Expressions(default_zone=settings.timezone)
        self._services = WebServices(told, clock)

    def render(self, source: str, variables: Mapping[str, object]) -> str | None:
        """The source rendered as text."""
        return self._expressions.render(source, variables, self._services)

    def render_typed(self, source: str, variables: Mapping[str, object]) -> object:
        """The source rendered to a value."""
        return self._expressions.render_typed(source, variables, self._services)


class WebServices(NoServices):
    """What expressions of the API may ask: the time, and secrets for webhook keys."""

    def __init__(self, told: Told, clock: Clock) -> None:
        super().__init__()
        self._secrets = told.secrets
        self._clock = clock

    def now(self) -> datetime:
        """The present instant."""
        return self._clock.now()

    def secret(self, name: str, namespace: str | None) -> str:
        """A secret by name."""
        found = self._secrets.get(name.upper())
        return found if found is not None else super().secret(name, namespace)


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
