"""The core process, put together: store, executor, scheduler, sync, and the loop over them."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from importlib.metadata import version
from types import FrameType
from typing import Any

from penstock_runner.engine.state import Execution
from penstock_runner.executor.ciphers import Cipher
from penstock_runner.executor.executor import Executor
from penstock_runner.executor.flows import Flows
from penstock_runner.executor.inline import Surroundings
from penstock_runner.executor.messages import Refused
from penstock_runner.executor.store import Write
from penstock_runner.executor.values import value_of
from penstock_runner.expressions.environment import Expressions
from penstock_runner.expressions.errors import ExpressionFailed
from penstock_runner.flow.model import Flow
from penstock_runner.jobs.secrets import secret_of
from penstock_runner.tasks.registry import Registry
from penstock_server.clock import Clock
from penstock_server.config import BadSettings, Told
from penstock_server.config.storages import open_storage
from penstock_server.core.address import socket_path
from penstock_server.core.customs import customs_of
from penstock_server.core.followers import Followers
from penstock_server.core.leftovers import Leftovers
from penstock_server.core.loop import CoreLoop, listen
from penstock_server.core.retention import Retention
from penstock_server.core.room import Room
from penstock_server.scheduler.assembly import Triggers, assembled
from penstock_server.scheduler.pushes import PushRender
from penstock_server.scheduler.rendering import TriggerServices
from penstock_server.store.engine import Database, open_store
from penstock_server.store.executions import SqlStore
from penstock_server.store.faults import StoreInUse
from penstock_server.store.flow_changes import FlowChanges
from penstock_server.sync.configuration import git_settings
from penstock_server.sync.reporting import Reporting
from penstock_server.sync.service import SyncService
from penstock_server.sync.settings import SourceSettings

LOOK_AGAIN = 1.0

log = logging.getLogger(__name__)


def run(told: Told, clock: Clock, registry: Registry, changes: FlowChanges) -> None:
    """Serve until SIGTERM; the store belongs to this process alone while it runs."""
    settings = told.settings
    database = open_store(settings.database, durability=settings.durability)
    _lead(database)
    changes.note()  # whoever led before may have changed flows
    followers = Followers()
    loop: CoreLoop | None = None

    def send_to_git(message: dict[str, Any]) -> None:
        if loop is not None:
            loop.send_to_git(message)

    room = make_room(
        told,
        clock,
        registry,
        database=database,
        followers=followers,
        send_to_git=send_to_git,
        flows_changed=changes.note,
    )
    loop = CoreLoop(
        room, listen(socket_path(settings.home)), followers, lambda: read_sources_again(told, room)
    )
    running = loop

    def stop(_signal: int, _frame: FrameType | None) -> None:
        running.stop()

    def hangup(_signal: int, _frame: FrameType | None) -> None:
        running.ask_again()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGHUP, hangup)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        loop.run()
    finally:
        database.close()


def read_sources_again(told: Told, room: Room) -> None:
    """Take up what the configuration says of Git sources by now; faults leave all as it was."""
    if told.again is None:
        return
    try:
        fresh = told.again()
        git = git_settings(fresh.settings.git.model_dump(), told.environment)
    except BadSettings as bad:
        for fault in bad.faults:
            log.warning("the Git sources stay as they were: %s", fault)
        return
    room.sync.roster.configure(git)


def _lead(database: Database) -> None:
    """Wait until no other service leads the store, and lead it then.

    Only a database server can be shared; a file that is in use is a mistake of whoever started us.
    """
    told = False
    while True:
        try:
            database.lead()
        except StoreInUse as held:
            if database.kind == "sqlite":
                raise
            if not told:
                log.warning("standing by, another service leads: %s", held)
                told = True
            threading.Event().wait(LOOK_AGAIN)
        else:
            if told:
                log.warning("the service that led is gone; this one leads from now on")
            return


def make_room(
    told: Told,
    clock: Clock,
    registry: Registry,
    *,
    database: Database,
    followers: Followers,
    send_to_git: Callable[[dict[str, Any]], None],
    flows_changed: Callable[[], None] = lambda: None,
) -> Room:
    """The parts of core over an open store."""
    settings = told.settings
    store = SqlStore(database)
    storage = open_storage(settings, told.environment)
    expressions = Expressions(
        recursive=settings.recursive_rendering, default_zone=settings.timezone
    )
    git = git_settings(settings.git.model_dump(), told.environment)
    syncs: list[SyncService] = []
    flows = Flows(store.flow, customs_of(settings, partial(_source, syncs)), flows_changed)
    around = Surroundings(expressions=expressions, secrets=told.secrets, storage=storage)
    cipher = Cipher(settings.encryption_key) if settings.encryption_key else None
    hooks: list[Triggers] = []
    reporting: list[Reporting] = []

    def on_end(execution: Execution) -> Sequence[Write]:
        return [write for hook in hooks for write in hook.ended(execution)]

    def on_change(execution: Execution, told_before: int) -> Sequence[Write]:
        told = [write for hook in hooks for write in hook.changed(execution, told_before)]
        reported = [write for one in reporting for write in one.changed(execution, told_before)]
        return [*told, *reported]

    constants = {
        "envs": dict(told.envs),
        "globals": dict(settings.globals),
        "kestra": {"url": settings.public_url, "environment": settings.environment},
    }
    executor = Executor(
        store=store,
        flows=flows,
        registry=registry,
        around=around,
        now=clock.now,
        listener=followers,
        constants=constants,
        on_end=on_end,
        on_change=on_change,
        cipher=cipher,
        elapsed=time.monotonic,
    )

    def services(namespace: str, now: datetime) -> TriggerServices:
        read = partial(value_of, executor.values)
        return TriggerServices(now, told.secrets, read, namespace)

    triggers = assembled(
        database=database,
        executor=executor,
        clock=clock,
        flows=partial(_known, flows),
        expressions=expressions,
        load=registry.load,
        polls=registry.is_polling,
        services=services,
        constants=constants,
        recover=settings.recover_missed_schedules,
    )
    hooks.append(triggers)
    sync = SyncService(
        database=database,
        starter=executor,
        clock=clock,
        send=send_to_git,
        triggers=triggers.scheduler,
        settle=PushRender(expressions, services, registry.load, constants, clock).settle,
        settings=git,
        secrets=lambda name: told.secrets.get(name.upper()),
        has_secret=partial(_may_read, told.secrets),
        on_flows_changed=flows.forget,
        version=version("penstock"),
        cipher=cipher,
    )
    reporting.append(sync.reporting)
    syncs.append(sync)
    return Room(
        settings=settings,
        clock=clock,
        database=database,
        store=store,
        flows=flows,
        executor=executor,
        scheduler=triggers.scheduler,
        triggers=triggers.changes,
        sync=sync,
        registry=registry,
        expressions=expressions,
        storage=storage,
        retention=Retention(
            rules=settings.retention, database=database, executor=executor, storage=storage
        ),
        leftovers=Leftovers(database=database, executor=executor, storage=storage, clock=clock),
    )


def _may_read(secrets: Mapping[str, str], name: str, namespace: str) -> bool:
    """Whether flows of a namespace, of protected refs at least, get a value for this secret."""
    try:
        secret_of(secrets, name, namespace, protected=True)
    except ExpressionFailed:
        return False
    return True


def _source(syncs: Sequence[SyncService], source_id: str) -> SourceSettings | None:
    """What is said of a Git source now."""
    held = next((sync.roster.sources.get(source_id) for sync in syncs), None)
    return None if held is None else held.settings


def _known(flows: Flows, namespace: str, flow_id: str) -> Flow | None:
    """The latest revision of a flow, as a person's switch has it."""
    try:
        loaded = flows.get(namespace, flow_id)
    except Refused:
        return None
    flow = loaded.flow
    if loaded.stored.disabled and not flow.disabled:
        return flow.model_copy(update={"disabled": True})
    return flow
