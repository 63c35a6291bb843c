"""Puts the parts of core together over an open store: executor, triggers, Git sources, upkeep.

Triggers and Git sources are given the executor, and write along with it when an execution moves;
`_Hooks` is where the executor finds them once they are there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from importlib.metadata import version
from typing import Any

from penstock_runner.engine.state import Execution
from penstock_runner.executor.ciphers import Cipher
from penstock_runner.executor.executor import Executor
from penstock_runner.executor.flows import Flows
from penstock_runner.executor.inline import Surroundings
from penstock_runner.executor.messages import Refused
from penstock_runner.executor.store import Write
from penstock_runner.executor.values import Values, value_of
from penstock_runner.expressions.environment import Expressions
from penstock_runner.expressions.errors import ExpressionFailed
from penstock_runner.flow.model import Flow
from penstock_runner.jobs.secrets import secret_of
from penstock_runner.tasks.registry import Registry
from penstock_server.clock import Clock
from penstock_server.config import Told
from penstock_server.config.storages import open_storage
from penstock_server.core.customs import customs_of
from penstock_server.core.followers import Followers
from penstock_server.core.leftovers import Leftovers
from penstock_server.core.retention import Retention
from penstock_server.core.room import Room
from penstock_server.scheduler.assembly import Triggers, assembled
from penstock_server.scheduler.pushes import PushRender
from penstock_server.scheduler.rendering import TriggerServices
from penstock_server.store.engine import Database
from penstock_server.store.executions import SqlStore
from penstock_server.sync.configuration import git_settings
from penstock_server.sync.service import SyncService
from penstock_server.sync.settings import SourceSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What core is made from."""

    told: Told
    clock: Clock
    registry: Registry
    database: Database
    followers: Followers
    send_to_git: Callable[[dict[str, Any]], None]
    flows_changed: Callable[[], None]


@dataclass(slots=True)
class _Hooks:
    """Those who write along when an execution moves, as far as they are there."""

    triggers: Triggers | None = None
    sync: SyncService | None = None

    def ended(self, execution: Execution) -> Sequence[Write]:
        return () if self.triggers is None else self.triggers.ended(execution)

    def changed(self, execution: Execution, told_before: int) -> Sequence[Write]:
        hooks = (self.triggers, None if self.sync is None else self.sync.reporting)
        return [
            write
            for hook in hooks
            if hook is not None
            for write in hook.changed(execution, told_before)
        ]

    def source(self, source_id: str) -> SourceSettings | None:
        """What is said of a Git source now."""
        held = None if self.sync is None else self.sync.roster.sources.get(source_id)
        return None if held is None else held.settings


def make_room(given: Given) -> Room:
    """The parts of core over an open store."""
    told, clock, database = given.told, given.clock, given.database
    settings = told.settings
    store = SqlStore(database)
    hooks = _Hooks()
    around = Surroundings(
        expressions=Expressions(
            recursive=settings.recursive_rendering, default_zone=settings.timezone
        ),
        secrets=told.secrets,
        storage=open_storage(settings, told.environment),
    )
    flows = Flows(store.flow, customs_of(settings, hooks.source), given.flows_changed)
    executor = _executor(given, hooks, store, flows, around)
    triggers = hooks.triggers = _triggers(given, executor, around.expressions)
    sync = hooks.sync = _sync(given, executor, triggers, around.expressions)
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
        registry=given.registry,
        expressions=around.expressions,
        storage=around.storage,
        retention=Retention(
            rules=settings.retention, database=database, executor=executor, storage=around.storage
        ),
        leftovers=Leftovers(
            database=database, executor=executor, storage=around.storage, clock=clock
        ),
    )


def _executor(
    given: Given, hooks: _Hooks, store: SqlStore, flows: Flows, around: Surroundings
) -> Executor:
    return Executor(
        store=store,
        flows=flows,
        registry=given.registry,
        around=around,
        now=given.clock.now,
        listener=given.followers,
        constants=_constants(given.told),
        on_end=hooks.ended,
        on_change=hooks.changed,
        cipher=_cipher(given.told),
        elapsed=time.monotonic,
    )


def _triggers(given: Given, executor: Executor, expressions: Expressions) -> Triggers:
    return assembled(
        database=given.database,
        executor=executor,
        clock=given.clock,
        flows=partial(_known, executor.flows),
        expressions=expressions,
        load=given.registry.load,
        polls=given.registry.is_polling,
        services=partial(_services, given.told, executor.values),
        constants=_constants(given.told),
        recover=given.told.settings.recover_missed_schedules,
    )


def _sync(
    given: Given, executor: Executor, triggers: Triggers, expressions: Expressions
) -> SyncService:
    told, clock = given.told, given.clock
    services = partial(_services, told, executor.values)
    push = PushRender(expressions, services, given.registry.load, _constants(told), clock)
    return SyncService(
        database=given.database,
        starter=executor,
        clock=clock,
        send=given.send_to_git,
        triggers=triggers.scheduler,
        settle=push.settle,
        settings=git_settings(told.settings.git.model_dump(), told.environment),
        secrets=lambda name: told.secrets.get(name.upper()),
        has_secret=partial(_may_read, told.secrets),
        on_flows_changed=executor.flows.forget,
        version=version("penstock"),
        cipher=_cipher(told),
    )


def _constants(told: Told) -> Mapping[str, Any]:
    """What every expression can name, whatever it is about."""
    settings = told.settings
    return {
        "envs": dict(told.envs),
        "globals": dict(settings.globals),
        "kestra": {"url": settings.public_url, "environment": settings.environment},
    }


def _cipher(told: Told) -> Cipher | None:
    key = told.settings.encryption_key
    return Cipher(key) if key else None


def _services(told: Told, values: Values, namespace: str, now: datetime) -> TriggerServices:
    return TriggerServices(now, told.secrets, partial(value_of, values), namespace)


def _may_read(secrets: Mapping[str, str], name: str, namespace: str) -> bool:
    """Whether flows of a namespace, of protected refs at least, get a value for this secret."""
    try:
        secret_of(secrets, name, namespace, protected=True)
    except ExpressionFailed:
        return False
    return True


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
