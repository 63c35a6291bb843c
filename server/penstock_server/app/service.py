"""The composition root: the only place where all parts of the service meet.

`serve` prepares what a person should hear about before anything is forked (the store, the port),
then has the parent fork core, git, runner and web. Each of those is a few lines here and a room
elsewhere.
"""

from __future__ import annotations

import errno
import logging
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from penstock_runner.expressions.environment import Expressions, NoServices
from penstock_runner.flow.check import check
from penstock_runner.flow.parse import parse_flow
from penstock_runner.flow.yaml import FAST
from penstock_runner.jobs import offers, users
from penstock_runner.jobs.frames import Channel
from penstock_runner.jobs.parts import default_parts
from penstock_runner.jobs.settings import RunnerSettings
from penstock_runner.jobs.supervisor import Supervisor
from penstock_runner.tasks.registry import Registry
from penstock_server.app.faults import CannotStart
from penstock_server.app.runners import runners_of
from penstock_server.clock import Clock, SystemClock
from penstock_server.config import BadSettings, Settings, Told
from penstock_server.config.storages import open_storage
from penstock_server.core import process as core_process
from penstock_server.core.address import socket_path
from penstock_server.processes import Child, Processes, listen
from penstock_server.store.engine import acquire_leadership, open_store
from penstock_server.store.flow_changes import FlowChanges
from penstock_server.store.migrations import upgrade
from penstock_server.sync.configuration import git_settings

LONGEST_PAUSE = 0.25
READY_SECONDS = 30.0

log = logging.getLogger(__name__)


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
    port = int(listening[0].getsockname()[1])
    if settings.examples:
        from penstock_server.sync.examples import tell_address

        tell_address(settings.home, f"http://{settings.host}:{port}")
    registry = Registry()
    _warm(registry)
    if not FAST:
        log.warning("PyYAML has no libyaml here: flow files are read seven times slower")
    latest = Latest(told)
    # In a terminal a hangup says that the terminal is gone.
    hangup = None if sys.stdin is not None and sys.stdin.isatty() else latest.read_again
    processes = Processes(_children(latest, registry, listening, port), hangup)
    return processes.run(lambda: _await_ready(told, port, processes, on_ready))


def _children(
    latest: Latest, registry: Registry, listening: Sequence[socket.socket], port: int
) -> list[Child]:
    """The processes of the service, with what each of them is given."""
    told, clock, changes = latest.told, SystemClock(), FlowChanges()
    return [
        Child(name="core", main=lambda: core_process.run(latest.told, clock, registry, changes)),
        Child(name="git", main=lambda: _run_git(told, registry), stop_seconds=3),
        *(
            Child(
                name=name,
                main=partial(_run_runner, runner, clock),
                stopped_with=signal.SIGUSR1,
            )
            for name, runner in runners_of(told, port).items()
        ),
        *(
            Child(
                name=f"web{n}",
                main=partial(_run_web, told, clock, registry, one, changes),
                stop_seconds=5,
                orphaned=signal.SIGKILL,
            )
            for n, one in enumerate(listening)
        ),
    ]


class Latest:
    """What the next core process is told: the sources of the configuration may change meanwhile."""

    def __init__(self, told: Told) -> None:
        self.told = told

    def read_again(self) -> bool:
        """Read the sources again; whether they can be used."""
        try:
            fresh = self.told.again() if self.told.again is not None else self.told
            git_settings(fresh.settings.git.model_dump())
        except BadSettings as bad:
            for fault in bad.faults:
                log.warning("the Git sources stay as they were: %s", fault)
            return False
        settings = self.told.settings.model_copy(update={"git": fresh.settings.git})
        self.told = replace(self.told, settings=settings)
        return True


WARM_FLOW = """
id: warm
namespace: penstock
inputs: [{id: name, type: STRING, defaults: you}]
triggers: [{id: daily, type: io.kestra.plugin.core.trigger.Schedule, cron: "@daily"}]
tasks:
  - {id: greet, type: io.kestra.plugin.core.log.Log, message: "Hello {{ inputs.name }}"}
"""


