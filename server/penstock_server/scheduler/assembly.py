"""All that starts executions by itself, put together over one store and one executor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from penstock_runner.engine.state import Execution
from penstock_runner.executor.dispatch import Dispatch
from penstock_runner.executor.flows import Flows
from penstock_runner.executor.messages import Starter
from penstock_runner.executor.store import Write
from penstock_runner.expressions.environment import Expressions
from penstock_runner.flow.model import Flow
from penstock_server.clock import Clock
from penstock_server.scheduler.changes import TriggerChanges
from penstock_server.scheduler.flow_triggers import FlowTriggers
from penstock_server.scheduler.polling import Polling
from penstock_server.scheduler.reading import Reading
from penstock_server.scheduler.rendering import Load, Services, without_services
from penstock_server.scheduler.schedules import ALL
from penstock_server.scheduler.seats import TriggerSeats
from penstock_server.scheduler.triggers import Database, Scheduler


class DispatchingStarter(Starter, Protocol):
    """An executor, as far as triggers need it."""

    dispatch: Dispatch
    flows: Flows


@dataclass(frozen=True, slots=True, kw_only=True)
class Triggers:
    """The parts; the executor calls the two hooks."""

    scheduler: Scheduler
    flow_triggers: FlowTriggers
    changes: TriggerChanges

    def ended(self, execution: Execution) -> Sequence[Write]:
        """What to write because an execution has ended."""
        return self.scheduler.execution_ended(execution)

    def changed(self, execution: Execution, told: int) -> Sequence[Write]:
        """What to write because an execution has reached new states."""
        return self.flow_triggers.changed(execution, told)


def assembled(
    *,
    database: Database,
    executor: DispatchingStarter,
    clock: Clock,
    flows: Callable[[str, str], Flow | None],
    expressions: Expressions,
    load: Load,
    polls: Callable[[str], bool],
    services: Services = without_services,
    constants: Mapping[str, Any] | None = None,
    recover: str = ALL,
) -> Triggers:
    """The triggers of a store; what they start goes to the executor.

    `polls` says which types runners evaluate, `recover` what is done about missed dates by
    schedules that do not say it themselves.
    """
    flow_triggers = FlowTriggers(
        database=database,
        starter=executor,
        clock=clock,
        flows=flows,
        expressions=expressions,
        load=load,
        services=services,
        constants=constants,
    )
    seats = TriggerSeats(
        dispatch=executor.dispatch,
        flows=executor.flows,
        clock=clock,
        expressions=expressions,
        services=services,
        constants=constants or {},
    )
    polling = Polling(
        dispatch=executor.dispatch,
        seats=seats,
        starter=executor,
        clock=clock,
        reading=Reading(flows, expressions.default_zone, recover),
        expressions=expressions,
        services=services,
        load=load,
        polls=polls,
        constants=constants or {},
    )
    scheduler = Scheduler(
        database=database,
        starter=executor,
        clock=clock,
        flows=flows,
        expressions=expressions,
        load=load,
        services=services,
        constants=constants,
        recover=recover,
        flow_triggers=flow_triggers,
        polling=polling,
    )
    changes = TriggerChanges(scheduler, clock)
    return Triggers(scheduler=scheduler, flow_triggers=flow_triggers, changes=changes)
