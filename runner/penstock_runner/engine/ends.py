"""The end of an execution: its outputs, its final state, and what runs after it."""

from __future__ import annotations

from collections.abc import Mapping

from penstock_runner.engine import commands as c
from penstock_runner.engine.draft import Draft
from penstock_runner.engine.groups import ROOT, Group
from penstock_runner.engine.plan import LISTENERS
from penstock_runner.engine.state import DONE, KEPT, State
from penstock_runner.flow.model import Flow, Level

OUTPUTS = "outputs"


def finish(draft: Draft, group: Group, state: State) -> None:
    """The flow's tasks are through: render its outputs, then end."""
    group.enter(OUTPUTS)
    group.waiting = True
    draft.note(stage=OUTPUTS, end=_end(draft, state).value)
    declared = draft.plan.flow.outputs
    if declared:
        draft.ask_of_flow(OUTPUTS, {output.id: output.value for output in declared})
    else:
        conclude(draft, _end(draft, state))


def _end(draft: Draft, state: State) -> State:
    said = draft.fact("end")
    return state if said is None else State(str(said))


def answered(draft: Draft, values: Mapping[str, object], error: str | None) -> None:
    """The outputs are rendered, or cannot be."""
    state = _end(draft, State.SUCCESS)
    if error is None:
        draft.update(outputs=values)
    else:
        draft.say(None, Level.ERROR, f"Failed to render output values: {error}")
        state = State.FAILED
    conclude(draft, state)


def conclude(draft: Draft, state: State) -> None:
    """Give the execution its final state, then run what comes after it."""
    draft.set_state(state)
    draft.note(end=state.value)
    asked = conditions(draft.plan.flow)
    if asked and ROOT in draft.groups:
        draft.ask_of_flow(LISTENERS, asked)
    else:
        heard(draft, {})


def conditions(flow: Flow) -> dict[str, object]:
    """The conditions of the listeners that have any, by their place."""
    return {
        str(index): list(listener.conditions)
        for index, listener in enumerate(flow.listeners)
        if listener.conditions
    }


def heard(draft: Draft, values: Mapping[str, object]) -> None:
    """Which listeners listen is known: run what comes after the end, one stage after the other."""
    group = draft.groups.get(ROOT)
    deaf = [
        f"{LISTENERS}.{index}"
        for index, listener in enumerate(draft.plan.flow.listeners)
        if listener.conditions and values.get(str(index)) is not True
    ]
    if group is None:
        done(draft)
        return
    draft.note(after=[stage for stage in group.after_stages() if stage not in deaf])
    next_after(draft, group)


def next_after(draft: Draft, group: Group) -> None:
    """Enter the next stage after the end, or be done."""
    left = draft.fact("after")
    stages = list(left) if isinstance(left, list | tuple) else []
    if not stages:
        done(draft)
        return
    draft.note(stage=stages[0], after=stages[1:])
    group.enter(stages[0])
    group.waiting = False
    draft.dirty.append(group)


def done(draft: Draft) -> None:
    """Tell the world that the execution has ended, once."""
    draft.groups.pop(ROOT, None)
    facts = {name: draft.fact(name) for name in (*KEPT, "cascade")}
    draft.update(facts={name: fact for name, fact in facts.items() if fact is not None})
    draft.note(stage=DONE)
    draft.command(c.End(state=draft.state))