def _warm(registry: Registry) -> None:
    """Do once, before the fork, what every process would otherwise do for itself on first use."""
    for name in registry.names("task"):
        if registry.is_inline(name) or registry.is_flowable(name):
            registry.load(name)
    check(parse_flow(WARM_FLOW), registry)
    Expressions().render("{{ inputs.name }}", {"inputs": {"name": "you"}}, NoServices())


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
    from penstock_server.sync.examples import SECRET_NAME, examples_folder, prepare_examples

    folder = examples_folder()
    if not told.settings.examples or folder is None:
        return told
    home = told.settings.home
    source, secret = prepare_examples(home, folder, SystemClock().now())

    def with_them(read: Told) -> Told:
        git = read.settings.git
        more = {
            "sources": (*git.sources, source),
            "file_roots": (*git.file_roots, str(home.absolute())),
        }
        settings = read.settings.model_copy(update={"git": git.model_copy(update=more)})
        return replace(read, settings=settings)

    def again() -> Told:
        return with_them(told.again() if told.again is not None else told)

    secrets = told.secrets.with_value(SECRET_NAME, secret)
    return replace(with_them(told), secrets=secrets, again=again)


def _refuse_second(home: Path) -> None:
    """A home serves one service; core holds the lock itself while it runs."""
    acquire_leadership(home).release()


def _prepare_store(settings: Settings) -> None:
    database = open_store(settings.database, durability=settings.durability)
    try:
        upgrade(database)
    finally:
        database.close()


def _bind(settings: Settings) -> list[socket.socket]:
    try:
        return listen(settings.host, settings.port, settings.web)
    except OSError as error:
        way = (
            "another program may be using it: choose a port with --port"
            if error.errno in {errno.EADDRINUSE, errno.EACCES}
            else "this machine may not have that address: choose one with --host"
        )
        reason = f"cannot be listened on: {error.strerror or error}"
        raise CannotStart(f"{settings.host}:{settings.port} {reason}; {way}") from None


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
    """A channel to core, which may be starting at this moment, or wait for its turn to lead.

    Who waits here has a parent that ends it: there is no moment to give up.
    """
    path = socket_path(home)
    pause = 0.005
    while True:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(str(path))
        except OSError:
            connection.close()
            time.sleep(pause)  # noqa: TID251 - a start-up poll
            pause = min(pause * 1.1, LONGEST_PAUSE)
            continue
        return Channel(connection)


def _run_git(told: Told, registry: Registry) -> None:
    settings = told.settings
    signal.signal(signal.SIGTERM, lambda _signal, _frame: sys.exit(0))
    channel = connect_to_core(settings.home)
    channel.send({"type": "hello", "git": True})
    channel.flush()
    # A service without a source never looks, and need not hold what looking takes: 10 MB.
    select.select([channel], [], [])
    from penstock_server.sync import looker

    # Each look is a child of its own: what they all would import is imported here, once.
    for name in registry.names("task"):
        registry.load(name)
    looker.run(
        channel,
        looker.LookerSettings(
            home=settings.home.absolute(),
            catalogue=lambda: registry,
            storage=open_storage(settings, told.environment),
            at_once=settings.git.looks_at_once,
            per_host=settings.git.looks_per_host,
        ),
    )


def _run_runner(settings: RunnerSettings, clock: Clock) -> None:
    settings = replace(settings, labels=offers.labels_of(settings))
    channel = connect_to_core(settings.home)
    try:
        Supervisor(channel, default_parts(settings, clock.now)).run()
    finally:
        users.leave_grounds(settings.workspaces)


def _run_web(
    told: Told,
    clock: Clock,
    registry: Registry,
    listening: socket.socket,
    changes: FlowChanges,
) -> None:
    from penstock_server.app.web import serve_web

    serve_web(told, clock, registry, listening, changes)
