"""What a flowable is to the engine: pure answers about one kind of group.

A flowable holds no state. It says what must be rendered before its children are known, what
follows from the answer, in which order children open, and what the group's end is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from penstock_runner.engine.orders import InSequence, Order
from penstock_runner.engine.state import State
from penstock_runner.flow.model import Task


class Role(Enum):
    """How the engine carries a task out."""

    JOB = "job"
    GROUP = "group"
    PAUSE = "pause"
    SUBFLOW = "subflow"
    DIRECTORY = "directory"
    BATCHES = "batches"


class Undecidable(Exception):
    """A flowable cannot say what it runs; the message is for the author of the flow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What a group runs: the branch (None: nothing), the loop values, the outputs known so far.

    `template` has the tasks themselves, where the flow does not say them.
    """

    branch: str | None = "tasks"
    values: tuple[str, ...] | None = None
    outputs: Mapping[str, object] | None = None
    facts: Mapping[str, object] = field(default_factory=dict)
    template: Mapping[str, object] | None = None


PLAIN = Choice()
NOTHING: Mapping[str, object] = {}


def asks_nothing(_: Task) -> Mapping[str, object]:
    """No expression decides about the children."""
    return NOTHING


def plain(_task: Task, _values: Mapping[str, object]) -> Choice:
    """All of `tasks`."""
    return PLAIN


def in_sequence(_task: Task, ids: Sequence[str], values: int | None) -> Order:
    """One child after the other, value by value."""
    return InSequence(len(ids) * (1 if values is None else values))


def worst(tally: Mapping[State, int]) -> State:
    """The end of a group, from the ends of its normal children."""
    for state in (State.KILLED, State.FAILED, State.WARNING):
        if tally.get(state):
            return state
    return State.SUCCESS


def as_it_is(_task: Task, _choice: str | None, state: State) -> State:
    """The group's end is what its children say."""
    return state


def stops(_task: Task) -> bool:
    """The first failure ends the group."""
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Flowable:
    """One kind of task that orders others.

    `order` gets the ids of the children of the chosen branch and the number of loop values (None:
    no loop). `goes_on` says whether the group goes on after a failure, `collects` whether it is
    asked for outputs at its end, `looked_up` whether there is more to its answer than what
    is rendered.
    """

    role: Role = Role.GROUP
    purpose: str = ""
    asks: Callable[[Task], Mapping[str, object]] = asks_nothing
    decide: Callable[[Task, Mapping[str, object]], Choice] = plain
    order: Callable[[Task, Sequence[str], int | None], Order] = in_sequence
    errors_order: Callable[[Task, Sequence[str], int | None], Order] = in_sequence
    result: Callable[[Task, str | None, State], State] = as_it_is
    repeats: bool = False
    goes_on: Callable[[Task], bool] = stops
    collects: bool = False
    looked_up: bool = False
    typed: frozenset[str] = field(default_factory=frozenset)
