"""Which executions each action on many of them suits, by their state."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from penstock_runner.engine.state import TERMINAL, State

ANY = frozenset(State)
NOT_ENDED = ANY - TERMINAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """The states that an action suits, and what is said of the others."""

    states: Collection[State] = ANY
    unsuited: str = ""


RULES: Mapping[str, Rule] = {
    "restart": Rule(states={State.FAILED}, unsuited="execution not in state FAILED"),
    "kill": Rule(states=NOT_ENDED, unsuited="execution already finished"),
    "resume": Rule(states={State.PAUSED}, unsuited="execution not in state PAUSED"),
    "pause": Rule(states={State.RUNNING}, unsuited="execution not in state RUNNING"),
    "replay": Rule(),
    "change-status": Rule(states=TERMINAL, unsuited="execution not terminated"),
    "labels": Rule(states=TERMINAL, unsuited="execution not terminated"),
    "unqueue": Rule(states={State.QUEUED}, unsuited="execution not in state QUEUED"),
    "force-run": Rule(states=NOT_ENDED, unsuited="execution is terminated"),
    "delete": Rule(states=TERMINAL, unsuited="execution not terminated"),
}


def rule_of(action: str, *, any_state: bool = False) -> Rule:
    """The rule of an action; with `any_state` it suits all."""
    return Rule() if any_state else RULES[action]
