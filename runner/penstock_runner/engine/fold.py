"""The engine's one entrance: events in, the next execution and the commands that follow out.

A `Fold` is one mutable draft over all events of a batch for one execution, and can be kept between
batches. It reads no clock, draws no random number and renders no template: time comes on the
event, identity from the place of a task in its flow, and rendering is a command like any other.
The same events therefore always lead to the same execution.

Read `state`, `events` and `commands` first, then `settle`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from penstock_runner.engine import apply, attempts
from penstock_runner.engine.altered import altered
from penstock_runner.engine.commands import Command
from penstock_runner.engine.draft import Draft
from penstock_runner.engine.events import Event
from penstock_runner.engine.index import index
from penstock_runner.engine.pending import pending
from penstock_runner.engine.plan import Plan
from penstock_runner.engine.settle import settle
from penstock_runner.engine.state import Execution, RunKey, State, TaskRun


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What follows from events: the execution after them, and what must be done."""

    execution: Execution
    commands: tuple[Command, ...] = ()


class Fold:
    """An execution while events are folded into it."""

    def __init__(self, plan: Plan, execution: Execution) -> None:
        self._draft = Draft(plan, execution)
        self._whole = execution
        self._whole_of = self._draft.head
        self._frozen = execution.runs
        self.runs: Mapping[RunKey, TaskRun] = MappingProxyType(self._draft.runs)
        index(self._draft)
        if execution.state is State.RESTARTED:
            apply.look_everywhere(self._draft)

    @property
    def plan(self) -> Plan:
        """The plan that the execution follows."""
        return self._draft.plan

    @property
    def state(self) -> State:
        """Where the execution stands."""
        return self._draft.state

    @property
    def head(self) -> Execution:
        """The execution without its task runs: cheap, for its own row."""
        return self._draft.head

    @property
    def changed(self) -> set[RunKey]:
        """The task runs that differ from what was last saved."""
        return self._draft.changed

    @property
    def removed(self) -> set[RunKey]:
        """The task runs that were saved and are no more."""
        return self._draft.removed

    def run(self, key: RunKey) -> TaskRun:
        """A task run as it is now."""
        return self._draft.runs[key]

    def awaits(self, key: RunKey, attempt: int) -> bool:
        """Whether news of this attempt would change anything."""
        return attempts.current(self._draft, key, attempt) is not None

    def feed(self, event: Event) -> tuple[Command, ...]:
        """Apply an event, settle until nothing changes, and give the commands that follow."""
        commands = self.apply(event)
        return commands + self.settle()

    def apply(self, event: Event) -> tuple[Command, ...]:
        """Apply an event alone: what an answer shows before the execution goes on from it."""
        self._draft.at = event.at
        apply.apply(self._draft, event)
        return self._taken()

    def settle(self) -> tuple[Command, ...]:
        """Apply the rules until nothing changes."""
        settle(self._draft)
        return self._taken()

    def pending(self) -> tuple[Command, ...]:
        """The jobs and questions that the execution waits for, for taking it up after a stop."""
        return tuple(pending(self._draft))

    def execution(self) -> Execution:
        """The whole execution, frozen; built anew only when something has changed."""
        draft = self._draft
        if draft.touched:
            self._frozen = MappingProxyType(dict(draft.runs))
            draft.touched = False
        elif self._whole_of is draft.head:
            return self._whole
        self._whole = altered(draft.head, {"runs": self._frozen})
        self._whole_of = draft.head
        return self._whole

    def saved(self, version: int) -> None:
        """What has changed is stored under this version; the fold goes on from there."""
        self._draft.changed.clear()
        self._draft.removed.clear()
        self._draft.update(version=version)

    def _taken(self) -> tuple[Command, ...]:
        commands = tuple(self._draft.commands)
        self._draft.commands.clear()
        return commands


def fold(plan: Plan, execution: Execution, events: Iterable[Event]) -> Decision:
    """Fold events into an execution."""
    whole = Fold(plan, execution)
    commands: list[Command] = []
    for event in events:
        commands.extend(whole.feed(event))
    return Decision(execution=whole.execution(), commands=tuple(commands))
